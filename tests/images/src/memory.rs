//! The memory of a stopped machine.
#![allow(unsafe_code, reason = "memmap2 cannot know who else changes the file")]

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use memmap2::{Advice, Mmap, MmapMut};
use migrator::address::PhysAddr;
use migrator::memory::{ForeignMemory, OutOfRange};

use crate::ranges::Range;

/// Physical memory, by address.
#[derive(Debug)]
pub struct MemoryImage {
    bytes: Bytes,
    /// Sorted by their start, within `bytes`.
    ranges: Vec<Range>,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Resident(MmapMut),
}

impl MemoryImage {
    /// Maps the file at `path`, of which `ranges` are memory.
    ///
    /// # Errors
    /// It cannot be mapped, or is shorter than the ranges say.
    pub fn map(path: &Path, ranges: Vec<Range>) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        // SAFETY: the memory is valid while the file is not shortened, and a reference into it
        // sound while nobody writes to it. An image is written under another name, moved into
        // place when it is complete and never changed after: it is replaced as a whole, which
        // leaves a mapped one as it is.
        let map = unsafe { Mmap::map(&file) };
        let map = map.with_context(|| format!("cannot map {}", path.display()))?;
        Self::new(Bytes::Mapped(map), ranges)
    }

    /// Reads the file at `path` into large pages, which is how a kernel maps physical memory: for
    /// measurements.
    ///
    /// # Errors
    /// It cannot be read, or is shorter than the ranges say.
    pub fn load(path: &Path, ranges: Vec<Range>) -> Result<Self> {
        let mut file =
            File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let len = usize::try_from(file.metadata()?.len())?;
        let mut map = MmapMut::map_anon(len).context("out of memory")?;
        // Only the speed depends on it.
        let _ = map.advise(Advice::HugePage);
        file.read_exact(&mut map)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::new(Bytes::Resident(map), ranges)
    }

    fn new(bytes: Bytes, mut ranges: Vec<Range>) -> Result<Self> {
        let image = |range: &Range| range.offset.checked_add(range.len);
        let len = bytes.as_slice().len() as u64;
        ensure!(
            ranges
                .iter()
                .all(|range| image(range).is_some_and(|end| end <= len)),
            "the file is shorter than its ranges"
        );
        ranges.sort_by_key(|range| range.start);
        Ok(Self { bytes, ranges })
    }

    /// The `len` bytes at `at`, if all of them are memory of one range.
    #[must_use]
    pub fn slice(&self, at: PhysAddr, len: u64) -> Option<&[u8]> {
        let at = at.raw();
        let next = self.ranges.partition_point(|range| range.start <= at);
        let range = self.ranges.get(next.checked_sub(1)?)?;
        let within = at - range.start;
        if len > range.len.checked_sub(within)? {
            return None;
        }
        let start = usize::try_from(range.offset + within).ok()?;
        self.bytes
            .as_slice()
            .get(start..start.checked_add(usize::try_from(len).ok()?)?)
    }

    /// Where memory is.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Resident(map) => map,
        }
    }
}

impl ForeignMemory for MemoryImage {
    fn read(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), OutOfRange> {
        let len = buf.len() as u64;
        let bytes = self.slice(at, len).ok_or(OutOfRange { at, len })?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn covers(&self, at: PhysAddr, len: u64) -> bool {
        len == 0 || self.slice(at, len).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_within_ranges_only() {
        let path = std::env::temp_dir().join(format!("baton-memory-{}", std::process::id()));
        let bytes: Vec<u8> = (0..200).collect();
        std::fs::write(&path, bytes).unwrap();
        let range = |start, len, offset| Range { start, len, offset };
        let ranges = vec![range(1 << 32, 100, 100), range(10, 50, 10)];
        for open in [MemoryImage::map, MemoryImage::load] {
            assert!(open(&path, vec![range(0, 201, 0)]).is_err());
            let memory = open(&path, ranges.clone()).unwrap();
            let read = |at| memory.read_u8(PhysAddr::new(at));
            assert!(read(9).is_err() && read(60).is_err() && read((1 << 32) + 100).is_err());
            assert_eq!((read(10), read(59)), (Ok(10), Ok(59)));
            assert_eq!(read((1 << 32) + 99), Ok(199));
            let covers = |at, len| memory.covers(PhysAddr::new(at), len);
            assert!(covers(10, 50) && !covers(10, 51) && !covers(9, 2));
            assert!(covers(1 << 32, 100) && !covers(u64::MAX, u64::MAX));
        }
        std::fs::remove_file(&path).unwrap();
    }
}
