//! The life of names: made, linked, moved, replaced, removed.

use super::{Base, Generator, Settings};
use crate::content::Rng;
use crate::record::Op;

/// Names of files above which more are removed than made.
const FILES_MAX: usize = 150;

/// Directories that exist at a time.
const DIRS_MAX: usize = 12;

/// Remembers which names exist and which of them are the same file.
#[derive(Debug)]
pub struct Names {
    base: Base,
    settings: Settings,
    /// Name, and a number that hard links to one file share.
    files: Vec<(String, u64)>,
    symlinks: Vec<String>,
    /// The first is the writer's own, which is never moved.
    dirs: Vec<String>,
    made: u64,
    orphan: bool,
}

impl Names {
    pub fn new(settings: Settings, rng: Rng) -> Self {
        let base = Base::new(&settings, rng);
        let dirs = vec![base.dir.clone()];
        Self {
            base,
            settings,
            files: vec![],
            symlinks: vec![],
            dirs,
            made: 0,
            orphan: false,
        }
    }

    /// A name that has not been used, in some directory.
    fn fresh(&mut self) -> String {
        self.made += 1;
        let index = self.base.rng.index(self.dirs.len());
        format!("{}/n{}", self.dirs[index], self.made)
    }

    /// An existing file.
    fn pick(&mut self) -> usize {
        self.base.rng.index(self.files.len())
    }

    fn create(&mut self) -> Op {
        let path = self.fresh();
        self.files.push((path.clone(), self.made));
        let rng = &mut self.base.rng;
        let len = rng.below(6000);
        Op::Create {
            path,
            mode: 0o600 | rng.below(0o200) as u32 & 0o177,
            len,
            sync: rng.below(8) == 0,
        }
    }

    fn unlink(&mut self) -> Op {
        let index = self.pick();
        let (path, file) = self.files.swap_remove(index);
        // Only a file without a name may be written as an orphan.
        let last = !self.files.iter().any(|(_, other)| *other == file);
        let keep_open = last && self.base.rng.below(2) == 0;
        self.orphan |= keep_open;
        Op::Unlink { path, keep_open }
    }

    fn rename_fresh(&mut self) -> Op {
        let index = self.pick();
        let to = self.fresh();
        let from = std::mem::replace(&mut self.files[index].0, to.clone());
        Op::Rename { from, to }
    }

    /// Over another file; with two names of one file, `rename` does nothing.
    fn rename_over(&mut self) -> Op {
        let (source, target) = (self.pick(), self.pick());
        let ((from, one), (to, other)) = (self.files[source].clone(), self.files[target].clone());
        if one != other {
            self.files[target].1 = one;
            self.files.swap_remove(source);
        }
        Op::Rename { from, to }
    }

    fn link(&mut self) -> Op {
        let index = self.pick();
        let (from, file) = self.files[index].clone();
        let to = self.fresh();
        self.files.push((to.clone(), file));
        Op::Link { from, to }
    }

    /// Short targets live in the inode, long ones in a block.
    fn symlink(&mut self) -> Op {
        let path = self.fresh();
        self.symlinks.push(path.clone());
        let len = 1 + self.base.rng.index(200);
        Op::Symlink {
            target: format!("{:x>len$}", self.made),
            path,
        }
    }

    fn mkdir(&mut self) -> Op {
        let path = self.fresh();
        self.dirs.push(path.clone());
        Op::Mkdir { path, mode: 0o711 }
    }

    /// Moves a directory with all below it to a directory not below it.
    fn rename_dir(&mut self) -> Option<Op> {
        let index = self.base.rng.index(self.dirs.len());
        let from = self.dirs[index].clone();
        let inside = format!("{from}/");
        let to = self.fresh();
        if index == 0 || to.starts_with(&inside) {
            return None;
        }
        let files = self.files.iter_mut().map(|(path, _)| path);
        for path in files.chain(&mut self.symlinks).chain(&mut self.dirs) {
            if let Some(rest) = path.strip_prefix(&inside) {
                *path = format!("{to}/{rest}");
            } else if *path == from {
                path.clone_from(&to);
            }
        }
        Some(Op::Rename { from, to })
    }

    /// Removes a directory if one is empty.
    fn rmdir(&mut self) -> Option<Op> {
        let files = self.files.iter().map(|(path, _)| path);
        let names: Vec<&String> = files.chain(&self.symlinks).chain(&self.dirs).collect();
        let empty = |dir: &String| {
            let inside = format!("{dir}/");
            !names.iter().any(|name| name.starts_with(&inside))
        };
        let index = self.dirs.iter().skip(1).position(empty)? + 1;
        Some(Op::Rmdir {
            path: self.dirs.remove(index),
        })
    }

    fn metadata(&mut self) -> Op {
        let index = self.pick();
        let path = self.files[index].0.clone();
        let root = self.settings.uid == 0;
        let rng = &mut self.base.rng;
        match rng.below(4) {
            0 => Op::Chmod {
                path,
                mode: 0o600 | rng.below(0o200) as u32,
            },
            1 if root => Op::Chown {
                path,
                uid: rng.below(100_000) as u32,
                gid: rng.below(100_000) as u32,
            },
            1 => Op::Chown {
                path,
                uid: self.settings.uid,
                gid: self.settings.gid,
            },
            2 => Op::Utimens {
                path,
                mtime_ns: rng.below(4_000_000_000_000_000_000) as i64,
            },
            _ => {
                let name = format!("user.baton.{}", rng.below(3));
                Op::SetXattr {
                    path,
                    name,
                    len: 1 + rng.below(200),
                }
            }
        }
    }
}

impl Generator for Names {
    fn next_op(&mut self) -> Op {
        if let Some(op) = self.base.queue.pop_front() {
            return op;
        }
        let choice = self.base.rng.below(20);
        if self.files.len() < 10 {
            return self.create();
        }
        if self.files.len() > FILES_MAX {
            return self.unlink();
        }
        let special = match choice {
            0 if self.dirs.len() < DIRS_MAX => Some(self.mkdir()),
            1 => self.rename_dir(),
            2 => self.rmdir(),
            3 if self.symlinks.len() < 30 => Some(self.symlink()),
            3 => self.symlinks.pop().map(|path| Op::Unlink {
                path,
                keep_open: false,
            }),
            4 if self.orphan => Some(Op::OrphanWrite {
                len: 1 + self.base.rng.below(50_000),
            }),
            _ => None,
        };
        if let Some(op) = special {
            return op;
        }
        match choice {
            5..=6 => self.unlink(),
            7..=8 => self.rename_fresh(),
            9..=10 => self.rename_over(),
            11..=12 => self.link(),
            13..=15 => self.metadata(),
            _ => self.create(),
        }
    }
}
