//! What runs inside the test machine, and the vocabulary it shares with the host.
//!
//! # The story
//! A workload writes files on the disk of a machine whose kernel is about to be
//! replaced. For every operation a writer first sends an *intent* to the host
//! and waits for the host's go-ahead, then performs the operation, then sends an
//! *acknowledgement* that carries what `lstat` saw. So at any instant at most
//! one operation per writer is unknown to the host, and everything else is a
//! promise: it must be on the disk under the next kernel, and nothing else may.
//!
//! The host never asks the guest whether all is well. It replays the
//! acknowledged operations in a model of its own ([`record`] and [`content`] say
//! what each means) and compares with what [`manifest`] reports.
//!
//! # Invariants
//! - A writer works only below its own directory, so the writers' orders do not
//!   depend on each other.
//! - Every byte written follows from (seed, writer, sequence number, position).
//! - One [`record::Op`] is one change of the file system (one system call that
//!   alters it, or one run of stores to a mapping), and an optional sync.
//!
//! # Not for
//! Load generation as a benchmark: the round trip per operation bounds the rate.

pub mod content;
pub mod daemon;
pub mod frame;
pub mod manifest;
pub mod mischief;
pub mod record;
pub mod text;
pub mod workload;
