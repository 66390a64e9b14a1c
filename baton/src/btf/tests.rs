use std::path::PathBuf;

use handoff_abi::descriptor::{
    ConstantId, MemberId, OrderShape, PageTreeShape, Shape, TimeShape, MEMBER_COUNT,
};

use super::fake::{kernel, Builder, Change};
use super::*;

const ANY: &[Kind] = &[
    Kind::POINTER,
    Kind::INTEGER,
    Kind::LIST_HEAD,
    Kind::HLIST,
    Kind::RB_TREE,
    Kind::STRUCT,
    Kind::ARRAY,
    Kind::BITFIELD,
    Kind::SIZE_OF,
];

fn spec(structure: &'static str, paths: &'static [&'static str]) -> MemberSpec {
    MemberSpec {
        structure,
        paths,
        kinds: ANY,
        sizes: &[],
        required: true,
    }
}

fn find(blob: &[u8], structure: &'static str, paths: &'static [&'static str]) -> Result<Member> {
    member(&Types::parse(blob, &[])?, &spec(structure, paths))
}

fn error(blob: &[u8], structure: &'static str, paths: &'static [&'static str]) -> String {
    format!("{:#}", find(blob, structure, paths).unwrap_err())
}

fn resolved(b: &Builder) -> Result<Resolved> {
    resolve(&b.build(), &[])
}

fn at(resolved: &Resolved, id: MemberId) -> Member {
    resolved.members[usize::from(id.0)]
}

fn shape(resolved: &Resolved, shape: Shape) -> u32 {
    resolved.shapes[shape.0 as usize]
}

#[test]
fn anonymous_members_are_transparent_and_offsets_add_up() {
    let mut b = Builder::new();
    let long = b.int("long", 8);
    let short = b.int("short", 2);
    let inner = b.structure("", 16, &[("a", long, 0, 0), ("b", short, 64, 0)]);
    let constant = b.constant(inner);
    let union = b.union("", 16, &[("word", long, 0, 0), ("", constant, 0, 0)]);
    b.structure("outer", 40, &[("x", long, 0, 0), ("", union, 128, 0)]);
    let blob = b.build();
    let found = find(&blob, "outer", &["b"]).unwrap();
    assert_eq!(
        (found.offset, found.size, found.kind),
        (24, 2, Kind::INTEGER.0)
    );
    assert_eq!(find(&blob, "outer", &["word"]).unwrap().offset, 16);
    assert_eq!(find(&blob, "outer", &[""]).unwrap().size, 40);
}

#[test]
fn paths_enter_named_members_and_the_first_that_exists_is_taken() {
    let mut b = Builder::new();
    let int = b.int("unsigned int", 4);
    let body = b.structure("", 8, &[("f", int, 32, 0)]);
    let flags = b.typedef("memdesc_flags_t", body);
    let flags = b.constant(flags);
    b.structure(
        "page",
        64,
        &[("flags", flags, 64, 0), ("mapping", int, 0, 0)],
    );
    let blob = b.build();
    let found = find(&blob, "page", &["nothing", "mapping.f", "flags.f", "flags"]).unwrap();
    assert_eq!((found.offset, found.alternative), (12, 2));
    assert_eq!(
        find(&blob, "page", &["flags"]).unwrap().kind,
        Kind::STRUCT.0
    );
}

#[test]
fn typedefs_qualifiers_and_tags_are_stripped() {
    let mut b = Builder::new();
    let void = b.ptr(0);
    let tagged = b.type_tag("rcu", void);
    let u64_ = b.int("long long unsigned int", 8);
    let s64 = b.typedef("u64", u64_);
    let s64 = b.constant(s64);
    let atomic = b.structure("", 4, &[]);
    let atomic = b.typedef("atomic_t", atomic);
    let marks = b.array(s64, 3);
    let grid = b.array(marks, 2);
    b.structure(
        "s",
        128,
        &[
            ("pointer", tagged, 0, 0),
            ("number", s64, 64, 0),
            ("count", atomic, 128, 0),
            ("grid", grid, 192, 0),
        ],
    );
    let blob = b.build();
    let kind = |path| {
        find(&blob, "s", path)
            .map(|m| (Kind(m.kind), m.size))
            .unwrap()
    };
    assert_eq!(kind(&["pointer"]), (Kind::POINTER, 8));
    assert_eq!(kind(&["number"]), (Kind::INTEGER, 8));
    assert_eq!(kind(&["count"]), (Kind::STRUCT, 4));
    assert_eq!(kind(&["grid"]), (Kind::ARRAY, 48));
}

#[test]
fn lists_and_trees_are_told_from_other_structures() {
    let mut b = Builder::new();
    let names = [
        "list_head",
        "hlist_head",
        "hlist_bl_head",
        "rb_root_cached",
        "qstr",
    ];
    let ids: Vec<_> = names
        .iter()
        .map(|name| b.structure(name, 16, &[]))
        .collect();
    let fields: Vec<_> = ["a", "b", "c", "d", "e"]
        .into_iter()
        .zip(ids)
        .map(|(name, id)| (name, id, 0, 0))
        .collect();
    b.structure("s", 16, &fields);
    let blob = b.build();
    let kind = |path| Kind(find(&blob, "s", path).unwrap().kind);
    assert_eq!(kind(&["a"]), Kind::LIST_HEAD);
    assert_eq!(kind(&["b"]), Kind::HLIST);
    assert_eq!(kind(&["c"]), Kind::STRUCT);
    assert_eq!(kind(&["d"]), Kind::RB_TREE);
    assert_eq!(kind(&["e"]), Kind::STRUCT);
}

#[test]
fn bit_fields_have_a_storage_unit_a_bit_and_a_width() {
    let mut b = Builder::new();
    let int = b.int("unsigned int", 4);
    let byte = b.int("unsigned char", 1);
    let inner = b.structure("", 4, &[("deep", int, 5, 3), ("whole", int, 0, 0)]);
    b.structure(
        "s",
        16,
        &[
            ("plain", int, 0, 0),
            ("one", int, 33, 1),
            ("wide", int, 34, 30),
            ("byte", byte, 72, 2),
            ("packed", int, 90, 10),
            ("", inner, 96, 0),
        ],
    );
    let blob = b.build();
    let place = |path| {
        let m = find(&blob, "s", path).unwrap();
        (Kind(m.kind), m.offset, m.bit, m.bits, m.size)
    };
    assert_eq!(place(&["plain"]), (Kind::INTEGER, 0, 0, 0, 4));
    assert_eq!(place(&["one"]), (Kind::BITFIELD, 4, 1, 1, 4));
    assert_eq!(place(&["wide"]), (Kind::BITFIELD, 4, 2, 30, 4));
    assert_eq!(place(&["byte"]), (Kind::BITFIELD, 9, 0, 2, 1));
    assert_eq!(place(&["packed"]), (Kind::BITFIELD, 11, 2, 10, 4));
    assert_eq!(place(&["deep"]), (Kind::BITFIELD, 12, 5, 3, 4));
}

#[test]
fn enumerations_are_integers_and_give_constants() {
    let mut b = Builder::new();
    let small = b.enumeration("state", true, &[("NEGATIVE", u32::MAX), ("TWO", 2)]);
    let large = b.enum64("wide", &[("TOP", 1 << 63)]);
    b.structure("s", 16, &[("small", small, 0, 0), ("large", large, 64, 0)]);
    let blob = b.build();
    let found = find(&blob, "s", &["large"]).unwrap();
    assert_eq!((found.kind, found.size), (Kind::INTEGER.0, 8));
    assert_eq!(find(&blob, "s", &["small"]).unwrap().size, 4);
    let types = Types::parse(&blob, &[]).unwrap();
    assert_eq!(types.enumerator("state", "TWO").unwrap(), Some(2));
    assert_eq!(
        types.enumerator("state", "NEGATIVE").unwrap(),
        Some(u64::MAX)
    );
    assert_eq!(types.enumerator("wide", "TOP").unwrap(), Some(1 << 63));
    assert_eq!(types.enumerator("wide", "TWO").unwrap(), None);
    assert_eq!(types.enumerator("nothing", "TWO").unwrap(), None);
    assert_eq!(types.enumerator("", "TWO").unwrap(), None);
}

#[test]
fn structures_of_modules_are_found_and_refer_to_the_kernel() {
    let mut base = Builder::new();
    let long = base.int("long", 8);
    let inode = base.structure("inode", 24, &[("i_ino", long, 64, 0)]);
    base.forward("ext4_inode_info");
    let mut module = Builder::split(&base);
    let tid = module.int("tid_t", 4);
    module.structure(
        "ext4_inode_info",
        64,
        &[("vfs_inode", inode, 128, 0), ("i_sync_tid", tid, 320, 0)],
    );
    let (kernel, module) = (base.build(), module.build());
    let types = Types::parse(&kernel, &[("ext4", &module)]).unwrap();
    let of = |path| member(&types, &spec("ext4_inode_info", path)).unwrap();
    assert_eq!(
        (of(&["vfs_inode"]).offset, of(&["vfs_inode"]).size),
        (16, 24)
    );
    assert_eq!(of(&["i_sync_tid"]).offset, 40);
    let inner = of(&["vfs_inode.i_ino"]);
    assert_eq!((inner.offset, inner.kind), (24, Kind::INTEGER.0));
    assert!(find(&kernel, "ext4_inode_info", &["vfs_inode"]).is_err());
}

#[test]
fn structures_of_one_name_must_agree() {
    let build = |second| {
        let mut b = Builder::new();
        let int = b.int("int", 4);
        b.structure("s", 16, &[("a", int, 32, 0)]);
        b.structure("s", 24, &[("a", int, second, 0)]);
        b.build()
    };
    assert_eq!(find(&build(32), "s", &["a"]).unwrap().offset, 4);
    assert!(error(&build(64), "s", &["a"]).contains("ambiguous"));
}

#[test]
fn damaged_btf_is_an_error_and_no_endless_loop() {
    let mut b = Builder::new();
    b.typedef("round", 2);
    b.typedef("and_round", 1);
    let float = b.float("double", 8);
    b.structure(
        "s",
        8,
        &[("a", 1, 0, 0), ("b", float, 0, 0), ("c", 99, 0, 0)],
    );
    b.structure("t", 8, &[("", 5, 0, 0)]);
    let blob = b.build();
    assert!(error(&blob, "s", &["a"]).contains("does not end"));
    assert!(error(&blob, "s", &["b"]).contains("float"));
    assert!(find(&blob, "s", &["c"]).is_err());
    assert!(error(&blob, "t", &["a"]).contains("does not end"));
    for len in 0..blob.len() {
        let _ = find(&blob[..len], "s", &["b"]);
    }
    assert!(resolve(b"", &[])
        .unwrap_err()
        .to_string()
        .contains("/sys/kernel/btf/vmlinux"));
}

#[test]
fn a_complete_kernel_is_resolved() {
    let resolved = resolved(&kernel(&[], &[])).unwrap();
    for (spec, member) in MEMBERS.iter().zip(&resolved.members) {
        assert!(member.is_present() && member.alternative == 0, "{spec:?}");
        assert!(spec.path().is_empty() == is_kind(member, Kind::SIZE_OF));
    }
    assert!(!resolved.members[MEMBER_COUNT].is_present());
    assert_eq!(shape(&resolved, Shape::PAGE_TREE), PageTreeShape::XARRAY.0);
    assert_eq!(shape(&resolved, Shape::ORDER), OrderShape::FOLIO_BYTE.0);
    assert_eq!(shape(&resolved, Shape::TIME), TimeShape::SPLIT.0);
    let constant = |id: ConstantId| resolved.constants[usize::from(id.0)];
    assert_eq!(constant(ConstantId::PG_DIRTY), Some(40));
    assert_eq!(constant(ConstantId::PG_UPTODATE), Some(43));
    assert_eq!(constant(ConstantId::I_NEW), None);
}

#[test]
fn optional_members_may_be_absent() {
    let changes = [
        ("folio", "_folio_order", Change::Omit),
        ("page", "compound_order", Change::Omit),
    ];
    let without = ["ext4_sb_info", "journal_s"];
    let resolved = resolved(&kernel(&changes, &without)).unwrap();
    assert!(!at(&resolved, MemberId::EXT4_SB_INFO_S_JOURNAL).is_present());
    assert!(!at(&resolved, MemberId::FOLIO_ORDER).is_present());
    assert_eq!(shape(&resolved, Shape::ORDER), OrderShape::FOLIO_FLAGS.0);
}

#[test]
fn what_is_missing_or_of_another_kind_is_named_all_at_once() {
    let changes = [
        ("inode", "i_sb_list", Change::Be(Kind::HLIST, 8)),
        ("inode", "i_mode", Change::Be(Kind::INTEGER, 4)),
        ("dentry", "d_parent", Change::Omit),
        ("page", "compound_head", Change::Be(Kind::POINTER, 8)),
    ];
    let error = format!("{:#}", resolved(&kernel(&changes, &["qstr"])).unwrap_err());
    for part in [
        "not supported by this version",
        "inode.i_sb_list is hlist of 8 bytes (hlist_head), not list_head of 16 bytes",
        "inode.i_mode is integer of 4 bytes (integer), not integer of 2 bytes",
        "dentry.d_parent does not exist",
        "page.compound_head is pointer of 8 bytes, not integer of 8 bytes",
        "qstr.len: there is no structure of that name in vmlinux",
    ] {
        assert!(error.contains(part), "{part}\nis not in\n{error}");
    }
}

#[test]
fn radix_trees_are_known_by_their_members() {
    let old = [
        (
            "address_space",
            "i_pages",
            Change::Named("radix_tree_root", 16),
        ),
        ("inode", "i_dentry", Change::Be(Kind::LIST_HEAD, 16)),
        ("dentry", "d_u.d_alias", Change::Be(Kind::LIST_HEAD, 16)),
    ];
    let without = ["xarray", "xa_node"];
    let resolved = resolved(&kernel(&old, &without)).unwrap();
    assert_eq!(shape(&resolved, Shape::PAGE_TREE), PageTreeShape::RADIX.0);
    let names = at(&resolved, MemberId::INODE_I_DENTRY);
    assert_eq!(Kind(names.kind), Kind::LIST_HEAD);
    assert!(!at(&resolved, MemberId::XA_NODE_SLOTS).is_present());
}

#[test]
fn unknown_shapes_are_refused_by_name() {
    let refuse = |changes: &[_]| format!("{:#}", resolved(&kernel(changes, &[])).unwrap_err());
    let tree = refuse(&[("address_space", "i_pages", Change::Named("maple_tree", 16))]);
    assert!(
        tree.contains("page tree") && tree.contains("maple_tree"),
        "{tree}"
    );
    // Nodes with a path or a shift in place of a height.
    let nodes = refuse(&[
        (
            "address_space",
            "i_pages",
            Change::Named("radix_tree_root", 16),
        ),
        ("radix_tree_node", "height", Change::Omit),
    ]);
    assert!(
        nodes.contains(
            "radix_tree_root of a form that is not known, without radix_tree_node.height"
        ),
        "{nodes}"
    );
    let nodes = refuse(&[
        ("xa_node", "shift", Change::Omit),
        ("xa_node", "marks", Change::Omit),
    ]);
    assert!(
        nodes.contains("without xa_node.shift, xa_node.marks"),
        "{nodes}"
    );
    let order = refuse(&[
        ("folio", "_folio_order", Change::Omit),
        ("folio", "_flags_1", Change::Omit),
        ("page", "compound_order", Change::Omit),
    ]);
    assert!(order.contains("order of a compound page"), "{order}");
    let time = refuse(&[("inode", "i_mtime_nsec", Change::Omit)]);
    assert!(time.contains("inode times"), "{time}");
}

/// The type information of the machine the test runs on, and of those in the directory that
/// `BATON_TEST_BTF` names: `NAME.btf`, with that of its modules in `NAME.MODULE.split`.
#[test]
fn real_kernels_are_resolved() {
    let mut kernels = vec![PathBuf::from("/sys/kernel/btf/vmlinux")];
    let mut others = Vec::new();
    if let Some(dir) = std::env::var_os("BATON_TEST_BTF") {
        others.extend(std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()));
    }
    let is = |path: &PathBuf, extension| path.extension().is_some_and(|e| e == extension);
    kernels.extend(others.iter().filter(|path| is(path, "btf")).cloned());
    for path in kernels {
        let Ok(blob) = std::fs::read(&path) else {
            eprintln!("SKIPPED: {} cannot be read", path.display());
            continue;
        };
        let modules: Vec<_> = others
            .iter()
            .filter(|other| {
                is(other, "split") && other.with_extension("").with_extension("btf") == path
            })
            .map(|other| std::fs::read(other).unwrap())
            .collect();
        let split: Vec<_> = modules
            .iter()
            .map(|bytes| ("module", bytes.as_slice()))
            .collect();
        let resolved =
            resolve(&blob, &split).unwrap_or_else(|e| panic!("{}: {e:#}", path.display()));
        let slots = at(&resolved, MemberId::XA_NODE_SLOTS);
        assert_eq!((slots.size, Kind(slots.kind)), (64 * 8, Kind::ARRAY));
        assert_eq!(shape(&resolved, Shape::PAGE_TREE), PageTreeShape::XARRAY.0);
        assert!(resolved.constants[usize::from(ConstantId::PG_DIRTY.0)].is_some());
        println!(
            "{}: {} modules, shapes {:?}",
            path.display(),
            split.len(),
            &resolved.shapes[..3]
        );
        for (spec, member) in MEMBERS.iter().zip(&resolved.members) {
            println!("  {}.{} {member:?}", spec.structure, spec.path());
        }
        if !split.is_empty() {
            let types = Types::parse(&blob, &split).unwrap();
            let inode = member(&types, &spec("xfs_inode", &["i_vnode"])).unwrap();
            let size = at(&resolved, MemberId::INODE_SIZE_OF).size;
            assert_eq!((Kind(inode.kind), inode.size), (Kind::STRUCT, size));
        }
    }
}
