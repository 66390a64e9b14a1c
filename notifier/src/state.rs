//! The stop word's state machine, as pure functions.

use handoff_abi::control::{StopState, StopWord};

/// Which kernel owns the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The 1st OS: it runs the workload.
    First,
    /// The 2nd OS.
    Second,
    /// Neither runs the workload or writes to a device; the next step decides.
    Nobody,
}

/// A step that one side wants to take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// 1st OS: it is parked; the machine may be taken.
    Stop,
    /// 2nd OS: it takes the machine, as yet without writing to a device.
    Take,
    /// 1st OS: its patience ran out.
    Abort,
    /// 2nd OS: it cannot take over.
    GiveBack,
    /// 2nd OS: it is about to write to the first device.
    Commit,
}

/// Why a step is not possible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The word is in another state than the step starts from.
    State(StopWord),
    /// The word belongs to another stop than the step.
    Sequence(StopWord),
    /// The word holds a state that this version does not know: the page is corrupt.
    Unknown(StopWord),
    /// The word changed between reading and swapping; look again.
    Raced(StopWord),
    /// The control page is not accessible as it should be.
    Page,
}

/// Who owns the machine in `state`, or `None` if the state is unknown.
#[must_use]
pub const fn owner(state: StopState) -> Option<Owner> {
    match state {
        StopState::RUNNING | StopState::ABORTED => Some(Owner::First),
        StopState::STOPPED | StopState::TAKEN => Some(Owner::Nobody),
        StopState::COMMITTED => Some(Owner::Second),
        _ => None,
    }
}

/// The word after `step` of stop number `sequence` from `word`.
///
/// # Errors
/// [`Refused`] if the step does not start from this state, or is of another stop.
pub const fn next(word: StopWord, sequence: u64, step: Step) -> Result<StopWord, Refused> {
    if owner(word.state).is_none() {
        return Err(Refused::Unknown(word));
    }
    let target = match (step, word.state) {
        (Step::Stop, StopState::RUNNING | StopState::ABORTED) => {
            // A stop is a new one: its number is one more than the last.
            return if word.sequence.wrapping_add(1) == sequence {
                Ok(StopWord {
                    sequence,
                    state: StopState::STOPPED,
                })
            } else {
                Err(Refused::Sequence(word))
            };
        }
        // A CPU that did not park in time: the stop is called off before it was published.
        (Step::Abort, StopState::RUNNING | StopState::ABORTED)
            if word.sequence.wrapping_add(1) == sequence =>
        {
            return Ok(StopWord {
                sequence,
                state: StopState::ABORTED,
            });
        }
        (Step::Take, StopState::STOPPED) => StopState::TAKEN,
        (Step::Abort, StopState::STOPPED | StopState::TAKEN) => StopState::ABORTED,
        (Step::GiveBack, StopState::TAKEN) => StopState::ABORTED,
        (Step::Commit, StopState::TAKEN) => StopState::COMMITTED,
        _ => return Err(Refused::State(word)),
    };
    if word.sequence != sequence {
        return Err(Refused::Sequence(word));
    }
    Ok(word.with(target))
}
