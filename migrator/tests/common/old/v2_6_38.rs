//! 2.6.38.7.

use std::mem::offset_of;

use handoff_abi::descriptor::MemberId;

use super::shared::{
    ListHead, Mutex, PrioTreeRoot, QuotaInfo, RadixTreeRoot, RwSemaphore, Spinlock, Timespec,
    WaitQueueHead, Word,
};
use super::{members, Table};

/// `include/linux/fs.h` of 2.6.38 and 3.0, up to the private part of the file system. `s_uuid` came
/// in between: it is nothing, or 16 bytes.
#[repr(C)]
pub struct SuperBlock<Uuid> {
    s_list: ListHead,
    s_dev: u32,
    s_dirt: u8,
    s_blocksize_bits: u8,
    s_blocksize: Word,
    s_maxbytes: i64,
    s_type: Word,
    s_op: Word,
    dq_op: Word,
    s_qcop: Word,
    s_export_op: Word,
    s_flags: Word,
    s_magic: Word,
    s_root: Word,
    s_umount: RwSemaphore,
    s_lock: Mutex,
    s_count: u32,
    s_active: u32,
    s_security: Word,
    s_xattr: Word,
    s_inodes: ListHead,
    s_anon: Word,
    s_files: Word,
    s_dentry_lru: ListHead,
    s_nr_dentry_unused: u32,
    s_bdev: Word,
    s_bdi: Word,
    s_mtd: Word,
    s_instances: ListHead,
    s_dquot: QuotaInfo,
    s_frozen: u32,
    s_wait_unfrozen: WaitQueueHead,
    s_id: [u8; 32],
    s_uuid: Uuid,
    s_fs_info: Word,
}

/// Of this kernel; in 3.0 these are at the same places.
type OwnSuperBlock = SuperBlock<[u8; 0]>;

const _: () = assert!(
    offset_of!(OwnSuperBlock, s_bdev) == 0x108
        && offset_of!(OwnSuperBlock, s_bdi) == 0x110
        && offset_of!(OwnSuperBlock, s_instances) == 0x120
);

/// `include/linux/fs.h`.
#[repr(C)]
struct AddressSpace {
    host: Word,
    page_tree: RadixTreeRoot,
    tree_lock: Spinlock,
    i_mmap_writable: u32,
    i_mmap: PrioTreeRoot,
    i_mmap_nonlinear: ListHead,
    i_mmap_lock: Spinlock,
    truncate_count: u32,
    nrpages: Word,
    writeback_index: Word,
    a_ops: Word,
    flags: Word,
    backing_dev_info: Word,
    private_lock: Spinlock,
    private_list: ListHead,
    assoc_mapping: Word,
    unmap_mutex: Mutex,
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
    i_mutex: Mutex,
    i_state: Word,
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
    i_security: Word,
    i_acl: Word,
    i_default_acl: Word,
    i_private: Word,
}

/// `include/linux/mm_types.h` of 2.6.38 and 3.0.
#[repr(C)]
pub struct Page {
    flags: Word,
    count: u32,
    mapcount: u32,
    private: Word,
    mapping: Word,
    index: Word,
    lru: ListHead,
}

pub(super) fn fill(table: &mut Table<'_>) {
    super_block_and_page::<[u8; 0]>(table);
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

/// What 3.0 has as well.
pub(super) fn super_block_and_page<Uuid>(table: &mut Table<'_>) {
    members!(
        table,
        SuperBlock<Uuid>,
        SUPER_BLOCK_S_INODES: s_inodes,
        SUPER_BLOCK_S_MAGIC: s_magic,
        SUPER_BLOCK_S_FS_INFO: s_fs_info,
        SUPER_BLOCK_S_ROOT: s_root,
        SUPER_BLOCK_S_BLOCKSIZE_BITS: s_blocksize_bits,
    );
    members!(
        table,
        Page,
        PAGE_FLAGS: flags,
        PAGE_MAPPING: mapping,
        PAGE_INDEX: index,
        PAGE_PRIVATE: private,
    );
    table.set(MemberId::PAGE_SIZE_OF, 0, size_of::<Page>());
}
