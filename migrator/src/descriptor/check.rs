//! The check of a descriptor page.

use handoff_abi::descriptor::{
    ConstantId, DescriptorPage, Kind, MemberId, OrderShape, PageTreeShape, Shape, TimeShape,
    CONSTANTS, CONSTANT_COUNT, MAX_CONSTANTS, MAX_MEMBERS, MEMBERS,
};

use super::{constant, is_scalar, member, shape, DescriptorError, Hot, PAGE_SHIFT};

/// Largest structure of any kernel, bytes, generously.
const MAX_STRUCTURE: u32 = 1 << 20;
/// Largest `struct page`, bytes; the page reader's buffer.
pub(crate) const MAX_PAGE_STRUCT: u32 = 128;
/// Marks of an xarray.
const MARKS: u64 = 3;

type Check<T = ()> = Result<T, DescriptorError>;

pub(super) fn check(page: &DescriptorPage) -> Check<Hot> {
    let members = usize::try_from(page.member_count).unwrap_or(usize::MAX);
    if members > MAX_MEMBERS {
        return Err(DescriptorError::MemberCount(page.member_count));
    }
    let constants = usize::try_from(page.constant_count).unwrap_or(usize::MAX);
    if !(CONSTANT_COUNT..=MAX_CONSTANTS).contains(&constants) {
        return Err(DescriptorError::ConstantCount(page.constant_count));
    }
    check_members(page)?;
    check_shapes(page)?;
    let hot = hot(page)?;
    check_page_tree(page, &hot)?;
    check_address_space(page, hot.page_size_of)?;
    Ok(hot)
}

fn check_members(page: &DescriptorPage) -> Check {
    for (number, spec) in (0_u16..).zip(MEMBERS.iter()) {
        let (structure, name) = (spec.structure, spec.path());
        let Some(found) = member(page, MemberId(number)) else {
            if spec.required {
                return Err(DescriptorError::Missing {
                    structure,
                    member: name,
                });
            }
            continue;
        };
        if !spec.kinds.iter().any(|kind| kind.0 == found.kind) {
            return Err(DescriptorError::Kind {
                structure,
                member: name,
                kind: found.kind,
            });
        }
        let size = found.size;
        let unknown = !spec.sizes.is_empty() && !spec.sizes.contains(&size);
        let unreadable = is_scalar(found.kind) && !matches!(size, 1 | 2 | 4 | 8);
        if unknown || unreadable || size == 0 || size > MAX_STRUCTURE {
            return Err(DescriptorError::Size {
                structure,
                member: name,
                size,
            });
        }
        if found
            .offset
            .checked_add(size)
            .is_none_or(|end| end > MAX_STRUCTURE)
        {
            let offset = found.offset;
            return Err(DescriptorError::Offset {
                structure,
                member: name,
                offset,
            });
        }
    }
    Ok(())
}

/// A shape must be one that is known, and the members it stands on must be there.
fn check_shapes(page: &DescriptorPage) -> Check {
    let has = |id| member(page, id).is_some();
    let is = |id, kind: Kind| member(page, id).is_some_and(|member| member.kind == kind.0);
    let tree = PageTreeShape(shape(page, Shape::PAGE_TREE)).members();
    let order = match OrderShape(shape(page, Shape::ORDER)) {
        OrderShape::SECOND_PAGE => has(MemberId::PAGE_COMPOUND_ORDER),
        OrderShape::FOLIO_BYTE => has(MemberId::FOLIO_ORDER),
        OrderShape::FOLIO_FLAGS => has(MemberId::FOLIO_FLAGS_1),
        OrderShape::NONE => true,
        _ => false,
    };
    let seconds = [
        MemberId::INODE_I_ATIME,
        MemberId::INODE_I_MTIME,
        MemberId::INODE_I_CTIME,
    ];
    let nanoseconds = [
        MemberId::INODE_I_ATIME_NSEC,
        MemberId::INODE_I_MTIME_NSEC,
        MemberId::INODE_I_CTIME_NSEC,
    ];
    let time = match TimeShape(shape(page, Shape::TIME)) {
        TimeShape::TIMESPEC => seconds.into_iter().all(|id| is(id, Kind::STRUCT)),
        TimeShape::SPLIT => {
            seconds.into_iter().all(|id| is(id, Kind::INTEGER)) && nanoseconds.into_iter().all(has)
        }
        _ => false,
    };
    for (known, which) in [
        (!tree.is_empty(), Shape::PAGE_TREE),
        (order, Shape::ORDER),
        (time, Shape::TIME),
    ] {
        if !known {
            let value = shape(page, which);
            return Err(DescriptorError::Shape {
                shape: which.text().unwrap_or("?"),
                value,
            });
        }
    }
    match tree.iter().find(|id| !has(**id)) {
        None => Ok(()),
        Some(id) => Err(DescriptorError::Missing {
            structure: super::structure(*id),
            member: super::name(*id),
        }),
    }
}

