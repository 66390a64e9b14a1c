//! The last changes to the linked object, which no linker makes.
//!
//! The log's table, `.defmt`, is not loaded into the kernel, and the module
//! loader would resolve a symbol in it to an address of its temporary copy. So
//! the indices are written into the code here, and the table stays in the file
//! for who decodes the log.

use std::collections::HashSet;

use anyhow::{bail, ensure, Context, Result};
use object::build::elf::{Builder, Relocation, SectionData, SectionId, SymbolId};
use object::build::Id;
use object::elf;

use super::is_export;

const DEFMT: &[u8] = b".defmt";
/// The index is 16 bits in a frame, and its highest value means something else.
const DEFMT_MAX: u64 = 0xfffe;

/// An index that goes into a section's bytes.
struct Patch {
    section: SectionId,
    offset: u64,
    width: usize,
    index: u64,
}

/// Turns the bytes of the linked object into those of the module's.
pub fn finish(linked: &[u8]) -> Result<Vec<u8>> {
    let mut elf = Builder::read64(linked).context("cannot read the linked object")?;
    let table = find_table(&elf)?;
    for patch in take_indices(&mut elf, table)? {
        apply(&mut elf, &patch)?;
    }
    // modpost warns about a section of program data that it does not know and
    // that is not loaded; a note it leaves alone.
    let section = elf.sections.get_mut(table);
    section.sh_type = elf::SHT_NOTE;
    if let SectionData::Data(bytes) = &section.data {
        section.data = SectionData::Note(bytes.clone());
    }
    // The table's own reference to the time stamp's function kept that through
    // the link; nobody reads it.
    for section in &mut elf.sections {
        if section.sh_info_section == Some(table) {
            section.delete = true;
        }
    }
    hide_symbols(&mut elf);
    let mut out = Vec::new();
    elf.write(&mut out).context("cannot write the object")?;
    Ok(out)
}

fn find_table(elf: &Builder) -> Result<SectionId> {
    let mut found = elf
        .sections
        .iter()
        .filter(|section| section.name.as_slice() == DEFMT);
    let table = found
        .next()
        .context("the linked object has no section .defmt")?;
    ensure!(
        found.next().is_none(),
        "the linked object has several sections .defmt"
    );
    ensure!(
        !table.is_alloc(),
        "the section .defmt would be loaded: the linker script is wrong"
    );
    Ok(table.id())
}

/// Removes the relocations against the table and returns what they stood for.
fn take_indices(elf: &mut Builder, table: SectionId) -> Result<Vec<Patch>> {
    let loaded: HashSet<usize> = elf
        .sections
        .iter()
        .filter(|s| s.is_alloc())
        .map(|s| key(s.id()))
        .collect();
    let mut patches = Vec::new();
    let symbols = &elf.symbols;
    for section in &mut elf.sections {
        let Some(target) = section.sh_info_section else {
            continue;
        };
        let SectionData::Relocation(relocations) = &mut section.data else {
            continue;
        };
        if !loaded.contains(&key(target)) {
            continue;
        }
        let (indices, others): (Vec<Relocation>, Vec<Relocation>) =
            relocations.iter().partition(|relocation| {
                relocation
                    .symbol
                    .is_some_and(|id| symbols.get(id).section == Some(table))
            });
        *relocations = others;
        for relocation in indices {
            let symbol = relocation.symbol.map(|id| symbols.get(id));
            let symbol = symbol.context("a relocation lost its symbol")?;
            let index = symbol.st_value.wrapping_add_signed(relocation.r_addend);
            ensure!(
                (1..=DEFMT_MAX).contains(&index),
                "the log's table is too large: {} would have the index {index}",
                symbol.name
            );
            let width = match relocation.r_type {
                elf::R_X86_64_64 => 8,
                elf::R_X86_64_32 | elf::R_X86_64_32S => 4,
                elf::R_X86_64_16 => 2,
                elf::R_X86_64_8 => 1,
                other => bail!(
                    "relocation of kind {} against the log's text {}: an index is not an address",
                    other.0,
                    symbol.name
                ),
            };
            ensure!(
                width > 1 || index < 0x100,
                "the index {index} does not fit one byte"
            );
            patches.push(Patch {
                section: target,
                offset: relocation.r_offset,
                width,
                index,
            });
        }
    }
    Ok(patches)
}

fn apply(elf: &mut Builder, patch: &Patch) -> Result<()> {
    let section = elf.sections.get_mut(patch.section);
    let SectionData::Data(data) = &mut section.data else {
        bail!(
            "a log index is to be written into {}, which has no data",
            section.name
        );
    };
    let start = usize::try_from(patch.offset)?;
    let place = start
        .checked_add(patch.width)
        .and_then(|end| data.to_mut().get_mut(start..end))
        .with_context(|| format!("a log index lies outside of {}", section.name))?;
    place.copy_from_slice(&patch.index.to_le_bytes()[..patch.width]);
    Ok(())
}

/// Leaves the exported functions visible. Other functions keep their names,
/// for objtool and for backtraces; what nothing needs any more goes.
fn hide_symbols(elf: &mut Builder) {
    let mut used = HashSet::new();
    for section in &elf.sections {
        if section.delete {
            continue;
        }
        if let SectionData::Relocation(relocations) = &section.data {
            used.extend(relocations.iter().filter_map(|r| r.symbol).map(symbol_key));
        }
    }
    for symbol in &mut elf.symbols {
        let defined = symbol.section.is_some() || symbol.st_shndx != elf::SHN_UNDEF;
        let referred = used.contains(&symbol_key(symbol.id()));
        let name = String::from_utf8_lossy(&symbol.name).into_owned();
        if symbol.st_type() == elf::STT_FILE {
            // Names of compilation units. objtool takes an object with several
            // of them for a whole module.
            symbol.delete = true;
        } else if !defined || name.starts_with(".L") {
            symbol.delete = !referred;
        } else if !is_export(&name) {
            let kind = symbol.st_type();
            symbol.set_st_info(elf::STB_LOCAL, kind);
        }
    }
}

fn key(id: SectionId) -> usize {
    id.index()
}

fn symbol_key(id: SymbolId) -> usize {
    id.index()
}
