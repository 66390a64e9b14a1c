//! How much a walk may visit.
//!
//! The bounds need no guessing: distinct objects take distinct memory, so there are no more of
//! them than fit into the memory of the 1st OS. A structure that claims more leads in circles.

use handoff_abi::descriptor::{MemberId, PageTreeShape};

use crate::address::ForeignVa;
use crate::descriptor::Descriptor;
use crate::error::{Bound, Error, Fault};

/// Most names of one inode that are looked at for one that still is in its directory.
const ALIASES: u32 = 1024;
/// Most directories above a file; `PATH_MAX` allows 2048 components.
const PATH_DEPTH: u32 = 4096;

/// The bounds of one walk over a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Budget {
    /// Links of `s_inodes`.
    pub inodes: u64,
    /// Nodes of all page trees together.
    pub nodes: u64,
    /// Pages or folios of all files together.
    pub pages: u64,
    /// Names of an inode.
    pub aliases: u32,
    /// Directories above a file.
    pub path_depth: u32,
}

impl Budget {
    /// What fits into the memory of the kernel that `descriptor` describes.
    #[must_use]
    pub fn for_memory_of(descriptor: &Descriptor<'_>) -> Self {
        let memory = descriptor.address_space().direct_map_size;
        let fit = |id| {
            let size = descriptor.size_of(id).unwrap_or(1);
            memory.checked_div(size).unwrap_or(0)
        };
        let node = match descriptor.page_tree_shape() {
            PageTreeShape::RADIX => MemberId::RADIX_TREE_NODE_SIZE_OF,
            _ => MemberId::XA_NODE_SIZE_OF,
        };
        Self {
            inodes: fit(MemberId::INODE_SIZE_OF),
            nodes: fit(node),
            pages: descriptor.frames(),
            aliases: ALIASES,
            path_depth: PATH_DEPTH,
        }
    }
}

/// One bound, counted down.
#[derive(Clone, Copy, Debug)]
pub struct Remaining {
    left: u64,
    bound: Bound,
}

impl Remaining {
    /// `left` steps of what `bound` names.
    #[must_use]
    pub const fn new(left: u64, bound: Bound) -> Self {
        Self { left, bound }
    }

    /// Takes `n` steps, for the `object` at `at`.
    ///
    /// # Errors
    /// [`Fault::Exceeded`] if there are not so many left.
    pub fn take(&mut self, n: u64, object: &'static str, at: ForeignVa) -> Result<(), Error> {
        self.left =
            self.left
                .checked_sub(n)
                .ok_or(Error::new(object, at, Fault::Exceeded(self.bound)))?;
        Ok(())
    }
}

/// What is left of a [`Budget`] for the trees of a file system.
#[derive(Clone, Copy, Debug)]
pub struct TreeBudget {
    /// Nodes.
    pub nodes: Remaining,
    /// Pages.
    pub pages: Remaining,
}

impl TreeBudget {
    /// All of `budget`.
    #[must_use]
    pub const fn new(budget: &Budget) -> Self {
        Self {
            nodes: Remaining::new(budget.nodes, Bound::Nodes),
            pages: Remaining::new(budget.pages, Bound::Pages),
        }
    }
}
