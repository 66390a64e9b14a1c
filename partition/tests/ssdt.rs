//! The SSDT, decoded again by a checker that knows just the byte code that it may contain (ACPI
//! specification 6.5, chapter 20) and the resource descriptors of 6.4.3.5.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code
)]

mod common;

use common::sums_to_zero;
use handoff_abi::machine::{PciBridge, PciWindow, WindowKind};
use partition::aml::Ssdt;
use partition::Error;
use std::collections::BTreeMap;
use zerocopy::FromZeros;

/// A device's names and values.
#[derive(Debug, Default)]
struct Device {
    name: String,
    integers: BTreeMap<String, u64>,
    buffer: Vec<u8>,
}

/// Bytes that are consumed from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(len);
        self.0 = rest;
        front
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn name(&mut self) -> String {
        let bytes = self.take(4);
        let (lead, rest) = bytes.split_first().unwrap();
        assert!(matches!(lead, b'A'..=b'Z' | b'_'), "{bytes:?}");
        assert!(rest
            .iter()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'_' | b'0'..=b'9')));
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// The content of a package: its length counts the length bytes themselves (20.2.4).
    fn package(&mut self) -> Cursor<'a> {
        let before = self.0.len();
        let lead = self.byte();
        let more = usize::from(lead >> 6);
        let length = if more == 0 {
            usize::from(lead & 0x3f)
        } else {
            assert_eq!(lead & 0x30, 0, "reserved bits");
            let high = self.take(more).iter().rev();
            let high = high.fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            high << 4 | usize::from(lead & 0xf)
        };
        let used = before - self.0.len();
        Cursor(self.take(length - used))
    }

    fn integer(&mut self) -> u64 {
        let width = match self.byte() {
            0x0a => 1,
            0x0b => 2,
            0x0c => 4,
            0x0e => 8,
            other => panic!("{other:#x} is no integer prefix"),
        };
        let bytes = self.take(width).iter().rev();
        bytes.fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

fn decode(table: &[u8]) -> Vec<Device> {
    assert_eq!(&table[..4], b"SSDT");
    let length = u32::from_le_bytes(table[4..8].try_into().unwrap());
    assert_eq!(length as usize, table.len());
    assert!(table[8] >= 2, "with revision 1 integers would have 32 bits");
    assert!(sums_to_zero(table));
    let mut code = Cursor(&table[36..]);
    assert_eq!(code.byte(), 0x10, "Scope");
    let mut scope = code.package();
    assert!(code.0.is_empty(), "bytes behind the scope");
    assert_eq!(scope.byte(), b'\\');
    assert_eq!(scope.name(), "_SB_");
    let mut devices = Vec::new();
    while !scope.0.is_empty() {
        assert_eq!(scope.take(2), [0x5b, 0x82], "Device");
        devices.push(device(scope.package()));
    }
    devices
}

fn device(mut code: Cursor<'_>) -> Device {
    let mut device = Device {
        name: code.name(),
        ..Device::default()
    };
    while !code.0.is_empty() {
        assert_eq!(code.byte(), 0x08, "Name");
        let name = code.name();
        if code.0[0] == 0x11 {
            assert_eq!(name, "_CRS");
            code.byte();
            let mut buffer = code.package();
            let size = buffer.integer();
            assert_eq!(size as usize, buffer.0.len(), "declared and real size");
            device.buffer = buffer.0.to_vec();
        } else {
            let value = code.integer();
            assert!(device.integers.insert(name, value).is_none());
        }
    }
    device
}

/// An address space descriptor.
#[derive(Debug, PartialEq, Eq)]
struct Resource {
    kind: u8,
    flags: u8,
    min: u64,
    max: u64,
    translation: u64,
    length: u64,
}

fn resources(bytes: &[u8]) -> Vec<Resource> {
    let mut code = Cursor(bytes);
    let mut list = Vec::new();
    loop {
        let tag = code.byte();
        if tag == 0x79 {
            code.byte();
            assert!(code.0.is_empty(), "bytes behind the end tag");
            return list;
        }
        let length = usize::from(u16::from_le_bytes(code.take(2).try_into().unwrap()));
        let mut body = Cursor(code.take(length));
        let (kind, general, flags) = (body.byte(), body.byte(), body.byte());
        assert_eq!(general & 0x0f, 0x0c, "producer, positive, both ends fixed");
        let width = match tag {
            0x88 => 2,
            0x8a => 8,
            other => panic!("descriptor {other:#x}"),
        };
        let mut word = || {
            let bytes = body.take(width).iter().rev();
            bytes.fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let granularity = word();
        assert_eq!(granularity, 0);
        let resource = Resource {
            kind,
            flags,
            min: word(),
            max: word(),
            translation: word(),
            length: word(),
        };
        assert!(body.0.is_empty());
        assert_eq!(
            resource.length,
            resource.max - resource.min + 1,
            "{resource:?}"
        );
        list.push(resource);
    }
}

fn window(kind: WindowKind, start: u64, end: u64) -> PciWindow {
    PciWindow {
        start,
        end,
        translation: 0,
        kind: kind.0,
        reserved: 0,
    }
}

fn bridge(windows: &[PciWindow]) -> PciBridge {
    let mut bridge = PciBridge::new_zeroed();
    bridge.bus_end = 0xff;
    bridge.ecam = 0xb000_0000;
    bridge.window_count = windows.len() as u32;
    bridge.windows[..windows.len()].copy_from_slice(windows);
    bridge
}

#[test]
fn a_machine_like_q35() {
    let windows = [
        window(WindowKind::IO, 0, 0xcf7),
        window(WindowKind::IO, 0xd00, 0xffff),
        window(WindowKind::MEMORY, 0x8000_0000, 0xafff_ffff),
        window(WindowKind::PREFETCHABLE, 0x80_0000_0000, 0xff_ffff_ffff),
    ];
    let table = Ssdt::new(&[bridge(&windows)]).unwrap();
    let devices = decode(table.as_bytes());
    assert_eq!(devices.len(), 1);
    let device = &devices[0];
    assert_eq!(device.name, "BR00");
    // EISAID of PNP0A08 and PNP0A03: the letters in 5 bits each, big-endian.
    let eisa = |product: u16| -> u64 {
        let letter = |c: u8| u32::from(c - 0x40);
        let vendor = letter(b'P') << 10 | letter(b'N') << 5 | letter(b'P');
        u64::from((vendor << 16 | u32::from(product)).swap_bytes())
    };
    assert_eq!(device.integers["_HID"], eisa(0x0a08));
    assert_eq!(device.integers["_CID"], eisa(0x0a03));
    assert_eq!(device.integers["_SEG"], 0);
    assert_eq!(device.integers["_BBN"], 0);
    assert_eq!(device.integers["_UID"], 0);
    assert_eq!(device.integers["_CBA"], 0xb000_0000);
    let list = resources(&device.buffer);
    assert_eq!(
        list[0],
        Resource {
            kind: 2,
            flags: 0,
            min: 0,
            max: 0xff,
            translation: 0,
            length: 0x100
        }
    );
    let kinds: Vec<(u8, u8)> = list.iter().map(|r| (r.kind, r.flags)).collect();
    assert_eq!(kinds, [(2, 0), (1, 3), (1, 3), (0, 1), (0, 7)]);
    for (resource, window) in list[1..].iter().zip(windows) {
        assert_eq!((resource.min, resource.max), (window.start, window.end));
        assert_eq!(resource.translation, 0);
    }
}

#[test]
fn a_window_whose_bus_addresses_differ() {
    // The bus sees 0 where the CPU sees 1 TiB.
    let mut shifted = window(WindowKind::MEMORY, 1 << 40, (1 << 40) + 0xffff);
    shifted.translation = (1u64 << 40).wrapping_neg();
    let table = Ssdt::new(&[bridge(&[shifted])]).unwrap();
    let list = resources(&decode(table.as_bytes())[0].buffer);
    assert_eq!((list[1].min, list[1].max), (0, 0xffff));
    // "the offset that must be added to a bus address to get the CPU's" (6.4.3.5.1)
    assert_eq!(list[1].min + list[1].translation, 1 << 40);
}

#[test]
fn as_many_bridges_and_windows_as_the_machine_page_holds() {
    let windows = [window(WindowKind::MEMORY, 0x1000, 0x1fff); 16];
    let bridges: Vec<PciBridge> = (0..8)
        .map(|number| {
            let mut bridge = bridge(&windows);
            bridge.segment = number;
            bridge.bus_start = 0x10 * number;
            bridge.bus_end = 0x10 * number + 0xf;
            bridge.ecam = if number == 3 { 0 } else { 0x40_0000_0000 };
            bridge
        })
        .collect();
    let table = Ssdt::new(&bridges).unwrap();
    let devices = decode(table.as_bytes());
    for (number, device) in (0u64..).zip(&devices) {
        assert_eq!(device.name, format!("BR{number:02X}"));
        assert_eq!(device.integers["_UID"], number);
        assert_eq!(device.integers["_SEG"], number);
        assert_eq!(device.integers["_BBN"], 0x10 * number);
        assert_eq!(device.integers.contains_key("_CBA"), number != 3);
        let list = resources(&device.buffer);
        assert_eq!(list.len(), 17);
        assert_eq!((list[0].min, list[0].length), (0x10 * number, 16));
    }
    assert_eq!(devices.len(), 8);
    assert!(table.as_bytes().len() <= partition::layout::SSDT_SIZE as usize);
}

#[test]
fn no_bridge_and_too_many() {
    let table = Ssdt::new(&[]).unwrap();
    assert!(decode(table.as_bytes()).is_empty());
    let many = vec![bridge(&[window(WindowKind::IO, 0, 1); 16]); 64];
    assert!(matches!(Ssdt::new(&many), Err(Error::NoRoom { .. })));
    let mut hostile = bridge(&[]);
    hostile.window_count = u32::MAX;
    assert!(matches!(Ssdt::new(&[hostile]), Err(Error::NoRoom { .. })));
}
