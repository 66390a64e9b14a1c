//! Radix trees: what is carried over, and what a broken or hostile one leads to, with the
//! structures of three old kernels and with layouts drawn by lot.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

mod common;

use common::builder::{fill, va, Entry, World, DIRTY, WRITEBACK};
use common::layout::{Options, PAGE_OFFSET, RAM, VMEMMAP, VMEMMAP_PA};
use common::old::RELEASES;
use handoff_abi::descriptor::{ConstantId, MemberId};
use migrator::address::ForeignVa;
use migrator::budget::Budget;
use migrator::error::{Bound, Fault};
use migrator::files::{inspect_inode, migrate_files, Reason};

const UP: ConstantId = ConstantId::PG_UPTODATE;
const D: &[ConstantId] = &[UP, ConstantId::PG_DIRTY];
const W: &[ConstantId] = &[UP, ConstantId::PG_WRITEBACK];
const C: &[ConstantId] = &[UP];

/// Empty kernels with radix trees.
fn worlds() -> impl Iterator<Item = World> {
    let old = RELEASES.map(|release| World::of(release.descriptor(RAM)));
    let drawn = (1..6).map(|seed| World::with(Options::radix(seed)));
    let small = World::with(Options {
        chunk_shift: 4,
        ..Options::radix(9)
    });
    old.into_iter().chain(drawn).chain([small])
}

/// Kernels of three files, the second of which is to be broken, with nodes of 64 slots.
fn threes(pages: u64) -> impl Iterator<Item = (World, u64)> {
    let wide = |w: &World| w.constant(ConstantId::XA_CHUNK_SHIFT) == 6;
    worlds().filter(wide).map(move |mut w| {
        let list: Vec<_> = (0..pages).map(|i| (i, D, DIRTY)).collect();
        w.file(1, 1 << 30, &[(0, D, DIRTY)]);
        let inode = w.file(2, 1 << 30, &list);
        w.file(3, 1 << 30, &[(0, D, DIRTY)]);
        (w, inode)
    })
}

fn pages(from: u64, to: u64) -> Vec<u8> {
    (from..to).flat_map(fill).collect()
}

/// Why file 2, and only it, was lost.
fn why(w: &World) -> Reason {
    let (summary, sink) = w.migrate(false);
    let summary = summary.unwrap();
    assert_eq!((summary.files, summary.lost, sink.lost.len()), (2, 1, 1));
    assert_eq!(sink.lost[0].0, Some(2));
    let reads = w.memory.reads.get();
    assert!(reads < 30_000, "{reads} reads");
    sink.lost[0].2
}

fn fault(w: &World) -> (&'static str, u64, Fault) {
    match why(w) {
        Reason::Broken(error) => (error.object, error.at.raw(), error.fault),
        other => panic!("{other:?}"),
    }
}

/// Whether it is this fault. A member at the start of a structure does not wrap around with it.
fn same(found: Fault, expected: Fault) -> bool {
    found == expected || (expected == Fault::Wraps && found == Fault::NotMapped)
}

fn root_of(w: &World, inode: u64) -> u64 {
    w.at(w.data(inode), MemberId::ADDRESS_SPACE_I_PAGES)
}

fn peek(w: &World, at: u64) -> u64 {
    u64::from_le_bytes(w.memory.bytes(at - PAGE_OFFSET, 8).try_into().unwrap())
}

fn top_of(w: &World, inode: u64) -> u64 {
    peek(w, w.at(root_of(w, inode), MemberId::RADIX_TREE_ROOT_RNODE)) & !1
}

fn slot_at(w: &World, node: u64, n: u64) -> u64 {
    w.at(node, MemberId::RADIX_TREE_NODE_SLOTS) + 8 * n
}

