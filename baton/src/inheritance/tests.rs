//! Every word of what the agent goes by, changed one at a time.

use super::*;
use crate::device::Device;
use handoff_abi::blob::BlobHeader;
use handoff_abi::control::ControlPage;
use handoff_abi::header::{HeaderPage, PageHeader};
use handoff_abi::region::{REGION_SIZE, SECTIONS};
use std::os::unix::fs::FileExt;
use zerocopy::{FromZeros, IntoBytes};

const GENERATION: u64 = 3;

/// A region in a file: what `load` and `update` write, with random content where the content does
/// not matter.
struct Fake {
    file: std::fs::File,
    region: Region,
}

impl Fake {
    fn new() -> Self {
        let file = tempfile::tempfile().unwrap();
        file.set_len(REGION_SIZE as u64).unwrap();
        let device = Device::over(file.try_clone().unwrap());
        let region = Region::map(&device, 0).unwrap();
        let mut random = 0x9e37_79b9_u32;
        for &place in SECTIONS {
            let mut bytes = vec![0; place.size];
            if LASTING.contains(&place) {
                bytes.fill_with(|| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (random >> 24) as u8
                });
            }
            let header = PageHeader::new(place, GENERATION);
            bytes[..size_of::<PageHeader>()].copy_from_slice(header.as_bytes());
            file.write_all_at(&bytes, place.offset as u64).unwrap();
        }
        let fake = Self { file, region };
        fake.put(region::CONTROL, ControlPage::new(GENERATION).as_bytes());
        let mut header = HeaderPage::new_box_zeroed().unwrap();
        header.header = PageHeader::new(region::HEADER, GENERATION);
        header.second_release[..3].copy_from_slice(b"7.3");
        fake.put(region::HEADER, header.as_bytes());
        fake
    }

    fn put(&self, place: Place, bytes: &[u8]) {
        self.file.write_all_at(bytes, place.offset as u64).unwrap();
    }

    /// As `baton load` and then `baton update` leave it.
    fn left() -> (Self, SystemSnapshot) {
        let fake = Self::new();
        seal(&fake.region, GENERATION).unwrap();
        let system = SystemSnapshot::take().unwrap();
        let network = Snapshot::take().unwrap().to_bytes().unwrap();
        let mut page = FilesystemPage::new_box_zeroed().unwrap();
        page.header = PageHeader::new(region::FILESYSTEMS, GENERATION);
        page.count = 2;
        page.entries[1].mount_point[..5].copy_from_slice(b"/home");
        fake.put(region::FILESYSTEMS, page.as_bytes());
        leave(&fake.region, GENERATION, &system.to_bytes().unwrap()).unwrap();
        fake.region
            .write_blob(region::NETWORK, GENERATION, &network)
            .unwrap();
        (fake, system)
    }

    fn blob_len(&self, place: Place) -> usize {
        let header: BlobHeader = self.region.section(place).unwrap().snapshot(0).unwrap();
        size_of::<BlobHeader>() + header.length as usize
    }

    /// Changes each word of `range` in turn; those that `read` does not see.
    fn unseen(&self, place: Place, len: usize) -> Vec<usize> {
        let section = self.region.section(place).unwrap();
        let mut unseen = Vec::new();
        for at in (0..len & !3).step_by(4) {
            let old = section.load_u32(at).unwrap();
            for flip in [1, 0x8000_0000, u32::MAX] {
                section.store_u32(at, old ^ flip).unwrap();
                if Inheritance::read(&self.region).is_ok() {
                    unseen.push(at);
                }
            }
            section.store_u32(at, old).unwrap();
        }
        unseen
    }
}

#[test]
fn what_is_left_is_read() {
    let (fake, system) = Fake::left();
    let read = Inheritance::read(&fake.region).unwrap();
    assert_eq!(read.system.kernel_release, system.kernel_release);
    assert_eq!(read.filesystems.count, 2);
}

#[test]
fn any_word_of_a_page_that_lasts_is_missed() {
    let (fake, _) = Fake::left();
    // The whole header page; of the larger ones, headers and every other page's first words are
    // enough for a checksum over all of it.
    assert!(fake.unseen(region::HEADER, region::HEADER.size).is_empty());
    for place in [region::MACHINE, region::DESCRIPTOR] {
        assert!(fake.unseen(place, 256).is_empty(), "{}", place.name);
        let section = fake.region.section(place).unwrap();
        let last = place.size - 4;
        let old = section.load_u32(last).unwrap();
        section.store_u32(last, old ^ 1).unwrap();
        let error = Inheritance::read(&fake.region).unwrap_err().to_string();
        assert!(error.contains(place.name) && error.contains("baton unload"));
        section.store_u32(last, old).unwrap();
    }
    let entries = offset_of!(FilesystemPage, entries);
    let used = entries + 2 * size_of::<FilesystemEntry>();
    assert!(fake.unseen(region::FILESYSTEMS, used).is_empty());
}

#[test]
fn any_word_of_a_header_or_a_blob_is_missed() {
    let (fake, _) = Fake::left();
    for place in HEADED {
        let unseen = fake.unseen(place, size_of::<PageHeader>());
        assert!(unseen.is_empty(), "{}: {unseen:?}", place.name);
    }
    for place in [region::SYSTEM, region::NETWORK] {
        let mut unseen = fake.unseen(place, fake.blob_len(place));
        // It numbers the writes; nothing is decided by it.
        let sequence = offset_of!(BlobHeader, sequence);
        unseen.retain(|at| !(sequence..sequence + 8).contains(at));
        assert!(unseen.is_empty(), "{}: {unseen:?}", place.name);
    }
    Inheritance::read(&fake.region).unwrap();
}

#[test]
fn an_update_does_not_seal_what_has_changed() {
    let fake = Fake::new();
    seal(&fake.region, GENERATION).unwrap();
    let machine = fake.region.section(region::MACHINE).unwrap();
    machine.store_u32(64, 0xbad).unwrap();
    let error = leave(&fake.region, GENERATION, b"x").unwrap_err();
    assert!(error.to_string().contains("machine"), "{error:#}");
}

#[test]
fn nothing_is_read_before_an_update_left_it() {
    let fake = Fake::new();
    assert!(Inheritance::read(&fake.region).is_err());
    seal(&fake.region, GENERATION).unwrap();
    assert!(Inheritance::read(&fake.region).is_err());
}
