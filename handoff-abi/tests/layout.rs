//! Facts about every type on the wire that no single type can assert of itself.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use handoff_abi::blob::BlobHeader;
use handoff_abi::control::ControlPage;
use handoff_abi::descriptor::DescriptorPage;
use handoff_abi::filesystem::{FilesystemPage, MAX_FILESYSTEMS};
use handoff_abi::header::{HeaderPage, PageHeader};
use handoff_abi::ioctl::{IOCTL_TYPES, REQUESTS};
use handoff_abi::log::RingHeader;
use handoff_abi::loss::LossHeader;
use handoff_abi::machine::{MachinePage, MAX_BRIDGES, MAX_CPUS, MAX_RANGES, MAX_WINDOWS};
use handoff_abi::park::{Mailbox, ParkSlot};
use handoff_abi::region::{self, Section};
use handoff_abi::timeline::TimelinePage;
use handoff_abi::{AbiType, ABI_TYPES, PAGE_SIZE};
use std::collections::BTreeSet;
use std::path::Path;

fn all() -> impl Iterator<Item = &'static AbiType> {
    ABI_TYPES.iter().chain(IOCTL_TYPES).copied()
}

#[test]
fn fields_cover_each_type_exactly() {
    for abi in all() {
        let mut end = 0;
        for field in abi.fields {
            assert_eq!(field.offset, end, "{}.{}: a gap", abi.name, field.name);
            assert!(field.size > 0, "{}.{} is empty", abi.name, field.name);
            end += field.size;
        }
        assert_eq!(end, abi.size, "{}: a gap at the end", abi.name);
    }
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<&str> = all().map(|abi| abi.name).collect();
    assert_eq!(names.len(), all().count());
    for abi in all() {
        let fields: BTreeSet<&str> = abi.fields.iter().map(|field| field.name).collect();
        assert_eq!(fields.len(), abi.fields.len(), "{}", abi.name);
    }
}

#[test]
fn no_field_has_a_type_that_differs_between_compilers() {
    for abi in all() {
        for field in abi.fields {
            let ty = field.rust_type;
            for word in ["usize", "isize", "bool", "char", "*", "&", "Option"] {
                assert!(!ty.contains(word), "{}.{}: {ty}", abi.name, field.name);
            }
        }
    }
}

/// What the sources declare, for a type that is not listed has no place in the C header.
#[test]
fn every_declared_type_is_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut declared = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.ends_with("layout.rs") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("    pub struct ") else {
                continue;
            };
            if let Some((name, size)) = rest.split_once(": ") {
                assert!(size.ends_with('{'), "{line}");
                declared.insert(name.to_owned());
            }
        }
    }
    let listed: BTreeSet<String> = all().map(|abi| abi.name.to_owned()).collect();
    assert_eq!(declared, listed);
}

#[test]
fn sections_are_as_large_as_their_pages() {
    let pages: [(Section, &AbiType); 6] = [
        (region::HEADER, &HeaderPage::ABI),
        (region::CONTROL, &ControlPage::ABI),
        (region::TIMELINE, &TimelinePage::ABI),
        (region::MACHINE, &MachinePage::ABI),
        (region::DESCRIPTOR, &DescriptorPage::ABI),
        (region::FILESYSTEMS, &FilesystemPage::ABI),
    ];
    for (section, abi) in pages {
        assert_eq!(section.size, abi.size, "{}", section.name);
        assert_eq!(abi.fields[0].rust_type, "PageHeader", "{}", abi.name);
    }
    let headed: [(Section, &AbiType); 6] = [
        (region::NETWORK, &BlobHeader::ABI),
        (region::SYSTEM, &BlobHeader::ABI),
        (region::LOG_FIRST, &RingHeader::ABI),
        (region::LOG_SECOND, &RingHeader::ABI),
        (region::LOSSES, &LossHeader::ABI),
        (region::CONSOLE, &RingHeader::ABI),
    ];
    for (section, abi) in headed {
        assert!(section.size >= PAGE_SIZE.max(abi.size), "{}", section.name);
        assert_eq!(abi.fields[0].rust_type, "PageHeader", "{}", abi.name);
        assert_eq!(abi.size % 64, 0, "{}: what follows is aligned", abi.name);
    }
    assert_eq!(pages.len() + headed.len(), region::SECTIONS.len());
}

#[test]
fn sections_are_apart_and_told_apart() {
    let kinds: BTreeSet<u32> = region::SECTIONS
        .iter()
        .map(|section| section.kind)
        .collect();
    assert_eq!(kinds.len(), region::SECTIONS.len());
    assert!(!kinds.contains(&0), "zeroed memory is no section");
    for pair in region::SECTIONS.windows(2) {
        assert!(pair[0].end() <= pair[1].offset);
    }
    assert!(region::SECTIONS.last().unwrap().end() <= region::REGION_SIZE);
}

/// Where each field of an array type is as long as the constant that bounds it.
#[test]
fn arrays_are_as_long_as_their_bounds() {
    let page: MachinePage = zerocopy::FromZeros::new_zeroed();
    assert_eq!(page.apic_ids.len(), MAX_CPUS);
    assert_eq!(page.ranges.len(), MAX_RANGES);
    assert_eq!(page.bridges.len(), MAX_BRIDGES);
    assert_eq!(page.bridges[0].windows.len(), MAX_WINDOWS);
    let entries = &FilesystemPage::ABI.fields.last().unwrap();
    assert_eq!(entries.size, MAX_FILESYSTEMS * 1024);
}

/// Live words are aligned to their size, or they could not be accessed at once.
#[test]
fn live_words_are_aligned() {
    for abi in [&ControlPage::ABI, &TimelinePage::ABI, &RingHeader::ABI] {
        for field in abi.fields.iter().filter(|field| field.size <= 8) {
            assert_eq!(field.offset % field.size, 0, "{}", field.name);
        }
    }
    assert_eq!(size_of::<Mailbox>(), PAGE_SIZE);
    // A slot never crosses a page, so that one mapping is enough for a CPU.
    assert_eq!(PAGE_SIZE % size_of::<ParkSlot>(), 0);
    assert_eq!(align_of::<PageHeader>(), 8);
}

#[test]
fn requests_are_distinct_and_fit_their_code() {
    let codes: BTreeSet<u64> = REQUESTS.iter().map(|request| request.code()).collect();
    assert_eq!(codes.len(), REQUESTS.len());
    for request in REQUESTS {
        // The size has 14 bits in the code (include/uapi/asm-generic/ioctl.h).
        assert!(request.size < 1 << 14, "{}", request.name);
        let argument = IOCTL_TYPES
            .iter()
            .find(|abi| abi.name == request.argument)
            .unwrap();
        assert_eq!(argument.size, request.size, "{}", request.name);
        assert!(request.code() <= u64::from(u32::MAX));
    }
    // _IOWR('B', 1, char[2560])
    assert_eq!(REQUESTS[0].code(), 0xca00_4201);
}
