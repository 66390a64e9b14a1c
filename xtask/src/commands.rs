//! What the command line offers, one module a command.

pub mod kernels;
pub mod vm;
