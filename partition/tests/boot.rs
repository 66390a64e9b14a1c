//! What the kernel's first code reads: zero page, e820 table, command line, trampoline
//! (`Documentation/arch/x86/{boot,zero-page}.rst`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{layout, Memory, BASE, LOW, SIZE};
use handoff_abi::park::ParkSlot;
use partition::layout::{ACPI_SIZE, COMMAND_LINE_SIZE, FIRMWARE_SIZE, LOW_RESERVED, LOW_SIZE};
use partition::{boot_params, page_tables, park, trampoline, Error, Layout};

const ECAM: (u64, u64) = (0xb000_0000, 0xc000_0000);

/// A setup header: what a bzImage has from 0x1f1 on, here a pattern, as long as its own length
/// byte would have it.
fn setup_header() -> Vec<u8> {
    (0..0x80u8).collect()
}

fn written(command_line: &str) -> Memory {
    let mut memory = Memory::new();
    boot_params::write(
        &mut memory.image(),
        &layout(),
        &setup_header(),
        command_line,
        &[ECAM],
    )
    .unwrap();
    memory
}

fn e820(memory: &Memory) -> Vec<(u64, u64, u32)> {
    let page = layout().boot_params;
    let count = u64::from(memory.u8(page + 0x1e8));
    (0..count)
        .map(|entry| page + 0x2d0 + 20 * entry)
        .map(|at| {
            let (start, size) = (memory.u64(at), memory.u64(at + 8));
            (start, start + size, memory.u32(at + 16))
        })
        .collect()
}

#[test]
fn the_fields_of_the_zero_page() {
    let memory = written("quiet");
    let (page, layout) = (layout().boot_params, layout());
    let wide = |low: u64, high: u64| u64::from(memory.u32(high)) << 32 | u64::from(memory.u32(low));
    assert_eq!(memory.u8(page + 0x210), 0xff, "type_of_loader");
    assert_eq!(memory.u16(page + 0x1fa), 0xffff, "vid_mode");
    assert_eq!(wide(page + 0x218, page + 0xc0), layout.initrd);
    assert_eq!(wide(page + 0x21c, page + 0xc4), layout.initrd_size);
    assert_eq!(wide(page + 0x228, page + 0xc8), layout.command_line);
    assert_eq!(memory.u32(page + 0x214), layout.kernel as u32);
    assert_eq!(memory.u64(page + 0x70), layout.acpi, "acpi_rsdp_addr");
}

#[test]
fn the_rest_of_the_setup_header_is_the_kernels() {
    let memory = written("");
    let page = layout().boot_params;
    // Offsets from 0x1f1 that are the loader's.
    let ours: Vec<usize> = [0x1fa..0x1fc, 0x210..0x211, 0x214..0x220, 0x228..0x22c]
        .into_iter()
        .flatten()
        .collect();
    for (offset, byte) in (0x1f1..).zip(setup_header()) {
        if !ours.contains(&offset) {
            assert_eq!(memory.u8(page + offset as u64), byte, "{offset:#x}");
        }
    }
    // Everything else is zero, above all the screen and the EFI information.
    for offset in (0..0x1e8u64)
        .filter(|offset| !(0x70..0x78).contains(offset) && !(0xc0..0xcc).contains(offset))
    {
        assert_eq!(memory.u8(page + offset), 0, "{offset:#x}");
    }
}

#[test]
fn a_hostile_length_does_not_reach_the_e820_table() {
    let mut memory = Memory::new();
    let header = vec![0x5a; 4096];
    boot_params::write(&mut memory.image(), &layout(), &header, "", &[]).unwrap();
    assert_eq!(e820(&memory).len(), 6);
    assert_eq!(e820(&memory)[0].0, LOW);
}

