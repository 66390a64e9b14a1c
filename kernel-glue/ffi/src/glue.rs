//! What the C files give to Rust: all of it, and nothing else of the kernel.
//!
//! Each function has a safe wrapper with the reason why it may be called; the
//! critical section's pair is wrapped by [`crate::critical`] instead.

#[cfg(not(test))]
mod c {
    extern "C" {
        // critical.c
        pub fn baton_glue_cs_enter() -> u64;
        pub fn baton_glue_cs_leave(token: u64);
        // log.c
        pub fn baton_glue_in_nmi() -> i32;
        pub fn baton_glue_panic(msg: *const u8, len: usize);
    }
}

/// Stand-ins for the unit tests, which run one thread at a time through a lock.
#[cfg(test)]
mod c {
    use std::cell::Cell;

    thread_local! {
        pub static DEPTH: Cell<u64> = const { Cell::new(0) };
        pub static NMI: Cell<bool> = const { Cell::new(false) };
    }
    pub unsafe fn baton_glue_cs_enter() -> u64 {
        DEPTH.with(|d| d.replace(d.get() + 1))
    }
    pub unsafe fn baton_glue_cs_leave(token: u64) {
        DEPTH.with(|d| d.set(token));
    }
    pub unsafe fn baton_glue_in_nmi() -> i32 {
        NMI.with(|n| n.get().into())
    }
}

pub(crate) use c::{baton_glue_cs_enter, baton_glue_cs_leave};
#[cfg(test)]
pub(crate) use c::{DEPTH, NMI};

/// Whether this CPU is handling a non-maskable interrupt.
///
/// The answer cannot change between the first and the last line of one
/// function: an NMI that arrives in between ends before the function goes on.
pub fn in_nmi() -> bool {
    // SAFETY: reads this CPU's preempt count; callable in every context.
    unsafe { c::baton_glue_in_nmi() != 0 }
}

/// Says `msg` on the console and, in C, does what the kernel does on a bug.
/// It may come back: the caller has to stop the CPU itself.
#[cfg(not(test))]
pub fn report_panic(msg: &[u8]) {
    // SAFETY: pointer and length are those of one live slice, and the C side
    // reads no more than `len` bytes before it returns.
    unsafe { c::baton_glue_panic(msg.as_ptr(), msg.len()) }
}
