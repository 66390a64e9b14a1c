//! `struct inode`.

use handoff_abi::descriptor::{Kind, MemberId, TimeShape};

use crate::address::ForeignVa;
use crate::budget::{Budget, Remaining};
use crate::error::{Bound, Error, Fault};
use crate::memory::ForeignMemory;
use crate::objects::address_space::AddressSpace;
use crate::view::View;
use crate::walk::list::List;

const INODE: &str = "inode";
/// Type bits of `i_mode`.
const S_IFMT: u16 = 0o170_000;
/// A regular file.
const S_IFREG: u16 = 0o100_000;

/// A point in time, as the file system keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Time {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds; the kernel may keep flags above the 30th bit, which are masked out.
    pub nanoseconds: u32,
}

/// The times of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Times {
    /// Last read.
    pub access: Time,
    /// Last change of the content.
    pub modification: Time,
    /// Last change of the inode.
    pub change: Time,
}

/// A `struct inode`.
pub struct Inode<'v, M> {
    view: &'v View<'v, M>,
    at: ForeignVa,
}

impl<'v, M: ForeignMemory> Inode<'v, M> {
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

    /// `i_mode`.
    ///
    /// # Errors
    /// If it cannot be read, as for every method of this type.
    pub fn i_mode(&self) -> Result<u16, Error> {
        let mode = self
            .view
            .read_integer_u32(self.at, MemberId::INODE_I_MODE)?;
        u16::try_from(mode).map_err(|_| Error::new(INODE, self.at, Fault::Kind("i_mode")))
    }

    /// `i_sb`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn i_sb(&self) -> Result<ForeignVa, Error> {
        self.view.read_pointer(self.at, MemberId::INODE_I_SB)
    }

    /// `i_ino`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn i_ino(&self) -> Result<u64, Error> {
        self.view.read_integer(self.at, MemberId::INODE_I_INO)
    }

    /// `i_size`, bytes.
    ///
    /// # Errors
    /// If it cannot be read, or is negative.
    pub fn i_size(&self) -> Result<u64, Error> {
        let size = self.view.read_integer(self.at, MemberId::INODE_I_SIZE)?;
        if size.cast_signed() < 0 {
            return Err(Error::new(INODE, self.at, Fault::Size(size)));
        }
        Ok(size)
    }

    /// `i_nlink`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn i_nlink(&self) -> Result<u32, Error> {
        self.view.read_integer_u32(self.at, MemberId::INODE_I_NLINK)
    }

    /// `i_generation`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn i_generation(&self) -> Result<u32, Error> {
        self.view
            .read_integer_u32(self.at, MemberId::INODE_I_GENERATION)
    }

    /// Whether `i_state` says that the inode is not there yet, or no longer: `I_NEW`,
    /// `I_FREEING`, `I_WILL_FREE`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_absent(&self) -> Result<bool, Error> {
        let state = self.view.read_integer(self.at, MemberId::INODE_I_STATE)?;
        Ok(state & self.view.descriptor().hot().i_absent != 0)
    }

    /// `i_atime`, `i_mtime`, `i_ctime`, by the shape of times.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn times(&self) -> Result<Times, Error> {
        Ok(Times {
            access: self.time(MemberId::INODE_I_ATIME, MemberId::INODE_I_ATIME_NSEC)?,
            modification: self.time(MemberId::INODE_I_MTIME, MemberId::INODE_I_MTIME_NSEC)?,
            change: self.time(MemberId::INODE_I_CTIME, MemberId::INODE_I_CTIME_NSEC)?,
        })
    }

    fn time(&self, seconds: MemberId, nanoseconds: MemberId) -> Result<Time, Error> {
        let shape = self.view.descriptor().time_shape();
        let (seconds, nanoseconds) = match shape {
            TimeShape::SPLIT => (
                self.view.read_integer(self.at, seconds)?,
                self.view.read_integer(self.at, nanoseconds)?,
            ),
            TimeShape::TIMESPEC => {
                let at = self.view.address_of(self.at, seconds)?;
                let mut words = [0_u64; 2];
                self.view
                    .read(INODE, at, zerocopy::IntoBytes::as_mut_bytes(&mut words))?;
                let [seconds, nanoseconds] = words;
                (seconds, nanoseconds)
            }
            _ => {
                let fault = Fault::Shape {
                    shape: "inode times",
                    value: shape.0,
                };
                return Err(Error::new(INODE, self.at, fault));
            }
        };
        let nanoseconds = u32::try_from(nanoseconds & ((1 << 30) - 1)).unwrap_or(0);
        Ok(Time {
            seconds: seconds.cast_signed(),
            nanoseconds,
        })
    }

    /// `i_mapping`, and whether it is the inode's own `i_data`.
    ///
    /// # Errors
    /// If it cannot be read or is null.
    pub fn i_mapping(&self) -> Result<(AddressSpace<'v, M>, bool), Error> {
        let mapping = self.view.read_pointer(self.at, MemberId::INODE_I_MAPPING)?;
        if mapping.is_null() {
            return Err(Error::new("address_space", self.at, Fault::Null));
        }
        let own = self.view.address_of(self.at, MemberId::INODE_I_DATA)?;
        Ok((AddressSpace::new(self.view, mapping), mapping == own))
    }

    /// The dentries of `i_dentry`: an `hlist_head`, before 3.6 a `list_head`.
    ///
    /// # Errors
    /// If the descriptor lacks the list.
    pub fn i_dentry(&self, budget: &Budget) -> Result<List<'v, M>, Error> {
        let id = MemberId::INODE_I_DENTRY;
        let head = self.view.address_of(self.at, id)?;
        let bound = Remaining::new(u64::from(budget.aliases), Bound::Aliases);
        let member = self.view.descriptor().member(id);
        let new = if member.is_some_and(|member| member.kind == Kind::LIST_HEAD.0) {
            List::new
        } else {
            List::new_hlist
        };
        Ok(new(self.view, head, MemberId::DENTRY_D_ALIAS, bound))
    }

    /// Whether `i_pincount` of the `xfs_inode` around this inode is not zero: it has changes that
    /// are not in the log on the disk.
    ///
    /// # Errors
    /// If it cannot be read, or this kernel's descriptor knows nothing of xfs.
    pub fn xfs_is_pinned(&self) -> Result<bool, Error> {
        let xfs_inode = self
            .view
            .container_of(self.at, MemberId::XFS_INODE_I_VNODE)?;
        let at = self
            .view
            .address_of(xfs_inode, MemberId::XFS_INODE_I_PINCOUNT)?;
        let mut count = [0; 4];
        self.view.read("xfs_inode", at, &mut count)?;
        Ok(count != [0; 4])
    }

    /// `i_sync_tid` of the `ext4_inode_info` around this inode: the newest transaction that
    /// changed it.
    ///
    /// # Errors
    /// If it cannot be read, or this kernel's descriptor knows nothing of ext4.
    pub fn ext4_sync_tid(&self) -> Result<u32, Error> {
        let info = self
            .view
            .container_of(self.at, MemberId::EXT4_INODE_INFO_VFS_INODE)?;
        self.view
            .read_integer_u32(info, MemberId::EXT4_INODE_INFO_I_SYNC_TID)
    }
}

/// Whether `mode` is that of a regular file.
#[must_use]
pub const fn is_regular(mode: u16) -> bool {
    mode & S_IFMT == S_IFREG
}
