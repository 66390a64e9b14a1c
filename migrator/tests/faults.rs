//! What a broken or hostile kernel leads to: an error or loss of the right kind, soon.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]

mod common;

use common::builder::{va, Entry, World, DIRTY};
use common::layout::{PAGE_OFFSET, RAM, VMEMMAP, VMEMMAP_PA};
use handoff_abi::descriptor::{ConstantId, MemberId};
use migrator::address::ForeignVa;
use migrator::budget::Budget;
use migrator::error::{Bound, Fault};
use migrator::files::Reason;

const D: &[ConstantId] = &[ConstantId::PG_UPTODATE, ConstantId::PG_DIRTY];

/// A world of three files, the second of which is to be broken.
fn three(pages: u64) -> (World, u64) {
    let mut w = World::new(pages % 7 + 1);
    let list: Vec<_> = (0..pages).map(|i| (i, D, DIRTY)).collect();
    w.file(1, 1 << 30, &[(0, D, DIRTY)]);
    let inode = w.file(2, 1 << 30, &list);
    w.file(3, 1 << 30, &[(0, D, DIRTY)]);
    (w, inode)
}

/// Why file 2, and only it, was lost.
fn why(w: &World) -> Reason {
    let (summary, sink) = w.migrate(false);
    let summary = summary.unwrap();
    assert_eq!((summary.files, summary.lost, sink.lost.len()), (2, 1, 1));
    assert_eq!(sink.lost[0].0, Some(2));
    assert!(
        w.memory.reads.get() < 20_000,
        "{} reads",
        w.memory.reads.get()
    );
    sink.lost[0].2
}

fn fault(w: &World) -> (&'static str, u64, Fault) {
    match why(w) {
        Reason::Broken(error) => (error.object, error.at.raw(), error.fault),
        other => panic!("{other:?}"),
    }
}

/// The error that ends the migration.
fn fatal(w: &World) -> Fault {
    let (summary, _) = w.migrate(false);
    assert!(w.memory.reads.get() < 20_000);
    summary.unwrap_err().fault
}

fn head_of(w: &World, inode: u64) -> u64 {
    w.at(
        w.at(w.data(inode), MemberId::ADDRESS_SPACE_I_PAGES),
        MemberId::XARRAY_XA_HEAD,
    )
}

fn node_of(w: &World, inode: u64) -> u64 {
    let at = head_of(w, inode) - PAGE_OFFSET;
    u64::from_le_bytes(w.memory.bytes(at, 8).try_into().unwrap()) & !3
}

/// The struct page in the direct map that slot `n` of `node` leads to.
fn page_of(w: &World, node: u64, n: u64) -> u64 {
    let at = w.at(node, MemberId::XA_NODE_SLOTS) + 8 * n - PAGE_OFFSET;
    u64::from_le_bytes(w.memory.bytes(at, 8).try_into().unwrap()) - VMEMMAP + va(VMEMMAP_PA)
}

fn slot(w: &mut World, node: u64, n: u64, value: u64) {
    w.poke(w.at(node, MemberId::XA_NODE_SLOTS) + 8 * n, value);
}

#[test]
fn wrong_magic() {
    let (mut w, _) = three(1);
    w.set(w.sb, MemberId::SUPER_BLOCK_S_MAGIC, 0x1234);
    assert_eq!(fatal(&w), Fault::Magic(0x1234));
}

#[test]
fn cycle_in_s_inodes() {
    for back_to_itself in [true, false] {
        let (mut w, inode) = three(1);
        let other = w.inode(4, 0);
        let target = if back_to_itself { other } else { inode };
        w.poke(
            w.at(other, MemberId::INODE_I_SB_LIST),
            w.at(target, MemberId::INODE_I_SB_LIST),
        );
        assert_eq!(fatal(&w), Fault::Cycle);
    }
}

