//! `struct super_block`, and what ext4 hangs below it.

use handoff_abi::descriptor::MemberId;

use crate::address::ForeignVa;
use crate::budget::{Budget, Remaining};
use crate::error::{Bound, Error, Fault};
use crate::memory::ForeignMemory;
use crate::view::View;
use crate::walk::list::List;

/// A `struct super_block`.
pub struct SuperBlock<'v, M> {
    view: &'v View<'v, M>,
    at: ForeignVa,
}

impl<'v, M: ForeignMemory> SuperBlock<'v, M> {
    /// The one at `at`.
    #[must_use]
    pub const fn new(view: &'v View<'v, M>, at: ForeignVa) -> Self {
        Self { view, at }
    }

    /// Its address.
    #[must_use]
    pub const fn at(&self) -> ForeignVa {
        self.at
    }

    /// `s_magic`.
    ///
    /// # Errors
    /// If it cannot be read, as for every method of this type.
    pub fn s_magic(&self) -> Result<u64, Error> {
        self.view
            .read_integer(self.at, MemberId::SUPER_BLOCK_S_MAGIC)
    }

    /// `s_root`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn s_root(&self) -> Result<ForeignVa, Error> {
        self.view
            .read_pointer(self.at, MemberId::SUPER_BLOCK_S_ROOT)
    }

    /// `1 << s_blocksize_bits`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn block_size(&self) -> Result<u64, Error> {
        let bits = self
            .view
            .read_integer_u32(self.at, MemberId::SUPER_BLOCK_S_BLOCKSIZE_BITS)?;
        Ok(1_u64.checked_shl(bits).unwrap_or(0))
    }

    /// The inodes of `s_inodes`.
    ///
    /// # Errors
    /// If the descriptor lacks the list.
    pub fn s_inodes(&self, budget: &Budget) -> Result<List<'v, M>, Error> {
        let head = self
            .view
            .address_of(self.at, MemberId::SUPER_BLOCK_S_INODES)?;
        let bound = Remaining::new(budget.inodes, Bound::Inodes);
        Ok(List::new(self.view, head, MemberId::INODE_I_SB_LIST, bound))
    }

    /// `j_commit_sequence` of the journal of an ext4 file system: the newest transaction that
    /// is on the disk. `None` without a journal.
    ///
    /// # Errors
    /// If it cannot be read, or this kernel's descriptor knows nothing of ext4.
    pub fn ext4_commit_sequence(&self) -> Result<Option<u32>, Error> {
        let info = self
            .view
            .read_pointer(self.at, MemberId::SUPER_BLOCK_S_FS_INFO)?;
        if info.is_null() {
            return Err(Error::new("ext4_sb_info", self.at, Fault::Null));
        }
        let journal = self
            .view
            .read_pointer(info, MemberId::EXT4_SB_INFO_S_JOURNAL)?;
        if journal.is_null() {
            return Ok(None);
        }
        let id = MemberId::JOURNAL_J_COMMIT_SEQUENCE;
        self.view.read_integer_u32(journal, id).map(Some)
    }
}
