//! A small partition in ordinary memory.
#![allow(dead_code)] // each test file uses a part of it

use partition::{Image, Layout};

pub const BASE: u64 = 0x1_4000_0000;
pub const SIZE: u64 = 16 << 20;
pub const LOW: u64 = 0x4_0000;

pub fn layout() -> Layout {
    Layout::new(BASE, SIZE, LOW, 0x20_0000, 4 << 20, 0x1234).unwrap()
}

/// The partition and the low window after `write`, both filled with ones before.
pub struct Memory {
    partition: Vec<u8>,
    low: Vec<u8>,
}

impl Memory {
    pub fn new() -> Self {
        Self {
            partition: vec![0xff; SIZE as usize],
            low: vec![0xff; 0x2_0000],
        }
    }

    pub fn image(&mut self) -> Image<'_> {
        Image::new(BASE, &mut self.partition, LOW, &mut self.low)
    }

    pub fn bytes(&self, at: u64, len: usize) -> &[u8] {
        let (base, memory) = if at >= BASE {
            (BASE, &self.partition)
        } else {
            (LOW, &self.low)
        };
        let start = usize::try_from(at - base).unwrap();
        &memory[start..start + len]
    }

    pub fn u8(&self, at: u64) -> u8 {
        self.bytes(at, 1)[0]
    }

    pub fn u16(&self, at: u64) -> u16 {
        u16::from_le_bytes(self.bytes(at, 2).try_into().unwrap())
    }

    pub fn u32(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.bytes(at, 4).try_into().unwrap())
    }

    pub fn u64(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.bytes(at, 8).try_into().unwrap())
    }
}

/// Whether `bytes` add up to zero, as every ACPI table does.
pub fn sums_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}
