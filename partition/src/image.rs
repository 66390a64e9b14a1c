//! The memory that is being prepared: the partition, and the window below 1 MiB.

use core::fmt;

/// Why something could not be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// `len` bytes at physical address `at` are not inside the partition or the low window.
    Outside {
        /// Physical address.
        at: u64,
        /// Length, bytes.
        len: usize,
    },
    /// A table needs more room than the layout gives it.
    NoRoom {
        /// Which table.
        what: &'static str,
        /// Room there is, bytes or entries.
        room: usize,
    },
    /// The partition is too small for what it has to hold.
    TooSmall {
        /// Bytes needed.
        needed: u64,
        /// Bytes there are.
        size: u64,
    },
    /// A number is out of the range the format can hold.
    Range {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Outside { at, len } => write!(
                f,
                "{len} bytes at {at:#x} are outside the partition and the low window"
            ),
            Self::NoRoom { what, room } => write!(f, "the {what} needs more room than {room}"),
            Self::TooSmall { needed, size } => write!(
                f,
                "the partition has {size} bytes and needs {needed}; give it more with --memory"
            ),
            Self::Range { what, value } => write!(f, "{what} cannot be {value:#x}"),
        }
    }
}

impl core::error::Error for Error {}

/// The partition and the low window as byte slices with their physical addresses.
#[derive(Debug)]
pub struct Image<'a> {
    base: u64,
    partition: &'a mut [u8],
    low_base: u64,
    low: &'a mut [u8],
}

impl<'a> Image<'a> {
    /// The memory at physical `base` is `partition`, that at `low_base` is `low`.
    pub fn new(base: u64, partition: &'a mut [u8], low_base: u64, low: &'a mut [u8]) -> Self {
        Self {
            base,
            partition,
            low_base,
            low,
        }
    }

    /// The `len` bytes at physical address `at`.
    ///
    /// # Errors
    /// [`Error::Outside`].
    pub fn bytes_at(&mut self, at: u64, len: usize) -> Result<&mut [u8], Error> {
        let outside = Error::Outside { at, len };
        let (base, memory) = if at >= self.base {
            (self.base, &mut *self.partition)
        } else {
            (self.low_base, &mut *self.low)
        };
        let start = at
            .checked_sub(base)
            .and_then(|start| usize::try_from(start).ok())
            .ok_or(outside)?;
        let end = start.checked_add(len).ok_or(outside)?;
        memory.get_mut(start..end).ok_or(outside)
    }

    /// Copies `bytes` to physical address `at`.
    ///
    /// # Errors
    /// [`Error::Outside`].
    pub fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        self.bytes_at(at, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes a little-endian 64-bit word.
    ///
    /// # Errors
    /// [`Error::Outside`].
    pub fn write_u64(&mut self, at: u64, value: u64) -> Result<(), Error> {
        self.write(at, &value.to_le_bytes())
    }

    /// Zeroes `len` bytes.
    ///
    /// # Errors
    /// [`Error::Outside`].
    pub fn zero(&mut self, at: u64, len: usize) -> Result<(), Error> {
        self.bytes_at(at, len)?.fill(0);
        Ok(())
    }
}