#[test]
fn a_single_entry_is_the_root_and_its_tags_are_there() {
    for mut w in worlds() {
        // Under writeback by the tag alone, dirty by the flag and the tag, clean.
        let tagged = w.file(11, 100, &[(0, C, WRITEBACK)]);
        w.file(12, 5000, &[(0, D, DIRTY)]);
        w.file(13, 5000, &[(0, C, 0)]);
        let dir = w.dentry(w.root, b"etc");
        w.name(tagged, dir, b"hostname");
        let (summary, sink) = w.migrate(false);
        let summary = summary.unwrap();
        assert_eq!(
            (summary.inodes, summary.files, summary.pages, summary.lost),
            (3, 2, 2, 0)
        );
        assert_eq!(sink.files[&11].path, b"/etc/hostname");
        assert_eq!(sink.files[&11].content(&w.memory)[&0], fill(0)[..100]);
        assert_eq!(sink.files[&12].content(&w.memory)[&0], fill(0));
        // An entry beyond index 0 has a node, whatever their number.
        w.file(14, 1 << 20, &[(5, D, DIRTY)]);
        let (_, sink) = w.migrate(false);
        assert_eq!(sink.files[&14].content(&w.memory)[&(5 << 12)], fill(5));
    }
}

#[test]
fn heights_from_one_to_four_with_holes() {
    for mut w in worlds() {
        let chunk = w.constant(ConstantId::XA_CHUNK_SHIFT);
        for height in 1..=4_u64 {
            let last = (1 << (height * chunk)) - 1;
            let indices = [0, 1, 2, last / 2, last / 2 + 1, last - 1, last];
            let list: Vec<_> = indices.iter().map(|i| (*i, D, DIRTY)).collect();
            let inode = w.file(height, u64::MAX >> 1, &list);
            let at = w.at(root_of(&w, inode), MemberId::RADIX_TREE_ROOT_HEIGHT) - PAGE_OFFSET;
            assert_eq!(w.memory.bytes(at, 4), (height as u32).to_le_bytes());
            let (summary, sink) = w.migrate(false);
            assert_eq!((summary.unwrap().files, sink.lost.len()), (height, 0));
            let content = sink.files[&height].content(&w.memory);
            assert_eq!(content.len(), 3);
            assert_eq!(content[&0], pages(0, 3));
            assert_eq!(content[&((last / 2) << 12)], pages(last / 2, last / 2 + 2));
            assert_eq!(content[&((last - 1) << 12)], pages(last - 1, last + 1));
        }
    }
}

#[test]
fn tags_and_flags_each_suffice() {
    for mut w in worlds() {
        let list = [
            (0, C, 0),
            (1, C, DIRTY),
            (2, W, 0),
            (3, C, WRITEBACK),
            (4, D, 0),
            (70, C, 0),
            (5000, C, DIRTY | WRITEBACK),
        ];
        let inode = w.file(5, 1 << 30, &list);
        let (summary, sink) = w.migrate(false);
        assert_eq!(summary.unwrap().pages, 5);
        let content = sink.files[&5].content(&w.memory);
        assert_eq!(content[&4096], pages(1, 5));
        assert_eq!(content[&(5000 << 12)], fill(5000));
        assert_eq!(sink.files[&5].summary.unwrap().clean, 2);
        // Without a tag at the root there is nothing unwritten, and no node is looked at.
        w.set(root_of(&w, inode), MemberId::RADIX_TREE_ROOT_GFP_MASK, 0xd0);
        assert_eq!(w.migrate(false).0.unwrap().files, 0);
    }
}

#[test]
fn exceptional_entries_are_passed_over() {
    for mut w in worlds() {
        let inode = w.inode(5, 1 << 20);
        let value = w.folio(inode, 7, 0, D);
        let (order, marks) = (0, DIRTY);
        let entry = |index, value| Entry {
            index,
            value,
            marks,
            order,
        };
        // In an xarray the second would say that it belongs to the first.
        let entries = [entry(6, 0x1232), entry(7, value), entry(8, (7 << 2) | 2)];
        w.tree(inode, &entries);
        let facts = w.view(|view| inspect_inode(view, ForeignVa::new(inode)).unwrap());
        assert_eq!((facts.walked, facts.values, facts.dirty), (1, 2, 1));
        // The only entry of a tree.
        w.set(w.data(inode), MemberId::ADDRESS_SPACE_NRPAGES, 0);
        w.tree(inode, &[entry(0, 0x1232)]);
        let facts = w.view(|view| inspect_inode(view, ForeignVa::new(inode)).unwrap());
        assert_eq!((facts.walked, facts.values), (0, 1));
    }
}

