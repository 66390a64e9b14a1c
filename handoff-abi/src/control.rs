//! The live page: who owns the machine, and what each side is doing.
//!
//! # The stop word
//! One 64-bit word decides who owns the machine: a sequence number in the upper 56 bits and a
//! [`StopState`] in the lower 8. It is changed only by compare-and-swap:
//!
//! | from | to | by | when |
//! |---|---|---|---|
//! | any terminal state, sequence n | `STOPPED`, n+1 | 1st OS | all its CPUs but one are parked |
//! | `STOPPED` | `TAKEN` | 2nd OS | it took the notice and can take over |
//! | `STOPPED` or `TAKEN` | `ABORTED` | 1st OS | its patience ran out |
//! | `TAKEN` | `ABORTED` | 2nd OS | it finds that it cannot take over |
//! | `TAKEN` | `COMMITTED` | 2nd OS | before its first write to a device |
//!
//! The 1st OS owns the machine in `RUNNING` and `ABORTED`, the 2nd in `COMMITTED`; in `STOPPED`
//! and `TAKEN` neither runs the workload nor writes to a device, and the next swap decides.

use crate::header::PageHeader;
use crate::status::{FirstState, SecondState};

open_int! {
    /// State in the stop word.
    pub struct StopState(u8) {
        /// The 1st OS runs; no stop was asked for yet.
        RUNNING = 0, "running";
        /// The 1st OS is parked and waits for the 2nd.
        STOPPED = 1, "stopped";
        /// The 2nd OS took the notice; nothing is written to a device yet.
        TAKEN = 2, "taken";
        /// The machine went back to the 1st OS.
        ABORTED = 3, "aborted";
        /// The machine belongs to the 2nd OS.
        COMMITTED = 4, "committed";
    }
}

/// The stop word, unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StopWord {
    /// Number of the stop: the first `baton update` on this region makes it 1.
    pub sequence: u64,
    /// Where that stop is.
    pub state: StopState,
}

impl StopWord {
    /// From the word in memory.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            sequence: bits >> 8,
            state: StopState(bits as u8),
        }
    }

    /// To the word in memory. The sequence wraps at 2^56.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        (self.sequence << 8) | self.state.0 as u64
    }

    /// The same stop in another state.
    #[must_use]
    pub const fn with(self, state: StopState) -> Self {
        Self {
            sequence: self.sequence,
            state,
        }
    }
}

abi_struct! {
    /// Everything that changes while both kernels run. All fields are accessed by single
    /// volatile or atomic loads and stores of their natural size.
    pub struct ControlPage: 4096 {
        /// Kind [`crate::region::CONTROL`].
        pub header: PageHeader, @ 0;
        /// The stop word, see the module's text. Writers: both, by compare-and-swap (acquire and
        /// release). Everything the 1st OS wrote before `STOPPED` is visible to who read it.
        pub stop_word: u64, @ 32;
        /// Number of notices sent. Writer: 1st OS, before each NMI (release).
        pub notice_sent: u64, @ 40;
        /// `notice_sent` as the NMI handler of the 2nd OS last saw it. Writer: 2nd OS (release).
        pub notice_seen: u64, @ 48;
        /// NMIs that came to the 2nd OS without a new notice. Writer: 2nd OS.
        pub notice_spurious: u64, @ 56;
        /// TSC of the 1st OS at its last sign of life. Writer: 1st OS.
        pub first_heartbeat: u64, @ 64;
        /// TSC of the 2nd OS at its last sign of life. Writer: 2nd OS.
        pub second_heartbeat: u64, @ 72;
        /// A [`FirstState`]. Writer: 1st OS.
        pub first_state: u32, @ 80;
        /// A [`SecondState`]. Writer: 2nd OS (release).
        pub second_state: u32, @ 84;
        /// CPUs of the 1st OS in the parking loop. Writer: 1st OS and the parking loop, by
        /// atomic addition.
        pub parked: u32, @ 88;
        /// An [`crate::status::Reason`] for the last abort or failure. Writer: who aborts.
        pub reason: u32, @ 92;
        /// `errno` of that failure, positive, or zero.
        pub reason_errno: u32, @ 96;
        /// Written as zero.
        pub reserved0: u32, @ 100;
        /// CR3 of the 1st OS's kernel page table at the stop. Writer: 1st OS, before `STOPPED`.
        pub first_cr3: u64, @ 104;
        /// The failure in words, NUL-terminated UTF-8. Writer: 2nd OS, before `second_state`
        /// becomes `FAILED` or the stop word `ABORTED`; emptied by the 1st OS when an update
        /// begins.
        pub message: [u8; 256], @ 112;
        /// Written as zero.
        pub reserved: [u8; 3728], @ 368;
    }
}

impl ControlPage {
    /// A page in which nothing has happened yet.
    #[must_use]
    pub const fn new(generation: u64) -> Self {
        Self {
            header: PageHeader::new(crate::region::CONTROL, generation),
            stop_word: 0,
            notice_sent: 0,
            notice_seen: 0,
            notice_spurious: 0,
            first_heartbeat: 0,
            second_heartbeat: 0,
            first_state: FirstState::RUNNING.0,
            second_state: SecondState::NONE.0,
            parked: 0,
            reason: 0,
            reason_errno: 0,
            reserved0: 0,
            first_cr3: 0,
            message: [0; 256],
            reserved: [0; 3728],
        }
    }
}
