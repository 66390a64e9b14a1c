//! One inode at a time, for the self-test at load: what the migrator sees of a file, to be
//! compared with what the kernel says of it.

use crate::address::ForeignVa;
use crate::budget::{Budget, TreeBudget};
use crate::error::Error;
use crate::files::pages::for_each_page;
use crate::files::Path;
use crate::memory::ForeignMemory;
use crate::objects::dentry::path_of;
use crate::objects::inode::{Inode, Times};
use crate::objects::super_block::SuperBlock;
use crate::view::View;

/// What is seen of an inode.
#[derive(Clone, Copy, Debug)]
pub struct InodeFacts {
    /// Inode number.
    pub ino: u64,
    /// Generation of the inode number.
    pub generation: u32,
    /// Type and permissions.
    pub mode: u16,
    /// Number of names.
    pub nlink: u32,
    /// Length, bytes.
    pub size: u64,
    /// Times.
    pub times: Times,
    /// Pages that its address space says it has.
    pub nrpages: u64,
    /// Pages found in its tree.
    pub walked: u64,
    /// Pages of these that have `PG_dirty`.
    pub dirty: u64,
    /// Pages of these that a migration takes for unwritten: by flag or mark, dirty or under
    /// writeback.
    pub unwritten: u64,
    /// Shadows and swap entries in the tree.
    pub values: u64,
    /// One of its names.
    pub path: Path,
}

/// Reads what there is to know of the inode at `inode`.
///
/// # Errors
/// The first thing that cannot be read or believed.
pub fn inspect_inode<M: ForeignMemory>(
    view: &View<'_, M>,
    inode: ForeignVa,
) -> Result<InodeFacts, Error> {
    let budget = Budget::for_memory_of(view.descriptor());
    let inode = Inode::new(view, inode);
    let root = SuperBlock::new(view, inode.i_sb()?).s_root()?;
    let (mapping, _) = inode.i_mapping()?;
    let nrpages = mapping.nrpages()?;
    let mut tree = TreeBudget::new(&budget);
    let (mut dirty, mut unwritten) = (0_u64, 0_u64);
    let walked = for_each_page(view, &mapping, nrpages, &mut tree, |entry, page| {
        if page.is_dirty(view) {
            dirty = dirty.saturating_add(page.pages());
        }
        if page.is_unwritten(view) || entry.marks.any() {
            unwritten = unwritten.saturating_add(page.pages());
        }
        Ok::<(), Error>(())
    })?;
    let mut path = Path::new();
    path_of(view, &inode, root, &budget, &mut path)?;
    Ok(InodeFacts {
        ino: inode.i_ino()?,
        generation: inode.i_generation()?,
        mode: inode.i_mode()?,
        nlink: inode.i_nlink()?,
        size: inode.i_size()?,
        times: inode.times()?,
        nrpages,
        walked: walked.slots,
        dirty,
        unwritten,
        values: walked.passed.values,
        path,
    })
}

/// The inode with number `ino` of the file system at `super_block`, if it is in memory.
///
/// # Errors
/// If the list of inodes cannot be read or believed up to there.
pub fn find_inode<M: ForeignMemory>(
    view: &View<'_, M>,
    super_block: ForeignVa,
    ino: u64,
    budget: &Budget,
) -> Result<Option<ForeignVa>, Error> {
    let mut inodes = SuperBlock::new(view, super_block).s_inodes(budget)?;
    // Bounded by the list's own budget.
    while let Some(at) = inodes.next_object()? {
        let inode = Inode::new(view, at);
        if inode.i_ino()? == ino && !inode.is_absent()? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}
