//! The side of the 1st OS.

use crate::ops::{step, ControlWords};
use crate::state::{Refused, Step};
use handoff_abi::control::{StopState, StopWord};

/// Number that the next stop will have.
///
/// # Errors
/// [`Refused::State`] if a stop is under way, [`Refused::Page`].
pub fn next_sequence(words: &impl ControlWords) -> Result<u64, Refused> {
    let word = StopWord::from_bits(words.stop_word()?);
    match word.state {
        StopState::RUNNING | StopState::ABORTED => Ok(word.sequence.wrapping_add(1)),
        _ => Err(Refused::State(word)),
    }
}

/// Publishes that all CPUs but the caller's are parked, and counts the notice that the caller
/// sends next.
///
/// # Errors
/// [`Refused`].
pub fn stop(words: &impl ControlWords, sequence: u64) -> Result<(), Refused> {
    step(words, sequence, Step::Stop)?;
    words.set_notice_sent(words.notice_sent()?.wrapping_add(1))
}

/// Takes the machine back, before the 2nd OS has committed.
///
/// # Errors
/// [`Refused::State`] or [`Refused::Raced`] with `COMMITTED`: too late, the machine belongs to
/// the 2nd OS. With `ABORTED`: the 2nd OS gave it back already.
pub fn abort(words: &impl ControlWords, sequence: u64) -> Result<(), Refused> {
    match step(words, sequence, Step::Abort) {
        // The other side took one step in between; only a commit or a return ends it.
        Err(Refused::Raced(word)) if word.state == StopState::TAKEN => {
            step(words, sequence, Step::Abort).map(drop)
        }
        other => other.map(drop),
    }
}
