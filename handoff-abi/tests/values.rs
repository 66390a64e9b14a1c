//! Headers, open integers, and the tables of members and constants.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use handoff_abi::checksum::crc32;
use handoff_abi::control::{ControlPage, StopState, StopWord};
use handoff_abi::descriptor::{
    Kind, MemberId, OrderShape, PageTreeShape, Shape, TimeShape, CONSTANTS, MAX_SHAPES, MEMBERS,
};
use handoff_abi::filesystem::FilesystemFlags;
use handoff_abi::header::{HeaderError, PageHeader, PAGE_MAGIC};
use handoff_abi::ioctl::Role;
use handoff_abi::machine::{RangeKind, WindowKind};
use handoff_abi::region::{self, SECTIONS};
use handoff_abi::status::{FirstState, Reason, SecondState};
use handoff_abi::timeline::{Counter, Phase, MAX_COUNTERS, MAX_PHASES};
use handoff_abi::ABI_VERSION;
use std::collections::BTreeSet;
use zerocopy::IntoBytes;

#[test]
fn a_header_is_valid_for_its_own_section_only() {
    for &section in SECTIONS {
        let header = PageHeader::new(section, 3);
        assert_eq!(header.check(section), Ok(()));
        for &other in SECTIONS.iter().filter(|other| other.kind != section.kind) {
            assert_eq!(header.check(other), Err(HeaderError::Kind(section.kind)));
        }
    }
}

#[test]
fn each_wrong_field_is_refused_by_name() {
    let section = region::MACHINE;
    let good = PageHeader::new(section, 1);
    let wrong = |change: fn(&mut PageHeader)| {
        let mut header = good;
        change(&mut header);
        header.check(section)
    };
    assert_eq!(
        wrong(|header| header.magic = !PAGE_MAGIC),
        Err(HeaderError::Magic(!PAGE_MAGIC))
    );
    assert_eq!(
        wrong(|header| header.version += 1),
        Err(HeaderError::Version(ABI_VERSION + 1))
    );
    assert_eq!(wrong(|header| header.kind = 99), Err(HeaderError::Kind(99)));
    assert_eq!(
        wrong(|header| header.size = 4096),
        Err(HeaderError::Size(4096))
    );
    assert_eq!(
        wrong(|header| header.reserved = 1 << 63),
        Err(HeaderError::Reserved)
    );
    // The generation is the reader's to compare: it knows which handover it is in.
    assert_eq!(wrong(|header| header.generation = 77), Ok(()));
}

/// Every single bit of a header but the generation's counts.
#[test]
fn each_flipped_bit_is_refused() {
    let section = region::CONTROL;
    let good = PageHeader::new(section, 0x1234_5678_9abc_def0);
    for bit in 0..8 * size_of::<PageHeader>() {
        let mut header = good;
        header.as_mut_bytes()[bit / 8] ^= 1 << (bit % 8);
        let in_generation = (16..24).contains(&(bit / 8));
        assert_eq!(header.check(section).is_ok(), in_generation, "bit {bit}");
    }
}

#[test]
fn zeroed_memory_is_no_page() {
    let zero: PageHeader = zerocopy::FromZeros::new_zeroed();
    for &section in SECTIONS {
        assert_eq!(zero.check(section), Err(HeaderError::Magic(0)));
    }
}

#[test]
fn a_new_control_page_is_zero_but_for_its_header() {
    let page = ControlPage::new(5);
    assert_eq!(page.header.check(region::CONTROL), Ok(()));
    assert_eq!(page.header.generation, 5);
    assert!(page.as_bytes()[32..].iter().all(|byte| *byte == 0));
    assert_eq!(
        StopWord::from_bits(page.stop_word).state,
        StopState::RUNNING
    );
}

#[test]
fn the_stop_word_packs_both_ways() {
    for state in 0..=255 {
        for sequence in [0, 1, 0xff, 1 << 40, u64::MAX >> 8] {
            let word = StopWord {
                sequence,
                state: StopState(state),
            };
            assert_eq!(StopWord::from_bits(word.to_bits()), word);
        }
    }
    for bits in [0, 1, u64::MAX, 0x0102_0304_0506_0708] {
        assert_eq!(StopWord::from_bits(bits).to_bits(), bits);
    }
}

