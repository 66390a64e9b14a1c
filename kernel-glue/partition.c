// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 1st OS gives memory and a CPU away.
 *
 * The `baton` command has taken the memory blocks offline (or they were reserved at boot) and
 * fills the partition in through mmap; here it is made sure that nobody uses the memory, a window
 * below 1 MiB is found, and the CPU is started.
 */
#define pr_fmt(fmt) "baton: " fmt

#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/memory_hotplug.h>
#include <linux/module.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/uaccess.h>
#include <asm/e820/api.h>

#include "baton.h"

/* End of conventional memory at most: EBDA and ROMs follow. */
#define BATON_LOW_END 0xa0000ul
/* Room that a real-mode trampoline may take. */
#define BATON_REAL_MODE_SIZE 0x10000ul
/* Blocks tried in the page allocator before giving up: the DMA zone has 128 of order 5. */
#define BATON_LOW_TRIES 128
/* Offset of the trampoline's progress word (partition/src/trampoline.rs). */
#define BATON_TRAMPOLINE_PROGRESS 0x30
#define BATON_STARTUP_TRIES 200

/* Whether the kernel's page allocator may hand out any page of the range. */
static bool baton_is_in_use(u64 base, u64 size)
{
	unsigned long pfn = PHYS_PFN(base), end = PHYS_PFN(base + size);

	for (; pfn < end; pfn++)
		if (pfn_to_online_page(pfn))
			return true;
	return false;
}

long baton_partition_claim(struct baton_range_args *args)
{
	u8 *va;

	if (baton_out.partition.size)
		return -EBUSY;
	if (!args->size || !PAGE_ALIGNED(args->base | args->size) ||
	    args->base + args->size < args->base || args->base < SZ_1M)
		return -EINVAL;
	if (baton_is_in_use(args->base, args->size))
		return -EADDRINUSE;
	va = memremap(args->base, args->size, MEMREMAP_WB);
	if (!va)
		return -ENOMEM;
	baton_out.partition = (struct baton_mapping){ args->base, args->size, va };
	return 0;
}

static bool baton_overlaps(u64 start, u64 end, u64 other_start, u64 other_end)
{
	return start < other_end && other_start < end;
}

static bool baton_is_avoided(const struct baton_low_window_args *args, u64 start, u64 end)
{
	u64 i;

	for (i = 0; i < args->avoid_count; i++)
		if (baton_overlaps(start, end, args->avoid_start[i], args->avoid_end[i]))
			return true;
	return false;
}

/*
 * Before 5.13 low memory is in the page allocator. Takes blocks until one is below 1 MiB, and
 * gives the others back.
 */
static struct page *baton_low_alloc(u64 size)
{
	unsigned int order = get_order(size);
	struct page *found = NULL, *tried = NULL, *page;
	int i;

	for (i = 0; i < BATON_LOW_TRIES && !found; i++) {
		page = alloc_pages(GFP_KERNEL | GFP_DMA | __GFP_NORETRY | __GFP_NOWARN, order);
		if (!page)
			break;
		if (page_to_phys(page) + size <= BATON_LOW_END) {
			found = page;
		} else {
			page->private = (unsigned long)tried;
			tried = page;
		}
	}
	while (tried) {
		page = tried;
		tried = (struct page *)page->private;
		page->private = 0;
		__free_pages(page, order);
	}
	return found;
}

/*
 * From 5.13 on the kernel keeps all RAM of the first MiB away from its allocator, and uses none
 * of it but its own trampoline, which the caller lists to be avoided.
 */
static bool baton_low_is_idle(u64 start, u64 end)
{
	unsigned long pfn;

	for (pfn = PHYS_PFN(start); pfn < PHYS_PFN(end); pfn++) {
		if (!page_is_ram(pfn))
			return false;
		if (pfn_valid(pfn) && !PageReserved(pfn_to_page(pfn)))
			return false;
	}
	return true;
}

static u64 baton_low_reserved(const struct baton_low_window_args *args)
{
	u64 start;

	for (start = args->size; start + args->size <= BATON_LOW_END; start += args->size)
		if (!baton_is_avoided(args, start, start + args->size) &&
		    baton_low_is_idle(start, start + args->size))
			return start;
	return 0;
}

/*
 * A kernel that Baton started knows only its own window as RAM. The rest of the machine's low RAM
 * is in the machine page of the region it came from.
 */
static u64 baton_low_inherited(const struct baton_low_window_args *args)
{
	struct baton_machine_page *machine;
	u64 start;
	u32 i;

	if (!baton_in.region.size)
		return 0;
	machine = (struct baton_machine_page *)(baton_in.region.va + BATON_MACHINE_OFFSET);
	for (i = 0; i < min_t(u32, READ_ONCE(machine->range_count), ARRAY_SIZE(machine->ranges));
	     i++) {
		struct baton_memory_range range = machine->ranges[i];
		u64 end = min_t(u64, range.base + range.size, BATON_LOW_END);

		if (range.kind != BATON_RANGE_LOW)
			continue;
		for (start = max(ALIGN(range.base, args->size), args->size);
		     start + args->size <= end; start += args->size)
			if (!baton_is_avoided(args, start, start + args->size))
				return start;
	}
	return 0;
}

