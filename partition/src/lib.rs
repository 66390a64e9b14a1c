//! A partition: what a kernel needs to start beside another one.
//!
//! # Purpose
//! Given a physically contiguous range of memory and a CPU that the 1st OS gave up, this crate
//! lays out and fills in everything a stock kernel expects from firmware and boot loader: the
//! zero page with an e820 table of *only* that range, ACPI tables that describe a machine without
//! legacy hardware, page tables for the 64-bit boot protocol, the real-mode trampoline that the
//! start-up IPI leads to, and the parking loop in which the CPUs of the 1st OS wait to be woken
//! through the ACPI wakeup mailbox.
//!
//! # The story
//! `baton load` computes a [`layout::Layout`], opens a [`image::Image`] over the partition's
//! memory and the low window, and writes: the kernel's payload, the initramfs, [`boot_params`],
//! [`acpi`], [`page_tables`], [`trampoline`], [`park`], and the SSDT of [`aml`] which the 2nd OS
//! loads at the takeover. `baton.ko` then only sends INIT and two SIPIs.
//!
//! # Invariants
//! * Everything is written through [`image::Image`], which refuses an address outside the
//!   partition and the low window.
//! * Nothing here allocates; sizes that depend on the machine are bounded by the layout.
//!
//! # Not for
//! Touching hardware. This crate produces bytes; the module starts the CPU.
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

pub mod acpi;
pub mod aml;
mod blob;
pub mod boot_params;
pub mod image;
pub mod layout;
pub mod page_tables;
pub mod park;
pub mod trampoline;

pub use image::{Error, Image};
pub use layout::Layout;
