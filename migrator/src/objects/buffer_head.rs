//! `struct buffer_head`: which blocks of a page are the file's content.
//!
//! A page that is dirty but not up to date was written in part, and the rest was never read: only
//! some of its blocks may be carried over. Whether `private` of such a page leads to buffers at
//! all is not said anywhere, so each must say that it belongs to this page and is one block long.

use handoff_abi::descriptor::MemberId;

use crate::address::ForeignVa;
use crate::error::{Error, Fault};
use crate::memory::ForeignMemory;
use crate::objects::page::Page;
use crate::view::View;

const BUFFER_HEAD: &str = "buffer_head";

/// The buffers of a page, in the order of their blocks.
pub struct Buffers<'v, M> {
    view: &'v View<'v, M>,
    page: Page,
    block_size: u64,
    next: ForeignVa,
    /// Blocks still to come.
    left: u64,
}

impl<'v, M: ForeignMemory> Buffers<'v, M> {
    /// The buffers of `page`, of a file system with blocks of `block_size` bytes. `None` if it
    /// can have none.
    #[must_use]
    pub fn new(view: &'v View<'v, M>, page: Page, block_size: u64) -> Option<Self> {
        let left = page.bytes().checked_div(block_size).filter(|n| *n > 0)?;
        let known = view.descriptor().has(MemberId::BUFFER_HEAD_B_STATE);
        let there = known && !page.private.is_null() && page.private.is_aligned(8);
        there.then_some(Self {
            view,
            page,
            block_size,
            next: page.private,
            left,
        })
    }

    /// Whether the next block is the file's content; `None` after the last.
    ///
    /// # Errors
    /// If this is not the buffer of that block.
    pub fn next_is_uptodate(&mut self) -> Result<Option<bool>, Error> {
        let at = self.next;
        let error = |fault| Error::new(BUFFER_HEAD, at, fault);
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        let page = self.view.read_pointer(at, MemberId::BUFFER_HEAD_B_PAGE)?;
        if page != self.page.at {
            return Err(error(Fault::Host(page)));
        }
        let size = self.view.read_integer(at, MemberId::BUFFER_HEAD_B_SIZE)?;
        if size != self.block_size {
            return Err(error(Fault::Size(size)));
        }
        let next = self
            .view
            .read_pointer(at, MemberId::BUFFER_HEAD_B_THIS_PAGE)?;
        if (left == 0) != (next == self.page.private) {
            return Err(error(Fault::Cycle));
        }
        let state = self.view.read_integer(at, MemberId::BUFFER_HEAD_B_STATE)?;
        self.left = left;
        self.next = next;
        Ok(Some(state & self.view.descriptor().hot().bh_uptodate != 0))
    }
}
