//! Comparing the content of one file with its hashes.

use baton_guest::content::hash;
use baton_guest::manifest::{Entry, BLOCK};

use super::extents::{zero_hash, Content};

/// In what ways an operation on content may be incomplete.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// Bytes from `off` to `off + len` are written in order.
    Prefix { off: u64, len: u64 },
    /// Each block is either old or new, and so is the size, or between.
    Blocks,
}

/// A node's content before an operation that may be incomplete.
#[derive(Clone, Debug)]
pub struct Partial {
    pub old: Content,
    pub way: Way,
}

/// A block that has wrong content.
#[derive(Clone, Copy, Debug)]
pub struct Suspect {
    pub index: u64,
    /// Size of the file it was found in.
    pub size: u64,
    /// Hash of what was found.
    pub hash: u64,
}

/// How a file differs.
#[derive(Debug)]
pub enum Mismatch {
    /// The size, in words.
    Size(String),
    /// These blocks.
    Blocks(Vec<Suspect>),
}

/// Whether `entry` is a file that contains `content`, or, with `partial`, what
/// an incomplete operation on the way to it may leave.
pub fn compare(content: &Content, partial: Option<&Partial>, entry: &Entry) -> Option<Mismatch> {
    let size = entry.stat.size;
    let sizes = partial.map_or((content.size(), content.size()), |partial| {
        let (old, new) = (partial.old.size(), content.size());
        (old.min(new), old.max(new))
    });
    if size < sizes.0 || size > sizes.1 {
        let (least, most) = sizes;
        let words = if least == most {
            format!("{most}")
        } else {
            format!("{least} to {most}")
        };
        return Some(Mismatch::Size(format!("{words} bytes")));
    }
    let zero = zero_hash();
    let mut judge = Judge::new(content, partial, size, zero);
    let mut suspects = Vec::new();
    let hashes = entry
        .blocks
        .iter()
        .flat_map(|run| std::iter::repeat_n(run.0, run.1 as usize));
    for (index, hash) in (0..).zip(hashes) {
        if !judge.accepts(index, hash) {
            suspects.push(Suspect { index, size, hash });
        }
    }
    (!suspects.is_empty()).then_some(Mismatch::Blocks(suspects))
}

/// Judges the blocks of one file in order.
struct Judge<'a> {
    content: &'a Content,
    partial: Option<&'a Partial>,
    size: u64,
    zero: u64,
    /// The write has reached a position within this range.
    reached: (u64, u64),
}

impl<'a> Judge<'a> {
    fn new(content: &'a Content, partial: Option<&'a Partial>, size: u64, zero: u64) -> Self {
        let reached = match partial {
            Some(Partial {
                old,
                way: Way::Prefix { off, len },
            }) => {
                if size > old.size() {
                    // The size grows with the write, so it tells how far it got.
                    (size, size)
                } else {
                    (*off, (off + len).min(size).max(*off))
                }
            }
            _ => (0, 0),
        };
        Self {
            content,
            partial,
            size,
            zero,
            reached,
        }
    }

    fn accepts(&mut self, index: u64, hash: u64) -> bool {
        let new = |content: &Content| content.block_hash(index, self.size, self.zero);
        match self.partial {
            None => new(self.content) == hash,
            Some(Partial {
                old,
                way: Way::Blocks,
            }) => new(self.content) == hash || new(old) == hash,
            Some(Partial {
                old,
                way: Way::Prefix { .. },
            }) => {
                let (start, end) = (index * BLOCK, ((index + 1) * BLOCK).min(self.size));
                let (least, most) = self.reached;
                if end <= least {
                    return new(self.content) == hash;
                }
                if start >= most {
                    return new(old) == hash;
                }
                self.accepts_torn(old, (start, end), hash)
            }
        }
    }

    /// Looks for a position that the write may have reached in the block
    /// `start..end`, and remembers it. At most a block's length of tries.
    fn accepts_torn(&mut self, old: &Content, (start, end): (u64, u64), wanted: u64) -> bool {
        let (least, most) = (self.reached.0.max(start), self.reached.1.min(end));
        let mut block = self.content.block(start / BLOCK, self.size);
        let before = old.block(start / BLOCK, self.size);
        for cut in (least..=most).rev() {
            let from = (cut - start) as usize;
            if let (Some(tail), Some(old)) = (block.get_mut(from..), before.get(from..)) {
                tail.copy_from_slice(old);
            }
            if hash(&block) == wanted {
                let complete = cut == most;
                self.reached = if complete {
                    (cut, self.reached.1)
                } else {
                    (cut, cut)
                };
                return true;
            }
        }
        false
    }
}
