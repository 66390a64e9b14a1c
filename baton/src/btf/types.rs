//! Looking types up by name, and members by path.

use anyhow::{bail, Context, Result};
use btf_rs::{Btf, Struct, Type};
use handoff_abi::descriptor::Kind;

/// Longest chain of typedefs and qualifiers, and deepest nesting of arrays, that is followed.
const MAX_CHAIN: usize = 64;
/// Most anonymous structures and unions that are searched for one member.
const MAX_ANONYMOUS: usize = 4096;

/// One file of BTF: the kernel's or a module's.
struct Unit {
    name: String,
    btf: Btf,
}

/// All types of a kernel.
pub(super) struct Types {
    /// The kernel's first, then those of modules.
    units: Vec<Unit>,
}

/// A structure or union with a definition, and where it was found.
#[derive(Clone)]
pub(super) struct Structure<'a> {
    unit: &'a Unit,
    body: Struct,
}

impl<'a> Structure<'a> {
    /// Name of the file of BTF it is in.
    pub(super) fn unit_name(&self) -> &'a str {
        &self.unit.name
    }
}

/// A member, or a structure as a whole.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Offset, bytes; of the storage unit, for a bit field.
    pub(super) offset: u32,
    /// Size, bytes.
    pub(super) size: u32,
    /// What it is.
    pub(super) kind: Kind,
    /// First bit of a bit field.
    pub(super) bit: u8,
    /// Width of a bit field.
    pub(super) bits: u8,
    /// Name of its type without typedefs and qualifiers, empty if it has none.
    pub(super) type_name: String,
    /// The kind, size and type in words.
    pub(super) description: String,
}

/// Where the search for a path has come to.
struct Place {
    type_: Type,
    offset_bits: u64,
    /// Width, if it is a bit field.
    bits: u32,
}

impl Types {
    /// Parses the kernel's BTF and the modules', each of which refers to the kernel's.
    pub(super) fn parse(vmlinux: &[u8], split: &[(&str, &[u8])]) -> Result<Self> {
        let base = Btf::from_bytes(vmlinux).context(
            "cannot read the kernel's BTF (/sys/kernel/btf/vmlinux); it is needed to find the \
             kernel's structures",
        )?;
        let mut modules = Vec::new();
        for (name, bytes) in split {
            let btf = Btf::from_split_bytes(bytes, &base).with_context(|| {
                format!("cannot read the BTF of module {name} (/sys/kernel/btf/{name})")
            })?;
            modules.push(Unit {
                name: format!("module {name}"),
                btf,
            });
        }
        let mut units = vec![Unit {
            name: "vmlinux".to_owned(),
            btf: base,
        }];
        units.append(&mut modules);
        Ok(Self { units })
    }

    /// Names of the files of BTF, for messages.
    pub(super) fn unit_names(&self) -> String {
        let names: Vec<_> = self.units.iter().map(|unit| unit.name.as_str()).collect();
        names.join(", ")
    }

    /// The types called `name` that `unit` itself defines.
    fn own_types(unit: &Unit, name: &str) -> Result<Vec<Type>> {
        let section = unit.btf.split().unwrap_or_else(|| unit.btf.base());
        Ok(section.resolve_types_by_name(name)?)
    }

