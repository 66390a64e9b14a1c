//! The offset table: where the members of the 1st OS's structures are.
//!
//! It is made at load, on the machine, from the running kernel's own BTF, and it is all that the
//! migrator knows of the 1st OS. [`MEMBERS`] says what is wanted: for each number a structure and
//! a list of paths of which the first that exists is taken, with what it must look like; a
//! member whose kind or size is another than these is refused, for a member may keep its name
//! and change its type. What an offset cannot express is a [`Shape`].
//!
//! Numbers are part of the ABI: append, never reorder.

use crate::header::PageHeader;

open_int! {
    /// What a member is.
    pub struct Kind(u8) {
        /// Not there in this kernel.
        ABSENT = 0, "absent";
        /// A pointer.
        POINTER = 1, "pointer";
        /// An integer or enum, signed or not; width in `size`.
        INTEGER = 2, "integer";
        /// `struct list_head`.
        LIST_HEAD = 3, "list_head";
        /// `struct hlist_head` or `struct hlist_node`.
        HLIST = 4, "hlist";
        /// `struct rb_root`, `rb_root_cached` or `rb_node`.
        RB_TREE = 5, "rb-tree";
        /// Another structure or union.
        STRUCT = 6, "struct";
        /// An array.
        ARRAY = 7, "array";
        /// A bit field; `bit` and `bits` say where.
        BITFIELD = 8, "bit field";
        /// The structure itself: `size` is its size.
        SIZE_OF = 9, "size of the structure";
    }
}

abi_struct! {
    /// Where one member is. Written by `baton load`.
    pub struct Member: 16 {
        /// Offset from the start of the structure, bytes.
        pub offset: u32, @ 0;
        /// Size, bytes (of the element's whole, for an array).
        pub size: u32, @ 4;
        /// A [`Kind`].
        pub kind: u8, @ 8;
        /// First bit of a bit field within its storage unit at `offset`.
        pub bit: u8, @ 9;
        /// Width of a bit field.
        pub bits: u8, @ 10;
        /// Which of the alternative paths was found, from 0.
        pub alternative: u8, @ 11;
        /// Written as zero.
        pub reserved: u32, @ 12;
    }
}

impl Member {
    /// A member this kernel does not have.
    pub const ABSENT: Self = Self {
        offset: 0,
        size: 0,
        kind: 0,
        bit: 0,
        bits: 0,
        alternative: 0,
        reserved: 0,
    };

    /// Whether this kernel has it.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        self.kind != Kind::ABSENT.0
    }
}

/// What is wanted of one member.
#[derive(Clone, Copy, Debug)]
pub struct MemberSpec {
    /// C name of the structure.
    pub structure: &'static str,
    /// Paths in order of preference; `"a.b"` goes into a named structure, anonymous ones are
    /// transparent; the empty path is the structure itself.
    pub paths: &'static [&'static str],
    /// What it may be.
    pub kinds: &'static [Kind],
    /// Sizes it may have, bytes; empty for any.
    pub sizes: &'static [u32],
    /// Whether a kernel without it is refused.
    pub required: bool,
}

impl MemberSpec {
    /// `structure.path`, as far as it can be told apart: the first path.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.paths.first().copied().unwrap_or("")
    }
}

/// Number of a member in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberId(pub u16);

