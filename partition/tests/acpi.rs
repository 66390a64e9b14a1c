//! The firmware tables, read back as a kernel reads them: from the RSDP on (ACPI specification
//! 6.5, 5.2).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{layout, sums_to_zero, Memory};
use partition::{acpi, Error};
use std::collections::BTreeMap;

const RESET: u64 = 0x1_4fff_0020;

/// An entry of the MADT.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Apic {
        uid: u8,
        id: u8,
        flags: u32,
    },
    X2Apic {
        uid: u32,
        id: u32,
        flags: u32,
    },
    Wakeup {
        version: u16,
        mailbox: u64,
        reset: u64,
    },
}

struct Tables {
    memory: Memory,
    by_name: BTreeMap<[u8; 4], u64>,
}

fn tables(apic_ids: &[u32]) -> Tables {
    let mut memory = Memory::new();
    acpi::write(&mut memory.image(), &layout(), apic_ids, RESET).unwrap();
    let rsdp = layout().acpi;
    assert_eq!(memory.bytes(rsdp, 8), b"RSD PTR ");
    assert!(sums_to_zero(memory.bytes(rsdp, 20)), "first 20 bytes");
    assert!(sums_to_zero(memory.bytes(rsdp, 36)), "all of the RSDP");
    assert_eq!(memory.u8(rsdp + 15), 2, "revision");
    assert_eq!(memory.u32(rsdp + 16), 0, "no RSDT");
    assert_eq!(memory.u32(rsdp + 20), 36);
    let xsdt = memory.u64(rsdp + 24);
    let mut by_name = BTreeMap::from([(check(&memory, xsdt), xsdt)]);
    for slot in (36..u64::from(memory.u32(xsdt + 4))).step_by(8) {
        let table = memory.u64(xsdt + slot);
        by_name.insert(check(&memory, table), table);
    }
    let fadt = by_name[b"FACP"];
    let dsdt = memory.u64(fadt + 140);
    by_name.insert(check(&memory, dsdt), dsdt);
    Tables { memory, by_name }
}

/// The signature of the table at `at`, whose length and checksum are right.
fn check(memory: &Memory, at: u64) -> [u8; 4] {
    let len = memory.u32(at + 4) as usize;
    let name: [u8; 4] = memory.bytes(at, 4).try_into().unwrap();
    assert!(len >= 36);
    assert!(at + len as u64 <= layout().acpi + partition::layout::ACPI_SIZE);
    assert!(sums_to_zero(memory.bytes(at, len)), "{name:?}");
    assert_eq!(memory.bytes(at + 10, 6), b"BATON ");
    name
}

fn entries(tables: &Tables) -> Vec<Entry> {
    let (memory, madt) = (&tables.memory, tables.by_name[b"APIC"]);
    let end = madt + u64::from(memory.u32(madt + 4));
    assert_eq!(memory.u32(madt + 36), 0xfee0_0000);
    assert_eq!(memory.u32(madt + 40) & 1, 0, "no 8259");
    let mut at = madt + 44;
    let mut entries = Vec::new();
    while at < end {
        let len = u64::from(memory.u8(at + 1));
        entries.push(match (memory.u8(at), len) {
            (0, 8) => Entry::Apic {
                uid: memory.u8(at + 2),
                id: memory.u8(at + 3),
                flags: memory.u32(at + 4),
            },
            (9, 16) => Entry::X2Apic {
                id: memory.u32(at + 4),
                flags: memory.u32(at + 8),
                uid: memory.u32(at + 12),
            },
            (0x10, 24) => {
                assert_eq!(memory.u32(at + 4), 0, "reserved");
                Entry::Wakeup {
                    version: memory.u16(at + 2),
                    mailbox: memory.u64(at + 8),
                    reset: memory.u64(at + 16),
                }
            }
            other => panic!("an entry of type and length {other:?}"),
        });
        at += len;
    }
    assert_eq!(at, end, "the last entry ends with the table");
    entries
}

#[test]
fn every_table_is_found_and_sums_to_zero() {
    let tables = tables(&[3, 0, 1, 2]);
    let names: Vec<&[u8; 4]> = tables.by_name.keys().collect();
    assert_eq!(names, [b"APIC", b"DSDT", b"FACP", b"XSDT"]);
    let dsdt = tables.by_name[b"DSDT"];
    assert_eq!(tables.memory.u32(dsdt + 4), 36, "the DSDT is empty");
}

