//! What is carried over, from a kernel made of bytes.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]

mod common;

use common::builder::{fill, World, DIRTY, WRITEBACK};
use common::layout::{Options, PAGE_OFFSET};
use common::sink::Recorder;
use handoff_abi::descriptor::{ConstantId, MemberId};
use migrator::address::ForeignVa;
use migrator::budget::Budget;
use migrator::files::{
    find_inode, inspect_inode, FileInfo, FileSummary, LostFile, Reason, Segment, Sink, SinkError,
};

const UP: ConstantId = ConstantId::PG_UPTODATE;
const D: &[ConstantId] = &[UP, ConstantId::PG_DIRTY];
const W: &[ConstantId] = &[UP, ConstantId::PG_WRITEBACK];
const C: &[ConstantId] = &[UP];

fn pages(from: u64, to: u64) -> Vec<u8> {
    (from..to).flat_map(fill).collect()
}

#[test]
fn single_entry_root() {
    for seed in 1..20 {
        let mut w = World::new(seed);
        let inode = w.file(11, 100, &[(0, D, DIRTY)]);
        let dir = w.dentry(w.root, b"etc");
        w.name(inode, dir, b"hostname");
        let (summary, sink) = w.migrate(false);
        let summary = summary.unwrap();
        assert_eq!(
            (summary.files, summary.pages, summary.bytes, summary.lost),
            (1, 1, 100, 0)
        );
        let file = &sink.files[&11];
        assert_eq!(file.path, b"/etc/hostname");
        assert_eq!(file.content(&w.memory)[&0], fill(0)[..100]);
    }
}

#[test]
fn marks_and_flags_each_suffice() {
    for seed in 1..20 {
        let mut w = World::new(seed);
        // Index 1: parked between clearing PG_dirty and setting PG_writeback.
        w.file(
            5,
            1 << 20,
            &[
                (0, C, 0),
                (1, C, DIRTY),
                (2, W, 0),
                (3, C, WRITEBACK),
                (4, D, 0),
                (70, C, 0),
            ],
        );
        let (summary, sink) = w.migrate(false);
        assert_eq!(summary.unwrap().pages, 4);
        let content = sink.files[&5].content(&w.memory);
        assert_eq!(content.len(), 1);
        assert_eq!(content[&4096], pages(1, 5));
        assert_eq!(sink.files[&5].summary.unwrap().clean, 2);
    }
}

#[test]
fn clean_files_are_left_alone() {
    let mut w = World::new(3);
    w.file(5, 1 << 20, &[(0, C, 0), (9, C, 0)]);
    let (summary, sink) = w.migrate(false);
    assert_eq!((summary.unwrap().files, sink.calls), (0, 0));
}

#[test]
fn deep_and_sparse() {
    for chunk_shift in [4, 6] {
        let mut w = World::with(Options {
            chunk_shift,
            ..Options::new(8)
        });
        let far = 1 << 33;
        let indices = [0, 1, 63, 64, 65, 4095, 4096, 300_000, far];
        let list: Vec<_> = indices.iter().map(|i| (*i, D, DIRTY)).collect();
        w.file(5, u64::MAX >> 1, &list);
        let (summary, sink) = w.migrate(false);
        assert_eq!(summary.unwrap().pages, indices.len() as u64);
        let content = sink.files[&5].content(&w.memory);
        assert_eq!(content[&(63 * 4096)], pages(63, 66));
        assert_eq!(content[&(far * 4096)], fill(far));
    }
}

