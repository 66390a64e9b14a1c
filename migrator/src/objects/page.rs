//! `struct page`, and `struct folio` laid over it.

use handoff_abi::descriptor::{MemberId, OrderShape};

use crate::address::{ForeignVa, PhysAddr};
use crate::descriptor::PAGE_SHIFT;
use crate::error::{Error, Fault};
use crate::memory::ForeignMemory;
use crate::view::View;

const PAGE: &str = "page";
/// Room for a `struct page`; the descriptor's check allows no larger.
const MAX_PAGE_STRUCT: usize = 128;
/// Highest order that is believed: 1 GiB.
const MAX_ORDER: u8 = 18;
/// Low bits of `mapping` that are flags.
const MAPPING_FLAGS: u64 = 3;

/// The page or folio an entry of the page tree points to: a copy, read at once.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Address of the (first) `struct page`.
    pub at: ForeignVa,
    /// First byte of its memory.
    pub frame: PhysAddr,
    /// `flags`.
    flags: u64,
    /// `mapping` without its flag bits.
    pub mapping: ForeignVa,
    /// `index` of its first page.
    pub index: u64,
    /// `private`: its buffers, if it has any; null if this kernel's descriptor does not know.
    pub private: ForeignVa,
    /// Log2 of its number of pages.
    pub order: u8,
}

impl Page {
    /// Reads the one at `at`, which must be in the memory map and describe readable memory.
    ///
    /// # Errors
    /// If it is not, or its order is impossible.
    pub fn read<M: ForeignMemory>(view: &View<'_, M>, at: ForeignVa) -> Result<Self, Error> {
        let error = |fault| Error::new(PAGE, at, fault);
        let hot = view.descriptor().hot();
        let pfn = pfn_of(view, at).ok_or_else(|| error(Fault::NotAPage))?;
        let mut buffer = [0_u8; MAX_PAGE_STRUCT];
        let bytes = usize::try_from(hot.page_size_of)
            .ok()
            .and_then(|size| buffer.get_mut(..size))
            .ok_or_else(|| error(Fault::NotAPage))?;
        view.read(PAGE, at, bytes)?;
        let field = |offset: usize| {
            let end = offset.checked_add(8)?;
            let bytes = buffer.get(offset..end)?.try_into().ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        let flags = field(hot.page_flags).unwrap_or(0);
        let mut page = Self {
            at,
            frame: PhysAddr::new(pfn << PAGE_SHIFT),
            flags,
            mapping: ForeignVa::new(field(hot.page_mapping).unwrap_or(0) & !MAPPING_FLAGS),
            index: field(hot.page_index).unwrap_or(0),
            private: ForeignVa::new(hot.page_private.and_then(field).unwrap_or(0)),
            order: 0,
        };
        if flags & hot.pg_head != 0 {
            page.order = order(view, at)?;
        }
        let frames = page.pages();
        let aligned = (pfn | page.index) & frames.wrapping_sub(1) == 0;
        let inside = pfn
            .checked_add(frames)
            .is_some_and(|end| end <= view.descriptor().frames());
        if page.order > MAX_ORDER || !aligned || !inside {
            return Err(error(Fault::PageOrder(page.order)));
        }
        if !view.memory().covers(page.frame, page.bytes()) {
            return Err(error(Fault::Frame { at: page.frame }));
        }
        Ok(page)
    }

    /// Number of its pages.
    #[must_use]
    pub fn pages(&self) -> u64 {
        1_u64.checked_shl(u32::from(self.order)).unwrap_or(0)
    }

    /// Its length, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.pages() << PAGE_SHIFT
    }

    /// `PG_dirty` or `PG_writeback`: what is on the disk may be older.
    #[must_use]
    pub fn is_unwritten<M: ForeignMemory>(&self, view: &View<'_, M>) -> bool {
        let hot = view.descriptor().hot();
        self.flags & (hot.pg_dirty | hot.pg_writeback) != 0
    }

    /// `PG_dirty`.
    #[must_use]
    pub fn is_dirty<M: ForeignMemory>(&self, view: &View<'_, M>) -> bool {
        self.flags & view.descriptor().hot().pg_dirty != 0
    }

    /// `PG_uptodate`: all of it is the file's content.
    #[must_use]
    pub fn is_uptodate<M: ForeignMemory>(&self, view: &View<'_, M>) -> bool {
        self.flags & view.descriptor().hot().pg_uptodate != 0
    }
}

/// Number of the frame that the `struct page` at `at` describes.
fn pfn_of<M: ForeignMemory>(view: &View<'_, M>, at: ForeignVa) -> Option<u64> {
    let base = ForeignVa::new(view.descriptor().address_space().vmemmap_base);
    let offset = at.offset_from(base)?;
    let size = view.descriptor().hot().page_size_of;
    let pfn = offset.checked_div(size)?;
    let aligned = pfn.checked_mul(size)? == offset;
    (aligned && pfn < view.descriptor().frames()).then_some(pfn)
}

fn order<M: ForeignMemory>(view: &View<'_, M>, at: ForeignVa) -> Result<u8, Error> {
    let shape = view.descriptor().order_shape();
    let (base, id) = match shape {
        OrderShape::SECOND_PAGE => {
            let size = view.descriptor().hot().page_size_of;
            (at.checked_add(size), MemberId::PAGE_COMPOUND_ORDER)
        }
        OrderShape::FOLIO_BYTE => (Some(at), MemberId::FOLIO_ORDER),
        // Little endian: the lowest byte is the first.
        OrderShape::FOLIO_FLAGS => (Some(at), MemberId::FOLIO_FLAGS_1),
        _ => {
            let shape_name = shape.text().unwrap_or("order of a compound page");
            let fault = Fault::Shape {
                shape: shape_name,
                value: shape.0,
            };
            return Err(Error::new(PAGE, at, fault));
        }
    };
    let base = base.ok_or(Error::new(PAGE, at, Fault::Wraps))?;
    view.read_u8(PAGE, view.address_of(base, id)?)
}
