//! What slots hold, and what marks say.

use crate::address::ForeignVa;

/// Pages of the largest file: `MAX_LFS_FILESIZE`.
const MAX_INDEX: u64 = 1 << 51;

/// Marks (tags, in a radix tree) of an entry or of a whole tree, by what the page cache uses them for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Marks {
    /// `PAGECACHE_TAG_DIRTY`.
    pub dirty: bool,
    /// `PAGECACHE_TAG_WRITEBACK`.
    pub writeback: bool,
}

impl Marks {
    /// Whether any of them is set.
    #[must_use]
    pub const fn any(self) -> bool {
        self.dirty || self.writeback
    }
}

/// One entry that is a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// First index.
    pub index: u64,
    /// The pointer.
    pub pointer: ForeignVa,
    /// Its marks.
    pub marks: Marks,
    /// How many indices it covers by itself and its siblings.
    pub span: u64,
}

/// Entries that were passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Passed {
    /// Values: shadows and swap entries.
    pub values: u64,
    /// Retry and zero entries.
    pub placeholders: u64,
}

/// What a slot holds.
pub(super) enum Slot {
    Empty,
    /// An object of the tree's user.
    Pointer(ForeignVa),
    /// A shadow or a swap entry.
    Value,
    Node(ForeignVa),
    Placeholder,
    /// What cannot be there.
    Stray,
}

/// First index of a slot; `None` beyond the largest file.
pub(super) fn index_of(base: u64, shift: u8, slot: u8) -> Option<u64> {
    let step = 1_u64.checked_shl(u32::from(shift))?;
    let index = base.checked_add(u64::from(slot).checked_mul(step)?)?;
    (index < MAX_INDEX).then_some(index)
}
