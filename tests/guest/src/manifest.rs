//! Everything below a directory, as JSON lines.
//!
//! One [`Line::Entry`] per name, the directory itself not included, then one
//! [`Line::End`] with the number of entries, so that a cut-off manifest is not
//! mistaken for a short one. Contents are hashed per block of [`BLOCK`] bytes
//! through `read`, holes included: what matters is what a program would see.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::content::hash;
use crate::record::Stat;
use crate::text;

/// Bytes per content hash; the last block of a file may be shorter.
pub const BLOCK: u64 = 4096;

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// Anything else.
    Other,
}

/// `count` blocks in a row with the same hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run(pub u64, pub u64);

/// One name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path below the directory, in the form of [`crate::text`].
    pub path: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Its metadata.
    #[serde(flatten)]
    pub stat: Stat,
    /// Target of a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Hash and repeat count of the blocks of a file, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<Run>,
    /// Bytes that could be read; differs from the size only if the file is broken.
    #[serde(default)]
    pub read: u64,
    /// User attributes and the hashes of their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<(String, u64)>,
    /// Why something of the above could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Entry {
    /// How many blocks the file has.
    #[must_use]
    pub fn blocks_total(&self) -> u64 {
        self.blocks.iter().map(|run| run.1).sum()
    }
}

/// One line of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the variants' docs name the fields")]
pub enum Line {
    /// A name.
    Entry(Entry),
    /// The last line.
    End { entries: u64 },
}

/// Writes the manifest of `dir` to `out`. Errors of single entries go into the
/// entry; an unreadable directory does too, on its own entry.
///
/// # Errors
/// `dir` itself cannot be read, or `out` cannot be written.
pub fn write(dir: &Path, out: &mut impl Write) -> io::Result<()> {
    let mut pending = Vec::new();
    let mut entries = 0;
    push_children(dir, &OsString::new(), &mut pending)?;
    while let Some(relative) = pending.pop() {
        let mut entry = entry(dir, &relative);
        if entry.kind == Type::Dir {
            let children = push_children(&dir.join(&relative), &relative, &mut pending);
            entry.error = entry
                .error
                .or(children.err().map(|error| error.to_string()));
        }
        serde_json::to_writer(&mut *out, &Line::Entry(entry))?;
        out.write_all(b"\n")?;
        entries += 1;
    }
    serde_json::to_writer(&mut *out, &Line::End { entries })?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Adds the names in `dir` to `pending`, last name first, as paths below
/// `relative`.
fn push_children(dir: &Path, relative: &OsString, pending: &mut Vec<OsString>) -> io::Result<()> {
    let mut names = Vec::new();
    for child in fs::read_dir(dir)? {
        let name = child?.file_name();
        let mut path = relative.clone();
        if !path.is_empty() {
            path.push("/");
        }
        path.push(name);
        names.push(path);
    }
    names.sort_by(|a, b| b.cmp(a));
    pending.append(&mut names);
    Ok(())
}

/// Describes one name; never fails, see [`Entry::error`].
fn entry(dir: &Path, relative: &OsString) -> Entry {
    let path = dir.join(relative);
    let mut entry = Entry {
        path: text::encode(relative),
        kind: Type::Other,
        stat: Stat {
            mode: 0,
            uid: 0,
            gid: 0,
            nlink: 0,
            ino: 0,
            size: 0,
            mtime_ns: 0,
            ctime_ns: 0,
        },
        target: None,
        blocks: Vec::new(),
        read: 0,
        xattrs: Vec::new(),
        error: None,
    };
    if let Err(error) = describe(&path, &mut entry) {
        entry.error = Some(error.to_string());
    }
    entry
}

/// Fills in all but the path.
fn describe(path: &Path, entry: &mut Entry) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    entry.stat = Stat::from(&meta);
    let kind = meta.file_type();
    if kind.is_symlink() {
        entry.kind = Type::Symlink;
        entry.target = Some(text::encode(fs::read_link(path)?.as_os_str()));
    } else if kind.is_dir() {
        entry.kind = Type::Dir;
        entry.xattrs = xattrs(path);
    } else if kind.is_file() {
        entry.kind = Type::File;
        entry.xattrs = xattrs(path);
        (entry.blocks, entry.read) = blocks(File::open(path)?)?;
    }
    Ok(())
}

/// Hashes the blocks of `file`; also returns its length as read.
fn blocks(mut file: File) -> io::Result<(Vec<Run>, u64)> {
    let mut runs: Vec<Run> = Vec::new();
    let mut read = 0;
    let mut buffer = vec![0; 64 * BLOCK as usize];
    let zeros = [0; BLOCK as usize];
    let zeros_hash = hash(&zeros);
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read(&mut buffer[filled..])? {
                0 => break,
                got => filled += got,
            }
        }
        for block in buffer[..filled].chunks(BLOCK as usize) {
            // Comparing is much cheaper than hashing, and holes are large.
            let hash = if block == zeros {
                zeros_hash
            } else {
                hash(block)
            };
            match runs.last_mut() {
                Some(Run(last, count)) if *last == hash => *count += 1,
                _ => runs.push(Run(hash, 1)),
            }
        }
        read += filled as u64;
        if filled < buffer.len() {
            return Ok((runs, read));
        }
    }
}

/// The attributes in the `user.` namespace; none where the file system has none.
fn xattrs(path: &Path) -> Vec<(String, u64)> {
    let mut names = vec![0; 1 << 16];
    let Ok(len) = rustix::fs::listxattr(path, &mut names[..]) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for name in names[..len].split(|byte| *byte == 0) {
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        if !name.starts_with("user.") {
            continue;
        }
        let mut value = vec![0; 1 << 16];
        if let Ok(len) = rustix::fs::getxattr(path, name, &mut value[..]) {
            found.push((name.to_owned(), hash(&value[..len])));
        }
    }
    found.sort();
    found
}
