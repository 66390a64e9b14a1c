//! The page tree of a file, in each of its [shapes](PageTreeShape): nodes with a power of two of
//! slots, a bitmap over the slots for each mark, pages below the lowest.
//!
//! What the root looks like, by what an entry is told, and how a node says its place differ:
//! `xarray`, `radix`. The way down and along is the same.
//!
//! A node's shift must be its parent's less one chunk, so no walk goes deeper than the root's
//! shift allows, whatever the pointers say; the number of nodes is bounded by the budget.

mod entry;
mod radix;
mod xarray;

use handoff_abi::descriptor::{MemberId, PageTreeShape};
use zerocopy::IntoBytes;

use crate::address::ForeignVa;
use crate::budget::TreeBudget;
use crate::error::{Bound, Error, Fault};
use crate::memory::ForeignMemory;
use crate::view::View;

use entry::{index_of, Slot};
pub use entry::{Entry, Marks, Passed};

/// Levels of the deepest tree: 64 index bits, 6 a level.
pub const MAX_DEPTH: usize = 11;
/// Slots of the largest node.
const MAX_SLOTS: usize = 64;

/// The shapes that are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Xarray,
    Radix,
}

impl Form {
    /// C name of a node.
    const fn node(self) -> &'static str {
        match self {
            Self::Xarray => "xa_node",
            Self::Radix => "radix_tree_node",
        }
    }

    const fn count(self) -> MemberId {
        match self {
            Self::Xarray => MemberId::XA_NODE_COUNT,
            Self::Radix => MemberId::RADIX_TREE_NODE_COUNT,
        }
    }

    const fn slots(self) -> MemberId {
        match self {
            Self::Xarray => MemberId::XA_NODE_SLOTS,
            Self::Radix => MemberId::RADIX_TREE_NODE_SLOTS,
        }
    }

    const fn marks(self) -> MemberId {
        match self {
            Self::Xarray => MemberId::XA_NODE_MARKS,
            Self::Radix => MemberId::RADIX_TREE_NODE_TAGS,
        }
    }

    /// What holds the marks of the whole tree.
    const fn root_flags(self) -> MemberId {
        match self {
            Self::Xarray => MemberId::XARRAY_XA_FLAGS,
            Self::Radix => MemberId::RADIX_TREE_ROOT_GFP_MASK,
        }
    }

    fn classify(self, entry: u64, shift: u8) -> Slot {
        match self {
            Self::Xarray => xarray::classify(entry),
            Self::Radix => radix::classify(entry, shift),
        }
    }
}

/// A tree: where its root is, and of which shape it is.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    at: ForeignVa,
    form: Form,
}

impl Tree {
    /// The one at `at`, by the descriptor's shape.
    ///
    /// # Errors
    /// [`Fault::Shape`] if the shape is not known.
    pub fn new<M: ForeignMemory>(view: &View<'_, M>, at: ForeignVa) -> Result<Self, Error> {
        let shape = view.descriptor().page_tree_shape();
        let form = match shape {
            PageTreeShape::XARRAY => Form::Xarray,
            PageTreeShape::RADIX => Form::Radix,
            _ => {
                let fault = Fault::Shape {
                    shape: shape.text().unwrap_or("page tree"),
                    value: shape.0,
                };
                return Err(Error::new("address_space", at, fault));
            }
        };
        Ok(Self { at, form })
    }

    /// The marks of the tree as a whole: set if any entry has them.
    ///
    /// # Errors
    /// If the root cannot be read.
    pub fn root_marks<M: ForeignMemory>(&self, view: &View<'_, M>) -> Result<Marks, Error> {
        let hot = view.descriptor().hot();
        let flags = view.read_integer(self.at, self.form.root_flags())?;
        let is_set = |mark: u32| {
            let bit = hot.xa_flags_mark_shift.saturating_add(mark);
            flags.checked_shr(bit).unwrap_or(0) & 1 == 1
        };
        Ok(Marks {
            dirty: is_set(hot.mark_dirty),
            writeback: is_set(hot.mark_writeback),
        })
    }
}

