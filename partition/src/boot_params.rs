//! The zero page and the command line (`Documentation/arch/x86/{boot,zero-page}.rst`).

use crate::image::{Error, Image};
use crate::layout::{Layout, ACPI_SIZE, COMMAND_LINE_SIZE, LOW_RESERVED, LOW_SIZE};

/// Offset of the setup header in the zero page and in a bzImage.
pub const SETUP_HEADER: usize = 0x1f1;
/// Most entries of `e820_table` in the zero page (`E820_MAX_ENTRIES_ZEROPAGE`).
pub const E820_MAX: usize = 128;

const ACPI_RSDP_ADDR: u64 = 0x70;
const E820_ENTRIES: u64 = 0x1e8;
const VID_MODE: u64 = 0x1fa;
const TYPE_OF_LOADER: u64 = 0x210;
const CODE32_START: u64 = 0x214;
const RAMDISK_IMAGE: u64 = 0x218;
const RAMDISK_SIZE: u64 = 0x21c;
const CMD_LINE_PTR: u64 = 0x228;
const EXT_RAMDISK_IMAGE: u64 = 0xc0;
const EXT_RAMDISK_SIZE: u64 = 0xc4;
const EXT_CMD_LINE_PTR: u64 = 0xc8;
const E820_TABLE: u64 = 0x2d0;

/// `type_of_loader`: no number is assigned to this loader.
const LOADER_UNDEFINED: u8 = 0xff;
/// `vid_mode` "normal".
const VIDEO_NORMAL: u16 = 0xffff;

/// What a range is to the kernel (`enum e820_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum E820 {
    /// `E820_TYPE_RAM`.
    Ram = 1,
    /// `E820_TYPE_RESERVED`.
    Reserved = 2,
    /// `E820_TYPE_ACPI`.
    Acpi = 3,
}

/// Writes the zero page and the command line for the kernel whose setup header (the bytes of the
/// bzImage from [`SETUP_HEADER`]) is `setup_header`. `reserved` are ranges (start, end) that the
/// kernel must know as reserved: the ECAM above all, which it otherwise refuses to use.
///
/// # Errors
/// [`Error::NoRoom`] for a command line or table that is too long; [`Error::Outside`].
pub fn write(
    image: &mut Image<'_>,
    layout: &Layout,
    setup_header: &[u8],
    command_line: &str,
    reserved: &[(u64, u64)],
) -> Result<(), Error> {
    let page = layout.boot_params;
    image.zero(page, handoff_abi::PAGE_SIZE)?;
    // The header ends before the e820 table, whatever a hostile length byte says.
    let room = (E820_TABLE as usize) - SETUP_HEADER;
    let header = setup_header
        .get(..setup_header.len().min(room))
        .unwrap_or_default();
    image.write(page + SETUP_HEADER as u64, header)?;
    image.write(page + TYPE_OF_LOADER, &[LOADER_UNDEFINED])?;
    image.write(page + VID_MODE, &VIDEO_NORMAL.to_le_bytes())?;
    image.write(page + CODE32_START, &low_half(layout.kernel))?;
    image.write(page + RAMDISK_IMAGE, &low_half(layout.initrd))?;
    image.write(page + EXT_RAMDISK_IMAGE, &high_half(layout.initrd))?;
    image.write(page + RAMDISK_SIZE, &low_half(layout.initrd_size))?;
    image.write(page + EXT_RAMDISK_SIZE, &high_half(layout.initrd_size))?;
    image.write(page + CMD_LINE_PTR, &low_half(layout.command_line))?;
    image.write(page + EXT_CMD_LINE_PTR, &high_half(layout.command_line))?;
    image.write_u64(page + ACPI_RSDP_ADDR, layout.acpi)?;
    write_command_line(image, layout, command_line)?;
    write_e820(image, layout, reserved)
}

fn low_half(value: u64) -> [u8; 4] {
    (value as u32).to_le_bytes()
}

fn high_half(value: u64) -> [u8; 4] {
    ((value >> 32) as u32).to_le_bytes()
}

fn write_command_line(image: &mut Image<'_>, layout: &Layout, text: &str) -> Result<(), Error> {
    if text.len() >= COMMAND_LINE_SIZE {
        return Err(Error::NoRoom {
            what: "command line",
            room: COMMAND_LINE_SIZE - 1,
        });
    }
    image.zero(layout.command_line, COMMAND_LINE_SIZE)?;
    image.write(layout.command_line, text.as_bytes())
}

fn write_e820(
    image: &mut Image<'_>,
    layout: &Layout,
    reserved: &[(u64, u64)],
) -> Result<(), Error> {
    let low = layout.low_base;
    let acpi_end = layout.acpi + ACPI_SIZE;
    let own = [
        (low, low + LOW_RESERVED, E820::Reserved),
        (low + LOW_RESERVED, low + LOW_SIZE, E820::Ram),
        (layout.base, layout.region, E820::Ram),
        (layout.region, layout.acpi, E820::Reserved),
        (layout.acpi, acpi_end, E820::Acpi),
        (acpi_end, layout.end(), E820::Reserved),
    ];
    let others = reserved
        .iter()
        .map(|&(start, end)| (start, end, E820::Reserved));
    let count = own.len() + reserved.len();
    if count > E820_MAX {
        return Err(Error::NoRoom {
            what: "e820 table",
            room: E820_MAX,
        });
    }
    let mut at = layout.boot_params + E820_TABLE;
    for (start, end, kind) in own.into_iter().chain(others) {
        let size = end.checked_sub(start).ok_or(Error::Range {
            what: "the end of a reserved range",
            value: end,
        })?;
        image.write_u64(at, start)?;
        image.write_u64(at + 8, size)?;
        image.write(at + 16, &(kind as u32).to_le_bytes())?;
        at += 20;
    }
    image.write(layout.boot_params + E820_ENTRIES, &[count as u8])
}
