//! The judge of an update: what the machine promised, and what became of it.
//!
//! # The story
//! [`AckServer`] records, outside the machine, what its workload says it is
//! about to do and has done ([`baton_guest::record`]). After the update the
//! harness fetches a manifest through [`GuestClient`], and [`check()`] replays the
//! acknowledged operations in a model and compares: everything acknowledged must
//! be there, and nothing else, but for the one operation per writer that was
//! announced and not acknowledged. [`ServiceProbe`] meanwhile measures from
//! outside how long the machine's service was away.
//!
//! # Invariants
//! - The verdict does not depend on any judgement made by the machine under
//!   test; it only supplies hashes of what its files contain now.
//! - Doubt is not success: a log or manifest that is incomplete or contradicts
//!   itself makes the report invalid, and an invalid report is not ok.
//!
//! # Not for
//! Contents of memory, sockets and processes: only files and one service.

mod ack;
mod blocks;
mod check;
mod client;
mod compare;
mod extents;
mod log;
mod probe;
mod replay;
mod report;
mod tree;

#[cfg(test)]
mod tests;

pub use ack::AckServer;
pub use check::{check, Manifest, Options};
pub use client::{GuestClient, Output};
pub use log::{AckLog, WriterLog};
pub use probe::{Outage, ProbeConfig, ServiceProbe};
pub use report::{Kind, Problem, Report};