/* Adds this kernel's own trampoline, found through the variable at address `variable`. */
static int baton_avoid_real_mode(struct baton_low_window_args *args)
{
	void *header;
	u64 start;

	if (!args->real_mode_header)
		return 0;
	if (args->avoid_count >= ARRAY_SIZE(args->avoid_start))
		return -EINVAL;
	if (copy_from_kernel_nofault(&header, (void *)(unsigned long)args->real_mode_header,
				     sizeof(header)))
		return -EFAULT;
	if (!virt_addr_valid(header))
		return -EFAULT;
	start = __pa(header);
	if (start >= SZ_1M)
		return -EFAULT;
	args->avoid_start[args->avoid_count] = start;
	args->avoid_end[args->avoid_count++] = start + BATON_REAL_MODE_SIZE;
	return 0;
}

long baton_partition_low(struct baton_low_window_args *args)
{
	struct page *page = NULL;
	u64 base;
	u8 *va;
	int err;

	if (baton_out.low.size)
		return -EBUSY;
	if (args->size < SZ_64K || args->size > SZ_256K || !is_power_of_2(args->size) ||
	    args->avoid_count > ARRAY_SIZE(args->avoid_start))
		return -EINVAL;
	err = baton_avoid_real_mode(args);
	if (err)
		return err;
	if (baton_in.region.size) {
		base = baton_low_inherited(args);
	} else {
		page = baton_low_alloc(args->size);
		base = page ? page_to_phys(page) : baton_low_reserved(args);
	}
	if (!base)
		return -ENOMEM;
	va = memremap(base, args->size, MEMREMAP_WB);
	if (!va) {
		if (page)
			__free_pages(page, get_order(args->size));
		return -ENOMEM;
	}
	baton_out.low = (struct baton_mapping){ base, args->size, va };
	baton_out.low_pages = page;
	args->base = base;
	return 0;
}

static bool baton_cpu_is_ours_to_start(const struct baton_start_args *args)
{
	return args->cpu < nr_cpu_ids && cpu_present(args->cpu) && !cpu_online(args->cpu) &&
	       cpu_physical_id(args->cpu) == args->apic_id;
}

/* INIT, start-up, start-up (Intel SDM volume 3, 11.4.4), and a look at how far it came. */
static u64 baton_start_cpu(u32 apic_id, u64 trampoline)
{
	u8 *page = baton_out.low.va + (trampoline - baton_out.low.base);
	u64 *progress = (u64 *)(page + BATON_TRAMPOLINE_PROGRESS);
	int i;

	baton_apic_send_init(apic_id);
	msleep(10);
	baton_apic_send_startup(apic_id, PHYS_PFN(trampoline));
	udelay(300);
	if (!READ_ONCE(*progress))
		baton_apic_send_startup(apic_id, PHYS_PFN(trampoline));
	for (i = 0; i < BATON_STARTUP_TRIES && READ_ONCE(*progress) < 3; i++)
		msleep(1);
	return READ_ONCE(*progress);
}

long baton_partition_start(struct baton_start_args *args)
{
	struct baton_mapping *partition = &baton_out.partition, *low = &baton_out.low;
	int err;

	if (!partition->size || !low->size)
		return -ENXIO;
	if (baton_out.started)
		return -EBUSY;
	if (!baton_cpu_is_ours_to_start(args))
		return -ENODEV;
	if (!PAGE_ALIGNED(args->trampoline | args->region) || args->trampoline < low->base ||
	    args->trampoline + PAGE_SIZE > low->base + low->size ||
	    args->region < partition->base ||
	    args->region + BATON_REGION_SIZE > partition->base + partition->size)
		return -EINVAL;
	baton_out.region = partition->va + (args->region - partition->base);
	err = baton_region_check(baton_out.region);
	if (err) {
		baton_out.region = NULL;
		return err;
	}
	baton_log_attach(baton_out.region + BATON_LOG_OF_THE_1ST_OS_OFFSET,
			 BATON_LOG_OF_THE_1ST_OS_SIZE);
	baton_out.apic_id = args->apic_id;
	baton_out.started = true;
	/* From here on the module holds memory that another kernel runs in. */
	__module_get(THIS_MODULE);
	args->progress = baton_start_cpu(args->apic_id, args->trampoline);
	return 0;
}

/* Stops the CPU of the partition: INIT leaves it waiting for a start-up that does not come. */
void baton_partition_release(void)
{
	if (baton_out.started) {
		baton_log_detach();
		baton_apic_send_init(baton_out.apic_id);
		msleep(10);
		module_put(THIS_MODULE);
	}
	if (baton_out.low.size) {
		memunmap(baton_out.low.va);
		if (baton_out.low_pages)
			__free_pages(baton_out.low_pages, get_order(baton_out.low.size));
	}
	if (baton_out.partition.size)
		memunmap(baton_out.partition.va);
	memset(&baton_out, 0, sizeof(baton_out));
}
