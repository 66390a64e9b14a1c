//! What the finished object must and must not contain. Each is a hard error
//! that names the culprit.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use object::read::elf::ElfFile64;
use object::{elf, Endianness, Object, ObjectSection, ObjectSymbol, RelocationFlags, SectionFlags};

use super::{is_export, IMPORT_PREFIX};
use crate::progress;

/// What every kernel's module loader in scope can apply.
const RELOCATIONS: [elf::RelocationType; 4] = [
    elf::R_X86_64_64,
    elf::R_X86_64_32S,
    elf::R_X86_64_PC32,
    elf::R_X86_64_PLT32,
];

/// What the object may need of the kernel besides `baton_glue_*`: exported by
/// every kernel in scope, to modules of any licence that C code may use, too.
const IMPORTS: [&str; 7] = [
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "bcmp",
    "strlen",
    "__x86_return_thunk",
];
/// One a register.
const THUNKS: &str = "__x86_indirect_thunk_";

/// Parts of a symbol's name that give away what is not wanted.
const FORBIDDEN: [(&str, &str); 5] = [
    ("__rust_alloc", "allocation"),
    ("__rust_dealloc", "allocation"),
    ("__rust_realloc", "allocation"),
    ("__rust_no_alloc_shim", "allocation"),
    // `core::fmt` in a mangled name, old scheme and new.
    ("4core3fmt", "formatting of text"),
];

/// The library functions that stand in for floating point: a verb, then
/// operands' types, `__muldf3`. Those for wide integers end in `ti3`.
const FLOAT_VERBS: [&str; 18] = [
    "add", "sub", "mul", "div", "neg", "pow", "ge", "gt", "le", "lt", "eq", "ne", "unord", "cmp",
    "fix", "float", "extend", "trunc",
];
const FLOAT_TYPES: [&str; 4] = ["hf", "sf", "df", "tf"];

/// Checks the bytes of the finished object; `work` is for a temporary file.
pub fn check(object: &[u8], work: &Path) -> Result<()> {
    let elf = ElfFile64::<Endianness>::parse(object).context("cannot read the finished object")?;
    relocations(&elf)?;
    sections(&elf)?;
    symbols(&elf)?;
    registers(object, work)?;
    progress::step("Checked", summary(&elf));
    Ok(())
}

fn relocations(elf: &ElfFile64) -> Result<()> {
    for section in elf.sections().filter(is_loaded) {
        for (offset, relocation) in section.relocations() {
            let RelocationFlags::Elf { r_type } = relocation.flags() else {
                continue;
            };
            if RELOCATIONS.contains(&r_type) {
                continue;
            }
            let symbol = match relocation.target() {
                object::RelocationTarget::Symbol(index) => elf.symbol_by_index(index)?.name()?,
                _ => "nothing",
            };
            bail!(
                "relocation of kind {} at {}+{offset:#x} against {symbol}: kernels' module \
                 loaders need not know it (9, 41 and 42 are loads through a GOT: something was \
                 not compiled with the module's flags)",
                r_type.0,
                section.name()?
            );
        }
    }
    Ok(())
}

/// A section that the linker script does not name would go unnoticed until a
/// kernel treats it in its own way.
fn sections(elf: &ElfFile64) -> Result<()> {
    let known = [".text", ".rodata", ".data.rel.ro", ".data", ".bss"];
    for section in elf.sections().filter(is_loaded) {
        let name = section.name()?;
        ensure!(
            known.contains(&name) || section.size() == 0,
            "the section {name} would be loaded: add it to kernel-glue/link/baton_core.lds"
        );
    }
    Ok(())
}

fn symbols(elf: &ElfFile64) -> Result<()> {
    for symbol in elf.symbols() {
        let name = symbol.name()?;
        if symbol.is_undefined() && symbol.index().0 != 0 {
            let known = name.starts_with(IMPORT_PREFIX)
                || name.starts_with(THUNKS)
                || IMPORTS.contains(&name);
            ensure!(
                known,
                "the object needs `{name}`, which is not on the list of what a kernel gives it: \
                 functions of the C files begin with {IMPORT_PREFIX}"
            );
        }
        if let Some((_, what)) = FORBIDDEN.iter().find(|(part, _)| name.contains(part)) {
            bail!("the object contains {what}: {name}");
        }
        ensure!(
            !is_float(name),
            "the object computes with floating point: {name}"
        );
        if symbol.is_global() && symbol.is_definition() {
            ensure!(
                is_export(name),
                "`{name}` would be visible to the whole kernel"
            );
        }
    }
    Ok(())
}

fn is_float(name: &str) -> bool {
    let Some(name) = name.strip_prefix("__") else {
        return false;
    };
    FLOAT_VERBS.iter().any(|verb| name.starts_with(verb))
        && FLOAT_TYPES.iter().any(|kind| name.contains(kind))
}

/// The kernel's code may not touch vector or x87 registers: they are the
/// interrupted program's.
fn registers(object: &[u8], work: &Path) -> Result<()> {
    let file = work.join("finished.o");
    fs::write(&file, object).with_context(|| format!("cannot write {}", file.display()))?;
    let output = Command::new("objdump")
        .env("LC_ALL", "C")
        .args(["-d", "--no-show-raw-insn"])
        .arg(&file)
        .output()
        .context("cannot run objdump: the package binutils has it")?;
    ensure!(
        output.status.success(),
        "objdump cannot read {}",
        file.display()
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let mut function = "";
    for line in text.lines() {
        if line.ends_with(">:") {
            function = line;
        }
        let uses = ["%xmm", "%ymm", "%zmm", "%mm", "%st"]
            .iter()
            .any(|name| line.contains(name));
        ensure!(
            !uses,
            "a vector or x87 register is used in {function} {}",
            line.trim()
        );
    }
    Ok(())
}

fn is_loaded<'data>(section: &impl ObjectSection<'data>) -> bool {
    match section.flags() {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.contains(elf::SHF_ALLOC),
        _ => false,
    }
}

fn summary(elf: &ElfFile64) -> String {
    let size = |name: &str| {
        elf.section_by_name(name)
            .map_or(0, |section| section.size())
    };
    let exports = elf
        .symbols()
        .filter(|s| s.is_global() && s.is_definition())
        .count();
    let constants = size(".rodata") + size(".data.rel.ro");
    format!(
        "the Rust object: {} bytes of code, {constants} of constants, {} of data, {} of log \
         texts, {exports} functions for C",
        size(".text"),
        size(".data") + size(".bss"),
        size(".defmt"),
    )
}

#[cfg(test)]
mod tests {
    use super::is_float;

    #[test]
    fn tells_floating_point_from_wide_integers() {
        assert!(["__muldf3", "__floatundidf", "__fixunssfti", "__gtdf2"]
            .into_iter()
            .all(is_float));
        assert!(!["__udivti3", "__multi3", "__negti2", "baton_df", "memset"]
            .into_iter()
            .any(is_float));
    }
}
