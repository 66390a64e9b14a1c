//! `critical-section` over the kernel's own locking.
//!
//! The crate's contract is mutual exclusion of *every* CPU, and nesting. Masked
//! interrupts alone give neither on a machine with several CPUs, so the C side
//! (`critical.c`) also takes one raw spinlock and remembers the CPU that has it:
//! a CPU that enters again only nests. The token says which of the two it was.
//!
//! Not for NMI context: an NMI may arrive inside another CPU's section, or in
//! this CPU's between the lock and the owner. Who can be called there must ask
//! [`crate::glue::in_nmi`] first, as the log does.

use crate::glue::{baton_glue_cs_enter, baton_glue_cs_leave};
use critical_section::{Impl, RawRestoreState};

struct KernelSection;
critical_section::set_impl!(KernelSection);

// SAFETY: `baton_glue_cs_enter` returns only when no other CPU is inside, with
// interrupts off so that this CPU's handlers are not inside either, and pairs
// with `baton_glue_cs_leave` of the same CPU in reverse order. The spinlock's
// acquire and release order the memory accesses.
unsafe impl Impl for KernelSection {
    unsafe fn acquire() -> RawRestoreState {
        // SAFETY: the caller promises to pair it and, as the module's docs
        // demand, is not in NMI context.
        unsafe { baton_glue_cs_enter() }
    }

    unsafe fn release(token: RawRestoreState) {
        // SAFETY: the caller promises that `token` is what the matching
        // acquire returned.
        unsafe { baton_glue_cs_leave(token) }
    }
}
