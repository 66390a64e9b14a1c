// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writers come to rest, so that what the journals hold is what the writers did.
 *
 * The gate is the one that freezing a file system closes first: the write side of s_writers, at
 * the levels of system calls and of page faults. With it closed every modifying system call has
 * either ended or not begun. Then sync_fs commits the journal: names, sizes, owners and times are
 * on the disk; the data stay in the page cache, and go over with it.
 *
 * Waiting for writers cannot be bounded in the kernel, so a worker does it, and the caller gives
 * up when its time is over; the worker opens the gate by itself when it gets that far.
 */
#define pr_fmt(fmt) "baton: " fmt

#include <linux/completion.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/percpu-rwsem.h>
#include <linux/workqueue.h>

#include "baton.h"

#define BATON_MAX_GATES 64

struct baton_gate {
	struct file *file;
	struct super_block *sb;
};

static struct {
	struct work_struct work;
	struct completion closed, release;
	struct baton_gate gates[BATON_MAX_GATES];
	u32 count;
	u8 *region;
	u32 reason, culprit;		/* written by the worker before `closed` */
	bool busy;
} baton_q;

static bool baton_is_gated(const struct super_block *sb)
{
	return !sb_rdonly((struct super_block *)sb);
}

static int baton_commit_journal(struct super_block *sb)
{
	int err = 0;

	down_read(&sb->s_umount);
	if (sb->s_op->sync_fs)
		err = sb->s_op->sync_fs(sb, 1);
	up_read(&sb->s_umount);
	return err;
}

static int baton_commit_journals(void)
{
	u32 i;

	for (i = 0; i < baton_q.count; i++) {
		if (!baton_is_gated(baton_q.gates[i].sb))
			continue;
		if (baton_commit_journal(baton_q.gates[i].sb)) {
			baton_q.reason = BATON_REASON_JOURNAL;
			baton_q.culprit = i;
			return -EIO;
		}
	}
	return 0;
}

static void baton_gate_level(int level, bool close)
{
	u32 i;

	for (i = 0; i < baton_q.count; i++) {
		struct super_block *sb = baton_q.gates[i].sb;
		struct percpu_rw_semaphore *gate = &sb->s_writers.rw_sem[level - 1];

		if (!baton_is_gated(sb))
			continue;
		if (close) {
			baton_q.culprit = i;
			percpu_down_write(gate);
		} else {
			percpu_up_write(gate);
		}
	}
}

static void baton_quiesce_work(struct work_struct *work)
{
	/* Most of what there is to commit is committed while everybody still works. */
	if (baton_commit_journals())
		goto out;
	baton_stamp(baton_q.region, BATON_PHASE_PRESYNC);
	baton_gate_level(SB_FREEZE_WRITE, true);
	baton_gate_level(SB_FREEZE_PAGEFAULT, true);
	baton_stamp(baton_q.region, BATON_PHASE_GATE);
	baton_commit_journals();
	baton_stamp(baton_q.region, BATON_PHASE_QUIESCED);
	complete(&baton_q.closed);
	wait_for_completion(&baton_q.release);
	baton_gate_level(SB_FREEZE_PAGEFAULT, false);
	baton_gate_level(SB_FREEZE_WRITE, false);
	goto put;
out:
	complete(&baton_q.closed);
	wait_for_completion(&baton_q.release);
put:
	while (baton_q.count)
		fput(baton_q.gates[--baton_q.count].file);
	WRITE_ONCE(baton_q.busy, false);
}

static int baton_gate_add(struct file *file)
{
	struct super_block *sb = file_inode(file)->i_sb;
	u32 i;

	for (i = 0; i < baton_q.count; i++)
		if (baton_q.gates[i].sb == sb)
			return -EEXIST;
	baton_q.gates[baton_q.count].file = file;
	baton_q.gates[baton_q.count++].sb = sb;
	return 0;
}

int baton_quiesce_begin(const struct baton_stop_args *args, u8 *region, u32 *reason, u32 *culprit)
{
	u32 i;

	if (READ_ONCE(baton_q.busy))
		return -EBUSY;
	baton_q.busy = true;
	baton_q.count = 0;
	baton_q.reason = BATON_REASON_NONE;
	baton_q.region = region;
	for (i = 0; i < args->fd_count; i++) {
		struct file *file = fget(args->fds[i]);

		if (!file)
			goto bad_fd;
		if (baton_gate_add(file))
			fput(file);
	}
	init_completion(&baton_q.closed);
	init_completion(&baton_q.release);
	INIT_WORK(&baton_q.work, baton_quiesce_work);
	queue_work(system_unbound_wq, &baton_q.work);
	if (!wait_for_completion_timeout(&baton_q.closed, msecs_to_jiffies(args->quiesce_ms))) {
		*reason = BATON_REASON_WRITERS_BUSY;
		*culprit = baton_q.culprit;
		return -ETIMEDOUT;
	}
	*reason = baton_q.reason;
	*culprit = baton_q.culprit;
	return baton_q.reason ? -EIO : 0;

bad_fd:
	while (baton_q.count)
		fput(baton_q.gates[--baton_q.count].file);
	baton_q.busy = false;
	return -EBADF;
}

/* Opens the gate, now or, if the worker is still waiting for writers, as soon as it closed. */
void baton_quiesce_end(void)
{
	if (READ_ONCE(baton_q.busy))
		complete(&baton_q.release);
}

void baton_quiesce_exit(void)
{
	if (baton_q.work.func)
		flush_work(&baton_q.work);
}
