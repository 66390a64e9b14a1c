//! The handoff region as userland sees it.
#![allow(
    unsafe_code,
    reason = "hands the mapping to shared-page, its only user"
)]

use crate::device::{Device, Memory};
use anyhow::{bail, ensure, Context, Result};
use handoff_abi::blob::BlobHeader;
use handoff_abi::checksum::crc32;
use handoff_abi::control::{ControlPage, StopWord};
use handoff_abi::header::{HeaderPage, PageHeader};
use handoff_abi::log::RingHeader;
use handoff_abi::loss::LossHeader;
use handoff_abi::machine::MachinePage;
use handoff_abi::region::{self, Section as Place, REGION_SIZE};
use handoff_abi::status::{Reason, SecondState};
use handoff_abi::timeline::TimelinePage;
use shared_page::Section;
use std::mem::offset_of;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

const BLOB: usize = size_of::<BlobHeader>();

/// A mapped handoff region.
#[derive(Debug)]
pub struct Region {
    memory: Memory,
}

impl Region {
    /// The region at physical address `at`.
    ///
    /// # Errors
    /// It cannot be mapped.
    pub fn map(device: &Device, at: u64) -> Result<Self> {
        Ok(Self {
            memory: device.map(at, REGION_SIZE)?,
        })
    }

    /// One of its sections.
    ///
    /// # Errors
    /// The section is not inside, which a whole mapping rules out.
    pub fn section(&self, place: Place) -> Result<Section> {
        // SAFETY: the mapping is as long as the region and lives in `self`; sections do not leave
        // the functions of this crate, which keep the region alive. Nothing takes a reference
        // into it.
        let section = unsafe { Section::new(self.memory.as_ptr(), self.memory.len(), place) };
        section.with_context(|| format!("the {} section", place.name))
    }

    /// A copy of a whole page type of the section, its header checked.
    ///
    /// # Errors
    /// The header is not valid.
    pub fn read<T: FromBytes + IntoBytes>(&self, place: Place) -> Result<Box<T>> {
        let section = self.section(place)?;
        section.header()?;
        let mut value = T::new_box_zeroed().ok().context("out of memory")?;
        section.snapshot_into(0, (*value).as_mut_bytes())?;
        Ok(value)
    }

    /// CRC-32 of the first `len` bytes of a section.
    ///
    /// # Errors
    /// The section is not that long.
    pub fn checksum(&self, place: Place, len: usize) -> Result<u32> {
        let mut bytes = vec![0; len];
        self.section(place)?.snapshot_into(0, &mut bytes)?;
        let mut crc = flate2::Crc::new();
        crc.update(&bytes);
        Ok(crc.sum())
    }

    /// The region's first page.
    ///
    /// # Errors
    /// It is not valid.
    pub fn header(&self) -> Result<Box<HeaderPage>> {
        self.read(region::HEADER)
    }

    /// The machine as the 1st OS described it.
    ///
    /// # Errors
    /// The page is not valid.
    pub fn machine(&self) -> Result<Box<MachinePage>> {
        self.read(region::MACHINE)
    }

    /// Stamps and counters.
    ///
    /// # Errors
    /// The page is not valid.
    pub fn timeline(&self) -> Result<Box<TimelinePage>> {
        self.read(region::TIMELINE)
    }

    /// What the 2nd OS is doing.
    ///
    /// # Errors
    /// The page is not accessible.
    pub fn second_state(&self) -> Result<SecondState> {
        let control = self.section(region::CONTROL)?;
        Ok(SecondState(
            control.load_u32(offset_of!(ControlPage, second_state))?,
        ))
    }

    /// Says what the 2nd OS is doing.
    ///
    /// # Errors
    /// The page is not accessible.
    pub fn set_second_state(&self, state: SecondState) -> Result<()> {
        let control = self.section(region::CONTROL)?;
        Ok(control.store_u32(offset_of!(ControlPage, second_state), state.0)?)
    }

    /// The stop word.
    ///
    /// # Errors
    /// The page is not accessible.
    pub fn stop_word(&self) -> Result<StopWord> {
        let control = self.section(region::CONTROL)?;
        Ok(StopWord::from_bits(
            control.load_u64(offset_of!(ControlPage, stop_word))?,
        ))
    }

    /// Leaves the reason of a failure for the other side, cut to fit.
    ///
    /// # Errors
    /// The page is not accessible.
    pub fn set_failure(&self, reason: Reason, message: &str) -> Result<()> {
        let mut text = [0u8; 256];
        let room = text.len() - 1;
        for (to, from) in text.iter_mut().take(room).zip(message.bytes()) {
            *to = from;
        }
        let control = self.section(region::CONTROL)?;
        control.publish(offset_of!(ControlPage, message), &text)?;
        Ok(control.store_u32(offset_of!(ControlPage, reason), reason.0)?)
    }

    /// The failure's words that the other side left.
    ///
    /// # Errors
    /// The page is not accessible.
    pub fn failure(&self) -> Result<(Reason, String)> {
        let control = self.section(region::CONTROL)?;
        let text: [u8; 256] = control.snapshot(offset_of!(ControlPage, message))?;
        let reason = Reason(control.load_u32(offset_of!(ControlPage, reason))?);
        Ok((reason, text_of(&text)))
    }

