// SPDX-License-Identifier: GPL-2.0-only
/*
 * What this kernel and machine are: addresses, CPUs, offsets as the compiler knows them, PCI host
 * bridges. Facts for the `baton` command; nothing is changed.
 */
#include <linux/buffer_head.h>
#include <linux/cpumask.h>
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pci.h>
#include <linux/smp.h>
#include <linux/xarray.h>
#include <asm/apicdef.h>
#include <asm/page.h>
#include <asm/pgtable.h>

#include "baton.h"

#define BATON_CR4_LA57 (1ul << 12)

static void baton_facts_is_bsp(void *arg)
{
	u32 *id = arg;

	if (baton_rdmsr(MSR_IA32_APICBASE) & MSR_IA32_APICBASE_BSP)
		WRITE_ONCE(*id, baton_apic_id());
}

static void baton_facts_address_space(struct baton_address_space *space)
{
	bool la57 = native_read_cr4() & BATON_CR4_LA57;

	space->page_offset_base = page_offset_base;
	space->direct_map_size = vmalloc_base - page_offset_base;
	space->vmemmap_base = vmemmap_base;
	space->kernel_map = __START_KERNEL_map;
	space->kernel_map_size = KERNEL_IMAGE_SIZE;
	space->phys_base = phys_base;
	space->pgd = __native_read_cr3() & CR3_ADDR_MASK;
	space->levels = la57 ? 5 : 4;
	space->pte_mask = PTE_PFN_MASK;
	space->vmalloc_base = vmalloc_base;
}

long baton_facts_info(struct baton_info_args *args)
{
	u8 *inherited = baton_in.region.size ? baton_in.region.va : NULL;
	u32 cpu, count = 0, bsp = BATON_NO_CPU;

	memset(args, 0, sizeof(*args));
	args->abi_version = BATON_ABI_VERSION;
	args->role = inherited ? BATON_ROLE_SECOND : BATON_ROLE_NONE;
	if (baton_out.started)
		args->role = BATON_ROLE_FIRST;
	args->tsc_khz = tsc_khz;
	args->tsc = rdtsc_ordered();
	args->page_struct_size = sizeof(struct page);
	baton_facts_address_space(&args->address_space);
	for_each_present_cpu(cpu) {
		if (count == ARRAY_SIZE(args->cpus))
			return -E2BIG;
		args->cpus[count].cpu = cpu;
		args->cpus[count++].apic_id = cpu_physical_id(cpu);
	}
	args->cpu_count = count;
	on_each_cpu(baton_facts_is_bsp, &bsp, 1);
	args->bsp_apic_id = bsp;
	if (inherited) {
		args->inherited_region = baton_in.region.base;
		args->inherited_low = baton_in.header.low_base;
		args->region = baton_in.region.base;
	}
	if (baton_out.region)
		args->region = baton_out.partition.base +
			       (baton_out.region - baton_out.partition.va);
	return 0;
}

long baton_facts_super_block(struct baton_super_block_args *args)
{
	struct file *file = fget(args->fd);
	struct super_block *sb;

	if (!file)
		return -EBADF;
	sb = file_inode(file)->i_sb;
	args->device = sb->s_dev;
	args->address = (unsigned long)sb;
	args->magic = sb->s_magic;
	args->has_block_device = sb->s_bdev != NULL;
	args->has_export_op = sb->s_export_op != NULL;
	strscpy((char *)args->fs_type, sb->s_type->name, sizeof(args->fs_type));
	fput(file);
	return 0;
}

