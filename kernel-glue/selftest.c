// SPDX-License-Identifier: GPL-2.0-only
/*
 * At load: the migrator reads a live object of this kernel by the descriptor, and what it read is
 * compared with what the compiler knows.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include <asm/special_insns.h>

#include "baton.h"

enum {
	BATON_FACT_INO,
	BATON_FACT_SIZE,
	BATON_FACT_MODE,
	BATON_FACT_NLINK,
	BATON_FACT_GENERATION,
	BATON_FACT_NRPAGES,
	BATON_FACT_PAGES,
	BATON_FACT_COUNT,
};

s32 baton_glue_read_own(u64 at, u8 *buf, size_t len);

s32 baton_glue_read_own(u64 at, u8 *buf, size_t len)
{
	return copy_from_kernel_nofault(buf, __va(at), len);
}

long baton_selftest(struct baton_self_test_args *args)
{
	struct file *file = fget(args->fd);
	u64 found[BATON_FACT_COUNT] = {}, expected[BATON_FACT_COUNT];
	struct inode *inode;
	long err = 0;
	u32 i;

	if (!file)
		return -EBADF;
	if (!baton_out.region) {
		fput(file);
		return -ENXIO;
	}
	/* The migrator walks this task's page table: it lives as long as the call. */
	WRITE_ONCE(baton_control(baton_out.region)->first_cr3, __native_read_cr3() & CR3_ADDR_MASK);
	inode = file_inode(file);
	expected[BATON_FACT_INO] = inode->i_ino;
	expected[BATON_FACT_SIZE] = i_size_read(inode);
	expected[BATON_FACT_MODE] = inode->i_mode;
	expected[BATON_FACT_NLINK] = inode->i_nlink;
	expected[BATON_FACT_GENERATION] = inode->i_generation;
	expected[BATON_FACT_NRPAGES] = inode->i_mapping->nrpages;
	expected[BATON_FACT_PAGES] = expected[BATON_FACT_NRPAGES];
	err = baton_inspect(baton_out.region, (unsigned long)inode, found, BATON_FACT_COUNT);
	if (err)
		goto out;
	args->pages = found[BATON_FACT_PAGES];
	for (i = 0; i < BATON_FACT_COUNT; i++) {
		if (found[i] == expected[i])
			continue;
		args->failed = i + 1;
		args->expected = expected[i];
		args->found = found[i];
		err = -EBADMSG;
		break;
	}
out:
	fput(file);
	return err;
}
