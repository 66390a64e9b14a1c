/* SPDX-License-Identifier: GPL-2.0 */
/* Generated from handoff-abi by `cargo xtask header`. Do not edit. */
#ifndef BATON_HANDOFF_H
#define BATON_HANDOFF_H

#include <linux/build_bug.h>
#include <linux/ioctl.h>
#include <linux/stddef.h>
#include <linux/types.h>

#define BATON_ABI_VERSION 2u
#define BATON_PAGE_MAGIC 0x4e544142u
#define BATON_REGION_SIZE 0x100000u

#define BATON_HEADER_KIND 1u
#define BATON_HEADER_OFFSET 0x0u
#define BATON_HEADER_SIZE 0x1000u
#define BATON_CONTROL_KIND 2u
#define BATON_CONTROL_OFFSET 0x1000u
#define BATON_CONTROL_SIZE 0x1000u
#define BATON_TIMELINE_KIND 3u
#define BATON_TIMELINE_OFFSET 0x2000u
#define BATON_TIMELINE_SIZE 0x1000u
#define BATON_MACHINE_KIND 4u
#define BATON_MACHINE_OFFSET 0x3000u
#define BATON_MACHINE_SIZE 0x5000u
#define BATON_DESCRIPTOR_KIND 5u
#define BATON_DESCRIPTOR_OFFSET 0x8000u
#define BATON_DESCRIPTOR_SIZE 0x8000u
#define BATON_FILE_SYSTEMS_KIND 6u
#define BATON_FILE_SYSTEMS_OFFSET 0x10000u
#define BATON_FILE_SYSTEMS_SIZE 0x10000u
#define BATON_NETWORK_SNAPSHOT_KIND 7u
#define BATON_NETWORK_SNAPSHOT_OFFSET 0x20000u
#define BATON_NETWORK_SNAPSHOT_SIZE 0x20000u
#define BATON_SYSTEM_SNAPSHOT_KIND 8u
#define BATON_SYSTEM_SNAPSHOT_OFFSET 0x40000u
#define BATON_SYSTEM_SNAPSHOT_SIZE 0x20000u
#define BATON_LOG_OF_THE_1ST_OS_KIND 9u
#define BATON_LOG_OF_THE_1ST_OS_OFFSET 0x60000u
#define BATON_LOG_OF_THE_1ST_OS_SIZE 0x20000u
#define BATON_LOG_OF_THE_2ND_OS_KIND 10u
#define BATON_LOG_OF_THE_2ND_OS_OFFSET 0x80000u
#define BATON_LOG_OF_THE_2ND_OS_SIZE 0x20000u
#define BATON_LOSSES_KIND 11u
#define BATON_LOSSES_OFFSET 0xa0000u
#define BATON_LOSSES_SIZE 0x10000u
#define BATON_CONSOLE_OF_THE_2ND_OS_KIND 12u
#define BATON_CONSOLE_OF_THE_2ND_OS_OFFSET 0xb0000u
#define BATON_CONSOLE_OF_THE_2ND_OS_SIZE 0x40000u

enum {
	BATON_STOP_STATE_RUNNING = 0,
	BATON_STOP_STATE_STOPPED = 1,
	BATON_STOP_STATE_TAKEN = 2,
	BATON_STOP_STATE_ABORTED = 3,
	BATON_STOP_STATE_COMMITTED = 4,
};

enum {
	BATON_FIRST_RUNNING = 0,
	BATON_FIRST_QUIESCING = 1,
	BATON_FIRST_PARKING = 2,
	BATON_FIRST_PARKED = 3,
};

enum {
	BATON_SECOND_NONE = 0,
	BATON_SECOND_AGENT = 1,
	BATON_SECOND_ATTACHED = 2,
	BATON_SECOND_READY = 3,
	BATON_SECOND_TAKING_OVER = 4,
	BATON_SECOND_RUNNING = 5,
	BATON_SECOND_FAILED = 6,
};

enum {
	BATON_REASON_NONE = 0,
	BATON_REASON_NO_ANSWER = 1,
	BATON_REASON_NO_COMMIT = 2,
	BATON_REASON_CPU_LATE = 3,
	BATON_REASON_WRITERS_BUSY = 4,
	BATON_REASON_JOURNAL = 5,
	BATON_REASON_CORRUPT = 6,
	BATON_REASON_PCI = 7,
	BATON_REASON_MOUNT = 8,
	BATON_REASON_MIGRATE = 9,
	BATON_REASON_OTHER = 10,
	BATON_REASON_NO_SLOT = 11,
};

enum {
	BATON_PHASE_UPDATE = 0,
	BATON_PHASE_PRESYNC = 1,
	BATON_PHASE_GATE = 2,
	BATON_PHASE_QUIESCED = 3,
	BATON_PHASE_STOP = 4,
	BATON_PHASE_PARKED = 5,
	BATON_PHASE_NOTICE_SENT = 6,
	BATON_PHASE_NOTICE_TAKEN = 7,
	BATON_PHASE_COMMITTED = 8,
	BATON_PHASE_PCI_DONE = 9,
	BATON_PHASE_DISK_READY = 10,
	BATON_PHASE_MOUNTED = 11,
	BATON_PHASE_CACHE_MIGRATED = 12,
	BATON_PHASE_NIC_READY = 13,
	BATON_PHASE_IP_ASSIGNED = 14,
	BATON_PHASE_USERLAND = 15,
	BATON_PHASE_CPUS_ONLINE = 16,
	BATON_PHASE_MEMORY_ONLINE = 17,
};