#[test]
fn uncommitted_files_go_whole() {
    for (tid, committed, whole) in [
        (8, 7, true),
        (7, 7, false),
        (6, 7, false),
        (2, 0xffff_fffe, true),
        (0xffff_fffe, 2, false),
    ] {
        let mut w = World::new(tid & 15);
        w.journal(committed);
        // Not up to date: was never the file's content.
        let inode = w.file(5, 1 << 20, &[(0, C, 0), (1, &[], 0), (2, C, 0)]);
        w.sync_tid(inode, tid);
        let (summary, sink) = w.migrate(true);
        assert_eq!(
            summary.unwrap().pages,
            if whole { 2 } else { 0 },
            "{tid} {committed}"
        );
        assert_eq!(
            sink.files.get(&5).is_some_and(|file| file.uncommitted),
            whole
        );
        assert_eq!(w.migrate(false).0.unwrap().pages, 0);
    }
}

#[test]
fn uncommitted_without_pages_is_announced() {
    let mut w = World::new(5);
    w.journal(9);
    let inode = w.file(5, 0, &[]);
    w.sync_tid(inode, 10);
    let (summary, sink) = w.migrate(true);
    assert_eq!(
        (summary.unwrap().files, sink.files[&5].writes.len()),
        (1, 0)
    );
}

#[test]
fn clipped_to_the_size() {
    let mut w = World::new(2);
    w.file(
        5,
        4096 * 2 + 17,
        &[(0, D, DIRTY), (1, D, DIRTY), (2, D, DIRTY), (3, D, DIRTY)],
    );
    let (summary, sink) = w.migrate(false);
    let summary = summary.unwrap();
    assert_eq!((summary.pages, summary.bytes), (3, 4096 * 2 + 17));
    assert_eq!(
        sink.files[&5].content(&w.memory)[&0],
        pages(0, 3)[..4096 * 2 + 17]
    );
    assert_eq!(sink.files[&5].summary.unwrap().beyond, 1);
}

#[test]
fn what_is_skipped() {
    let mut w = World::new(2);
    let unlinked = w.file(5, 4096, &[(0, D, DIRTY)]);
    w.set(unlinked, MemberId::INODE_I_NLINK, 0);
    let dying = w.file(6, 4096, &[(0, D, DIRTY)]);
    w.set(
        dying,
        MemberId::INODE_I_STATE,
        w.constant(ConstantId::I_FREEING),
    );
    let directory = w.file(7, 4096, &[(0, D, DIRTY)]);
    w.set(directory, MemberId::INODE_I_MODE, 0o040_755);
    let foreign = w.file(8, 4096, &[(0, D, DIRTY)]);
    w.set(foreign, MemberId::INODE_I_MAPPING, w.data(unlinked));
    let (summary, sink) = w.migrate(false);
    let s = summary.unwrap();
    assert_eq!(
        (s.skipped_unlinked, s.skipped_absent, s.skipped_not_regular),
        (1, 1, 1)
    );
    assert_eq!((s.foreign_mappings, s.lost, s.files), (1, 1, 0));
    assert_eq!(sink.lost[0].2, Reason::ForeignMapping);
}

#[test]
fn an_error_of_the_sink_loses_one_file() {
    let mut w = World::new(2);
    for ino in [5, 6, 7] {
        w.file(ino, 4096, &[(0, D, DIRTY)]);
    }
    let mut sink = Recorder {
        fail_begin: Some(5),
        fail_write: Some(6),
        ..Recorder::default()
    };
    let summary = w.migrate_into(&mut sink, false).unwrap();
    assert_eq!((summary.files, summary.lost), (1, 2));
    assert_eq!(sink.lost[0].2, Reason::Sink(SinkError(28)));
    assert_eq!(sink.lost[1].2, Reason::Sink(SinkError(5)));
    assert!(sink.files[&7].summary.is_some());
}

/// A disk that takes so many bytes and no more.
#[derive(Default)]
struct FullDisk {
    room: u64,
    written: Vec<u64>,
    lost: Vec<(u64, Vec<u8>, Reason)>,
    open: u64,
}

impl Sink for FullDisk {
    fn begin_file(&mut self, file: &FileInfo<'_>) -> Result<(), SinkError> {
        self.open = file.ino;
        Ok(())
    }

