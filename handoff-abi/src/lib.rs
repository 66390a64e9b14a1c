//! The contract between two kernels.
//!
//! # Purpose
//! Baton replaces the running kernel (the **1st OS**) by another that was booted beside it (the
//! **2nd OS**). The two never share a compiler, a header or a lock. All they share is one range
//! of physical memory, the **handoff region**, and this crate is the only description of it: every
//! byte that one kernel writes and the other reads is a field of a type in here.
//!
//! # The story of a handover
//! 1. `baton load` lays the region out in the partition ([`region`]), writes the [`header`], the
//!    [`machine`] page, the offset [`descriptor`] and the table of [`filesystem`]s, and starts
//!    the 2nd OS, which gets the region's physical address on its command line.
//! 2. The 2nd OS checks the header, sets [`control::ControlPage::second_state`] to
//!    [`status::SecondState::READY`] and sleeps.
//! 3. `baton update` parks the CPUs of the 1st OS, publishes
//!    [`control::StopState::STOPPED`] in the stop word and sends an NMI.
//! 4. The 2nd OS takes the stop word (`STOPPED → TAKEN`), and when it is about to write to the
//!    first device, commits (`TAKEN → COMMITTED`). Until then either side may abort; each of
//!    these steps is one compare-and-swap on one word, so that exactly one side wins.
//! 5. The 2nd OS stamps the [`timeline`], lists in [`loss`] what it could not carry over, and is
//!    the 1st OS of the next handover.
//!
//! # Invariants
//! * C layout, fixed-width little-endian integers, explicit padding that is written as zero.
//!   No pointer, `usize`, `bool` or Rust enum is on the wire.
//! * Every page begins with a [`header::PageHeader`]. Size, alignment and offsets are asserted
//!   beside each type here, and again in C from the generated `kernel-glue/handoff.h`.
//! * A change of layout **or meaning** bumps [`ABI_VERSION`].
//! * Integers that name one of several things are open: an unknown value is carried, never
//!   undefined behaviour.
//!
//! # Not for
//! Access. Reading and writing memory that the other kernel may write at the same time is the
//! job of `shared-page`; this crate forbids unsafe code and touches no memory.
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

#[macro_use]
mod layout;

pub mod blob;
pub mod checksum;
pub mod control;
pub mod descriptor;
pub mod filesystem;
pub mod header;
pub mod ioctl;
pub mod log;
pub mod loss;
pub mod machine;
pub mod park;
pub mod region;
pub mod status;
pub mod timeline;

pub use layout::{AbiField, AbiType};

/// Version of everything in this crate. Both sides refuse any other.
pub const ABI_VERSION: u32 = 2;

/// Size of a page of the region, and of a base page of every kernel in scope (x86-64).
pub const PAGE_SIZE: usize = 4096;

/// Every type that is on the wire, for the generator of the C header and for its drift check.
pub const ABI_TYPES: &[&AbiType] = &[
    &header::PageHeader::ABI,
    &header::HeaderPage::ABI,
    &control::ControlPage::ABI,
    &timeline::TimelinePage::ABI,
    &machine::MemoryRange::ABI,
    &machine::PciWindow::ABI,
    &machine::PciBridge::ABI,
    &machine::MachinePage::ABI,
    &descriptor::Member::ABI,
    &descriptor::AddressSpace::ABI,
    &descriptor::DescriptorPage::ABI,
    &filesystem::FilesystemEntry::ABI,
    &filesystem::FilesystemPage::ABI,
    &blob::BlobHeader::ABI,
    &log::RingHeader::ABI,
    &loss::LossHeader::ABI,
    &park::ParkSlot::ABI,
    &park::Mailbox::ABI,
];
