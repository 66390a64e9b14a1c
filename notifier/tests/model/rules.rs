//! What holds in every state.

use crate::world::{First, Protocol, Second, World};
use handoff_abi::control::{StopState, StopWord};
use notifier::state::{owner, Owner};

/// Steps of one side that end any wait of its own, with room to spare.
const SOON: usize = 16;

/// The rule that `world` breaks, if any.
pub fn broken(world: &World, protocol: &Protocol, stops: u64) -> Option<String> {
    let word = world.word();
    let Some(owner) = owner(word.state) else {
        return Some(format!("the stop word is in the unknown state {word:?}"));
    };
    one_owner(world)
        .or_else(|| first_believes_rightly(world, word, owner))
        .or_else(|| second_believes_rightly(world, word))
        .or_else(|| no_notice_is_missed(world, word))
        .or_else(|| first_decides_alone(world, protocol, stops))
        .or_else(|| second_comes_to_an_end_alone(world, protocol))
}

/// Whether the 1st OS runs the workload.
fn first_runs(world: &World) -> Option<u64> {
    match world.first {
        First::Running { stops } | First::Numbering { stops } => Some(stops),
        // One CPU still runs, and the stop is not published.
        First::Parking { sequence } => Some(sequence - 1),
        _ => None,
    }
}

fn one_owner(world: &World) -> Option<String> {
    let both = first_runs(world).is_some() && matches!(world.second, Second::Writing { .. });
    both.then(|| "both sides own the machine".to_owned())
}

/// The 1st OS runs only before the first stop, or after an abort of its last one.
fn first_believes_rightly(world: &World, word: StopWord, owner: Owner) -> Option<String> {
    if let Some(stops) = first_runs(world) {
        let state = if stops == 0 {
            StopState::RUNNING
        } else {
            StopState::ABORTED
        };
        if owner != Owner::First || word.state != state || word.sequence != stops {
            return Some(format!("the 1st OS runs after {stops} stops, in {word:?}"));
        }
    }
    match world.first {
        First::Given { sequence }
            if word.state != StopState::COMMITTED || word.sequence != sequence =>
        {
            Some(format!("the 1st OS gave the machine away in {word:?}"))
        }
        _ => None,
    }
}

/// The 2nd OS writes to a device only if its own stop is committed.
fn second_believes_rightly(world: &World, word: StopWord) -> Option<String> {
    match world.second {
        Second::Writing { sequence }
            if word.state != StopState::COMMITTED || word.sequence != sequence =>
        {
            Some(format!("the 2nd OS writes for stop {sequence} in {word:?}"))
        }
        _ => None,
    }
}

/// A notice that arrived and was handled has woken the agent, or will.
fn no_notice_is_missed(world: &World, word: StopWord) -> Option<String> {
    let arrived = matches!(world.first, First::Waiting { lost: false, .. })
        && !world.nmi
        && world.handler.is_none();
    let asleep = world.second == Second::Waiting && !world.noticed;
    (arrived && asleep && word.state == StopState::STOPPED)
        .then(|| "the notice arrived, and the 2nd OS sleeps on".to_owned())
}

/// From every state, with the 2nd OS silent from now on, the 1st comes to own the machine, or to
/// know that it does not: there is no state in which neither ever will.
fn first_decides_alone(world: &World, protocol: &Protocol, stops: u64) -> Option<String> {
    let mut now = world.clone();
    for _ in 0..SOON {
        match now.first {
            First::Running { .. } | First::Given { .. } => {
                return one_owner(&now).or_else(|| {
                    first_believes_rightly(&now, now.word(), owner(now.word().state)?)
                });
            }
            // It looks before its patience runs out, each time.
            First::Waiting { .. } if owner(now.word().state) != Some(Owner::Nobody) => {
                now = now.first_steps(protocol, stops).pop()?.1.ok()?;
            }
            _ => {
                now = now
                    .first_steps(protocol, stops)
                    .into_iter()
                    .next()?
                    .1
                    .ok()?
            }
        }
    }
    Some("the 1st OS, left alone, never learns who owns the machine".to_owned())
}

/// From every state, with the 1st OS silent from now on, the 2nd comes to own the machine or to
/// sleep; it never turns in circles.
fn second_comes_to_an_end_alone(world: &World, protocol: &Protocol) -> Option<String> {
    let mut now = world.clone();
    now.noticed = false;
    for _ in 0..SOON {
        let Some((_, next)) = now.second_steps(protocol).into_iter().next() else {
            return second_believes_rightly(&now, now.word());
        };
        now = next.ok()?;
    }
    Some("the 2nd OS, left alone, comes to no end".to_owned())
}