    /// Every definition of the structure or union `name`: those of the kernel, or if it has
    /// none, those of the modules.
    pub(super) fn structures(&self, name: &str) -> Result<Vec<Structure<'_>>> {
        let (kernel, modules) = self.units.split_at(1);
        for units in [kernel, modules] {
            let mut found = Vec::new();
            for unit in units {
                for type_ in Self::own_types(unit, name)? {
                    if let Type::Struct(body) | Type::Union(body) = type_ {
                        found.push(Structure { unit, body });
                    }
                }
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// Value of the enumerator `name` of `enumeration`; `None` if there is no such thing.
    pub(super) fn enumerator(&self, enumeration: &str, name: &str) -> Result<Option<u64>> {
        if enumeration.is_empty() {
            return Ok(None);
        }
        for unit in &self.units {
            for type_ in Self::own_types(unit, enumeration)? {
                let values: Vec<(String, u64)> = match &type_ {
                    Type::Enum(body) => body
                        .members
                        .iter()
                        .map(|member| {
                            let value = match body.is_signed() {
                                true => i64::from(member.val().cast_signed()).cast_unsigned(),
                                false => u64::from(member.val()),
                            };
                            Ok((unit.btf.resolve_name(member)?, value))
                        })
                        .collect::<Result<_>>()?,
                    Type::Enum64(body) => body
                        .members
                        .iter()
                        .map(|member| Ok((unit.btf.resolve_name(member)?, member.val())))
                        .collect::<Result<_>>()?,
                    _ => continue,
                };
                if let Some((_, value)) = values.into_iter().find(|(n, _)| n == name) {
                    return Ok(Some(value));
                }
            }
        }
        Ok(None)
    }

    /// Follows `path` into `structure`; the empty path is the structure itself.
    pub(super) fn find(&self, structure: &Structure<'_>, path: &str) -> Result<Option<Found>> {
        let btf = &structure.unit.btf;
        if path.is_empty() {
            let size = u32::try_from(structure.body.size())?;
            return Ok(Some(Found {
                offset: 0,
                size,
                kind: Kind::SIZE_OF,
                bit: 0,
                bits: 0,
                type_name: btf.resolve_name(&structure.body)?,
                description: format!("a structure of {size} bytes"),
            }));
        }
        let mut place = Place {
            type_: Type::Struct(structure.body.clone()),
            offset_bits: 0,
            bits: 0,
        };
        for component in path.split('.') {
            let (Type::Struct(body) | Type::Union(body)) = &place.type_ else {
                return Ok(None);
            };
            match component_of(btf, body, place.offset_bits, component)? {
                Some(next) => place = next,
                None => return Ok(None),
            }
        }
        describe(btf, &place).map(Some)
    }
}

/// Finds `name` among the members of `body` and of the anonymous structures and unions in it.
fn component_of(btf: &Btf, body: &Struct, offset_bits: u64, name: &str) -> Result<Option<Place>> {
    let mut todo = vec![(body.clone(), offset_bits)];
    for _ in 0..MAX_ANONYMOUS {
        let Some((body, base)) = todo.pop() else {
            return Ok(None);
        };
        for member in &body.members {
            let member_name = btf.resolve_name(member)?;
            let offset_bits = base.saturating_add(u64::from(member.bit_offset()));
            if member_name == name {
                return Ok(Some(Place {
                    type_: strip(btf, btf.resolve_chained_type(member)?)?,
                    offset_bits,
                    bits: member.bitfield_size().unwrap_or(0),
                }));
            }
            if member_name.is_empty() {
                let type_ = strip(btf, btf.resolve_chained_type(member)?)?;
                if let Type::Struct(inner) | Type::Union(inner) = type_ {
                    todo.push((inner, offset_bits));
                }
            }
        }
    }
    bail!("the search of anonymous members does not end; the BTF is damaged")
}

/// The type behind typedefs, qualifiers and tags.
fn strip(btf: &Btf, mut type_: Type) -> Result<Type> {
    for _ in 0..MAX_CHAIN {
        type_ = match &type_ {
            Type::Typedef(t) => btf.resolve_chained_type(t)?,
            Type::Volatile(t) | Type::Const(t) | Type::Restrict(t) => {
                btf.resolve_chained_type(t)?
            }
            Type::TypeTag(t) => btf.resolve_chained_type(t)?,
            _ => return Ok(type_),
        };
    }
    bail!("a chain of typedefs does not end; the BTF is damaged")
}

/// Size of a stripped type, bytes.
fn size_of(btf: &Btf, type_: &Type) -> Result<u64> {
    let mut type_ = type_.clone();
    let mut count: u64 = 1;
    for _ in 0..MAX_CHAIN {
        let one = match &type_ {
            Type::Ptr(_) => 8,
            Type::Int(t) => t.size(),
            Type::Enum(t) => t.size(),
            Type::Enum64(t) => t.size(),
            Type::Float(t) => t.size(),
            Type::Struct(t) | Type::Union(t) => t.size(),
            Type::Array(t) => {
                count = count.saturating_mul(t.len() as u64);
                type_ = strip(btf, btf.resolve_chained_type(t)?)?;
                continue;
            }
            other => bail!("a {} has no size", other.name()),
        };
        return Ok(count.saturating_mul(one as u64));
    }
    bail!("arrays are nested without end; the BTF is damaged")
}

/// What a structure of this name is to the migrator. The bit-locked lists (`hlist_bl_head`) are
/// not lists to it: bit 0 of their pointers is a lock.
fn structure_kind(name: &str) -> Kind {
    match name {
        "list_head" => Kind::LIST_HEAD,
        "hlist_head" | "hlist_node" => Kind::HLIST,
        "rb_root" | "rb_root_cached" | "rb_node" => Kind::RB_TREE,
        _ => Kind::STRUCT,
    }
}

/// Classifies what a path led to.
fn describe(btf: &Btf, place: &Place) -> Result<Found> {
    let size = u32::try_from(size_of(btf, &place.type_)?)?;
    let type_name = match &place.type_ {
        Type::Int(t) => btf.resolve_name(t)?,
        Type::Struct(t) | Type::Union(t) => btf.resolve_name(t)?,
        Type::Enum(t) => btf.resolve_name(t)?,
        Type::Enum64(t) => btf.resolve_name(t)?,
        _ => String::new(),
    };
    let kind = match &place.type_ {
        Type::Ptr(_) => Kind::POINTER,
        Type::Int(_) | Type::Enum(_) | Type::Enum64(_) if place.bits > 0 => Kind::BITFIELD,
        Type::Int(_) | Type::Enum(_) | Type::Enum64(_) => Kind::INTEGER,
        Type::Array(_) => Kind::ARRAY,
        Type::Struct(_) | Type::Union(_) => structure_kind(&type_name),
        other => bail!("is a {}, which baton does not know", other.name()),
    };
    let (offset_bits, bit) = match kind {
        Kind::BITFIELD => storage_unit(place, size)?,
        _ if !place.offset_bits.is_multiple_of(8) => bail!("does not begin at a byte"),
        _ => (place.offset_bits, 0),
    };
    let words = kind.text().unwrap_or("unknown");
    let description = match (kind, type_name.is_empty()) {
        (Kind::BITFIELD, _) => format!("a bit field of {} bits", place.bits),
        (_, true) => format!("{words} of {size} bytes"),
        (_, false) => format!("{words} of {size} bytes ({type_name})"),
    };
    Ok(Found {
        offset: u32::try_from(offset_bits / 8)?,
        size,
        kind,
        bit,
        bits: u8::try_from(place.bits)?,
        type_name,
        description,
    })
}

/// Offset in bits of the storage unit that holds a bit field of `size` bytes, and its first bit
/// in there. One that crosses units (packed) is counted from its first byte.
fn storage_unit(place: &Place, size: u32) -> Result<(u64, u8)> {
    let unit = u64::from(size).saturating_mul(8).max(8);
    let mut bit = place.offset_bits % unit;
    if bit.saturating_add(u64::from(place.bits)) > unit {
        bit = place.offset_bits % 8;
    }
    if bit.saturating_add(u64::from(place.bits)) > unit {
        bail!("is a bit field that does not fit into its type");
    }
    Ok((place.offset_bits.saturating_sub(bit), u8::try_from(bit)?))
}
