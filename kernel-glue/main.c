// SPDX-License-Identifier: GPL-2.0-only
/*
 * baton.ko: the module's life, and /dev/baton.
 *
 * One module for both roles. On the 1st OS the `baton` command drives it to claim a partition,
 * start a kernel there, and stop. On the 2nd OS the agent loads it with handoff=ADDRESS (from the
 * kernel's command line, baton.handoff=) and drives it to take over.
 */
#define pr_fmt(fmt) "baton: " fmt

#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "baton.h"

static ulong handoff;
module_param(handoff, ulong, 0444);
MODULE_PARM_DESC(handoff, "physical address of the handoff region this kernel was started with");

/* The region and the firmware area behind it: what the last 2 MiB of a partition hold. */
#define BATON_TAIL_SIZE 0x200000u

DEFINE_MUTEX(baton_lock);
struct baton_partition baton_out;
struct baton_inheritance baton_in;

static bool baton_is_second(void)
{
	return baton_in.region.size != 0;
}

/* The argument of a request, copied in, passed on, copied out, whatever the result. */
typedef long (*baton_handler)(void *args);

static long baton_wait_handler(void *args)
{
	return baton_notice_wait(args);
}

static long baton_prepare_handler(void *args)
{
	return baton_takeover_prepare();
}

static long baton_commit_handler(void *args)
{
	return baton_notice_commit();
}

static long baton_give_back_handler(void *args)
{
	return baton_notice_give_back();
}

static long baton_bridges_handler(void *args)
{
	return baton_takeover_add_bridges();
}

static long baton_quiet_handler(void *args)
{
	return baton_takeover_quiet_devices();
}

static long baton_forget_handler(void *args)
{
	baton_takeover_forget();
	return 0;
}

static long baton_release_handler(void *args)
{
	baton_partition_release();
	return 0;
}

static long baton_stamp_handler(void *args)
{
	struct baton_stamp_args *stamp = args;
	u8 *region = baton_is_second() ? baton_in.region.va : baton_out.region;

	if (!region)
		return -ENXIO;
	if (stamp->phase >= ARRAY_SIZE(baton_timeline(region)->stamps))
		return -EINVAL;
	stamp->tsc = baton_stamp(region, stamp->phase);
	return 0;
}

#define BATON_HANDLER(name, function) \
	{ BATON_IOC_##name, (baton_handler)(function), false }
#define BATON_SECOND_HANDLER(name, function) \
	{ BATON_IOC_##name, (baton_handler)(function), true }

#define BATON_TYPED(function, type)						\
	static long function##_handler(void *args) { return function((struct type *)args); }

BATON_TYPED(baton_facts_info, baton_info_args)
BATON_TYPED(baton_facts_super_block, baton_super_block_args)
BATON_TYPED(baton_facts_headers, baton_headers_args)
BATON_TYPED(baton_facts_bridges, baton_bridges_args)
BATON_TYPED(baton_partition_claim, baton_range_args)
BATON_TYPED(baton_partition_low, baton_low_window_args)
BATON_TYPED(baton_partition_start, baton_start_args)
BATON_TYPED(baton_stop, baton_stop_args)
BATON_TYPED(baton_sink_migrate, baton_migrate_args)
BATON_TYPED(baton_takeover_add_memory, baton_range_args)
BATON_TYPED(baton_selftest, baton_self_test_args)

static const struct {
	unsigned int request;
	baton_handler handler;
	bool second_only;
} baton_requests[] = {
	BATON_HANDLER(INFO, baton_facts_info_handler),
	BATON_HANDLER(CLAIM, baton_partition_claim_handler),
	BATON_HANDLER(LOW_WINDOW, baton_partition_low_handler),
	BATON_HANDLER(START, baton_partition_start_handler),
	BATON_HANDLER(RELEASE, baton_release_handler),
	BATON_HANDLER(SUPER_BLOCK, baton_facts_super_block_handler),
	BATON_HANDLER(HEADERS, baton_facts_headers_handler),
	BATON_HANDLER(BRIDGES, baton_facts_bridges_handler),
	BATON_HANDLER(STOP, baton_stop_handler),
	BATON_HANDLER(STAMP, baton_stamp_handler),
	BATON_HANDLER(SELF_TEST, baton_selftest_handler),
	BATON_SECOND_HANDLER(PREPARE, baton_prepare_handler),
	BATON_SECOND_HANDLER(WAIT_NOTICE, baton_wait_handler),
	BATON_SECOND_HANDLER(COMMIT, baton_commit_handler),
	BATON_SECOND_HANDLER(GIVE_BACK, baton_give_back_handler),
	BATON_SECOND_HANDLER(ADD_BRIDGES, baton_bridges_handler),
	BATON_SECOND_HANDLER(MIGRATE, baton_sink_migrate_handler),
	BATON_SECOND_HANDLER(QUIET_DEVICES, baton_quiet_handler),
	BATON_SECOND_HANDLER(FORGET, baton_forget_handler),
	BATON_SECOND_HANDLER(ADD_MEMORY, baton_takeover_add_memory_handler),
};

static long baton_ioctl(struct file *file, unsigned int request, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	size_t i, size = _IOC_SIZE(request);
	void *args;
	long ret;

	for (i = 0; i < ARRAY_SIZE(baton_requests); i++)
		if (baton_requests[i].request == request)
			break;
	if (i == ARRAY_SIZE(baton_requests))
		return -ENOTTY;
	if (baton_requests[i].second_only && !baton_is_second())
		return -ENXIO;
	args = memdup_user(user, size);
	if (IS_ERR(args))
		return PTR_ERR(args);
	/* The wait for the notice may last for days; it changes nothing that the lock guards. */
	if (request == BATON_IOC_WAIT_NOTICE) {
		ret = baton_requests[i].handler(args);
	} else if (mutex_lock_interruptible(&baton_lock)) {
		ret = -EINTR;
	} else {
		ret = baton_requests[i].handler(args);
		mutex_unlock(&baton_lock);
	}
	if (copy_to_user(user, args, size))
		ret = -EFAULT;
	kfree(args);
	return ret;
}

static bool baton_covers(const struct baton_mapping *range, u64 start, u64 size)
{
	return start >= range->base && size <= range->size &&
	       start - range->base <= range->size - size;
}

/* The file offset is the physical address. */
static int baton_mmap(struct file *file, struct vm_area_struct *vma)
{
	u64 start = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 size = vma->vm_end - vma->vm_start;
	bool allowed;

	if (vma->vm_pgoff > (~0ULL >> PAGE_SHIFT))
		return -EINVAL;
	mutex_lock(&baton_lock);
	allowed = baton_covers(&baton_out.partition, start, size) ||
		  baton_covers(&baton_out.low, start, size) ||
		  baton_covers(&baton_in.region, start, size);
	mutex_unlock(&baton_lock);
	if (!allowed)
		return -EPERM;
	return remap_pfn_range(vma, vma->vm_start, vma->vm_pgoff, size, vma->vm_page_prot);
}

static const struct file_operations baton_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = baton_ioctl,
	.mmap = baton_mmap,
	.llseek = noop_llseek,
};

static struct miscdevice baton_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "baton",
	.fops = &baton_fops,
	.mode = 0600,
};

