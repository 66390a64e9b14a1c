// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the migrator's pages go: into the files of the same file system, through the VFS of this
 * kernel, so that block allocation, sizes and journalling are the file system's own. The inode is
 * found by file handle, generation included. Times are not touched: what the 1st OS's file system
 * wrote to the journal holds.
 */
#define pr_fmt(fmt) "baton: " fmt

#include <linux/cred.h>
#include <linux/exportfs.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "baton.h"

/* FILEID_INO64_GEN of newer headers; xfs has used the number since it has handles. */
#define BATON_FILEID_INO64_GEN 0x81
/* As many segments as one call of the migrator brings at most. */
#define BATON_MAX_SEGMENTS 64

struct baton_sink {
	struct vfsmount *mnt;
	struct file *file;
	bool was_nosec;
	struct kvec segments[BATON_MAX_SEGMENTS];
};

/* Called by Rust for each file, in this order: begin, write…, end. Errors are negative errno. */
s32 baton_glue_sink_begin(struct baton_sink *sink, u64 ino, u32 generation);
s32 baton_glue_sink_write(struct baton_sink *sink, u64 offset, const struct baton_segment *segments,
			  u32 count);
s32 baton_glue_sink_end(struct baton_sink *sink, u64 size);
void baton_glue_sink_drop(struct baton_sink *sink);

static int baton_sink_acceptable(void *context, struct dentry *dentry)
{
	return 1;
}

static struct dentry *baton_sink_lookup(struct vfsmount *mnt, u64 ino, u32 generation)
{
	u32 small[2] = { (u32)ino, generation };
	struct {
		u64 ino;
		u32 generation;
	} __packed __aligned(4) large = { ino, generation };

	if (ino <= U32_MAX)
		return exportfs_decode_fh(mnt, (struct fid *)small, 2, FILEID_INO32_GEN,
					  baton_sink_acceptable, NULL);
	return exportfs_decode_fh(mnt, (struct fid *)&large, 3, BATON_FILEID_INO64_GEN,
				  baton_sink_acceptable, NULL);
}

/*
 * A write takes set-user-ID bits and file capabilities away, unless the inode is known to have
 * none. These writes are not new content: while they last, it is said to have none.
 */
static void baton_sink_set_nosec(struct inode *inode, bool nosec)
{
	inode_lock(inode);
	if (nosec)
		inode->i_flags |= S_NOSEC;
	else
		inode->i_flags &= ~S_NOSEC;
	inode_unlock(inode);
}

static void baton_sink_close(struct baton_sink *sink)
{
	if (!sink->was_nosec)
		baton_sink_set_nosec(file_inode(sink->file), false);
	fput(sink->file);
	sink->file = NULL;
}

s32 baton_glue_sink_begin(struct baton_sink *sink, u64 ino, u32 generation)
{
	struct path path = { .mnt = sink->mnt };
	struct file *file;

	path.dentry = baton_sink_lookup(sink->mnt, ino, generation);
	if (IS_ERR_OR_NULL(path.dentry))
		return path.dentry ? PTR_ERR(path.dentry) : -ESTALE;
	file = dentry_open(&path, O_WRONLY | O_LARGEFILE, current_cred());
	dput(path.dentry);
	if (IS_ERR(file))
		return PTR_ERR(file);
	if (!S_ISREG(file_inode(file)->i_mode)) {
		fput(file);
		return -EISDIR;
	}
	file->f_mode |= FMODE_NOCMTIME;
	sink->file = file;
	sink->was_nosec = IS_NOSEC(file_inode(file));
	baton_sink_set_nosec(file_inode(file), true);
	return 0;
}

s32 baton_glue_sink_write(struct baton_sink *sink, u64 offset, const struct baton_segment *segments,
			  u32 count)
{
	loff_t pos = offset;
	struct iov_iter iter;
	size_t total = 0;
	u32 i;

	if (!sink->file || count > BATON_MAX_SEGMENTS)
		return -EINVAL;
	for (i = 0; i < count; i++) {
		sink->segments[i].iov_base = (void *)segments[i].va;
		sink->segments[i].iov_len = segments[i].len;
		total += segments[i].len;
	}
	iov_iter_kvec(&iter, ITER_SOURCE, sink->segments, count, total);
	while (iov_iter_count(&iter)) {
		ssize_t written = vfs_iter_write(sink->file, &iter, &pos, 0);

		if (written < 0)
			return written;
		if (!written)
			return -EIO;
		cond_resched();
	}
	return 0;
}

/* The size is what the 1st OS had, even where the last page was no dirty one. */
s32 baton_glue_sink_end(struct baton_sink *sink, u64 size)
{
	struct file *file = sink->file;
	s32 err = 0;

	if (!file)
		return -EINVAL;
	if (i_size_read(file_inode(file)) != size)
		err = vfs_truncate(&file->f_path, size);
	baton_sink_close(sink);
	return err;
}

/* Closes the file as it is: it is listed as lost. */
void baton_glue_sink_drop(struct baton_sink *sink)
{
	if (sink->file)
		baton_sink_close(sink);
}

long baton_sink_migrate(struct baton_migrate_args *args)
{
	struct file *root = fget(args->root_fd);
	const struct baton_mapping *maps;
	u32 count = baton_takeover_mappings(&maps);
	struct baton_sink *sink;
	u64 start;
	long err;

	if (!root)
		return -EBADF;
	sink = kzalloc(sizeof(*sink), GFP_KERNEL);
	if (!sink) {
		fput(root);
		return -ENOMEM;
	}
	sink->mnt = root->f_path.mnt;
	start = rdtsc_ordered();
	err = baton_migrate(baton_in.region.va, maps, count, args->filesystem, sink, args);
	args->ticks = rdtsc_ordered() - start;
	baton_glue_sink_drop(sink);
	kfree(sink);
	fput(root);
	return err;
}
