//! `struct xarray`, as the page cache uses it.
//!
//! An entry is told by its two lowest bits: a pointer (00), a value (x1: the shadow of an evicted
//! page, a swap entry), or internal (10): a node, a sibling of an entry to its left, or a
//! placeholder. A tree of one entry has no node: `xa_head` is the entry, and its marks are only
//! in `xa_flags`. Source: `include/linux/xarray.h`, `lib/xarray.c`.
//!
//! A node's shift must be its parent's less one chunk, so no walk goes deeper than the root's
//! shift allows, whatever the pointers say; the number of nodes is bounded by the budget.

mod entry;

use handoff_abi::descriptor::MemberId;
use zerocopy::IntoBytes;

use crate::address::ForeignVa;
use crate::budget::TreeBudget;
use crate::error::{Bound, Error, Fault};
use crate::memory::ForeignMemory;
use crate::view::View;

use entry::{classify, index_of, Slot};
pub use entry::{root_marks, Entry, Marks, Passed};

/// Levels of the deepest tree: 64 index bits, 6 a level.
pub const MAX_DEPTH: usize = 11;
/// Slots of the largest node.
const MAX_SLOTS: usize = 64;

const NODE: &str = "xa_node";

/// A node on the way down.
#[derive(Clone, Copy)]
struct Frame {
    node: ForeignVa,
    /// Index of its first slot.
    base: u64,
    shift: u8,
    /// Next slot to look at.
    slot: u8,
    /// That slot's content, if it was read while looking for siblings.
    ahead: Option<u64>,
    dirty: u64,
    writeback: u64,
}

/// The entries of an xarray in ascending order.
pub struct Walk<'v, M> {
    view: &'v View<'v, M>,
    /// The only entry of a tree without nodes.
    single: Option<Entry>,
    frames: heapless::Vec<Frame, MAX_DEPTH>,
    /// Slots of the topmost frame if it is of the lowest level, read at once.
    leaf: [u64; MAX_SLOTS],
    passed: Passed,
}

impl<'v, M: ForeignMemory> Walk<'v, M> {
    /// A walk over nothing until [started](Self::start): so large an object is made in place.
    #[must_use]
    pub const fn new(view: &'v View<'v, M>) -> Self {
        Self {
            view,
            single: None,
            frames: heapless::Vec::new(),
            leaf: [0; MAX_SLOTS],
            passed: Passed {
                values: 0,
                placeholders: 0,
            },
        }
    }

    /// Starts at the root of the tree at `xarray`.
    ///
    /// # Errors
    /// If the root cannot be read or is not a node.
    pub fn start(&mut self, xarray: ForeignVa, budget: &mut TreeBudget) -> Result<(), Error> {
        self.frames.clear();
        self.single = None;
        let head = self
            .view
            .read_pointer(xarray, MemberId::XARRAY_XA_HEAD)?
            .raw();
        match classify(head) {
            Slot::Empty => {}
            Slot::Pointer(pointer) => {
                let marks = root_marks(self.view, xarray)?;
                self.single = Some(Entry {
                    index: 0,
                    pointer,
                    marks,
                    span: 1,
                });
            }
            Slot::Value => self.passed.values = 1,
            Slot::Placeholder => self.passed.placeholders = 1,
            Slot::Node(node) => self.enter(node, 0, None, budget)?,
            Slot::Sibling => {
                return Err(Error::new("xarray", xarray, Fault::NodeEntry(head)));
            }
        }
        Ok(())
    }

    /// What was passed over so far.
    #[must_use]
    pub const fn passed(&self) -> Passed {
        self.passed
    }

    /// The next entry, or `None` at the end.
    ///
    /// # Errors
    /// If a node cannot be read or believed. The walk cannot be continued then.
    pub fn next_entry(&mut self, budget: &mut TreeBudget) -> Result<Option<Entry>, Error> {
        if let Some(entry) = self.single.take() {
            return Ok(Some(entry));
        }
        // Each round leaves a slot or a node behind; nodes are bounded by the budget.
        while let Some((slot, entry)) = self.next_slot()? {
            let Some(frame) = self.frames.last().copied() else {
                return Ok(None);
            };
            let error = |fault| Error::new(NODE, frame.node, fault);
            match classify(entry) {
                Slot::Empty => {}
                Slot::Pointer(pointer) => {
                    let index = index_of(frame.base, frame.shift, slot)
                        .ok_or_else(|| error(Fault::Index(entry)))?;
                    let span = self.pass_siblings(slot)?;
                    let bit = |bits: u64| bits.checked_shr(u32::from(slot)).unwrap_or(0) & 1 == 1;
                    let marks = Marks {
                        dirty: bit(frame.dirty),
                        writeback: bit(frame.writeback),
                    };
                    return Ok(Some(Entry {
                        index,
                        pointer,
                        marks,
                        span,
                    }));
                }
                Slot::Value => {
                    self.passed.values = self.passed.values.saturating_add(1);
                    self.pass_siblings(slot)?;
                }
                Slot::Placeholder => {
                    self.passed.placeholders = self.passed.placeholders.saturating_add(1);
                    self.pass_siblings(slot)?;
                }
                Slot::Node(node) => {
                    let base = index_of(frame.base, frame.shift, slot)
                        .ok_or_else(|| error(Fault::Index(entry)))?;
                    self.enter(node, base, Some((frame.shift, slot)), budget)?;
                }
                // A sibling of nothing to its left.
                Slot::Sibling => return Err(error(Fault::NodeEntry(entry))),
            }
        }
        Ok(None)
    }

