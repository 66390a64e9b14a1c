//! The kernel's error numbers that exported functions return, negated.
//!
//! Values of `include/uapi/asm-generic/errno-base.h`, the same on every kernel.

/// Device or resource busy.
pub const EBUSY: i32 = 16;
/// Invalid argument.
pub const EINVAL: i32 = 22;
/// Too small for what it has to hold.
pub const ENOSPC: i32 = 28;
