/* SPDX-License-Identifier: GPL-2.0-only */
/* What the C files of baton.ko share. The bytes shared with other kernels are in handoff.h. */
#ifndef BATON_H
#define BATON_H

#include <linux/device.h>
#include <linux/fs.h>
#include <linux/types.h>
#include <asm/msr-index.h>
#include <asm/tsc.h>

#include "compat.h"
#include "handoff.h"

/* A range of physical memory and where it is mapped. */
struct baton_mapping {
	u64 base;
	u64 size;
	u8 *va;
};

/*
 * The partition that this kernel, as 1st OS, prepares or holds. Guarded by baton_lock.
 * partition.size is 0 while there is none; low.size while there is no low window.
 */
struct baton_partition {
	struct baton_mapping partition;
	struct baton_mapping low;
	struct page *low_pages;		/* from the page allocator, or NULL */
	u8 *region;			/* inside partition.va, or NULL before START */
	u32 apic_id;
	bool started;
};

/*
 * The handoff region that this kernel, as 2nd OS, was started with. Set at load of the module,
 * never changed. region.size is 0 if it was not started by Baton.
 */
struct baton_inheritance {
	struct baton_mapping region;	/* the region and the firmware area behind it */
	struct baton_header_page header;
};

extern struct mutex baton_lock;
extern struct baton_partition baton_out;
extern struct baton_inheritance baton_in;

static inline struct baton_control_page *baton_control(u8 *region)
{
	return (struct baton_control_page *)(region + BATON_CONTROL_OFFSET);
}

static inline struct baton_timeline_page *baton_timeline(u8 *region)
{
	return (struct baton_timeline_page *)(region + BATON_TIMELINE_OFFSET);
}

static inline u64 baton_stamp(u8 *region, u32 phase)
{
	u64 now = rdtsc_ordered();

	WRITE_ONCE(baton_timeline(region)->stamps[phase], now);
	return now;
}

/* apic.c: interrupts between the kernels. Callable with interrupts off. */
u32 baton_apic_id(void);
void baton_apic_send_nmi(u32 apic_id);
void baton_apic_send_init(u32 apic_id);
void baton_apic_send_startup(u32 apic_id, u8 page);

/* facts.c: what this kernel and machine are */
long baton_facts_info(struct baton_info_args *args);
long baton_facts_super_block(struct baton_super_block_args *args);
long baton_facts_headers(struct baton_headers_args *args);
long baton_facts_bridges(struct baton_bridges_args *args);

/* partition.c: the 1st OS gives memory and a CPU away */
long baton_partition_claim(struct baton_range_args *args);
long baton_partition_low(struct baton_low_window_args *args);
long baton_partition_start(struct baton_start_args *args);
void baton_partition_release(void);

/* quiesce.c: writers of the 1st OS come to rest */
int baton_quiesce_begin(const struct baton_stop_args *args, u8 *region, u32 *reason, u32 *culprit);
void baton_quiesce_end(void);
void baton_quiesce_exit(void);

/* stop.c: the 1st OS stops */
long baton_stop(struct baton_stop_args *args);

/* park.c: one CPU of the 1st OS goes into the parking loop; returns only after an abort */
void baton_park(struct baton_park_slot *slot, u64 slot_pa, u64 root, u64 entry, u64 stop_word_pa,
		u64 abort_value);

/* notice.c: the 2nd OS waits for the stop notice */
int baton_notice_init(void);
void baton_notice_exit(void);
long baton_notice_wait(struct baton_wait_args *args);
long baton_notice_commit(void);
long baton_notice_give_back(void);

/* takeover.c: the 2nd OS takes over */
long baton_takeover_prepare(void);
void baton_takeover_mask_ioapics(void);
void baton_takeover_set_clock(void);
long baton_takeover_add_bridges(void);
long baton_takeover_quiet_devices(void);
long baton_takeover_add_memory(struct baton_range_args *args);
void baton_takeover_forget(void);
u32 baton_takeover_mappings(const struct baton_mapping **maps);

/* sink.c: the migrator's files are written */
struct baton_sink;
long baton_sink_migrate(struct baton_migrate_args *args);

/* selftest.c */
long baton_selftest(struct baton_self_test_args *args);

/*
 * The Rust object, kernel-glue/ffi. Errors are negative errno values. A region is mapped whole,
 * BATON_REGION_SIZE bytes.
 */
#define BATON_FFI_ABI_VERSION 1
u32 baton_ffi_abi_version(void);
s32 baton_log_attach(u8 *ring, size_t len);
void baton_log_detach(void);
s32 baton_region_check(u8 *region);
s32 baton_stop_sequence(u8 *region, u64 *sequence);
s32 baton_stop_publish(u8 *region, u64 sequence);
/* 0: taken back. -EALREADY: the 2nd OS has committed. */
s32 baton_stop_abort(u8 *region, u64 sequence);
u64 baton_stop_word(u8 *region);
/* Callable in NMI context. 1: a new notice. 0: not ours. */
s32 baton_notice_on_nmi(u8 *region);
s32 baton_notice_take(u8 *region, u64 *sequence);
s32 baton_notice_do_commit(u8 *region, u64 sequence);
s32 baton_notice_do_give_back(u8 *region, u64 sequence);
s32 baton_migrate(u8 *region, const struct baton_mapping *maps, u32 map_count, u32 filesystem,
		  struct baton_sink *sink, struct baton_migrate_args *out);
s32 baton_inspect(u8 *region, u64 inode, u64 *facts, u32 fact_count);

#endif
