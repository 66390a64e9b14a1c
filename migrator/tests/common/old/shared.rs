//! What is the same in all three kernels.

use handoff_abi::descriptor::MemberId;

use super::{members, Table};

/// A pointer, and `unsigned long`.
pub type Word = u64;
/// `struct list_head`, and `struct hlist_node`.
pub type ListHead = [Word; 2];
/// `struct timespec`.
pub type Timespec = [Word; 2];
/// `spinlock_t` without debugging.
pub type Spinlock = u32;

/// `include/linux/mutex.h`, with `SMP` and `DEBUG_MUTEXES`.
#[repr(C)]
pub struct Mutex {
    count: u32,
    wait_lock: Spinlock,
    wait_list: ListHead,
    owner: Word,
    name: Word,
    magic: Word,
}

/// `arch/x86/include/asm/rwsem.h`, from 3.0 on `include/linux/rwsem.h`.
#[repr(C)]
pub struct RwSemaphore {
    count: u64,
    wait_lock: Spinlock,
    wait_list: ListHead,
}

/// `include/linux/radix-tree.h`.
#[repr(C)]
pub struct RadixTreeRoot {
    height: u32,
    gfp_mask: u32,
    rnode: Word,
}

/// `lib/radix-tree.c`, with `RADIX_TREE_MAP_SHIFT` 6 and three tags. In 3.4 the parent is in a
/// union with the `rcu_head`.
#[repr(C)]
pub struct RadixTreeNode {
    height: u32,
    count: u32,
    rcu_head: [Word; 2],
    slots: [Word; 64],
    tags: [[Word; 1]; 3],
}

/// `include/linux/prio_tree.h`.
#[repr(C)]
pub struct PrioTreeRoot {
    prio_tree_node: Word,
    index_bits: u16,
    raw: u16,
}

/// `include/linux/dcache.h`.
#[repr(C)]
pub struct Qstr {
    hash: u32,
    len: u32,
    name: Word,
}

/// `include/linux/dcache.h`, since 2.6.38.
#[repr(C)]
pub struct Dentry {
    d_flags: u32,
    d_seq: u32,
    d_hash: [Word; 2],
    d_parent: Word,
    d_name: Qstr,
    d_inode: Word,
    d_iname: [u8; 32],
    d_count: u32,
    d_lock: Spinlock,
    d_op: Word,
    d_sb: Word,
    d_time: Word,
    d_fsdata: Word,
    d_lru: ListHead,
    d_u: ListHead,
    d_subdirs: ListHead,
    d_alias: ListHead,
}

/// `include/linux/buffer_head.h`, as far as it is read.
#[repr(C)]
pub struct BufferHead {
    b_state: Word,
    b_this_page: Word,
    b_page: Word,
    b_blocknr: u64,
    b_size: u64,
    b_data: Word,
}

/// `include/linux/quota.h`.
#[repr(C)]
struct MemDqinfo {
    dqi_format: Word,
    dqi_fmt_id: u32,
    dqi_dirty_list: ListHead,
    dqi_flags: Word,
    dqi_bgrace: u32,
    dqi_igrace: u32,
    dqi_maxblimit: u64,
    dqi_maxilimit: u64,
    dqi_priv: Word,
}

/// `include/linux/quota.h`.
#[repr(C)]
pub struct QuotaInfo {
    flags: u32,
    dqio_mutex: Mutex,
    dqonoff_mutex: Mutex,
    dqptr_sem: RwSemaphore,
    files: [Word; 2],
    info: [MemDqinfo; 2],
    ops: [Word; 2],
}

/// `include/linux/wait.h`.
#[repr(C)]
pub struct WaitQueueHead {
    lock: Spinlock,
    task_list: ListHead,
}

pub(super) fn fill(table: &mut Table<'_>) {
    members!(
        table,
        RadixTreeRoot,
        RADIX_TREE_ROOT_HEIGHT: height,
        RADIX_TREE_ROOT_GFP_MASK: gfp_mask,
        RADIX_TREE_ROOT_RNODE: rnode,
    );
    members!(
        table,
        RadixTreeNode,
        RADIX_TREE_NODE_HEIGHT: height,
        RADIX_TREE_NODE_COUNT: count,
        RADIX_TREE_NODE_SLOTS: slots,
        RADIX_TREE_NODE_TAGS: tags,
    );
    let size = size_of::<RadixTreeNode>();
    table.set(MemberId::RADIX_TREE_NODE_SIZE_OF, 0, size);
    members!(table, Qstr, QSTR_NAME: name, QSTR_LEN: len);
    members!(
        table,
        Dentry,
        DENTRY_D_HASH: d_hash,
        DENTRY_D_PARENT: d_parent,
        DENTRY_D_NAME: d_name,
        DENTRY_D_ALIAS: d_alias,
    );
    members!(
        table,
        BufferHead,
        BUFFER_HEAD_B_STATE: b_state,
        BUFFER_HEAD_B_THIS_PAGE: b_this_page,
        BUFFER_HEAD_B_PAGE: b_page,
        BUFFER_HEAD_B_SIZE: b_size,
    );
}
