//! Comparing one writer's model with the part of the manifest that is its own.

use std::collections::BTreeMap;

use baton_guest::manifest::{Entry, Type};

use super::blocks::{self, Mismatch, Suspect};
use super::check::Options;
use super::report::{Kind, Problem};
use super::tree::{Body, Node, NodeId, Tree};

/// Wrong blocks of a file, to be explained by a replay.
#[derive(Debug)]
pub struct Wrong {
    /// Which of the losses it is about.
    pub loss: usize,
    pub node: NodeId,
    pub blocks: Vec<Suspect>,
}

/// All differences between a model and what was found.
#[derive(Debug, Default)]
pub struct Findings {
    pub losses: Vec<Problem>,
    pub extras: Vec<Problem>,
    pub wrong: Vec<Wrong>,
    pub files: u64,
    pub bytes: u64,
    pub ctime_differs: u64,
    pub inode_differs: u64,
}

impl Findings {
    /// How bad it is; 0 is none at all.
    pub const fn problems(&self) -> usize {
        self.losses.len() + self.extras.len()
    }
}

/// Compares. `entries` are those at and below the writer's directory.
pub fn compare(tree: &Tree, entries: &BTreeMap<&str, &Entry>, options: &Options) -> Findings {
    let mut findings = Findings::default();
    for (id, names) in tree.links() {
        let Some(node) = tree.nodes.get(&id) else {
            continue;
        };
        compare_node(&mut findings, id, node, &names, entries, options);
    }
    for (path, entry) in entries {
        if !tree.names.contains_key(*path) {
            let kind = if tree.ever.contains(*path) {
                Kind::Resurrected
            } else {
                Kind::Unknown
            };
            findings.extras.push(Problem {
                path: (*path).to_owned(),
                what: kind,
                expected: "nothing".to_owned(),
                found: format!("{:?} of {} bytes", entry.kind, entry.stat.size),
            });
        }
    }
    shared_inodes(&mut findings, tree, entries);
    findings
}

/// Compares all names of a node, and its content once.
fn compare_node(
    findings: &mut Findings,
    id: NodeId,
    node: &Node,
    names: &[&str],
    entries: &BTreeMap<&str, &Entry>,
    options: &Options,
) {
    let mut content_seen = false;
    for name in names {
        findings.files += 1;
        let by = format!("(operation {})", node.last_op);
        let lose = |findings: &mut Findings, what, expected: String, found: String| {
            let expected = format!("{expected} {by}");
            findings.losses.push(Problem {
                path: (*name).to_owned(),
                what,
                expected,
                found,
            });
        };
        let Some(entry) = entries.get(name) else {
            let size = match &node.body {
                Body::File(content) => format!("file of {} bytes", content.size()),
                Body::Dir => "directory".to_owned(),
                Body::Symlink(_) => "symbolic link".to_owned(),
            };
            lose(findings, Kind::Missing, size, "nothing".to_owned());
            continue;
        };
        if let Some(error) = &entry.error {
            lose(
                findings,
                Kind::Unreadable,
                "no error".to_owned(),
                error.clone(),
            );
            continue;
        }
        let kind = match &node.body {
            Body::File(_) => Type::File,
            Body::Dir => Type::Dir,
            Body::Symlink(_) => Type::Symlink,
        };
        if kind != entry.kind {
            lose(
                findings,
                Kind::Type,
                format!("{kind:?}"),
                format!("{:?}", entry.kind),
            );
            continue;
        }
        for (what, expected, found) in differences(node, entry) {
            if what == Kind::Ctime {
                findings.ctime_differs += 1;
                if !options.ctime {
                    continue;
                }
            }
            lose(findings, what, expected, found);
        }
        findings.inode_differs += u64::from(node.ino.is_some_and(|ino| ino != entry.stat.ino));
        if let (Body::File(content), false) = (&node.body, content_seen) {
            content_seen = true;
            findings.bytes += content.size();
            match blocks::compare(content, node.partial.as_ref(), entry) {
                None => {}
                Some(Mismatch::Size(size)) => {
                    lose(
                        findings,
                        Kind::Size,
                        size,
                        format!("{} bytes", entry.stat.size),
                    );
                }
                Some(Mismatch::Blocks(blocks)) => {
                    let loss = findings.losses.len();
                    let blocks_words = format!("{} right blocks", entry.blocks_total());
                    lose(
                        findings,
                        Kind::Content,
                        blocks_words,
                        format!("{} wrong", blocks.len()),
                    );
                    findings.wrong.push(Wrong {
                        loss,
                        node: id,
                        blocks,
                    });
                }
            }
        }
    }
}

