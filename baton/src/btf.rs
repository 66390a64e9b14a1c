//! The offset table of the running kernel, made from its own BTF.
//!
//! # Purpose
//! [`resolve`] answers every [`MemberSpec`] of [`handoff_abi::descriptor`] from the type
//! information that the kernel carries (`/sys/kernel/btf/vmlinux`, and one file beside it for each
//! module). Nothing is taken from a table of versions: what this kernel's BTF does not say is not
//! there.
//!
//! # Invariants
//! * A member is taken only with a kind and a size that the specification allows. One that kept
//!   its name and changed its type is refused, required or not.
//! * Two structures of the same name that disagree about a member are refused.
//! * All that is wrong is reported at once, each as `structure.member` with what was found.
//!
//! # Not for
//! Constants that are macros: the kernel module is compiled with them. Where BTF has the
//! enumeration, [`Resolved::constants`] holds its value for comparison.

mod shapes;
mod types;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use anyhow::{bail, Context, Result};
use handoff_abi::descriptor::{
    Kind, Member, MemberSpec, CONSTANTS, MAX_MEMBERS, MAX_SHAPES, MEMBERS,
};

use types::{Found, Types};

/// What the kernel's BTF says.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// By [`handoff_abi::descriptor::MemberId`]; unused numbers are [`Member::ABSENT`].
    pub members: [Member; MAX_MEMBERS],
    /// By [`handoff_abi::descriptor::Shape`]; unused numbers are zero.
    pub shapes: [u32; MAX_SHAPES],
    /// By [`handoff_abi::descriptor::ConstantId`]: the value of the enumerator, or `None` if BTF
    /// has no such enumeration or enumerator. Negative values are sign-extended.
    pub constants: Vec<Option<u64>>,
}

/// Makes the offset table from the kernel's BTF and that of modules, each given with its name.
///
/// `split` holds the files that lie beside `vmlinux`: for a file system that is a module, its
/// BTF must be among them or its structures are absent.
///
/// # Errors
/// BTF that cannot be read, and a kernel whose structures are not those that this version knows;
/// the message lists every one.
pub fn resolve(vmlinux: &[u8], split: &[(&str, &[u8])]) -> Result<Resolved> {
    let types = Types::parse(vmlinux, split)?;
    let mut members = [Member::ABSENT; MAX_MEMBERS];
    let mut faults = Vec::new();
    for (slot, spec) in members.iter_mut().zip(&MEMBERS) {
        match member(&types, spec) {
            Ok(found) => *slot = found,
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    refuse(&faults)?;
    let (shapes, unknown) = shapes::derive(&types, &members)?;
    refuse(&unknown)?;
    let constants = CONSTANTS
        .iter()
        .map(|spec| types.enumerator(spec.enumeration, spec.name))
        .collect::<Result<_>>()?;
    Ok(Resolved {
        members,
        shapes,
        constants,
    })
}

/// Fails with all `faults`, if there are any.
fn refuse(faults: &[String]) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    bail!(
        "this kernel is not supported by this version of baton; its structures are not those it \
         knows:\n  {}",
        faults.join("\n  ")
    )
}

/// Finds one member: the first path of `spec` that exists, in every structure of the name.
fn member(types: &Types, spec: &MemberSpec) -> Result<Member> {
    let mut taken: Option<(Member, &str)> = None;
    let mut structures = 0;
    for structure in types.structures(spec.structure)? {
        structures += 1;
        let Some((number, path, found)) = first_path(types, &structure, spec)? else {
            continue;
        };
        let member = check(spec, path, number, &found)?;
        match taken {
            None => taken = Some((member, structure.unit_name())),
            Some((other, _)) if same(&other, &member) => {}
            Some((_, other)) => bail!(
                "{}.{path} is ambiguous: structures of that name in {other} and {} differ",
                spec.structure,
                structure.unit_name()
            ),
        }
    }
    match (taken, spec.required, structures) {
        (Some((member, _)), _, _) => Ok(member),
        (None, false, _) => Ok(Member::ABSENT),
        (None, true, 0) => bail!(
            "{}.{}: there is no structure of that name in {}",
            spec.structure,
            spec.path(),
            types.unit_names()
        ),
        (None, true, _) => bail!(
            "{}.{} does not exist (looked for {})",
            spec.structure,
            spec.path(),
            spec.paths.join(", ")
        ),
    }
}

/// The first path of `spec` that exists in `structure`, with its number.
fn first_path<'s>(
    types: &Types,
    structure: &types::Structure<'_>,
    spec: &'s MemberSpec,
) -> Result<Option<(u8, &'s str, Found)>> {
    for (number, path) in (0u8..).zip(spec.paths) {
        let found = types
            .find(structure, path)
            .with_context(|| format!("{}.{path}", spec.structure))?;
        if let Some(found) = found {
            return Ok(Some((number, path, found)));
        }
    }
    Ok(None)
}

/// Compares what was found with what may be, and makes the table's entry of it.
fn check(spec: &MemberSpec, path: &str, alternative: u8, found: &Found) -> Result<Member> {
    let wanted = || {
        let kinds: Vec<_> = spec.kinds.iter().filter_map(|kind| kind.text()).collect();
        let sizes: Vec<_> = spec.sizes.iter().map(u32::to_string).collect();
        match sizes.is_empty() {
            true => kinds.join(" or "),
            false => format!("{} of {} bytes", kinds.join(" or "), sizes.join(" or ")),
        }
    };
    let fits = spec.kinds.contains(&found.kind)
        && (spec.sizes.is_empty() || spec.sizes.contains(&found.size));
    if !fits {
        bail!(
            "{}.{path} is {}, not {}",
            spec.structure,
            found.description,
            wanted()
        );
    }
    Ok(Member {
        offset: found.offset,
        size: found.size,
        kind: found.kind.0,
        bit: found.bit,
        bits: found.bits,
        alternative,
        reserved: 0,
    })
}

/// Whether two entries say the same.
fn same(a: &Member, b: &Member) -> bool {
    let key = |m: &Member| (m.offset, m.size, m.kind, m.bit, m.bits, m.alternative);
    key(a) == key(b)
}

/// Whether the entry is of `kind`.
fn is_kind(member: &Member, kind: Kind) -> bool {
    member.kind == kind.0
}
