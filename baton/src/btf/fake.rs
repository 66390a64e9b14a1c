//! A builder of BTF for tests. Source of the format: `Documentation/bpf/btf.rst`.

use std::collections::BTreeMap;

use handoff_abi::descriptor::{Kind, MemberSpec, CONSTANTS, MEMBERS};

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FWD: u32 = 7;
const KIND_TYPEDEF: u32 = 8;
const KIND_CONST: u32 = 10;
const KIND_FLOAT: u32 = 16;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Name, type, offset in bits, width in bits (0: not a bit field).
pub(super) type Field<'a> = (&'a str, u32, u32, u32);

/// Collects types; each call gives the number of the type it made.
#[derive(Clone)]
pub(super) struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    first_string: u32,
    next: u32,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
            first_string: 0,
            next: 1,
        }
    }

    /// Continues `base` as the BTF of a module.
    pub(super) fn split(base: &Self) -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
            first_string: base.strings.len() as u32,
            next: base.next,
        }
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.first_string + self.strings.len() as u32;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        at
    }

    fn words(&mut self, words: &[u32]) {
        for word in words {
            self.types.extend(word.to_le_bytes());
        }
    }

    fn add(&mut self, name: &str, kind: u32, flag: bool, count: usize, size_or_type: u32) -> u32 {
        let name = self.string(name);
        let info = kind << 24 | u32::from(flag) << 31 | count as u32;
        self.words(&[name, info, size_or_type]);
        self.next += 1;
        self.next - 1
    }

    pub(super) fn int(&mut self, name: &str, size: u32) -> u32 {
        let id = self.add(name, KIND_INT, false, 0, size);
        self.words(&[size * 8]);
        id
    }

    pub(super) fn float(&mut self, name: &str, size: u32) -> u32 {
        self.add(name, KIND_FLOAT, false, 0, size)
    }

    pub(super) fn ptr(&mut self, to: u32) -> u32 {
        self.add("", KIND_PTR, false, 0, to)
    }

    pub(super) fn array(&mut self, of: u32, count: u32) -> u32 {
        let id = self.add("", KIND_ARRAY, false, 0, 0);
        self.words(&[of, of, count]);
        id
    }

    pub(super) fn typedef(&mut self, name: &str, of: u32) -> u32 {
        self.add(name, KIND_TYPEDEF, false, 0, of)
    }

    pub(super) fn constant(&mut self, of: u32) -> u32 {
        self.add("", KIND_CONST, false, 0, of)
    }

    pub(super) fn type_tag(&mut self, name: &str, of: u32) -> u32 {
        self.add(name, KIND_TYPE_TAG, false, 0, of)
    }

    pub(super) fn forward(&mut self, name: &str) -> u32 {
        self.add(name, KIND_FWD, false, 0, 0)
    }

    fn composite(&mut self, kind: u32, name: &str, size: u32, fields: &[Field<'_>]) -> u32 {
        let flag = fields.iter().any(|field| field.3 > 0);
        let id = self.add(name, kind, flag, fields.len(), size);
        for (name, type_, offset, bits) in fields {
            let name = self.string(name);
            self.words(&[name, *type_, bits << 24 | offset]);
        }
        id
    }

    pub(super) fn structure(&mut self, name: &str, size: u32, fields: &[Field<'_>]) -> u32 {
        self.composite(KIND_STRUCT, name, size, fields)
    }

    pub(super) fn union(&mut self, name: &str, size: u32, fields: &[Field<'_>]) -> u32 {
        self.composite(KIND_UNION, name, size, fields)
    }

    pub(super) fn enumeration(&mut self, name: &str, signed: bool, values: &[(&str, u32)]) -> u32 {
        let id = self.add(name, KIND_ENUM, signed, values.len(), 4);
        for (name, value) in values {
            let name = self.string(name);
            self.words(&[name, *value]);
        }
        id
    }

    pub(super) fn enum64(&mut self, name: &str, values: &[(&str, u64)]) -> u32 {
        let id = self.add(name, KIND_ENUM64, false, values.len(), 8);
        for (name, value) in values {
            let name = self.string(name);
            self.words(&[name, *value as u32, (*value >> 32) as u32]);
        }
        id
    }

    pub(super) fn build(&self) -> Vec<u8> {
        let mut out = vec![0x9f, 0xeb, 1, 0];
        let header = [
            24,
            0,
            self.types.len() as u32,
            self.types.len() as u32,
            self.strings.len() as u32,
        ];
        for word in header {
            out.extend(word.to_le_bytes());
        }
        out.extend(&self.types);
        out.extend(&self.strings);
        out
    }
}

/// What a test changes about one member of [`kernel`].
#[derive(Clone, Copy)]
pub(super) enum Change {
    /// It is not there.
    Omit,
    /// It is of this kind and size.
    Be(Kind, u32),
    /// It is a structure of this name and size.
    Named(&'static str, u32),
}

/// A kernel that has every member of the specification by its first path, but for `changes`,
/// which are by structure and first path, and the structures in `without`.
pub(super) fn kernel(changes: &[(&str, &str, Change)], without: &[&str]) -> Builder {
    let mut b = Builder::new();
    let mut structures: BTreeMap<&str, Vec<&MemberSpec>> = BTreeMap::new();
    for spec in &MEMBERS {
        if !without.contains(&spec.structure) {
            structures.entry(spec.structure).or_default().push(spec);
        }
    }
    for (name, specs) in structures {
        let mut fields = Vec::new();
        let mut offset = 0;
        for spec in specs {
            let path = spec.path();
            let change = changes
                .iter()
                .find(|(s, p, _)| *s == spec.structure && *p == path)
                .map(|(_, _, change)| *change);
            let size = spec.sizes.first().copied().unwrap_or(32);
            let type_ = match change {
                Some(Change::Omit) => continue,
                _ if path.is_empty() => continue,
                Some(Change::Be(kind, size)) => of_kind(&mut b, kind, size),
                Some(Change::Named(name, size)) => b.structure(name, size, &[]),
                None if path == "i_pages" => b.structure("xarray", size, &[]),
                None => of_kind(&mut b, spec.kinds[0], size),
            };
            match path.split_once('.') {
                Some((outer, inner)) => {
                    let outer_type = b.structure("", 32, &[(inner, type_, 0, 0)]);
                    fields.push((outer, outer_type, offset * 8, 0));
                }
                None => fields.push((path, type_, offset * 8, 0)),
            }
            offset += 64;
        }
        b.structure(name, offset, &fields);
    }
    let flags: Vec<_> = CONSTANTS
        .iter()
        .filter(|spec| spec.enumeration == "pageflags")
        .zip(40..)
        .map(|(spec, value)| (spec.name, value))
        .collect();
    b.enumeration("pageflags", false, &flags);
    b
}

fn of_kind(b: &mut Builder, kind: Kind, size: u32) -> u32 {
    match kind {
        Kind::POINTER => b.ptr(0),
        Kind::INTEGER => b.int("integer", size),
        Kind::LIST_HEAD => b.structure("list_head", size, &[]),
        Kind::HLIST => b.structure("hlist_head", size, &[]),
        Kind::RB_TREE => b.structure("rb_root", size, &[]),
        Kind::ARRAY => {
            let byte = b.int("char", 1);
            b.array(byte, size)
        }
        _ => b.structure("something", size, &[]),
    }
}
