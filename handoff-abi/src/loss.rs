//! What could not be carried over, by path. An empty list means that everything came over.

use crate::header::PageHeader;

abi_struct! {
    /// Header of the list; records follow it, each a little-endian `u16` length and so many
    /// bytes of UTF-8: `path: why`. Writer: 2nd OS; reader: `baton report`.
    pub struct LossHeader: 64 {
        /// Kind [`crate::region::LOSSES`].
        pub header: PageHeader, @ 0;
        /// Bytes of records that follow.
        pub length: u32, @ 32;
        /// Number of records.
        pub count: u32, @ 36;
        /// Number of losses that found no room in the list.
        pub dropped: u32, @ 40;
        /// Written as zero.
        pub reserved: [u8; 20], @ 44;
    }
}
