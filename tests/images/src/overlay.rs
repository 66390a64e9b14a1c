//! Faults in real memory, without a copy of it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use migrator::address::PhysAddr;
use migrator::memory::{ForeignMemory, OutOfRange};

/// Memory in which some bytes are others.
#[derive(Debug)]
pub struct Overlay<'a, M> {
    below: &'a M,
    bytes: BTreeMap<u64, u8>,
}

impl<'a, M: ForeignMemory> Overlay<'a, M> {
    /// `below` as it is.
    #[must_use]
    pub const fn new(below: &'a M) -> Self {
        Self {
            below,
            bytes: BTreeMap::new(),
        }
    }

    /// Makes the byte at `at` another.
    pub fn set(&mut self, at: u64, byte: u8) {
        self.bytes.insert(at, byte);
    }

    /// The bytes that are others.
    #[must_use]
    pub const fn changes(&self) -> &BTreeMap<u64, u8> {
        &self.bytes
    }
}

impl<M: ForeignMemory> ForeignMemory for Overlay<'_, M> {
    fn read(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), OutOfRange> {
        self.below.read(at, buf)?;
        let start = at.raw();
        // The read succeeded, so its end does not wrap.
        for (place, byte) in self.bytes.range(start..start + buf.len() as u64) {
            if let Some(slot) = buf.get_mut((place - start) as usize) {
                *slot = *byte;
            }
        }
        Ok(())
    }

    fn covers(&self, at: PhysAddr, len: u64) -> bool {
        self.below.covers(at, len)
    }
}

/// Memory that remembers what was read of it: where a fault can have an effect.
#[derive(Debug)]
pub struct Recorder<'a, M> {
    below: &'a M,
    reads: RefCell<BTreeMap<u64, u32>>,
}

impl<'a, M: ForeignMemory> Recorder<'a, M> {
    /// `below`, nothing of it read yet.
    #[must_use]
    pub const fn new(below: &'a M) -> Self {
        Self {
            below,
            reads: RefCell::new(BTreeMap::new()),
        }
    }

    /// Addresses and lengths of the reads, sorted.
    #[must_use]
    pub fn into_reads(self) -> Vec<(u64, u32)> {
        self.reads.into_inner().into_iter().collect()
    }
}

impl<M: ForeignMemory> ForeignMemory for Recorder<'_, M> {
    fn read(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), OutOfRange> {
        self.below.read(at, buf)?;
        let len = u32::try_from(buf.len()).unwrap_or(u32::MAX);
        let mut reads = self.reads.borrow_mut();
        let known = reads.entry(at.raw()).or_insert(len);
        *known = len.max(*known);
        Ok(())
    }

    fn covers(&self, at: PhysAddr, len: u64) -> bool {
        self.below.covers(at, len)
    }
}