#[test]
fn open_integers_name_each_value_once() {
    let sets: &[(&str, &[(&str, u64)])] = &[
        ("StopState", StopState::VALUES),
        ("FirstState", FirstState::VALUES),
        ("SecondState", SecondState::VALUES),
        ("Reason", Reason::VALUES),
        ("Phase", Phase::VALUES),
        ("Counter", Counter::VALUES),
        ("Kind", Kind::VALUES),
        ("Shape", Shape::VALUES),
        ("PageTreeShape", PageTreeShape::VALUES),
        ("OrderShape", OrderShape::VALUES),
        ("TimeShape", TimeShape::VALUES),
        ("RangeKind", RangeKind::VALUES),
        ("WindowKind", WindowKind::VALUES),
        ("Role", Role::VALUES),
    ];
    for (name, values) in sets {
        let numbers: BTreeSet<u64> = values.iter().map(|(_, number)| *number).collect();
        let names: BTreeSet<&str> = values.iter().map(|(name, _)| *name).collect();
        assert_eq!(numbers.len(), values.len(), "{name}");
        assert_eq!(names.len(), values.len(), "{name}");
    }
    assert_eq!(StopState(200).text(), None);
    assert_eq!(Reason(u32::MAX).text(), None);
    assert_eq!(StopState::COMMITTED.text(), Some("committed"));
}

#[test]
fn indices_are_inside_their_arrays() {
    let most = |values: &[(&str, u64)]| values.iter().map(|(_, number)| *number).max().unwrap();
    assert!(most(Phase::VALUES) < MAX_PHASES as u64);
    assert!(most(Counter::VALUES) < MAX_COUNTERS as u64);
    assert!(most(Shape::VALUES) < MAX_SHAPES as u64);
}

#[test]
fn members_are_told_apart_and_well_formed() {
    let mut seen = BTreeSet::new();
    for (number, spec) in MEMBERS.iter().enumerate() {
        assert!(!spec.structure.is_empty());
        assert!(!spec.paths.is_empty() && !spec.kinds.is_empty());
        assert!(!spec.kinds.contains(&Kind::ABSENT));
        assert!(
            seen.insert((spec.structure, spec.paths)),
            "{}.{} is wanted twice",
            spec.structure,
            spec.path()
        );
        // The empty path is the structure itself, and only that.
        let is_itself = spec.paths == [""];
        assert_eq!(is_itself, spec.kinds == [Kind::SIZE_OF], "member {number}");
        assert!(spec.paths.len() == 1 || !spec.paths.contains(&""));
    }
    // Numbers are part of the contract: the first and one in the middle stand for all.
    assert_eq!(MemberId::SUPER_BLOCK_S_INODES.0, 0);
    assert_eq!(
        MEMBERS[usize::from(MemberId::XARRAY_XA_HEAD.0)].structure,
        "xarray"
    );
}

#[test]
fn constants_are_told_apart() {
    let names: BTreeSet<&str> = CONSTANTS.iter().map(|spec| spec.name).collect();
    assert_eq!(names.len(), CONSTANTS.len());
}

#[test]
fn flags_keep_unknown_bits() {
    let mut flags = FilesystemFlags::from_bits(0x8000_0000);
    assert!(!flags.root() && !flags.read_only() && !flags.has_journal_tids());
    flags.set_root(true);
    flags.set_has_journal_tids(true);
    assert_eq!(flags.bits(), 0x8000_0005);
}

#[test]
fn the_checksum_finds_single_bits_and_swaps() {
    let text = b"what the 1st OS wrote last";
    let sum = crc32(text);
    for bit in 0..8 * text.len() {
        let mut other = *text;
        other[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(crc32(&other), sum, "bit {bit}");
    }
    assert_ne!(crc32(b"ab"), crc32(b"ba"));
    assert_eq!(crc32(b""), 0);
}
