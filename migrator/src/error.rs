//! What can be wrong with foreign memory.

use core::fmt;

use crate::address::{ForeignVa, PhysAddr};

/// What was found wrong, in which object, where. Always the 1st OS's memory (or the descriptor
/// that explains it) is at fault; nothing here is a failure of the 2nd OS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Error {
    /// C name of the structure that was read.
    pub object: &'static str,
    /// The address that was followed or read.
    pub at: ForeignVa,
    /// What is wrong.
    pub fault: Fault,
}

impl Error {
    /// `fault` in the `object` at `at`.
    #[must_use]
    pub const fn new(object: &'static str, at: ForeignVa, fault: Fault) -> Self {
        Self { object, at, fault }
    }
}

/// A bound that was reached: the structure claims more than can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Bound {
    /// Inodes of a file system.
    Inodes,
    /// Nodes of all page trees of a file system.
    Nodes,
    /// Pages of all files of a file system.
    Pages,
    /// Names of an inode.
    Aliases,
    /// Directories above a file.
    PathDepth,
    /// Levels of a page tree.
    TreeDepth,
}

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// A pointer that is never null is null.
    Null,
    /// Not an address of the kernel's half.
    NotKernel,
    /// The 1st OS's page tables map nothing there.
    NotMapped,
    /// A page table entry that cannot be: a leaf where there are none.
    PageTable {
        /// The entry.
        entry: u64,
    },
    /// It leads to physical memory that is not the 1st OS's.
    Unreadable {
        /// There.
        at: PhysAddr,
    },
    /// The address wraps around the end of the address space.
    Wraps,
    /// The pointer is not aligned as such an object is.
    Misaligned,
    /// This kernel has no such member.
    Absent(&'static str),
    /// The member is of a kind that cannot be read this way.
    Kind(&'static str),
    /// A shape that this version does not know.
    Shape {
        /// Which shape.
        shape: &'static str,
        /// Its value.
        value: u32,
    },
    /// The super block's magic number is another.
    Magic(u64),
    /// The list or chain comes back to itself.
    Cycle,
    /// More than there can be.
    Exceeded(Bound),
    /// A node whose shift does not fit its place in the tree.
    NodeShift(u8),
    /// A node of a radix tree whose height does not fit its place.
    NodeHeight(u32),
    /// A root of a radix tree whose height no tree has, or not one with such a first entry.
    TreeHeight(u32),
    /// A node that says it is in another slot of its parent.
    NodeOffset(u8),
    /// A node with more entries than slots.
    NodeCount(u8),
    /// A slot that holds what cannot be there.
    NodeEntry(u64),
    /// An index beyond the largest file.
    Index(u64),
    /// An entry that is not a `struct page` of the memory map.
    NotAPage,
    /// The frame of the page is not the 1st OS's memory.
    Frame {
        /// The frame.
        at: PhysAddr,
    },
    /// The page belongs to another address space.
    PageMapping(ForeignVa),
    /// The page's index is not that of its place.
    PageIndex {
        /// What the page says.
        found: u64,
        /// Where it is.
        place: u64,
    },
    /// A compound page of an order that cannot be there.
    PageOrder(u8),
    /// The inode is in the list of another's super block.
    SuperBlock(ForeignVa),
    /// The address space belongs to another inode.
    Host(ForeignVa),
    /// A file longer than the largest.
    Size(u64),
    /// More pages than the machine has.
    PageCount(u64),
    /// A name of a length that no name has.
    NameLength(u64),
    /// A name with a byte that no name has, or one that is a directory's own.
    Name,
    /// The topmost directory is not the file system's root.
    NotTheRoot(ForeignVa),
}

impl Fault {
    /// In words, without the numbers.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Null => "is null",
            Self::NotKernel => "is not a kernel address",
            Self::NotMapped => "is not mapped",
            Self::PageTable { .. } => "is mapped by an impossible page table entry",
            Self::Unreadable { .. } | Self::Frame { .. } => "is outside the memory",
            Self::Wraps => "wraps around the address space",
            Self::Misaligned => "is misaligned",
            Self::Absent(_) => "lacks a member",
            Self::Kind(_) => "has a member of another kind",
            Self::Shape { .. } => "has an unknown shape",
            Self::Magic(_) => "has another magic number",
            Self::Cycle => "is part of a cycle",
            Self::Exceeded(_) => "exceeds what there can be",
            Self::NodeShift(_) => "has a shift that does not fit its place",
            Self::NodeHeight(_) => "has a height that does not fit its place",
            Self::TreeHeight(_) => "has an impossible height",
            Self::NodeOffset(_) => "is in another slot than it says",
            Self::NodeCount(_) => "has more entries than slots",
            Self::NodeEntry(_) => "has an impossible entry",
            Self::Index(_) => "has an index beyond the largest file",
            Self::NotAPage => "is not in the memory map",
            Self::PageMapping(_) => "belongs to another address space",
            Self::PageIndex { .. } => "has another index than its place",
            Self::PageOrder(_) => "has an impossible order",
            Self::SuperBlock(_) => "belongs to another super block",
            Self::Host(_) => "belongs to another inode",
            Self::Size(_) => "is longer than the largest file",
            Self::PageCount(_) => "has more pages than the machine",
            Self::NameLength(_) => "has a name of impossible length",
            Self::Name => "has an impossible name",
            Self::NotTheRoot(_) => "is not below the root",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at {:#x} {}",
            self.object,
            self.at.raw(),
            self.fault.text()
        )?;
        match self.fault {
            Fault::Unreadable { at } | Fault::Frame { at } => write!(f, " ({:#x})", at.raw()),
            Fault::Absent(member) | Fault::Kind(member) => write!(f, " ({member})"),
            Fault::Shape { shape, value } => write!(f, " ({shape}: {value})"),
            Fault::Magic(n)
            | Fault::NodeEntry(n)
            | Fault::Index(n)
            | Fault::Size(n)
            | Fault::PageCount(n)
            | Fault::NameLength(n)
            | Fault::PageTable { entry: n } => write!(f, " ({n:#x})"),
            Fault::NodeShift(n)
            | Fault::NodeOffset(n)
            | Fault::NodeCount(n)
            | Fault::PageOrder(n) => write!(f, " ({n})"),
            Fault::NodeHeight(n) | Fault::TreeHeight(n) => write!(f, " ({n})"),
            Fault::PageMapping(at)
            | Fault::SuperBlock(at)
            | Fault::Host(at)
            | Fault::NotTheRoot(at) => write!(f, " ({:#x})", at.raw()),
            Fault::PageIndex { found, place } => write!(f, " ({found} at {place})"),
            _ => Ok(()),
        }
    }
}

impl core::error::Error for Error {}
