//! Reads the files of a stopped kernel out of its memory.
//!
//! # Purpose
//! When the 1st OS has stopped, what its applications wrote last is in its page cache and nowhere
//! else. This crate finds it: it walks the inodes of a mounted file system, the page tree of each
//! file with unwritten data, and hands the frames, as runs of physical memory, to a [`files::Sink`]
//! that writes them into the same file of the same file system on the 2nd OS.
//!
//! # The story
//! 1. The caller copies the [`handoff_abi::descriptor::DescriptorPage`] out of the handoff region
//!    and has it checked: [`descriptor::Descriptor`]. It is all that is known of the 1st OS; no
//!    structure of any kernel is compiled in.
//! 2. A [`view::View`] joins it with a [`memory::ForeignMemory`]: foreign addresses are
//!    [translated](translate), members are read by number, widths honoured.
//! 3. [`files::migrate_files`] walks ([`walk`]) over objects ([`objects`]) within a
//!    [`budget::Budget`] and reports what it carried, and what it could not, by path.
//!
//! # Invariants
//! * Foreign memory is hostile. Nothing read from it is used as an address, an index, a length or
//!   a loop bound before it was checked; every walk ends, by the structure's own order (a tree's
//!   shift falls at each level), by cycle detection, or by a bound that the size of the 1st OS's
//!   memory gives. Each way to fail is a [`error::Fault`] of its own, with object and address.
//! * Every byte is read once; what was checked is what is used.
//! * No allocation, no recursion, no panic, no unsafe code.
//! * A broken file costs that file. Only a broken list of inodes ends the walk.
//!
//! # Not for
//! A kernel that runs: without its locks, what is read may be half-changed. The result is then an
//! error or an old value, never a read outside; the self-test at load relies on that.
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

pub mod address;
pub mod budget;
pub mod descriptor;
pub mod error;
pub mod files;
pub mod memory;
pub mod objects;
pub mod translate;
pub mod view;
pub mod walk;
