//! Search over all states, breadth first: a violation is found by its shortest way.

use crate::rules;
use crate::world::{Protocol, Unexplained, World};
use std::collections::{HashMap, VecDeque};
use std::fmt;

/// Most states that are looked at before the search is called endless.
const MOST: usize = 4_000_000;

/// Everything that was found.
pub struct Found {
    pub states: Vec<World>,
    /// Steps from state to state, by number.
    pub steps: Vec<(usize, usize)>,
}

/// A broken rule, and how to get there.
pub struct Violation {
    rule: String,
    path: Vec<&'static str>,
    world: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.rule)?;
        for step in &self.path {
            writeln!(f, "    {step}")?;
        }
        write!(f, "    {}", self.world)
    }
}

/// A state that was reached, how, and from where.
#[derive(Clone, Copy)]
struct Origin {
    parent: usize,
    step: &'static str,
}

/// Visits every state that can be reached with `stops` stops.
///
/// # Errors
/// The first violation, with the steps that lead to it.
pub fn explore(protocol: &Protocol, stops: u64) -> Result<Found, Box<Violation>> {
    let start = World::new();
    let mut numbers = HashMap::from([(start.clone(), 0)]);
    let mut states = vec![start];
    let mut origins = vec![Origin {
        parent: 0,
        step: "",
    }];
    let mut steps = Vec::new();
    let mut todo = VecDeque::from([0]);
    while let Some(number) = todo.pop_front() {
        let world = states[number].clone();
        if let Some(rule) = rules::broken(&world, protocol, stops) {
            return Err(violation(rule, &origins, number, &world));
        }
        for (step, next) in world.steps(protocol, stops) {
            let next = match next {
                Ok(next) => next,
                Err(Unexplained(call, why)) => {
                    let rule = format!("{call} was refused without a reason: {why:?}");
                    return Err(violation(rule, &origins, number, &world));
                }
            };
            let count = states.len();
            let target = *numbers.entry(next.clone()).or_insert(count);
            if target == count {
                assert!(count < MOST, "the search does not end");
                states.push(next);
                origins.push(Origin {
                    parent: number,
                    step,
                });
                todo.push_back(target);
            }
            steps.push((number, target));
        }
    }
    Ok(Found { states, steps })
}

fn violation(rule: String, origins: &[Origin], end: usize, world: &World) -> Box<Violation> {
    let mut path = Vec::new();
    let mut at = end;
    while at != 0 {
        path.push(origins[at].step);
        at = origins[at].parent;
    }
    path.reverse();
    Box::new(Violation {
        rule,
        path,
        world: format!("{world:?}"),
    })
}
