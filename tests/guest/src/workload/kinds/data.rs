//! Writers of file content.

use super::{Base, Generator, Settings};
use crate::content::Rng;
use crate::record::{Op, Via};

/// Files an appender or resizer works on at a time.
const FILES: usize = 4;

/// Size at which an appender leaves a file alone and begins another.
const APPEND_MAX: u64 = 8 << 20;

/// Size of the files that are overwritten in place.
const FIXED_SIZE: u64 = 8 << 20;

/// Largest write of the stream writer.
const CHUNK: u64 = 1 << 20;

/// Appends records of odd lengths to a few files.
#[derive(Debug)]
pub struct Append {
    base: Base,
    files: Vec<(String, u64)>,
    made: u64,
    sync: bool,
}

impl Append {
    pub fn new(settings: &Settings, rng: Rng, sync: bool) -> Self {
        Self {
            base: Base::new(settings, rng),
            files: Vec::new(),
            made: 0,
            sync,
        }
    }
}

impl Generator for Append {
    fn next_op(&mut self) -> Op {
        if let Some(op) = self.base.queue.pop_front() {
            return op;
        }
        self.files.retain(|(_, size)| *size < APPEND_MAX);
        if self.files.len() < FILES {
            let path = self.base.path(&format!("log.{}", self.made));
            self.made += 1;
            self.files.push((path.clone(), 0));
            return Op::Create {
                path,
                mode: 0o640,
                len: 0,
                sync: self.sync,
            };
        }
        let index = self.base.rng.index(self.files.len());
        let len = 1 + self.base.rng.below(20_000);
        let (path, size) = &mut self.files[index];
        let off = *size;
        *size += len;
        Op::Write {
            path: path.clone(),
            off,
            len,
            via: Via::Append,
            sync: self.sync,
        }
    }
}

/// Overwrites ranges of files of fixed size.
#[derive(Debug)]
pub struct Overwrite {
    base: Base,
    files: Vec<String>,
    via: Via,
    sync: bool,
}

impl Overwrite {
    /// One preallocated file, written through the cache.
    pub fn buffered(settings: &Settings, rng: Rng, sync: bool) -> Self {
        Self::new(settings, rng, Via::Buffered, sync)
    }

    /// A preallocated and a sparse file, written by stores.
    pub fn mapped(settings: &Settings, rng: Rng, sync: bool) -> Self {
        let mut this = Self::new(settings, rng, Via::Mmap, sync);
        let path = this.base.path("holes");
        this.base.create(&path);
        this.base.queue.push_back(Op::Truncate {
            path: path.clone(),
            size: FIXED_SIZE,
        });
        this.files.push(path);
        this
    }

    /// One preallocated file, written past the cache.
    pub fn direct(settings: &Settings, rng: Rng) -> Self {
        Self::new(settings, rng, Via::Direct, false)
    }

    fn new(settings: &Settings, rng: Rng, via: Via, sync: bool) -> Self {
        let mut base = Base::new(settings, rng);
        let path = base.path("allocated");
        base.create(&path);
        base.queue.push_back(Op::Allocate {
            path: path.clone(),
            size: FIXED_SIZE,
        });
        Self {
            base,
            files: vec![path],
            via,
            sync,
        }
    }
}

impl Generator for Overwrite {
    fn next_op(&mut self) -> Op {
        if let Some(op) = self.base.queue.pop_front() {
            return op;
        }
        let index = self.base.rng.index(self.files.len());
        let path = self.files[index].clone();
        if self.via == Via::Direct {
            let len = 4096 * (1 + self.base.rng.below(16));
            let off = 4096 * self.base.rng.below((FIXED_SIZE - len) / 4096 + 1);
            return Op::Write {
                path,
                off,
                len,
                via: self.via,
                sync: false,
            };
        }
        self.base
            .write_within(path, FIXED_SIZE, 32 << 10, self.via, self.sync)
    }
}

/// Changes the sizes of files between writes.
#[derive(Debug)]
pub struct Resize {
    base: Base,
    files: Vec<(String, u64)>,
    size_max: u64,
    punch: bool,
}

impl Resize {
    /// Small files whose ends move often.
    pub fn truncate(settings: &Settings, rng: Rng) -> Self {
        Self::new(settings, rng, FILES, 1 << 20, false)
    }

    /// One large file of islands and holes.
    pub fn sparse(settings: &Settings, rng: Rng) -> Self {
        Self::new(settings, rng, 1, 64 << 20, true)
    }

    fn new(settings: &Settings, rng: Rng, count: usize, size_max: u64, punch: bool) -> Self {
        let mut base = Base::new(settings, rng);
        let files: Vec<_> = (0..count)
            .map(|i| (base.path(&format!("size.{i}")), 0))
            .collect();
        for (path, _) in &files {
            base.create(path);
        }
        Self {
            base,
            files,
            size_max,
            punch,
        }
    }
}

impl Generator for Resize {
    fn next_op(&mut self) -> Op {
        if let Some(op) = self.base.queue.pop_front() {
            return op;
        }
        let rng = &mut self.base.rng;
        let index = rng.index(self.files.len());
        let (path, size) = &mut self.files[index];
        let path = path.clone();
        match rng.below(10) {
            0..=5 => {
                // Also beyond the end, which leaves a hole.
                let off = rng.below(self.size_max - CHUNK / 8);
                let len = 1 + rng.below(CHUNK / 8);
                *size = (*size).max(off + len);
                Op::Write {
                    path,
                    off,
                    len,
                    via: Via::Buffered,
                    sync: rng.below(8) == 0,
                }
            }
            6..=7 if self.punch && *size > 0 => {
                let off = rng.below(*size);
                Op::PunchHole {
                    path,
                    off,
                    len: 1 + rng.below(CHUNK),
                }
            }
            _ => {
                *size = rng.below(self.size_max);
                Op::Truncate { path, size: *size }
            }
        }
    }
}

/// Builds up dirty cache in one file, then overwrites pieces of it.
#[derive(Debug)]
pub struct Stream {
    base: Base,
    path: String,
    written: u64,
    goal: u64,
}

impl Stream {
    pub fn new(settings: &Settings, rng: Rng) -> Self {
        let mut base = Base::new(settings, rng);
        let path = base.path("stream");
        base.create(&path);
        Self {
            base,
            path,
            written: 0,
            goal: settings.cache.max(1),
        }
    }
}

impl Generator for Stream {
    fn next_op(&mut self) -> Op {
        if let Some(op) = self.base.queue.pop_front() {
            return op;
        }
        let path = self.path.clone();
        if self.filled() {
            return self
                .base
                .write_within(path, self.goal, CHUNK / 16, Via::Buffered, false);
        }
        let (off, len) = (self.written, CHUNK.min(self.goal - self.written));
        self.written += len;
        Op::Write {
            path,
            off,
            len,
            via: Via::Buffered,
            sync: false,
        }
    }

    fn filled(&self) -> bool {
        self.written >= self.goal
    }
}
