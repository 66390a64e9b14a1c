//! Sinks that keep what they are given.

use std::collections::BTreeMap;

use migrator::files::{FileInfo, FileSummary, LostFile, Reason, Segment, Sink, SinkError};
use migrator::objects::inode::Times;

use crate::manifest::BLOCK;
use crate::memory::MemoryImage;

/// A file as it was migrated.
#[derive(Clone, Debug, Default)]
pub struct Migrated {
    /// Inode number.
    pub ino: u64,
    /// Type and permissions.
    pub mode: u16,
    /// Number of names.
    pub nlink: u32,
    /// Length, bytes.
    pub size: u64,
    /// Times.
    pub times: Times,
    /// Whether the journal may not know it.
    pub uncommitted: bool,
    /// Pages in the cache.
    pub nrpages: u64,
    /// A path.
    pub path: Vec<u8>,
    /// Blocks of [`BLOCK`] bytes, with what was written of them; the rest is zero.
    pub blocks: BTreeMap<u64, Block>,
    /// How it ended, if it was not lost.
    pub summary: Option<FileSummary>,
}

/// A block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Content.
    pub bytes: Box<[u8; BLOCK as usize]>,
    /// Bytes of it that were written.
    pub written: usize,
}

/// A file that was lost.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Inode number, if it is known.
    pub ino: Option<u64>,
    /// A path, may be empty.
    pub path: Vec<u8>,
    /// Why.
    pub reason: Reason,
}

/// Keeps everything.
pub struct Collector<'a> {
    memory: &'a MemoryImage,
    current: Option<Migrated>,
    /// Complete files, by inode number.
    pub files: BTreeMap<u64, Migrated>,
    /// Lost files.
    pub lost: Vec<Lost>,
    /// What is wrong with the way the sink was called.
    pub misuse: Vec<String>,
}

impl<'a> Collector<'a> {
    /// Reads what it is given from `memory`.
    #[must_use]
    pub const fn new(memory: &'a MemoryImage) -> Self {
        Self {
            memory,
            current: None,
            files: BTreeMap::new(),
            lost: Vec::new(),
            misuse: Vec::new(),
        }
    }

    fn store(&mut self, offset: u64, bytes: &[u8]) {
        let Some(file) = &mut self.current else {
            return self.misuse.push("a write without a file".to_owned());
        };
        if offset + bytes.len() as u64 > file.size {
            self.misuse
                .push(format!("inode {}: a write beyond its end", file.ino));
        }
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let within = (at % BLOCK) as usize;
            let (now, later) = rest.split_at(rest.len().min(BLOCK as usize - within));
            let block = file.blocks.entry(at / BLOCK).or_insert_with(|| Block {
                bytes: Box::new([0; BLOCK as usize]),
                written: 0,
            });
            block.bytes[within..within + now.len()].copy_from_slice(now);
            block.written += now.len();
            if block.written > BLOCK as usize {
                self.misuse
                    .push(format!("inode {}: written twice at {at}", file.ino));
            }
            at += now.len() as u64;
            rest = later;
        }
    }
}

impl Sink for Collector<'_> {
    fn begin_file(&mut self, file: &FileInfo<'_>) -> Result<(), SinkError> {
        if let Some(open) = &self.current {
            self.misuse.push(format!("inode {} did not end", open.ino));
        }
        self.current = Some(Migrated {
            ino: file.ino,
            mode: file.mode,
            nlink: file.nlink,
            size: file.size,
            times: file.times,
            uncommitted: file.uncommitted,
            nrpages: file.nrpages,
            path: file.path.as_bytes().to_vec(),
            blocks: BTreeMap::new(),
            summary: None,
        });
        Ok(())
    }

    fn write(&mut self, offset: u64, segments: &[Segment]) -> Result<(), SinkError> {
        let memory = self.memory;
        let mut at = offset;
        for segment in segments {
            match memory.slice(segment.pa, u64::from(segment.len)) {
                Some(bytes) => self.store(at, bytes),
                None => self
                    .misuse
                    .push(format!("{segment:?} is not all memory of the 1st OS")),
            }
            at += u64::from(segment.len);
        }
        Ok(())
    }

    fn end_file(&mut self, summary: &FileSummary) -> Result<(), SinkError> {
        let Some(mut file) = self.current.take() else {
            self.misuse.push("an end without a file".to_owned());
            return Ok(());
        };
        file.summary = Some(*summary);
        let ino = file.ino;
        if self.files.insert(ino, file).is_some() {
            self.misuse.push(format!("inode {ino} came twice"));
        }
        Ok(())
    }

    fn lost(&mut self, file: &LostFile<'_>, reason: Reason) {
        self.current = None;
        self.lost.push(Lost {
            ino: file.ino,
            path: file.path.as_bytes().to_vec(),
            reason,
        });
    }
}

/// Only looks whether what it is given is memory.
#[derive(Debug)]
pub struct Checker<'a> {
    memory: &'a MemoryImage,
    /// Bytes.
    pub bytes: u64,
    /// Files that ended well.
    pub files: u64,
    /// Files that were lost.
    pub lost: u64,
    /// Segments that are not memory of the 1st OS.
    pub outside: u64,
}

impl<'a> Checker<'a> {
    /// For segments of `memory`.
    #[must_use]
    pub const fn new(memory: &'a MemoryImage) -> Self {
        Self {
            memory,
            bytes: 0,
            files: 0,
            lost: 0,
            outside: 0,
        }
    }
}

impl Sink for Checker<'_> {
    fn begin_file(&mut self, _: &FileInfo<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn write(&mut self, _: u64, segments: &[Segment]) -> Result<(), SinkError> {
        for segment in segments {
            let len = u64::from(segment.len);
            self.bytes += len;
            self.outside += u64::from(self.memory.slice(segment.pa, len).is_none());
        }
        Ok(())
    }

    fn end_file(&mut self, _: &FileSummary) -> Result<(), SinkError> {
        self.files += 1;
        Ok(())
    }

    fn lost(&mut self, _: &LostFile<'_>, _: Reason) {
        self.lost += 1;
    }
}
