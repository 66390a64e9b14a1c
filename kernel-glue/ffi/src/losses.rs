//! The list of what could not be carried over, written without text formatting.

use core::mem::{offset_of, size_of};
use handoff_abi::loss::LossHeader;
use handoff_abi::region;
use migrator::files::{LostFile, Reason};
use shared_page::Section;

const LENGTH: usize = offset_of!(LossHeader, length);
const COUNT: usize = offset_of!(LossHeader, count);
const DROPPED: usize = offset_of!(LossHeader, dropped);
const RECORDS: usize = size_of::<LossHeader>();
/// Longest record; a path of 1024 bytes, a mount point and a reason.
const RECORD: usize = 1664;

/// The loss section of a handoff region.
pub struct Losses {
    section: Section,
}

impl Losses {
    /// Appends to the list in `section`.
    pub fn new(section: Section) -> Self {
        Self { section }
    }

    /// Adds `file`, below `mount_point`.
    pub fn add(&mut self, mount_point: &[u8], file: &LostFile<'_>, reason: Reason) {
        let mut text = Text::new();
        text.push(if mount_point == b"/" {
            b""
        } else {
            mount_point
        });
        if file.path.is_absent() {
            text.push(b"/(inode ");
            text.push_number(file.ino.unwrap_or(0));
            text.push(b")");
        } else {
            text.push(file.path.as_bytes());
        }
        text.push(b": ");
        describe(&mut text, reason);
        if self.append(text.as_bytes()).is_none() {
            let dropped = self.section.load_u32(DROPPED).unwrap_or(0);
            // Cannot fail: the offset is a constant inside the section.
            let _ = self.section.store_u32(DROPPED, dropped.saturating_add(1));
        }
    }

    fn append(&mut self, record: &[u8]) -> Option<()> {
        let length = self.section.load_u32(LENGTH).ok()?;
        let at = RECORDS.checked_add(usize::try_from(length).ok()?)?;
        let size = u16::try_from(record.len()).ok()?;
        let end = at.checked_add(2)?.checked_add(record.len())?;
        if end > region::LOSSES.size {
            return None;
        }
        self.section.publish(at, &size).ok()?;
        self.section.publish(at.checked_add(2)?, record).ok()?;
        let count = self.section.load_u32(COUNT).ok()?;
        self.section
            .store_u32(COUNT, count.saturating_add(1))
            .ok()?;
        self.section
            .store_u32(LENGTH, u32::try_from(end.checked_sub(RECORDS)?).ok()?)
            .ok()
    }
}

fn describe(text: &mut Text, reason: Reason) {
    match reason {
        Reason::Broken(error) => {
            text.push(error.object.as_bytes());
            text.push(b" ");
            text.push(error.fault.text().as_bytes());
        }
        Reason::Pages { walked, expected } => {
            text.push(b"found ");
            text.push_number(walked);
            text.push(b" of ");
            text.push_number(expected);
            text.push(b" pages");
        }
        Reason::NotUptodate { pages } => {
            text.push_number(pages);
            text.push(b" pages were being written in part");
        }
        Reason::ForeignMapping => text.push(b"its pages belong to another inode"),
        Reason::Sink(error) => {
            text.push(b"could not be written, error ");
            text.push_number(u64::from(error.0.unsigned_abs()));
        }
    }
}

/// A record under construction; what does not fit is cut off.
struct Text(heapless::Vec<u8, RECORD>);

impl Text {
    const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.0.push(byte).is_err() {
                return;
            }
        }
    }

    fn push_number(&mut self, mut number: u64) {
        let mut digits: heapless::Vec<u8, 20> = heapless::Vec::new();
        // At most 20 digits: a 64-bit number is divided by ten each round.
        loop {
            let digit = number.checked_rem(10).unwrap_or(0);
            let _ = digits.push(b'0'.saturating_add(u8::try_from(digit).unwrap_or(0)));
            number = number.checked_div(10).unwrap_or(0);
            if number == 0 {
                break;
            }
        }
        for &digit in digits.iter().rev() {
            self.push(&[digit]);
        }
    }
}
