//! Why a descriptor is refused.

use core::fmt;

/// What is wrong with a descriptor. The writer (`baton load` on the 1st OS) is at fault, or the
/// 1st OS's kernel is of a kind that this version does not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DescriptorError {
    /// More members than the page has room for.
    MemberCount(u32),
    /// More or fewer constants than this version needs.
    ConstantCount(u32),
    /// A required member is absent.
    Missing {
        /// Structure.
        structure: &'static str,
        /// Member.
        member: &'static str,
    },
    /// A member of another kind than any that is known.
    Kind {
        /// Structure.
        structure: &'static str,
        /// Member.
        member: &'static str,
        /// What it is.
        kind: u8,
    },
    /// A member of another size than any that is known.
    Size {
        /// Structure.
        structure: &'static str,
        /// Member.
        member: &'static str,
        /// Its size, bytes.
        size: u32,
    },
    /// A member beyond the end of any structure, or of its own.
    Offset {
        /// Structure.
        structure: &'static str,
        /// Member.
        member: &'static str,
        /// Its offset, bytes.
        offset: u32,
    },
    /// A shape that this version does not know, or that the members do not bear out.
    Shape {
        /// Which shape.
        shape: &'static str,
        /// Its value.
        value: u32,
    },
    /// A constant that cannot be.
    Constant {
        /// C name.
        name: &'static str,
        /// Its value.
        value: u64,
    },
    /// A field of the address space that cannot be.
    AddressSpace {
        /// Field of [`handoff_abi::descriptor::AddressSpace`].
        field: &'static str,
        /// Its value.
        value: u64,
    },
}

impl fmt::Display for DescriptorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("descriptor: ")?;
        match *self {
            Self::MemberCount(n) => write!(f, "impossible number of members: {n}"),
            Self::ConstantCount(n) => write!(f, "impossible number of constants: {n}"),
            Self::Missing { structure, member } => write!(f, "no {structure}.{member}"),
            Self::Kind {
                structure,
                member,
                kind,
            } => {
                write!(f, "{structure}.{member} is of unknown kind {kind}")
            }
            Self::Size {
                structure,
                member,
                size,
            } => {
                write!(f, "{structure}.{member} has unknown size {size}")
            }
            Self::Offset {
                structure,
                member,
                offset,
            } => {
                write!(f, "{structure}.{member} at impossible offset {offset}")
            }
            Self::Shape { shape, value } => write!(f, "unknown shape of {shape}: {value}"),
            Self::Constant { name, value } => write!(f, "impossible {name}: {value:#x}"),
            Self::AddressSpace { field, value } => write!(f, "impossible {field}: {value:#x}"),
        }
    }
}

impl core::error::Error for DescriptorError {}
