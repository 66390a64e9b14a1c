//! What the C files give to Rust: all of it, and nothing else of the kernel.
//!
//! Each function has a safe wrapper with the reason why it may be called; the
//! critical section's pair is wrapped by [`crate::critical`] instead.

#[cfg(not(test))]
mod c {
    use crate::migrate::GlueSink;
    use handoff_abi::ioctl::Segment;

    extern "C" {
        // critical.c
        pub fn baton_glue_cs_enter() -> u64;
        pub fn baton_glue_cs_leave(token: u64);
        // log.c
        pub fn baton_glue_in_nmi() -> i32;
        pub fn baton_glue_panic(msg: *const u8, len: usize);
        // sink.c
        pub fn baton_glue_sink_begin(sink: *mut GlueSink, ino: u64, generation: u32) -> i32;
        pub fn baton_glue_sink_write(
            sink: *mut GlueSink,
            offset: u64,
            segments: *const Segment,
            count: u32,
        ) -> i32;
        pub fn baton_glue_sink_end(sink: *mut GlueSink, size: u64) -> i32;
        pub fn baton_glue_sink_drop(sink: *mut GlueSink);
        // selftest.c
        pub fn baton_glue_read_own(at: u64, buf: *mut u8, len: usize) -> i32;
    }
}

#[cfg(test)]
use stand_in as c;

use crate::migrate::GlueSink;
use handoff_abi::ioctl::Segment;

pub(crate) use c::{baton_glue_cs_enter, baton_glue_cs_leave};
#[cfg(test)]
pub(crate) use stand_in::{DEPTH, NMI};

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

/// The positive error number of a negative result.
fn check(result: i32) -> Result<(), i32> {
    if result < 0 {
        return Err(result.saturating_neg());
    }
    Ok(())
}

/// The C side's sink, where migrated files are written.
///
/// Invariant: `raw` is the `struct baton_sink` of the call that is under way.
pub struct CSink {
    raw: *mut GlueSink,
}

impl CSink {
    /// # Safety
    /// `raw` is a `struct baton_sink` that outlives the value and that nobody else uses.
    pub unsafe fn new(raw: *mut GlueSink) -> Self {
        Self { raw }
    }

    /// Opens the file with this handle for writing.
    ///
    /// # Errors
    /// A positive errno.
    pub fn begin(&mut self, ino: u64, generation: u32) -> Result<(), i32> {
        // SAFETY: the invariant.
        check(unsafe { c::baton_glue_sink_begin(self.raw, ino, generation) })
    }

    /// Writes `segments`, mapped memory, one after the other from `offset` on.
    ///
    /// # Errors
    /// A positive errno.
    pub fn write(&mut self, offset: u64, segments: &[Segment]) -> Result<(), i32> {
        let count = u32::try_from(segments.len()).map_err(|_| crate::errno::EINVAL)?;
        // SAFETY: the invariant; pointer and count are those of one live slice.
        check(unsafe { c::baton_glue_sink_write(self.raw, offset, segments.as_ptr(), count) })
    }

    /// Ends the file, which is to be `size` bytes long.
    ///
    /// # Errors
    /// A positive errno.
    pub fn end(&mut self, size: u64) -> Result<(), i32> {
        // SAFETY: the invariant.
        check(unsafe { c::baton_glue_sink_end(self.raw, size) })
    }

    /// Closes the file, if one is open, as it is.
    pub fn close(&mut self) {
        // SAFETY: the invariant.
        unsafe { c::baton_glue_sink_drop(self.raw) }
    }
}

/// Reads physical memory of the running kernel; false if it is not there.
pub fn read_own_memory(at: u64, buf: &mut [u8]) -> bool {
    // SAFETY: C reads with a handler for faults, and writes `len` bytes to `buf` at most.
    unsafe { c::baton_glue_read_own(at, buf.as_mut_ptr(), buf.len()) == 0 }
}

/// What the unit tests call instead; each test, a thread, has its own.
#[cfg(test)]
mod stand_in {
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
    use crate::migrate::GlueSink;
    use handoff_abi::ioctl::Segment;

    const ENOSYS: i32 = 38;
    pub unsafe fn baton_glue_sink_begin(_: *mut GlueSink, _: u64, _: u32) -> i32 {
        -ENOSYS
    }
    pub unsafe fn baton_glue_sink_write(
        _: *mut GlueSink,
        _: u64,
        _: *const Segment,
        _: u32,
    ) -> i32 {
        -ENOSYS
    }
    pub unsafe fn baton_glue_sink_end(_: *mut GlueSink, _: u64) -> i32 {
        -ENOSYS
    }
    pub unsafe fn baton_glue_sink_drop(_: *mut GlueSink) {}
    pub unsafe fn baton_glue_read_own(_: u64, _: *mut u8, _: usize) -> i32 {
        -ENOSYS
    }
}
