//! Walks over the 1st OS's collections. Each ends, whatever the memory says.

pub mod list;
pub mod tree;
