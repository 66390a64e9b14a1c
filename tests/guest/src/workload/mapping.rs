//! Shared mappings that stay in place between operations.
//!
//! Stores to them dirty page-table entries, not yet the kernel's page tags: the
//! case that a walk of the page cache alone would miss.
#![allow(unsafe_code, reason = "memmap2 cannot know who else changes the file")]

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{compiler_fence, Ordering};

use memmap2::MmapMut;

/// The mappings of one writer, by the path they were made under.
#[derive(Debug, Default)]
pub struct Mappings(HashMap<PathBuf, MmapMut>);

impl Mappings {
    /// Stores `data` at `offset` of the file `path`, mapping it whole at first
    /// use. `sync`: msync the range.
    ///
    /// # Errors
    /// The file cannot be mapped, or the range does not lie in the mapping.
    pub fn store(&mut self, path: &Path, offset: u64, data: &[u8], sync: bool) -> io::Result<()> {
        if !self.0.contains_key(path) {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            // SAFETY: The memory is valid while the file is not shortened and
            // not changed by others under a reference. Only the writer that
            // owns this value changes files below its directory, and it calls
            // `forget` before it truncates, renames or removes one. The slice
            // made below lives for one copy within this function, during which
            // that single-threaded writer does nothing else to the file.
            let map = unsafe { MmapMut::map_mut(&file) }?;
            self.0.insert(path.to_owned(), map);
        }
        let range = usize::try_from(offset)
            .ok()
            .and_then(|at| Some(at..at.checked_add(data.len())?));
        let map = self.0.get_mut(path);
        let (Some(map), Some(range)) = (map, range) else {
            return Err(outside());
        };
        let target = map.get_mut(range.clone()).ok_or_else(outside)?;
        for (to, from) in target.iter_mut().zip(data) {
            *to = *from;
            // Byte after byte, so that a stop between leaves a prefix. A memcpy
            // stores in whatever order it likes.
            compiler_fence(Ordering::SeqCst);
        }
        if sync {
            map.flush_range(range.start, range.len())?;
        }
        Ok(())
    }

    /// Removes the mappings of `path` and of everything below it.
    pub fn forget(&mut self, path: &Path) {
        self.0.retain(|mapped, _| !mapped.starts_with(path));
    }
}

fn outside() -> io::Error {
    io::Error::other("store outside the mapping")
}
