//! Names and descriptors that are refused.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]

mod common;

use common::builder::{World, DIRTY};
use common::layout::Options;
use handoff_abi::descriptor::{ConstantId, MemberId, PageTreeShape};
use migrator::address::ForeignVa;
use migrator::budget::Budget;
use migrator::descriptor::{Descriptor, DescriptorError};
use migrator::error::Fault;
use migrator::files::Path;
use migrator::objects::dentry::path_of;
use migrator::objects::inode::Inode;

/// A world of three files of a dirty page each, and the second of them.
fn three(seed: u64) -> (World, u64) {
    let mut w = World::new(seed);
    let dirty: &[ConstantId] = &[ConstantId::PG_UPTODATE, ConstantId::PG_DIRTY];
    let inodes = [1, 2, 3].map(|ino| w.file(ino, 4096, &[(0, dirty, DIRTY)]));
    (w, inodes[1])
}

#[test]
fn names_that_lie() {
    let (mut w, inode) = three(1);
    let path = |w: &World| {
        let result = w.view(|view| {
            let budget = Budget::for_memory_of(view.descriptor());
            let inode = Inode::new(view, ForeignVa::new(inode));
            let mut path = Path::new();
            path_of(view, &inode, ForeignVa::new(w.root), &budget, &mut path).map(|()| path)
        });
        // A file without a path is carried all the same.
        assert_eq!(w.migrate(false).1.lost, vec![]);
        result
    };
    assert!(path(&w).unwrap().is_absent());
    let dir = w.dentry(w.root, &[b'd'; 255]);
    let file = w.name(inode, dir, b"name");
    assert_eq!(path(&w).unwrap().as_bytes().len(), 256 + 5);
    let qstr = w.at(file, MemberId::DENTRY_D_NAME);
    for len in [0, 256, 0xffff_ffff] {
        w.set(qstr, MemberId::QSTR_LEN, len);
        assert_eq!(path(&w).unwrap_err().fault, Fault::NameLength(len));
    }
    for name in [&b"a/b"[..], b"..", b".", b"a\0b"] {
        w.name(inode, dir, name);
        assert_eq!(path(&w).unwrap_err().fault, Fault::Name);
    }
    // Cycles of one, of two with names that overflow the buffer, and a disconnected root.
    let file = w.name(inode, dir, b"name");
    w.set(dir, MemberId::DENTRY_D_PARENT, file);
    assert_eq!(path(&w).unwrap_err().fault, Fault::Cycle);
    w.set(dir, MemberId::DENTRY_D_PARENT, dir);
    assert_eq!(
        path(&w).unwrap_err().fault,
        Fault::NotTheRoot(ForeignVa::new(dir))
    );
    // Too deep for the buffer: the end is kept.
    let mut parent = w.root;
    for _ in 0..6 {
        parent = w.dentry(parent, &[b'x'; 255]);
    }
    w.name(inode, parent, b"name");
    let found = path(&w).unwrap();
    assert!(found.is_truncated() && found.as_bytes().ends_with(b"/name"));
}

#[test]
fn shapes_are_refused_by_name() {
    let refused = |change: &mut dyn FnMut(&mut World)| {
        let mut w = World::new(4);
        change(&mut w);
        Descriptor::new(&w.page).map(|_| ()).unwrap_err()
    };
    for (n, shape) in ["page tree", "order of a compound page", "inode times"]
        .iter()
        .enumerate()
    {
        let error = refused(&mut |w| w.page.shapes[n] = 99);
        assert_eq!(error, DescriptorError::Shape { shape, value: 99 });
    }
    // A shape without the members it stands on.
    for (shape, structure) in [
        (PageTreeShape::RADIX, "radix_tree_root"),
        (PageTreeShape::XARRAY, "xarray"),
    ] {
        let error = refused(&mut |w| {
            let other = match shape {
                PageTreeShape::RADIX => Options::new(4),
                _ => Options::radix(4),
            };
            *w = World::with(other);
            w.page.shapes[0] = shape.0;
        });
        assert!(
            matches!(error, DescriptorError::Missing { structure: s, .. } if s == structure),
            "{error}"
        );
    }
    let absent = |w: &mut World, id: MemberId| w.page.members[id.0 as usize].kind = 0;
    assert!(matches!(
        refused(&mut |w| absent(w, MemberId::INODE_I_SIZE)),
        DescriptorError::Missing {
            structure: "inode",
            member: "i_size"
        }
    ));
    assert!(matches!(
        refused(&mut |w| w.page.members[MemberId::INODE_I_INO.0 as usize].size = 4),
        DescriptorError::Size {
            member: "i_ino",
            size: 4,
            ..
        }
    ));
    assert!(matches!(
        refused(&mut |w| w.page.members[MemberId::INODE_I_INO.0 as usize].kind = 6),
        DescriptorError::Kind {
            member: "i_ino",
            kind: 6,
            ..
        }
    ));
    assert!(matches!(
        refused(&mut |w| w.page.members[MemberId::PAGE_INDEX.0 as usize].offset = 4000),
        DescriptorError::Offset {
            member: "index",
            offset: 4000,
            ..
        }
    ));
    for (id, value) in [
        (ConstantId::PG_DIRTY, 64),
        (ConstantId::XA_CHUNK_SHIFT, 5),
        (ConstantId::PAGE_SHIFT, 13),
        (ConstantId::PAGECACHE_TAG_DIRTY, 3),
        (ConstantId::XA_FLAGS_MARK_SHIFT, 30),
        (ConstantId::I_NEW, 3),
    ] {
        let error = refused(&mut |w| w.page.constants[id.0 as usize] = value);
        assert!(matches!(error, DescriptorError::Constant { value: v, .. } if v == value));
    }
    for change in [
        (|w: &mut World| w.page.address_space.levels = 6) as fn(&mut World),
        |w| w.page.address_space.pgd = 1,
        |w| w.page.address_space.direct_map_size = u64::MAX,
        |w| w.page.address_space.page_offset_base = u64::MAX - 4095,
        |w| w.page.address_space.vmemmap_base = 0xffff_ffff_ffff_f000,
        |w| w.page.address_space.pte_mask = u64::MAX,
    ] {
        assert!(matches!(
            refused(&mut |w| change(w)),
            DescriptorError::AddressSpace { .. }
        ));
    }
    assert_eq!(
        refused(&mut |w| w.page.member_count = 2000),
        DescriptorError::MemberCount(2000)
    );
}
