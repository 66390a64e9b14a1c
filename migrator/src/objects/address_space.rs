//! `struct address_space`.

use handoff_abi::descriptor::MemberId;

use crate::address::ForeignVa;
use crate::error::{Error, Fault};
use crate::memory::ForeignMemory;
use crate::view::View;
use crate::walk::tree::{Marks, Tree};

/// A `struct address_space`.
pub struct AddressSpace<'v, M> {
    view: &'v View<'v, M>,
    at: ForeignVa,
}

impl<'v, M: ForeignMemory> AddressSpace<'v, M> {
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

    /// `host`.
    ///
    /// # Errors
    /// If it cannot be read, as for every method of this type.
    pub fn host(&self) -> Result<ForeignVa, Error> {
        self.view
            .read_pointer(self.at, MemberId::ADDRESS_SPACE_HOST)
    }

    /// `nrpages`.
    ///
    /// # Errors
    /// If it cannot be read, or there is not so much memory.
    pub fn nrpages(&self) -> Result<u64, Error> {
        let pages = self
            .view
            .read_integer(self.at, MemberId::ADDRESS_SPACE_NRPAGES)?;
        if pages > self.view.descriptor().frames() {
            return Err(Error::new(
                "address_space",
                self.at,
                Fault::PageCount(pages),
            ));
        }
        Ok(pages)
    }

    /// The marks of `i_pages` as a whole.
    ///
    /// # Errors
    /// If they cannot be read, or the tree is of a shape that is not known.
    pub fn root_marks(&self) -> Result<Marks, Error> {
        self.i_pages()?.root_marks(self.view)
    }

    /// `i_pages`.
    ///
    /// # Errors
    /// If the tree is of a shape that is not known.
    pub fn i_pages(&self) -> Result<Tree, Error> {
        let at = self
            .view
            .address_of(self.at, MemberId::ADDRESS_SPACE_I_PAGES)?;
        Tree::new(self.view, at)
    }
}