enum {
	BATON_COUNTER_INODES = 0,
	BATON_COUNTER_FILES = 1,
	BATON_COUNTER_PAGES = 2,
	BATON_COUNTER_BYTES = 3,
	BATON_COUNTER_LOST_FILES = 4,
	BATON_COUNTER_CPUS = 5,
	BATON_COUNTER_MEMORY = 6,
	BATON_COUNTER_WALK_TICKS = 7,
};

enum {
	BATON_RANGE_FIRST = 1,
	BATON_RANGE_LOW = 2,
	BATON_RANGE_ECAM = 3,
	BATON_RANGE_PARTITION = 4,
	BATON_RANGE_IOAPIC = 5,
};

enum {
	BATON_WINDOW_IO = 1,
	BATON_WINDOW_MEMORY = 2,
	BATON_WINDOW_PREFETCHABLE = 3,
};

enum {
	BATON_ROLE_NONE = 0,
	BATON_ROLE_FIRST = 1,
	BATON_ROLE_SECOND = 2,
};

enum {
	BATON_MEMBER_super_block__s_inodes = 0,
	BATON_MEMBER_super_block__s_magic = 1,
	BATON_MEMBER_super_block__s_fs_info = 2,
	BATON_MEMBER_super_block__s_root = 3,
	BATON_MEMBER_super_block__s_blocksize_bits = 4,
	BATON_MEMBER_inode__i_sb_list = 5,
	BATON_MEMBER_inode__i_sb = 6,
	BATON_MEMBER_inode__i_mapping = 7,
	BATON_MEMBER_inode__i_data = 8,
	BATON_MEMBER_inode__i_ino = 9,
	BATON_MEMBER_inode__i_size = 10,
	BATON_MEMBER_inode__i_mode = 11,
	BATON_MEMBER_inode__i_nlink = 12,
	BATON_MEMBER_inode__i_generation = 13,
	BATON_MEMBER_inode__i_state____state = 14,
	BATON_MEMBER_inode__i_dentry = 15,
	BATON_MEMBER_inode__SIZE_OF = 16,
	BATON_MEMBER_address_space__host = 17,
	BATON_MEMBER_address_space__i_pages = 18,
	BATON_MEMBER_address_space__nrpages = 19,
	BATON_MEMBER_xarray__xa_head = 20,
	BATON_MEMBER_xarray__xa_flags = 21,
	BATON_MEMBER_xa_node__shift = 22,
	BATON_MEMBER_xa_node__offset = 23,
	BATON_MEMBER_xa_node__count = 24,
	BATON_MEMBER_xa_node__slots = 25,
	BATON_MEMBER_xa_node__marks = 26,
	BATON_MEMBER_page__flags__f = 27,
	BATON_MEMBER_page__mapping = 28,
	BATON_MEMBER_page__index = 29,
	BATON_MEMBER_page__SIZE_OF = 30,
	BATON_MEMBER_page__compound_order = 31,
	BATON_MEMBER_page__compound_head = 32,
	BATON_MEMBER_page__compound_info = 33,
	BATON_MEMBER_folio___folio_order = 34,
	BATON_MEMBER_folio___flags_1 = 35,
	BATON_MEMBER_dentry__d_parent = 36,
	BATON_MEMBER_dentry__d_name = 37,
	BATON_MEMBER_dentry__d_u__d_alias = 38,
	BATON_MEMBER_qstr__name = 39,
	BATON_MEMBER_qstr__len = 40,
	BATON_MEMBER_ext4_sb_info__s_journal = 41,
	BATON_MEMBER_journal_s__j_commit_sequence = 42,
	BATON_MEMBER_ext4_inode_info__vfs_inode = 43,
	BATON_MEMBER_ext4_inode_info__i_sync_tid = 44,
	BATON_MEMBER_xa_node__SIZE_OF = 45,
	BATON_MEMBER_inode__i_atime_sec = 46,
	BATON_MEMBER_inode__i_mtime_sec = 47,
	BATON_MEMBER_inode__i_ctime_sec = 48,
	BATON_MEMBER_inode__i_atime_nsec = 49,
	BATON_MEMBER_inode__i_mtime_nsec = 50,
	BATON_MEMBER_inode__i_ctime_nsec = 51,
	BATON_MEMBER_page__private = 52,
	BATON_MEMBER_buffer_head__b_state = 53,
	BATON_MEMBER_buffer_head__b_this_page = 54,
	BATON_MEMBER_buffer_head__b_page = 55,
	BATON_MEMBER_buffer_head__b_size = 56,
	BATON_MEMBER_dentry__d_hash = 57,
	BATON_MEMBER_xfs_inode__i_vnode = 58,
	BATON_MEMBER_xfs_inode__i_pincount = 59,
	BATON_MEMBER_radix_tree_root__height = 60,
	BATON_MEMBER_radix_tree_root__gfp_mask = 61,
	BATON_MEMBER_radix_tree_root__rnode = 62,
	BATON_MEMBER_radix_tree_node__height = 63,
	BATON_MEMBER_radix_tree_node__count = 64,
	BATON_MEMBER_radix_tree_node__slots = 65,
	BATON_MEMBER_radix_tree_node__tags = 66,
	BATON_MEMBER_radix_tree_node__SIZE_OF = 67,
	BATON_MEMBER_COUNT = 68,
};

