//! The mounted, disk-backed file systems of the 1st OS.

use crate::header::PageHeader;

/// Most file systems that a handover carries.
pub const MAX_FILESYSTEMS: usize = 63;

bitfield::bitfield! {
    /// Flags of a [`FilesystemEntry`].
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct FilesystemFlags(u32);
    impl Debug;
    /// It is the root file system.
    pub root, set_root: 0;
    /// It was mounted read-only.
    pub read_only, set_read_only: 1;
    /// `uncommitted` in the descriptor holds for it: inodes know the journal transaction that
    /// last changed them (ext4).
    pub has_journal_tids, set_has_journal_tids: 2;
    /// Inodes count the changes that are not in the log on the disk (xfs).
    pub has_pin_counts, set_has_pin_counts: 3;
}

impl FilesystemFlags {
    /// From the word on the wire.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// To the word on the wire.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

abi_struct! {
    /// One file system. Written by `baton load` and again by `baton update`; read by the
    /// migrator on the 2nd OS.
    pub struct FilesystemEntry: 1024 {
        /// Kernel-virtual address of its `struct super_block` in the 1st OS.
        pub super_block: u64, @ 0;
        /// `s_dev` in the kernel's own encoding (major << 20 | minor).
        pub device: u32, @ 8;
        /// [`FilesystemFlags`].
        pub flags: u32, @ 12;
        /// `s_magic`, to be found again at `super_block`.
        pub magic: u64, @ 16;
        /// Name of the file system type, NUL-terminated.
        pub fs_type: [u8; 32], @ 24;
        /// Where the root of it is mounted, NUL-terminated; the shortest, if there are several.
        pub mount_point: [u8; 512], @ 56;
        /// Identity of the block device that does not depend on the kernel: PCI addresses, unit
        /// and partition, NUL-terminated.
        pub identity: [u8; 256], @ 568;
        /// Written as zero.
        pub reserved: [u8; 200], @ 824;
    }
}

abi_struct! {
    /// All of them.
    pub struct FilesystemPage: 65536 {
        /// Kind [`crate::region::FILESYSTEMS`].
        pub header: PageHeader, @ 0;
        /// Number of entries in use.
        pub count: u32, @ 32;
        /// Written as zero.
        pub reserved: [u8; 988], @ 36;
        /// Entries, the first `count` in use.
        pub entries: [FilesystemEntry; 63], @ 1024;
    }
}
