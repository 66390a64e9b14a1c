//! A handoff region in which anything may stand: headers, live words, the snapshots, the list of
//! losses, the machine page and the SSDT made of it.
//!
//! Rules: a header that is accepted is the one that belongs there, field by field; no word is
//! read outside its section; whatever stop word there is, no step leads from a state that the
//! protocol does not know.
#![allow(unsafe_code, reason = "makes the memory that a section needs")]

use crate::Input;
use baton::network::Snapshot;
use baton::system::{mount_plan, SystemSnapshot};
use handoff_abi::blob::BlobHeader;
use handoff_abi::checksum::crc32;
use handoff_abi::control::{StopState, StopWord};
use handoff_abi::header::{PageHeader, PAGE_MAGIC};
use handoff_abi::machine::MachinePage;
use handoff_abi::region::{self, REGION_SIZE, SECTIONS};
use handoff_abi::ABI_VERSION;
use notifier::state::{next, owner, Step};
use partition::aml::Ssdt;
use shared_page::Section;
use std::alloc::{alloc_zeroed, Layout};
use zerocopy::{FromZeros, IntoBytes};

/// Every step of the protocol.
const STEPS: [Step; 5] = [
    Step::Stop,
    Step::Take,
    Step::Abort,
    Step::GiveBack,
    Step::Commit,
];

/// A region, used again for every input.
struct Region(*mut u8);

thread_local! {
    static REGION: Region = Region::new();
}

impl Region {
    fn new() -> Self {
        let layout = Layout::from_size_align(REGION_SIZE, 4096).expect("a constant layout");
        // SAFETY: the layout is not of size zero.
        let memory = unsafe { alloc_zeroed(layout) };
        assert!(!memory.is_null());
        Self(memory)
    }

    fn section(&self, place: region::Section) -> Section {
        // SAFETY: page-aligned, as long as a region, and alive as long as the thread; no
        // reference to it is ever made.
        unsafe { Section::new(self.0, REGION_SIZE, place) }.expect("every section is inside")
    }
}

/// Runs the target.
pub fn run(data: &[u8]) {
    REGION.with(|region| {
        let mut input = Input(data);
        let place = SECTIONS[usize::from(input.u8()) % SECTIONS.len()];
        let section = region.section(place);
        let mut bytes = vec![0; place.size];
        // Half of the inputs begin with a header that is right, so that what follows is reached.
        let whole = input.u8() & 1 == 0;
        let start = if whole { 0 } else { size_of::<PageHeader>() };
        bytes[..size_of::<PageHeader>()].copy_from_slice(PageHeader::new(place, 1).as_bytes());
        let len = input.0.len().min(place.size - start);
        bytes[start..start + len].copy_from_slice(&input.0[..len]);
        section
            .publish(0, bytes.as_slice())
            .expect("as long as the section");
        check_header(section, place);
        check_words(section, &bytes);
        check_content(section, place, &input);
    });
}

fn check_header(section: Section, place: region::Section) {
    let Ok(header) = section.header() else {
        return;
    };
    assert_eq!(header.magic, PAGE_MAGIC);
    assert_eq!(header.version, ABI_VERSION);
    assert_eq!(header.kind, place.kind);
    assert_eq!(header.size as usize, place.size);
    assert!(section.header_of(header.generation).is_ok());
    assert!(section
        .header_of(header.generation.wrapping_add(1))
        .is_err());
    for &other in SECTIONS {
        assert_eq!(header.check(other).is_ok(), other == place);
    }
}

/// Live words are those that stand there, and none stands outside.
fn check_words(section: Section, bytes: &[u8]) {
    for at in [0, 8, 32, 40, 4088] {
        let expected = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        assert_eq!(section.load_u64(at), Ok(expected));
    }
    for at in [bytes.len() - 7, bytes.len(), usize::MAX - 7, usize::MAX] {
        assert!(section.load_u64(at).is_err());
        assert!(section.store_u64(at, 0).is_err());
        assert!(section.compare_exchange_u64(at, 0, 0).is_err());
    }
    assert!(section.snapshot_into(1, &mut vec![0; bytes.len()]).is_err());
}

fn check_content(section: Section, place: region::Section, input: &Input<'_>) {
    if place == region::CONTROL {
        let word = section.load_u64(32).expect("inside");
        check_word(StopWord::from_bits(word));
    } else if place == region::MACHINE {
        machine(section);
    } else if place == region::SYSTEM || place == region::NETWORK {
        blob(section, place);
        snapshots(input.0);
    }
}

/// The page of a kernel that is gone is what the next handover is made of.
fn machine(section: Section) {
    let mut page = MachinePage::new_box_zeroed().expect("memory");
    section
        .snapshot_into(0, page.as_mut_bytes())
        .expect("as long as the section");
    let bridges = page.bridges.get(..page.bridge_count as usize);
    if let Some(Ok(table)) = bridges.map(Ssdt::new) {
        let sum = table
            .as_bytes()
            .iter()
            .fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        assert_eq!(sum, 0);
    }
}

/// As `baton::region` reads a blob: nothing of it is used unless its checksum is right.
fn blob(section: Section, place: region::Section) {
    let header: BlobHeader = section.snapshot(0).expect("inside");
    let start = size_of::<BlobHeader>();
    if header.length as usize <= place.size - start {
        let mut content = vec![0; header.length as usize];
        section.snapshot_into(start, &mut content).expect("inside");
        if crc32(&content) == header.crc32 {
            snapshots(&content);
        }
    }
}

/// The snapshots' own decoders, behind the checksum.
fn snapshots(bytes: &[u8]) {
    if let Ok(system) = SystemSnapshot::from_bytes(bytes) {
        let plan = mount_plan(&system);
        assert!(plan.len() <= system.mounts.len());
        let _ = system.disks();
        let again = system
            .to_bytes()
            .map(|bytes| SystemSnapshot::from_bytes(&bytes));
        if let Ok(again) = again {
            assert!(again.is_ok(), "what was packed cannot be unpacked");
        }
    }
    if let Ok(network) = Snapshot::from_bytes(bytes) {
        let _ = network.virtual_kinds();
        let _ = network.nics().count();
    }
}

/// No step leads anywhere from a state that nobody knows, or of another stop.
fn check_word(word: StopWord) {
    assert_eq!(StopWord::from_bits(word.to_bits()), word);
    for step in STEPS {
        for sequence in [word.sequence, word.sequence.wrapping_add(1), 0] {
            let Ok(target) = next(word, sequence, step) else {
                continue;
            };
            assert!(owner(word.state).is_some() && owner(target.state).is_some());
            assert_ne!(word.state, StopState::COMMITTED, "a commit is for good");
            assert_eq!(target.sequence, sequence);
        }
    }
}