enum {
	BATON_CONSTANT_PG_dirty = 0,
	BATON_CONSTANT_PG_writeback = 1,
	BATON_CONSTANT_PG_head = 2,
	BATON_CONSTANT_PG_uptodate = 3,
	BATON_CONSTANT_I_NEW = 4,
	BATON_CONSTANT_I_FREEING = 5,
	BATON_CONSTANT_I_WILL_FREE = 6,
	BATON_CONSTANT_I_DIRTY_SYNC = 7,
	BATON_CONSTANT_I_DIRTY_DATASYNC = 8,
	BATON_CONSTANT_I_DIRTY_PAGES = 9,
	BATON_CONSTANT_PAGECACHE_TAG_DIRTY = 10,
	BATON_CONSTANT_PAGECACHE_TAG_WRITEBACK = 11,
	BATON_CONSTANT_XA_FLAGS_MARK_SHIFT = 12,
	BATON_CONSTANT_XA_CHUNK_SHIFT = 13,
	BATON_CONSTANT_PAGE_SHIFT = 14,
	BATON_CONSTANT_BH_Uptodate = 15,
	BATON_CONSTANT_COUNT = 16,
};

struct baton_page_header {
	__u32 magic;
	__u32 version;
	__u32 kind;
	__u32 size;
	__u64 generation;
	__u64 reserved;
};
static_assert(sizeof(struct baton_page_header) == 32);
static_assert(offsetof(struct baton_page_header, magic) == 0);
static_assert(offsetof(struct baton_page_header, version) == 4);
static_assert(offsetof(struct baton_page_header, kind) == 8);
static_assert(offsetof(struct baton_page_header, size) == 12);
static_assert(offsetof(struct baton_page_header, generation) == 16);
static_assert(offsetof(struct baton_page_header, reserved) == 24);

struct baton_header_page {
	struct baton_page_header header;
	__u64 region_base;
	__u64 region_size;
	__u64 partition_base;
	__u64 partition_size;
	__u64 low_base;
	__u64 low_size;
	__u64 mailbox;
	__u64 park_slots;
	__u64 park_slot_count;
	__u64 park_code;
	__u64 park_pml4;
	__u64 park_pml5;
	__u64 ssdt;
	__u64 ssdt_size;
	__u64 park_entry;
	__u64 park_reset;
	__u32 second_apic_id;
	__u32 reserved0;
	__u8 second_release[128];
	__u8 first_release[128];
	__u8 reserved[3672];
};
static_assert(sizeof(struct baton_header_page) == 4096);
static_assert(offsetof(struct baton_header_page, header) == 0);
static_assert(offsetof(struct baton_header_page, region_base) == 32);
static_assert(offsetof(struct baton_header_page, region_size) == 40);
static_assert(offsetof(struct baton_header_page, partition_base) == 48);
static_assert(offsetof(struct baton_header_page, partition_size) == 56);
static_assert(offsetof(struct baton_header_page, low_base) == 64);
static_assert(offsetof(struct baton_header_page, low_size) == 72);
static_assert(offsetof(struct baton_header_page, mailbox) == 80);
static_assert(offsetof(struct baton_header_page, park_slots) == 88);
static_assert(offsetof(struct baton_header_page, park_slot_count) == 96);
static_assert(offsetof(struct baton_header_page, park_code) == 104);
static_assert(offsetof(struct baton_header_page, park_pml4) == 112);
static_assert(offsetof(struct baton_header_page, park_pml5) == 120);
static_assert(offsetof(struct baton_header_page, ssdt) == 128);
static_assert(offsetof(struct baton_header_page, ssdt_size) == 136);
static_assert(offsetof(struct baton_header_page, park_entry) == 144);
static_assert(offsetof(struct baton_header_page, park_reset) == 152);
static_assert(offsetof(struct baton_header_page, second_apic_id) == 160);
static_assert(offsetof(struct baton_header_page, reserved0) == 164);
static_assert(offsetof(struct baton_header_page, second_release) == 168);
static_assert(offsetof(struct baton_header_page, first_release) == 296);
static_assert(offsetof(struct baton_header_page, reserved) == 424);

