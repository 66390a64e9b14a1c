//! Baton on the operator's side: what the command and the agent are made of.

pub mod btf;
pub mod bzimage;
pub mod cpus;
pub mod initramfs;
pub mod iomem;
pub mod memory_blocks;
pub mod modules;
pub mod network;
pub mod sysfs;
pub mod system;
