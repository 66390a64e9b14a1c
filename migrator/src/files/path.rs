//! A path, built from its end.

use core::fmt;

/// Longest path that is kept, bytes.
pub const PATH_CAPACITY: usize = 1024;

/// The path of a file below the root of its file system: `/a/b`, bytes as the file system has
/// them. It is for people and for look-ups by name; the inode number and generation say which
/// file it is.
#[derive(Clone, Copy)]
pub struct Path {
    bytes: [u8; PATH_CAPACITY],
    /// The path is what follows from here.
    start: usize,
    truncated: bool,
}

impl Path {
    /// No path.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; PATH_CAPACITY],
            start: PATH_CAPACITY,
            truncated: false,
        }
    }

    /// The path, or what is left of the end of it; empty if it has none.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or(&[])
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        self.start == PATH_CAPACITY
    }

    /// Whether directories at its beginning found no room: then it names no file.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Makes it absent again.
    pub(crate) const fn clear(&mut self) {
        self.start = PATH_CAPACITY;
        self.truncated = false;
    }

    /// Puts `/name` before it, or marks it truncated.
    pub(crate) fn prepend(&mut self, name: &[u8]) {
        let room = name
            .len()
            .checked_add(1)
            .and_then(|len| self.start.checked_sub(len))
            .filter(|_| !self.truncated)
            .and_then(|start| Some((start, self.bytes.get_mut(start..self.start)?)));
        match room.and_then(|(start, room)| Some((start, room.split_first_mut()?))) {
            Some((start, (slash, rest))) if rest.len() == name.len() => {
                *slash = b'/';
                rest.copy_from_slice(name);
                self.start = start;
            }
            _ => self.truncated = true,
        }
    }
}

impl Default for Path {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.truncated { "..." } else { "" };
        write!(f, "{more}{}", self.as_bytes().escape_ascii())
    }
}