/* Maps the region this kernel was started with and checks it before anything in it is used. */
static int baton_inherit(void)
{
	u8 *va;
	int err;

	if (!handoff)
		return 0;
	if (!PAGE_ALIGNED(handoff))
		return -EINVAL;
	va = memremap(handoff, BATON_TAIL_SIZE, MEMREMAP_WB);
	if (!va)
		return -ENOMEM;
	err = baton_region_check(va);
	if (err) {
		pr_err("no valid handoff region at %#lx (%d)\n", handoff, err);
		memunmap(va);
		return err;
	}
	baton_in.header = *(struct baton_header_page *)(va + BATON_HEADER_OFFSET);
	if (baton_in.header.region_base != handoff) {
		pr_err("the handoff region at %#lx says that it is at %#llx\n", handoff,
		       baton_in.header.region_base);
		memunmap(va);
		return -EINVAL;
	}
	baton_in.region.base = handoff;
	baton_in.region.size = BATON_TAIL_SIZE;
	baton_in.region.va = va;
	baton_log_attach(va + BATON_LOG_OF_THE_2ND_OS_OFFSET, BATON_LOG_OF_THE_2ND_OS_SIZE);
	return 0;
}

static void baton_disinherit(void)
{
	if (!baton_is_second())
		return;
	baton_log_detach();
	memunmap(baton_in.region.va);
}

static int __init baton_init(void)
{
	int err;

	if (baton_ffi_abi_version() != BATON_FFI_ABI_VERSION) {
		pr_err("the Rust object is of another version than the C files\n");
		return -EINVAL;
	}
	err = baton_inherit();
	if (err)
		return err;
	if (baton_is_second()) {
		err = baton_notice_init();
		if (err)
			goto out_disinherit;
	}
	err = misc_register(&baton_device);
	if (err)
		goto out_notice;
	return 0;

out_notice:
	if (baton_is_second())
		baton_notice_exit();
out_disinherit:
	baton_disinherit();
	return err;
}

static void __exit baton_exit(void)
{
	misc_deregister(&baton_device);
	baton_quiesce_exit();
	baton_partition_release();
	if (baton_is_second()) {
		baton_notice_exit();
		baton_takeover_forget();
	}
	baton_disinherit();
}

module_init(baton_init);
module_exit(baton_exit);
MODULE_LICENSE("GPL");
/* For `baton check`, which reads it in the file: no other version can attach to its region. */
MODULE_INFO(baton_abi, __stringify(BATON_ABI_VERSION));
MODULE_DESCRIPTION("Kernel update without a reboot");
