//! The three updates of the paper, with 16 to 128 MiB of dirty cache: every page arrives, in the
//! structures of the other kernel, and can be taken over from there again. How long it takes is
//! `cargo xtask bench paper`.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]

mod common;

use common::old::Release;
use common::paper::{content, first, Second, FILE_PAGES, PAGES, PATTERNS, SIZES};
use migrator::budget::Budget;
use migrator::files::{migrate_files, Summary};

fn update(from: Release, to: Release) {
    for mib in SIZES {
        let first = first(from, mib);
        let mut second = Second::new(to, mib, &first.memory);
        let summary = first.view(|view| {
            let budget = Budget::for_memory_of(view.descriptor());
            migrate_files(view, &first.entry(false), &mut second, &budget).unwrap()
        });
        let files = mib * PAGES / FILE_PAGES;
        let expected = Summary {
            inodes: files,
            files,
            pages: mib * PAGES,
            bytes: mib << 20,
            ..Summary::default()
        };
        assert_eq!(summary, expected, "{from:?} to {to:?}, {mib} MiB");
        let (again, sink) = second.world.migrate(false);
        assert_eq!(again.unwrap(), expected, "{to:?}, {mib} MiB");
        for ino in 1..=files {
            let file = &sink.files[&ino];
            assert_eq!(file.path, format!("/dir/{ino}").as_bytes());
            let all = file.content(&second.world.memory);
            let pages = all[&0].chunks(4096);
            assert_eq!((all.len(), pages.len() as u64), (1, FILE_PAGES));
            for (index, page) in (0..).zip(pages) {
                assert!(page == content(ino, index), "{ino}: page {index}");
            }
        }
    }
}

#[test]
fn from_3_0_to_3_4() {
    let (from, to) = PATTERNS[0];
    update(from, to);
}

#[test]
fn from_2_6_38_to_3_4() {
    let (from, to) = PATTERNS[1];
    update(from, to);
}

#[test]
fn from_2_6_38_to_3_0() {
    let (from, to) = PATTERNS[2];
    update(from, to);
}
