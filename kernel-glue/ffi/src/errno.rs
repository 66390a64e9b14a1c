//! The kernel's error numbers that exported functions return, negated.
//!
//! Values of `include/uapi/asm-generic/errno-base.h` and `errno.h`, the same on every kernel.

/// Device or resource busy.
pub const EBUSY: i32 = 16;
/// Invalid argument.
pub const EINVAL: i32 = 22;
/// Too small for what it has to hold.
pub const ENOSPC: i32 = 28;
/// Operation already in progress: here, the other side was faster.
pub const EALREADY: i32 = 114;
/// Operation canceled.
pub const ECANCELED: i32 = 125;
/// Protocol error: a shared page does not hold what it should.
pub const EPROTO: i32 = 71;
/// Bad message: foreign memory does not hold what it should.
pub const EBADMSG: i32 = 74;
