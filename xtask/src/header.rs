//! Generates `kernel-glue/handoff.h` from the ABI crate, and checks that the committed file is
//! what would be generated.

use anyhow::{bail, Context, Result};
use handoff_abi::descriptor::{CONSTANTS, MEMBERS};
use handoff_abi::{ioctl, region, AbiType, ABI_TYPES, ABI_VERSION};
use std::fmt::Write as _;
use std::path::Path;

/// Writes the header, or with `check` fails if the committed one differs.
pub fn run(check: bool) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel-glue/handoff.h");
    let text = generate()?;
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    if found == text {
        return Ok(());
    }
    if check {
        bail!(
            "{} is not what handoff-abi says; run `cargo xtask header` and commit it",
            path.display()
        );
    }
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

fn generate() -> Result<String> {
    let mut out = String::from(
        "/* SPDX-License-Identifier: GPL-2.0 */\n\
         /* Generated from handoff-abi by `cargo xtask header`. Do not edit. */\n\
         #ifndef BATON_HANDOFF_H\n#define BATON_HANDOFF_H\n\n\
         #include <linux/build_bug.h>\n#include <linux/ioctl.h>\n#include <linux/stddef.h>\n\
         #include <linux/types.h>\n\n",
    );
    writeln!(out, "#define BATON_ABI_VERSION {ABI_VERSION}u")?;
    writeln!(
        out,
        "#define BATON_PAGE_MAGIC {:#x}u",
        handoff_abi::header::PAGE_MAGIC
    )?;
    writeln!(out, "#define BATON_REGION_SIZE {:#x}u", region::REGION_SIZE)?;
    out.push('\n');
    sections(&mut out)?;
    values(&mut out)?;
    for ty in ABI_TYPES.iter().chain(ioctl::IOCTL_TYPES) {
        structure(&mut out, ty)?;
    }
    writeln!(
        out,
        "#define BATON_IOCTL_TYPE '{}'",
        char::from(ioctl::IOCTL_TYPE)
    )?;
    for request in ioctl::REQUESTS {
        writeln!(
            out,
            "#define BATON_IOC_{} _IOWR(BATON_IOCTL_TYPE, {}, struct {})",
            request.name,
            request.number,
            c_name(request.argument)
        )?;
    }
    writeln!(out, "#define BATON_NO_CPU {:#x}u", ioctl::NO_CPU)?;
    writeln!(out, "#define BATON_NO_OFFSET {:#x}u", ioctl::NO_OFFSET)?;
    out.push_str("\n#endif\n");
    Ok(out)
}

/// A prefix and its values.
type ValueSet = (&'static str, &'static [(&'static str, u64)]);

fn sections(out: &mut String) -> Result<()> {
    for section in region::SECTIONS {
        let name = section.name.to_uppercase().replace(' ', "_");
        writeln!(out, "#define BATON_{name}_KIND {}u", section.kind)?;
        writeln!(out, "#define BATON_{name}_OFFSET {:#x}u", section.offset)?;
        writeln!(out, "#define BATON_{name}_SIZE {:#x}u", section.size)?;
    }
    out.push('\n');
    Ok(())
}

fn values(out: &mut String) -> Result<()> {
    let sets: [ValueSet; 9] = [
        ("STOP_STATE", handoff_abi::control::StopState::VALUES),
        ("FIRST", handoff_abi::status::FirstState::VALUES),
        ("SECOND", handoff_abi::status::SecondState::VALUES),
        ("REASON", handoff_abi::status::Reason::VALUES),
        ("PHASE", handoff_abi::timeline::Phase::VALUES),
        ("COUNTER", handoff_abi::timeline::Counter::VALUES),
        ("RANGE", handoff_abi::machine::RangeKind::VALUES),
        ("WINDOW", handoff_abi::machine::WindowKind::VALUES),
        ("ROLE", ioctl::Role::VALUES),
    ];
    for (set, list) in sets {
        writeln!(out, "enum {{")?;
        for (name, value) in list {
            writeln!(out, "\tBATON_{set}_{name} = {value},")?;
        }
        writeln!(out, "}};\n")?;
    }
    writeln!(out, "enum {{")?;
    for (number, member) in MEMBERS.iter().enumerate() {
        let path = member.path().replace('.', "__");
        let path = if path.is_empty() { "SIZE_OF" } else { &path };
        writeln!(
            out,
            "\tBATON_MEMBER_{}__{path} = {number},",
            member.structure
        )?;
    }
    writeln!(
        out,
        "\tBATON_MEMBER_COUNT = {},\n}};\n\nenum {{",
        MEMBERS.len()
    )?;
    for (number, constant) in CONSTANTS.iter().enumerate() {
        writeln!(out, "\tBATON_CONSTANT_{} = {number},", constant.name)?;
    }
    writeln!(out, "\tBATON_CONSTANT_COUNT = {},\n}};\n", CONSTANTS.len())?;
    Ok(())
}

fn structure(out: &mut String, ty: &AbiType) -> Result<()> {
    let name = c_name(ty.name);
    writeln!(out, "struct {name} {{")?;
    for field in ty.fields {
        writeln!(out, "\t{};", declaration(field.rust_type, field.name)?)?;
    }
    writeln!(out, "}};")?;
    writeln!(out, "static_assert(sizeof(struct {name}) == {});", ty.size)?;
    for field in ty.fields {
        writeln!(
            out,
            "static_assert(offsetof(struct {name}, {}) == {});",
            field.name, field.offset
        )?;
    }
    out.push('\n');
    Ok(())
}

/// `[u64; 4]` and `x` to `__u64 x[4]`.
fn declaration(rust_type: &str, field: &str) -> Result<String> {
    if let Some(array) = rust_type
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let (element, count) = array
            .rsplit_once(';')
            .with_context(|| format!("field {field}: not an array type: {rust_type}"))?;
        return declaration(element.trim(), &format!("{field}[{}]", count.trim()));
    }
    Ok(match rust_type {
        "u8" | "u16" | "u32" | "u64" => format!("__{rust_type} {field}"),
        "i32" => format!("__s32 {field}"),
        other => {
            let plain = other.rsplit("::").next().unwrap_or(other).trim();
            format!("struct {} {field}", c_name(plain))
        }
    })
}

/// `PageHeader` to `baton_page_header`.
fn c_name(rust: &str) -> String {
    let mut name = String::from("baton");
    for letter in rust.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
