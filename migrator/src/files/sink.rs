//! Who takes the files.

use crate::address::{ForeignVa, PhysAddr};
use crate::error::Error;
use crate::files::Path;
use crate::objects::inode::Times;

/// Most segments of one [`Sink::write`].
pub const MAX_SEGMENTS: usize = 64;
/// Most bytes of one [`Sink::write`]; well below what a kernel writes in one call.
pub const MAX_WRITE: u64 = 1 << 30;

/// A run of physical memory of the 1st OS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// First byte.
    pub pa: PhysAddr,
    /// Length, bytes.
    pub len: u32,
}

/// Why the sink could not take something: the 2nd OS is at fault. An errno, positive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SinkError(pub i32);

/// A file that has something to carry over.
#[derive(Clone, Copy, Debug)]
pub struct FileInfo<'a> {
    /// Inode number.
    pub ino: u64,
    /// Generation of the inode number; with it the file's handle.
    pub generation: u32,
    /// Type and permissions.
    pub mode: u16,
    /// Number of names.
    pub nlink: u32,
    /// Length, bytes.
    pub size: u64,
    /// Times.
    pub times: Times,
    /// Whether the journal on the disk may not know this state of the inode: its size, its name
    /// and its blocks may be newer. Such a file is announced even if it has no page to write.
    pub uncommitted: bool,
    /// Pages in the cache, clean ones too.
    pub nrpages: u64,
    /// One of its names; may be truncated or absent.
    pub path: &'a Path,
}

/// What was done for a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FileSummary {
    /// Pages found in its tree; equals `nrpages`.
    pub walked: u64,
    /// Pages handed over, in whole or in part.
    pub pages: u64,
    /// Bytes handed over.
    pub bytes: u64,
    /// Pages left out because the disk has them.
    pub clean: u64,
    /// Pages left out because they are beyond the end of the file.
    pub beyond: u64,
    /// Pages left out because what they hold was never the file's content.
    pub not_uptodate: u64,
}

/// A file of which something is lost. What is not known is `None` or empty.
#[derive(Clone, Copy, Debug)]
pub struct LostFile<'a> {
    /// Address of its inode in the 1st OS.
    pub inode: ForeignVa,
    /// Inode number.
    pub ino: Option<u64>,
    /// One of its names.
    pub path: &'a Path,
}

/// Why something of a file is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reason {
    /// Its inode, tree or a page cannot be read or believed.
    Broken(Error),
    /// The tree does not have as many pages as the address space says.
    Pages {
        /// Pages found.
        walked: u64,
        /// Pages there should be.
        expected: u64,
    },
    /// Pages were written in part and it is not known which.
    NotUptodate {
        /// So many.
        pages: u64,
    },
    /// Its pages are in another inode's address space, and some are not on the disk.
    ForeignMapping,
    /// The sink did not take it.
    Sink(SinkError),
}

/// Takes the files.
///
/// For each file: `begin_file`, any number of `write` with ascending offsets, and then exactly
/// one of `end_file` and `lost`. `lost` may also come for a file that was not begun. What was
/// written before a `lost` is right as far as it goes. An error loses that file only; it is
/// reported back through `lost`.
pub trait Sink {
    /// A file begins.
    ///
    /// # Errors
    /// If it cannot be taken.
    fn begin_file(&mut self, file: &FileInfo<'_>) -> Result<(), SinkError>;

    /// The file's content from `offset` on, in the order of `segments`: at most
    /// [`MAX_SEGMENTS`] of them and [`MAX_WRITE`] bytes.
    ///
    /// # Errors
    /// If it cannot be written in whole.
    fn write(&mut self, offset: u64, segments: &[Segment]) -> Result<(), SinkError>;

    /// The file is complete.
    ///
    /// # Errors
    /// If it cannot be completed.
    fn end_file(&mut self, summary: &FileSummary) -> Result<(), SinkError>;

    /// Something of a file is lost.
    fn lost(&mut self, file: &LostFile<'_>, reason: Reason);
}