    /// Writes a blob.
    ///
    /// # Errors
    /// It is longer than its section.
    pub fn write_blob(&self, place: Place, generation: u64, bytes: &[u8]) -> Result<()> {
        let section = self.section(place)?;
        ensure!(
            bytes.len() <= place.size - BLOB,
            "the {} has {} bytes, there is room for {}",
            place.name,
            bytes.len(),
            place.size - BLOB
        );
        let mut header = BlobHeader::new_zeroed();
        header.header = PageHeader::new(place, generation);
        header.length = u32::try_from(bytes.len())?;
        header.crc32 = crc32(bytes);
        section.publish(BLOB, bytes)?;
        Ok(section.publish(0, &header)?)
    }

    /// Reads a blob and checks it; `None` if it was never written.
    ///
    /// # Errors
    /// It is corrupt.
    pub fn read_blob(&self, place: Place) -> Result<Option<Vec<u8>>> {
        let section = self.section(place)?;
        section.header()?;
        let header: BlobHeader = section.snapshot(0)?;
        let length = usize::try_from(header.length)?;
        if length == 0 {
            return Ok(None);
        }
        ensure!(
            header.reserved.iter().all(|&byte| byte == 0),
            "the {} is corrupt: a reserved field is not zero",
            place.name
        );
        ensure!(
            length <= place.size - BLOB,
            "the {} is longer than its place",
            place.name
        );
        let mut bytes = vec![0; length];
        section.snapshot_into(BLOB, &mut bytes)?;
        if crc32(&bytes) != header.crc32 {
            bail!("the {} is corrupt: its checksum does not match", place.name);
        }
        Ok(Some(bytes))
    }

    /// What could not be carried over, and how many more found no room in the list.
    ///
    /// # Errors
    /// The list is corrupt.
    pub fn losses(&self) -> Result<(Vec<String>, u32)> {
        let section = self.section(region::LOSSES)?;
        section.header()?;
        let header: LossHeader = section.snapshot(0)?;
        let length = usize::try_from(header.length)?;
        let start = size_of::<LossHeader>();
        ensure!(
            length <= region::LOSSES.size - start,
            "the list of losses is corrupt"
        );
        let mut bytes = vec![0; length];
        section.snapshot_into(start, &mut bytes)?;
        let mut losses = Vec::new();
        let mut rest = bytes.as_slice();
        while let [low, high, tail @ ..] = rest {
            let size = usize::from(u16::from_le_bytes([*low, *high]));
            let record = tail.get(..size).context("the list of losses is corrupt")?;
            losses.push(String::from_utf8_lossy(record).into_owned());
            rest = tail.get(size..).unwrap_or_default();
        }
        Ok((losses, header.dropped))
    }

    /// Appends one loss.
    ///
    /// # Errors
    /// The page is not accessible.
    pub fn add_loss(&self, text: &str) -> Result<()> {
        let section = self.section(region::LOSSES)?;
        let mut header: LossHeader = section.snapshot(0)?;
        let at = size_of::<LossHeader>() + usize::try_from(header.length)?;
        let record = text
            .as_bytes()
            .get(..text.len().min(1500))
            .unwrap_or_default();
        if at + 2 + record.len() > region::LOSSES.size {
            header.dropped = header.dropped.saturating_add(1);
        } else {
            section.publish(at, &u16::try_from(record.len())?)?;
            section.publish(at + 2, record)?;
            header.length += u32::try_from(2 + record.len())?;
            header.count += 1;
        }
        Ok(section.publish(0, &header)?)
    }

    /// Appends text to a ring.
    ///
    /// # Errors
    /// The page is not accessible.
    pub fn append_text(&self, place: Place, text: &[u8]) -> Result<()> {
        let section = self.section(place)?;
        let capacity = place.size - size_of::<RingHeader>();
        let head_at = offset_of!(RingHeader, head);
        let mut head = section.load_u64(head_at)?;
        for chunk in text.chunks(256) {
            for byte in chunk {
                let at = usize::try_from(head % capacity as u64)?;
                section.publish(size_of::<RingHeader>() + at, byte)?;
                head = head.wrapping_add(1);
            }
            section.store_u64(head_at, head)?;
        }
        Ok(())
    }

    /// The newest bytes of a ring.
    ///
    /// # Errors
    /// The page is not accessible.
    pub fn ring(&self, place: Place) -> Result<Vec<u8>> {
        let section = self.section(place)?;
        let start = size_of::<RingHeader>();
        let capacity = place.size - start;
        let mut bytes = vec![0; capacity];
        let head = section.load_u64(offset_of!(RingHeader, head))?;
        section.snapshot_into(start, &mut bytes)?;
        let end = usize::try_from(head % capacity as u64)?;
        if head < capacity as u64 {
            bytes.truncate(end);
        } else {
            bytes.rotate_left(end);
        }
        Ok(bytes)
    }
}

/// The text of a NUL-terminated field.
#[must_use]
pub fn text_of(field: &[u8]) -> String {
    let text = field.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// `text` as a NUL-terminated field, cut to fit.
#[must_use]
pub fn field<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().take(N - 1).zip(text.bytes()) {
        *to = from;
    }
    bytes
}
