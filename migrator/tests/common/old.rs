//! Descriptors of three kernels from before xarrays, folios and BTF: 2.6.38.7, 3.0.1.1 and 3.4.75,
//! x86-64.
//!
//! The structures are declared member by member as in those kernels' headers, and the compiler
//! lays them out by the rules of C. Each says its source file. What the configuration decides:
//! `SMP`, `SECURITY`, `QUOTA`, `FSNOTIFY`, `FS_POSIX_ACL` and `DEBUG_MUTEXES` are set, the other
//! debugging of locks and `IMA` are not. That puts `s_bdev`, `s_bdi` and `s_instances` of
//! `struct super_block` at 0x108, 0x110, 0x120 in the first two kernels and at 0x160, 0x168, 0x178
//! in the third, which is where published binaries of them have these members; another
//! configuration would not.
//!
//! The memory map is at its place in those kernels; the direct map is where the builder has it.
//! Members of ext4 and jbd2 are left out, as for a file system without a journal.

mod shared;
mod v2_6_38;
mod v3_0;
mod v3_4;

use handoff_abi::descriptor::{
    ConstantId, DescriptorPage, Kind, Member, MemberId, OrderShape, PageTreeShape, TimeShape,
    CONSTANT_COUNT, MEMBERS, MEMBER_COUNT,
};
use zerocopy::FromZeros;

use super::layout::address_space;

/// A kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    V2_6_38,
    V3_0,
    V3_4,
}

pub const RELEASES: [Release; 3] = [Release::V2_6_38, Release::V3_0, Release::V3_4];

impl Release {
    pub fn name(self) -> &'static str {
        match self {
            Self::V2_6_38 => "2.6.38.7",
            Self::V3_0 => "3.0.1.1",
            Self::V3_4 => "3.4.75",
        }
    }

    /// `__GFP_BITS_SHIFT`: where the tags of a tree begin. Source: `include/linux/gfp.h`.
    fn gfp_bits_shift(self) -> u64 {
        match self {
            Self::V2_6_38 | Self::V3_0 => 23,
            Self::V3_4 => 25,
        }
    }

    /// The descriptor of a machine with so much RAM.
    pub fn descriptor(self, ram: u64) -> Box<DescriptorPage> {
        let mut page = Box::new(DescriptorPage::new_zeroed());
        page.member_count = MEMBER_COUNT as u32;
        page.constant_count = CONSTANT_COUNT as u32;
        let mut table = Table(&mut page);
        shared::fill(&mut table);
        match self {
            Self::V2_6_38 => v2_6_38::fill(&mut table),
            Self::V3_0 => v3_0::fill(&mut table),
            Self::V3_4 => v3_4::fill(&mut table),
        }
        page.shapes[0] = PageTreeShape::RADIX.0;
        page.shapes[1] = OrderShape::NONE.0;
        page.shapes[2] = TimeShape::TIMESPEC.0;
        address_space(&mut page, ram, 4);
        // include/linux/page-flags.h, fs.h, radix-tree.h, buffer_head.h: the same in all three.
        for (id, value) in [
            (ConstantId::PG_UPTODATE, 3),
            (ConstantId::PG_DIRTY, 4),
            (ConstantId::PG_WRITEBACK, 13),
            (ConstantId::PG_HEAD, 14),
            (ConstantId::I_DIRTY_SYNC, 1),
            (ConstantId::I_DIRTY_DATASYNC, 2),
            (ConstantId::I_DIRTY_PAGES, 4),
            (ConstantId::I_NEW, 8),
            (ConstantId::I_WILL_FREE, 16),
            (ConstantId::I_FREEING, 32),
            (ConstantId::PAGECACHE_TAG_DIRTY, 0),
            (ConstantId::PAGECACHE_TAG_WRITEBACK, 1),
            (ConstantId::XA_FLAGS_MARK_SHIFT, self.gfp_bits_shift()),
            (ConstantId::XA_CHUNK_SHIFT, 6),
            (ConstantId::PAGE_SHIFT, 12),
            (ConstantId::BH_UPTODATE, 0),
        ] {
            page.constants[id.0 as usize] = value;
        }
        page
    }
}

/// A descriptor page that is being filled.
struct Table<'a>(&'a mut DescriptorPage);

impl Table<'_> {
    /// A member of the first kind of its specification that can have this size.
    fn set(&mut self, id: MemberId, offset: usize, size: usize) {
        let spec = &MEMBERS[id.0 as usize];
        // A list_head is larger than an hlist_head, a timespec than its seconds.
        let kind = match (spec.kinds, size) {
            ([Kind::HLIST, Kind::LIST_HEAD], _) => Kind::LIST_HEAD,
            ([Kind::INTEGER, Kind::STRUCT], 16) => Kind::STRUCT,
            (kinds, _) => kinds[0],
        };
        self.0.members[id.0 as usize] = Member {
            offset: offset as u32,
            size: size as u32,
            kind: kind.0,
            ..Member::ABSENT
        };
    }
}

/// Size of the member that `get` borrows.
const fn size_of_member<T, F>(_get: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// Enters members of a structure: `members!(table, Inode, INODE_I_INO: i_ino, ...)`.
macro_rules! members {
    ($table:ident, $structure:ty, $($id:ident: $field:ident),+ $(,)?) => {
        $( $table.set(
            handoff_abi::descriptor::MemberId::$id,
            std::mem::offset_of!($structure, $field),
            super::size_of_member(|s: &$structure| &s.$field),
        ); )+
    };
}
use members;
