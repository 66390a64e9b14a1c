//! A kernel made of bytes: sparse memory, and a builder that lays objects out in it by a
//! descriptor whose offsets are drawn by lot.
#![allow(
    dead_code,
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

pub mod builder;
pub mod layout;
pub mod old;
pub mod paper;
pub mod sink;
pub mod tree;

use std::cell::Cell;

use migrator::address::PhysAddr;
use migrator::memory::{ForeignMemory, OutOfRange};

/// Address and bytes of each segment; counts reads.
pub struct FakeMemory {
    pub segments: Vec<(u64, Vec<u8>)>,
    pub reads: Cell<u64>,
}

impl FakeMemory {
    fn find(&self, at: u64, len: usize) -> Option<(usize, usize)> {
        self.segments
            .iter()
            .enumerate()
            .find_map(|(n, (base, bytes))| {
                let offset = usize::try_from(at.checked_sub(*base)?).ok()?;
                (offset.checked_add(len)? <= bytes.len()).then_some((n, offset))
            })
    }

    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        let (n, offset) = self
            .find(at, bytes.len())
            .expect("write outside of the memory");
        self.segments[n].1[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    pub fn bytes(&self, at: u64, len: usize) -> &[u8] {
        let (n, offset) = self.find(at, len).expect("read outside of the memory");
        &self.segments[n].1[offset..offset + len]
    }
}

impl ForeignMemory for FakeMemory {
    fn read(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), OutOfRange> {
        self.reads.set(self.reads.get() + 1);
        let error = OutOfRange {
            at,
            len: buf.len() as u64,
        };
        let (n, offset) = self.find(at.raw(), buf.len()).ok_or(error)?;
        buf.copy_from_slice(&self.segments[n].1[offset..offset + buf.len()]);
        Ok(())
    }

    fn covers(&self, at: PhysAddr, len: u64) -> bool {
        self.find(at.raw(), len as usize).is_some()
    }
}

/// A small deterministic generator.
pub struct Lot(pub u64);

impl Lot {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
