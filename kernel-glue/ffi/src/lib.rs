//! The one Rust object inside `baton.ko`.
//!
//! # Purpose
//!
//! A stock kernel's module is C, built by the kernel's own Kbuild. Everything in
//! Baton that is Rust reaches it through this crate: a `staticlib` whose only
//! visible symbols are `extern "C" fn baton_*`. It owns what a program may have
//! once: the panic handler ([`mod@panic`]), the critical section ([`critical`]) and
//! the log ([`log`]). The logic itself lives in the crates this one depends on.
//!
//! # The two directions
//!
//! * C calls Rust: every `#[no_mangle] pub extern "C" fn baton_*` of this crate.
//!   The link step finds them by that prefix; there is no list to keep.
//! * Rust calls C: the `baton_glue_*` functions declared in [`glue`], and nothing
//!   else of the kernel. The link step refuses any other undefined symbol.
//!
//! # Invariants
//!
//! 1. C calls [`baton_ffi_abi_version`] and compares it before anything else.
//! 2. No allocation, no floating point, no formatting of text (`core::fmt`).
//!    The build fails if the object contains any of them.
//! 3. A panic does not unwind and does not return.
//! 4. Error numbers exist here only: the crates below have error types of their
//!    own, and this crate turns them into negative errno values.
//!
//! # What it is not for
//!
//! Decisions. A function here checks what C passed, calls one function of a
//! crate below, and translates the result.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

// Linked in even while no exported function calls into them, so that a
// change which no longer builds for the kernel is seen at once.
use {migrator as _, notifier as _, shared_page as _};

pub mod critical;
pub mod errno;
pub mod glue;
pub mod handover;
pub mod log;
mod losses;
pub mod memory;
pub mod migrate;
#[cfg(not(test))]
pub mod panic;
pub mod ring;
mod selftest;

pub use selftest::baton_ffi_selftest;

/// Version of the calls between the C files and this object, not of the bytes
/// that two kernels share. Raised with any change of a signature or a meaning;
/// `BATON_FFI_ABI_VERSION` in the C code must be equal.
pub const FFI_ABI_VERSION: u32 = 1;

/// [`FFI_ABI_VERSION`], for C to compare before its first other call.
#[no_mangle]
pub extern "C" fn baton_ffi_abi_version() -> u32 {
    FFI_ABI_VERSION
}
