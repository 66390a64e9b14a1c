//! The pages of one file.

use crate::budget::TreeBudget;
use crate::descriptor::PAGE_SHIFT;
use crate::error::{Error, Fault};
use crate::files::batch::Batch;
use crate::files::sink::{FileSummary, Reason, Sink, SinkError};
use crate::memory::ForeignMemory;
use crate::objects::address_space::AddressSpace;
use crate::objects::buffer_head::Buffers;
use crate::objects::page::Page;
use crate::view::View;
use crate::walk::tree::{Entry, Passed, Walk};

/// What a walk over a file's pages found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Walked {
    /// Pages by the slots of the tree, as the kernel counts them.
    pub slots: u64,
    /// Pages by the orders of the folios.
    pub folios: u64,
    /// Entries that are not pages.
    pub passed: Passed,
}

impl Walked {
    /// Whether it is all of `nrpages`; a wrong count otherwise.
    pub(super) const fn check(&self, nrpages: u64) -> Result<(), Reason> {
        let walked = if self.slots == nrpages {
            self.folios
        } else {
            self.slots
        };
        if walked == nrpages {
            return Ok(());
        }
        Err(Reason::Pages {
            walked,
            expected: nrpages,
        })
    }
}

/// Calls `visit` for each page or folio of `mapping`, in the order of the file. Stops early when
/// there are more than `nrpages`.
pub(super) fn for_each_page<'v, M, E>(
    view: &'v View<'v, M>,
    mapping: &AddressSpace<'_, M>,
    nrpages: u64,
    budget: &mut TreeBudget,
    mut visit: impl FnMut(&Entry, &Page) -> Result<(), E>,
) -> Result<Walked, E>
where
    M: ForeignMemory,
    E: From<Error>,
{
    let mut walked = Walked::default();
    let mut tree = Walk::new(view);
    tree.start(mapping.i_pages()?, budget)?;
    // A folio of which every slot holds the first page, as before multi-order entries: its
    // address, and the index behind it.
    let mut repeated = None;
    while let Some(entry) = tree.next_entry(budget)? {
        budget.pages.take(1, "address_space", mapping.at())?;
        walked.slots = walked.slots.saturating_add(entry.span);
        if walked.slots > nrpages {
            break;
        }
        if repeated.is_some_and(|(at, end)| entry.pointer == at && entry.index < end) {
            continue;
        }
        let page = Page::read(view, entry.pointer)?;
        let error = |fault| Error::new("page", page.at, fault);
        if page.mapping != mapping.at() {
            return Err(error(Fault::PageMapping(page.mapping)).into());
        }
        if page.index != entry.index {
            let fault = Fault::PageIndex {
                found: page.index,
                place: entry.index,
            };
            return Err(error(fault).into());
        }
        repeated = None;
        if entry.span != page.pages() {
            if entry.span != 1 {
                return Err(error(Fault::PageOrder(page.order)).into());
            }
            repeated = Some((page.at, page.index.saturating_add(page.pages())));
        }
        walked.folios = walked.folios.saturating_add(page.pages());
        visit(&entry, &page)?;
    }
    walked.passed = tree.passed();
    Ok(walked)
}

/// Why a file's pages could not all be copied.
pub(super) enum Stop {
    Broken(Error),
    Sink(SinkError),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl From<SinkError> for Stop {
    fn from(error: SinkError) -> Self {
        Self::Sink(error)
    }
}

/// Copies the pages of one file.
pub(super) struct Copier<'s, 'v, M, S> {
    pub view: &'v View<'v, M>,
    pub sink: &'s mut S,
    /// Length of the file, bytes.
    pub size: u64,
    /// Block size of the file system, bytes.
    pub block_size: u64,
    /// Whether clean pages go too.
    pub all: bool,
    pub batch: Batch,
    pub summary: FileSummary,
}

impl<M: ForeignMemory, S: Sink> Copier<'_, '_, M, S> {
    /// Hands one page over if it must go.
    pub(super) fn page(&mut self, entry: &Entry, page: &Page) -> Result<(), Stop> {
        // A CPU may have stopped between clearing PG_dirty and setting PG_writeback: then only
        // the mark in the tree tells.
        let unwritten = page.is_unwritten(self.view) || entry.marks.any();
        let uptodate = page.is_uptodate(self.view);
        let count = |counter: &mut u64| *counter = counter.saturating_add(page.pages());
        let goes = unwritten || (self.all && uptodate);
        if !goes {
            count(&mut self.summary.clean);
            return Ok(());
        }
        // Cannot overflow: the tree has no index beyond the largest file.
        let start = page.index << PAGE_SHIFT;
        let Some(left) = self.size.checked_sub(start).filter(|left| *left > 0) else {
            count(&mut self.summary.beyond);
            return Ok(());
        };
        let before = self.summary.bytes;
        if uptodate {
            let len = page.bytes().min(left);
            self.batch.push(self.sink, start, page.frame, len)?;
            self.summary.bytes = before.saturating_add(len);
        } else if !self.blocks(page, start, left)? || self.summary.bytes == before {
            count(&mut self.summary.not_uptodate);
        }
        if self.summary.bytes != before {
            let used = left.min(page.bytes()).div_ceil(1 << PAGE_SHIFT);
            self.summary.pages = self.summary.pages.saturating_add(used);
        }
        Ok(())
    }

    /// Hands over those blocks of a page that are the file's content; `false` if it cannot be
    /// told of all.
    fn blocks(&mut self, page: &Page, start: u64, left: u64) -> Result<bool, Stop> {
        let Some(mut buffers) = Buffers::new(self.view, *page, self.block_size) else {
            return Ok(false);
        };
        let mut within = 0_u64;
        while within < left {
            let uptodate = match buffers.next_is_uptodate() {
                Ok(Some(uptodate)) => uptodate,
                Ok(None) => break,
                Err(_) => return Ok(false),
            };
            let len = self.block_size.min(left.saturating_sub(within));
            if uptodate {
                let place = start
                    .checked_add(within)
                    .zip(page.frame.checked_add(within));
                let Some((offset, pa)) = place else {
                    return Ok(false);
                };
                self.batch.push(self.sink, offset, pa, len)?;
                self.summary.bytes = self.summary.bytes.saturating_add(len);
            }
            within = within.saturating_add(len);
        }
        Ok(true)
    }
}
