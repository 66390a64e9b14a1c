//! Every interleaving of the two sides.
//!
//! The functions under test are the real ones. They run over [`words::Words`], where each load,
//! store and swap is a point at which anything else may happen. A search visits every
//! state that two stops can lead to, with a notice that is sent or lost, late, repeated, an NMI
//! that is not ours at any moment, the 1st OS losing patience at any moment (also before all its
//! CPUs are parked), and the 2nd giving back or falling silent at any moment. `rules.rs` says
//! what must hold in every one of them.
//!
//! So that the search is known to be able to fail, it is run on broken variants, too, each of
//! which must be caught.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "model/mutants.rs"]
mod mutants;
#[path = "model/rules.rs"]
mod rules;
#[path = "model/search.rs"]
mod search;
#[path = "model/words.rs"]
mod words;
#[path = "model/world.rs"]
mod world;

use search::{explore, Found};
use world::{First, Protocol, Second};

/// Stops that the 1st OS may begin. With two, everything that one stop leaves behind meets the
/// next.
const STOPS: u64 = 2;

fn explored(protocol: &Protocol, stops: u64) -> Found {
    match explore(protocol, stops) {
        Ok(found) => found,
        Err(violation) => panic!("{violation}"),
    }
}

#[test]
fn no_interleaving_breaks_a_rule() {
    let found = explored(&Protocol::REAL, STOPS);
    println!("{} states, {} steps", found.states.len(), found.steps.len());
    // The search is not vacuous: both ends are reached, in the first stop and after an abort.
    for sequence in 1..=STOPS {
        assert!(found
            .states
            .iter()
            .any(|world| world.second == Second::Writing { sequence }));
        assert!(found
            .states
            .iter()
            .any(|world| world.first == First::Running { stops: sequence }));
    }
    assert!(found.states.len() > 1000);
}

#[test]
fn a_third_stop_changes_nothing() {
    let found = explored(&Protocol::REAL, 3);
    assert!(found
        .states
        .iter()
        .any(|world| world.second == Second::Writing { sequence: 3 }));
}

#[test]
fn every_broken_variant_is_caught() {
    for (name, protocol) in mutants::ALL {
        match explore(protocol, STOPS) {
            Ok(found) => panic!(
                "the variant '{name}' was not caught in {} states",
                found.states.len()
            ),
            Err(violation) => println!("{name}: {violation}\n"),
        }
    }
}
