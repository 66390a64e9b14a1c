//! Pages that are not one slot, one frame and all content.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]

mod common;

use common::builder::{fill, va, Entry, World, DIRTY, WRITEBACK};
use common::layout::{Options, VMEMMAP, VMEMMAP_PA};
use handoff_abi::descriptor::{ConstantId, MemberId, OrderShape};
use migrator::address::ForeignVa;
use migrator::budget::Budget;
use migrator::files::{inspect_inode, Reason};

const UP: ConstantId = ConstantId::PG_UPTODATE;
const D: &[ConstantId] = &[UP, ConstantId::PG_DIRTY];
const C: &[ConstantId] = &[UP];

fn pages(from: u64, to: u64) -> Vec<u8> {
    (from..to).flat_map(fill).collect()
}

#[test]
fn large_folios_with_siblings() {
    for seed in 1..10 {
        let mut w = World::new(seed);
        let inode = w.inode(5, (64 + 512 + 16) * 4096 - 5);
        let mut list = Vec::new();
        for (index, order, marks) in [
            (0, 4, 0),
            (16, 2, DIRTY),
            (20, 0, DIRTY),
            (64, 6, 0),
            (512, 5, DIRTY),
        ] {
            let flags = if marks == 0 { C } else { D };
            let value = w.folio(inode, index, order, flags);
            list.push(Entry {
                index,
                value,
                marks,
                order,
            });
        }
        w.tree(inode, &list);
        let (summary, sink) = w.migrate(false);
        assert_eq!(sink.lost, vec![], "seed {seed}");
        assert_eq!(summary.unwrap().pages, 4 + 1 + 32);
        let content = sink.files[&5].content(&w.memory);
        assert_eq!(content[&(16 * 4096)], pages(16, 21));
        assert_eq!(content[&(512 * 4096)], pages(512, 544));
        let summary = sink.files[&5].summary.unwrap();
        assert_eq!((summary.walked, summary.clean), (16 + 4 + 1 + 64 + 32, 80));
    }
}

#[test]
fn huge_page_in_an_upper_node() {
    let mut w = World::new(4);
    let inode = w.inode(5, 4 << 20);
    let value = w.folio(inode, 512, 9, D);
    let small = w.folio(inode, 3, 0, C);
    w.tree(
        inode,
        &[
            Entry {
                index: 3,
                value: small,
                marks: 0,
                order: 0,
            },
            Entry {
                index: 512,
                value,
                marks: WRITEBACK,
                order: 9,
            },
        ],
    );
    let (summary, sink) = w.migrate(false);
    assert_eq!(summary.unwrap().bytes, 2 << 20);
    assert_eq!(
        sink.files[&5].content(&w.memory)[&(512 * 4096)],
        pages(512, 1024)
    );
}

#[test]
fn head_repeated_in_every_slot() {
    let mut w = World::with(Options {
        order: OrderShape::SECOND_PAGE,
        ..Options::new(6)
    });
    let inode = w.inode(5, 4 << 20);
    let value = w.folio(inode, 512, 9, D);
    let list: Vec<_> = (512..1024)
        .map(|index| Entry {
            index,
            value,
            marks: if index == 512 { DIRTY } else { 0 },
            order: 0,
        })
        .collect();
    w.tree(inode, &list);
    let (summary, sink) = w.migrate(false);
    assert_eq!(summary.unwrap().pages, 512);
    assert_eq!(sink.files[&5].writes.len(), 1);
    assert_eq!(
        sink.files[&5].content(&w.memory)[&(512 * 4096)],
        pages(512, 1024)
    );
    // A head that is not repeated as often as its order says.
    w.tree(inode, &list[..400]);
    let (_, sink) = w.migrate(false);
    assert_eq!(
        sink.lost[0].2,
        Reason::Pages {
            walked: 512,
            expected: 400
        }
    );
}

#[test]
fn values_are_passed_over() {
    let mut w = World::new(5);
    let inode = w.inode(5, 1 << 20);
    let page = w.folio(inode, 2, 0, D);
    let list = [
        Entry {
            index: 0,
            value: 0x1235,
            marks: 0,
            order: 0,
        },
        Entry {
            index: 2,
            value: page,
            marks: DIRTY,
            order: 0,
        },
        Entry {
            index: 8,
            value: 0x77,
            marks: 0,
            order: 3,
        },
        // XA_ZERO_ENTRY.
        Entry {
            index: 20,
            value: 0x406,
            marks: 0,
            order: 0,
        },
    ];
    w.tree(inode, &list);
    let (summary, _) = w.migrate(false);
    assert_eq!(summary.unwrap().files, 1);
    let facts = w
        .view(|view| inspect_inode(view, ForeignVa::new(inode)))
        .unwrap();
    assert_eq!((facts.walked, facts.values, facts.dirty), (1, 2, 1));
}

#[test]
fn blocks_of_a_page_that_is_not_up_to_date() {
    let mut w = World::new(9);
    let flags = &[ConstantId::PG_DIRTY];
    let inode = w.file(5, 8192 + 100, &[(0, D, DIRTY), (2, flags, DIRTY)]);
    let (_, sink) = w.migrate(false);
    assert_eq!(sink.lost[0].2, Reason::NotUptodate { pages: 1 });
    // Four buffers of 1 KiB, the first and last up to date; the size clips the first.
    let facts = w.view(|view| {
        let mut tree = migrator::budget::TreeBudget::new(&Budget::for_memory_of(view.descriptor()));
        let (mapping, _) = migrator::objects::inode::Inode::new(view, ForeignVa::new(inode))
            .i_mapping()
            .unwrap();
        let mut walk = migrator::walk::tree::Walk::new(view);
        walk.start(mapping.i_pages().unwrap(), &mut tree).unwrap();
        walk.next_entry(&mut tree).unwrap();
        walk.next_entry(&mut tree).unwrap().unwrap().pointer.raw()
    });
    let buffers: Vec<u64> = (0..4).map(|_| w.alloc()).collect();
    for (n, buffer) in buffers.iter().enumerate() {
        w.set(*buffer, MemberId::BUFFER_HEAD_B_PAGE, facts);
        w.set(*buffer, MemberId::BUFFER_HEAD_B_SIZE, 1024);
        w.set(
            *buffer,
            MemberId::BUFFER_HEAD_B_STATE,
            if n % 3 == 0 { 3 } else { 0 },
        );
        w.set(
            *buffer,
            MemberId::BUFFER_HEAD_B_THIS_PAGE,
            buffers[(n + 1) % 4],
        );
    }
    w.set(
        facts - VMEMMAP + va(VMEMMAP_PA),
        MemberId::PAGE_PRIVATE,
        buffers[0],
    );
    let (_, sink) = w.migrate(false);
    assert_eq!(sink.lost, vec![]);
    let content = sink.files[&5].content(&w.memory);
    assert_eq!(content[&8192], fill(2)[..100]);
    w.set(inode, MemberId::INODE_I_SIZE, 1 << 20);
    let (_, sink) = w.migrate(false);
    let content = sink.files[&5].content(&w.memory);
    assert_eq!(
        (&content[&8192], &content[&11264]),
        (&fill(2)[..1024].to_vec(), &fill(2)[3072..].to_vec())
    );
    // A ring that does not close.
    w.set(buffers[1], MemberId::BUFFER_HEAD_B_THIS_PAGE, buffers[0]);
    assert_eq!(
        w.migrate(false).1.lost[0].2,
        Reason::NotUptodate { pages: 1 }
    );
}
