//! `struct radix_tree_root`, as it was before 3.15. Source: `include/linux/radix-tree.h` and
//! `lib/radix-tree.c` of 2.6.38, 3.0 and 3.4.
//!
//! The root says how high the tree is. At height 0 `rnode` is the only entry, and its tags are
//! only in the upper bits of `gfp_mask`; else `rnode` is the topmost node with the lowest bit set
//! (`RADIX_TREE_INDIRECT_PTR`). In the slots of nodes that bit never is: what a pointer leads to
//! is told by the height alone. The next bit (`RADIX_TREE_EXCEPTIONAL_ENTRY`, since 3.1) tells a
//! swap entry or a shadow from a page. A node says its height, but not where it hangs: one that
//! hangs in two places is found by the index of its pages.
//!
//! From 3.15 on nodes have a `path` or a `shift` in place of the height; those are refused at
//! load, for their entries are told by other bits too.

use handoff_abi::descriptor::MemberId;

use super::entry::Slot;
use super::Place;
use crate::address::ForeignVa;
use crate::error::{Error, Fault};
use crate::memory::ForeignMemory;
use crate::view::View;

/// `RADIX_TREE_INDIRECT_PTR`.
const INDIRECT: u64 = 1;
/// `RADIX_TREE_EXCEPTIONAL_ENTRY`.
const EXCEPTIONAL: u64 = 2;
/// Both.
const KIND: u64 = 3;

/// What is at the root of the tree at `at`.
pub(super) fn root<M: ForeignMemory>(
    view: &View<'_, M>,
    at: ForeignVa,
) -> Result<(Slot, Place), Error> {
    let error = |fault| Error::new("radix_tree_root", at, fault);
    let height = view.read_integer_u32(at, MemberId::RADIX_TREE_ROOT_HEIGHT)?;
    if height > 0 && shift_at(view, height).is_none() {
        return Err(error(Fault::TreeHeight(height)));
    }
    let rnode = view
        .read_pointer(at, MemberId::RADIX_TREE_ROOT_RNODE)?
        .raw();
    let slot = match (rnode & KIND, height) {
        // A tree that was to grow and found no memory has a height already.
        _ if rnode == 0 => Slot::Empty,
        (INDIRECT, 1..) => Slot::Node(ForeignVa::new(rnode & !INDIRECT)),
        (INDIRECT, 0) | (0, 1..) => return Err(error(Fault::TreeHeight(height))),
        (0, 0) => Slot::Pointer(ForeignVa::new(rnode)),
        (EXCEPTIONAL, 0) => Slot::Value,
        _ => return Err(error(Fault::NodeEntry(rnode))),
    };
    Ok((slot, Place::Root { height }))
}

/// What `entry` is, in a slot of a node with this shift.
pub(super) fn classify(entry: u64, shift: u8) -> Slot {
    match (entry & KIND, shift) {
        _ if entry == 0 => Slot::Empty,
        (0, 0) => Slot::Pointer(ForeignVa::new(entry)),
        (0, _) => Slot::Node(ForeignVa::new(entry)),
        (EXCEPTIONAL, 0) => Slot::Value,
        // An indirect pointer is left only in nodes that are about to be freed.
        _ => Slot::Stray,
    }
}

/// The shift of `node`, whose height must be that of its place.
pub(super) fn shift<M: ForeignMemory>(
    view: &View<'_, M>,
    node: ForeignVa,
    place: Place,
) -> Result<u8, Error> {
    let height = view.read_integer_u32(node, MemberId::RADIX_TREE_NODE_HEIGHT)?;
    let chunk = view.descriptor().hot().xa_chunk_shift;
    let expected = match place {
        Place::Root { height } => shift_at(view, height),
        Place::Child { above, .. } => above.checked_sub(chunk),
    };
    expected
        .filter(|_| shift_at(view, height) == expected)
        .ok_or(Error::new(
            "radix_tree_node",
            node,
            Fault::NodeHeight(height),
        ))
}

/// The shift of the topmost node of a tree so high; `None` if no index has so many bits.
fn shift_at<M: ForeignMemory>(view: &View<'_, M>, height: u32) -> Option<u8> {
    let chunk = u32::from(view.descriptor().hot().xa_chunk_shift);
    let shift = height.checked_sub(1)?.checked_mul(chunk)?;
    u8::try_from(shift).ok().filter(|shift| *shift < 64)
}
