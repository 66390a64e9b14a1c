//! Both kernels as step machines around the notifier's functions: the order of calls is that of
//! `kernel-glue/stop.c` (1st OS), `kernel-glue/notice.c` and `baton/src/agent.rs` (2nd OS).

use crate::words::{advance, Log, Outcome, Shared, Words};
use handoff_abi::control::{StopState, StopWord};
use notifier::ops::ControlWords;
use notifier::second::Nmi;
use notifier::state::Refused;
use notifier::{first, second};

/// The functions under test, so that one of them can be exchanged for a broken one.
#[derive(Clone, Copy)]
pub struct Protocol {
    pub next_sequence: fn(&Words<'_>) -> Result<u64, Refused>,
    pub stop: fn(&Words<'_>, u64) -> Result<(), Refused>,
    pub abort: fn(&Words<'_>, u64) -> Result<(), Refused>,
    pub on_nmi: fn(&Words<'_>) -> Result<Nmi, Refused>,
    pub take: fn(&Words<'_>) -> Result<u64, Refused>,
    pub commit: fn(&Words<'_>, u64) -> Result<(), Refused>,
    pub give_back: fn(&Words<'_>, u64) -> Result<(), Refused>,
}

impl Protocol {
    pub const REAL: Self = Self {
        next_sequence: |words| first::next_sequence(words),
        stop: |words, sequence| first::stop(words, sequence),
        abort: |words, sequence| first::abort(words, sequence),
        on_nmi: |words| second::on_nmi(words),
        take: |words| second::take(words),
        commit: |words, sequence| second::commit(words, sequence),
        give_back: |words, sequence| second::give_back(words, sequence),
    };
}

/// Where the 1st OS is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum First {
    /// It runs the workload, after so many stops that came to nothing.
    Running { stops: u64 },
    /// It asks for the number of the next stop.
    Numbering { stops: u64 },
    /// Its CPUs are on their way into the loop.
    Parking { sequence: u64 },
    /// All others are there; it publishes.
    Publishing { sequence: u64 },
    /// It is about to send the NMI.
    Sending { sequence: u64 },
    /// It waits for the commit. `lost`: the NMI will never arrive.
    Waiting { sequence: u64, lost: bool },
    /// It takes the machine back.
    Aborting { sequence: u64, lost: bool },
    /// It has seen the commit, and is parked for good.
    Given { sequence: u64 },
}

/// Where the agent of the 2nd OS is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Second {
    /// It sleeps.
    Waiting,
    /// It was woken and takes the machine.
    Taking,
    /// It has it, and checks whether it can take over.
    Taken { sequence: u64 },
    /// It can.
    Committing { sequence: u64 },
    /// It cannot.
    GivingBack { sequence: u64 },
    /// It writes to devices.
    Writing { sequence: u64 },
}

/// Everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    pub shared: Shared,
    pub first: First,
    pub first_log: Log,
    pub second: Second,
    pub second_log: Log,
    /// The NMI is on its way, or latched.
    pub nmi: bool,
    /// The NMI handler of the 2nd OS, while it runs.
    pub handler: Option<Log>,
    /// It has seen a notice and asked for the agent to be woken.
    pub noticed: bool,
}

/// A step that was refused in a way that only a corrupt page explains.
pub struct Unexplained(pub &'static str, pub Refused);

/// What a step leads to.
pub type Next = Result<World, Unexplained>;

impl World {
    pub fn new() -> Self {
        Self {
            shared: Shared::default(),
            first: First::Running { stops: 0 },
            first_log: Log::new(),
            second: Second::Waiting,
            second_log: Log::new(),
            nmi: false,
            handler: None,
            noticed: false,
        }
    }

    pub fn word(&self) -> StopWord {
        StopWord::from_bits(self.shared.stop_word)
    }

    fn with_first(&self, first: First) -> Self {
        Self {
            first,
            ..self.clone()
        }
    }

    fn with_second(&self, second: Second) -> Self {
        Self {
            second,
            ..self.clone()
        }
    }

    /// Every step that anybody may take, with its name.
    pub fn steps(&self, protocol: &Protocol, stops: u64) -> Vec<(&'static str, Next)> {
        let mut steps = self.first_steps(protocol, stops);
        steps.extend(self.second_steps(protocol));
        steps.extend(self.nmi_steps(protocol));
        steps
    }

    /// The steps of the 1st OS; the first in the list is the one it takes when all its patience
    /// is at an end.
    pub fn first_steps(&self, protocol: &Protocol, stops: u64) -> Vec<(&'static str, Next)> {
        match self.first {
            First::Running { stops: done } if done < stops => {
                let numbering = First::Numbering { stops: done };
                vec![("1st: update asked for", Ok(self.with_first(numbering)))]
            }
            First::Running { .. } | First::Given { .. } => Vec::new(),
            First::Numbering { .. } => vec![(
                "1st: next_sequence",
                self.first_call(protocol.next_sequence, "next_sequence", |world, result| {
                    let sequence = result?;
                    world.first = First::Parking { sequence };
                    Ok(())
                }),
            )],
            First::Parking { sequence } => {
                let late = First::Aborting {
                    sequence,
                    lost: true,
                };
                vec![
                    ("1st: a CPU is late", Ok(self.with_first(late))),
                    (
                        "1st: all parked",
                        Ok(self.with_first(First::Publishing { sequence })),
                    ),
                ]
            }
            First::Publishing { sequence } => vec![(
                "1st: stop",
                self.first_call(
                    |words| (protocol.stop)(words, sequence),
                    "stop",
                    |world, result| {
                        result?;
                        world.first = First::Sending { sequence };
                        Ok(())
                    },
                ),
            )],
            First::Sending { sequence } => {
                let waiting = |lost| First::Waiting { sequence, lost };
                let mut sent = self.with_first(waiting(false));
                sent.nmi = true;
                vec![
                    ("1st: the NMI gets lost", Ok(self.with_first(waiting(true)))),
                    ("1st: NMI sent", Ok(sent)),
                ]
            }
            First::Waiting { sequence, lost } => vec![
                (
                    "1st: patience runs out",
                    Ok(self.with_first(First::Aborting { sequence, lost })),
                ),
                (
                    "1st: looks",
                    self.first_call(
                        |words| words.stop_word(),
                        "look",
                        |world, result| {
                            match StopWord::from_bits(result?).state {
                                StopState::COMMITTED => world.first = First::Given { sequence },
                                StopState::ABORTED => {
                                    world.first = First::Running { stops: sequence };
                                }
                                _ => {}
                            }
                            Ok(())
                        },
                    ),
                ),
            ],
            First::Aborting { sequence, lost } => vec![(
                "1st: abort",
                self.first_call(
                    |words| (protocol.abort)(words, sequence),
                    "abort",
                    |world, result| {
                        world.first = match explained(result)? {
                            true => First::Running { stops: sequence },
                            // It looks again: committed, or given back already.
                            false => First::Waiting { sequence, lost },
                        };
                        Ok(())
                    },
                ),
            )],
        }
    }

    /// The steps of the agent.
    pub fn second_steps(&self, protocol: &Protocol) -> Vec<(&'static str, Next)> {
        match self.second {
            Second::Waiting if self.noticed => {
                let mut woken = self.with_second(Second::Taking);
                woken.noticed = false;
                vec![("2nd: woken", Ok(woken))]
            }
            Second::Waiting | Second::Writing { .. } => Vec::new(),
            Second::Taking => vec![(
                "2nd: take",
                self.second_call(protocol.take, "take", |world, result| {
                    world.second = match result {
                        Ok(sequence) => Second::Taken { sequence },
                        Err(why) => {
                            explained::<()>(Err(why))?;
                            Second::Waiting
                        }
                    };
                    Ok(())
                }),
            )],
            Second::Taken { sequence } => vec![
                (
                    "2nd: can take over",
                    Ok(self.with_second(Second::Committing { sequence })),
                ),
                (
                    "2nd: cannot take over",
                    Ok(self.with_second(Second::GivingBack { sequence })),
                ),
            ],
            Second::Committing { sequence } => vec![(
                "2nd: commit",
                self.second_call(
                    |words| (protocol.commit)(words, sequence),
                    "commit",
                    |world, result| {
                        world.second = match explained(result)? {
                            true => Second::Writing { sequence },
                            false => Second::Waiting,
                        };
                        Ok(())
                    },
                ),
            )],
            Second::GivingBack { sequence } => vec![(
                "2nd: give_back",
                self.second_call(
                    |words| (protocol.give_back)(words, sequence),
                    "give_back",
                    |world, result| {
                        explained(result)?;
                        world.second = Second::Waiting;
                        Ok(())
                    },
                ),
            )],
        }
    }

    /// The NMI handler of the 2nd OS: for the notice, for its repetition, for any other NMI.
    /// Stricter than the machine, where the agent stands still meanwhile on the same CPU.
    fn nmi_steps(&self, protocol: &Protocol) -> Vec<(&'static str, Next)> {
        let Some(log) = &self.handler else {
            let begin = |nmi| {
                let mut world = self.clone();
                world.nmi = nmi;
                world.handler = Some(Log::new());
                Ok(world)
            };
            let mut steps = vec![("an NMI that is not ours, or repeated", begin(self.nmi))];
            if self.nmi {
                steps.push(("the NMI arrives", begin(false)));
            }
            return steps;
        };
        let mut world = self.clone();
        let mut log = log.clone();
        let next = match advance(&mut world.shared, &mut log, protocol.on_nmi) {
            Outcome::Pending => {
                world.handler = Some(log);
                Ok(world)
            }
            Outcome::Returned(Ok(nmi)) => {
                world.handler = None;
                world.noticed |= nmi == Nmi::Notice;
                Ok(world)
            }
            Outcome::Returned(Err(why)) => Err(Unexplained("on_nmi", why)),
        };
        vec![("2nd: on_nmi", next)]
    }

    fn first_call<T>(
        &self,
        call: impl FnOnce(&Words<'_>) -> Result<T, Refused>,
        name: &'static str,
        done: impl FnOnce(&mut Self, Result<T, Refused>) -> Result<(), Refused>,
    ) -> Next {
        let mut world = self.clone();
        if let Outcome::Returned(result) = advance(&mut world.shared, &mut world.first_log, call) {
            done(&mut world, result).map_err(|why| Unexplained(name, why))?;
        }
        Ok(world)
    }

    fn second_call<T>(
        &self,
        call: impl FnOnce(&Words<'_>) -> Result<T, Refused>,
        name: &'static str,
        done: impl FnOnce(&mut Self, Result<T, Refused>) -> Result<(), Refused>,
    ) -> Next {
        let mut world = self.clone();
        if let Outcome::Returned(result) = advance(&mut world.shared, &mut world.second_log, call) {
            done(&mut world, result).map_err(|why| Unexplained(name, why))?;
        }
        Ok(world)
    }
}

/// Whether the step happened. A refusal because the other side was there first is no error; any
/// other is, for nobody corrupts the page here.
fn explained<T>(result: Result<T, Refused>) -> Result<bool, Refused> {
    match result {
        Ok(_) => Ok(true),
        Err(Refused::State(_) | Refused::Raced(_)) => Ok(false),
        Err(why) => Err(why),
    }
}