struct baton_control_page {
	struct baton_page_header header;
	__u64 stop_word;
	__u64 notice_sent;
	__u64 notice_seen;
	__u64 notice_spurious;
	__u64 first_heartbeat;
	__u64 second_heartbeat;
	__u32 first_state;
	__u32 second_state;
	__u32 parked;
	__u32 reason;
	__u32 reason_errno;
	__u32 reserved0;
	__u64 first_cr3;
	__u8 message[256];
	__u8 reserved[3728];
};
static_assert(sizeof(struct baton_control_page) == 4096);
static_assert(offsetof(struct baton_control_page, header) == 0);
static_assert(offsetof(struct baton_control_page, stop_word) == 32);
static_assert(offsetof(struct baton_control_page, notice_sent) == 40);
static_assert(offsetof(struct baton_control_page, notice_seen) == 48);
static_assert(offsetof(struct baton_control_page, notice_spurious) == 56);
static_assert(offsetof(struct baton_control_page, first_heartbeat) == 64);
static_assert(offsetof(struct baton_control_page, second_heartbeat) == 72);
static_assert(offsetof(struct baton_control_page, first_state) == 80);
static_assert(offsetof(struct baton_control_page, second_state) == 84);
static_assert(offsetof(struct baton_control_page, parked) == 88);
static_assert(offsetof(struct baton_control_page, reason) == 92);
static_assert(offsetof(struct baton_control_page, reason_errno) == 96);
static_assert(offsetof(struct baton_control_page, reserved0) == 100);
static_assert(offsetof(struct baton_control_page, first_cr3) == 104);
static_assert(offsetof(struct baton_control_page, message) == 112);
static_assert(offsetof(struct baton_control_page, reserved) == 368);

struct baton_timeline_page {
	struct baton_page_header header;
	__u64 tsc_khz;
	__u64 realtime_ns;
	__u64 stamps[64];
	__u64 counters[32];
	__u8 reserved[3280];
};
static_assert(sizeof(struct baton_timeline_page) == 4096);
static_assert(offsetof(struct baton_timeline_page, header) == 0);
static_assert(offsetof(struct baton_timeline_page, tsc_khz) == 32);
static_assert(offsetof(struct baton_timeline_page, realtime_ns) == 40);
static_assert(offsetof(struct baton_timeline_page, stamps) == 48);
static_assert(offsetof(struct baton_timeline_page, counters) == 560);
static_assert(offsetof(struct baton_timeline_page, reserved) == 816);

struct baton_memory_range {
	__u64 base;
	__u64 size;
	__u32 kind;
	__u32 reserved;
};
static_assert(sizeof(struct baton_memory_range) == 24);
static_assert(offsetof(struct baton_memory_range, base) == 0);
static_assert(offsetof(struct baton_memory_range, size) == 8);
static_assert(offsetof(struct baton_memory_range, kind) == 16);
static_assert(offsetof(struct baton_memory_range, reserved) == 20);

struct baton_pci_window {
	__u64 start;
	__u64 end;
	__u64 translation;
	__u32 kind;
	__u32 reserved;
};
static_assert(sizeof(struct baton_pci_window) == 32);
static_assert(offsetof(struct baton_pci_window, start) == 0);
static_assert(offsetof(struct baton_pci_window, end) == 8);
static_assert(offsetof(struct baton_pci_window, translation) == 16);
static_assert(offsetof(struct baton_pci_window, kind) == 24);
static_assert(offsetof(struct baton_pci_window, reserved) == 28);

struct baton_pci_bridge {
	__u32 segment;
	__u32 bus_start;
	__u32 bus_end;
	__u32 window_count;
	__u64 ecam;
	__u64 reserved;
	struct baton_pci_window windows[16];
};
static_assert(sizeof(struct baton_pci_bridge) == 544);
static_assert(offsetof(struct baton_pci_bridge, segment) == 0);
static_assert(offsetof(struct baton_pci_bridge, bus_start) == 4);
static_assert(offsetof(struct baton_pci_bridge, bus_end) == 8);
static_assert(offsetof(struct baton_pci_bridge, window_count) == 12);
static_assert(offsetof(struct baton_pci_bridge, ecam) == 16);
static_assert(offsetof(struct baton_pci_bridge, reserved) == 24);
static_assert(offsetof(struct baton_pci_bridge, windows) == 32);

struct baton_machine_page {
	struct baton_page_header header;
	__u64 tsc_khz;
	__u32 cpu_count;
	__u32 range_count;
	__u32 bridge_count;
	__u32 bsp_apic_id;
	__u64 memory_block_size;
	__u32 apic_ids[256];
	struct baton_memory_range ranges[128];
	struct baton_pci_bridge bridges[8];
	__u8 reserved[11968];
};
static_assert(sizeof(struct baton_machine_page) == 20480);
static_assert(offsetof(struct baton_machine_page, header) == 0);
static_assert(offsetof(struct baton_machine_page, tsc_khz) == 32);
static_assert(offsetof(struct baton_machine_page, cpu_count) == 40);
static_assert(offsetof(struct baton_machine_page, range_count) == 44);
static_assert(offsetof(struct baton_machine_page, bridge_count) == 48);
static_assert(offsetof(struct baton_machine_page, bsp_apic_id) == 52);
static_assert(offsetof(struct baton_machine_page, memory_block_size) == 56);
static_assert(offsetof(struct baton_machine_page, apic_ids) == 64);
static_assert(offsetof(struct baton_machine_page, ranges) == 1088);
static_assert(offsetof(struct baton_machine_page, bridges) == 4160);
static_assert(offsetof(struct baton_machine_page, reserved) == 8512);

