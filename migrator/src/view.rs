//! The 1st OS as it is looked at: memory, addresses and offsets together.

use handoff_abi::descriptor::MemberId;
use zerocopy::IntoBytes;

use crate::address::ForeignVa;
use crate::descriptor::{is_scalar, name, structure, Descriptor};
use crate::error::{Error, Fault};
use crate::memory::ForeignMemory;
use crate::translate::Translator;

/// A foreign kernel. Everything else in this crate reads through it.
pub struct View<'a, M> {
    memory: &'a M,
    descriptor: Descriptor<'a>,
    translator: Translator,
}

impl<'a, M: ForeignMemory> View<'a, M> {
    /// The kernel in `memory` that `descriptor` describes.
    #[must_use]
    pub fn new(memory: &'a M, descriptor: Descriptor<'a>) -> Self {
        Self {
            memory,
            descriptor,
            translator: Translator::new(*descriptor.address_space()),
        }
    }

    /// Its physical memory.
    #[must_use]
    pub const fn memory(&self) -> &'a M {
        self.memory
    }

    /// Its offsets.
    #[must_use]
    pub const fn descriptor(&self) -> &Descriptor<'a> {
        &self.descriptor
    }

    /// Fills `buf` from `at`, which is in (or is) a structure called `object`.
    ///
    /// # Errors
    /// If any byte of it is not mapped or not memory.
    pub fn read(&self, object: &'static str, at: ForeignVa, buf: &mut [u8]) -> Result<(), Error> {
        let error = |fault| Error::new(object, at, fault);
        let mut rest = buf;
        let mut here = at;
        // Each round consumes at least a byte of `rest`: a mapping is never empty.
        while !rest.is_empty() {
            let mapping = self
                .translator
                .translate(self.memory, here)
                .map_err(error)?;
            let len = usize::try_from(mapping.len)
                .unwrap_or(usize::MAX)
                .min(rest.len());
            let (now, later) = core::mem::take(&mut rest)
                .split_at_mut_checked(len)
                .ok_or_else(|| error(Fault::Wraps))?;
            self.memory
                .read(mapping.at, now)
                .map_err(|e| error(Fault::Unreadable { at: e.at }))?;
            rest = later;
            if !rest.is_empty() {
                here = here
                    .checked_add(mapping.len)
                    .ok_or_else(|| error(Fault::Wraps))?;
            }
        }
        Ok(())
    }

    /// The byte at `at`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_u8(&self, object: &'static str, at: ForeignVa) -> Result<u8, Error> {
        let mut value = 0_u8;
        self.read(object, at, value.as_mut_bytes())?;
        Ok(value)
    }

    /// The 64-bit integer at `at`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_u64(&self, object: &'static str, at: ForeignVa) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.read(object, at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Address of member `id` of the object at `object`.
    ///
    /// # Errors
    /// [`Fault::Absent`] if this kernel has no such member; [`Fault::Null`] if `object` is null.
    pub fn address_of(&self, object: ForeignVa, id: MemberId) -> Result<ForeignVa, Error> {
        let error = |fault| Error::new(structure(id), object, fault);
        if object.is_null() {
            return Err(error(Fault::Null));
        }
        let offset = self
            .descriptor
            .offset_of(id)
            .ok_or_else(|| error(Fault::Absent(name(id))))?;
        object
            .checked_add(offset)
            .ok_or_else(|| error(Fault::Wraps))
    }

    /// Address of the object whose member `id` is at `member`.
    ///
    /// # Errors
    /// [`Fault::Absent`] if this kernel has no such member.
    pub fn container_of(&self, member: ForeignVa, id: MemberId) -> Result<ForeignVa, Error> {
        let error = |fault| Error::new(structure(id), member, fault);
        let offset = self
            .descriptor
            .offset_of(id)
            .ok_or_else(|| error(Fault::Absent(name(id))))?;
        member
            .checked_sub(offset)
            .ok_or_else(|| error(Fault::Wraps))
    }

    /// An integer member, by its width in this kernel, zero-extended.
    ///
    /// # Errors
    /// If it is absent, not a scalar, or cannot be read.
    pub fn read_integer(&self, object: ForeignVa, id: MemberId) -> Result<u64, Error> {
        let at = self.address_of(object, id)?;
        let error = |fault| Error::new(structure(id), object, fault);
        let member = self
            .descriptor
            .member(id)
            .ok_or_else(|| error(Fault::Absent(name(id))))?;
        let mut bytes = [0_u8; 8];
        let width = usize::try_from(member.size).unwrap_or(usize::MAX);
        let used = bytes
            .get_mut(..width)
            .filter(|_| is_scalar(member.kind))
            .ok_or_else(|| error(Fault::Kind(name(id))))?;
        self.read(structure(id), at, used)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A 32-bit integer member.
    ///
    /// # Errors
    /// As [`Self::read_integer`], and if it is wider.
    pub fn read_integer_u32(&self, object: ForeignVa, id: MemberId) -> Result<u32, Error> {
        u32::try_from(self.read_integer(object, id)?)
            .map_err(|_| Error::new(structure(id), object, Fault::Kind(name(id))))
    }

    /// A pointer member; may be null.
    ///
    /// # Errors
    /// If it is absent, not a pointer, or cannot be read.
    pub fn read_pointer(&self, object: ForeignVa, id: MemberId) -> Result<ForeignVa, Error> {
        self.read_integer(object, id).map(ForeignVa::new)
    }
}
