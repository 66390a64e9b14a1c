//! Identity-mapped page tables (Intel SDM volume 3, 5.5): for the start-up path, and for parked
//! CPUs.
//!
//! Both map the first 4 GiB and the 1 GiB windows that the partition touches, with 2 MiB pages,
//! writable, supervisor: with the user bit set, SMEP would fault on the first instruction.

use crate::image::{Error, Image};
use crate::layout::Layout;

const PAGE: u64 = handoff_abi::PAGE_SIZE as u64;
const GIB: u64 = 1 << 30;
const LARGE: u64 = 2 << 20;
const ENTRIES: u64 = 512;

const PRESENT_WRITABLE: u64 = 0x3;
const LARGE_PAGE: u64 = 0x80;

/// Physical addresses of the top-level tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roots {
    /// For 4-level paging.
    pub pml4: u64,
    /// For 5-level paging: its first entry is the former.
    pub pml5: u64,
}

/// Writes identity tables into the `room` bytes at `at`.
///
/// # Errors
/// [`Error::NoRoom`] if they need more; [`Error::Outside`].
pub fn write(image: &mut Image<'_>, layout: &Layout, at: u64, room: u64) -> Result<Roots, Error> {
    let mut pages = Pages {
        next: at,
        end: at + room,
        room,
    };
    let pml5 = pages.take(image)?;
    let pml4 = pages.take(image)?;
    image.write_u64(pml5, pml4 | PRESENT_WRITABLE)?;
    let low_windows = 0..4;
    let partition_windows = (layout.base / GIB)..layout.end().div_ceil(GIB);
    for window in low_windows.chain(partition_windows.filter(|&window| window >= 4)) {
        map_window(image, &mut pages, pml4, window)?;
    }
    Ok(Roots { pml4, pml5 })
}

/// Maps the 1 GiB at `window` GiB with 2 MiB pages.
fn map_window(
    image: &mut Image<'_>,
    pages: &mut Pages,
    pml4: u64,
    window: u64,
) -> Result<(), Error> {
    let pdpt_index = window / ENTRIES;
    if pdpt_index >= ENTRIES / 2 {
        return Err(Error::Range {
            what: "the partition's address",
            value: window * GIB,
        });
    }
    let pdpt_entry = pml4 + 8 * pdpt_index;
    let pdpt = match read_entry(image, pdpt_entry)? {
        0 => {
            let table = pages.take(image)?;
            image.write_u64(pdpt_entry, table | PRESENT_WRITABLE)?;
            table
        }
        entry => entry & !(PAGE - 1),
    };
    let directory = pages.take(image)?;
    image.write_u64(pdpt + 8 * (window % ENTRIES), directory | PRESENT_WRITABLE)?;
    for slot in 0..ENTRIES {
        let target = window * GIB + slot * LARGE;
        image.write_u64(directory + 8 * slot, target | PRESENT_WRITABLE | LARGE_PAGE)?;
    }
    Ok(())
}

fn read_entry(image: &mut Image<'_>, at: u64) -> Result<u64, Error> {
    let mut word = [0; 8];
    word.copy_from_slice(image.bytes_at(at, 8)?);
    Ok(u64::from_le_bytes(word))
}

/// Hands out zeroed pages of a range.
struct Pages {
    next: u64,
    end: u64,
    room: u64,
}

impl Pages {
    fn take(&mut self, image: &mut Image<'_>) -> Result<u64, Error> {
        let page = self.next;
        if page + PAGE > self.end {
            return Err(Error::NoRoom {
                what: "page tables",
                room: self.room as usize,
            });
        }
        image.zero(page, PAGE as usize)?;
        self.next += PAGE;
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    fn translate(image: &mut Image<'_>, roots: Roots, five_levels: bool, va: u64) -> Option<u64> {
        let mut table = if five_levels { roots.pml5 } else { roots.pml4 };
        for level in (0..if five_levels { 5 } else { 4 }).rev() {
            let index = (va >> (12 + 9 * level)) & 511;
            let entry = read_entry(image, table + 8 * index).expect("inside");
            if entry & 1 == 0 {
                return None;
            }
            assert_eq!(entry & 4, 0, "user bit");
            if entry & LARGE_PAGE != 0 {
                return Some((entry & !(LARGE - 1)) | (va & (LARGE - 1)));
            }
            table = entry & !0xfff;
        }
        None
    }

    #[test]
    fn identity_below_and_above_4_gib() {
        for base in [0x4000_0000u64, 0x1_4000_0000, 0x80_3000_0000] {
            let size = 0x2000_0000;
            let layout =
                Layout::new(base, size, 0x2_0000, 0x20_0000, 0x100_0000, 0).expect("layout");
            let mut memory = vec![0xffu8; size as usize];
            let mut low = vec![0; 0x2_0000];
            let mut image = Image::new(base, &mut memory, 0x2_0000, &mut low);
            let at = layout.park_tables;
            let roots = write(&mut image, &layout, at, 0x1_0000).expect("room");
            for five in [false, true] {
                for va in [
                    0,
                    0x2_1234,
                    0xfee0_0000,
                    base,
                    layout.park_code,
                    layout.end() - 1,
                ] {
                    assert_eq!(translate(&mut image, roots, five, va), Some(va), "{va:#x}");
                }
                assert_eq!(translate(&mut image, roots, five, 0x7000_0000_0000), None);
            }
        }
    }

    #[test]
    fn too_little_room() {
        let base = 0x4000_0000;
        let layout = Layout::new(base, 0x2000_0000, 0x2_0000, 2, 0, 0).expect("layout");
        let mut memory = vec![0u8; 0x2000_0000];
        let mut low = vec![0; 0x2_0000];
        let mut image = Image::new(base, &mut memory, 0x2_0000, &mut low);
        assert!(matches!(
            write(&mut image, &layout, layout.park_tables, 0x3000),
            Err(Error::NoRoom { .. })
        ));
    }
}