    fn write(&mut self, _: u64, segments: &[Segment]) -> Result<(), SinkError> {
        let bytes = segments.iter().map(|segment| u64::from(segment.len)).sum();
        self.room = self.room.checked_sub(bytes).ok_or(SinkError(28))?;
        Ok(())
    }

    fn end_file(&mut self, _: &FileSummary) -> Result<(), SinkError> {
        self.written.push(self.open);
        Ok(())
    }

    fn lost(&mut self, file: &LostFile<'_>, reason: Reason) {
        let path = file.path.as_bytes().to_vec();
        self.lost.push((file.ino.unwrap_or(0), path, reason));
    }
}

#[test]
fn on_a_full_disk_each_file_that_does_not_fit_is_named_and_the_others_go_on() {
    let mut w = World::new(2);
    for ino in 5..9 {
        // The second is too large for what the first leaves; those after it are not.
        let pages = if ino == 6 { 40 } else { 2 };
        let list: Vec<_> = (0..pages).map(|i| (i, D, DIRTY)).collect();
        let inode = w.file(ino, 1 << 20, &list);
        w.name(inode, w.root, format!("file{ino}").as_bytes());
    }
    let mut sink = FullDisk {
        room: 20 * 4096,
        ..FullDisk::default()
    };
    let summary = w.migrate_into(&mut sink, false).unwrap();
    assert_eq!((summary.files, summary.lost), (3, 1));
    assert_eq!(sink.written, [5, 7, 8]);
    let [(ino, path, reason)] = sink.lost.as_slice() else {
        panic!("{:?}", sink.lost);
    };
    assert_eq!((*ino, *reason), (6, Reason::Sink(SinkError(28))));
    assert_eq!(path, b"/file6");
}

#[test]
fn batches_are_full_but_not_fuller() {
    let mut w = World::new(2);
    let list: Vec<_> = (0..400).map(|i| (i, D, DIRTY)).collect();
    w.file(5, 1 << 30, &list);
    let (_, sink) = w.migrate(false);
    let file = &sink.files[&5];
    assert_eq!(file.content(&w.memory)[&0], pages(0, 400));
    assert_eq!(file.writes[0].1.len(), migrator::files::MAX_SEGMENTS);
    assert!(file.writes[0].1.iter().any(|s| s.len > 4096));
}

#[test]
fn inspect_and_find() {
    let mut w = World::new(7);
    let inode = w.file(5, 9000, &[(0, D, DIRTY), (1, C, WRITEBACK), (2, C, 0)]);
    let gone = w.name(inode, w.root, b"gone");
    let alias = w.dentry(w.root, b"still-there");
    w.poke(
        w.at(gone, MemberId::DENTRY_D_ALIAS),
        w.at(alias, MemberId::DENTRY_D_ALIAS),
    );
    w.poke(w.at(gone, MemberId::DENTRY_D_HASH) + 8, 0);
    w.poke(w.at(inode, MemberId::INODE_I_MTIME), 1234);
    w.view(|view| {
        let budget = Budget::for_memory_of(view.descriptor());
        let found = find_inode(view, ForeignVa::new(w.sb), 5, &budget)
            .unwrap()
            .unwrap();
        assert_eq!(found.raw(), inode);
        assert_eq!(
            find_inode(view, ForeignVa::new(w.sb), 6, &budget).unwrap(),
            None
        );
        let facts = inspect_inode(view, found).unwrap();
        assert_eq!(
            (facts.ino, facts.size, facts.nlink, facts.generation),
            (5, 9000, 1, 7)
        );
        assert_eq!(
            (facts.nrpages, facts.walked, facts.dirty, facts.unwritten),
            (3, 3, 1, 2)
        );
        assert_eq!(facts.path.as_bytes(), b"/still-there");
        assert_eq!(facts.times.modification.seconds, 1234);
    });
    assert!(inode > PAGE_OFFSET);
}
