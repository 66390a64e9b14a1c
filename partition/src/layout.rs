//! Where everything is in the partition and in the low window.
//!
//! ```text
//! partition:  | kernel … free … initramfs | handoff region | firmware area |
//! low window: | trampoline, boot tables   | RAM of the 2nd OS              |
//! ```
//! The last 2 MiB of the partition are never RAM of the 2nd OS: it would use and destroy them.

use crate::image::Error;
use handoff_abi::{machine::MAX_CPUS, park::ParkSlot, region::REGION_SIZE};

const PAGE: u64 = handoff_abi::PAGE_SIZE as u64;

/// Bytes at the end of the partition for the handoff region and the firmware area.
pub const FIRMWARE_SIZE: u64 = 0x20_0000;
/// Bytes for ACPI tables.
pub const ACPI_SIZE: u64 = 0x1_0000;
/// Bytes for the parking page tables.
pub const PARK_TABLES_SIZE: u64 = 0x1_0000;
/// Bytes for the SSDT.
pub const SSDT_SIZE: u64 = 0x4000;
/// Longest command line, bytes with the NUL (`COMMAND_LINE_SIZE`,
/// `arch/x86/include/asm/setup.h`).
pub const COMMAND_LINE_SIZE: usize = 2048;

/// Size and alignment of the low window: one order-5 block of the page allocator.
pub const LOW_SIZE: u64 = 0x2_0000;
/// Part of the low window that Baton keeps: the trampoline's page and the boot page tables,
/// which the start-up path reads through a 32-bit CR3.
pub const LOW_RESERVED: u64 = 0x1_0000;

/// Addresses of one partition. All are physical, bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Start of the partition.
    pub base: u64,
    /// Its size.
    pub size: u64,
    /// Start of the low window.
    pub low_base: u64,
    /// Where the kernel's payload is copied to.
    pub kernel: u64,
    /// Start of the initramfs.
    pub initrd: u64,
    /// Its size.
    pub initrd_size: u64,
    /// Start of the handoff region, and of what is not RAM of the 2nd OS.
    pub region: u64,
    /// ACPI tables; the RSDP is first.
    pub acpi: u64,
    /// The page with the parking code, its GDT and its IDT.
    pub park_code: u64,
    /// The wakeup mailbox.
    pub mailbox: u64,
    /// Park slots.
    pub park_slots: u64,
    /// Parking page tables.
    pub park_tables: u64,
    /// The zero page.
    pub boot_params: u64,
    /// The command line.
    pub command_line: u64,
    /// The SSDT for the takeover.
    pub ssdt: u64,
}

const SLOTS_SIZE: u64 = (MAX_CPUS * core::mem::size_of::<ParkSlot>()) as u64;

const ACPI: u64 = REGION_SIZE as u64;
const PARK_CODE: u64 = ACPI + ACPI_SIZE;
const MAILBOX: u64 = PARK_CODE + PAGE;
const PARK_SLOTS: u64 = MAILBOX + PAGE;
const PARK_TABLES: u64 = PARK_SLOTS + SLOTS_SIZE;
const BOOT_PARAMS: u64 = PARK_TABLES + PARK_TABLES_SIZE;
const COMMAND_LINE: u64 = BOOT_PARAMS + PAGE;
const SSDT: u64 = COMMAND_LINE + PAGE;
const _: () = assert!(SSDT + SSDT_SIZE <= FIRMWARE_SIZE);

impl Layout {
    /// Lays out a partition of `size` bytes at `base` for a kernel that wants `kernel_alignment`
    /// and keeps `init_size` bytes free from where it is loaded (setup header fields of the same
    /// names), and an initramfs of `initrd_size` bytes.
    ///
    /// # Errors
    /// [`Error::TooSmall`], or [`Error::Range`] for addresses that are not page-aligned or an
    /// alignment that is not a power of two.
    pub fn new(
        base: u64,
        size: u64,
        low_base: u64,
        kernel_alignment: u64,
        init_size: u64,
        initrd_size: u64,
    ) -> Result<Self, Error> {
        for (what, value) in [
            ("the partition's base", base),
            ("the partition's size", size),
        ] {
            if !value.is_multiple_of(FIRMWARE_SIZE) {
                return Err(Error::Range { what, value });
            }
        }
        if !low_base.is_multiple_of(LOW_SIZE) || low_base.saturating_add(LOW_SIZE) > 0xa_0000 {
            return Err(Error::Range {
                what: "the low window's base",
                value: low_base,
            });
        }
        if !kernel_alignment.is_power_of_two() {
            return Err(Error::Range {
                what: "kernel_alignment",
                value: kernel_alignment,
            });
        }
        let needed = init_size
            .saturating_add(kernel_alignment)
            .saturating_add(initrd_size.saturating_mul(3))
            .saturating_add(FIRMWARE_SIZE + PAGE);
        let too_small = Error::TooSmall { needed, size };
        if needed > size || base.checked_add(size).is_none() {
            return Err(too_small);
        }
        let region = (base + size).checked_sub(FIRMWARE_SIZE).ok_or(too_small)?;
        let initrd = region.checked_sub(initrd_size).ok_or(too_small)? & !(PAGE - 1);
        let kernel = base
            .checked_next_multiple_of(kernel_alignment)
            .ok_or(too_small)?;
        Ok(Self {
            base,
            size,
            low_base,
            kernel,
            initrd,
            initrd_size,
            region,
            acpi: region + ACPI,
            park_code: region + PARK_CODE,
            mailbox: region + MAILBOX,
            park_slots: region + PARK_SLOTS,
            park_tables: region + PARK_TABLES,
            boot_params: region + BOOT_PARAMS,
            command_line: region + COMMAND_LINE,
            ssdt: region + SSDT,
        })
    }

    /// First address after the partition.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.base + self.size
    }

    /// Boot page tables, in the low window behind the trampoline's page.
    #[must_use]
    pub const fn boot_tables(&self) -> u64 {
        self.low_base + PAGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_fits() {
        let layout = Layout::new(
            0x4000_0000,
            0x2000_0000,
            0x2_0000,
            0x20_0000,
            0x400_0000,
            0x123_4567,
        );
        let layout = layout.expect("fits");
        assert_eq!(layout.region, 0x5fe0_0000);
        assert_eq!(layout.kernel, 0x4000_0000);
        assert!(layout.initrd + layout.initrd_size <= layout.region);
        assert_eq!(layout.initrd % PAGE, 0);
        assert!(layout.ssdt + SSDT_SIZE <= layout.end());
    }

    #[test]
    fn a_partition_that_does_not() {
        assert!(matches!(
            Layout::new(
                0x4000_0000,
                0x400_0000,
                0x2_0000,
                0x20_0000,
                0x400_0000,
                0x10_0000
            ),
            Err(Error::TooSmall { .. })
        ));
        assert!(matches!(
            Layout::new(0x4000_1000, 0x2000_0000, 0x2_0000, 0x20_0000, 1, 1),
            Err(Error::Range { .. })
        ));
        assert!(matches!(
            Layout::new(0x4000_0000, 0x2000_0000, 0x9_0000, 0x20_0000, 1, 1),
            Err(Error::Range { .. })
        ));
        assert!(Layout::new(!0x1f_ffff, 0x2000_0000, 0x2_0000, 2, 1, 1).is_err());
    }
}
