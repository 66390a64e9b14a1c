//! Foreign memory as the module has mapped it.
#![allow(
    unsafe_code,
    reason = "reads memory of the other kernel through the module's mappings"
)]

use crate::glue;
use migrator::address::PhysAddr;
use migrator::memory::{ForeignMemory, OutOfRange};

/// `struct baton_mapping` of baton.h: a range of physical memory and where it is mapped.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Mapping {
    base: u64,
    size: u64,
    va: *const u8,
}

/// The memory of the 1st OS, mapped range by range.
pub struct MappedMemory<'a> {
    ranges: &'a [Mapping],
}

impl<'a> MappedMemory<'a> {
    /// # Safety
    /// Each range's `size` bytes are mapped readable at `va` for `'a`.
    pub unsafe fn new(ranges: &'a [Mapping]) -> Self {
        Self { ranges }
    }

    /// Where `len` bytes from `at` are mapped.
    pub fn address(&self, at: PhysAddr, len: u64) -> Option<*const u8> {
        self.ranges.iter().find_map(|range| {
            let offset = at.raw().checked_sub(range.base)?;
            let inside = offset.checked_add(len)? <= range.size;
            inside.then(|| range.va.wrapping_add(usize::try_from(offset).ok()?).into())?
        })
    }
}

impl ForeignMemory for MappedMemory<'_> {
    fn read(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), OutOfRange> {
        let len = buf.len() as u64;
        let from = self.address(at, len).ok_or(OutOfRange { at, len })?;
        // SAFETY: the range is mapped (`new`), `buf` is ours and does not overlap it. The other
        // kernel has stopped; even if it had not, the copy is what is checked and used.
        unsafe { core::ptr::copy_nonoverlapping(from, buf.as_mut_ptr(), buf.len()) };
        Ok(())
    }

    fn covers(&self, at: PhysAddr, len: u64) -> bool {
        self.address(at, len).is_some()
    }
}

/// The running kernel's own memory, read so that a wild address is an error, not an oops.
pub struct OwnMemory;

impl ForeignMemory for OwnMemory {
    fn read(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), OutOfRange> {
        if glue::read_own_memory(at.raw(), buf) {
            Ok(())
        } else {
            Err(OutOfRange {
                at,
                len: buf.len() as u64,
            })
        }
    }
}