    /// The next slot of the topmost node that is not exhausted, with its number.
    fn next_slot(&mut self) -> Result<Option<(u8, u64)>, Error> {
        let slots = self.slots();
        while let Some(frame) = self.frames.last_mut() {
            if frame.slot >= slots {
                self.frames.pop();
                continue;
            }
            let slot = frame.slot;
            frame.slot = slot.saturating_add(1);
            let ahead = frame.ahead.take();
            let frame = *frame;
            let entry = match ahead {
                Some(entry) => entry,
                None => self.read_slot(&frame, slot)?,
            };
            return Ok(Some((slot, entry)));
        }
        Ok(None)
    }

    /// Passes over the siblings of the entry in `slot`, and says how many indices it covers.
    fn pass_siblings(&mut self, slot: u8) -> Result<u64, Error> {
        let slots = self.slots();
        let sibling = (u64::from(slot) << 2) | 2;
        let mut covered = 1_u64;
        let Some(mut frame) = self.frames.last().copied() else {
            return Ok(covered);
        };
        while frame.slot < slots {
            let entry = self.read_slot(&frame, frame.slot)?;
            if entry != sibling {
                frame.ahead = Some(entry);
                break;
            }
            frame.slot = frame.slot.saturating_add(1);
            covered = covered.saturating_add(1);
        }
        if let Some(top) = self.frames.last_mut() {
            *top = frame;
        }
        Ok(covered
            .checked_shl(u32::from(frame.shift))
            .unwrap_or(covered))
    }

    fn slots(&self) -> u8 {
        1_u8.checked_shl(u32::from(self.view.descriptor().hot().xa_chunk_shift))
            .unwrap_or(0)
    }

    fn read_slot(&self, frame: &Frame, slot: u8) -> Result<u64, Error> {
        if frame.shift == 0 {
            return Ok(self.leaf.get(usize::from(slot)).copied().unwrap_or(0));
        }
        let at = self
            .view
            .address_of(frame.node, MemberId::XA_NODE_SLOTS)?
            .checked_add(u64::from(slot) << 3)
            .ok_or(Error::new(NODE, frame.node, Fault::Wraps))?;
        self.view.read_u64(NODE, at)
    }

    /// Goes down into `node`, the child in a parent's (shift, slot), or the root.
    fn enter(
        &mut self,
        node: ForeignVa,
        base: u64,
        parent: Option<(u8, u8)>,
        budget: &mut TreeBudget,
    ) -> Result<(), Error> {
        let error = |fault| Error::new(NODE, node, fault);
        budget.nodes.take(1, NODE, node)?;
        if !node.is_aligned(8) {
            return Err(error(Fault::Misaligned));
        }
        let chunk = self.view.descriptor().hot().xa_chunk_shift;
        let [shift, offset, count] = [
            MemberId::XA_NODE_SHIFT,
            MemberId::XA_NODE_OFFSET,
            MemberId::XA_NODE_COUNT,
        ]
        .map(|id| self.view.read_integer(node, id));
        let byte = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
        let (shift, offset, count) = (byte(shift?), byte(offset?), byte(count?));
        let fits = match parent {
            Some((above, _)) => above.checked_sub(chunk) == Some(shift),
            None => shift < 64 && shift.checked_rem(chunk) == Some(0),
        };
        if !fits {
            return Err(error(Fault::NodeShift(shift)));
        }
        if parent.is_some_and(|(_, slot)| slot != offset) {
            return Err(error(Fault::NodeOffset(offset)));
        }
        if count > self.slots() {
            return Err(error(Fault::NodeCount(count)));
        }
        let frame = self.read_frame(node, base, shift)?;
        self.frames
            .push(frame)
            .map_err(|_| error(Fault::Exceeded(Bound::TreeDepth)))
    }

    /// Reads the marks of `node`, and its slots if they are the lowest.
    fn read_frame(&mut self, node: ForeignVa, base: u64, shift: u8) -> Result<Frame, Error> {
        let view = self.view;
        let hot = view.descriptor().hot();
        let mut marks = [0_u64; 3];
        let at = view.address_of(node, MemberId::XA_NODE_MARKS)?;
        view.read(NODE, at, marks.as_mut_bytes())?;
        let mark = |number: u32| {
            usize::try_from(number)
                .ok()
                .and_then(|n| marks.get(n))
                .copied()
                .unwrap_or(0)
        };
        let (dirty, writeback) = (mark(hot.mark_dirty), mark(hot.mark_writeback));
        if shift == 0 {
            let at = view.address_of(node, MemberId::XA_NODE_SLOTS)?;
            let count = usize::from(self.slots());
            if let Some(slots) = self.leaf.get_mut(..count) {
                view.read(NODE, at, slots.as_mut_bytes())?;
            }
        }
        Ok(Frame {
            node,
            base,
            shift,
            slot: 0,
            ahead: None,
            dirty,
            writeback,
        })
    }
}
