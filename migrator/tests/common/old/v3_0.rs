//! 3.0.1.1.

use handoff_abi::descriptor::MemberId;

use super::shared::{
    ListHead, Mutex, PrioTreeRoot, RadixTreeRoot, RwSemaphore, Spinlock, Timespec, Word,
};
use super::v2_6_38::super_block_and_page;
use super::{members, Table};

/// `include/linux/fs.h`.
#[repr(C)]
struct AddressSpace {
    host: Word,
    page_tree: RadixTreeRoot,
    tree_lock: Spinlock,
    i_mmap_writable: u32,
    i_mmap: PrioTreeRoot,
    i_mmap_nonlinear: ListHead,
    i_mmap_mutex: Mutex,
    nrpages: Word,
    writeback_index: Word,
    a_ops: Word,
    flags: Word,
    backing_dev_info: Word,
    private_lock: Spinlock,
    private_list: ListHead,
    assoc_mapping: Word,
}

/// `include/linux/fs.h`.
#[repr(C)]
struct Inode {
    i_mode: u16,
    i_uid: u32,
    i_gid: u32,
    i_op: Word,
    i_sb: Word,
    i_lock: Spinlock,
    i_flags: u32,
    i_state: Word,
    i_security: Word,
    i_mutex: Mutex,
    dirtied_when: Word,
    i_hash: ListHead,
    i_wb_list: ListHead,
    i_lru: ListHead,
    i_sb_list: ListHead,
    i_dentry: ListHead,
    i_ino: Word,
    i_count: u32,
    i_nlink: u32,
    i_rdev: u32,
    i_blkbits: u32,
    i_version: u64,
    i_size: i64,
    i_atime: Timespec,
    i_mtime: Timespec,
    i_ctime: Timespec,
    i_blocks: u64,
    i_bytes: u16,
    i_alloc_sem: RwSemaphore,
    i_fop: Word,
    i_flock: Word,
    i_mapping: Word,
    i_data: AddressSpace,
    i_dquot: [Word; 2],
    i_devices: ListHead,
    i_cdev: Word,
    i_generation: u32,
    i_fsnotify_mask: u32,
    i_fsnotify_marks: Word,
    i_writecount: u32,
    i_acl: Word,
    i_default_acl: Word,
    i_private: Word,
}

pub(super) fn fill(table: &mut Table<'_>) {
    super_block_and_page::<[u8; 16]>(table);
    members!(
        table,
        AddressSpace,
        ADDRESS_SPACE_HOST: host,
        ADDRESS_SPACE_I_PAGES: page_tree,
        ADDRESS_SPACE_NRPAGES: nrpages,
    );
    members!(
        table,
        Inode,
        INODE_I_SB_LIST: i_sb_list,
        INODE_I_SB: i_sb,
        INODE_I_MAPPING: i_mapping,
        INODE_I_DATA: i_data,
        INODE_I_INO: i_ino,
        INODE_I_SIZE: i_size,
        INODE_I_MODE: i_mode,
        INODE_I_NLINK: i_nlink,
        INODE_I_GENERATION: i_generation,
        INODE_I_STATE: i_state,
        INODE_I_DENTRY: i_dentry,
        INODE_I_ATIME: i_atime,
        INODE_I_MTIME: i_mtime,
        INODE_I_CTIME: i_ctime,
    );
    table.set(MemberId::INODE_SIZE_OF, 0, size_of::<Inode>());
}