struct baton_member {
	__u32 offset;
	__u32 size;
	__u8 kind;
	__u8 bit;
	__u8 bits;
	__u8 alternative;
	__u32 reserved;
};
static_assert(sizeof(struct baton_member) == 16);
static_assert(offsetof(struct baton_member, offset) == 0);
static_assert(offsetof(struct baton_member, size) == 4);
static_assert(offsetof(struct baton_member, kind) == 8);
static_assert(offsetof(struct baton_member, bit) == 9);
static_assert(offsetof(struct baton_member, bits) == 10);
static_assert(offsetof(struct baton_member, alternative) == 11);
static_assert(offsetof(struct baton_member, reserved) == 12);

struct baton_address_space {
	__u64 page_offset_base;
	__u64 direct_map_size;
	__u64 vmemmap_base;
	__u64 kernel_map;
	__u64 kernel_map_size;
	__u64 phys_base;
	__u64 pgd;
	__u64 levels;
	__u64 pte_mask;
	__u64 vmalloc_base;
	__u64 reserved[2];
};
static_assert(sizeof(struct baton_address_space) == 96);
static_assert(offsetof(struct baton_address_space, page_offset_base) == 0);
static_assert(offsetof(struct baton_address_space, direct_map_size) == 8);
static_assert(offsetof(struct baton_address_space, vmemmap_base) == 16);
static_assert(offsetof(struct baton_address_space, kernel_map) == 24);
static_assert(offsetof(struct baton_address_space, kernel_map_size) == 32);
static_assert(offsetof(struct baton_address_space, phys_base) == 40);
static_assert(offsetof(struct baton_address_space, pgd) == 48);
static_assert(offsetof(struct baton_address_space, levels) == 56);
static_assert(offsetof(struct baton_address_space, pte_mask) == 64);
static_assert(offsetof(struct baton_address_space, vmalloc_base) == 72);
static_assert(offsetof(struct baton_address_space, reserved) == 80);

struct baton_descriptor_page {
	struct baton_page_header header;
	__u32 member_count;
	__u32 constant_count;
	__u8 build_id[32];
	struct baton_address_space address_space;
	__u32 shapes[32];
	__u64 constants[256];
	__u8 reserved[2040];
	struct baton_member members[1024];
	__u8 reserved1[12000];
};
static_assert(sizeof(struct baton_descriptor_page) == 32768);
static_assert(offsetof(struct baton_descriptor_page, header) == 0);
static_assert(offsetof(struct baton_descriptor_page, member_count) == 32);
static_assert(offsetof(struct baton_descriptor_page, constant_count) == 36);
static_assert(offsetof(struct baton_descriptor_page, build_id) == 40);
static_assert(offsetof(struct baton_descriptor_page, address_space) == 72);
static_assert(offsetof(struct baton_descriptor_page, shapes) == 168);
static_assert(offsetof(struct baton_descriptor_page, constants) == 296);
static_assert(offsetof(struct baton_descriptor_page, reserved) == 2344);
static_assert(offsetof(struct baton_descriptor_page, members) == 4384);
static_assert(offsetof(struct baton_descriptor_page, reserved1) == 20768);

struct baton_filesystem_entry {
	__u64 super_block;
	__u32 device;
	__u32 flags;
	__u64 magic;
	__u8 fs_type[32];
	__u8 mount_point[512];
	__u8 identity[256];
	__u8 reserved[200];
};
static_assert(sizeof(struct baton_filesystem_entry) == 1024);
static_assert(offsetof(struct baton_filesystem_entry, super_block) == 0);
static_assert(offsetof(struct baton_filesystem_entry, device) == 8);
static_assert(offsetof(struct baton_filesystem_entry, flags) == 12);
static_assert(offsetof(struct baton_filesystem_entry, magic) == 16);
static_assert(offsetof(struct baton_filesystem_entry, fs_type) == 24);
static_assert(offsetof(struct baton_filesystem_entry, mount_point) == 56);
static_assert(offsetof(struct baton_filesystem_entry, identity) == 568);
static_assert(offsetof(struct baton_filesystem_entry, reserved) == 824);

struct baton_filesystem_page {
	struct baton_page_header header;
	__u32 count;
	__u8 reserved[988];
	struct baton_filesystem_entry entries[63];
};
static_assert(sizeof(struct baton_filesystem_page) == 65536);
static_assert(offsetof(struct baton_filesystem_page, header) == 0);
static_assert(offsetof(struct baton_filesystem_page, count) == 32);
static_assert(offsetof(struct baton_filesystem_page, reserved) == 36);
static_assert(offsetof(struct baton_filesystem_page, entries) == 1024);

struct baton_blob_header {
	struct baton_page_header header;
	__u32 length;
	__u32 crc32;
	__u64 sequence;
	__u8 reserved[16];
};
static_assert(sizeof(struct baton_blob_header) == 64);
static_assert(offsetof(struct baton_blob_header, header) == 0);
static_assert(offsetof(struct baton_blob_header, length) == 32);
static_assert(offsetof(struct baton_blob_header, crc32) == 36);
static_assert(offsetof(struct baton_blob_header, sequence) == 40);
static_assert(offsetof(struct baton_blob_header, reserved) == 48);