fn hot(page: &DescriptorPage) -> Check<Hot> {
    let page_shift = bounded(page, ConstantId::PAGE_SHIFT, 64)?;
    if page_shift != PAGE_SHIFT {
        return Err(bad_constant(page, ConstantId::PAGE_SHIFT));
    }
    let chunk = bounded(page, ConstantId::XA_CHUNK_SHIFT, 7)?;
    if chunk != 4 && chunk != 6 {
        return Err(bad_constant(page, ConstantId::XA_CHUNK_SHIFT));
    }
    let mark_dirty = bounded(page, ConstantId::PAGECACHE_TAG_DIRTY, MARKS)?;
    let mark_writeback = bounded(page, ConstantId::PAGECACHE_TAG_WRITEBACK, MARKS)?;
    if mark_dirty == mark_writeback {
        return Err(bad_constant(page, ConstantId::PAGECACHE_TAG_WRITEBACK));
    }
    let flags = [
        ConstantId::PG_DIRTY,
        ConstantId::PG_WRITEBACK,
        ConstantId::PG_HEAD,
        ConstantId::PG_UPTODATE,
    ];
    let mut seen = 0_u64;
    for id in flags {
        let mask = bit(page, id)?;
        if seen & mask != 0 {
            return Err(bad_constant(page, id));
        }
        seen |= mask;
    }
    let mut i_absent = 0;
    for id in [
        ConstantId::I_NEW,
        ConstantId::I_FREEING,
        ConstantId::I_WILL_FREE,
    ] {
        let mask = constant(page, id);
        if !mask.is_power_of_two() || mask > u64::from(u32::MAX) || i_absent & mask != 0 {
            return Err(bad_constant(page, id));
        }
        i_absent |= mask;
    }
    Ok(Hot {
        page_size_of: member(page, MemberId::PAGE_SIZE_OF).map_or(0, |m| u64::from(m.size)),
        page_flags: in_page(page, MemberId::PAGE_FLAGS)?.unwrap_or(0),
        page_mapping: in_page(page, MemberId::PAGE_MAPPING)?.unwrap_or(0),
        page_index: in_page(page, MemberId::PAGE_INDEX)?.unwrap_or(0),
        page_private: in_page(page, MemberId::PAGE_PRIVATE)?,
        pg_dirty: bit(page, ConstantId::PG_DIRTY)?,
        pg_writeback: bit(page, ConstantId::PG_WRITEBACK)?,
        pg_head: bit(page, ConstantId::PG_HEAD)?,
        pg_uptodate: bit(page, ConstantId::PG_UPTODATE)?,
        bh_uptodate: bit(page, ConstantId::BH_UPTODATE)?,
        i_absent,
        mark_dirty,
        mark_writeback,
        xa_flags_mark_shift: bounded(page, ConstantId::XA_FLAGS_MARK_SHIFT, 33 - MARKS)?,
        xa_chunk_shift: u8::try_from(chunk).unwrap_or(6),
    })
}

