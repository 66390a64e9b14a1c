//! What the guest said its files hold, as JSON lines.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

/// Bytes per hash; the last block of a file may be shorter.
pub const BLOCK: u64 = 4096;

/// What is on the disk of a file, by how it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All of it; its journal transaction, too.
    Clean,
    /// What [`FileEntry::dirty`] does not list.
    Partly,
    /// Nothing.
    Dirty,
    /// It has no name and is open.
    Deleted,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Where its file system is mounted.
    pub mount: String,
    /// Its paths below that, with a leading slash, in the form of [`baton_guest::text`].
    pub paths: Vec<String>,
    /// What is on the disk.
    pub state: State,
    /// Inode number.
    pub ino: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Number of names.
    pub nlink: u64,
    /// Length, bytes.
    pub size: u64,
    /// Time of the last change of the content, nanoseconds.
    pub mtime_ns: i64,
    /// Runs of blocks that are not holes: the first, and the hash of each. What is in no run is
    /// zero.
    pub blocks: Vec<(u64, Vec<u64>)>,
    /// First and number of blocks that are in memory only.
    pub dirty: Vec<(u64, u64)>,
}

impl FileEntry {
    /// Number and hash of each block in [`Self::blocks`].
    pub fn hashes(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.blocks
            .iter()
            .flat_map(|(first, run)| (*first..).zip(run.iter().copied()))
    }

    /// Whether a block is in memory only.
    #[must_use]
    pub fn is_dirty(&self, block: u64) -> bool {
        self.dirty
            .iter()
            .any(|(first, count)| block >= *first && block - first < *count)
    }

    /// Length of a block, bytes; 0 beyond the end of the file.
    #[must_use]
    pub const fn block_len(&self, block: u64) -> usize {
        let left = self.size.saturating_sub(block.saturating_mul(BLOCK));
        if left < BLOCK {
            left as usize
        } else {
            BLOCK as usize
        }
    }
}

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the variants' docs name the fields")]
pub enum Line {
    /// A file.
    File(FileEntry),
    /// The last line.
    End { files: usize },
}

/// Writes `files` to `out`.
///
/// # Errors
/// `out` cannot be written.
pub fn write(files: &[FileEntry], out: &mut impl Write) -> io::Result<()> {
    let lines = files.iter().cloned().map(Line::File);
    let end = Line::End { files: files.len() };
    for line in lines.chain([end]) {
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Reads a whole manifest.
///
/// # Errors
/// It cannot be read, or was cut off.
pub fn load(path: &Path) -> Result<Vec<FileEntry>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut files, mut end) = (Vec::new(), None);
    for line in text.lines() {
        match serde_json::from_str(line)? {
            Line::File(file) => files.push(file),
            Line::End { files } => end = Some(files),
        }
    }
    ensure!(end == Some(files.len()), "{} is cut off", path.display());
    Ok(files)
}
