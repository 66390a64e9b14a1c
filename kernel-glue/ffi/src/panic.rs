//! Where a panic of the Rust object ends.
//!
//! A panic is a bug of Baton's and nothing can be undone after it: the place is
//! told to the kernel's console, then the CPU executes an undefined instruction,
//! which the kernel reports with registers and a backtrace.
//!
//! The place is written by hand, not with `core::fmt`: formatting a panic's
//! message would pull kilobytes of code that nothing else uses into the object,
//! and needs more of a stack that may be nearly full. The link step fails if
//! formatting code got in some other way.

use crate::glue::report_panic;
use core::panic::PanicInfo;

/// Longest report; a longer path loses its beginning, which says least.
const REPORT_LEN: usize = 120;

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let mut report = Report::new();
    match info.location() {
        Some(place) => report.place(place.file(), place.line()),
        None => report.prepend(b"unknown place"),
    }
    report_panic(report.bytes());
    // SAFETY: `ud2` touches nothing and control never comes back from it.
    unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
}

#[defmt::panic_handler]
fn defmt_panic() -> ! {
    panic!()
}

/// `file:line`, filled from the end.
struct Report {
    buf: [u8; REPORT_LEN],
    start: usize,
}

impl Report {
    const fn new() -> Self {
        Self {
            buf: [0; REPORT_LEN],
            start: REPORT_LEN,
        }
    }

    fn place(&mut self, file: &str, line: u32) {
        let mut rest = line;
        // A u32 has at most ten digits.
        for _ in 0..10 {
            self.prepend(&[b'0' + (rest % 10) as u8]);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.prepend(b":");
        self.prepend(file.as_bytes());
    }

    fn prepend(&mut self, text: &[u8]) {
        for byte in text.iter().rev() {
            let Some(at) = self.start.checked_sub(1) else {
                return;
            };
            let Some(slot) = self.buf.get_mut(at) else {
                return;
            };
            *slot = *byte;
            self.start = at;
        }
    }

    fn bytes(&self) -> &[u8] {
        self.buf.get(self.start..).unwrap_or_default()
    }
}
