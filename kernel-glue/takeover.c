// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 2nd OS takes over: the memory of the 1st is mapped, the PCI host bridges are added by an
 * SSDT through the kernel's own ACPI hot-plug path, and when nothing in the old memory is needed
 * any more, it becomes memory of this kernel.
 */
#define pr_fmt(fmt) "baton: " fmt

#include <linux/acpi.h>
#include <linux/io.h>
#include <linux/memory_hotplug.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <asm/tsc.h>

#include "baton.h"

#define BATON_MAX_MAPPINGS 128
#define BATON_SSDT_MAX 0x4000

static struct baton_mapping baton_maps[BATON_MAX_MAPPINGS];
static u32 baton_map_count;
static void *baton_ssdt;	/* ACPICA keeps using it */

static struct baton_machine_page *baton_machine(void)
{
	return (struct baton_machine_page *)(baton_in.region.va + BATON_MACHINE_OFFSET);
}

u32 baton_takeover_mappings(const struct baton_mapping **maps)
{
	*maps = baton_maps;
	return baton_map_count;
}

/* Everything that can be done before the stop. */
long baton_takeover_prepare(void)
{
	struct baton_machine_page *machine = baton_machine();
	u32 i, count = min_t(u32, READ_ONCE(machine->range_count), ARRAY_SIZE(machine->ranges));
	long err = -ENOMEM;

	if (baton_map_count)
		return -EBUSY;
	for (i = 0; i < count; i++) {
		struct baton_memory_range range = machine->ranges[i];
		u8 *va;

		if (range.kind != BATON_RANGE_FIRST)
			continue;
		if (!range.size || !PAGE_ALIGNED(range.base | range.size) ||
		    range.base + range.size < range.base) {
			err = -EINVAL;
			goto out;
		}
		va = memremap(range.base, range.size, MEMREMAP_WB);
		if (!va)
			goto out;
		baton_maps[baton_map_count++] =
			(struct baton_mapping){ range.base, range.size, va };
	}
	return 0;
out:
	baton_takeover_forget();
	return err;
}

void baton_takeover_forget(void)
{
	while (baton_map_count)
		memunmap(baton_maps[--baton_map_count].va);
}

long baton_takeover_add_bridges(void)
{
	u64 size = baton_in.header.ssdt_size;
	acpi_status status;
	void *table;

	if (baton_ssdt)
		return -EBUSY;
	if (size < sizeof(struct acpi_table_header) || size > BATON_SSDT_MAX)
		return -EINVAL;
	table = memremap(baton_in.header.ssdt, size, MEMREMAP_WB);
	if (!table)
		return -ENOMEM;
	baton_ssdt = kmemdup(table, size, GFP_KERNEL);
	memunmap(table);
	if (!baton_ssdt)
		return -ENOMEM;
	status = acpi_load_table(baton_ssdt, NULL);
	if (ACPI_FAILURE(status)) {
		pr_err("the SSDT was refused: %s\n", acpi_format_exception(status));
		kfree(baton_ssdt);
		baton_ssdt = NULL;
		return -EIO;
	}
	/* The kernel scans by itself, some time later: do not wait for that. */
	acpi_scan_lock_acquire();
	acpi_bus_scan(ACPI_ROOT_OBJECT);
	acpi_scan_lock_release();
	return 0;
}

/* I/O APIC registers (Intel 82093AA datasheet, 3.2): an index, a window, entries from 0x10 on. */
#define BATON_IOAPIC_INDEX 0x00
#define BATON_IOAPIC_WINDOW 0x10
#define BATON_IOAPIC_VERSION 0x01
#define BATON_IOAPIC_ENTRY(n) (0x10 + 2 * (n))
#define BATON_IOAPIC_MASKED (1u << 16)

static void baton_mask_ioapic(u64 base)
{
	void __iomem *regs = ioremap(base, PAGE_SIZE);
	u32 i, last;

	if (!regs) {
		pr_err("cannot map the I/O APIC at %#llx\n", base);
		return;
	}
	writel(BATON_IOAPIC_VERSION, regs + BATON_IOAPIC_INDEX);
	last = readl(regs + BATON_IOAPIC_WINDOW) >> 16 & 0xff;
	for (i = 0; i <= last; i++) {
		writel(BATON_IOAPIC_ENTRY(i), regs + BATON_IOAPIC_INDEX);
		writel(BATON_IOAPIC_MASKED, regs + BATON_IOAPIC_WINDOW);
	}
	iounmap(regs);
}

/*
 * The I/O APICs are as the first kernel of this machine left them, and would go on sending its
 * vectors to its CPUs, which are about to be ours. No device of this kernel uses them.
 */
void baton_takeover_mask_ioapics(void)
{
	struct baton_machine_page *machine = baton_machine();
	u32 i, count = min_t(u32, READ_ONCE(machine->range_count), ARRAY_SIZE(machine->ranges));

	for (i = 0; i < count; i++)
		if (machine->ranges[i].kind == BATON_RANGE_IOAPIC)
			baton_mask_ioapic(machine->ranges[i].base);
}

/*
 * The wall clock goes on: as the 1st OS had it at the stop, and the ticks since. There is no other
 * source, for the real-time clock is none of the devices that this kernel was told of.
 */
void baton_takeover_set_clock(void)
{
	struct baton_timeline_page *timeline =
		(struct baton_timeline_page *)(baton_in.region.va + BATON_TIMELINE_OFFSET);
	u64 khz = READ_ONCE(timeline->tsc_khz), stop = READ_ONCE(timeline->stamps[BATON_PHASE_STOP]);
	u64 ns = READ_ONCE(timeline->realtime_ns), ticks = rdtsc_ordered() - stop;
	struct timespec64 now;
	int err = -EINVAL;

	if (khz && ns) {
		/* Apart, for a product of ticks and 10^6 overflows after some hours. */
		ns += ticks / khz * NSEC_PER_MSEC + ticks % khz * NSEC_PER_MSEC / khz;
		now = ns_to_timespec64(ns);
		err = do_settimeofday64(&now);
	}
	if (err)
		pr_err("the clock cannot be set: %d\n", err);
}

/* A device that no driver took goes on as the 1st OS left it: it must not write to memory. */
long baton_takeover_quiet_devices(void)
{
	struct pci_dev *dev = NULL;

	for_each_pci_dev(dev)
		if (!dev->driver && dev->hdr_type == PCI_HEADER_TYPE_NORMAL)
			pci_clear_master(dev);
	return 0;
}

long baton_takeover_add_memory(struct baton_range_args *args)
{
	return add_memory(0, args->base, args->size, 0);
}
