//! A byte ring in memory that another kernel reads.
//!
//! The bytes are those of [`handoff_abi::log::RingHeader`] and what follows it.
//! The page header in it belongs to whoever laid the memory out: it is neither
//! read nor written here. Byte number *n* since the start is at *n* mod `capacity`
//! of the data; `head` is the number of the next one and never decreases.
//!
//! # Reading
//!
//! The newest `min(head, capacity)` bytes are in the ring. A reader loads `head`
//! (acquire), copies, and loads `head` again: of the copy, bytes with a number
//! below the second value + [`MAX_PIECE`] - `capacity` may have been overwritten
//! meanwhile and are dropped. Frames end in a zero byte, so a reader skips to behind the first
//! zero (unless it has byte number 0) and ignores what follows the last.

use core::mem::offset_of;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicU8, Ordering};
use handoff_abi::log::RingHeader;

/// Bytes before the data.
pub const HEADER_LEN: usize = size_of::<RingHeader>();
/// No ring with less data than this: it could not hold a few frames.
pub const MIN_CAPACITY: usize = 256;
/// Bytes written at most between two updates of `head`.
pub const MAX_PIECE: usize = 64;

const HEAD_AT: usize = offset_of!(RingHeader, head);
const CAPACITY_AT: usize = offset_of!(RingHeader, capacity);
const RESERVED_AT: usize = offset_of!(RingHeader, reserved);

/// Why memory cannot be a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// The address is not a multiple of 64.
    Misaligned,
    /// Less than [`HEADER_LEN`] + [`MIN_CAPACITY`] bytes.
    TooSmall,
    /// The length does not fit the header's 32 bits.
    TooLarge,
}

/// The writing end.
///
/// Invariant: `base` is valid for atomic access to `HEADER_LEN + capacity`
/// bytes for as long as the `Ring` exists, and no other writer exists. Readers
/// in this kernel or the other may look at any time; every access is atomic.
pub struct Ring {
    base: NonNull<u8>,
    capacity: u32,
    head: u64,
}

// SAFETY: a `Ring` is the sole writer wherever it is, and it only holds a
// pointer to memory that every CPU sees at the same address.
unsafe impl Send for Ring {}

impl Ring {
    /// Sets up an empty ring in the `len` bytes at `base`.
    ///
    /// # Errors
    ///
    /// [`RingError`], and the memory is untouched.
    ///
    /// # Safety
    ///
    /// The bytes must be mapped, writable, accessed only atomically by others
    /// and written by nobody else, until the `Ring` is dropped.
    pub unsafe fn create(base: NonNull<u8>, len: usize) -> Result<Self, RingError> {
        if !base.addr().get().is_multiple_of(HEADER_LEN) {
            return Err(RingError::Misaligned);
        }
        let capacity = len.checked_sub(HEADER_LEN).ok_or(RingError::TooSmall)?;
        if capacity < MIN_CAPACITY {
            return Err(RingError::TooSmall);
        }
        let capacity = u32::try_from(capacity).map_err(|_| RingError::TooLarge)?;
        let ring = Self {
            base,
            capacity,
            head: 0,
        };
        for at in RESERVED_AT..HEADER_LEN {
            ring.byte(at).store(0, Ordering::Relaxed);
        }
        // Empty before the capacity counts: a reader that acquires a capacity
        // also sees the head that belongs to it.
        ring.head_field().store(0, Ordering::Relaxed);
        ring.capacity_field().store(capacity, Ordering::Release);
        Ok(ring)
    }

