//! Broken variants of the protocol, each with one mistake that somebody could make.

use crate::words::Words;
use crate::world::Protocol;
use handoff_abi::control::{StopState, StopWord};
use notifier::ops::{step, ControlWords};
use notifier::second::Nmi;
use notifier::state::{next, Refused, Step};

const REAL: Protocol = Protocol::REAL;

/// By name.
pub const ALL: &[(&str, &Protocol)] = &[
    (
        "commit by a plain store",
        &Protocol {
            commit: |words, sequence| by_store(words, sequence, Step::Commit),
            ..REAL
        },
    ),
    (
        "take by a plain store",
        &Protocol {
            take: |words| {
                let word = StopWord::from_bits(words.stop_word()?);
                by_store(words, word.sequence, Step::Take)?;
                Ok(word.sequence)
            },
            ..REAL
        },
    ),
    (
        "abort by a plain store",
        &Protocol {
            abort: |words, sequence| by_store(words, sequence, Step::Abort),
            ..REAL
        },
    ),
    (
        "giving back by a plain store",
        &Protocol {
            give_back: |words, sequence| by_store(words, sequence, Step::GiveBack),
            ..REAL
        },
    ),
    (
        "a refused commit taken for one",
        &Protocol {
            commit: |words, sequence| taken_for_done((REAL.commit)(words, sequence)),
            ..REAL
        },
    ),
    (
        "a refused abort taken for one",
        &Protocol {
            abort: |words, sequence| taken_for_done((REAL.abort)(words, sequence)),
            ..REAL
        },
    ),
    (
        "an abort that undoes a commit",
        &Protocol {
            abort: |words, sequence| {
                let current = words.stop_word()?;
                let aborted = StopWord {
                    sequence,
                    state: StopState::ABORTED,
                };
                match words.swap_stop_word(current, aborted.to_bits())? {
                    Ok(_) => Ok(()),
                    Err(found) => Err(Refused::Raced(StopWord::from_bits(found))),
                }
            },
            ..REAL
        },
    ),
    (
        "a commit from whatever state there is",
        &Protocol {
            commit: |words, _| {
                let current = words.stop_word()?;
                let word = StopWord::from_bits(current).with(StopState::COMMITTED);
                match words.swap_stop_word(current, word.to_bits())? {
                    Ok(_) => Ok(()),
                    Err(found) => Err(Refused::Raced(StopWord::from_bits(found))),
                }
            },
            ..REAL
        },
    ),
    (
        "a take that looks twice, and may meet another stop the second time",
        &Protocol {
            take: |words| {
                let word = StopWord::from_bits(words.stop_word()?);
                if word.state != StopState::STOPPED {
                    return Err(Refused::State(word));
                }
                step(words, word.sequence, Step::Take).map(|word| word.sequence)
            },
            ..REAL
        },
    ),
    (
        "a notice counted before the stop is published",
        &Protocol {
            stop: |words, sequence| {
                words.set_notice_sent(words.notice_sent()?.wrapping_add(1))?;
                step(words, sequence, Step::Stop).map(drop)
            },
            ..REAL
        },
    ),
    (
        "a handler that takes every NMI for an old one",
        &Protocol {
            on_nmi: |words| {
                let sent = words.notice_sent()?;
                words.set_notice_seen(sent)?;
                Ok(match sent == words.notice_seen()? {
                    true => Nmi::Other,
                    false => Nmi::Notice,
                })
            },
            ..REAL
        },
    ),
    (
        "an abort that gives up when the other side takes",
        &Protocol {
            abort: |words, sequence| match step(words, sequence, Step::Abort) {
                Err(Refused::Raced(word)) if word.state == StopState::TAKEN => Ok(()),
                other => other.map(drop),
            },
            ..REAL
        },
    ),
];

/// A step as it should be, but for the swap.
fn by_store(words: &Words<'_>, sequence: u64, step: Step) -> Result<(), Refused> {
    let current = words.stop_word()?;
    let target = next(StopWord::from_bits(current), sequence, step)?;
    words.overwrite_stop_word(target.to_bits())
}

/// Drops a refusal, but not the scheduler's own.
fn taken_for_done(result: Result<(), Refused>) -> Result<(), Refused> {
    match result {
        Err(Refused::Page) => Err(Refused::Page),
        _ => Ok(()),
    }
}
