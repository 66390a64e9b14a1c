//! The SSDT that gives the 2nd OS the PCI host bridges at the takeover (ACPI specification 6.5,
//! chapter 20 for the byte code, 6.4 for resource descriptors; PCI firmware specification 3.3,
//! 4.1 for `_CBA`).
//!
//! For each bridge of the 1st OS:
//! ```text
//! Device (BRn) { _HID PNP0A08, _CID PNP0A03, _SEG, _BBN, _UID, _CBA, _CRS { buses, windows } }
//! ```

use crate::acpi::seal;
use crate::image::Error;
use crate::layout::SSDT_SIZE;
use handoff_abi::machine::{PciBridge, PciWindow, WindowKind};

/// Room for the table.
const ROOM: usize = SSDT_SIZE as usize;
/// A table header.
const HEADER: usize = 36;

const NAME_OP: u8 = 0x08;
const SCOPE_OP: u8 = 0x10;
const BUFFER_OP: u8 = 0x11;
const DEVICE_OP: [u8; 2] = [0x5b, 0x82];
const BYTE_PREFIX: u8 = 0x0a;
const WORD_PREFIX: u8 = 0x0b;
const DWORD_PREFIX: u8 = 0x0c;
const QWORD_PREFIX: u8 = 0x0e;

/// `EISAID("PNP0A08")` and `EISAID("PNP0A03")`.
const PNP0A08: u32 = 0x080a_d041;
const PNP0A03: u32 = 0x030a_d041;

const WORD_ADDRESS_SPACE: u8 = 0x88;
const QWORD_ADDRESS_SPACE: u8 = 0x8a;
const END_TAG: [u8; 2] = [0x79, 0];

const RESOURCE_MEMORY: u8 = 0;
const RESOURCE_IO: u8 = 1;
const RESOURCE_BUS: u8 = 2;
/// Producer, positive decode, minimum and maximum fixed.
const FIXED: u8 = 0x0c;
/// Memory: read-write; cacheable by type in bits 1–2 (3 is prefetchable).
const MEMORY_UNCACHED: u8 = 0x01;
const MEMORY_PREFETCHABLE: u8 = 0x07;
/// I/O: the entire range.
const IO_ENTIRE: u8 = 0x03;

/// An SSDT and its length.
#[derive(Clone)]
pub struct Ssdt {
    bytes: [u8; ROOM],
    len: usize,
}

impl Ssdt {
    /// The table for `bridges`, those that are in use.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if there are more bridges or windows than fit.
    pub fn new(bridges: &[PciBridge]) -> Result<Self, Error> {
        let mut table = Self {
            bytes: [0; ROOM],
            len: HEADER,
        };
        table.package(&[SCOPE_OP], |table| {
            table.put(b"\\_SB_")?;
            for (number, bridge) in (0u8..).zip(bridges) {
                table.bridge(number, bridge)?;
            }
            Ok(())
        })?;
        let len = table.len;
        let bytes = table.bytes.get_mut(..len).ok_or(NO_ROOM)?;
        seal(bytes, b"SSDT", 2)?;
        Ok(table)
    }

    /// The table's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn bridge(&mut self, number: u8, bridge: &PciBridge) -> Result<(), Error> {
        self.package(&DEVICE_OP, |table| {
            table.put(&[b'B', b'R', hex_digit(number >> 4), hex_digit(number & 0xf)])?;
            table.name(b"_HID", u64::from(PNP0A08))?;
            table.name(b"_CID", u64::from(PNP0A03))?;
            table.name(b"_SEG", u64::from(bridge.segment))?;
            table.name(b"_BBN", u64::from(bridge.bus_start))?;
            table.name(b"_UID", u64::from(number))?;
            if bridge.ecam != 0 {
                table.name(b"_CBA", bridge.ecam)?;
            }
            table.put(&[NAME_OP])?;
            table.put(b"_CRS")?;
            table.resources(bridge)
        })
    }

    fn resources(&mut self, bridge: &PciBridge) -> Result<(), Error> {
        let windows = bridge
            .windows
            .get(..bridge.window_count as usize)
            .ok_or(NO_ROOM)?;
        let size = 16 + 46 * windows.len() + END_TAG.len();
        self.package(&[BUFFER_OP], |table| {
            table.integer(size as u64)?;
            table.buses(bridge)?;
            for window in windows {
                table.window(window)?;
            }
            table.put(&END_TAG)
        })
    }

    fn buses(&mut self, bridge: &PciBridge) -> Result<(), Error> {
        let (first, last) = (bridge.bus_start as u16, bridge.bus_end as u16);
        let length = last.wrapping_sub(first).wrapping_add(1);
        self.put(&[WORD_ADDRESS_SPACE, 13, 0, RESOURCE_BUS, FIXED, 0])?;
        for word in [0, first, last, 0, length] {
            self.put(&word.to_le_bytes())?;
        }
        Ok(())
    }

    fn window(&mut self, window: &PciWindow) -> Result<(), Error> {
        let (resource, flags) = match WindowKind(window.kind) {
            WindowKind::IO => (RESOURCE_IO, IO_ENTIRE),
            WindowKind::PREFETCHABLE => (RESOURCE_MEMORY, MEMORY_PREFETCHABLE),
            _ => (RESOURCE_MEMORY, MEMORY_UNCACHED),
        };
        let length = window.end.wrapping_sub(window.start).wrapping_add(1);
        // Minimum and maximum are bus addresses; adding the translation gives CPU addresses.
        let offset = window.translation;
        self.put(&[QWORD_ADDRESS_SPACE, 43, 0, resource, FIXED, flags])?;
        let words = [
            0,
            window.start.wrapping_add(offset),
            window.end.wrapping_add(offset),
            offset.wrapping_neg(),
            length,
        ];
        for word in words {
            self.put(&word.to_le_bytes())?;
        }
        Ok(())
    }

    fn name(&mut self, name: &[u8; 4], value: u64) -> Result<(), Error> {
        self.put(&[NAME_OP])?;
        self.put(name)?;
        self.integer(value)
    }

    fn integer(&mut self, value: u64) -> Result<(), Error> {
        let bytes = value.to_le_bytes();
        let (prefix, width) = match value {
            0..=0xff => (BYTE_PREFIX, 1),
            0x100..=0xffff => (WORD_PREFIX, 2),
            0x1_0000..=0xffff_ffff => (DWORD_PREFIX, 4),
            _ => (QWORD_PREFIX, 8),
        };
        self.put(&[prefix])?;
        self.put(bytes.get(..width).unwrap_or_default())
    }

    /// `opcode`, a package length of always three bytes, and what `content` writes.
    fn package(
        &mut self,
        opcode: &[u8],
        content: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.put(opcode)?;
        let start = self.len;
        self.put(&[0; 3])?;
        content(self)?;
        let length = self.len - start;
        let lead = 2 << 6 | (length & 0xf) as u8;
        let encoded = [lead, (length >> 4) as u8, (length >> 12) as u8];
        let field = self.bytes.get_mut(start..start + 3).ok_or(NO_ROOM)?;
        field.copy_from_slice(&encoded);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.len + bytes.len();
        self.bytes
            .get_mut(self.len..end)
            .ok_or(NO_ROOM)?
            .copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

const NO_ROOM: Error = Error::NoRoom {
    what: "SSDT",
    room: ROOM,
};

const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 {
        b'0' + nibble
    } else {
        b'A' + nibble - 10
    }
}
