//! The parking page: code (`park.S`), parameters, GDT and IDT; the slots; the mailbox.

use crate::blob;
use crate::image::{Error, Image};
use crate::layout::Layout;
use crate::page_tables::Roots;
use handoff_abi::machine::MAX_CPUS;
use handoff_abi::park::ParkSlot;
use zerocopy::{FromZeros, IntoBytes};

/// Offset of the parking loop's entry in the page.
pub const ENTRY: u64 = 0;
/// Offset of the entry for a CPU that the 2nd OS takes offline.
pub const RESET: u64 = 0x20;
const NMI: u64 = 0x40;
const FAULT: u64 = 0x60;

const PARAMETERS: u64 = 0x800;
const GDT: u64 = 0x900;
const IDT: u64 = 0xa00;

/// Selectors as Linux has them, so that the cached descriptors of the 1st OS stay true:
/// `__KERNEL32_CS` 0x08, `__KERNEL_CS` 0x10, `__KERNEL_DS` 0x18.
const GDT_ENTRIES: [u64; 4] = [
    0,
    0x00cf_9b00_0000_ffff,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
];
const KERNEL_CS: u64 = 0x10;
const EXCEPTIONS: u64 = 32;
const NMI_VECTOR: u64 = 2;
/// Present, ring 0, 64-bit interrupt gate.
const INTERRUPT_GATE: u64 = 0x8e;

/// Writes the parking page, an empty mailbox, and a slot for each APIC ID.
///
/// # Errors
/// [`Error::NoRoom`] for more CPUs than there are slots; [`Error::Outside`].
pub fn write(
    image: &mut Image<'_>,
    layout: &Layout,
    roots: Roots,
    apic_ids: &[u32],
) -> Result<(), Error> {
    if apic_ids.len() > MAX_CPUS {
        return Err(Error::NoRoom {
            what: "table of park slots",
            room: MAX_CPUS,
        });
    }
    let page = layout.park_code;
    image.zero(page, handoff_abi::PAGE_SIZE)?;
    image.write(page, blob::park())?;
    let parameters = [
        roots.pml4,
        roots.pml5,
        layout.park_slots,
        apic_ids.len() as u64,
    ];
    image.write(page + PARAMETERS, parameters.as_bytes())?;
    image.write(page + GDT, GDT_ENTRIES.as_bytes())?;
    for vector in 0..EXCEPTIONS {
        let handler = page + if vector == NMI_VECTOR { NMI } else { FAULT };
        image.write(page + IDT + 16 * vector, gate(handler).as_bytes())?;
    }
    image.zero(layout.mailbox, handoff_abi::PAGE_SIZE)?;
    for (index, &apic_id) in (0u64..).zip(apic_ids) {
        let mut slot = ParkSlot::new_zeroed();
        slot.apic_id = u64::from(apic_id);
        slot.mailbox = layout.mailbox;
        slot.park_gdtr = table_register(page + GDT, size_of_val(&GDT_ENTRIES));
        slot.park_idtr = table_register(page + IDT, 16 * EXCEPTIONS as usize);
        let at = layout.park_slots + index * size_of::<ParkSlot>() as u64;
        image.write(at, slot.as_bytes())?;
    }
    Ok(())
}

/// An interrupt gate (Intel SDM volume 3, 7.14.1) to `handler`.
const fn gate(handler: u64) -> [u64; 2] {
    let low = (handler & 0xffff)
        | KERNEL_CS << 16
        | INTERRUPT_GATE << 40
        | ((handler >> 16) & 0xffff) << 48;
    [low, handler >> 32]
}

/// The operand of LGDT or LIDT: limit and base.
fn table_register(base: u64, size: usize) -> [u8; 16] {
    let mut operand = [0; 16];
    let (limit, rest) = operand.split_at_mut(2);
    limit.copy_from_slice(&(size.saturating_sub(1) as u16).to_le_bytes());
    let (base_bytes, _) = rest.split_at_mut(8);
    base_bytes.copy_from_slice(&base.to_le_bytes());
    operand
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_where_they_are_said_to_be() {
        let code = blob::park();
        assert!(code.len() as u64 <= PARAMETERS);
        for entry in [ENTRY, RESET, NMI, FAULT] {
            let at = entry as usize;
            // endbr64, for CPUs with indirect branch tracking.
            assert_eq!(code.get(at..at + 4), Some(&[0xf3, 0x0f, 0x1e, 0xfa][..]));
        }
    }

    #[test]
    fn gates_hold_the_whole_address() {
        assert_eq!(gate(0x1234_5678_9abc), [0x5678_8e00_0010_9abc, 0x1234]);
    }
}
