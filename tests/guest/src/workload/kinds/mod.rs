//! The kinds of writers: what each one does next.

mod data;
mod names;
mod small;

use std::collections::VecDeque;

use crate::content::Rng;
use crate::record::{Op, Via};

/// All kinds, in the order in which writers are numbered by default.
pub const KINDS: [&str; 12] = [
    "append",
    "append-sync",
    "overwrite",
    "overwrite-sync",
    "names",
    "truncate",
    "mmap",
    "mmap-sync",
    "sparse",
    "small",
    "direct",
    "stream",
];

/// What a generator is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The writer's directory.
    pub dir: String,
    /// Bytes to build up (stream).
    pub cache: u64,
    /// The writer's own user.
    pub uid: u32,
    /// The writer's own group.
    pub gid: u32,
}

/// Decides what a writer does. Every operation it returns must be possible if
/// all before it have been done.
pub trait Generator {
    /// The next operation.
    fn next_op(&mut self) -> Op;

    /// Whether what the writer was asked to build up is there.
    fn filled(&self) -> bool {
        true
    }
}

/// What most generators are made of: choices, and operations already decided.
#[derive(Debug)]
struct Base {
    dir: String,
    rng: Rng,
    queue: VecDeque<Op>,
}

impl Base {
    /// Begins with making the writer's directory.
    fn new(settings: &Settings, rng: Rng) -> Self {
        let dir = settings.dir.clone();
        let queue = VecDeque::from([Op::Mkdir {
            path: dir.clone(),
            mode: 0o755,
        }]);
        Self { dir, rng, queue }
    }

    /// Path of `name` in the writer's directory.
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// Queues the making of an empty file.
    fn create(&mut self, path: &str) {
        let path = path.to_owned();
        self.queue.push_back(Op::Create {
            path,
            mode: 0o644,
            len: 0,
            sync: false,
        });
    }

    /// A write somewhere in the first `size` bytes, at most `max` long.
    fn write_within(&mut self, path: String, size: u64, max: u64, via: Via, sync: bool) -> Op {
        let len = 1 + self.rng.below(max.min(size));
        let off = self.rng.below(size - len + 1);
        Op::Write {
            path,
            off,
            len,
            via,
            sync,
        }
    }
}

/// The generator of the kind `kind`, which must be one of [`KINDS`]; an unknown
/// one is taken for the last.
#[must_use]
pub fn generator(kind: &str, settings: Settings, rng: Rng) -> Box<dyn Generator> {
    match kind {
        "append" => Box::new(data::Append::new(&settings, rng, false)),
        "append-sync" => Box::new(data::Append::new(&settings, rng, true)),
        "overwrite" => Box::new(data::Overwrite::buffered(&settings, rng, false)),
        "overwrite-sync" => Box::new(data::Overwrite::buffered(&settings, rng, true)),
        "names" => Box::new(names::Names::new(settings, rng)),
        "truncate" => Box::new(data::Resize::truncate(&settings, rng)),
        "mmap" => Box::new(data::Overwrite::mapped(&settings, rng, false)),
        "mmap-sync" => Box::new(data::Overwrite::mapped(&settings, rng, true)),
        "sparse" => Box::new(data::Resize::sparse(&settings, rng)),
        "small" => Box::new(small::Small::new(&settings, rng)),
        "direct" => Box::new(data::Overwrite::direct(&settings, rng)),
        _ => Box::new(data::Stream::new(&settings, rng)),
    }
}