macro_rules! members {
    ( $( $(#[$meta:meta])* $id:ident: $structure:literal, [$($path:literal),*], [$($kind:ident),*], [$($size:literal),*], $required:ident; )* ) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u16)]
        enum Number { $( $id, )* COUNT }

        impl MemberId {
            $( $(#[$meta])* pub const $id: MemberId = MemberId(Number::$id as u16); )*
        }

        /// How many members the table holds.
        pub const MEMBER_COUNT: usize = Number::COUNT as usize;

        /// What is wanted, by number.
        pub const MEMBERS: [MemberSpec; MEMBER_COUNT] = [ $( MemberSpec {
            structure: $structure,
            paths: &[$($path),*],
            kinds: &[$(Kind::$kind),*],
            sizes: &[$($size),*],
            required: members!(@required $required),
        }, )* ];
    };
    (@required required) => { true };
    (@required optional) => { false };
}

members! {
    /// All inodes of the file system.
    SUPER_BLOCK_S_INODES: "super_block", ["s_inodes"], [LIST_HEAD], [16], required;
    /// Magic number of the file system type.
    SUPER_BLOCK_S_MAGIC: "super_block", ["s_magic"], [INTEGER], [8], required;
    /// Private part of the file system.
    SUPER_BLOCK_S_FS_INFO: "super_block", ["s_fs_info"], [POINTER], [8], required;
    /// Root dentry.
    SUPER_BLOCK_S_ROOT: "super_block", ["s_root"], [POINTER], [8], required;
    /// Log2 of the block size.
    SUPER_BLOCK_S_BLOCKSIZE_BITS: "super_block", ["s_blocksize_bits"], [INTEGER], [1], required;
    /// Link in `s_inodes`.
    INODE_I_SB_LIST: "inode", ["i_sb_list"], [LIST_HEAD], [16], required;
    /// The file system it belongs to.
    INODE_I_SB: "inode", ["i_sb"], [POINTER], [8], required;
    /// Its pages.
    INODE_I_MAPPING: "inode", ["i_mapping"], [POINTER], [8], required;
    /// Where `i_mapping` points unless the file system uses another's.
    INODE_I_DATA: "inode", ["i_data"], [STRUCT], [], required;
    /// Inode number.
    INODE_I_INO: "inode", ["i_ino"], [INTEGER], [8], required;
    /// Length, bytes.
    INODE_I_SIZE: "inode", ["i_size"], [INTEGER], [8], required;
    /// Type and permissions.
    INODE_I_MODE: "inode", ["i_mode"], [INTEGER], [2], required;
    /// Number of names.
    INODE_I_NLINK: "inode", ["i_nlink"], [INTEGER], [4], required;
    /// Generation, part of the file handle.
    INODE_I_GENERATION: "inode", ["i_generation"], [INTEGER], [4], required;
    /// State flags; an integer, an enum, or the only member of a struct.
    INODE_I_STATE: "inode", ["i_state.__state", "i_state"], [INTEGER], [4, 8], required;
    /// Names (a `list_head` before 3.6).
    INODE_I_DENTRY: "inode", ["i_dentry"], [HLIST, LIST_HEAD], [8, 16], required;
    /// Size of the structure.
    INODE_SIZE_OF: "inode", [""], [SIZE_OF], [], required;
    /// The inode whose pages these are.
    ADDRESS_SPACE_HOST: "address_space", ["host"], [POINTER], [8], required;
    /// The page tree.
    ADDRESS_SPACE_I_PAGES: "address_space", ["i_pages", "page_tree"], [STRUCT], [], required;
    /// Number of pages in the tree.
    ADDRESS_SPACE_NRPAGES: "address_space", ["nrpages"], [INTEGER], [8], required;
    /// First entry or node.
    XARRAY_XA_HEAD: "xarray", ["xa_head"], [POINTER], [8], optional;
    /// Flags; the marks of the whole tree are in the upper bits.
    XARRAY_XA_FLAGS: "xarray", ["xa_flags"], [INTEGER], [4], optional;
    /// Log2 of the indices under one slot.
    XA_NODE_SHIFT: "xa_node", ["shift"], [INTEGER], [1], optional;
    /// Slot in the parent.
    XA_NODE_OFFSET: "xa_node", ["offset"], [INTEGER], [1], optional;
    /// Number of slots in use.
    XA_NODE_COUNT: "xa_node", ["count"], [INTEGER], [1], optional;
    /// Entries.
    XA_NODE_SLOTS: "xa_node", ["slots"], [ARRAY], [], optional;
    /// Marks, a bitmap over the slots for each of three.
    XA_NODE_MARKS: "xa_node", ["marks", "tags"], [ARRAY], [], optional;
    /// Flags of a page or of the first page of a folio.
    PAGE_FLAGS: "page", ["flags.f", "flags"], [INTEGER], [8], required;
    /// Address space the page belongs to.
    PAGE_MAPPING: "page", ["mapping"], [POINTER], [8], required;
    /// Index in the file, in pages.
    PAGE_INDEX: "page", ["index", "__folio_index"], [INTEGER], [8], required;
    /// Size of the structure: distance of two pages in the memory map.
    PAGE_SIZE_OF: "page", [""], [SIZE_OF], [], required;
    /// Order of a compound page, in its second page (before folios).
    PAGE_COMPOUND_ORDER: "page", ["compound_order"], [INTEGER], [1], optional;
    /// Head of a compound page, address + 1.
    PAGE_COMPOUND_HEAD: "page", ["compound_head"], [INTEGER], [8], optional;
    /// Head of a compound page, mask + 1.
    PAGE_COMPOUND_INFO: "page", ["compound_info"], [INTEGER], [8], optional;
    /// Order of a folio, a byte of its own.
    FOLIO_ORDER: "folio", ["_folio_order"], [INTEGER], [1], optional;
    /// Order of a folio in the lowest byte of its second page's flags.
    FOLIO_FLAGS_1: "folio", ["_flags_1"], [INTEGER], [8], optional;
    /// Parent directory.
    DENTRY_D_PARENT: "dentry", ["d_parent"], [POINTER], [8], required;
    /// Name.
    DENTRY_D_NAME: "dentry", ["d_name", "__d_name"], [STRUCT], [16], required;
    /// Link in `i_dentry`.
    DENTRY_D_ALIAS: "dentry", ["d_u.d_alias", "d_alias"], [HLIST, LIST_HEAD], [16], required;
    /// Address of the name's bytes.
    QSTR_NAME: "qstr", ["name"], [POINTER], [8], required;
    /// Length of the name.
    QSTR_LEN: "qstr", ["len"], [INTEGER], [4], required;
    /// Journal of an ext4 file system.
    EXT4_SB_INFO_S_JOURNAL: "ext4_sb_info", ["s_journal"], [POINTER], [8], optional;
    /// Newest transaction that is on the disk.
    JOURNAL_J_COMMIT_SEQUENCE: "journal_s", ["j_commit_sequence"], [INTEGER], [4], optional;
    /// The VFS's inode inside ext4's.
    EXT4_INODE_INFO_VFS_INODE: "ext4_inode_info", ["vfs_inode"], [STRUCT], [], optional;
    /// Newest transaction that changed the inode.
    EXT4_INODE_INFO_I_SYNC_TID: "ext4_inode_info", ["i_sync_tid"], [INTEGER], [4], optional;
    /// Size of one element of `xa_node.slots` times their number is the array's size.
    XA_NODE_SIZE_OF: "xa_node", [""], [SIZE_OF], [], optional;
    /// Access time, seconds (`struct timespec64` before the split).
    INODE_I_ATIME: "inode", ["i_atime_sec", "__i_atime", "i_atime"], [INTEGER, STRUCT], [8, 16], required;
    /// Modification time, seconds or `struct timespec64`.
    INODE_I_MTIME: "inode", ["i_mtime_sec", "__i_mtime", "i_mtime"], [INTEGER, STRUCT], [8, 16], required;
    /// Change time, seconds or `struct timespec64`.
    INODE_I_CTIME: "inode", ["i_ctime_sec", "__i_ctime", "i_ctime"], [INTEGER, STRUCT], [8, 16], required;
    /// Access time, nanoseconds, where split.
    INODE_I_ATIME_NSEC: "inode", ["i_atime_nsec"], [INTEGER], [4], optional;
    /// Modification time, nanoseconds, where split.
    INODE_I_MTIME_NSEC: "inode", ["i_mtime_nsec"], [INTEGER], [4], optional;
    /// Change time, nanoseconds, where split.
    INODE_I_CTIME_NSEC: "inode", ["i_ctime_nsec"], [INTEGER], [4], optional;
    /// Buffers of a page, or of the first page of a folio.
    PAGE_PRIVATE: "page", ["private"], [INTEGER], [8], optional;
    /// State bits of a buffer.
    BUFFER_HEAD_B_STATE: "buffer_head", ["b_state"], [INTEGER], [8], optional;
    /// Next buffer of the page; a ring.
    BUFFER_HEAD_B_THIS_PAGE: "buffer_head", ["b_this_page"], [POINTER], [8], optional;
    /// The page a buffer belongs to.
    BUFFER_HEAD_B_PAGE: "buffer_head", ["b_page", "b_folio"], [POINTER], [8], optional;
    /// Length of a buffer, bytes.
    BUFFER_HEAD_B_SIZE: "buffer_head", ["b_size"], [INTEGER], [8], optional;
    /// Link in the name hash; its second word is null when the name was removed.
    DENTRY_D_HASH: "dentry", ["d_hash"], [STRUCT, HLIST], [16], optional;
    /// The VFS's inode inside xfs's.
    XFS_INODE_I_VNODE: "xfs_inode", ["i_vnode"], [STRUCT], [], optional;
    /// Changes of the inode that are not in the log on the disk (an `atomic_t`).
    XFS_INODE_I_PINCOUNT: "xfs_inode", ["i_pincount"], [STRUCT, INTEGER], [4], optional;
    /// Levels of nodes below the root.
    RADIX_TREE_ROOT_HEIGHT: "radix_tree_root", ["height"], [INTEGER], [4], optional;
    /// Flags; the tags of the whole tree are in the upper bits.
    RADIX_TREE_ROOT_GFP_MASK: "radix_tree_root", ["gfp_mask"], [INTEGER], [4], optional;
    /// The only entry, or the topmost node's address + 1.
    RADIX_TREE_ROOT_RNODE: "radix_tree_root", ["rnode"], [POINTER], [8], optional;
    /// Levels of nodes from here down, this one included.
    RADIX_TREE_NODE_HEIGHT: "radix_tree_node", ["height"], [INTEGER], [4], optional;
    /// Number of slots in use.
    RADIX_TREE_NODE_COUNT: "radix_tree_node", ["count"], [INTEGER], [4], optional;
    /// Entries.
    RADIX_TREE_NODE_SLOTS: "radix_tree_node", ["slots"], [ARRAY], [], optional;
    /// Tags, a bitmap over the slots for each of three.
    RADIX_TREE_NODE_TAGS: "radix_tree_node", ["tags"], [ARRAY], [], optional;
    /// Size of the structure.
    RADIX_TREE_NODE_SIZE_OF: "radix_tree_node", [""], [SIZE_OF], [], optional;
}

macro_rules! constants {
    ( $( $(#[$meta:meta])* $id:ident: $enumeration:literal, $name:literal; )* ) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u16)]
        enum ConstantNumber { $( $id, )* COUNT }

        impl ConstantId {
            $( $(#[$meta])* pub const $id: ConstantId = ConstantId(ConstantNumber::$id as u16); )*
        }

        /// How many constants the table holds.
        pub const CONSTANT_COUNT: usize = ConstantNumber::COUNT as usize;

        /// What is wanted, by number.
        pub const CONSTANTS: [ConstantSpec; CONSTANT_COUNT] =
            [ $( ConstantSpec { enumeration: $enumeration, name: $name }, )* ];
    };
}

/// Number of a constant in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConstantId(pub u16);

/// A constant of the 1st OS by its C name. The value is what the module was compiled with; if
/// BTF has the enumeration, both must agree.
#[derive(Clone, Copy, Debug)]
pub struct ConstantSpec {
    /// Enumeration that holds it in BTF, or empty for a macro.
    pub enumeration: &'static str,
    /// C name.
    pub name: &'static str,
}

constants! {
    /// Bit number.
    PG_DIRTY: "pageflags", "PG_dirty";
    /// Bit number.
    PG_WRITEBACK: "pageflags", "PG_writeback";
    /// Bit number.
    PG_HEAD: "pageflags", "PG_head";
    /// Bit number.
    PG_UPTODATE: "pageflags", "PG_uptodate";
    /// Mask in `i_state`.
    I_NEW: "", "I_NEW";
    /// Mask in `i_state`.
    I_FREEING: "", "I_FREEING";
    /// Mask in `i_state`.
    I_WILL_FREE: "", "I_WILL_FREE";
    /// Mask in `i_state`.
    I_DIRTY_SYNC: "", "I_DIRTY_SYNC";
    /// Mask in `i_state`.
    I_DIRTY_DATASYNC: "", "I_DIRTY_DATASYNC";
    /// Mask in `i_state`.
    I_DIRTY_PAGES: "", "I_DIRTY_PAGES";
    /// Mark number of dirty pages.
    PAGECACHE_TAG_DIRTY: "", "PAGECACHE_TAG_DIRTY";
    /// Mark number of pages under writeback.
    PAGECACHE_TAG_WRITEBACK: "", "PAGECACHE_TAG_WRITEBACK";
    /// Bit of mark 0 in `xa_flags`; of tag 0 in `gfp_mask` of a radix tree (`__GFP_BITS_SHIFT`).
    XA_FLAGS_MARK_SHIFT: "", "XA_FLAGS_MARK_SHIFT";
    /// Log2 of the slots of a node; `RADIX_TREE_MAP_SHIFT` of a radix tree.
    XA_CHUNK_SHIFT: "", "XA_CHUNK_SHIFT";
    /// Log2 of the page size.
    PAGE_SHIFT: "", "PAGE_SHIFT";
    /// Bit number in `b_state`.
    BH_UPTODATE: "bh_state_bits", "BH_Uptodate";
}

open_int! {
    /// A way of managing data that an offset cannot express. The number is the index into
    /// [`DescriptorPage::shapes`]; each has its own open set of values.
    pub struct Shape(u32) {
        /// How pages hang in `i_pages`: [`PageTreeShape`].
        PAGE_TREE = 0, "page tree";
        /// Where the order of a compound page is: [`OrderShape`].
        ORDER = 1, "order of a compound page";
        /// How inode times are kept: [`TimeShape`].
        TIME = 2, "inode times";
    }
}

open_int! {
    /// [`Shape::PAGE_TREE`].
    pub struct PageTreeShape(u32) {
        /// Unknown.
        UNKNOWN = 0, "unknown";
        /// XArray (since 4.20).
        XARRAY = 1, "xarray";
        /// Radix tree whose nodes say their height (before 3.15).
        RADIX = 2, "radix tree";
    }
}

impl PageTreeShape {
    /// The members that a tree of this shape stands on; a kernel without one of them has another.
    #[must_use]
    pub const fn members(self) -> &'static [MemberId] {
        match self {
            Self::XARRAY => &[
                MemberId::XARRAY_XA_HEAD,
                MemberId::XARRAY_XA_FLAGS,
                MemberId::XA_NODE_SHIFT,
                MemberId::XA_NODE_OFFSET,
                MemberId::XA_NODE_COUNT,
                MemberId::XA_NODE_SLOTS,
                MemberId::XA_NODE_MARKS,
                MemberId::XA_NODE_SIZE_OF,
            ],
            Self::RADIX => &[
                MemberId::RADIX_TREE_ROOT_HEIGHT,
                MemberId::RADIX_TREE_ROOT_GFP_MASK,
                MemberId::RADIX_TREE_ROOT_RNODE,
                MemberId::RADIX_TREE_NODE_HEIGHT,
                MemberId::RADIX_TREE_NODE_COUNT,
                MemberId::RADIX_TREE_NODE_SLOTS,
                MemberId::RADIX_TREE_NODE_TAGS,
                MemberId::RADIX_TREE_NODE_SIZE_OF,
            ],
            _ => &[],
        }
    }
}

open_int! {
    /// [`Shape::ORDER`].
    pub struct OrderShape(u32) {
        /// Unknown.
        UNKNOWN = 0, "unknown";
        /// `compound_order` of the second `struct page`.
        SECOND_PAGE = 1, "page[1].compound_order";
        /// `folio._folio_order`.
        FOLIO_BYTE = 2, "folio._folio_order";
        /// Lowest byte of `folio._flags_1`.
        FOLIO_FLAGS = 3, "folio._flags_1 & 0xff";
        /// There are no compound pages in the page cache.
        NONE = 4, "single pages";
    }
}

open_int! {
    /// [`Shape::TIME`].
    pub struct TimeShape(u32) {
        /// Unknown.
        UNKNOWN = 0, "unknown";
        /// `struct timespec64` each.
        TIMESPEC = 1, "timespec64";
        /// Seconds and nanoseconds apart.
        SPLIT = 2, "seconds and nanoseconds apart";
    }
}

/// Number of shapes in the page; more than there are.
pub const MAX_SHAPES: usize = 32;
/// Room for members.
pub const MAX_MEMBERS: usize = 1024;
/// Room for constants.
pub const MAX_CONSTANTS: usize = 256;

const _: () = assert!(MEMBER_COUNT <= MAX_MEMBERS && CONSTANT_COUNT <= MAX_CONSTANTS);

abi_struct! {
    /// How kernel-virtual addresses of the 1st OS become physical ones. Written by `baton.ko` of
    /// the 1st OS. Source: `arch/x86/include/asm/page_64.h`, `Documentation/arch/x86/x86_64/mm.rst`.
    pub struct AddressSpace: 96 {
        /// Start of the direct map (`page_offset_base`).
        pub page_offset_base: u64, @ 0;
        /// First physical address that the direct map does not cover.
        pub direct_map_size: u64, @ 8;
        /// Start of the memory map (`vmemmap_base`).
        pub vmemmap_base: u64, @ 16;
        /// `__START_KERNEL_map`.
        pub kernel_map: u64, @ 24;
        /// Length of the kernel image's mapping.
        pub kernel_map_size: u64, @ 32;
        /// `phys_base`: physical address of `__START_KERNEL_map`, may be "negative".
        pub phys_base: u64, @ 40;
        /// Physical address of a top-level page table that maps the kernel half.
        pub pgd: u64, @ 48;
        /// Levels of paging: 4 or 5.
        pub levels: u64, @ 56;
        /// Mask of the physical address bits in a page table entry.
        pub pte_mask: u64, @ 64;
        /// Start of the vmalloc area.
        pub vmalloc_base: u64, @ 72;
        /// Written as zero.
        pub reserved: [u64; 2], @ 80;
    }
}

abi_struct! {
    /// The descriptor. Written by `baton load`, checked again by `baton update`; read by the
    /// migrator on the 2nd OS.
    pub struct DescriptorPage: 32768 {
        /// Kind [`crate::region::DESCRIPTOR`].
        pub header: PageHeader, @ 0;
        /// [`MEMBER_COUNT`] of the writer.
        pub member_count: u32, @ 32;
        /// [`CONSTANT_COUNT`] of the writer.
        pub constant_count: u32, @ 36;
        /// Build ID of the 1st OS's kernel (from its ELF note), zero-padded.
        pub build_id: [u8; 32], @ 40;
        /// Addresses.
        pub address_space: AddressSpace, @ 72;
        /// By [`Shape`].
        pub shapes: [u32; 32], @ 168;
        /// By [`ConstantId`].
        pub constants: [u64; 256], @ 296;
        /// Written as zero.
        pub reserved: [u8; 2040], @ 2344;
        /// By [`MemberId`].
        pub members: [Member; 1024], @ 4384;
        /// Written as zero.
        pub reserved1: [u8; 12000], @ 20768;
    }
}

impl DescriptorPage {
    /// All zero: not a valid page, but a place for one.
    pub const ZERO: Self = zerocopy::transmute!([0u8; 32768]);
}
