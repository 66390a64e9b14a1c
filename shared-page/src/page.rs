//! The owner of raw pointers into the region.
#![allow(unsafe_code, reason = "the one place that dereferences shared memory")]

use crate::Error;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use handoff_abi::region;

/// One section of a mapped handoff region.
///
/// `Send` and `Sync`: all access is by atomics or volatile copies, and who may write which word
/// in which phase is the protocol's business (`handoff_abi::control`), between kernels as well as
/// between threads.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    base: NonNull<u8>,
    section: region::Section,
}

// SAFETY: the pointer is to memory that lives as long as the mapping (the creator's duty), and
// every access through it is atomic or volatile.
unsafe impl Send for Section {}
// SAFETY: as for `Send`.
unsafe impl Sync for Section {}

impl Section {
    /// The section `section` of the handoff region mapped at `region`, `len` bytes long.
    ///
    /// # Errors
    /// [`Error::Mapping`] if the section is not inside the mapping.
    ///
    /// # Safety
    /// `region` points to `len` bytes that stay mapped, readable and writable, for as long as the
    /// value or a copy of it is used, and that no Rust reference covers.
    pub unsafe fn new(
        region: *mut u8,
        len: usize,
        section: region::Section,
    ) -> Result<Self, Error> {
        let aligned = (region as usize).is_multiple_of(handoff_abi::PAGE_SIZE);
        if !aligned || section.end() > len {
            return Err(Error::Mapping);
        }
        // SAFETY: the offset is inside the mapping, as was just checked.
        let base = unsafe { region.add(section.offset) };
        NonNull::new(base)
            .map(|base| Self { base, section })
            .ok_or(Error::Mapping)
    }

    /// Which section this is.
    #[must_use]
    pub const fn section(&self) -> region::Section {
        self.section
    }

    /// Pointer to `size` bytes at `offset`, aligned to `size`.
    fn word(&self, offset: usize, size: usize) -> Result<*mut u8, Error> {
        let end = offset.checked_add(size).ok_or(Error::Offset(offset))?;
        if end > self.section.size || !offset.is_multiple_of(size) {
            return Err(Error::Offset(offset));
        }
        // SAFETY: `offset` is inside the section, which is inside the mapping.
        Ok(unsafe { self.base.as_ptr().add(offset) })
    }

    fn atomic_u64(&self, offset: usize) -> Result<&AtomicU64, Error> {
        let word = self.word(offset, 8)?;
        // SAFETY: inside the mapping, aligned, and only ever accessed atomically or volatile.
        Ok(unsafe { AtomicU64::from_ptr(word.cast()) })
    }

    fn atomic_u32(&self, offset: usize) -> Result<&AtomicU32, Error> {
        let word = self.word(offset, 4)?;
        // SAFETY: as in `atomic_u64`.
        Ok(unsafe { AtomicU32::from_ptr(word.cast()) })
    }

    /// Loads a live word. Acquires: what its writer stored before is visible after.
    ///
    /// # Errors
    /// [`Error::Offset`].
    pub fn load_u64(&self, offset: usize) -> Result<u64, Error> {
        Ok(self.atomic_u64(offset)?.load(Ordering::Acquire))
    }

    /// Stores a live word. Releases: what was stored before is visible to who loads it.
    ///
    /// # Errors
    /// [`Error::Offset`].
    pub fn store_u64(&self, offset: usize, value: u64) -> Result<(), Error> {
        self.atomic_u64(offset)?.store(value, Ordering::Release);
        Ok(())
    }

    /// Replaces a live word if it is `current`; else says what it is.
    ///
    /// # Errors
    /// [`Error::Offset`].
    pub fn compare_exchange_u64(
        &self,
        offset: usize,
        current: u64,
        new: u64,
    ) -> Result<Result<u64, u64>, Error> {
        let word = self.atomic_u64(offset)?;
        Ok(word.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire))
    }

    /// Loads a live word of 32 bits. Acquires.
    ///
    /// # Errors
    /// [`Error::Offset`].
    pub fn load_u32(&self, offset: usize) -> Result<u32, Error> {
        Ok(self.atomic_u32(offset)?.load(Ordering::Acquire))
    }

    /// Stores a live word of 32 bits. Releases.
    ///
    /// # Errors
    /// [`Error::Offset`].
    pub fn store_u32(&self, offset: usize, value: u32) -> Result<(), Error> {
        self.atomic_u32(offset)?.store(value, Ordering::Release);
        Ok(())
    }

    /// Copies out, byte by byte in any order, each read once.
    pub(crate) fn copy_out(&self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        self.span(offset, to.len())?;
        for (at, byte) in (offset..).zip(to) {
            let from = self.word(at, 1)?;
            // SAFETY: inside the mapping; volatile, so that the byte is read exactly once
            // whatever the other kernel does to it.
            *byte = unsafe { from.read_volatile() };
        }
        Ok(())
    }

    /// Copies in.
    pub(crate) fn copy_in(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        self.span(offset, from.len())?;
        for (at, byte) in (offset..).zip(from) {
            let to = self.word(at, 1)?;
            // SAFETY: inside the mapping.
            unsafe { to.write_volatile(*byte) };
        }
        Ok(())
    }

    fn span(&self, offset: usize, len: usize) -> Result<(), Error> {
        match offset.checked_add(len) {
            Some(end) if end <= self.section.size => Ok(()),
            _ => Err(Error::Offset(offset)),
        }
    }
}