#[test]
fn a_height_without_an_entry_is_an_empty_tree() {
    for (mut w, inode) in threes(10) {
        let root = root_of(&w, inode);
        w.set(root, MemberId::RADIX_TREE_ROOT_RNODE, 0);
        w.set(w.data(inode), MemberId::ADDRESS_SPACE_NRPAGES, 0);
        assert_eq!(w.migrate(false).0.unwrap().files, 3);
        w.set(w.data(inode), MemberId::ADDRESS_SPACE_NRPAGES, 10);
        let (walked, expected) = (0, 10);
        assert_eq!(why(&w), Reason::Pages { walked, expected });
    }
}

#[test]
fn the_names_of_an_inode_are_a_ring() {
    for release in RELEASES {
        let mut w = World::of(release.descriptor(RAM));
        let inode = w.file(5, 4096, &[(0, D, DIRTY)]);
        assert!(w.migrate(false).1.files[&5].path.is_empty());
        let dir = w.dentry(w.root, b"dir");
        let dentry = w.name(inode, dir, b"file");
        assert_eq!(w.migrate(false).1.files[&5].path, b"/dir/file");
        // A name that was removed, in a ring that does not come back to its head.
        let hash = w.at(dentry, MemberId::DENTRY_D_HASH);
        w.poke(hash + 8, 0);
        let alias = w.at(dentry, MemberId::DENTRY_D_ALIAS);
        w.poke(alias, alias);
        let (summary, sink) = w.migrate(false);
        assert_eq!(summary.unwrap().paths_broken, 1);
        assert!(sink.files[&5].path.is_empty());
    }
}

#[test]
fn impossible_heights() {
    for (mut w, inode) in threes(10) {
        let root = root_of(&w, inode);
        let top = top_of(&w, inode);
        for height in [12, 13, 1 << 8, 1 << 16, u32::MAX] {
            w.set(root, MemberId::RADIX_TREE_ROOT_HEIGHT, height.into());
            let expected = ("radix_tree_root", root, Fault::TreeHeight(height));
            assert_eq!(fault(&w), expected);
        }
        // A node below no level, and a page below one.
        w.set(root, MemberId::RADIX_TREE_ROOT_HEIGHT, 0);
        assert_eq!(fault(&w).2, Fault::TreeHeight(0));
        w.set(root, MemberId::RADIX_TREE_ROOT_HEIGHT, 1);
        w.set(root, MemberId::RADIX_TREE_ROOT_RNODE, top);
        assert_eq!(fault(&w).2, Fault::TreeHeight(1));
        // The root and its node disagree.
        w.set(root, MemberId::RADIX_TREE_ROOT_RNODE, top | 1);
        w.set(root, MemberId::RADIX_TREE_ROOT_HEIGHT, 2);
        assert_eq!(fault(&w), ("radix_tree_node", top, Fault::NodeHeight(1)));
        w.set(root, MemberId::RADIX_TREE_ROOT_HEIGHT, 1);
        assert_eq!(w.migrate(false).1.lost, vec![]);
    }
}

/// A tree as high as can be: its pages are beyond the largest file but for those at its left.
#[test]
fn the_highest_tree() {
    for (mut w, inode) in threes(10) {
        let root = root_of(&w, inode);
        let mut below = top_of(&w, inode);
        for height in 2..=11 {
            let node = w.alloc();
            w.set(node, MemberId::RADIX_TREE_NODE_HEIGHT, height);
            w.set(node, MemberId::RADIX_TREE_NODE_COUNT, 1);
            w.poke(slot_at(&w, node, 0), below);
            below = node;
        }
        w.set(root, MemberId::RADIX_TREE_ROOT_HEIGHT, 11);
        w.set(root, MemberId::RADIX_TREE_ROOT_RNODE, below | 1);
        assert_eq!(w.migrate(false).1.lost, vec![]);
        w.poke(slot_at(&w, below, 1), top_of(&w, inode));
        let entry = top_of(&w, inode);
        assert_eq!(fault(&w), ("radix_tree_node", below, Fault::Index(entry)));
    }
}