struct baton_ring_header {
	struct baton_page_header header;
	__u64 head;
	__u32 capacity;
	__u8 reserved[20];
};
static_assert(sizeof(struct baton_ring_header) == 64);
static_assert(offsetof(struct baton_ring_header, header) == 0);
static_assert(offsetof(struct baton_ring_header, head) == 32);
static_assert(offsetof(struct baton_ring_header, capacity) == 40);
static_assert(offsetof(struct baton_ring_header, reserved) == 44);

struct baton_loss_header {
	struct baton_page_header header;
	__u32 length;
	__u32 count;
	__u32 dropped;
	__u8 reserved[20];
};
static_assert(sizeof(struct baton_loss_header) == 64);
static_assert(offsetof(struct baton_loss_header, header) == 0);
static_assert(offsetof(struct baton_loss_header, length) == 32);
static_assert(offsetof(struct baton_loss_header, count) == 36);
static_assert(offsetof(struct baton_loss_header, dropped) == 40);
static_assert(offsetof(struct baton_loss_header, reserved) == 44);

struct baton_park_slot {
	__u64 apic_id;
	__u64 cr3;
	__u64 rsp;
	__u64 rip;
	__u8 idtr[16];
	__u8 gdtr[16];
	__u64 stop_word;
	__u64 abort_value;
	__u64 mailbox;
	__u64 cr4;
	__u64 s_cet;
	__u64 has_cet;
	__u8 park_gdtr[16];
	__u8 park_idtr[16];
	__u64 parked;
	__u64 stack[13];
};
static_assert(sizeof(struct baton_park_slot) == 256);
static_assert(offsetof(struct baton_park_slot, apic_id) == 0);
static_assert(offsetof(struct baton_park_slot, cr3) == 8);
static_assert(offsetof(struct baton_park_slot, rsp) == 16);
static_assert(offsetof(struct baton_park_slot, rip) == 24);
static_assert(offsetof(struct baton_park_slot, idtr) == 32);
static_assert(offsetof(struct baton_park_slot, gdtr) == 48);
static_assert(offsetof(struct baton_park_slot, stop_word) == 64);
static_assert(offsetof(struct baton_park_slot, abort_value) == 72);
static_assert(offsetof(struct baton_park_slot, mailbox) == 80);
static_assert(offsetof(struct baton_park_slot, cr4) == 88);
static_assert(offsetof(struct baton_park_slot, s_cet) == 96);
static_assert(offsetof(struct baton_park_slot, has_cet) == 104);
static_assert(offsetof(struct baton_park_slot, park_gdtr) == 112);
static_assert(offsetof(struct baton_park_slot, park_idtr) == 128);
static_assert(offsetof(struct baton_park_slot, parked) == 144);
static_assert(offsetof(struct baton_park_slot, stack) == 152);

struct baton_mailbox {
	__u16 command;
	__u16 reserved0;
	__u32 apic_id;
	__u64 wakeup_vector;
	__u8 reserved_os[2032];
	__u8 reserved_firmware[2048];
};
static_assert(sizeof(struct baton_mailbox) == 4096);
static_assert(offsetof(struct baton_mailbox, command) == 0);
static_assert(offsetof(struct baton_mailbox, reserved0) == 2);
static_assert(offsetof(struct baton_mailbox, apic_id) == 4);
static_assert(offsetof(struct baton_mailbox, wakeup_vector) == 8);
static_assert(offsetof(struct baton_mailbox, reserved_os) == 16);
static_assert(offsetof(struct baton_mailbox, reserved_firmware) == 2048);

struct baton_cpu_entry {
	__u32 cpu;
	__u32 apic_id;
};
static_assert(sizeof(struct baton_cpu_entry) == 8);
static_assert(offsetof(struct baton_cpu_entry, cpu) == 0);
static_assert(offsetof(struct baton_cpu_entry, apic_id) == 4);

struct baton_info_args {
	__u32 abi_version;
	__u32 role;
	__u64 tsc_khz;
	__u64 tsc;
	__u32 cpu_count;
	__u32 bsp_apic_id;
	__u64 region;
	__u64 page_struct_size;
	struct baton_address_space address_space;
	struct baton_cpu_entry cpus[256];
	__u64 inherited_region;
	__u64 inherited_low;
	__u8 reserved[352];
};
static_assert(sizeof(struct baton_info_args) == 2560);
static_assert(offsetof(struct baton_info_args, abi_version) == 0);
static_assert(offsetof(struct baton_info_args, role) == 4);
static_assert(offsetof(struct baton_info_args, tsc_khz) == 8);
static_assert(offsetof(struct baton_info_args, tsc) == 16);
static_assert(offsetof(struct baton_info_args, cpu_count) == 24);
static_assert(offsetof(struct baton_info_args, bsp_apic_id) == 28);
static_assert(offsetof(struct baton_info_args, region) == 32);
static_assert(offsetof(struct baton_info_args, page_struct_size) == 40);
static_assert(offsetof(struct baton_info_args, address_space) == 48);
static_assert(offsetof(struct baton_info_args, cpus) == 144);
static_assert(offsetof(struct baton_info_args, inherited_region) == 2192);
static_assert(offsetof(struct baton_info_args, inherited_low) == 2200);
static_assert(offsetof(struct baton_info_args, reserved) == 2208);

