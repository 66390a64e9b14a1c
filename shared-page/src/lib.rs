//! Memory that another kernel may write at any moment.
//!
//! # Purpose
//! The handoff region is shared by two kernels without a common lock. This crate is the only
//! owner of pointers into it. It offers three kinds of access, and no reference ever escapes:
//!
//! * **live words** ([`Section::load_u64`], [`Section::store_u64`],
//!   [`Section::compare_exchange_u64`]): atomics, one word each;
//! * **snapshots** ([`Section::snapshot`]): the bytes are read once, through volatile loads, into
//!   a value of the reader's own, whose header is validated before anyone looks at the rest;
//! * **publication** ([`Section::publish`]): a value of the writer's own is stored by volatile
//!   stores, and the store of a live word that follows makes it visible.
//!
//! # Invariants
//! A [`Section`] lies inside the mapping its creator vouched for. All offsets are checked; a wrong
//! one is an [`Error`], never an access.
//!
//! # Not for
//! Deciding anything: the protocol over the live words is `notifier`'s.
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

mod error;
mod page;
mod publish;
mod snapshot;

pub use error::Error;
pub use page::Section;
