//! The side of the 2nd OS.

use crate::ops::{step, step_from, ControlWords};
use crate::state::{Refused, Step};
use handoff_abi::control::StopWord;

/// What an NMI was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nmi {
    /// A notice that was not seen before.
    Notice,
    /// Not ours, or a notice repeated.
    Other,
}

/// Called for each NMI, in NMI context.
///
/// # Errors
/// [`Refused::Page`].
pub fn on_nmi(words: &impl ControlWords) -> Result<Nmi, Refused> {
    let sent = words.notice_sent()?;
    if sent == words.notice_seen()? {
        words.count_spurious()?;
        return Ok(Nmi::Other);
    }
    words.set_notice_seen(sent)?;
    Ok(Nmi::Notice)
}

/// Takes the machine after a notice; returns the stop's number.
///
/// The word is read once: between two looks the 1st OS may have called this stop off and begun
/// the next.
///
/// # Errors
/// [`Refused::State`] with `ABORTED`: the 1st OS lost patience before. [`Refused::Raced`]: it
/// did so just now, and may have stopped anew since.
pub fn take(words: &impl ControlWords) -> Result<u64, Refused> {
    let current = words.stop_word()?;
    let sequence = StopWord::from_bits(current).sequence;
    step_from(words, current, sequence, Step::Take).map(|word| word.sequence)
}

/// Passes the point of no return.
///
/// # Errors
/// [`Refused`]: the 1st OS has taken the machine back; nothing may be written to a device.
pub fn commit(words: &impl ControlWords, sequence: u64) -> Result<(), Refused> {
    step(words, sequence, Step::Commit).map(drop)
}

/// Gives the machine back to the 1st OS.
///
/// # Errors
/// [`Refused`]: it has it already, or the handover is committed.
pub fn give_back(words: &impl ControlWords, sequence: u64) -> Result<(), Refused> {
    step(words, sequence, Step::GiveBack).map(drop)
}
