//! Baton on the operator's side: what the command and the agent are made of.
//!
//! # The rooms
//! * 1st OS: [`load`] boots a kernel beside this one, [`update`] hands the machine over; both
//!   describe this kernel and machine by [`describe`], from [`btf`], [`iomem`], [`system`] and
//!   [`network`].
//! * 2nd OS: [`agent`] prepares and waits, [`takeover`] takes over, [`aftermath`] fetches what
//!   the service does not need.
//! * Both: [`device`] (the module), [`region`] (the handoff region), [`report`] and its [`plot`],
//!   [`log`], [`check`] (can this machine do it), [`manual`], [`exit`] (exit codes).

pub mod aftermath;
pub mod agent;
pub mod btf;
pub mod bzimage;
pub mod check;
pub mod cpus;
pub mod describe;
pub mod device;
pub mod exit;
pub mod inheritance;
pub mod initramfs;
pub mod iomem;
pub mod load;
pub mod log;
pub mod manual;
pub mod memory_blocks;
pub mod module_file;
pub mod modules;
pub mod network;
pub mod plot;
pub mod region;
pub mod report;
pub mod sysfs;
pub mod system;
pub mod takeover;
pub mod tsc;
pub mod unload;
pub mod update;
