//! The model of the files of one writer.

use std::collections::{BTreeMap, BTreeSet};

use baton_guest::content::{bytes, hash};
use baton_guest::record::{parent, Op, Stat};

use super::blocks::Partial;
use super::extents::Content;

/// What a file is, type-wise.
#[derive(Clone, Debug)]
pub enum Body {
    /// A regular file.
    File(Content),
    /// A directory.
    Dir,
    /// A symbolic link and its target.
    Symlink(String),
}

/// What should be known of one inode. `None`: cannot be known.
#[derive(Clone, Debug)]
pub struct Node {
    pub body: Body,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Option<i64>,
    pub ctime: Option<i64>,
    pub ino: Option<u64>,
    /// How many names it has.
    pub links: u64,
    /// Of a directory, as the writer saw it; of others the model counts.
    pub dir_nlink: Option<u64>,
    pub xattrs: BTreeMap<String, u64>,
    /// The last operation that touched it.
    pub last_op: u64,
    /// Content is that of a write that may be incomplete.
    pub partial: Option<Partial>,
}

/// Identity of a node; the same in every replay of a log.
pub type NodeId = u64;

/// What should exist below a writer's directory, and that directory.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub names: BTreeMap<String, NodeId>,
    pub nodes: BTreeMap<NodeId, Node>,
    /// Every name there ever was.
    pub ever: BTreeSet<String>,
}

/// Circumstances of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Its number, also the identity of a node it makes.
    pub seq: u64,
    /// The key of its content.
    pub key: u64,
    /// Owner of what it makes.
    pub uid: u32,
    /// Group of what it makes.
    pub gid: u32,
}

/// An operation that the model says is impossible: the log is wrong.
pub type Impossible = String;

