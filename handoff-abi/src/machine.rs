//! The machine as the 1st OS knows it, for a kernel that never saw its firmware.

use crate::header::PageHeader;

/// Most CPUs that a handover carries.
pub const MAX_CPUS: usize = 256;
/// Most ranges of RAM.
pub const MAX_RANGES: usize = 128;
/// Most PCI host bridges.
pub const MAX_BRIDGES: usize = 8;
/// Most windows of one bridge.
pub const MAX_WINDOWS: usize = 16;

abi_struct! {
    /// A range of physical memory.
    pub struct MemoryRange: 24 {
        /// First byte.
        pub base: u64, @ 0;
        /// Length, bytes.
        pub size: u64, @ 8;
        /// A [`RangeKind`].
        pub kind: u32, @ 16;
        /// Written as zero.
        pub reserved: u32, @ 20;
    }
}

open_int! {
    /// What a range is.
    pub struct RangeKind(u32) {
        /// RAM that the 1st OS uses.
        FIRST = 1, "memory of the 1st OS";
        /// RAM below 1 MiB of the machine, whoever uses it now.
        LOW = 2, "low memory";
        /// ECAM of a PCI segment.
        ECAM = 3, "PCI ECAM";
        /// The partition of the 2nd OS.
        PARTITION = 4, "partition";
        /// Registers of an I/O APIC.
        IOAPIC = 5, "I/O APIC";
    }
}

open_int! {
    /// Kind of a bridge window.
    pub struct WindowKind(u32) {
        /// I/O ports.
        IO = 1, "I/O ports";
        /// Memory.
        MEMORY = 2, "memory";
        /// Prefetchable memory.
        PREFETCHABLE = 3, "prefetchable memory";
    }
}

abi_struct! {
    /// A window of a PCI host bridge, in CPU addresses.
    pub struct PciWindow: 32 {
        /// First address.
        pub start: u64, @ 0;
        /// Last address, inclusive.
        pub end: u64, @ 8;
        /// Bus address minus CPU address (`struct resource_entry.offset`, negated).
        pub translation: u64, @ 16;
        /// A [`WindowKind`].
        pub kind: u32, @ 24;
        /// Written as zero.
        pub reserved: u32, @ 28;
    }
}

abi_struct! {
    /// A PCI host bridge.
    pub struct PciBridge: 544 {
        /// PCI segment (domain).
        pub segment: u32, @ 0;
        /// First bus.
        pub bus_start: u32, @ 4;
        /// Last bus, inclusive.
        pub bus_end: u32, @ 8;
        /// Number of windows in use.
        pub window_count: u32, @ 12;
        /// Physical address of the ECAM of bus 0 of the segment; 0 if there is none.
        pub ecam: u64, @ 16;
        /// Written as zero.
        pub reserved: u64, @ 24;
        /// Windows, the first `window_count` in use.
        pub windows: [PciWindow; 16], @ 32;
    }
}

abi_struct! {
    /// The machine. Written by `baton load`; read by the 2nd OS, and passed on by it when it is
    /// the 1st OS of the next handover.
    pub struct MachinePage: 20480 {
        /// Kind [`crate::region::MACHINE`].
        pub header: PageHeader, @ 0;
        /// TSC frequency, kHz.
        pub tsc_khz: u64, @ 32;
        /// Number of CPUs, parked and not.
        pub cpu_count: u32, @ 40;
        /// Number of ranges in use.
        pub range_count: u32, @ 44;
        /// Number of bridges in use.
        pub bridge_count: u32, @ 48;
        /// APIC ID of the bootstrap processor of the machine.
        pub bsp_apic_id: u32, @ 52;
        /// Bytes of a memory block (`/sys/devices/system/memory/block_size_bytes`).
        pub memory_block_size: u64, @ 56;
        /// APIC IDs, the first `cpu_count` in use.
        pub apic_ids: [u32; 256], @ 64;
        /// Ranges, the first `range_count` in use.
        pub ranges: [MemoryRange; 128], @ 1088;
        /// Bridges, the first `bridge_count` in use.
        pub bridges: [PciBridge; 8], @ 4160;
        /// Written as zero.
        pub reserved: [u8; 11968], @ 8512;
    }
}
