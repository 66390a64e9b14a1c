//! From addresses of the 1st OS to physical ones.
//!
//! Three ways, tried in this order: the direct map (nearly all objects), the mapping of the
//! kernel image, and the 1st OS's own page tables (the memory map, `vmalloc`). Table walks are
//! remembered in a small cache; a frozen kernel changes no mapping.

use core::cell::Cell;

use handoff_abi::descriptor::AddressSpace;

use crate::address::{ForeignVa, PhysAddr};
use crate::error::Fault;
use crate::memory::ForeignMemory;

/// Where an address leads, and for how many bytes from there on the mapping is contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// There.
    pub at: PhysAddr,
    /// Contiguous bytes from `at`; at least 1.
    pub len: u64,
}

/// Bit 0 of an entry: it maps something.
const PRESENT: u64 = 1;
/// Bit 7 of an entry above the last level: it is a leaf.
const LARGE: u64 = 1 << 7;
/// Bits of an address that a table of each level resolves.
const LEVEL_BITS: u32 = 9;
/// Bits within a base page.
const PAGE_BITS: u32 = 12;
/// Remembered mappings.
const CACHE_SIZE: usize = 32;
/// Log2 of the distance of two addresses that do not share a place in the cache: the span of a
/// 2 MiB leaf, which is what maps the memory map.
const CACHE_BITS: u32 = 21;

/// A remembered leaf: `start ^ (va & !mask) == 0` means that it maps `va`.
#[derive(Clone, Copy)]
struct Leaf {
    start: u64,
    /// Size of the leaf minus one.
    mask: u64,
    frame: u64,
}

impl Leaf {
    /// Matches nothing: no address masked with 0 bits left over is odd and page-aligned.
    const EMPTY: Self = Self {
        start: 1,
        mask: 0xfff,
        frame: 0,
    };

    fn map(&self, va: u64) -> Option<Mapping> {
        if va & !self.mask != self.start {
            return None;
        }
        let offset = va & self.mask;
        Some(Mapping {
            at: PhysAddr::new(self.frame | offset),
            len: (self.mask & !offset).wrapping_add(1),
        })
    }
}

/// Translates addresses of one kernel.
pub struct Translator {
    space: AddressSpace,
    cache: [Cell<Leaf>; CACHE_SIZE],
}

impl Translator {
    /// For a kernel with this address space, which [`crate::descriptor::Descriptor`] has checked.
    #[must_use]
    pub fn new(space: AddressSpace) -> Self {
        Self {
            space,
            cache: [const { Cell::new(Leaf::EMPTY) }; CACHE_SIZE],
        }
    }

    /// Where `va` leads. The result is not yet known to be readable memory.
    ///
    /// # Errors
    /// If nothing is mapped there, or a page table cannot be read or believed.
    pub fn translate<M: ForeignMemory>(&self, memory: &M, va: ForeignVa) -> Result<Mapping, Fault> {
        let space = &self.space;
        let va = va.raw();
        // Wrapping is right: an address before the start becomes an offset beyond the size.
        let offset = va.wrapping_sub(space.page_offset_base);
        if let Some(len) = space
            .direct_map_size
            .checked_sub(offset)
            .filter(|len| *len > 0)
        {
            return Ok(Mapping {
                at: PhysAddr::new(offset),
                len,
            });
        }
        let offset = va.wrapping_sub(space.kernel_map);
        if let Some(len) = space
            .kernel_map_size
            .checked_sub(offset)
            .filter(|len| *len > 0)
        {
            // phys_base may be "negative": the sum is meant modulo 2^64.
            return Ok(Mapping {
                at: PhysAddr::new(offset.wrapping_add(space.phys_base)),
                len,
            });
        }
        self.walk(memory, va)
    }

    fn walk<M: ForeignMemory>(&self, memory: &M, va: u64) -> Result<Mapping, Fault> {
        let place = usize::try_from(va >> CACHE_BITS).unwrap_or(0) & (CACHE_SIZE - 1);
        let cached = self.cache.get(place);
        if let Some(mapping) = cached.and_then(|leaf| leaf.get().map(va)) {
            return Ok(mapping);
        }
        let leaf = self.find_leaf(memory, va)?;
        if let Some(cached) = cached {
            cached.set(leaf);
        }
        leaf.map(va).ok_or(Fault::NotMapped)
    }

    fn find_leaf<M: ForeignMemory>(&self, memory: &M, va: u64) -> Result<Leaf, Fault> {
        let levels = u32::try_from(self.space.levels).unwrap_or(0).min(5);
        let sign = LEVEL_BITS
            .saturating_mul(levels)
            .saturating_add(PAGE_BITS - 1);
        if va.checked_shr(sign) != u64::MAX.checked_shr(sign) {
            return Err(Fault::NotKernel);
        }
        let mut table = self.space.pgd;
        for level in (0..levels).rev() {
            let shift = LEVEL_BITS.saturating_mul(level).saturating_add(PAGE_BITS);
            let index = va.checked_shr(shift).unwrap_or(0) & 511;
            let at = PhysAddr::new(table | index.saturating_mul(8));
            let entry = memory
                .read_u64(at)
                .map_err(|e| Fault::Unreadable { at: e.at })?;
            if entry & PRESENT == 0 {
                return Err(Fault::NotMapped);
            }
            let frame = entry & self.space.pte_mask;
            let large = level > 0 && entry & LARGE != 0;
            if large && level > 2 {
                return Err(Fault::PageTable { entry });
            }
            if large || level == 0 {
                let mask = 1_u64.checked_shl(shift).unwrap_or(0).wrapping_sub(1);
                return Ok(Leaf {
                    start: va & !mask,
                    mask,
                    frame: frame & !mask,
                });
            }
            table = frame;
        }
        Err(Fault::NotMapped)
    }
}