/// Where a node hangs.
#[derive(Clone, Copy)]
enum Place {
    /// At the root, which says how high the tree is if it is a radix tree.
    Root { height: u32 },
    /// In a slot of a node whose shift is `above`.
    Child { above: u8, slot: u8 },
}

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

/// The entries of a tree in ascending order.
pub struct Walk<'v, M> {
    view: &'v View<'v, M>,
    form: Form,
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
            form: Form::Xarray,
            single: None,
            frames: heapless::Vec::new(),
            leaf: [0; MAX_SLOTS],
            passed: Passed {
                values: 0,
                placeholders: 0,
            },
        }
    }

    /// Starts at the root of `tree`.
    ///
    /// # Errors
    /// If the root cannot be read or believed.
    pub fn start(&mut self, tree: Tree, budget: &mut TreeBudget) -> Result<(), Error> {
        self.frames.clear();
        self.single = None;
        self.form = tree.form;
        let (slot, place) = match tree.form {
            Form::Xarray => xarray::root(self.view, tree.at)?,
            Form::Radix => radix::root(self.view, tree.at)?,
        };
        match slot {
            Slot::Pointer(pointer) => {
                self.single = Some(Entry {
                    index: 0,
                    pointer,
                    marks: tree.root_marks(self.view)?,
                    span: 1,
                });
            }
            Slot::Value => self.passed.values = 1,
            Slot::Placeholder => self.passed.placeholders = 1,
            Slot::Node(node) => self.enter(node, 0, place, budget)?,
            // What cannot be there was refused with the root.
            Slot::Empty | Slot::Stray => {}
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
            let error = |fault| Error::new(self.form.node(), frame.node, fault);
            match self.form.classify(entry, frame.shift) {
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
                    let place = Place::Child {
                        above: frame.shift,
                        slot,
                    };
                    self.enter(node, base, place, budget)?;
                }
                Slot::Stray => return Err(error(Fault::NodeEntry(entry))),
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
    /// In a radix tree an entry has none.
    fn pass_siblings(&mut self, slot: u8) -> Result<u64, Error> {
        let mut covered = 1_u64;
        if self.form == Form::Radix {
            return Ok(covered);
        }
        let slots = self.slots();
        let sibling = xarray::sibling_of(slot);
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
            .address_of(frame.node, self.form.slots())?
            .checked_add(u64::from(slot) << 3)
            .ok_or(Error::new(self.form.node(), frame.node, Fault::Wraps))?;
        self.view.read_u64(self.form.node(), at)
    }

    /// Goes down into `node`.
    fn enter(
        &mut self,
        node: ForeignVa,
        base: u64,
        place: Place,
        budget: &mut TreeBudget,
    ) -> Result<(), Error> {
        let name = self.form.node();
        let error = |fault| Error::new(name, node, fault);
        budget.nodes.take(1, name, node)?;
        if !node.is_aligned(8) {
            return Err(error(Fault::Misaligned));
        }
        let shift = match self.form {
            Form::Xarray => xarray::shift(self.view, node, place)?,
            Form::Radix => radix::shift(self.view, node, place)?,
        };
        let count = self.view.read_integer(node, self.form.count())?;
        if count > u64::from(self.slots()) {
            let count = u8::try_from(count).unwrap_or(u8::MAX);
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
        let at = view.address_of(node, self.form.marks())?;
        view.read(self.form.node(), at, marks.as_mut_bytes())?;
        let mark = |number: u32| {
            usize::try_from(number)
                .ok()
                .and_then(|n| marks.get(n))
                .copied()
                .unwrap_or(0)
        };
        let (dirty, writeback) = (mark(hot.mark_dirty), mark(hot.mark_writeback));
        if shift == 0 {
            let at = view.address_of(node, self.form.slots())?;
            let count = usize::from(self.slots());
            if let Some(slots) = self.leaf.get_mut(..count) {
                view.read(self.form.node(), at, slots.as_mut_bytes())?;
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
