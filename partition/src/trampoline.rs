//! The real-mode trampoline of the start-up IPI (`trampoline.S`).

use crate::blob;
use crate::image::{Error, Image};
use crate::layout::Layout;

const CR3: u64 = 0x10;
const ZERO_PAGE: u64 = 0x18;
const ENTRY: u64 = 0x20;
const SELF: u64 = 0x28;
/// Offset of the progress word: 0 never started, 1 real mode, 2 protected mode, 3 long mode.
pub const PROGRESS: u64 = 0x30;
const GDT: u64 = 0x40;
const GDT_BASE: u64 = 0x62;
const FAR32: u64 = 0x68;
const CODE32: u64 = 0xb0;
const FAR64: u64 = 0x70;
const CODE64: u64 = 0x100;

/// Offset of the 64-bit entry point from a kernel's load address.
const STARTUP_64: u64 = 0x200;

/// Writes the trampoline to the low window's first page. `pml4` is below 4 GiB.
///
/// # Errors
/// [`Error::Range`] for a page table above 4 GiB; [`Error::Outside`].
pub fn write(image: &mut Image<'_>, layout: &Layout, pml4: u64) -> Result<(), Error> {
    if u32::try_from(pml4).is_err() {
        return Err(Error::Range {
            what: "the boot page table's address",
            value: pml4,
        });
    }
    let page = layout.low_base;
    image.zero(page, handoff_abi::PAGE_SIZE)?;
    image.write(page, blob::trampoline())?;
    image.write_u64(page + CR3, pml4)?;
    image.write_u64(page + ZERO_PAGE, layout.boot_params)?;
    image.write_u64(page + ENTRY, layout.kernel + STARTUP_64)?;
    image.write_u64(page + SELF, page)?;
    for (at, target) in [(GDT_BASE, GDT), (FAR32, CODE32), (FAR64, CODE64)] {
        image.write(page + at, &((page + target) as u32).to_le_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_where_the_parameters_say() {
        let code = blob::trampoline();
        assert!(code.len() <= handoff_abi::PAGE_SIZE);
        // mov $0x18, %eax begins the 32-bit part.
        assert_eq!(
            code.get(CODE32 as usize..CODE32 as usize + 5),
            Some(&[0xb8, 0x18, 0, 0, 0][..])
        );
        // movl $3, 0x30(%rbx) begins the 64-bit part.
        let code64 = code.get(CODE64 as usize..CODE64 as usize + 7);
        assert_eq!(code64, Some(&[0xc7, 0x43, 0x30, 3, 0, 0, 0][..]));
        assert_eq!(code.get(0x60..0x62), Some(&[0x1f, 0][..]));
    }
}
