//! Whatever the bytes are: no panic, no hang, no read outside.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]

mod common;

use common::builder::{Entry, World, DIRTY, WRITEBACK};
use common::layout::{Options, RAM, VMEMMAP_PA};
use common::old::RELEASES;
use handoff_abi::descriptor::{ConstantId, MemberId};
use migrator::address::ForeignVa;
use migrator::descriptor::Descriptor;
use migrator::files::inspect_inode;
use migrator::view::View;
use proptest::prelude::*;
use zerocopy::IntoBytes;

/// Heap of the builder: super block, dentries, inodes, nodes, in pages from here.
const HEAP: u64 = 4 << 20;

fn world(seed: u64) -> (World, u64) {
    // A third of them with radix trees, of the old kernels or drawn.
    let mut w = match (seed % 3, seed % 2) {
        (0, 0) => World::of(RELEASES[(seed / 6 % 3) as usize].descriptor(RAM)),
        (0, _) => World::with(Options::radix(seed)),
        _ => World::new(seed),
    };
    // Radix trees have no large folios, the old kernels no journal.
    let order = if w.is_radix() { 0 } else { 6 };
    let ext4 = w.page.members[MemberId::EXT4_INODE_INFO_VFS_INODE.0 as usize].is_present();
    if ext4 {
        w.journal(seed);
    }
    let up = ConstantId::PG_UPTODATE;
    let d: &[ConstantId] = &[up, ConstantId::PG_DIRTY];
    let dir = w.dentry(w.root, b"dir");
    for ino in 1..4 {
        let list: Vec<_> = (0..ino * 40).map(|i| (i * ino, d, DIRTY)).collect();
        let inode = w.file(ino, 1 << 22, &list);
        w.name(inode, dir, b"file");
    }
    let inode = w.inode(4, 1 << 22);
    let big = w.folio(inode, 64, order, d);
    let small = w.folio(inode, 3, 0, &[ConstantId::PG_DIRTY]);
    let entries = [
        Entry {
            index: 3,
            value: small,
            marks: DIRTY,
            order: 0,
        },
        Entry {
            index: 64,
            value: big,
            marks: WRITEBACK,
            order,
        },
    ];
    w.tree(inode, &entries);
    w.name(inode, dir, b"big");
    if ext4 {
        w.sync_tid(inode, seed + 1);
    }
    (w, inode)
}

/// Reads that a walk over so small a world may take, broken or not: the bounds are given by
/// its memory of 32 MiB.
const MOST_READS: u64 = 2_000_000;

fn run(w: &World, inode: u64) -> Result<(), TestCaseError> {
    for tids in [false, true] {
        let _ = w.migrate(tids);
    }
    let _ = w.view(|view| inspect_inode(view, ForeignVa::new(inode)));
    prop_assert!(
        w.memory.reads.get() < MOST_READS,
        "{} reads",
        w.memory.reads.get()
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes anywhere in objects, page tables and the memory map.
    #[test]
    fn mutated_bytes(
        seed in 1_u64..1000,
        changes in prop::collection::vec((0_u8..3, 0_u64..64, 0_u64..4096, any::<u8>()), 1..60),
    ) {
        let (mut w, inode) = world(seed);
        for (place, page, offset, byte) in changes {
            let base = match place {
                0 => HEAP + 4096 * (1 + page),
                1 => VMEMMAP_PA + (12 << 20 >> 12) * 64 + 4096 * (page % 16),
                _ => common::layout::PGD_PA + 4096 * (page % 5),
            };
            w.memory.write(base + offset, &[byte]);
        }
        run(&w, inode)?;
    }

    /// Pointers exchanged for pointers to elsewhere in the same world.
    #[test]
    fn mutated_pointers(
        seed in 1_u64..1000,
        changes in prop::collection::vec((0_usize..1 << 20, 0_usize..1 << 20, 0_u64..4), 1..20),
    ) {
        let (mut w, inode) = world(seed);
        let words: Vec<(u64, u64)> = (0..64 * 512)
            .map(|n| HEAP + 4096 + 8 * n)
            .map(|at| (at, u64::from_le_bytes(w.memory.bytes(at, 8).try_into().unwrap())))
            .filter(|(_, word)| word >> 47 == 0x1ffff)
            .collect();
        for (from, to, low) in changes {
            let value = words[to % words.len()].1 ^ low;
            w.memory.write(words[from % words.len()].0, &value.to_le_bytes());
        }
        run(&w, inode)?;
    }

    /// A descriptor that is refused, or used without harm.
    #[test]
    fn mutated_descriptor(
        seed in 1_u64..1000,
        changes in prop::collection::vec((0_usize..6000, any::<u8>()), 1..4),
    ) {
        let (mut w, inode) = world(seed);
        for (at, byte) in changes {
            w.page.as_mut_bytes()[at] = byte;
        }
        let sound = Descriptor::new(&w.page).is_ok();
        if sound {
            run(&w, inode)?;
        }
    }

    /// Nothing but noise at the super block.
    #[test]
    fn noise(seed in 1_u64..1000, noise in prop::collection::vec(any::<u64>(), 512)) {
        let (mut w, _) = world(seed);
        let at = w.sb - common::layout::PAGE_OFFSET;
        w.memory.write(at, noise.as_bytes());
        let magic = w.at(w.sb, MemberId::SUPER_BLOCK_S_MAGIC);
        w.poke(magic, common::builder::MAGIC);
        prop_assert!(w.migrate(true).0.is_err());
        let descriptor = Descriptor::new(&w.page).unwrap();
        let view = View::new(&w.memory, descriptor);
        let _ = inspect_inode(&view, ForeignVa::new(noise[0]));
    }
}