#[test]
fn cycles() {
    for (mut w, inode) in threes(70) {
        let top = top_of(&w, inode);
        let child = peek(&w, slot_at(&w, top, 0));
        // To an ancestor.
        w.poke(slot_at(&w, top, 0), top);
        assert_eq!(fault(&w), ("radix_tree_node", top, Fault::NodeHeight(2)));
        // To a node that hangs elsewhere too: its pages know where they are.
        w.poke(slot_at(&w, top, 0), child);
        w.poke(slot_at(&w, top, 1), child);
        let (found, place) = (0, 64);
        assert_eq!(fault(&w).2, Fault::PageIndex { found, place });
    }
}

#[test]
fn nodes_without_pages_in_every_slot_are_bounded() {
    for (mut w, inode) in threes(10) {
        let root = root_of(&w, inode);
        let mut below = w.alloc();
        w.set(below, MemberId::RADIX_TREE_NODE_HEIGHT, 1);
        for height in 2..=8 {
            let node = w.alloc();
            w.set(node, MemberId::RADIX_TREE_NODE_HEIGHT, height);
            for n in 0..64 {
                w.poke(slot_at(&w, node, n), below);
            }
            below = node;
        }
        w.set(root, MemberId::RADIX_TREE_ROOT_HEIGHT, 8);
        w.set(root, MemberId::RADIX_TREE_ROOT_RNODE, below | 1);
        w.view(|view| {
            let budget = Budget {
                nodes: 1000,
                ..Budget::for_memory_of(view.descriptor())
            };
            let mut sink = common::sink::Recorder::default();
            migrate_files(view, &w.entry(false), &mut sink, &budget).unwrap();
            let Reason::Broken(error) = sink.lost[0].2 else {
                panic!("{:?}", sink.lost[0]);
            };
            assert_eq!(error.fault, Fault::Exceeded(Bound::Nodes));
            assert_eq!(error.object, "radix_tree_node");
        });
        let fits = w.view(|view| Budget::for_memory_of(view.descriptor()).nodes);
        let size = w.page.members[MemberId::RADIX_TREE_NODE_SIZE_OF.0 as usize].size;
        assert_eq!(fits, RAM / u64::from(size));
    }
}

#[test]
fn nodes_that_lie() {
    for (mut w, inode) in threes(70) {
        let top = top_of(&w, inode);
        for (id, value, right, expected) in [
            (MemberId::RADIX_TREE_NODE_HEIGHT, 0, 2, Fault::NodeHeight(0)),
            (MemberId::RADIX_TREE_NODE_HEIGHT, 3, 2, Fault::NodeHeight(3)),
            (
                MemberId::RADIX_TREE_NODE_HEIGHT,
                0x1002,
                2,
                Fault::NodeHeight(0x1002),
            ),
            (MemberId::RADIX_TREE_NODE_COUNT, 65, 2, Fault::NodeCount(65)),
            (
                MemberId::RADIX_TREE_NODE_COUNT,
                1 << 20,
                2,
                Fault::NodeCount(255),
            ),
        ] {
            w.set(top, id, value);
            assert_eq!(fault(&w), ("radix_tree_node", top, expected));
            w.set(top, id, right);
        }
        let child = peek(&w, slot_at(&w, top, 1));
        w.set(child, MemberId::RADIX_TREE_NODE_HEIGHT, 2);
        assert_eq!(fault(&w), ("radix_tree_node", child, Fault::NodeHeight(2)));
        w.set(child, MemberId::RADIX_TREE_NODE_HEIGHT, 1);
        assert_eq!(w.migrate(false).1.lost, vec![]);
    }
}