/// What an entry says about its file, content apart, that differs from a node.
fn differences(node: &Node, entry: &Entry) -> Vec<(Kind, String, String)> {
    let stat = &entry.stat;
    let mut found = Vec::new();
    let mut differ = |kind, expected: String, actual: String| {
        if expected != actual {
            found.push((kind, expected, actual));
        }
    };
    differ(
        Kind::Mode,
        format!("{:o}", node.mode),
        format!("{:o}", stat.mode),
    );
    let owner = |uid, gid| format!("{uid}:{gid}");
    differ(
        Kind::Owner,
        owner(node.uid, node.gid),
        owner(stat.uid, stat.gid),
    );
    let nanoseconds = |time: i64| format!("{time} ns");
    if let Some(mtime) = node.mtime {
        differ(Kind::Mtime, nanoseconds(mtime), nanoseconds(stat.mtime_ns));
    }
    if let Some(ctime) = node.ctime {
        differ(Kind::Ctime, nanoseconds(ctime), nanoseconds(stat.ctime_ns));
    }
    let links = match &node.body {
        Body::Dir => node.dir_nlink,
        _ => Some(node.links),
    };
    if let Some(links) = links {
        differ(
            Kind::Links,
            format!("{links} links"),
            format!("{} links", stat.nlink),
        );
    }
    match &node.body {
        Body::Symlink(target) => {
            differ(
                Kind::Target,
                target.clone(),
                entry.target.clone().unwrap_or_default(),
            );
        }
        Body::File(_) => {
            // A file whose size and readable length differ is broken; report once.
            differ(
                Kind::Size,
                format!("{} bytes read", stat.size),
                format!("{} bytes read", entry.read),
            );
        }
        Body::Dir => {}
    }
    let attributes: Vec<_> = node
        .xattrs
        .iter()
        .map(|(name, hash)| (name.clone(), *hash))
        .collect();
    differ(
        Kind::Xattrs,
        format!("{attributes:x?}"),
        format!("{:x?}", entry.xattrs),
    );
    found
}

/// Names share an inode exactly if the model says so.
fn shared_inodes(findings: &mut Findings, tree: &Tree, entries: &BTreeMap<&str, &Entry>) {
    let mut by_inode: BTreeMap<u64, (NodeId, &str)> = BTreeMap::new();
    let mut by_node: BTreeMap<NodeId, (u64, &str)> = BTreeMap::new();
    for (name, id) in &tree.names {
        let Some(entry) = entries.get(name.as_str()) else {
            continue;
        };
        let ino = entry.stat.ino;
        let (other_id, same_inode) = by_inode.entry(ino).or_insert((*id, name));
        let (other_ino, same_file) = by_node.entry(*id).or_insert((ino, name));
        let problem = if other_id != id {
            Some((
                format!("not the inode of {same_inode:?}"),
                format!("inode {ino} of both"),
            ))
        } else if *other_ino != ino {
            Some((
                format!("the inode of {same_file:?}, {other_ino}"),
                format!("inode {ino}"),
            ))
        } else {
            None
        };
        if let Some((expected, found)) = problem {
            findings.losses.push(Problem {
                path: name.clone(),
                what: Kind::Links,
                expected,
                found,
            });
        }
    }
}
