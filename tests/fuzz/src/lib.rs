//! What is done with bytes that nobody vouches for.
//!
//! Each module is one target: a `run` that takes any bytes, and panics if a rule is broken. The
//! programs in `fuzz_targets/` give it to libFuzzer; `tests/replay.rs` gives it every input in
//! `corpus/` and `regressions/`, on any compiler.
//!
//! The rules, besides "no panic, no endless loop, no read outside" that hold everywhere, are said
//! in each module.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod abi_headers;
pub mod bzimage;
pub mod descriptor;
pub mod text_files;
pub mod walk_files;
mod world;

/// A target's name and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("abi_headers", abi_headers::run),
    ("descriptor", descriptor::run),
    ("walk_files", walk_files::run),
    ("bzimage", bzimage::run),
    ("text_files", text_files::run),
];

/// Takes bytes from the front; zeroes when there are no more.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let len = N.min(self.0.len());
        let (front, rest) = self.0.split_at(len);
        bytes[..len].copy_from_slice(front);
        self.0 = rest;
        bytes
    }

    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
