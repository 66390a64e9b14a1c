//! Log rings: `defmt` frames, or text, that outlive the kernel which wrote them.

use crate::header::PageHeader;

abi_struct! {
    /// Header of a ring; the bytes follow it. Writer: one kernel, under its own lock; reader:
    /// anyone, who takes the newest `min(head, capacity)` bytes that end at `head % capacity`.
    pub struct RingHeader: 64 {
        /// Kind of the section.
        pub header: PageHeader, @ 0;
        /// Bytes written since the start. Stored with release after the bytes.
        pub head: u64, @ 32;
        /// Bytes of the ring: the section's size less this header.
        pub capacity: u32, @ 40;
        /// Written as zero.
        pub reserved: [u8; 20], @ 44;
    }
}
