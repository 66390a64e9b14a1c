//! From a writer's log to the states its files may be in.

use baton_guest::content::{hash, key};
use baton_guest::record::{Op, Via};

use super::blocks::{Partial, Suspect, Way};
use super::log::WriterLog;
use super::tree::{Body, Context, Impossible, NodeId, Tree};

/// A state that is permitted.
#[derive(Debug)]
pub struct Candidate {
    /// How the operation in flight ended if this is the state.
    pub outcome: &'static str,
    pub tree: Tree,
}

fn context(log: &WriterLog, seq: u64) -> Context {
    let hello = &log.hello;
    Context {
        seq,
        key: key(hello.seed, hello.writer, seq),
        uid: hello.uid,
        gid: hello.gid,
    }
}

/// Replays the acknowledged operations, calling `after` with the tree and the
/// number of each.
fn replay(log: &WriterLog, mut after: impl FnMut(&Tree, u64)) -> Result<Tree, Impossible> {
    let mut tree = Tree::default();
    for (seq, acked) in (0..).zip(&log.acked) {
        if acked.ack.refused.is_some() {
            continue;
        }
        let located = |error| format!("writer {} operation {seq}: {error}", log.hello.writer);
        tree.apply(&acked.op, &context(log, seq)).map_err(located)?;
        for (path, stat) in &acked.ack.stats {
            tree.observe(path, stat).map_err(located)?;
        }
        after(&tree, seq);
    }
    Ok(tree)
}

/// The permitted states: one if nothing was in flight, else with the operation
/// not done, and done or partly done.
///
/// # Errors
/// The log contradicts itself.
pub fn candidates(log: &WriterLog) -> Result<Vec<Candidate>, Impossible> {
    let tree = replay(log, |_, _| {})?;
    let Some(op) = &log.in_flight else {
        return Ok(vec![Candidate {
            outcome: "none",
            tree,
        }]);
    };
    let context = context(log, log.acked.len() as u64);
    let mut done = tree.clone();
    done.apply(op, &context)?;
    let outcome = permit_partial(&tree, &mut done, op);
    let mut absent = tree;
    absent.blur(op, context.seq);
    Ok(vec![
        Candidate {
            outcome: "not done",
            tree: absent,
        },
        Candidate {
            outcome,
            tree: done,
        },
    ])
}

/// Marks the file of `op` in the tree `done` as possibly incomplete, if `op` can
/// be; returns what to call that outcome.
fn permit_partial(before: &Tree, done: &mut Tree, op: &Op) -> &'static str {
    let (path, way) = match op {
        Op::Create { path, len, .. } => (path, Way::Prefix { off: 0, len: *len }),
        Op::Write {
            path,
            via: Via::Direct,
            ..
        } => (path, Way::Blocks),
        Op::Write { path, off, len, .. } => (
            path,
            Way::Prefix {
                off: *off,
                len: *len,
            },
        ),
        Op::Allocate { path, .. } | Op::PunchHole { path, .. } => (path, Way::Blocks),
        _ => return "done",
    };
    let old = before.names.get(path).and_then(|id| before.nodes.get(id));
    let old = match old.map(|node| &node.body) {
        Some(Body::File(content)) => content.clone(),
        _ => super::extents::Content::default(),
    };
    if let Ok(node) = done.node(path) {
        node.partial = Some(Partial { old, way });
    }
    "done, or done in part"
}

/// The operation after which block `suspect` of `node` last had the content
/// that was found.
pub fn when_was(log: &WriterLog, node: NodeId, suspect: Suspect) -> Option<u64> {
    let mut last = None;
    let mut changed_by = None;
    let result = replay(log, |tree, seq| {
        let Some(node) = tree
            .nodes
            .get(&node)
            .filter(|node| changed_by != Some(node.last_op))
        else {
            return;
        };
        changed_by = Some(node.last_op);
        if let Body::File(content) = &node.body {
            if hash(&content.block(suspect.index, suspect.size)) == suspect.hash {
                last = Some(seq);
            }
        }
    });
    result.ok().and(last)
}
