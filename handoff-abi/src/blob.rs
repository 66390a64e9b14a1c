//! Sections of bytes that only userland reads: a header, then `length` bytes.
//!
//! Their content is written and read by the same build of the `baton` command (the agent in the
//! 2nd OS's initramfs is the command that ran `baton load`), so its form is not part of the
//! kernels' contract; the length and checksum are.

use crate::header::PageHeader;

abi_struct! {
    /// Header of a blob. Writer: the `baton` command on the 1st OS; reader: the agent on the 2nd.
    pub struct BlobHeader: 64 {
        /// Kind of the section.
        pub header: PageHeader, @ 0;
        /// Bytes that follow this header.
        pub length: u32, @ 32;
        /// CRC-32 (IEEE) of them.
        pub crc32: u32, @ 36;
        /// Number of times the blob was written; odd while a write is under way.
        pub sequence: u64, @ 40;
        /// Written as zero.
        pub reserved: [u8; 16], @ 48;
    }
}
