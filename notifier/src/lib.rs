//! Who owns the machine, and how the other side learns of it.
//!
//! # Purpose
//! The stop word of the control page decides which kernel owns the machine; the notice is an NMI
//! that wakes the 2nd OS. [`state`] is the pure state machine of that word: which step either side
//! may take from which state. [`ops`] is what it needs of the machine: one shared word, and the
//! sending of an NMI. [`first`] and [`second`] are the two sides.
//!
//! # The story
//! The 1st OS, all its other CPUs parked, publishes `STOPPED` ([`first::stop`]) and sends the
//! notice. The NMI handler of the 2nd OS ([`second::on_nmi`]) recognises a new notice by its
//! number; a thread of it takes the word ([`second::take`]), checks that it can take over, and
//! commits ([`second::commit`]) or gives back ([`second::give_back`]). The 1st OS waits for the
//! commit, and when its patience runs out takes the word back ([`first::abort`]).
//!
//! # Invariants
//! * Every change of the word is one compare-and-swap from the state that the step requires, so
//!   that of two steps that race exactly one happens.
//! * In no state do both sides own the machine, and from every state in which neither does, each
//!   side's next step leads to one in which exactly one does. The test `model.rs` explores all
//!   interleavings of both sides, with a notice that is lost, late or repeated.
//! * [`second::on_nmi`] is callable in NMI context: no lock, no log, no loop.
//!
//! # Not for
//! Parking CPUs or waiting: that is the module's business, with its own bounds.
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

pub mod first;
pub mod ops;
pub mod second;
pub mod state;
