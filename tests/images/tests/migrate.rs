//! What the migrator takes out of real memory is what the guest said is in its files.
#![allow(missing_docs)]

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use baton_guest::content::hash;
use baton_guest::text;
use baton_images::image::Image;
use baton_images::manifest::{FileEntry, State, BLOCK};
use baton_images::sink::{Collector, Migrated};
use common::{for_each_image, none};
use migrator::budget::Budget;
use migrator::files::{migrate_files, Summary};
use migrator::view::View;

/// Migrates the file system at `mount`.
fn migrate<'a>(image: &'a Image, mount: &str) -> (Summary, Collector<'a>) {
    let descriptor = image.descriptor().unwrap();
    let view = View::new(&image.memory, descriptor);
    let budget = Budget::for_memory_of(&descriptor);
    let mut sink = Collector::new(&image.memory);
    let entry = image.filesystem(mount).unwrap();
    let summary = migrate_files(&view, entry, &mut sink, &budget)
        .unwrap_or_else(|error| panic!("{} {mount}: {error}", image.release));
    (summary, sink)
}

#[test]
fn every_file_comes_over_as_the_guest_saw_it() {
    for_each_image("every_file_comes_over_as_the_guest_saw_it", |image| {
        let mut problems = Vec::new();
        for mount in image.mounts() {
            let (summary, sink) = migrate(image, &mount);
            println!("  {mount}: {summary:?}");
            problems.extend(sink.misuse.iter().cloned());
            for lost in &sink.lost {
                let path = lost.path.escape_ascii();
                problems.push(format!("lost {:?} {path}: {:?}", lost.ino, lost.reason));
            }
            for file in sink.files.values() {
                check_counts(file, &mut problems);
            }
            for entry in image.files_on(&mount) {
                match (sink.files.get(&entry.ino), entry.state) {
                    (Some(_), State::Deleted) => problems.push(format!("migrated {entry:.0?}")),
                    (Some(file), _) => check_file(entry, file, &mut problems),
                    (None, State::Clean | State::Deleted) => {}
                    (None, _) => problems.push(format!("not migrated: {:?}", entry.paths)),
                }
            }
        }
        none(image, &problems);
    });
}

/// Every page of the tree was found and accounted for.
fn check_counts(file: &Migrated, problems: &mut Vec<String>) {
    let path = file.path.escape_ascii();
    let Some(summary) = file.summary else {
        return problems.push(format!("{path} did not end"));
    };
    if summary.walked != file.nrpages {
        problems.push(format!(
            "{path}: {} of {} pages",
            summary.walked, file.nrpages
        ));
    }
    let left_out = summary.clean + summary.beyond + summary.not_uptodate;
    // Of a folio that reaches beyond the end, only the pages within are handed over.
    if summary.pages + left_out > summary.walked {
        problems.push(format!("{path}: more pages than walked: {summary:?}"));
    }
    let written: usize = file.blocks.values().map(|block| block.written).sum();
    if written as u64 != summary.bytes {
        problems.push(format!("{path}: {written} bytes written, {summary:?}"));
    }
}

fn check_file(entry: &FileEntry, file: &Migrated, problems: &mut Vec<String>) {
    let mut problem = |text: String| problems.push(format!("{:?}: {text}", entry.paths));
    let facts = [
        ("mode", u64::from(file.mode), u64::from(entry.mode)),
        ("nlink", u64::from(file.nlink), entry.nlink),
        ("size", file.size, entry.size),
    ];
    for (what, found, said) in facts {
        if found != said {
            problem(format!("{what} is {found}, the guest said {said}"));
        }
    }
    let time = file.times.modification;
    if time.seconds * 1_000_000_000 + i64::from(time.nanoseconds) != entry.mtime_ns {
        problem(format!("{time:?}, the guest said {}", entry.mtime_ns));
    }
    let path = text::encode(OsStr::from_bytes(&file.path));
    if !entry.paths.contains(&path) {
        problem(format!("its path is {path}"));
    }
    let mut known = BTreeSet::new();
    for (number, said) in entry.hashes() {
        known.insert(number);
        let len = entry.block_len(number);
        let dirty = entry.is_dirty(number);
        let Some(block) = file.blocks.get(&number) else {
            if dirty {
                problem(format!("block {number} is missing"));
            }
            continue;
        };
        // A block that came in part may have the rest of it on the disk.
        let comparable = dirty || block.written == len;
        if comparable && hash(&block.bytes[..len]) != said {
            problem(format!("block {number} is another"));
        }
    }
    for (number, block) in &file.blocks {
        if !known.contains(number) && block.bytes.iter().any(|byte| *byte != 0) {
            problem(format!("block {number} is a hole and came with content"));
        }
    }
}

#[test]
fn what_is_on_the_disk_stays_there() {
    for_each_image("what_is_on_the_disk_stays_there", |image| {
        let mut problems = Vec::new();
        for mount in image.mounts() {
            let (summary, sink) = migrate(image, &mount);
            let deleted = image
                .files_on(&mount)
                .filter(|file| file.state == State::Deleted);
            if summary.skipped_unlinked < deleted.count() as u64 {
                problems.push(format!("{mount}: deleted files not counted: {summary:?}"));
            }
            for entry in image.files_on(&mount) {
                let file = sink.files.get(&entry.ino);
                match (entry.state, file) {
                    (State::Clean, Some(file)) => problems.push(format!(
                        "{mount}{:?} is clean and came, uncommitted: {}",
                        entry.paths, file.uncommitted
                    )),
                    (State::Partly, Some(file)) => check_clean_blocks(entry, file, &mut problems),
                    _ => {}
                }
            }
        }
        none(image, &problems);
    });
}

/// Of a file whose inode the journal knows, only folios with something unwritten go.
fn check_clean_blocks(entry: &FileEntry, file: &Migrated, problems: &mut Vec<String>) {
    let Some(summary) = file.summary.filter(|_| !file.uncommitted) else {
        return;
    };
    let total = entry.size.div_ceil(BLOCK);
    if summary.pages + summary.clean < total {
        problems.push(format!("{:?}: {summary:?}", entry.paths));
    }
    println!("    {:?}: {summary:?}", entry.paths);
}

#[test]
fn files_made_after_the_last_commit_are_taken_whole() {
    for_each_image(
        "files_made_after_the_last_commit_are_taken_whole",
        |image| {
            let mut problems = Vec::new();
            for mount in image.mounts() {
                let (summary, sink) = migrate(image, &mount);
                let uncommitted = sink.files.values().filter(|file| file.uncommitted);
                assert_eq!(uncommitted.count() as u64, summary.uncommitted);
                // Of this one nothing is dirty: it is announced for its size alone.
                for entry in image.files_on(&mount) {
                    let name = entry.paths.first().map_or("", String::as_str);
                    if !name.ends_with("/empty") && !name.ends_with("/all-hole") {
                        continue;
                    }
                    match sink.files.get(&entry.ino) {
                        Some(file) if file.uncommitted && file.blocks.is_empty() => {}
                        other => problems.push(format!("{name}: {other:?}")),
                    }
                }
            }
            none(image, &problems);
        },
    );
}