    /// Appends `bytes`, over the oldest ones where the ring is full.
    pub fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(MAX_PIECE) {
            for byte in piece {
                self.data(self.head).store(*byte, Ordering::Relaxed);
                self.head = self.head.wrapping_add(1);
            }
            // Publishes the piece; a reader acquires it with its load of head.
            self.head_field().store(self.head, Ordering::Release);
        }
    }

    fn head_field(&self) -> &AtomicU64 {
        // SAFETY: a whole field of the header, which the invariant covers.
        let field = unsafe { self.base.add(HEAD_AT) };
        // SAFETY: valid by the invariant; aligned because the base is, to 64,
        // and the field's offset to 8; everyone accesses it atomically.
        unsafe { AtomicU64::from_ptr(field.as_ptr().cast()) }
    }

    fn capacity_field(&self) -> &AtomicU32 {
        // SAFETY: a whole field of the header, which the invariant covers.
        let field = unsafe { self.base.add(CAPACITY_AT) };
        // SAFETY: as in `head_field`, with an offset that is a multiple of 4.
        unsafe { AtomicU32::from_ptr(field.as_ptr().cast()) }
    }

    fn data(&self, number: u64) -> &AtomicU8 {
        // The remainder is below `capacity`, a u32, so it fits a usize.
        self.byte(HEADER_LEN + (number % u64::from(self.capacity)) as usize)
    }

    /// The byte at `at`, which is below `HEADER_LEN + capacity`.
    fn byte(&self, at: usize) -> &AtomicU8 {
        debug_assert!(at < HEADER_LEN + self.capacity as usize);
        // SAFETY: inside what the invariant covers.
        let byte = unsafe { self.base.add(at) };
        // SAFETY: valid by the invariant; a byte has no alignment.
        unsafe { AtomicU8::from_ptr(byte.as_ptr()) }
    }
}

const _: () = assert!(HEAD_AT.is_multiple_of(8) && CAPACITY_AT.is_multiple_of(4));

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C, align(64))]
    struct Memory([u8; HEADER_LEN + 300]);

    fn memory() -> Box<Memory> {
        Box::new(Memory([0xaa; HEADER_LEN + 300]))
    }

    fn create(memory: &mut Memory, offset: usize, len: usize) -> Result<Ring, RingError> {
        let base = NonNull::from(&mut memory.0[offset]);
        // SAFETY: the tests keep the memory alive and look at it afterwards.
        unsafe { Ring::create(base, len) }
    }

    fn newest(memory: &Memory) -> Vec<u8> {
        let capacity =
            u32::from_le_bytes(memory.0[CAPACITY_AT..CAPACITY_AT + 4].try_into().unwrap()) as u64;
        let head = u64::from_le_bytes(memory.0[HEAD_AT..HEAD_AT + 8].try_into().unwrap());
        let from = head.saturating_sub(capacity);
        (from..head)
            .map(|n| memory.0[HEADER_LEN + (n % capacity) as usize])
            .collect()
    }

    #[test]
    fn header_is_that_of_the_abi() {
        let mut m = memory();
        let mut ring = create(&mut m, 0, HEADER_LEN + 300).unwrap();
        ring.write(b"abc");
        assert_eq!(&m.0[..32], &[0xaa; 32], "the page header is not ours");
        assert_eq!(&m.0[32..40], &[3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&m.0[40..44], &[44, 1, 0, 0]);
        assert_eq!(&m.0[44..64], &[0; 20]);
        assert_eq!(&m.0[64..68], b"abc\xaa");
    }

    #[test]
    fn keeps_the_newest_bytes() {
        let mut m = memory();
        let mut ring = create(&mut m, 0, HEADER_LEN + 300).unwrap();
        let all: Vec<u8> = (0..1000u32).map(|n| n as u8).collect();
        for part in all.chunks(77) {
            ring.write(part);
        }
        assert_eq!(newest(&m), &all[700..]);
    }

    #[test]
    fn one_write_may_exceed_the_ring() {
        let mut m = memory();
        let mut ring = create(&mut m, 0, HEADER_LEN + 300).unwrap();
        let all: Vec<u8> = (0..777u32).map(|n| n as u8).collect();
        ring.write(&all);
        assert_eq!(newest(&m), &all[477..]);
    }

    #[test]
    fn refuses_what_cannot_be_a_ring() {
        let mut m = memory();
        assert_eq!(create(&mut m, 8, 356).err(), Some(RingError::Misaligned));
        assert_eq!(create(&mut m, 0, 63).err(), Some(RingError::TooSmall));
        assert_eq!(create(&mut m, 0, 319).err(), Some(RingError::TooSmall));
        assert_eq!(create(&mut m, 0, 1 << 40).err(), Some(RingError::TooLarge));
        assert!(m.0.iter().all(|b| *b == 0xaa), "memory was touched");
    }
}
