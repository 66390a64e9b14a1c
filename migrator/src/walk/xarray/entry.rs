//! What slots hold, and what marks say.

use handoff_abi::descriptor::MemberId;

use crate::address::ForeignVa;
use crate::error::Error;
use crate::memory::ForeignMemory;
use crate::view::View;

/// Internal entries up to here are not nodes.
const MAX_SPECIAL: u64 = 4096;
/// Pages of the largest file: `MAX_LFS_FILESIZE`.
const MAX_INDEX: u64 = 1 << 51;

/// Marks of an entry or of a whole tree, by what the page cache uses them for.
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
    Pointer(ForeignVa),
    Value,
    Node(ForeignVa),
    Sibling,
    Placeholder,
}

pub(super) fn classify(entry: u64) -> Slot {
    match entry {
        0 => Slot::Empty,
        e if e & 1 == 1 => Slot::Value,
        e if e & 3 != 2 => Slot::Pointer(ForeignVa::new(e)),
        e if e > MAX_SPECIAL => Slot::Node(ForeignVa::new(e & !3)),
        // xa_mk_internal(n) is n << 2 | 2; siblings are the numbers of slots.
        e if e >> 2 < 64 => Slot::Sibling,
        _ => Slot::Placeholder,
    }
}

/// The marks of the tree at `xarray` as a whole: set if any entry has them.
///
/// # Errors
/// If `xa_flags` cannot be read.
pub fn root_marks<M: ForeignMemory>(view: &View<'_, M>, xarray: ForeignVa) -> Result<Marks, Error> {
    let hot = view.descriptor().hot();
    let flags = view.read_integer(xarray, MemberId::XARRAY_XA_FLAGS)?;
    let is_set = |mark: u32| {
        let bit = hot.xa_flags_mark_shift.saturating_add(mark);
        flags.checked_shr(bit).unwrap_or(0) & 1 == 1
    };
    Ok(Marks {
        dirty: is_set(hot.mark_dirty),
        writeback: is_set(hot.mark_writeback),
    })
}

/// First index of a slot; `None` beyond the largest file.
pub(super) fn index_of(base: u64, shift: u8, slot: u8) -> Option<u64> {
    let step = 1_u64.checked_shl(u32::from(shift))?;
    let index = base.checked_add(u64::from(slot).checked_mul(step)?)?;
    (index < MAX_INDEX).then_some(index)
}