#[test]
fn the_fadt_describes_a_machine_without_legacy_hardware() {
    let tables = tables(&[1, 0]);
    let (memory, fadt) = (&tables.memory, tables.by_name[b"FACP"]);
    let flags = memory.u32(fadt + 112);
    assert_ne!(flags & 1 << 20, 0, "HW_REDUCED_ACPI");
    assert_ne!(flags & 1 << 19, 0, "FORCE_APIC_PHYSICAL_DESTINATION_MODE");
    let boot = memory.u16(fadt + 109);
    assert_eq!(boot & 1 << 3, 0, "MSI is supported");
    assert_ne!(boot & 1 << 5, 0, "no CMOS RTC");
    assert_ne!(boot & 1 << 2, 0, "no VGA");
    assert_eq!(boot & 1 << 1, 0, "no 8042");
    // No FACS, no register block, no 32-bit DSDT.
    for at in [36, 40, 56, 60, 64, 76] {
        assert_eq!(memory.u32(fadt + at), 0, "offset {at}");
    }
}

#[test]
fn cpus_are_listed_behind_one_that_does_not_exist() {
    let entries = entries(&tables(&[2, 0, 1, 3]));
    let id_of = |entry: &Entry| match entry {
        Entry::Apic { id, flags: 1, .. } => u32::from(*id),
        Entry::X2Apic { id, flags: 1, .. } => *id,
        other => panic!("{other:?}"),
    };
    assert_eq!(entries.len(), 6);
    let ids: Vec<u32> = entries[..5].iter().map(id_of).collect();
    assert_eq!(ids, [254, 2, 0, 1, 3]);
}

#[test]
fn the_one_that_does_not_exist_is_not_one_that_does() {
    let ids: Vec<u32> = (0..=254).rev().take(100).collect();
    let Entry::Apic { id, .. } = entries(&tables(&ids))[0] else {
        panic!("the first entry is no local APIC");
    };
    assert_eq!(id, 154);
    let every: Vec<u32> = (0..255).collect();
    let mut memory = Memory::new();
    assert!(matches!(
        acpi::write(&mut memory.image(), &layout(), &every, RESET),
        Err(Error::Range { .. })
    ));
}

#[test]
fn ids_from_255_on_are_x2apic() {
    let ids = [254, 255, 256, 0x1_0000, u32::MAX - 1, 7];
    let entries = entries(&tables(&ids));
    let kinds: Vec<u32> = entries[1..7]
        .iter()
        .map(|entry| match entry {
            Entry::Apic { id, .. } => {
                assert!(*id < 255);
                u32::from(*id)
            }
            Entry::X2Apic { id, .. } => {
                assert!(*id >= 255);
                *id
            }
            Entry::Wakeup { .. } => panic!("among the CPUs"),
        })
        .collect();
    assert_eq!(kinds, ids);
    assert!(matches!(
        entries[2],
        Entry::X2Apic {
            uid: 2,
            id: 255,
            ..
        }
    ));
    // Processor numbers are all different.
    let mut uids: Vec<u32> = entries[..7]
        .iter()
        .map(|entry| match entry {
            Entry::Apic { uid, .. } => u32::from(*uid),
            Entry::X2Apic { uid, .. } => *uid,
            Entry::Wakeup { .. } => u32::MAX,
        })
        .collect();
    uids.dedup();
    assert_eq!(uids, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn the_wakeup_structure_is_last_and_leads_to_the_mailbox() {
    let entries = entries(&tables(&[1, 0]));
    assert_eq!(
        entries.last(),
        Some(&Entry::Wakeup {
            version: 1,
            mailbox: layout().mailbox,
            reset: RESET,
        })
    );
    let wakeups = entries
        .iter()
        .filter(|entry| matches!(entry, Entry::Wakeup { .. }));
    assert_eq!(wakeups.count(), 1);
}

#[test]
fn the_most_cpus_fit() {
    let ids: Vec<u32> = (1000..1000 + handoff_abi::machine::MAX_CPUS as u32).collect();
    assert_eq!(entries(&tables(&ids)).len(), ids.len() + 2);
    let many: Vec<u32> = (1000..6000).collect();
    let mut memory = Memory::new();
    assert!(matches!(
        acpi::write(&mut memory.image(), &layout(), &many, RESET),
        Err(Error::NoRoom { .. })
    ));
}

#[test]
fn nothing_is_written_outside_its_place() {
    let tables = tables(&[1, 0]);
    let (start, end) = (layout().acpi, layout().park_code);
    let ones = |at: u64, len: usize| {
        tables
            .memory
            .bytes(at, len)
            .iter()
            .all(|&byte| byte == 0xff)
    };
    assert!(ones(start - 4096, 4096));
    assert!(ones(end, 4096));
    assert!(ones(common::LOW, 0x2_0000));
}
