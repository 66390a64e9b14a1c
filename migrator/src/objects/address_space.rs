//! `struct address_space`.

use handoff_abi::descriptor::{MemberId, PageTreeShape};

use crate::address::ForeignVa;
use crate::error::{Error, Fault};
use crate::memory::ForeignMemory;
use crate::view::View;
use crate::walk::xarray::{self, Marks};

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
    /// If they cannot be read, or the tree is of another shape than an xarray.
    pub fn root_marks(&self) -> Result<Marks, Error> {
        xarray::root_marks(self.view, self.i_pages()?)
    }

    /// Address of `i_pages`, an xarray.
    ///
    /// # Errors
    /// If the tree is of another shape.
    pub fn i_pages(&self) -> Result<ForeignVa, Error> {
        let shape = self.view.descriptor().page_tree_shape();
        match shape {
            PageTreeShape::XARRAY => self
                .view
                .address_of(self.at, MemberId::ADDRESS_SPACE_I_PAGES),
            // Radix trees keep their tags elsewhere and tell entries by other bits.
            _ => {
                let fault = Fault::Shape {
                    shape: shape.text().unwrap_or("page tree"),
                    value: shape.0,
                };
                Err(Error::new("address_space", self.at, fault))
            }
        }
    }
}