/// Offset of a member that must lie wholly within `struct page`.
fn in_page(page: &DescriptorPage, id: MemberId) -> Check<Option<usize>> {
    let (structure, name) = (super::structure(id), super::name(id));
    let whole = member(page, MemberId::PAGE_SIZE_OF).map_or(0, |m| m.size);
    if whole > MAX_PAGE_STRUCT {
        return Err(DescriptorError::Size {
            structure,
            member: "",
            size: whole,
        });
    }
    let Some(found) = member(page, id) else {
        return Ok(None);
    };
    let offset = found.offset;
    if offset.checked_add(found.size).is_none_or(|end| end > whole) {
        return Err(DescriptorError::Offset {
            structure,
            member: name,
            offset,
        });
    }
    Ok(usize::try_from(offset).ok())
}

/// Slots and marks must be as long as the chunk size says.
fn check_page_tree(page: &DescriptorPage, hot: &Hot) -> Check {
    let slots = 8_u32
        .checked_shl(u32::from(hot.xa_chunk_shift))
        .unwrap_or(0);
    let arrays = match PageTreeShape(shape(page, Shape::PAGE_TREE)) {
        PageTreeShape::RADIX => [
            (MemberId::RADIX_TREE_NODE_SLOTS, slots),
            (MemberId::RADIX_TREE_NODE_TAGS, 24),
        ],
        _ => [
            (MemberId::XA_NODE_SLOTS, slots),
            (MemberId::XA_NODE_MARKS, 24),
        ],
    };
    for (id, expected) in arrays {
        let size = member(page, id).map_or(0, |m| m.size);
        if size != expected {
            let (structure, member) = (super::structure(id), super::name(id));
            return Err(DescriptorError::Size {
                structure,
                member,
                size,
            });
        }
    }
    Ok(())
}

fn check_address_space(page: &DescriptorPage, page_size_of: u64) -> Check {
    let space = &page.address_space;
    let wrong = |field, value| Err(DescriptorError::AddressSpace { field, value });
    let wraps = |base: u64, size: u64| base >> 63 == 0 || base.checked_add(size).is_none();
    if space.levels != 4 && space.levels != 5 {
        return wrong("levels", space.levels);
    }
    if space.pgd & 0xfff != 0 || space.pgd >> 52 != 0 {
        return wrong("pgd", space.pgd);
    }
    if space.pte_mask & 0xfff != 0 || space.pte_mask >> 52 != 0 || space.pte_mask == 0 {
        return wrong("pte_mask", space.pte_mask);
    }
    let size = space.direct_map_size;
    if size == 0 || size & 0xfff != 0 || size >> 52 != 0 || wraps(space.page_offset_base, size) {
        return wrong("direct_map_size", size);
    }
    if wraps(space.kernel_map, space.kernel_map_size) {
        return wrong("kernel_map_size", space.kernel_map_size);
    }
    let memory_map = (size >> PAGE_SHIFT).saturating_mul(page_size_of);
    if wraps(space.vmemmap_base, memory_map) {
        return wrong("vmemmap_base", space.vmemmap_base);
    }
    Ok(())
}

fn bad_constant(page: &DescriptorPage, id: ConstantId) -> DescriptorError {
    let name = CONSTANTS
        .get(usize::from(id.0))
        .map_or("?", |spec| spec.name);
    DescriptorError::Constant {
        name,
        value: constant(page, id),
    }
}

/// A constant that is less than `limit`, itself at most 64.
fn bounded(page: &DescriptorPage, id: ConstantId, limit: u64) -> Check<u32> {
    let value = constant(page, id);
    u32::try_from(value)
        .ok()
        .filter(|_| value < limit)
        .ok_or_else(|| bad_constant(page, id))
}

/// A bit number, as the mask with that bit.
fn bit(page: &DescriptorPage, id: ConstantId) -> Check<u64> {
    let number = bounded(page, id, 64)?;
    1_u64
        .checked_shl(number)
        .ok_or_else(|| bad_constant(page, id))
}
