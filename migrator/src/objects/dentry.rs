//! `struct dentry`, and the path it is the end of.

use handoff_abi::descriptor::MemberId;

use crate::address::ForeignVa;
use crate::budget::{Budget, Remaining};
use crate::error::{Bound, Error, Fault};
use crate::files::Path;
use crate::memory::ForeignMemory;
use crate::objects::inode::Inode;
use crate::view::View;
use crate::walk::list::CycleGuard;

const DENTRY: &str = "dentry";
/// `NAME_MAX`.
const NAME_MAX: usize = 255;
/// Offset of `pprev` in a hash link; null when the name was removed.
const PPREV: u64 = 8;

/// A `struct dentry`.
pub struct Dentry<'v, M> {
    view: &'v View<'v, M>,
    at: ForeignVa,
}

impl<'v, M: ForeignMemory> Dentry<'v, M> {
    /// The one at `at`.
    #[must_use]
    pub const fn new(view: &'v View<'v, M>, at: ForeignVa) -> Self {
        Self { view, at }
    }

    /// `d_parent`; its own address for a root.
    ///
    /// # Errors
    /// If it cannot be read, as for every method of this type.
    pub fn d_parent(&self) -> Result<ForeignVa, Error> {
        self.view.read_pointer(self.at, MemberId::DENTRY_D_PARENT)
    }

    /// Whether `d_hash` says that the name was removed.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_unhashed(&self) -> Result<bool, Error> {
        if !self.view.descriptor().has(MemberId::DENTRY_D_HASH) {
            return Ok(false);
        }
        let link = self.view.address_of(self.at, MemberId::DENTRY_D_HASH)?;
        let pprev = link
            .checked_add(PPREV)
            .ok_or(Error::new(DENTRY, self.at, Fault::Wraps))?;
        Ok(self.view.read_u64(DENTRY, pprev)? == 0)
    }

    /// `d_name`, into `buffer`.
    ///
    /// # Errors
    /// If it cannot be read, or no file could have such a name.
    pub fn d_name<'b>(&self, buffer: &'b mut [u8; NAME_MAX]) -> Result<&'b [u8], Error> {
        let error = |fault| Error::new(DENTRY, self.at, fault);
        let qstr = self.view.address_of(self.at, MemberId::DENTRY_D_NAME)?;
        let len = self.view.read_integer(qstr, MemberId::QSTR_LEN)?;
        let bytes = usize::try_from(len)
            .ok()
            .filter(|len| *len > 0)
            .and_then(|len| buffer.get_mut(..len))
            .ok_or_else(|| error(Fault::NameLength(len)))?;
        let name = self.view.read_pointer(qstr, MemberId::QSTR_NAME)?;
        self.view.read(DENTRY, name, bytes)?;
        if bytes == b"." || bytes == b".." || bytes.iter().any(|byte| matches!(byte, 0 | b'/')) {
            return Err(error(Fault::Name));
        }
        Ok(bytes)
    }
}

/// Puts into `path` a path of `inode` below `root`, the root of its file system; absent if it
/// has none.
///
/// # Errors
/// If the chain of its dentries cannot be read or believed; the path is absent then.
pub fn path_of<M: ForeignMemory>(
    view: &View<'_, M>,
    inode: &Inode<'_, M>,
    root: ForeignVa,
    budget: &Budget,
    path: &mut Path,
) -> Result<(), Error> {
    path.clear();
    let mut aliases = inode.i_dentry(budget)?;
    // Bounded by the list's own budget.
    while let Some(alias) = aliases.next_object()? {
        if Dentry::new(view, alias).is_unhashed()? {
            continue;
        }
        let result = climb(view, alias, root, budget, path);
        if result.is_err() {
            path.clear();
        }
        return result;
    }
    Ok(())
}

/// Prepends the names from `alias` up to `root`.
fn climb<M: ForeignMemory>(
    view: &View<'_, M>,
    alias: ForeignVa,
    root: ForeignVa,
    budget: &Budget,
    path: &mut Path,
) -> Result<(), Error> {
    let mut name = [0; NAME_MAX];
    let mut at = alias;
    let mut guard = CycleGuard::new(at);
    let mut depth = Remaining::new(u64::from(budget.path_depth), Bound::PathDepth);
    while at != root {
        depth.take(1, DENTRY, at)?;
        let dentry = Dentry::new(view, at);
        let parent = dentry.d_parent()?;
        if parent == at {
            return Err(Error::new(DENTRY, alias, Fault::NotTheRoot(at)));
        }
        if guard.closes(parent) {
            return Err(Error::new(DENTRY, parent, Fault::Cycle));
        }
        path.prepend(dentry.d_name(&mut name)?);
        at = parent;
    }
    Ok(())
}