struct baton_range_args {
	__u64 base;
	__u64 size;
	__u64 flags;
	__u64 reserved;
};
static_assert(sizeof(struct baton_range_args) == 32);
static_assert(offsetof(struct baton_range_args, base) == 0);
static_assert(offsetof(struct baton_range_args, size) == 8);
static_assert(offsetof(struct baton_range_args, flags) == 16);
static_assert(offsetof(struct baton_range_args, reserved) == 24);

struct baton_low_window_args {
	__u64 size;
	__u64 base;
	__u64 avoid_count;
	__u64 avoid_start[8];
	__u64 avoid_end[8];
	__u64 real_mode_header;
};
static_assert(sizeof(struct baton_low_window_args) == 160);
static_assert(offsetof(struct baton_low_window_args, size) == 0);
static_assert(offsetof(struct baton_low_window_args, base) == 8);
static_assert(offsetof(struct baton_low_window_args, avoid_count) == 16);
static_assert(offsetof(struct baton_low_window_args, avoid_start) == 24);
static_assert(offsetof(struct baton_low_window_args, avoid_end) == 88);
static_assert(offsetof(struct baton_low_window_args, real_mode_header) == 152);

struct baton_start_args {
	__u32 apic_id;
	__u32 cpu;
	__u64 trampoline;
	__u64 region;
	__u64 progress;
};
static_assert(sizeof(struct baton_start_args) == 32);
static_assert(offsetof(struct baton_start_args, apic_id) == 0);
static_assert(offsetof(struct baton_start_args, cpu) == 4);
static_assert(offsetof(struct baton_start_args, trampoline) == 8);
static_assert(offsetof(struct baton_start_args, region) == 16);
static_assert(offsetof(struct baton_start_args, progress) == 24);

struct baton_super_block_args {
	__s32 fd;
	__u32 device;
	__u64 address;
	__u64 magic;
	__u32 has_block_device;
	__u32 has_export_op;
	__u8 fs_type[32];
};
static_assert(sizeof(struct baton_super_block_args) == 64);
static_assert(offsetof(struct baton_super_block_args, fd) == 0);
static_assert(offsetof(struct baton_super_block_args, device) == 4);
static_assert(offsetof(struct baton_super_block_args, address) == 8);
static_assert(offsetof(struct baton_super_block_args, magic) == 16);
static_assert(offsetof(struct baton_super_block_args, has_block_device) == 24);
static_assert(offsetof(struct baton_super_block_args, has_export_op) == 28);
static_assert(offsetof(struct baton_super_block_args, fs_type) == 32);

struct baton_headers_args {
	__u32 member_count;
	__u32 constant_count;
	__u32 offsets[1024];
	__u64 constants_known[4];
	__u64 constants[256];
	__u8 reserved[984];
};
static_assert(sizeof(struct baton_headers_args) == 7168);
static_assert(offsetof(struct baton_headers_args, member_count) == 0);
static_assert(offsetof(struct baton_headers_args, constant_count) == 4);
static_assert(offsetof(struct baton_headers_args, offsets) == 8);
static_assert(offsetof(struct baton_headers_args, constants_known) == 4104);
static_assert(offsetof(struct baton_headers_args, constants) == 4136);
static_assert(offsetof(struct baton_headers_args, reserved) == 6184);

struct baton_bridges_args {
	__u32 count;
	__u32 truncated;
	struct baton_pci_bridge bridges[8];
	__u64 reserved;
};
static_assert(sizeof(struct baton_bridges_args) == 4368);
static_assert(offsetof(struct baton_bridges_args, count) == 0);
static_assert(offsetof(struct baton_bridges_args, truncated) == 4);
static_assert(offsetof(struct baton_bridges_args, bridges) == 8);
static_assert(offsetof(struct baton_bridges_args, reserved) == 4360);

struct baton_stop_args {
	__u32 quiesce_ms;
	__u32 park_ms;
	__u32 answer_ms;
	__u32 commit_ms;
	__u32 fd_count;
	__u32 reason;
	__u32 culprit;
	__u32 reserved;
	__s32 fds[64];
	__u8 reserved1[32];
};
static_assert(sizeof(struct baton_stop_args) == 320);
static_assert(offsetof(struct baton_stop_args, quiesce_ms) == 0);
static_assert(offsetof(struct baton_stop_args, park_ms) == 4);
static_assert(offsetof(struct baton_stop_args, answer_ms) == 8);
static_assert(offsetof(struct baton_stop_args, commit_ms) == 12);
static_assert(offsetof(struct baton_stop_args, fd_count) == 16);
static_assert(offsetof(struct baton_stop_args, reason) == 20);
static_assert(offsetof(struct baton_stop_args, culprit) == 24);
static_assert(offsetof(struct baton_stop_args, reserved) == 28);
static_assert(offsetof(struct baton_stop_args, fds) == 32);
static_assert(offsetof(struct baton_stop_args, reserved1) == 288);

struct baton_wait_args {
	__u32 timeout_ms;
	__u32 value;
	__u64 reserved;
};
static_assert(sizeof(struct baton_wait_args) == 16);
static_assert(offsetof(struct baton_wait_args, timeout_ms) == 0);
static_assert(offsetof(struct baton_wait_args, value) == 4);
static_assert(offsetof(struct baton_wait_args, reserved) == 8);