#[test]
fn ram_is_the_partitions_and_nothing_else() {
    let memory = written("");
    let layout = layout();
    let table = e820(&memory);
    let of = |kind| {
        let ranges = table.iter().filter(move |range| range.2 == kind);
        ranges.map(|range| (range.0, range.1)).collect::<Vec<_>>()
    };
    assert_eq!(
        of(1),
        [(LOW + LOW_RESERVED, LOW + LOW_SIZE), (BASE, layout.region)]
    );
    assert_eq!(of(3), [(layout.acpi, layout.acpi + ACPI_SIZE)]);
    assert_eq!(
        of(2),
        [
            (LOW, LOW + LOW_RESERVED),
            (layout.region, layout.acpi),
            (layout.acpi + ACPI_SIZE, BASE + SIZE),
            ECAM,
        ]
    );
    // What the 2nd OS must not destroy is in none of the RAM.
    for kept in [
        layout.region,
        layout.acpi,
        layout.park_code,
        layout.mailbox,
        layout.park_slots,
        layout.park_tables,
        layout.boot_params,
        layout.command_line,
        layout.ssdt,
        layout.low_base,
        layout.boot_tables(),
    ] {
        assert!(!of(1)
            .iter()
            .any(|&(start, end)| start <= kept && kept < end));
    }
    let mut sorted: Vec<_> = table.iter().map(|range| (range.0, range.1)).collect();
    sorted.sort_unstable();
    assert!(
        sorted.windows(2).all(|pair| pair[0].1 <= pair[1].0),
        "ranges overlap"
    );
    assert!(
        sorted.iter().all(|range| range.0 < range.1),
        "an empty range"
    );
}

#[test]
fn the_command_line_ends_in_nul_or_is_refused() {
    let longest = "x".repeat(COMMAND_LINE_SIZE - 1);
    let memory = written(&longest);
    let bytes = memory.bytes(layout().command_line, COMMAND_LINE_SIZE);
    assert_eq!(&bytes[..longest.len()], longest.as_bytes());
    assert_eq!(bytes[longest.len()], 0);
    let mut memory = Memory::new();
    let longer = "x".repeat(COMMAND_LINE_SIZE);
    assert!(matches!(
        boot_params::write(&mut memory.image(), &layout(), &[], &longer, &[]),
        Err(Error::NoRoom { .. })
    ));
}

#[test]
fn too_many_or_reversed_ranges_are_refused() {
    let mut memory = Memory::new();
    let many = vec![ECAM; 123];
    assert!(matches!(
        boot_params::write(&mut memory.image(), &layout(), &[], "", &many),
        Err(Error::NoRoom { .. })
    ));
    boot_params::write(&mut memory.image(), &layout(), &[], "", &many[..122]).unwrap();
    assert_eq!(e820(&memory).len(), 128);
    assert!(matches!(
        boot_params::write(&mut memory.image(), &layout(), &[], "", &[(2, 1)]),
        Err(Error::Range { .. })
    ));
}

#[test]
fn nothing_in_a_layout_overlaps() {
    let layout = layout();
    let size_of_slots = (handoff_abi::machine::MAX_CPUS * size_of::<ParkSlot>()) as u64;
    let places = [
        (layout.kernel, layout.kernel + (4 << 20)),
        (layout.initrd, layout.initrd + layout.initrd_size),
        (
            layout.region,
            layout.region + handoff_abi::region::REGION_SIZE as u64,
        ),
        (layout.acpi, layout.acpi + ACPI_SIZE),
        (layout.park_code, layout.park_code + 4096),
        (layout.mailbox, layout.mailbox + 4096),
        (layout.park_slots, layout.park_slots + size_of_slots),
        (
            layout.park_tables,
            layout.park_tables + partition::layout::PARK_TABLES_SIZE,
        ),
        (layout.boot_params, layout.boot_params + 4096),
        (layout.command_line, layout.command_line + 4096),
        (layout.ssdt, layout.ssdt + partition::layout::SSDT_SIZE),
    ];
    for pair in places.windows(2) {
        assert!(
            pair[0].1 <= pair[1].0,
            "{:#x} and {:#x}",
            pair[0].0,
            pair[1].0
        );
    }
    assert!(places[0].0 >= BASE && places[10].1 <= BASE + SIZE);
    assert_eq!(layout.region, BASE + SIZE - FIRMWARE_SIZE);
}

