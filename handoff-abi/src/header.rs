//! The first page of the region, and the header that every page begins with.

use crate::region::Section;

/// First bytes of every page of the region.
pub const PAGE_MAGIC: u32 = 0x4e54_4142; // "BATN", little endian

abi_struct! {
    /// What every page begins with. Written once by `baton load` before the 2nd OS starts; read
    /// by both sides. A page is used only if magic, version, kind and size are what the reader
    /// expects, and the generation is that of the header page.
    pub struct PageHeader: 32 {
        /// [`PAGE_MAGIC`].
        pub magic: u32, @ 0;
        /// [`crate::ABI_VERSION`].
        pub version: u32, @ 4;
        /// Which page this is: the number of its [`Section`].
        pub kind: u32, @ 8;
        /// Size of the whole section, bytes.
        pub size: u32, @ 12;
        /// Number of this handover since the machine booted: 1 for the first. The same in
        /// every page of a region, so that a page left by an earlier handover is told apart.
        pub generation: u64, @ 16;
        /// Written as zero.
        pub reserved: u64, @ 24;
    }
}

impl PageHeader {
    /// The header of `section` in the region of handover `generation`.
    #[must_use]
    pub const fn new(section: Section, generation: u64) -> Self {
        Self {
            magic: PAGE_MAGIC,
            version: crate::ABI_VERSION,
            kind: section.kind,
            size: section.size as u32,
            generation,
            reserved: 0,
        }
    }

    /// Whether this is the header of `section`.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub const fn check(&self, section: Section) -> Result<(), HeaderError> {
        if self.magic != PAGE_MAGIC {
            return Err(HeaderError::Magic(self.magic));
        }
        if self.version != crate::ABI_VERSION {
            return Err(HeaderError::Version(self.version));
        }
        if self.kind != section.kind {
            return Err(HeaderError::Kind(self.kind));
        }
        if self.size as usize != section.size {
            return Err(HeaderError::Size(self.size));
        }
        if self.reserved != 0 {
            return Err(HeaderError::Reserved);
        }
        Ok(())
    }
}

/// Why a page was refused. The number is what was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderError {
    /// Not one of Baton's pages.
    Magic(u32),
    /// Written by another version of Baton.
    Version(u32),
    /// Another page than the one that belongs here.
    Kind(u32),
    /// The section has another size than this version gives it.
    Size(u32),
    /// A reserved field is not zero.
    Reserved,
    /// The page belongs to another handover.
    Generation(u64),
}

abi_struct! {
    /// The region's first page: where everything is. Written by `baton load` before the 2nd OS
    /// starts, never changed after; read by both sides.
    pub struct HeaderPage: 4096 {
        /// Kind [`crate::region::HEADER`].
        pub header: PageHeader, @ 0;
        /// Physical address of this region.
        pub region_base: u64, @ 32;
        /// [`crate::region::REGION_SIZE`].
        pub region_size: u64, @ 40;
        /// Physical start of the partition the 2nd OS runs in.
        pub partition_base: u64, @ 48;
        /// Size of the partition, bytes; the region is inside it.
        pub partition_size: u64, @ 56;
        /// Physical start of the window below 1 MiB that was given to the 2nd OS.
        pub low_base: u64, @ 64;
        /// Size of that window, bytes.
        pub low_size: u64, @ 72;
        /// Physical address of the wakeup mailbox ([`crate::park::Mailbox`]).
        pub mailbox: u64, @ 80;
        /// Physical address of the first [`crate::park::ParkSlot`].
        pub park_slots: u64, @ 88;
        /// Number of park slots.
        pub park_slot_count: u64, @ 96;
        /// Physical address of the parking code.
        pub park_code: u64, @ 104;
        /// Physical address of the parking page table for CPUs in 4-level paging.
        pub park_pml4: u64, @ 112;
        /// The same for CPUs in 5-level paging; its first entry leads to the former.
        pub park_pml5: u64, @ 120;
        /// Physical address of the SSDT that describes the PCI host bridges.
        pub ssdt: u64, @ 128;
        /// Length of the SSDT, bytes.
        pub ssdt_size: u64, @ 136;
        /// Offset of the parking loop's entry in the parking code.
        pub park_entry: u64, @ 144;
        /// Offset in the parking code of the entry for a CPU that the 2nd OS takes offline
        /// (the reset vector of the mailbox, version 1).
        pub park_reset: u64, @ 152;
        /// APIC ID of the CPU that the 2nd OS was started on.
        pub second_apic_id: u32, @ 160;
        /// Written as zero.
        pub reserved0: u32, @ 164;
        /// Release (`uname -r`) of the 2nd OS's kernel, NUL-terminated.
        pub second_release: [u8; 128], @ 168;
        /// Release of the 1st OS's kernel, NUL-terminated.
        pub first_release: [u8; 128], @ 296;
        /// Written as zero.
        pub reserved: [u8; 3672], @ 424;
    }
}
