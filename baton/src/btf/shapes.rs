//! What an offset cannot express, told from the types.

use anyhow::Result;
use handoff_abi::descriptor::{
    Kind, Member, MemberId, OrderShape, PageTreeShape, Shape, TimeShape, MAX_MEMBERS, MAX_SHAPES,
    MEMBERS,
};

use super::is_kind;
use super::types::Types;

/// The shapes of this kernel, and in words those that are unknown.
pub(super) fn derive(
    types: &Types,
    members: &[Member; MAX_MEMBERS],
) -> Result<([u32; MAX_SHAPES], Vec<String>)> {
    let mut unknown = Vec::new();
    let page_tree = page_tree(types, members, &mut unknown)?;
    let order = order(members, &mut unknown);
    let time = time(types, members, &mut unknown)?;
    let mut shapes = [0; MAX_SHAPES];
    for (shape, value) in [
        (Shape::PAGE_TREE, page_tree.0),
        (Shape::ORDER, order.0),
        (Shape::TIME, time.0),
    ] {
        if let Some(slot) = shapes.get_mut(shape.0 as usize) {
            *slot = value;
        }
    }
    Ok((shapes, unknown))
}

/// The entry of a member; absent for a number out of range, which there is none.
fn of(members: &[Member; MAX_MEMBERS], id: MemberId) -> Member {
    let slot = members.get(usize::from(id.0));
    slot.copied().unwrap_or(Member::ABSENT)
}

/// Name of the type of `structure.path`, empty if it is not there.
fn type_name(types: &Types, structure: &str, path: &str) -> Result<String> {
    for candidate in types.structures(structure)? {
        if let Some(found) = types.find(&candidate, path)? {
            return Ok(found.type_name);
        }
    }
    Ok(String::new())
}

/// [`Shape::PAGE_TREE`], by the type of `address_space.i_pages`, once `page_tree`. The name alone
/// does not say it: radix trees had nodes of several forms.
fn page_tree(
    types: &Types,
    members: &[Member; MAX_MEMBERS],
    unknown: &mut Vec<String>,
) -> Result<PageTreeShape> {
    let mut name = type_name(types, "address_space", "i_pages")?;
    if name.is_empty() {
        name = type_name(types, "address_space", "page_tree")?;
    }
    let shape = match name.as_str() {
        "xarray" => PageTreeShape::XARRAY,
        "radix_tree_root" => PageTreeShape::RADIX,
        _ => {
            unknown.push(format!(
                "page tree: address_space.i_pages is \"{name}\", not xarray or radix_tree_root"
            ));
            return Ok(PageTreeShape::UNKNOWN);
        }
    };
    let specs = shape.members().iter().filter_map(|id| {
        let absent = !of(members, *id).is_present();
        MEMBERS.get(usize::from(id.0)).filter(|_| absent)
    });
    let missing: Vec<_> = specs
        .map(|spec| format!("{}.{}", spec.structure, spec.path()))
        .collect();
    if missing.is_empty() {
        return Ok(shape);
    }
    unknown.push(format!(
        "page tree: {name} of a form that is not known, without {}",
        missing.join(", ")
    ));
    Ok(PageTreeShape::UNKNOWN)
}

/// [`Shape::ORDER`]: a byte of its own in the folio, else in the second page, else the lowest
/// byte of the second page's flags. A kernel with either byte does not use the flags, though it
/// has the member.
fn order(members: &[Member; MAX_MEMBERS], unknown: &mut Vec<String>) -> OrderShape {
    let has = |id| of(members, id).is_present();
    if has(MemberId::FOLIO_ORDER) {
        OrderShape::FOLIO_BYTE
    } else if has(MemberId::PAGE_COMPOUND_ORDER) {
        OrderShape::SECOND_PAGE
    } else if has(MemberId::FOLIO_FLAGS_1) {
        OrderShape::FOLIO_FLAGS
    } else {
        unknown.push(
            "order of a compound page: there is neither page.compound_order nor \
             folio._folio_order nor folio._flags_1"
                .to_owned(),
        );
        OrderShape::UNKNOWN
    }
}

/// [`Shape::TIME`]: all three times alike, or unknown.
fn time(
    types: &Types,
    members: &[Member; MAX_MEMBERS],
    unknown: &mut Vec<String>,
) -> Result<TimeShape> {
    let times = [
        (MemberId::INODE_I_ATIME, MemberId::INODE_I_ATIME_NSEC),
        (MemberId::INODE_I_MTIME, MemberId::INODE_I_MTIME_NSEC),
        (MemberId::INODE_I_CTIME, MemberId::INODE_I_CTIME_NSEC),
    ]
    .map(|(sec, nsec)| (of(members, sec), of(members, nsec)));
    if times
        .iter()
        .all(|(sec, nsec)| is_kind(sec, Kind::INTEGER) && sec.size == 8 && nsec.is_present())
    {
        return Ok(TimeShape::SPLIT);
    }
    let structures = times
        .iter()
        .all(|(sec, nsec)| is_kind(sec, Kind::STRUCT) && sec.size == 16 && !nsec.is_present());
    let mut names = Vec::new();
    for candidates in [
        ["__i_atime", "i_atime"],
        ["__i_mtime", "i_mtime"],
        ["__i_ctime", "i_ctime"],
    ] {
        for path in candidates {
            names.push(type_name(types, "inode", path)?);
        }
    }
    names.retain(|name| !name.is_empty());
    // On 64-bit machines struct timespec, which inodes had before 4.18, is the same.
    let known = |name: &String| matches!(name.as_str(), "timespec64" | "timespec");
    if structures && names.len() == times.len() && names.iter().all(known) {
        return Ok(TimeShape::TIMESPEC);
    }
    unknown.push(format!(
        "inode times: not three struct timespec64, nor three pairs of seconds and nanoseconds \
         (types found: {})",
        names.join(", ")
    ));
    Ok(TimeShape::UNKNOWN)
}
