//! Collects what is contiguous in the file into one write.

use crate::address::PhysAddr;
use crate::files::sink::{Segment, Sink, SinkError, MAX_SEGMENTS, MAX_WRITE};

/// A write being collected.
pub(super) struct Batch {
    /// File offset of its first byte.
    offset: u64,
    /// Its length, bytes.
    len: u64,
    segments: heapless::Vec<Segment, MAX_SEGMENTS>,
}

impl Batch {
    pub(super) const fn new() -> Self {
        Self {
            offset: 0,
            len: 0,
            segments: heapless::Vec::new(),
        }
    }

    /// Adds `len` bytes of the file, at most [`MAX_WRITE`], that are at `pa`.
    pub(super) fn push<S: Sink>(
        &mut self,
        sink: &mut S,
        offset: u64,
        pa: PhysAddr,
        len: u64,
    ) -> Result<(), SinkError> {
        let total = self.len.saturating_add(len);
        let continues = self.offset.checked_add(self.len) == Some(offset) && total <= MAX_WRITE;
        if continues && self.extend_last(pa, len) {
            self.len = total;
            return Ok(());
        }
        if !continues || self.segments.is_full() {
            self.flush(sink)?;
        }
        if self.segments.is_empty() {
            self.offset = offset;
        }
        // Neither can fail: a folio is shorter than 4 GiB, and there is room.
        let len32 = u32::try_from(len).map_err(|_| SinkError(EFBIG))?;
        self.segments
            .push(Segment { pa, len: len32 })
            .map_err(|_| SinkError(EFBIG))?;
        self.len = self.len.saturating_add(len);
        Ok(())
    }

    /// Hands over what was collected.
    pub(super) fn flush<S: Sink>(&mut self, sink: &mut S) -> Result<(), SinkError> {
        if self.segments.is_empty() {
            return Ok(());
        }
        let result = sink.write(self.offset, &self.segments);
        self.segments.clear();
        self.len = 0;
        result
    }

    /// Makes the last segment longer if `pa` follows it.
    fn extend_last(&mut self, pa: PhysAddr, len: u64) -> bool {
        let Some(last) = self.segments.last_mut() else {
            return false;
        };
        let follows = last.pa.checked_add(u64::from(last.len)) == Some(pa);
        let longer = u64::from(last.len)
            .checked_add(len)
            .and_then(|len| u32::try_from(len).ok());
        match longer {
            Some(longer) if follows => {
                last.len = longer;
                true
            }
            _ => false,
        }
    }
}

/// `EFBIG`.
const EFBIG: i32 = 27;
