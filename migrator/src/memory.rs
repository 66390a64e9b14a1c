//! The 1st OS's physical memory, as whoever maps it offers it.

use crate::address::PhysAddr;

/// A read that is not wholly within the 1st OS's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OutOfRange {
    /// Start of the read.
    pub at: PhysAddr,
    /// Its length, bytes.
    pub len: u64,
}

/// Page size that [`ForeignMemory::covers`] probes at, bytes.
const PROBE: u64 = 4096;
/// Longest range that the default of [`ForeignMemory::covers`] probes, pages.
const MAX_PROBES: u64 = 1 << 19;

/// Physical memory that can be read.
///
/// An implementation reads each byte of a request exactly once and nothing outside its ranges.
pub trait ForeignMemory {
    /// Fills `buf` from `at`.
    ///
    /// # Errors
    /// If any byte of the range is not readable memory; `buf` is then unspecified.
    fn read(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), OutOfRange>;

    /// Whether all of `len` bytes from `at` could be read. The default tries a byte of each page
    /// and the last byte; an implementation that knows its ranges answers without reading.
    fn covers(&self, at: PhysAddr, len: u64) -> bool {
        let Some(last) = len.checked_sub(1) else {
            return true;
        };
        let pages = last.checked_div(PROBE).unwrap_or(0);
        if pages >= MAX_PROBES {
            return false;
        }
        let mut byte = [0];
        (0..=pages).all(|page| {
            at.checked_add(page.saturating_mul(PROBE))
                .is_some_and(|at| self.read(at, &mut byte).is_ok())
        }) && at
            .checked_add(last)
            .is_some_and(|at| self.read(at, &mut byte).is_ok())
    }

    /// The byte at `at`.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read_u8(&self, at: PhysAddr) -> Result<u8, OutOfRange> {
        let mut bytes = [0; 1];
        self.read(at, &mut bytes)?;
        Ok(u8::from_le_bytes(bytes))
    }

    /// The little-endian 16-bit integer at `at`.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read_u16(&self, at: PhysAddr) -> Result<u16, OutOfRange> {
        let mut bytes = [0; 2];
        self.read(at, &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    /// The little-endian 32-bit integer at `at`.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read_u32(&self, at: PhysAddr) -> Result<u32, OutOfRange> {
        let mut bytes = [0; 4];
        self.read(at, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// The little-endian 64-bit integer at `at`.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read_u64(&self, at: PhysAddr) -> Result<u64, OutOfRange> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

impl<M: ForeignMemory + ?Sized> ForeignMemory for &M {
    fn read(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), OutOfRange> {
        (**self).read(at, buf)
    }

    fn covers(&self, at: PhysAddr, len: u64) -> bool {
        (**self).covers(at, len)
    }
}