#[test]
fn wild_links_in_s_inodes() {
    for (value, expected) in [
        (0, Fault::Null),
        (0x1000, Fault::NotKernel),
        (0xffff_8880_0000_0003, Fault::Misaligned),
        (0xffff_c900_0000_0000, Fault::NotMapped),
    ] {
        let (mut w, inode) = three(1);
        w.poke(w.at(inode, MemberId::INODE_I_SB_LIST), value);
        let found = fatal(&w);
        // A small integer fails as the container's address before it is read.
        assert!(
            found == expected || (value == 0x1000 && found == Fault::Wraps),
            "{found:?}"
        );
    }
}

#[test]
fn an_inode_of_another_file_system() {
    let (mut w, inode) = three(1);
    w.set(inode, MemberId::INODE_I_SB, w.root);
    assert_eq!(fatal(&w), Fault::SuperBlock(ForeignVa::new(w.root)));
}

#[test]
fn too_many_inodes_for_the_budget() {
    let (w, _) = three(1);
    w.view(|view| {
        let budget = Budget {
            inodes: 2,
            ..Budget::for_memory_of(view.descriptor())
        };
        let mut sink = common::sink::Recorder::default();
        let error = migrator::files::migrate_files(view, &w.entry(false), &mut sink, &budget);
        assert_eq!(error.unwrap_err().fault, Fault::Exceeded(Bound::Inodes));
        assert_eq!(sink.files.len(), 2);
    });
}

#[test]
fn xarray_cycle_to_an_ancestor() {
    let (mut w, inode) = three(70);
    let root = node_of(&w, inode);
    slot(&mut w, root, 0, root | 2);
    assert_eq!(fault(&w), ("xa_node", root, Fault::NodeShift(6)));
}

#[test]
fn xarray_node_in_two_slots() {
    let (mut w, inode) = three(70);
    let root = node_of(&w, inode);
    let at = w.at(root, MemberId::XA_NODE_SLOTS) - PAGE_OFFSET;
    let child = u64::from_le_bytes(w.memory.bytes(at, 8).try_into().unwrap());
    slot(&mut w, root, 1, child);
    assert_eq!(fault(&w), ("xa_node", child & !3, Fault::NodeOffset(0)));
}

#[test]
fn xarray_nodes_that_lie() {
    for (id, value, expected) in [
        (MemberId::XA_NODE_SHIFT, 5, Fault::NodeShift(5)),
        (MemberId::XA_NODE_SHIFT, 66, Fault::NodeShift(66)),
        (MemberId::XA_NODE_COUNT, 65, Fault::NodeCount(65)),
    ] {
        let (mut w, inode) = three(10);
        let node = node_of(&w, inode);
        w.set(node, id, value);
        assert_eq!(fault(&w), ("xa_node", node, expected));
    }
    // Too high a tree: its first entry covers more than any file has.
    let (mut w, inode) = three(10);
    w.set(node_of(&w, inode), MemberId::XA_NODE_SHIFT, 60);
    assert_eq!(
        why(&w),
        Reason::Pages {
            walked: 1 << 60,
            expected: 10
        }
    );
}

#[test]
fn wild_entries() {
    for (value, object, expected) in [
        (0xffff_8880_ffff_f002, "xa_node", Fault::NotMapped),
        (0xffff_ffff_ffff_fffa, "xa_node", Fault::Wraps),
        (0x0000_7fff_0000_1002, "xa_node", Fault::NotKernel),
        (0xffff_8880_0000_1000, "page", Fault::NotAPage),
        (VMEMMAP + 4, "page", Fault::NotAPage),
        (VMEMMAP - 64, "page", Fault::NotAPage),
        (0xffff_ffff_ffff_fffc, "page", Fault::NotAPage),
    ] {
        let (mut w, inode) = three(1);
        w.poke(head_of(&w, inode), value);
        let found = fault(&w);
        assert_eq!((found.0, found.2), (object, expected), "{value:#x}");
    }
}

