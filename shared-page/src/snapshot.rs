//! Reading: copy once, validate the copy, use only that.

use crate::{Error, Section};
use handoff_abi::header::{HeaderError, PageHeader};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

impl Section {
    /// The section's page header, validated.
    ///
    /// # Errors
    /// [`Error::Header`].
    pub fn header(&self) -> Result<PageHeader, Error> {
        let mut header = PageHeader::new_zeroed();
        self.copy_out(0, header.as_mut_bytes())?;
        header
            .check(self.section())
            .map_err(|why| Error::Header(self.section().name, why))?;
        Ok(header)
    }

    /// As [`Section::header`], and of handover `generation`.
    ///
    /// # Errors
    /// [`Error::Header`].
    pub fn header_of(&self, generation: u64) -> Result<PageHeader, Error> {
        let header = self.header()?;
        if header.generation != generation {
            let why = HeaderError::Generation(header.generation);
            return Err(Error::Header(self.section().name, why));
        }
        Ok(header)
    }

    /// A copy of the `T` at `offset`. Nothing but its being inside is checked.
    ///
    /// # Errors
    /// [`Error::Offset`].
    pub fn snapshot<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T, Error> {
        let mut value = T::new_zeroed();
        self.copy_out(offset, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Copies the bytes at `offset` into memory of the caller's, for what is too large for the
    /// stack.
    ///
    /// # Errors
    /// [`Error::Offset`].
    pub fn snapshot_into(&self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        self.copy_out(offset, to)
    }
}
