//! Firmware tables of a machine without legacy hardware (ACPI specification 6.5, 5.2).
//!
//! * FADT with `HW_REDUCED_ACPI`: the kernel leaves PIT, PIC, RTC, HPET and I/O APIC alone, which
//!   belong to the 1st OS; and `FORCE_APIC_PHYSICAL_DESTINATION_MODE`: with logical IDs, interrupts
//!   of one kernel are delivered to CPUs of the other.
//! * MADT with every CPU of the machine and the multiprocessor wakeup structure, so that CPUs of
//!   the 1st OS, its bootstrap processor included, are woken by a word in memory: INIT would reset
//!   the machine.
//! * An empty DSDT: no PCI until the takeover.

use crate::image::{Error, Image};
use crate::layout::{Layout, ACPI_SIZE};

const HEADER: usize = 36;
const RSDP_SIZE: usize = 36;
const FADT_SIZE: usize = 276;

const RSDP: u64 = 0;
const XSDT: u64 = 0x100;
const FADT: u64 = 0x200;
const DSDT: u64 = 0x400;
const MADT: u64 = 0x800;

const FORCE_APIC_PHYSICAL: u32 = 1 << 19;
const HW_REDUCED: u32 = 1 << 20;

/// `IAPC_BOOT_ARCH`: no VGA, no ASPM control, no CMOS RTC. Bit 3, "MSI not supported", must be
/// clear, or drivers fail to get their interrupts.
const BOOT_FLAGS: u16 = 1 << 2 | 1 << 4 | 1 << 5;

const LOCAL_APIC_ADDRESS: u32 = 0xfee0_0000;
const LAPIC_ENABLED: u32 = 1;

/// Version of the mailbox with a reset vector, so that a woken CPU can be taken offline again.
const MAILBOX_VERSION: u16 = 1;

/// Writes all tables at [`Layout::acpi`]. `apic_ids` are the CPUs of the machine, that of the 2nd
/// OS's boot CPU first; `reset_vector` is the physical address where a CPU that the 2nd OS takes
/// offline goes.
///
/// # Errors
/// [`Error::NoRoom`], [`Error::Outside`], or [`Error::Range`] if no APIC ID below 255 is free.
pub fn write(
    image: &mut Image<'_>,
    layout: &Layout,
    apic_ids: &[u32],
    reset_vector: u64,
) -> Result<(), Error> {
    image.zero(layout.acpi, ACPI_SIZE as usize)?;
    write_dsdt(image, layout.acpi + DSDT)?;
    write_fadt(image, layout.acpi + FADT, layout.acpi + DSDT)?;
    write_madt(image, layout, apic_ids, reset_vector)?;
    write_xsdt(
        image,
        layout.acpi + XSDT,
        &[layout.acpi + FADT, layout.acpi + MADT],
    )?;
    write_rsdp(image, layout.acpi + RSDP, layout.acpi + XSDT)
}

/// Sum that makes `bytes` add up to zero.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte))
}

/// Fills in a table's header and, last, its checksum.
pub(crate) fn seal(table: &mut [u8], signature: &[u8; 4], revision: u8) -> Result<(), Error> {
    let room = Error::NoRoom {
        what: "ACPI table",
        room: table.len(),
    };
    let len = table.len() as u32;
    let header = table.get_mut(..HEADER).ok_or(room)?;
    let fields: [(usize, &[u8]); 8] = [
        (0, signature),
        (4, &len.to_le_bytes()),
        (8, &[revision, 0]),
        (10, b"BATON "),
        (16, b"PARTITN "),
        (24, &1u32.to_le_bytes()),
        (28, b"BATN"),
        (32, &1u32.to_le_bytes()),
    ];
    for (at, bytes) in fields {
        header
            .get_mut(at..at + bytes.len())
            .ok_or(room)?
            .copy_from_slice(bytes);
    }
    let sum = checksum(table);
    *table.get_mut(9).ok_or(room)? = sum;
    Ok(())
}