/* Members that every kernel in scope has under this name: what BTF says is checked by these. */
#define BATON_OFFSETS(X)			\
	X(super_block, s_inodes)		\
	X(super_block, s_magic)			\
	X(super_block, s_fs_info)		\
	X(super_block, s_root)			\
	X(super_block, s_blocksize_bits)	\
	X(inode, i_sb_list)			\
	X(inode, i_sb)				\
	X(inode, i_mapping)			\
	X(inode, i_data)			\
	X(inode, i_ino)				\
	X(inode, i_size)			\
	X(inode, i_mode)			\
	X(inode, i_nlink)			\
	X(inode, i_generation)			\
	X(inode, i_dentry)			\
	X(address_space, host)			\
	X(address_space, i_pages)		\
	X(address_space, nrpages)		\
	X(xarray, xa_head)			\
	X(xarray, xa_flags)			\
	X(xa_node, shift)			\
	X(xa_node, offset)			\
	X(xa_node, count)			\
	X(xa_node, slots)			\
	X(xa_node, marks)			\
	X(page, mapping)			\
	X(dentry, d_parent)			\
	X(dentry, d_name)			\
	X(qstr, name)				\
	X(qstr, len)

#define BATON_CONSTANTS(X)		\
	X(PG_dirty)			\
	X(PG_writeback)			\
	X(PG_head)			\
	X(PG_uptodate)			\
	X(I_NEW)			\
	X(I_FREEING)			\
	X(I_WILL_FREE)			\
	X(I_DIRTY_SYNC)			\
	X(I_DIRTY_DATASYNC)		\
	X(I_DIRTY_PAGES)		\
	X(PAGECACHE_TAG_DIRTY)		\
	X(PAGECACHE_TAG_WRITEBACK)	\
	X(XA_FLAGS_MARK_SHIFT)		\
	X(XA_CHUNK_SHIFT)		\
	X(PAGE_SHIFT)			\
	X(BH_Uptodate)

/* The marks of a tree are at the top of xa_flags, behind the bits of gfp_t (linux/xarray.h). */
#define XA_FLAGS_MARK_SHIFT __ffs((__force unsigned int)XA_FLAGS_MARK(XA_MARK_0))

long baton_facts_headers(struct baton_headers_args *args)
{
	u32 i;

	memset(args, 0, sizeof(*args));
	for (i = 0; i < ARRAY_SIZE(args->offsets); i++)
		args->offsets[i] = BATON_NO_OFFSET;
	args->member_count = BATON_MEMBER_COUNT;
	args->constant_count = BATON_CONSTANT_COUNT;
#define X(type, member) args->offsets[BATON_MEMBER_##type##__##member] = offsetof(struct type, member);
	BATON_OFFSETS(X)
#undef X
#define X(name)									\
	args->constants[BATON_CONSTANT_##name] = (__force u64)(name);		\
	args->constants_known[BATON_CONSTANT_##name / 64] |= 1ull << BATON_CONSTANT_##name % 64;
	BATON_CONSTANTS(X)
#undef X
	return 0;
}

static void baton_facts_window(struct baton_pci_bridge *out, const struct resource_entry *entry)
{
	struct baton_pci_window *window = &out->windows[out->window_count];
	const struct resource *res = entry->res;

	if (out->window_count == ARRAY_SIZE(out->windows) || !resource_size(res))
		return;
	switch (resource_type(res)) {
	case IORESOURCE_IO:
		window->kind = BATON_WINDOW_IO;
		break;
	case IORESOURCE_MEM:
		window->kind = res->flags & IORESOURCE_PREFETCH ?
			BATON_WINDOW_PREFETCHABLE : BATON_WINDOW_MEMORY;
		break;
	default:
		return;
	}
	window->start = res->start;
	window->end = res->end;
	window->translation = -(u64)entry->offset;
	out->window_count++;
}

long baton_facts_bridges(struct baton_bridges_args *args)
{
	struct pci_bus *bus = NULL;

	memset(args, 0, sizeof(*args));
	while ((bus = pci_find_next_bus(bus))) {
		struct pci_host_bridge *bridge = to_pci_host_bridge(bus->bridge);
		struct baton_pci_bridge *out = &args->bridges[args->count];
		struct resource_entry *entry;

		if (args->count == ARRAY_SIZE(args->bridges)) {
			args->truncated = 1;
			break;
		}
		out->segment = pci_domain_nr(bus);
		out->bus_start = bus->busn_res.start;
		out->bus_end = bus->busn_res.end;
		resource_list_for_each_entry(entry, &bridge->windows)
			baton_facts_window(out, entry);
		args->count++;
	}
	return 0;
}
