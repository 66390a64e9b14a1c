//! `struct xarray` (since 4.20). Source: `include/linux/xarray.h`, `lib/xarray.c`.
//!
//! An entry is told by its two lowest bits: a pointer (00), a value (x1: the shadow of an evicted
//! page, a swap entry), or internal (10): a node, a sibling of an entry to its left, or a
//! placeholder. A tree of one entry has no node: `xa_head` is the entry, and its marks are only
//! in `xa_flags`. A node says its shift, and in which slot of its parent it is.

use handoff_abi::descriptor::MemberId;

use super::entry::Slot;
use super::Place;
use crate::address::ForeignVa;
use crate::error::{Error, Fault};
use crate::memory::ForeignMemory;
use crate::view::View;

/// Internal entries up to here are not nodes.
const MAX_SPECIAL: u64 = 4096;

/// What is at the root of the tree at `at`.
pub(super) fn root<M: ForeignMemory>(
    view: &View<'_, M>,
    at: ForeignVa,
) -> Result<(Slot, Place), Error> {
    let head = view.read_pointer(at, MemberId::XARRAY_XA_HEAD)?.raw();
    match classify(head) {
        Slot::Stray => Err(Error::new("xarray", at, Fault::NodeEntry(head))),
        slot => Ok((slot, Place::Root { height: 0 })),
    }
}

/// What `entry` is, in a slot of any node.
pub(super) fn classify(entry: u64) -> Slot {
    match entry {
        0 => Slot::Empty,
        e if e & 1 == 1 => Slot::Value,
        e if e & 3 != 2 => Slot::Pointer(ForeignVa::new(e)),
        e if e > MAX_SPECIAL => Slot::Node(ForeignVa::new(e & !3)),
        // xa_mk_internal(n) is n << 2 | 2. Siblings are the numbers of slots; those of an entry
        // are passed over with it, so this one has nothing to its left.
        e if e >> 2 < 64 => Slot::Stray,
        _ => Slot::Placeholder,
    }
}

/// The entry that says that the one in `slot` reaches as far as here.
pub(super) fn sibling_of(slot: u8) -> u64 {
    (u64::from(slot) << 2) | 2
}

/// The shift of `node`, which must fit its place.
pub(super) fn shift<M: ForeignMemory>(
    view: &View<'_, M>,
    node: ForeignVa,
    place: Place,
) -> Result<u8, Error> {
    let error = |fault| Error::new("xa_node", node, fault);
    let chunk = view.descriptor().hot().xa_chunk_shift;
    let byte = |id| {
        view.read_integer(node, id)
            .map(|value| u8::try_from(value).unwrap_or(u8::MAX))
    };
    let shift = byte(MemberId::XA_NODE_SHIFT)?;
    let fits = match place {
        Place::Root { .. } => shift < 64 && shift.checked_rem(chunk) == Some(0),
        Place::Child { above, .. } => above.checked_sub(chunk) == Some(shift),
    };
    if !fits {
        return Err(error(Fault::NodeShift(shift)));
    }
    let offset = byte(MemberId::XA_NODE_OFFSET)?;
    match place {
        Place::Child { slot, .. } if slot != offset => Err(error(Fault::NodeOffset(offset))),
        _ => Ok(shift),
    }
}