fn write_rsdp(image: &mut Image<'_>, at: u64, xsdt: u64) -> Result<(), Error> {
    image.write(at, b"RSD PTR ")?;
    image.write(at + 9, b"BATON ")?;
    image.write(at + 15, &[2])?;
    image.write(at + 20, &(RSDP_SIZE as u32).to_le_bytes())?;
    image.write_u64(at + 24, xsdt)?;
    let first = checksum(image.bytes_at(at, 20)?);
    image.write(at + 8, &[first])?;
    let all = checksum(image.bytes_at(at, RSDP_SIZE)?);
    image.write(at + 32, &[all])
}

fn write_xsdt(image: &mut Image<'_>, at: u64, tables: &[u64; 2]) -> Result<(), Error> {
    for (slot, table) in (0u64..).zip(tables) {
        image.write_u64(at + HEADER as u64 + 8 * slot, *table)?;
    }
    seal(image.bytes_at(at, HEADER + 8 * tables.len())?, b"XSDT", 1)
}

fn write_dsdt(image: &mut Image<'_>, at: u64) -> Result<(), Error> {
    seal(image.bytes_at(at, HEADER)?, b"DSDT", 2)
}

fn write_fadt(image: &mut Image<'_>, at: u64, dsdt: u64) -> Result<(), Error> {
    image.write(at + 109, &BOOT_FLAGS.to_le_bytes())?;
    image.write(at + 112, &(HW_REDUCED | FORCE_APIC_PHYSICAL).to_le_bytes())?;
    image.write_u64(at + 140, dsdt)?;
    seal(image.bytes_at(at, FADT_SIZE)?, b"FACP", 6)
}

fn write_madt(
    image: &mut Image<'_>,
    layout: &Layout,
    apic_ids: &[u32],
    reset_vector: u64,
) -> Result<(), Error> {
    let table = layout.acpi + MADT;
    let end = layout.acpi + ACPI_SIZE;
    image.write(table + HEADER as u64, &LOCAL_APIC_ADDRESS.to_le_bytes())?;
    let mut at = table + HEADER as u64 + 8;
    // Kernels from 6.9 on take the first entry for the bootstrap processor of a crashed kernel if
    // it is not the CPU they run on, and disable just that one: give them one that does not exist.
    let nobody = (0..255u32).rev().find(|id| !apic_ids.contains(id));
    let nobody = nobody.ok_or(Error::Range {
        what: "the number of APIC IDs",
        value: 255,
    })?;
    for (processor, &id) in (0u32..).zip(core::iter::once(&nobody).chain(apic_ids)) {
        if at + 64 > end {
            return Err(Error::NoRoom {
                what: "MADT",
                room: ACPI_SIZE as usize,
            });
        }
        at += write_cpu(image, at, processor, id)?;
    }
    image.write(at, &[0x10, 24])?;
    image.write(at + 2, &MAILBOX_VERSION.to_le_bytes())?;
    image.write_u64(at + 8, layout.mailbox)?;
    image.write_u64(at + 16, reset_vector)?;
    let len = (at + 24 - table) as usize;
    seal(image.bytes_at(table, len)?, b"APIC", 6)
}

/// A processor local APIC structure, or x2APIC for an ID that needs one; returns its length.
fn write_cpu(image: &mut Image<'_>, at: u64, processor: u32, id: u32) -> Result<u64, Error> {
    match u8::try_from(id) {
        // Its UID has 8 bits as well.
        Ok(id) if id != u8::MAX && processor <= u32::from(u8::MAX) => {
            image.write(at, &[0, 8, processor as u8, id])?;
            image.write(at + 4, &LAPIC_ENABLED.to_le_bytes())?;
            Ok(8)
        }
        _ => {
            image.write(at, &[9, 16, 0, 0])?;
            image.write(at + 4, &id.to_le_bytes())?;
            image.write(at + 8, &LAPIC_ENABLED.to_le_bytes())?;
            image.write(at + 12, &processor.to_le_bytes())?;
            Ok(16)
        }
    }
}
