//! The `.defmt` table of a `baton.ko`: the texts behind the numbers in frames.
//!
//! Each text is the *name* of a symbol in the section `.defmt`, as JSON; its address is the number
//! that stands for it.

use anyhow::{bail, ensure, Context, Result};
use object::{Object, ObjectSection, ObjectSymbol};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Name of the section.
const SECTION: &str = ".defmt";
/// Symbols that say how frames are made, and what this version can read.
const VERSION: &str = "_defmt_version_ = ";
const ENCODING: &str = "_defmt_encoding_ = ";
const READABLE: (&str, &str) = ("4", "rzcobs");

/// One text.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Entry {
    /// What it is for: `defmt_info`, `defmt_str`, `defmt_timestamp` …
    pub tag: String,
    /// The format string.
    pub data: String,
}

impl Entry {
    /// The level of a log message.
    pub fn level(&self) -> Option<&str> {
        let level = self.tag.strip_prefix("defmt_")?;
        ["trace", "debug", "info", "warn", "error", "println"]
            .contains(&level)
            .then_some(level)
    }
}

/// All texts.
#[derive(Clone, Debug)]
pub struct Table {
    entries: BTreeMap<u16, Entry>,
    timestamp: Option<String>,
}

impl Table {
    /// Reads it from a module file, which is not compressed.
    ///
    /// # Errors
    /// It is not an ELF file, has no table, or one of another version of defmt.
    pub fn parse(module: &[u8]) -> Result<Self> {
        let elf = object::File::parse(module).context("not an ELF file")?;
        let section = elf
            .section_by_name(SECTION)
            .with_context(|| format!("it has no section {SECTION}; was it stripped?"))?
            .index();
        let mut table = Self {
            entries: BTreeMap::new(),
            timestamp: None,
        };
        let (mut version, mut encoding) = (None, None);
        for symbol in elf.symbols() {
            // The version's symbol is absolute.
            let name = symbol.name().unwrap_or_default();
            if let Some(found) = name.strip_prefix(VERSION) {
                version = Some(found.to_owned());
            } else if let Some(found) = name.strip_prefix(ENCODING) {
                encoding = Some(found.to_owned());
            } else if symbol.section_index() == Some(section) && name.starts_with('{') {
                table.add(symbol.address(), name)?;
            }
        }
        let found = (version.as_deref(), encoding.as_deref());
        ensure!(
            found == (Some(READABLE.0), Some(READABLE.1)),
            "it was made with defmt's wire format {found:?}; this version reads {READABLE:?}"
        );
        ensure!(!table.entries.is_empty(), "it has no texts");
        Ok(table)
    }

    fn add(&mut self, address: u64, name: &str) -> Result<()> {
        let entry: Entry =
            serde_json::from_str(name).with_context(|| format!("the entry {name}"))?;
        if entry.tag == "defmt_timestamp" {
            self.timestamp = Some(entry.data);
            return Ok(());
        }
        let index = u16::try_from(address).context("an index is too large")?;
        if let Some(other) = self.entries.insert(index, entry) {
            bail!("two texts have the number {index}, one is {:?}", other.data);
        }
        Ok(())
    }

    /// The text with a number.
    pub fn get(&self, index: u16) -> Option<&Entry> {
        self.entries.get(&index)
    }

    /// The format of the time stamp that follows the number in each frame.
    pub fn timestamp(&self) -> Option<&str> {
        self.timestamp.as_deref()
    }

    #[cfg(test)]
    pub fn of(timestamp: &str, entries: &[(u16, &str, &str)]) -> Self {
        let entry = |(index, tag, data): &(u16, &str, &str)| {
            let (tag, data) = (format!("defmt_{tag}"), (*data).to_owned());
            (*index, Entry { tag, data })
        };
        Self {
            entries: entries.iter().map(entry).collect(),
            timestamp: Some(timestamp.to_owned()),
        }
    }
}
