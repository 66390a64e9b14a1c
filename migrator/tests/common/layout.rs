//! A descriptor whose offsets are drawn by lot.

use handoff_abi::descriptor::{
    ConstantId, DescriptorPage, Kind, Member, MemberId, OrderShape, PageTreeShape, TimeShape,
    CONSTANT_COUNT, MEMBERS, MEMBER_COUNT,
};
use zerocopy::FromZeros;

use super::Lot;

pub const PAGE_OFFSET: u64 = 0xffff_8880_0000_0000;
pub const VMEMMAP: u64 = 0xffff_ea00_0000_0000;
pub const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// Bytes of RAM.
pub const RAM: u64 = 32 << 20;
/// Where the memory map is.
pub const VMEMMAP_PA: u64 = 2 << 20;
pub const PGD_PA: u64 = 0x10_0000;

#[derive(Clone, Copy)]
pub struct Options {
    pub seed: u64,
    pub order: OrderShape,
    pub time: TimeShape,
    pub levels: u64,
    pub chunk_shift: u64,
    pub tree: PageTreeShape,
}

impl Options {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            order: [
                OrderShape::SECOND_PAGE,
                OrderShape::FOLIO_BYTE,
                OrderShape::FOLIO_FLAGS,
            ][(seed % 3) as usize],
            time: [TimeShape::SPLIT, TimeShape::TIMESPEC][(seed % 2) as usize],
            levels: 4 + seed % 2,
            chunk_shift: 6,
            tree: PageTreeShape::XARRAY,
        }
    }

    /// With radix trees, where there are no large folios in the page cache.
    pub fn radix(seed: u64) -> Self {
        Self {
            order: OrderShape::NONE,
            tree: PageTreeShape::RADIX,
            ..Self::new(seed)
        }
    }
}

/// Structures in an order in which what is embedded comes first.
const STRUCTURES: &[&str] = &[
    "xarray",
    "radix_tree_root",
    "address_space",
    "qstr",
    "inode",
    "dentry",
    "xa_node",
    "radix_tree_node",
    "super_block",
    "journal_s",
    "ext4_sb_info",
    "ext4_inode_info",
    "buffer_head",
    "page",
    "folio",
];

