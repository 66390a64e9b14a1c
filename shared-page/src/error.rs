//! Why a shared page could not be used.

use core::fmt;
use handoff_abi::header::HeaderError;

/// What is wrong with a section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The mapping is not aligned to a page, or shorter than the section.
    Mapping,
    /// An offset that is not inside the section, or not aligned to its word.
    Offset(usize),
    /// The page's header is not that of this section.
    Header(&'static str, HeaderError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mapping => f.write_str("the mapping is too short or not page-aligned"),
            Self::Offset(at) => write!(f, "offset {at:#x} is outside the section"),
            Self::Header(name, why) => write!(f, "the {name} page is not valid: {why:?}"),
        }
    }
}

impl core::error::Error for Error {}
