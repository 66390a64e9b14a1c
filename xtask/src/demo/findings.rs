//! Whether a run is as it should be.

use super::observe::Facts;
use super::outcome::Outcome;

/// The part of the memory that must be there again. The rest is what the two
/// kernels themselves and their descriptions of memory occupy.
const MEMORY_PERCENT: u64 = 90;

/// The part of the cache asked for that must have been dirty.
const DIRTY_PERCENT: u64 = 75;

/// How far the wall clock may be off after an update, seconds.
const CLOCK_S: f64 = 0.25;

/// Whether as many CPUs are online as after the boot.
pub fn has_cpus(after: &Facts, booted: &Facts) -> bool {
    after.cpus >= booted.cpus
}

/// Whether the memory is back.
pub fn has_memory(after: &Facts, booted: &Facts) -> bool {
    after.memory_kib * 100 >= booted.memory_kib * MEMORY_PERCENT
}

/// All that is wrong with a run that went through.
pub fn problems(outcome: &Outcome) -> Vec<String> {
    let mut problems = Vec::new();
    let mut claim = |holds: bool, problem: &dyn Fn() -> String| {
        if !holds {
            problems.push(problem());
        }
    };
    if let Some(before) = &outcome.before {
        let dirty = (before.dirty_kib + before.writeback_kib) << 10;
        claim(dirty * 100 >= outcome.cache * DIRTY_PERCENT, &|| {
            format!(
                "only {} KiB were dirty: there was little to migrate",
                dirty >> 10
            )
        });
    }
    if let (Some(booted), Some(after)) = (&outcome.booted, &outcome.after) {
        claim(after.release == outcome.to, &|| {
            format!("the kernel is {}, not {}", after.release, outcome.to)
        });
        claim(after.boot_id != booted.boot_id, &|| {
            "the kernel is the one that booted the machine".to_owned()
        });
        claim(after.hostname == booted.hostname, &|| {
            format!(
                "the host name is {}, was {}",
                after.hostname, booted.hostname
            )
        });
        claim(after.addresses == booted.addresses, &|| {
            format!(
                "the addresses are {}, were {}",
                after.addresses, booted.addresses
            )
        });
        claim(has_cpus(after, booted), &|| {
            format!("{} CPUs are online, {} were", after.cpus, booted.cpus)
        });
        claim(has_memory(after, booted), &|| {
            let (now, then) = (after.memory_kib, booted.memory_kib);
            format!("there are {now} KiB of memory, there were {then}")
        });
    } else {
        claim(false, &|| {
            "the machine did not say what it is like".to_owned()
        });
    }
    if let [Some(before), Some(after)] = &outcome.clocks {
        claim(after.step_since(before) <= CLOCK_S, &|| {
            let (now, then) = (after.ahead_s, before.ahead_s);
            format!("the clock is {now:+.3} s from ours, was {then:+.3} s")
        });
    } else {
        claim(false, &|| "the machine's clock was not asked".to_owned());
    }
    match (&outcome.oracle, outcome.control) {
        (None, _) => claim(false, &|| "the oracle was not asked".to_owned()),
        (Some(report), false) => claim(report.ok(), &|| {
            let (losses, extras) = (report.losses.len(), report.extras.len());
            format!("the oracle: {losses} losses, {extras} extras, see its report")
        }),
        (Some(report), true) => {
            claim(report.invalid.is_empty(), &|| {
                format!("the oracle: {}", report.invalid.join("; "))
            });
            claim(!report.losses.is_empty(), &|| {
                "the migration was off and the oracle saw no loss: it would not see one in the \
                 other runs either"
                    .to_owned()
            });
        }
    }
    match (&outcome.timeline, outcome.control) {
        (None, _) => claim(false, &|| "`baton report` was not to be had".to_owned()),
        (Some(timeline), false) => claim(timeline.losses.is_empty(), &|| {
            let losses: Vec<String> = timeline.losses.iter().map(ToString::to_string).collect();
            format!("`baton report` names losses: {}", losses.join(", "))
        }),
        (Some(_), true) => {}
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::observe::Clock;
    use crate::demo::outcome::Timeline;
    use crate::oracle::{Kind, Problem, Report};

    fn facts(release: &str) -> Facts {
        Facts {
            release: release.to_owned(),
            boot_id: format!("of {release}"),
            cpus: 4,
            memory_kib: 1000,
            ..Facts::default()
        }
    }

    fn good() -> Outcome {
        let oracle = Report {
            acked_ops: 1,
            ..Report::default()
        };
        Outcome {
            to: "b".to_owned(),
            cache: 1 << 20,
            booted: Some(facts("a")),
            before: Some(Facts {
                dirty_kib: 1024,
                ..facts("a")
            }),
            after: Some(facts("b")),
            clocks: [Some(Clock::default()); 2],
            timeline: Some(Timeline::default()),
            oracle: Some(oracle),
            ..Outcome::default()
        }
    }

    #[test]
    fn each_difference_is_a_problem() {
        assert_eq!(problems(&good()), Vec::<String>::new());
        let changes: [fn(&mut Outcome); 10] = [
            |o| o.before.as_mut().unwrap().dirty_kib = 1,
            |o| o.after.as_mut().unwrap().release = "c".to_owned(),
            |o| o.after.as_mut().unwrap().boot_id = "of a".to_owned(),
            |o| o.after.as_mut().unwrap().addresses = "eth0 10.0.2.16/24".to_owned(),
            |o| o.after.as_mut().unwrap().cpus = 3,
            |o| o.after.as_mut().unwrap().memory_kib = 899,
            |o| o.clocks[1].as_mut().unwrap().ahead_s = -0.3,
            |o| o.oracle = None,
            |o| o.oracle.as_mut().unwrap().acked_ops = 0,
            |o| o.timeline.as_mut().unwrap().losses.push("x".into()),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut outcome = good();
            change(&mut outcome);
            assert_eq!(problems(&outcome).len(), 1, "change {number}");
        }
    }

    #[test]
    fn the_control_wants_losses() {
        let mut outcome = good();
        outcome.control = true;
        assert_eq!(problems(&outcome).len(), 1);
        outcome.oracle.as_mut().unwrap().losses.push(Problem {
            path: "x".to_owned(),
            what: Kind::Content,
            expected: String::new(),
            found: String::new(),
        });
        assert!(problems(&outcome).is_empty());
    }
}
