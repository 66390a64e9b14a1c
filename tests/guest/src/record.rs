//! The records a writer sends to the host, one JSON object a line.
//!
//! # Protocol
//! One TCP connection per writer. The writer sends [`Record::Hello`] once. Then
//! for each operation, sequence numbers counting from 0 without gaps:
//! 1. writer sends [`Record::Intent`];
//! 2. host records it and only then answers with [`go_ahead`];
//! 3. writer performs the operation;
//! 4. writer sends [`Record::Ack`].
//!
//! The host that stops answering (it is frozen, or the machine has stopped)
//! stops the writer before its next operation.

use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

/// How bytes get into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// `pwrite` through the page cache.
    Buffered,
    /// `write` on an `O_APPEND` descriptor; `off` is the file's size before.
    Append,
    /// `pwrite` on an `O_DIRECT` descriptor; `off` and `len` are multiples of 4096.
    Direct,
    /// Stores to a shared mapping; the file already has the size.
    Mmap,
}

/// One change of the file system. Paths are relative to the workload's
/// directory and in the form of [`crate::text`]. Bytes written are
/// [`crate::content`] under the key of the operation's sequence number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the variants' docs name the fields")]
pub enum Op {
    /// A new directory.
    Mkdir { path: String, mode: u32 },
    /// Removes an empty directory.
    Rmdir { path: String },
    /// A new file with `len` bytes. `O_EXCL`.
    Create {
        path: String,
        mode: u32,
        len: u64,
        sync: bool,
    },
    /// Writes `len` bytes at `off`; grows the file where needed. `sync`: fsync
    /// (msync for a mapping) before the acknowledgement.
    Write {
        path: String,
        off: u64,
        len: u64,
        via: Via,
        sync: bool,
    },
    /// Sets the size; what is gained reads as zeros.
    Truncate { path: String, size: u64 },
    /// Allocates blocks for, and grows the file to, `size`; all zeros.
    Allocate { path: String, size: u64 },
    /// Zeros a range by deallocation, size unchanged.
    PunchHole { path: String, off: u64, len: u64 },
    /// `rename`, possibly over an existing file, possibly of a directory.
    Rename { from: String, to: String },
    /// A further name for the file `from`.
    Link { from: String, to: String },
    /// A symbolic link at `path`.
    Symlink { target: String, path: String },
    /// Removes a name. `keep_open`: it is the last, and the file stays open.
    Unlink { path: String, keep_open: bool },
    /// Writes `len` bytes into a file that has no name any more.
    OrphanWrite { len: u64 },
    /// Permission bits.
    Chmod { path: String, mode: u32 },
    /// Owner and group.
    Chown { path: String, uid: u32, gid: u32 },
    /// Modification time, in nanoseconds since the epoch.
    Utimens { path: String, mtime_ns: i64 },
    /// An extended attribute with `len` bytes of content.
    SetXattr {
        path: String,
        name: String,
        len: u64,
    },
}

impl Op {
    /// The paths whose inode the operation may change, parents not included.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        match self {
            Self::Rename { from, to } | Self::Link { from, to } => vec![from, to],
            Self::OrphanWrite { .. } => Vec::new(),
            Self::Mkdir { path, .. }
            | Self::Rmdir { path }
            | Self::Create { path, .. }
            | Self::Write { path, .. }
            | Self::Truncate { path, .. }
            | Self::Allocate { path, .. }
            | Self::PunchHole { path, .. }
            | Self::Symlink { path, .. }
            | Self::Unlink { path, .. }
            | Self::Chmod { path, .. }
            | Self::Chown { path, .. }
            | Self::Utimens { path, .. }
            | Self::SetXattr { path, .. } => vec![path],
        }
    }

    /// Whether the operation adds, removes or replaces a name.
    #[must_use]
    pub const fn changes_names(&self) -> bool {
        matches!(
            self,
            Self::Mkdir { .. }
                | Self::Rmdir { .. }
                | Self::Create { .. }
                | Self::Rename { .. }
                | Self::Link { .. }
                | Self::Symlink { .. }
                | Self::Unlink { .. }
        )
    }
}

/// The directory part of a path in text form; `None` directly below the root.
#[must_use]
pub fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

/// What `lstat` sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Permission bits (`st_mode & 0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of names.
    pub nlink: u64,
    /// Inode number.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Change time, nanoseconds since the epoch.
    pub ctime_ns: i64,
}

impl From<&std::fs::Metadata> for Stat {
    fn from(meta: &std::fs::Metadata) -> Self {
        let ns = |sec: i64, nsec: i64| sec.saturating_mul(1_000_000_000).saturating_add(nsec);
        Self {
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            nlink: meta.nlink(),
            ino: meta.ino(),
            size: meta.size(),
            mtime_ns: ns(meta.mtime(), meta.mtime_nsec()),
            ctime_ns: ns(meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// Who a writer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Number of the writer, unique in the run.
    pub writer: u32,
    /// What it does, one of [`crate::workload::KINDS`].
    pub kind: String,
    /// The directory below the root that it alone uses.
    pub dir: String,
    /// Seed of the run.
    pub seed: u64,
    /// Owner of what it creates.
    pub uid: u32,
    /// Group of what it creates.
    pub gid: u32,
}

/// The completion of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Which operation.
    pub seq: u64,
    /// The error with which the system refused the operation, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<i32>,
    /// The paths that the operation touched, as `lstat` saw them afterwards.
    pub stats: Vec<(String, Stat)>,
}

/// One line from a writer to the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// First line of a connection.
    Hello(Hello),
    /// About to do an operation.
    Intent {
        /// Its number.
        seq: u64,
        /// What it is.
        #[serde(flatten)]
        op: Op,
    },
    /// It is done.
    Ack(Ack),
    /// The writer has built up the cache it was asked for.
    CacheFilled,
    /// The writer has done all it was asked to do.
    Done,
    /// The writer stopped on an error; the operation may have had an effect.
    Failed {
        /// The error in words.
        error: String,
    },
}

/// The host's answer to the intent `seq`, newline included.
#[must_use]
pub fn go_ahead(seq: u64) -> String {
    format!("go {seq}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_one_flat_line() {
        let op = Op::Rename {
            from: "a".into(),
            to: "ü".into(),
        };
        let line = serde_json::to_string(&Record::Intent { seq: 7, op }).unwrap();
        assert_eq!(
            line,
            r#"{"record":"intent","seq":7,"op":"rename","from":"a","to":"ü"}"#
        );
        let back: Record = serde_json::from_str(&line).unwrap();
        assert!(matches!(
            back,
            Record::Intent {
                seq: 7,
                op: Op::Rename { .. }
            }
        ));
    }
}