#[test]
fn a_node_where_only_pages_can_be_and_a_stray_sibling() {
    for value in [va(5 << 20) | 2, (3 << 2) | 2] {
        let (mut w, inode) = three(10);
        let node = node_of(&w, inode);
        slot(&mut w, node, 5, value);
        assert!(matches!(
            fault(&w).2,
            Fault::NodeShift(_) | Fault::NodeEntry(_)
        ));
    }
}

#[test]
fn pages_that_lie() {
    let (mut w, inode) = three(10);
    let node = node_of(&w, inode);
    let page = page_of(&w, node, 4);
    w.set(page, MemberId::PAGE_MAPPING, w.sb);
    assert_eq!(fault(&w).2, Fault::PageMapping(ForeignVa::new(w.sb & !3)));
    w.set(page, MemberId::PAGE_MAPPING, w.data(inode) | 1);
    w.set(page, MemberId::PAGE_INDEX, 5);
    assert_eq!(fault(&w).2, Fault::PageIndex { found: 5, place: 4 });
    w.set(page, MemberId::PAGE_INDEX, 4);
    assert_eq!(w.migrate(false).1.lost, vec![]);
}

#[test]
fn an_order_that_lies() {
    for order in [1, 13, 19, 255] {
        let mut w = World::new(order % 9);
        w.file(1, 4096, &[(0, D, DIRTY)]);
        let inode = w.inode(2, 1 << 20);
        let value = w.folio(inode, 4, 2, D);
        w.tree(
            inode,
            &[Entry {
                index: 4,
                value,
                marks: DIRTY,
                order: 2,
            }],
        );
        w.file(3, 4096, &[(0, D, DIRTY)]);
        let page = value - VMEMMAP + va(VMEMMAP_PA);
        let step = u64::from(w.page.members[MemberId::PAGE_SIZE_OF.0 as usize].size);
        match w.page.shapes[1] {
            1 => w.set(page + step, MemberId::PAGE_COMPOUND_ORDER, order),
            2 => w.set(page, MemberId::FOLIO_ORDER, order),
            _ => w.set(page, MemberId::FOLIO_FLAGS_1, order),
        }
        assert_eq!(fault(&w).2, Fault::PageOrder(order as u8));
    }
}

#[test]
fn a_page_outside_of_the_memory() {
    let (mut w, inode) = three(1);
    // The upper half of the RAM becomes a hole; the page moves there.
    w.memory.segments[0].1.truncate((RAM / 2) as usize);
    let step = u64::from(w.page.members[MemberId::PAGE_SIZE_OF.0 as usize].size);
    let offset = ((RAM / 2) >> 12) * step;
    let page = va(VMEMMAP_PA + offset);
    w.set(page, MemberId::PAGE_MAPPING, w.data(inode));
    w.poke(head_of(&w, inode), VMEMMAP + offset);
    assert!(matches!(fault(&w), ("page", _, Fault::Frame { .. })));
}

#[test]
fn counts_that_lie() {
    let (mut w, inode) = three(10);
    for (claim, walked) in [(11, 10), (0, 1), (9, 10)] {
        w.set(w.data(inode), MemberId::ADDRESS_SPACE_NRPAGES, claim);
        assert_eq!(
            why(&w),
            Reason::Pages {
                walked,
                expected: claim
            }
        );
    }
    w.set(w.data(inode), MemberId::ADDRESS_SPACE_NRPAGES, 1 << 40);
    assert_eq!(fault(&w).2, Fault::PageCount(1 << 40));
}

#[test]
fn an_address_space_of_another() {
    let (mut w, inode) = three(10);
    w.set(w.data(inode), MemberId::ADDRESS_SPACE_HOST, w.sb);
    assert_eq!(fault(&w).2, Fault::Host(ForeignVa::new(w.sb)));
}

#[test]
fn a_negative_size() {
    let (mut w, inode) = three(10);
    w.set(inode, MemberId::INODE_I_SIZE, u64::MAX);
    assert_eq!(fault(&w).2, Fault::Size(u64::MAX));
}
