//! Many small files in nested directories with unusual names.

use std::collections::VecDeque;

use super::{Base, Generator, Settings};
use crate::content::Rng;
use crate::record::Op;

/// Names that careless code trips over; in the form of [`crate::text`].
const NAMES: [&str; 8] = [
    "日本語",
    "Überschuß",
    "emoji-🦀",
    "space and\ttab",
    "line\nbreak",
    "quote\"'%$",
    r"not-utf8-\xff\xfe",
    r"back\\slash",
];

/// Files that exist at a time.
const FILES_MAX: usize = 2000;

/// Directories that exist, and how deep they are nested.
const DIRS_MAX: usize = 60;
const DEPTH_MAX: usize = 6;

/// Makes files, and removes the oldest when there are many.
#[derive(Debug)]
pub struct Small {
    base: Base,
    dirs: Vec<String>,
    files: VecDeque<String>,
    made: u64,
}

impl Small {
    pub fn new(settings: &Settings, rng: Rng) -> Self {
        let base = Base::new(settings, rng);
        let dirs = vec![base.dir.clone()];
        Self {
            base,
            dirs,
            files: VecDeque::new(),
            made: 0,
        }
    }

    /// A name that has not been used; now and then of the maximal length.
    fn name(&mut self) -> String {
        self.made += 1;
        let stem = NAMES[self.base.rng.index(NAMES.len())];
        let name = format!("{stem}.{}", self.made);
        let long = self.base.rng.below(40) == 0;
        // 255 bytes, made of the digits alone because escapes count differently.
        if long {
            format!("{:0>255}", self.made)
        } else {
            name
        }
    }
}

impl Generator for Small {
    fn next_op(&mut self) -> Op {
        if let Some(op) = self.base.queue.pop_front() {
            return op;
        }
        if self.files.len() > FILES_MAX {
            if let Some(path) = self.files.pop_front() {
                return Op::Unlink {
                    path,
                    keep_open: false,
                };
            }
        }
        let index = self.base.rng.index(self.dirs.len());
        let dir = self.dirs[index].clone();
        let path = format!("{dir}/{}", self.name());
        let deep = dir.split('/').count() > DEPTH_MAX || path.len() > 2000;
        if self.dirs.len() < DIRS_MAX && !deep && self.base.rng.below(6) == 0 {
            self.dirs.push(path.clone());
            return Op::Mkdir { path, mode: 0o700 };
        }
        self.files.push_back(path.clone());
        let rng = &mut self.base.rng;
        let len = if rng.below(8) == 0 {
            0
        } else {
            rng.below(9000)
        };
        Op::Create {
            path,
            mode: 0o644,
            len,
            sync: rng.below(20) == 0,
        }
    }
}
