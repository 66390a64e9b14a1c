//! Single inodes, as the self-test at load looks at them.
#![allow(missing_docs)]

mod common;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use baton_guest::text;
use baton_images::image::Image;
use baton_images::manifest::{FileEntry, State};
use common::{for_each_image, none};
use migrator::address::ForeignVa;
use migrator::budget::Budget;
use migrator::files::{find_inode, inspect_inode};
use migrator::memory::ForeignMemory;
use migrator::view::View;

#[test]
fn inodes_are_found_and_are_what_the_guest_said() {
    for_each_image("inodes_are_found_and_are_what_the_guest_said", |image| {
        let descriptor = image.descriptor().unwrap();
        let view = View::new(&image.memory, descriptor);
        let mut problems = Vec::new();
        for mount in image.mounts() {
            let super_block = ForeignVa::new(image.filesystem(&mount).unwrap().super_block);
            for entry in image.files_on(&mount) {
                if let Err(problem) = check(&view, super_block, entry) {
                    problems.push(format!("{mount}{:?}: {problem}", entry.paths));
                }
            }
        }
        none(image, &problems);
    });
}

fn check<M: ForeignMemory>(
    view: &View<'_, M>,
    super_block: ForeignVa,
    entry: &FileEntry,
) -> Result<(), String> {
    let budget = Budget::for_memory_of(view.descriptor());
    let found = find_inode(view, super_block, entry.ino, &budget).map_err(|e| e.to_string())?;
    let inode = found.ok_or("not in the list")?;
    let facts = inspect_inode(view, inode).map_err(|e| e.to_string())?;
    let same = facts.ino == entry.ino
        && u32::from(facts.mode) == entry.mode
        && u64::from(facts.nlink) == entry.nlink
        && facts.size == entry.size
        && facts.walked == facts.nrpages;
    let path = text::encode(OsStr::from_bytes(facts.path.as_bytes()));
    let named = entry.state == State::Deleted || entry.paths.contains(&path);
    let dirty = entry.dirty.iter().map(|(_, count)| count).sum::<u64>();
    // Dirty by construction is unwritten in memory; a folio may bring clean pages with it.
    let unwritten = facts.unwritten >= dirty && (entry.state != State::Clean || facts.dirty == 0);
    if same && named && unwritten {
        return Ok(());
    }
    Err(format!("{facts:?}"))
}

#[test]
fn an_inode_that_is_not_there_is_not_found() {
    for_each_image(
        "an_inode_that_is_not_there_is_not_found",
        |image: &Image| {
            let descriptor = image.descriptor().unwrap();
            let view = View::new(&image.memory, descriptor);
            let budget = Budget::for_memory_of(&descriptor);
            for mount in image.mounts() {
                let super_block = ForeignVa::new(image.filesystem(&mount).unwrap().super_block);
                let found = find_inode(&view, super_block, u64::from(u32::MAX), &budget);
                assert_eq!(found, Ok(None), "{} {mount}", image.release);
            }
        },
    );
}

#[test]
fn what_was_on_its_way_to_the_disk_counts_as_unwritten() {
    let name = "what_was_on_its_way_to_the_disk_counts_as_unwritten";
    for_each_image(name, |image: &Image| {
        let descriptor = image.descriptor().unwrap();
        let view = View::new(&image.memory, descriptor);
        let budget = Budget::for_memory_of(&descriptor);
        let super_block = ForeignVa::new(image.filesystem("/slow").unwrap().super_block);
        let mut files = image.files_on("/slow");
        let entry = files.find(|file| file.state == State::Partly).unwrap();
        let inode = find_inode(&view, super_block, entry.ino, &budget).unwrap();
        let facts = inspect_inode(&view, inode.unwrap()).unwrap();
        assert!(
            facts.dirty < 1024 && facts.unwritten >= 3072,
            "{}: {facts:?}",
            image.release
        );
    });
}