#[test]
fn wild_entries() {
    for (mut w, inode) in threes(70) {
        let top = top_of(&w, inode);
        let child = peek(&w, slot_at(&w, top, 1));
        // Where a node must be.
        for (value, expected) in [
            (0xffff_8880_ffff_f000, Fault::NotMapped),
            (0xffff_ffff_ffff_fff8, Fault::Wraps),
            (0x0000_7fff_0000_1000, Fault::NotKernel),
            (child + 4, Fault::Misaligned),
            (child | 1, Fault::NodeEntry(child | 1)),
            (child | 2, Fault::NodeEntry(child | 2)),
            (child | 3, Fault::NodeEntry(child | 3)),
        ] {
            w.poke(slot_at(&w, top, 1), value);
            let (object, _, found) = fault(&w);
            assert_eq!(object, "radix_tree_node");
            assert!(same(found, expected), "{value:#x}: {found:?}");
        }
        w.poke(slot_at(&w, top, 1), child);
        // Where a page must be.
        let page = peek(&w, slot_at(&w, child, 3));
        for (value, object, expected) in [
            (child, "page", Fault::NotAPage),
            (page + 4, "page", Fault::NotAPage),
            (VMEMMAP - 64, "page", Fault::NotAPage),
            (page | 1, "radix_tree_node", Fault::NodeEntry(page | 1)),
            (page | 3, "radix_tree_node", Fault::NodeEntry(page | 3)),
        ] {
            w.poke(slot_at(&w, child, 3), value);
            let found = fault(&w);
            assert_eq!((found.0, found.2), (object, expected), "{value:#x}");
        }
        w.poke(slot_at(&w, child, 3), page);
        assert_eq!(w.migrate(false).1.lost, vec![]);
    }
}

#[test]
fn wild_roots() {
    for (mut w, inode) in threes(1) {
        let root = root_of(&w, inode);
        for (value, height, object, expected) in [
            (
                0xffff_8880_ffff_f001,
                1,
                "radix_tree_node",
                Fault::NotMapped,
            ),
            (0xffff_ffff_ffff_fff9, 1, "radix_tree_node", Fault::Wraps),
            (
                0x0000_7fff_0000_1001,
                1,
                "radix_tree_node",
                Fault::NotKernel,
            ),
            (va(5 << 20) | 5, 1, "radix_tree_node", Fault::Misaligned),
            (va(5 << 20), 0, "page", Fault::NotAPage),
            (7, 0, "radix_tree_root", Fault::NodeEntry(7)),
            (6, 1, "radix_tree_root", Fault::NodeEntry(6)),
        ] {
            w.set(root, MemberId::RADIX_TREE_ROOT_RNODE, value);
            w.set(root, MemberId::RADIX_TREE_ROOT_HEIGHT, height);
            let found = fault(&w);
            assert_eq!(found.0, object, "{value:#x}");
            assert!(same(found.2, expected), "{value:#x}: {:?}", found.2);
        }
    }
}

#[test]
fn pages_that_lie() {
    for (mut w, inode) in threes(10) {
        let top = top_of(&w, inode);
        let page = peek(&w, slot_at(&w, top, 4)) - VMEMMAP + va(VMEMMAP_PA);
        w.set(page, MemberId::PAGE_MAPPING, w.sb);
        assert_eq!(fault(&w).2, Fault::PageMapping(ForeignVa::new(w.sb & !3)));
        w.set(page, MemberId::PAGE_MAPPING, w.data(inode));
        w.set(page, MemberId::PAGE_INDEX, 5);
        let (found, place) = (5, 4);
        assert_eq!(fault(&w).2, Fault::PageIndex { found, place });
        w.set(page, MemberId::PAGE_INDEX, 4);
        // A compound page, of which these page caches have none.
        let flags = peek(&w, w.at(page, MemberId::PAGE_FLAGS));
        let head = 1 << w.constant(ConstantId::PG_HEAD);
        w.set(page, MemberId::PAGE_FLAGS, flags | head);
        assert!(matches!(fault(&w).2, Fault::Shape { .. }));
        w.set(page, MemberId::PAGE_FLAGS, flags);
        for (claim, walked) in [(11, 10), (0, 1), (9, 10)] {
            w.set(w.data(inode), MemberId::ADDRESS_SPACE_NRPAGES, claim);
            let expected = claim;
            assert_eq!(why(&w), Reason::Pages { walked, expected });
        }
        w.set(w.data(inode), MemberId::ADDRESS_SPACE_NRPAGES, 1 << 40);
        assert_eq!(fault(&w).2, Fault::PageCount(1 << 40));
    }
}
