//! defmt's logger: frames into the ring that C attached.
//!
//! Every `defmt::info!` and its like, in any crate of the object, ends up here.
//! A frame carries an index into the module's `.defmt` table instead of text;
//! `defmt-print -e baton.ko` or the agent turns frames back into lines.
//!
//! # Story
//!
//! 1. Until `baton_log_attach` frames are dropped, at the cost of a lock.
//! 2. Attached, each frame is written inside one critical section, whole.
//! 3. `baton_log_detach` before the memory goes away; then as in 1.
//!
//! In NMI context a frame is dropped: the lock could be held by the very CPU
//! that the NMI interrupted. A frame begun while another is being written on the
//! same CPU, which a `Format` implementation that logs would do, is dropped too.
//!
//! The time of a frame is the CPU's time stamp counter, in its own ticks: both
//! kernels read the same counter and nothing has to be set up for it.

use crate::errno::{EBUSY, EINVAL, ENOSPC};
use crate::glue::in_nmi;
use crate::ring::{Ring, RingError};
use core::cell::UnsafeCell;
use core::ptr::NonNull;
use critical_section::RestoreState;
use defmt::Encoder;

#[cfg_attr(not(test), defmt::global_logger)]
struct KernelLog;

defmt::timestamp!("{=u64}", ticks());

static STATE: Shared = Shared(UnsafeCell::new(State::new()));

struct Shared(UnsafeCell<State>);

// SAFETY: `with_state` is the only way in, and its callers are inside the
// critical section, so one CPU at a time.
unsafe impl Sync for Shared {}

struct State {
    ring: Option<Ring>,
    encoder: Encoder,
    /// Frames begun and not ended on the CPU that is inside; 1 is the one being
    /// written, the others are dropped.
    depth: u32,
    /// What the outermost frame's end gives back.
    restore: Option<RestoreState>,
}

impl State {
    const fn new() -> Self {
        Self {
            ring: None,
            encoder: Encoder::new(),
            depth: 0,
            restore: None,
        }
    }
}

/// Runs `f` on the state.
///
/// # Safety
///
/// The caller is inside the critical section, and `f` does not log.
unsafe fn with_state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    // SAFETY: exclusive by the caller's promise: other CPUs are locked out, and
    // this one does not come back here before `f` is done.
    f(unsafe { &mut *STATE.0.get() })
}

fn sink(ring: &mut Option<Ring>) -> impl FnMut(&[u8]) + '_ {
    move |bytes| {
        if let Some(ring) = ring {
            ring.write(bytes);
        }
    }
}

// SAFETY: between `acquire` and `release` the critical section is held, so
// frames of different CPUs and of interrupt handlers do not mix.
unsafe impl defmt::Logger for KernelLog {
    fn acquire() {
        if in_nmi() {
            return;
        }
        // SAFETY: given back by the matching `release`, or right below.
        let token = unsafe { critical_section::acquire() };
        // SAFETY: inside the section; nothing in the closure logs.
        let nested = unsafe {
            with_state(|s| {
                s.depth = s.depth.saturating_add(1);
                if s.depth > 1 {
                    return true;
                }
                s.restore = Some(token);
                s.encoder.start_frame(sink(&mut s.ring));
                false
            })
        };
        if nested {
            // SAFETY: the token of the acquire above; the outer frame still
            // holds the section.
            unsafe { critical_section::release(token) };
        }
    }

    unsafe fn write(bytes: &[u8]) {
        if in_nmi() {
            return;
        }
        // SAFETY: defmt calls this between acquire and release only.
        unsafe {
            with_state(|s| {
                if s.depth == 1 {
                    s.encoder.write(bytes, sink(&mut s.ring));
                }
            })
        }
    }

    unsafe fn flush() {}

    unsafe fn release() {
        if in_nmi() {
            return;
        }
        // SAFETY: defmt calls this once for each acquire, so still inside.
        let token = unsafe {
            with_state(|s| {
                s.depth = s.depth.saturating_sub(1);
                if s.depth > 0 {
                    return None;
                }
                s.encoder.end_frame(sink(&mut s.ring));
                s.restore.take()
            })
        };
        if let Some(token) = token {
            // SAFETY: what the outermost acquire of this CPU returned.
            unsafe { critical_section::release(token) };
        }
    }
}

