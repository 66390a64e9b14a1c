//! Carries out one operation, and looks at what it touched.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{chown, DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{FallocateFlags, OFlags, XattrFlags};

use super::mapping::Mappings;
use crate::content;
use crate::record::{parent, Op, Stat, Via};
use crate::text;

/// Alignment of offsets, lengths and memory of direct writes.
const DIRECT_ALIGN: usize = 4096;

/// Orphans kept open at a time.
const ORPHANS_MAX: usize = 4;

/// One writer's access to the file system. Nothing else changes files below the
/// writer's directory.
#[derive(Debug)]
pub struct Performer {
    root: PathBuf,
    mappings: Mappings,
    orphans: VecDeque<File>,
}

impl Performer {
    /// Works below `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            mappings: Mappings::default(),
            orphans: VecDeque::new(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(text::decode(path))
    }

    /// Does `op` with the content `key`.
    ///
    /// # Errors
    /// Those of the system. Only for errors that [`refusal`] knows, the
    /// operation has had no effect.
    pub fn perform(&mut self, op: &Op, key: u64) -> io::Result<()> {
        match op {
            Op::Mkdir { path, mode } => fs::DirBuilder::new().mode(*mode).create(self.path(path)),
            Op::Rmdir { path } => fs::remove_dir(self.path(path)),
            Op::Create {
                path,
                mode,
                len,
                sync,
            } => {
                let mut options = OpenOptions::new();
                let file = options
                    .write(true)
                    .create_new(true)
                    .mode(*mode)
                    .open(self.path(path))?;
                file.write_all_at(&content::bytes(key, *len), 0)?;
                sync_if(&file, *sync)
            }
            Op::Write {
                path,
                off,
                len,
                via,
                sync,
            } => self.write(path, *off, &content::bytes(key, *len), *via, *sync),
            Op::Truncate { path, size } => {
                self.mappings.forget(&self.path(path));
                open(&self.path(path))?.set_len(*size)
            }
            Op::Allocate { path, size } => {
                let file = open(&self.path(path))?;
                match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, *size) {
                    // The effect on size and content is the same.
                    Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(*size),
                    result => Ok(result?),
                }
            }
            Op::PunchHole { path, off, len } => {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                Ok(rustix::fs::fallocate(
                    open(&self.path(path))?,
                    flags,
                    *off,
                    *len,
                )?)
            }
            Op::Rename { from, to } => {
                self.mappings.forget(&self.path(from));
                self.mappings.forget(&self.path(to));
                fs::rename(self.path(from), self.path(to))
            }
            Op::Link { from, to } => fs::hard_link(self.path(from), self.path(to)),
            Op::Symlink { target, path } => {
                std::os::unix::fs::symlink(text::decode(target), self.path(path))
            }
            Op::Unlink { path, keep_open } => self.unlink(path, *keep_open),
            Op::OrphanWrite { len } => match self.orphans.back() {
                Some(file) => file.write_all_at(&content::bytes(key, *len), 0),
                None => Ok(()),
            },
            Op::Chmod { path, mode } => {
                fs::set_permissions(self.path(path), Permissions::from_mode(*mode))
            }
            Op::Chown { path, uid, gid } => chown(self.path(path), Some(*uid), Some(*gid)),
            Op::Utimens { path, mtime_ns } => {
                let since = Duration::from_nanos(mtime_ns.unsigned_abs());
                open(&self.path(path))?.set_modified(UNIX_EPOCH + since)
            }
            Op::SetXattr { path, name, len } => {
                let value = content::bytes(key, *len);
                let path = self.path(path);
                Ok(rustix::fs::setxattr(
                    path,
                    name.as_str(),
                    &value,
                    XattrFlags::empty(),
                )?)
            }
        }
    }

    /// One write operation.
    fn write(&mut self, path: &str, off: u64, data: &[u8], via: Via, sync: bool) -> io::Result<()> {
        let path = self.path(path);
        match via {
            Via::Mmap => self.mappings.store(&path, off, data, sync),
            Via::Buffered => {
                let file = open(&path)?;
                file.write_all_at(data, off)?;
                sync_if(&file, sync)
            }
            Via::Append => {
                let mut file = OpenOptions::new().append(true).open(&path)?;
                file.write_all(data)?;
                sync_if(&file, sync)
            }
            Via::Direct => {
                let direct = OFlags::DIRECT.bits().cast_signed();
                let file = OpenOptions::new()
                    .write(true)
                    .custom_flags(direct)
                    .open(&path)?;
                let mut space = vec![0; data.len() + DIRECT_ALIGN];
                let skip = space.as_ptr().align_offset(DIRECT_ALIGN);
                let aligned = space.get_mut(skip..skip.saturating_add(data.len()));
                let aligned = aligned.ok_or_else(|| io::Error::other("no aligned memory"))?;
                aligned.copy_from_slice(data);
                file.write_all_at(aligned, off)?;
                sync_if(&file, sync)
            }
        }
    }

    /// Removes a name, and if asked holds on to the file.
    fn unlink(&mut self, path: &str, keep_open: bool) -> io::Result<()> {
        let path = self.path(path);
        self.mappings.forget(&path);
        if keep_open {
            self.orphans.push_back(open(&path)?);
            if self.orphans.len() > ORPHANS_MAX {
                self.orphans.pop_front();
            }
        }
        fs::remove_file(path)
    }

    /// What the paths of `op`, and the directories they are in if names
    /// changed, look like now. Paths that do not exist are left out.
    #[must_use]
    pub fn observe(&self, op: &Op) -> Vec<(String, Stat)> {
        let mut paths = op.paths();
        if op.changes_names() {
            let parents: Vec<_> = paths.iter().filter_map(|path| parent(path)).collect();
            paths.extend(parents);
        }
        paths.sort_unstable();
        paths.dedup();
        let look = |path: &&str| {
            let meta = fs::symlink_metadata(self.path(path)).ok()?;
            Some(((*path).to_owned(), Stat::from(&meta)))
        };
        paths.iter().filter_map(look).collect()
    }
}

/// The errno, if `error` says that this file system cannot do `op` at all.
#[must_use]
pub fn refusal(op: &Op, error: &io::Error) -> Option<i32> {
    let errno = rustix::io::Errno::from_io_error(error)?;
    let optional = match op {
        Op::PunchHole { .. } | Op::SetXattr { .. } => errno == rustix::io::Errno::OPNOTSUPP,
        Op::Write {
            via: Via::Direct, ..
        } => errno == rustix::io::Errno::INVAL,
        _ => false,
    };
    optional.then(|| errno.raw_os_error())
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

fn sync_if(file: &File, sync: bool) -> io::Result<()> {
    if sync {
        file.sync_all()?;
    }
    Ok(())
}