impl Tree {
    fn id(&self, path: &str) -> Result<NodeId, Impossible> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| format!("{path:?} does not exist"))
    }

    /// The node that `path` names.
    pub fn node(&mut self, path: &str) -> Result<&mut Node, Impossible> {
        let id = self.id(path)?;
        self.nodes
            .get_mut(&id)
            .ok_or_else(|| format!("{path:?} has no node"))
    }

    fn content(&mut self, path: &str) -> Result<&mut Content, Impossible> {
        match &mut self.node(path)?.body {
            Body::File(content) => Ok(content),
            _ => Err(format!("{path:?} is not a file")),
        }
    }

    /// The names of each node.
    pub fn links(&self) -> BTreeMap<NodeId, Vec<&str>> {
        let mut links: BTreeMap<NodeId, Vec<&str>> = BTreeMap::new();
        for (name, id) in &self.names {
            links.entry(*id).or_default().push(name);
        }
        links
    }

    /// Forgets what `op` makes unknowable until it is observed: times, and the
    /// link counts of directories.
    pub fn blur(&mut self, op: &Op, seq: u64) {
        let content = matches!(
            op,
            Op::Create { .. }
                | Op::Write { .. }
                | Op::Truncate { .. }
                | Op::Allocate { .. }
                | Op::PunchHole { .. }
        );
        for path in op.paths() {
            if let Ok(node) = self.node(path) {
                node.ctime = None;
                node.last_op = seq;
                if content {
                    node.mtime = None;
                }
                if matches!(node.body, Body::Dir) {
                    // A moved directory may have its ".." rewritten.
                    node.mtime = None;
                    node.dir_nlink = None;
                }
            }
            let parent = parent(path).filter(|_| op.changes_names());
            if let Some(Ok(node)) = parent.map(|parent| self.node(parent)) {
                node.mtime = None;
                node.ctime = None;
                node.dir_nlink = None;
                node.last_op = seq;
            }
        }
    }

    /// Does `op`.
    pub fn apply(&mut self, op: &Op, context: &Context) -> Result<(), Impossible> {
        self.blur(op, context.seq);
        match op {
            Op::Mkdir { path, mode } => self.make(path, Body::Dir, *mode, context)?,
            Op::Symlink { target, path } => {
                self.make(path, Body::Symlink(target.clone()), 0o777, context)?;
            }
            Op::Create {
                path, mode, len, ..
            } => {
                let mut content = Content::default();
                content.write(0, *len, context.key);
                self.make(path, Body::File(content), *mode, context)?;
            }
            Op::Rmdir { path } | Op::Unlink { path, .. } => self.remove(path)?,
            Op::Write { path, off, len, .. } => {
                self.content(path)?.write(*off, *len, context.key);
            }
            Op::Truncate { path, size } => self.content(path)?.resize(*size),
            Op::Allocate { path, size } => {
                let content = self.content(path)?;
                content.resize(content.size().max(*size));
            }
            Op::PunchHole { path, off, len } => self.content(path)?.punch(*off, *len),
            Op::Rename { from, to } => self.rename(from, to)?,
            Op::Link { from, to } => {
                let id = self.id(from)?;
                self.insert(to, id)?;
            }
            Op::OrphanWrite { .. } => {}
            Op::Chmod { path, mode } => self.node(path)?.mode = *mode,
            Op::Chown { path, uid, gid } => {
                let node = self.node(path)?;
                (node.uid, node.gid) = (*uid, *gid);
            }
            Op::Utimens { path, mtime_ns } => self.node(path)?.mtime = Some(*mtime_ns),
            Op::SetXattr { path, name, len } => {
                let value = hash(&bytes(context.key, *len));
                self.node(path)?.xattrs.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    fn make(
        &mut self,
        path: &str,
        body: Body,
        mode: u32,
        context: &Context,
    ) -> Result<(), Impossible> {
        let node = Node {
            body,
            mode,
            uid: context.uid,
            gid: context.gid,
            mtime: None,
            ctime: None,
            ino: None,
            links: 0,
            dir_nlink: None,
            xattrs: BTreeMap::new(),
            last_op: context.seq,
            partial: None,
        };
        self.nodes.insert(context.seq, node);
        self.insert(path, context.seq)
    }

    fn insert(&mut self, path: &str, id: NodeId) -> Result<(), Impossible> {
        self.ever.insert(path.to_owned());
        if self.names.insert(path.to_owned(), id).is_some() {
            return Err(format!("{path:?} exists"));
        }
        self.node(path)?.links += 1;
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), Impossible> {
        let node = self.node(path)?;
        node.links -= 1;
        let unnamed = node.links == 0;
        if let Some(id) = self.names.remove(path).filter(|_| unnamed) {
            self.nodes.remove(&id);
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Impossible> {
        let id = self.id(from)?;
        match self.names.get(to) {
            Some(other) if *other == id => return Ok(()),
            Some(_) => self.remove(to)?,
            None => {}
        }
        let inside = format!("{from}/");
        let below = self.names.range(inside.clone()..);
        let below: Vec<String> = below
            .map(|(name, _)| name.clone())
            .take_while(|name| name.starts_with(&inside))
            .collect();
        for name in below {
            let moved = format!("{to}/{}", name.strip_prefix(&inside).unwrap_or_default());
            if let Some(id) = self.names.remove(&name) {
                self.ever.insert(moved.clone());
                self.names.insert(moved, id);
            }
        }
        self.names.remove(from);
        self.names.insert(to.to_owned(), id);
        self.ever.insert(to.to_owned());
        Ok(())
    }

    /// Takes over what the writer saw after an operation.
    ///
    /// # Errors
    /// In words, if the writer saw what the model says it cannot have seen.
    pub fn observe(&mut self, path: &str, stat: &Stat) -> Result<(), Impossible> {
        let node = self.node(path)?;
        let is_dir = matches!(node.body, Body::Dir);
        let expected = (node.mode, node.uid, node.gid);
        let size = match &node.body {
            Body::File(content) => content.size(),
            _ => stat.size,
        };
        if expected != (stat.mode, stat.uid, stat.gid)
            || size != stat.size
            || (!is_dir && node.links != stat.nlink)
            || node.ino.is_some_and(|ino| ino != stat.ino)
            || (node.mtime.is_some_and(|mtime| mtime != stat.mtime_ns))
        {
            return Err(format!(
                "{path:?}: the writer saw {stat:?}, the model {node:?}"
            ));
        }
        node.mtime = Some(stat.mtime_ns);
        node.ctime = Some(stat.ctime_ns);
        node.ino = Some(stat.ino);
        node.dir_nlink = is_dir.then_some(stat.nlink);
        Ok(())
    }
}