pub fn descriptor(o: Options) -> Box<DescriptorPage> {
    let mut lot = Lot(o.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut page = Box::new(DescriptorPage::new_zeroed());
    page.member_count = MEMBER_COUNT as u32;
    page.constant_count = CONSTANT_COUNT as u32;
    let mut sizes = std::collections::HashMap::new();
    let other: &[&str] = match o.tree {
        PageTreeShape::RADIX => &["xarray", "xa_node"],
        _ => &["radix_tree_root", "radix_tree_node"],
    };
    for structure in STRUCTURES.iter().filter(|s| !other.contains(s)) {
        let size = lay_out(&mut page, structure, &mut lot, &sizes, o);
        sizes.insert(*structure, size);
    }
    page.shapes[0] = o.tree.0;
    page.shapes[1] = o.order.0;
    page.shapes[2] = o.time.0;
    constants(&mut page, &mut lot, o);
    address_space(&mut page, RAM, o.levels);
    page
}

/// So much RAM, mapped as everywhere in these tests.
pub fn address_space(page: &mut DescriptorPage, ram: u64, levels: u64) {
    let a = &mut page.address_space;
    a.page_offset_base = PAGE_OFFSET;
    a.direct_map_size = ram;
    a.vmemmap_base = VMEMMAP;
    a.kernel_map = KERNEL_MAP;
    a.kernel_map_size = 1 << 30;
    a.phys_base = 0u64.wrapping_sub(0x100_0000);
    a.pgd = PGD_PA;
    a.levels = levels;
    a.pte_mask = 0x000f_ffff_ffff_f000;
}

fn lay_out(
    page: &mut DescriptorPage,
    structure: &str,
    lot: &mut Lot,
    sizes: &std::collections::HashMap<&str, u32>,
    o: Options,
) -> u32 {
    let mut ids: Vec<usize> = (0..MEMBER_COUNT)
        .filter(|n| MEMBERS[*n].structure == structure)
        .collect();
    for n in (1..ids.len()).rev() {
        ids.swap(n, lot.below(n as u64 + 1) as usize);
    }
    // The ext4 inode begins with something else, or a pointer to the one would be the other.
    let mut at: u32 = if structure == "ext4_inode_info" { 8 } else { 0 };
    for n in ids {
        let id = MemberId(n as u16);
        let spec = &MEMBERS[n];
        let seconds = [
            MemberId::INODE_I_ATIME,
            MemberId::INODE_I_MTIME,
            MemberId::INODE_I_CTIME,
        ];
        let (mut kind, mut size) = (spec.kinds[0], spec.sizes.first().copied().unwrap_or(0));
        if seconds.contains(&id) && o.time == TimeShape::TIMESPEC {
            (kind, size) = (Kind::STRUCT, 16);
        } else if id == MemberId::INODE_I_STATE {
            size = [4, 8][lot.below(2) as usize];
        } else if id == MemberId::INODE_I_DATA {
            size = sizes["address_space"];
        } else if id == MemberId::ADDRESS_SPACE_I_PAGES {
            size = match o.tree {
                PageTreeShape::RADIX => sizes["radix_tree_root"],
                _ => sizes["xarray"],
            };
        } else if id == MemberId::EXT4_INODE_INFO_VFS_INODE {
            size = sizes["inode"];
        } else if [MemberId::XA_NODE_SLOTS, MemberId::RADIX_TREE_NODE_SLOTS].contains(&id) {
            size = 8 << o.chunk_shift;
        } else if [MemberId::XA_NODE_MARKS, MemberId::RADIX_TREE_NODE_TAGS].contains(&id) {
            size = 24;
        }
        if kind == Kind::SIZE_OF {
            continue;
        }
        let small = ["page", "xarray", "radix_tree_root", "qstr"].contains(&structure);
        at = at.next_multiple_of(8) + 8 * lot.below(if small { 1 } else { 4 }) as u32;
        let mut offset = at;
        if structure == "folio" {
            let second = page.members[MemberId::PAGE_SIZE_OF.0 as usize].size;
            offset = second + if id == MemberId::FOLIO_FLAGS_1 { 0 } else { 17 };
        }
        page.members[n] = Member {
            offset,
            size,
            kind: kind.0,
            ..Member::ABSENT
        };
        at += size;
    }
    let size = at.next_multiple_of(8).max(56);
    for n in (0..MEMBER_COUNT).filter(|n| MEMBERS[*n].structure == structure) {
        if MEMBERS[n].kinds[0] == Kind::SIZE_OF {
            page.members[n] = Member {
                size,
                kind: Kind::SIZE_OF.0,
                ..Member::ABSENT
            };
        }
    }
    if structure == "dentry" || structure == "xarray" {
        // d_name is laid out as qstr is: it must have room for it.
        assert!(structure == "xarray" || sizes["qstr"] >= 12);
    }
    size
}

fn constants(page: &mut DescriptorPage, lot: &mut Lot, o: Options) {
    let mut set = |id: ConstantId, value: u64| page.constants[id.0 as usize] = value;
    let shift = lot.below(8);
    set(ConstantId::PG_DIRTY, 3 + shift);
    set(ConstantId::PG_WRITEBACK, 1 + shift);
    set(ConstantId::PG_HEAD, 6 + shift);
    set(ConstantId::PG_UPTODATE, 2 + shift);
    set(ConstantId::I_NEW, 1 << shift);
    set(ConstantId::I_FREEING, 32 << shift);
    set(ConstantId::I_WILL_FREE, 16 << shift);
    set(ConstantId::PAGECACHE_TAG_DIRTY, shift % 2);
    set(ConstantId::PAGECACHE_TAG_WRITEBACK, 1 + shift % 2);
    set(ConstantId::XA_FLAGS_MARK_SHIFT, 22 + shift % 6);
    set(ConstantId::XA_CHUNK_SHIFT, o.chunk_shift);
    set(ConstantId::PAGE_SHIFT, 12);
}
