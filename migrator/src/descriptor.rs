//! The offset table, checked.
//!
//! A [`Descriptor`] exists only if the page makes sense: every member that is required is there,
//! what is there is of a kind and size that this version reads, shapes are known, constants are
//! plausible, and the address space does not wrap. After that, looking something up cannot read a
//! member as what it is not.

mod check;
mod error;

use handoff_abi::descriptor::{
    AddressSpace, ConstantId, DescriptorPage, Kind, Member, MemberId, MemberSpec, OrderShape,
    PageTreeShape, Shape, TimeShape, MEMBERS,
};

pub use error::DescriptorError;

/// What the page walk needs at every page, looked up once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hot {
    pub page_size_of: u64,
    pub page_flags: usize,
    pub page_mapping: usize,
    pub page_index: usize,
    pub page_private: Option<usize>,
    pub pg_dirty: u64,
    pub pg_writeback: u64,
    pub pg_head: u64,
    pub pg_uptodate: u64,
    pub bh_uptodate: u64,
    /// `I_NEW | I_FREEING | I_WILL_FREE`.
    pub i_absent: u64,
    pub mark_dirty: u32,
    pub mark_writeback: u32,
    pub xa_flags_mark_shift: u32,
    pub xa_chunk_shift: u8,
}

/// A view over a [`DescriptorPage`] that was found sound.
#[derive(Clone, Copy)]
pub struct Descriptor<'a> {
    page: &'a DescriptorPage,
    hot: Hot,
}

impl<'a> Descriptor<'a> {
    /// Checks `page`, a private copy that nobody else can write.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn new(page: &'a DescriptorPage) -> Result<Self, DescriptorError> {
        Ok(Self {
            page,
            hot: check::check(page)?,
        })
    }

    /// How addresses become physical.
    #[must_use]
    pub fn address_space(&self) -> &'a AddressSpace {
        &self.page.address_space
    }

    /// The member, if this kernel has it.
    #[must_use]
    pub fn member(&self, id: MemberId) -> Option<&'a Member> {
        member(self.page, id)
    }

    /// Whether this kernel has the member.
    #[must_use]
    pub fn has(&self, id: MemberId) -> bool {
        self.member(id).is_some()
    }

    /// Offset of a member in its structure, bytes.
    #[must_use]
    pub fn offset_of(&self, id: MemberId) -> Option<u64> {
        self.member(id).map(|member| u64::from(member.offset))
    }

    /// Size of a member, or of the structure itself, bytes.
    #[must_use]
    pub fn size_of(&self, id: MemberId) -> Option<u64> {
        self.member(id).map(|member| u64::from(member.size))
    }

    /// Page frames that the direct map covers; no page has a higher number.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.page.address_space.direct_map_size >> PAGE_SHIFT
    }

    /// How pages hang in `i_pages`.
    #[must_use]
    pub fn page_tree_shape(&self) -> PageTreeShape {
        PageTreeShape(shape(self.page, Shape::PAGE_TREE))
    }

    /// Where the order of a compound page is.
    #[must_use]
    pub fn order_shape(&self) -> OrderShape {
        OrderShape(shape(self.page, Shape::ORDER))
    }

    /// How inode times are kept.
    #[must_use]
    pub fn time_shape(&self) -> TimeShape {
        TimeShape(shape(self.page, Shape::TIME))
    }

    pub(crate) const fn hot(&self) -> &Hot {
        &self.hot
    }
}

/// Log2 of the page size; the check accepts no other.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes of a page.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

/// What is wanted of a member; `None` for a number beyond the table.
#[must_use]
pub fn spec(id: MemberId) -> Option<&'static MemberSpec> {
    MEMBERS.get(usize::from(id.0))
}

/// C name of the structure that has the member.
#[must_use]
pub fn structure(id: MemberId) -> &'static str {
    spec(id).map_or("unknown structure", |spec| spec.structure)
}

/// C name of the member.
#[must_use]
pub fn name(id: MemberId) -> &'static str {
    spec(id).map_or("unknown member", MemberSpec::path)
}

fn member(page: &DescriptorPage, id: MemberId) -> Option<&Member> {
    if u32::from(id.0) >= page.member_count {
        return None;
    }
    page.members
        .get(usize::from(id.0))
        .filter(|member| member.is_present())
}

fn constant(page: &DescriptorPage, id: ConstantId) -> u64 {
    page.constants.get(usize::from(id.0)).copied().unwrap_or(0)
}

fn shape(page: &DescriptorPage, shape: Shape) -> u32 {
    let index = usize::try_from(shape.0).unwrap_or(usize::MAX);
    page.shapes.get(index).copied().unwrap_or(0)
}

/// Whether `kind` is read as an integer of its size.
pub(crate) const fn is_scalar(kind: u8) -> bool {
    kind == Kind::INTEGER.0 || kind == Kind::POINTER.0
}
