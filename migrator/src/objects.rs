//! Structures of the 1st OS: one file each, each method names the member it reads.

pub mod address_space;
pub mod buffer_head;
pub mod dentry;
pub mod inode;
pub mod page;
pub mod super_block;