/// Starts logging into the `len` bytes at `ptr`: see [`crate::ring`] for the
/// format. What was there is lost.
///
/// Returns 0, `-EINVAL` (null, not a multiple of 64, or too long), `-ENOSPC`
/// (too short) or `-EBUSY` (a ring is attached).
///
/// # Safety
///
/// The memory must be mapped and writable, and written by nobody else, until
/// `baton_log_detach` has returned. Not in NMI context.
#[no_mangle]
pub unsafe extern "C" fn baton_log_attach(ptr: *mut u8, len: usize) -> i32 {
    let Some(base) = NonNull::new(ptr) else {
        return -EINVAL;
    };
    critical_section::with(|_| {
        // SAFETY: inside the section; nothing in the closure logs.
        unsafe { with_state(|s| attach(s, base, len)) }
    })
}

/// Stops logging: when it returns, nobody touches the ring's memory any more.
/// Not in NMI context.
#[no_mangle]
pub extern "C" fn baton_log_detach() {
    critical_section::with(|_| {
        // SAFETY: inside the section; nothing in the closure logs.
        unsafe { with_state(|s| s.ring = None) }
    })
}

fn attach(state: &mut State, base: NonNull<u8>, len: usize) -> i32 {
    if state.ring.is_some() {
        return -EBUSY;
    }
    // SAFETY: the contract of `baton_log_attach`, the only caller.
    match unsafe { Ring::create(base, len) } {
        Ok(ring) => {
            state.ring = Some(ring);
            0
        }
        Err(RingError::TooSmall) => -ENOSPC,
        Err(RingError::Misaligned | RingError::TooLarge) => -EINVAL,
    }
}

fn ticks() -> u64 {
    // SAFETY: every x86-64 CPU has the instruction and the kernel may use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glue::{DEPTH, NMI};
    use crate::ring::HEADER_LEN;
    use defmt::Logger;

    #[repr(C, align(64))]
    struct Memory([u8; HEADER_LEN + 256]);

    fn frame(text: &[u8], inside: impl FnOnce()) {
        KernelLog::acquire();
        // SAFETY: between acquire and release.
        unsafe { KernelLog::write(text) };
        inside();
        // SAFETY: the one acquire above.
        unsafe { KernelLog::release() };
    }

    fn written(memory: *const Memory) -> Vec<u8> {
        // SAFETY: the test's own memory, and nobody writes it meanwhile.
        let bytes = unsafe { (*memory).0 };
        let head = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
        bytes[HEADER_LEN..HEADER_LEN + head].to_vec()
    }

    // One test, because the logger is one.
    #[test]
    fn frames_are_whole_and_the_section_is_given_back() {
        let memory = Box::into_raw(Box::new(Memory([0; HEADER_LEN + 256])));
        let len = size_of::<Memory>();
        frame(b"early", || ());

        // SAFETY: the memory is leaked, so it stays.
        let attach = |len| unsafe { baton_log_attach(memory.cast(), len) };
        // SAFETY: null is refused.
        let null = unsafe { baton_log_attach(core::ptr::null_mut(), len) };
        assert_eq!(null, -EINVAL);
        assert_eq!(attach(100), -ENOSPC);
        assert_eq!(attach(len), 0);
        assert_eq!(attach(len), -EBUSY);
        assert!(written(memory).is_empty(), "a frame from before attaching");

        frame(b"abc", || ());
        let one = written(memory);
        assert_eq!(one.iter().filter(|b| **b == 0).count(), 1, "{one:?}");

        frame(b"abc", || frame(b"nested", || ()));
        assert_eq!(
            written(memory),
            one.repeat(2),
            "the nested frame is dropped"
        );

        NMI.set(true);
        frame(b"nmi", || ());
        NMI.set(false);
        assert_eq!(written(memory), one.repeat(2));
        assert_eq!(DEPTH.get(), 0, "the critical section was given back");

        baton_log_detach();
        frame(b"late", || ());
        assert_eq!(written(memory), one.repeat(2));
    }
}