struct baton_migrate_args {
	__s32 root_fd;
	__u32 filesystem;
	__u64 inodes;
	__u64 files;
	__u64 pages;
	__u64 bytes;
	__u64 lost;
	__u64 ticks;
	__u64 unlinked;
	__u64 reserved[4];
};
static_assert(sizeof(struct baton_migrate_args) == 96);
static_assert(offsetof(struct baton_migrate_args, root_fd) == 0);
static_assert(offsetof(struct baton_migrate_args, filesystem) == 4);
static_assert(offsetof(struct baton_migrate_args, inodes) == 8);
static_assert(offsetof(struct baton_migrate_args, files) == 16);
static_assert(offsetof(struct baton_migrate_args, pages) == 24);
static_assert(offsetof(struct baton_migrate_args, bytes) == 32);
static_assert(offsetof(struct baton_migrate_args, lost) == 40);
static_assert(offsetof(struct baton_migrate_args, ticks) == 48);
static_assert(offsetof(struct baton_migrate_args, unlinked) == 56);
static_assert(offsetof(struct baton_migrate_args, reserved) == 64);

struct baton_stamp_args {
	__u32 phase;
	__u32 reserved;
	__u64 tsc;
};
static_assert(sizeof(struct baton_stamp_args) == 16);
static_assert(offsetof(struct baton_stamp_args, phase) == 0);
static_assert(offsetof(struct baton_stamp_args, reserved) == 4);
static_assert(offsetof(struct baton_stamp_args, tsc) == 8);

struct baton_self_test_args {
	__s32 fd;
	__u32 failed;
	__u64 expected;
	__u64 found;
	__u64 pages;
	__u64 reserved[4];
};
static_assert(sizeof(struct baton_self_test_args) == 64);
static_assert(offsetof(struct baton_self_test_args, fd) == 0);
static_assert(offsetof(struct baton_self_test_args, failed) == 4);
static_assert(offsetof(struct baton_self_test_args, expected) == 8);
static_assert(offsetof(struct baton_self_test_args, found) == 16);
static_assert(offsetof(struct baton_self_test_args, pages) == 24);
static_assert(offsetof(struct baton_self_test_args, reserved) == 32);

struct baton_segment {
	__u64 va;
	__u64 len;
};
static_assert(sizeof(struct baton_segment) == 16);
static_assert(offsetof(struct baton_segment, va) == 0);
static_assert(offsetof(struct baton_segment, len) == 8);

#define BATON_IOCTL_TYPE 'B'
#define BATON_IOC_INFO _IOWR(BATON_IOCTL_TYPE, 1, struct baton_info_args)
#define BATON_IOC_CLAIM _IOWR(BATON_IOCTL_TYPE, 2, struct baton_range_args)
#define BATON_IOC_LOW_WINDOW _IOWR(BATON_IOCTL_TYPE, 3, struct baton_low_window_args)
#define BATON_IOC_START _IOWR(BATON_IOCTL_TYPE, 4, struct baton_start_args)
#define BATON_IOC_RELEASE _IOWR(BATON_IOCTL_TYPE, 5, struct baton_range_args)
#define BATON_IOC_SUPER_BLOCK _IOWR(BATON_IOCTL_TYPE, 6, struct baton_super_block_args)
#define BATON_IOC_HEADERS _IOWR(BATON_IOCTL_TYPE, 7, struct baton_headers_args)
#define BATON_IOC_BRIDGES _IOWR(BATON_IOCTL_TYPE, 8, struct baton_bridges_args)
#define BATON_IOC_STOP _IOWR(BATON_IOCTL_TYPE, 9, struct baton_stop_args)
#define BATON_IOC_PREPARE _IOWR(BATON_IOCTL_TYPE, 10, struct baton_range_args)
#define BATON_IOC_WAIT_NOTICE _IOWR(BATON_IOCTL_TYPE, 11, struct baton_wait_args)
#define BATON_IOC_COMMIT _IOWR(BATON_IOCTL_TYPE, 12, struct baton_wait_args)
#define BATON_IOC_GIVE_BACK _IOWR(BATON_IOCTL_TYPE, 13, struct baton_wait_args)
#define BATON_IOC_ADD_BRIDGES _IOWR(BATON_IOCTL_TYPE, 14, struct baton_wait_args)
#define BATON_IOC_MIGRATE _IOWR(BATON_IOCTL_TYPE, 15, struct baton_migrate_args)
#define BATON_IOC_QUIET_DEVICES _IOWR(BATON_IOCTL_TYPE, 16, struct baton_wait_args)
#define BATON_IOC_FORGET _IOWR(BATON_IOCTL_TYPE, 17, struct baton_wait_args)
#define BATON_IOC_ADD_MEMORY _IOWR(BATON_IOCTL_TYPE, 18, struct baton_range_args)
#define BATON_IOC_STAMP _IOWR(BATON_IOCTL_TYPE, 19, struct baton_stamp_args)
#define BATON_IOC_SELF_TEST _IOWR(BATON_IOCTL_TYPE, 20, struct baton_self_test_args)
#define BATON_NO_CPU 0xffffffffu
#define BATON_NO_OFFSET 0xffffffffu

#endif