#[test]
fn the_trampoline_knows_where_everything_is() {
    let mut memory = Memory::new();
    let tables = layout().boot_tables();
    let room = LOW + LOW_RESERVED - tables;
    let roots = page_tables::write(&mut memory.image(), &layout(), tables, room).unwrap();
    trampoline::write(&mut memory.image(), &layout(), roots.pml4).unwrap();
    assert_eq!(memory.u64(LOW + 0x10), roots.pml4);
    assert!(roots.pml4 < 1 << 20, "CR3 has 32 bits before long mode");
    assert_eq!(memory.u64(LOW + 0x18), layout().boot_params);
    assert_eq!(memory.u64(LOW + 0x20), layout().kernel + 0x200);
    assert_eq!(memory.u64(LOW + 0x28), LOW);
    assert_eq!(memory.u64(LOW + trampoline::PROGRESS), 0);
    assert_eq!(memory.u32(LOW + 0x62), LOW as u32 + 0x40, "GDT base");
    assert_eq!(memory.u32(LOW + 0x68), LOW as u32 + 0xb0, "32-bit entry");
    assert_eq!(memory.u16(LOW + 0x6c), 0x08);
    assert_eq!(memory.u32(LOW + 0x70), LOW as u32 + 0x100, "64-bit entry");
    assert_eq!(memory.u16(LOW + 0x74), 0x10);
    assert!(matches!(
        trampoline::write(&mut memory.image(), &layout(), 1 << 32),
        Err(Error::Range { .. })
    ));
}

#[test]
fn each_cpu_has_a_slot_and_the_mailbox_is_empty() {
    let mut memory = Memory::new();
    let roots = page_tables::Roots {
        pml4: 0x1000,
        pml5: 0x2000,
    };
    let ids = [2, 0, 300];
    park::write(&mut memory.image(), &layout(), roots, &ids).unwrap();
    let (page, slots) = (layout().park_code, layout().park_slots);
    for (slot, id) in (slots..).step_by(size_of::<ParkSlot>()).zip(ids) {
        assert_eq!(memory.u64(slot), u64::from(id));
        assert_eq!(memory.u64(slot + 80), layout().mailbox);
        assert_eq!(memory.u64(slot + 144), 0, "not parked yet");
        // Its own GDT and IDT, in the parking page.
        assert_eq!(memory.u16(slot + 112), 31);
        assert_eq!(memory.u64(slot + 114), page + 0x900);
        assert_eq!(memory.u16(slot + 128), 511);
        assert_eq!(memory.u64(slot + 130), page + 0xa00);
    }
    assert!(memory
        .bytes(layout().mailbox, 4096)
        .iter()
        .all(|&byte| byte == 0));
    assert_eq!(memory.u64(page + 0x800), roots.pml4);
    assert_eq!(memory.u64(page + 0x808), roots.pml5);
    assert_eq!(memory.u64(page + 0x810), slots);
    assert_eq!(memory.u64(page + 0x818), ids.len() as u64);
    let many = vec![0; handoff_abi::machine::MAX_CPUS + 1];
    assert!(park::write(&mut memory.image(), &layout(), roots, &many).is_err());
}

/// The assembly names fields of a slot by number: each number is that of a field.
#[test]
fn the_parking_code_uses_the_offsets_of_the_slot() {
    let source = include_str!("../src/park.S");
    let fields = ParkSlot::ABI.fields;
    let mut used = Vec::new();
    for base in ["(%rbx)", "(%rdi)"] {
        for (at, _) in source.match_indices(base) {
            let before = &source[..at];
            let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            used.push(before[at - digits..].parse::<usize>().unwrap_or(0));
        }
    }
    for offset in &used {
        assert!(
            *offset == size_of::<ParkSlot>() || fields.iter().any(|field| field.offset == *offset),
            "park.S uses {offset}, which is no field of ParkSlot"
        );
    }
    let offset_of = |name| {
        fields
            .iter()
            .find(|field| field.name == name)
            .unwrap()
            .offset
    };
    for name in [
        "stop_word",
        "abort_value",
        "mailbox",
        "park_gdtr",
        "park_idtr",
        "parked",
    ] {
        assert!(
            used.contains(&offset_of(name)),
            "park.S does not use {name}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let new = |size| Layout::new(BASE, size, LOW, 0x20_0000, 4 << 20, 1 << 20);
    assert!(matches!(new(4 << 20), Err(Error::TooSmall { .. })));
    let layout = new(SIZE).unwrap();
    let mut memory = Memory::new();
    let mut image = memory.image();
    for at in [LOW - 1, LOW + LOW_SIZE, BASE - 1, layout.end(), u64::MAX] {
        assert!(matches!(image.write(at, &[0]), Err(Error::Outside { .. })));
    }
    assert!(image.write(layout.end() - 1, &[0, 0]).is_err());
    assert!(image.bytes_at(BASE, usize::MAX).is_err());
}
