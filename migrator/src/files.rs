//! The files of a file system: what of them is not on the disk.

mod batch;
mod inspect;
mod pages;
mod path;
mod sink;

use handoff_abi::filesystem::{FilesystemEntry, FilesystemFlags};

use crate::address::ForeignVa;
use crate::budget::{Budget, TreeBudget};
use crate::error::{Error, Fault};
use crate::memory::ForeignMemory;
use crate::objects::address_space::AddressSpace;
use crate::objects::dentry::path_of;
use crate::objects::inode::{is_regular, Inode};
use crate::objects::super_block::SuperBlock;
use crate::view::View;

pub use inspect::{find_inode, inspect_inode, InodeFacts};
pub use path::{Path, PATH_CAPACITY};
pub use sink::{
    FileInfo, FileSummary, LostFile, Reason, Segment, Sink, SinkError, MAX_SEGMENTS, MAX_WRITE,
};

/// What a migration did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Summary {
    /// Inodes in the list.
    pub inodes: u64,
    /// Files that came over.
    pub files: u64,
    /// Pages handed over, those of files lost later included.
    pub pages: u64,
    /// Bytes handed over, likewise.
    pub bytes: u64,
    /// Files of which something is lost.
    pub lost: u64,
    /// Files that were taken whole because the journal on the disk may not know them.
    pub uncommitted: u64,
    /// Inodes that are not regular files.
    pub skipped_not_regular: u64,
    /// Inodes that were being made or freed.
    pub skipped_absent: u64,
    /// Files without a name, deleted but open.
    pub skipped_unlinked: u64,
    /// Files whose pages are in another's address space.
    pub foreign_mappings: u64,
    /// Files whose name could not be found out.
    pub paths_broken: u64,
}

/// Why a file must go.
struct Work<'v, M> {
    mapping: AddressSpace<'v, M>,
    uncommitted: bool,
}

struct Migration<'v, 's, M, S> {
    view: &'v View<'v, M>,
    sink: &'s mut S,
    budget: Budget,
    tree: TreeBudget,
    super_block: ForeignVa,
    root: ForeignVa,
    block_size: u64,
    /// Newest transaction on the disk, if inodes know theirs.
    committed: Option<u32>,
    /// Inodes count the changes that are not on the disk instead.
    has_pin_counts: bool,
    summary: Summary,
}

/// Hands every regular file of `fs` that is not wholly on the disk to `sink`: pages that are
/// dirty or under writeback; and all pages of files that the journal may not know.
///
/// # Errors
/// If the super block is not what `fs` says or the list of inodes breaks: then nothing more can
/// be found. All else is reported through [`Sink::lost`], file by file.
pub fn migrate_files<M: ForeignMemory, S: Sink>(
    view: &View<'_, M>,
    fs: &FilesystemEntry,
    sink: &mut S,
    budget: &Budget,
) -> Result<Summary, Error> {
    let super_block = SuperBlock::new(view, ForeignVa::new(fs.super_block));
    let magic = super_block.s_magic()?;
    if magic != fs.magic {
        return Err(Error::new(
            "super_block",
            super_block.at(),
            Fault::Magic(magic),
        ));
    }
    let has_journal_tids = FilesystemFlags::from_bits(fs.flags).has_journal_tids();
    let mut migration = Migration {
        view,
        sink,
        budget: *budget,
        tree: TreeBudget::new(budget),
        super_block: super_block.at(),
        root: super_block.s_root()?,
        block_size: super_block.block_size()?,
        committed: if has_journal_tids {
            super_block.ext4_commit_sequence()?
        } else {
            None
        },
        has_pin_counts: FilesystemFlags::from_bits(fs.flags).has_pin_counts(),
        summary: Summary::default(),
    };
    let mut path = Path::new();
    let mut inodes = super_block.s_inodes(budget)?;
    // Bounded by the list's own budget.
    while let Some(at) = inodes.next_object()? {
        let inode = Inode::new(view, at);
        let found = inode.i_sb()?;
        if found != migration.super_block {
            return Err(Error::new("inode", at, Fault::SuperBlock(found)));
        }
        add(&mut migration.summary.inodes, 1);
        match migration.select(&inode, &mut path) {
            Ok(Some(work)) => migration.migrate(&inode, &work, &mut path),
            Ok(None) => {}
            Err(error) => migration.lose_unread(&inode, Reason::Broken(error), &mut path),
        }
    }
    Ok(migration.summary)
}

