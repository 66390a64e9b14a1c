//! The two pieces of machine code that this crate carries, as bytes.
//!
//! They are assembled with the crate and stand in its read-only data. Both are position
//! independent; what they need to know is written into them at offsets fixed by `.org`.
#![allow(
    unsafe_code,
    reason = "reads the assembled code between its two labels"
)]

core::arch::global_asm!(include_str!("trampoline.S"), options(att_syntax));
core::arch::global_asm!(include_str!("park.S"), options(att_syntax));

extern "C" {
    static baton_trampoline_start: u8;
    static baton_trampoline_end: u8;
    static baton_park_start: u8;
    static baton_park_end: u8;
}

/// The real-mode trampoline.
pub fn trampoline() -> &'static [u8] {
    // SAFETY: both labels are defined by `trampoline.S`, in this order and in one section, so
    // the bytes between them are initialised, immutable and live for ever.
    unsafe {
        between(
            &raw const baton_trampoline_start,
            &raw const baton_trampoline_end,
        )
    }
}

/// The parking code.
pub fn park() -> &'static [u8] {
    // SAFETY: as for the trampoline, from `park.S`.
    unsafe { between(&raw const baton_park_start, &raw const baton_park_end) }
}

/// # Safety
/// `start` and `end` are labels in one read-only section, `start` first.
unsafe fn between(start: *const u8, end: *const u8) -> &'static [u8] {
    let len = (end as usize).saturating_sub(start as usize);
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(start, len) }
}