impl<'v, M: ForeignMemory, S: Sink> Migration<'v, '_, M, S> {
    /// Whether the file must go, without looking at a page.
    fn select(
        &mut self,
        inode: &Inode<'v, M>,
        path: &mut Path,
    ) -> Result<Option<Work<'v, M>>, Error> {
        let skipped = if !is_regular(inode.i_mode()?) {
            Some(&mut self.summary.skipped_not_regular)
        } else if inode.is_absent()? {
            Some(&mut self.summary.skipped_absent)
        } else if inode.i_nlink()? == 0 {
            Some(&mut self.summary.skipped_unlinked)
        } else {
            None
        };
        if let Some(counter) = skipped {
            add(counter, 1);
            return Ok(None);
        }
        let (mapping, own) = inode.i_mapping()?;
        let marks = mapping.root_marks()?;
        if !own {
            add(&mut self.summary.foreign_mappings, 1);
            if marks.any() {
                self.lose_unread(inode, Reason::ForeignMapping, path);
            }
            return Ok(None);
        }
        let uncommitted = match self.committed {
            Some(committed) => tid_gt(inode.ext4_sync_tid()?, committed),
            None if self.has_pin_counts => inode.xfs_is_pinned()?,
            None => false,
        };
        Ok((marks.any() || uncommitted).then_some(Work {
            mapping,
            uncommitted,
        }))
    }

    #[inline(never)]
    fn migrate(&mut self, inode: &Inode<'v, M>, work: &Work<'v, M>, path: &mut Path) {
        if path_of(self.view, inode, self.root, &self.budget, path).is_err() {
            add(&mut self.summary.paths_broken, 1);
        }
        let info = match self.info(inode, work, path) {
            Ok(info) => info,
            Err(error) => return self.lose_unread(inode, Reason::Broken(error), path),
        };
        if work.uncommitted {
            add(&mut self.summary.uncommitted, 1);
        }
        match self.copy(&info, work) {
            Ok(()) => add(&mut self.summary.files, 1),
            Err(reason) => {
                let file = LostFile {
                    inode: inode.at(),
                    ino: Some(info.ino),
                    path: info.path,
                };
                self.sink.lost(&file, reason);
                add(&mut self.summary.lost, 1);
            }
        }
    }

    fn info<'p>(
        &self,
        inode: &Inode<'v, M>,
        work: &Work<'v, M>,
        path: &'p Path,
    ) -> Result<FileInfo<'p>, Error> {
        let host = work.mapping.host()?;
        if host != inode.at() {
            return Err(Error::new(
                "address_space",
                work.mapping.at(),
                Fault::Host(host),
            ));
        }
        Ok(FileInfo {
            ino: inode.i_ino()?,
            generation: inode.i_generation()?,
            mode: inode.i_mode()?,
            nlink: inode.i_nlink()?,
            size: inode.i_size()?,
            times: inode.times()?,
            uncommitted: work.uncommitted,
            nrpages: work.mapping.nrpages()?,
            path,
        })
    }

    #[inline(never)]
    fn copy(&mut self, info: &FileInfo<'_>, work: &Work<'v, M>) -> Result<(), Reason> {
        self.sink.begin_file(info).map_err(Reason::Sink)?;
        let mut copier = pages::Copier {
            view: self.view,
            sink: self.sink,
            size: info.size,
            block_size: self.block_size,
            all: info.uncommitted,
            batch: batch::Batch::new(),
            summary: FileSummary::default(),
        };
        let walked = pages::for_each_page(
            self.view,
            &work.mapping,
            info.nrpages,
            &mut self.tree,
            |entry, page| copier.page(entry, page),
        );
        // What was found before a break is the file's content all the same.
        let flushed = copier.batch.flush(copier.sink);
        let mut summary = copier.summary;
        add(&mut self.summary.pages, summary.pages);
        add(&mut self.summary.bytes, summary.bytes);
        let walked = walked.map_err(|stop| match stop {
            pages::Stop::Broken(error) => Reason::Broken(error),
            pages::Stop::Sink(error) => Reason::Sink(error),
        })?;
        flushed.map_err(Reason::Sink)?;
        walked.check(info.nrpages)?;
        summary.walked = walked.slots;
        if summary.not_uptodate > 0 {
            return Err(Reason::NotUptodate {
                pages: summary.not_uptodate,
            });
        }
        self.sink.end_file(&summary).map_err(Reason::Sink)
    }

    /// Reports a file of which no more is known than its inode's address, and perhaps number.
    #[inline(never)]
    fn lose_unread(&mut self, inode: &Inode<'v, M>, reason: Reason, path: &mut Path) {
        // Without a path the file is told by its number.
        let _ = path_of(self.view, inode, self.root, &self.budget, path);
        let file = LostFile {
            inode: inode.at(),
            ino: inode.i_ino().ok(),
            path,
        };
        self.sink.lost(&file, reason);
        add(&mut self.summary.lost, 1);
    }
}

/// Whether transaction `x` is newer than `y`; their numbers wrap around (`include/linux/jbd2.h`).
const fn tid_gt(x: u32, y: u32) -> bool {
    x.wrapping_sub(y).cast_signed() > 0
}

fn add(counter: &mut u64, n: u64) {
    *counter = counter.saturating_add(n);
}
