//! The modules of a kernel, and which of them this machine needs.
//!
//! # Purpose
//! [`Tree`] is the module directory of one kernel (`/lib/modules/RELEASE`), as `depmod` indexed
//! it. It answers a modalias or a name with the files to load, in the order to load them, or says
//! that the driver is built in, or that this kernel has none. [`needed_modules`] asks it for all
//! that the disks and network cards of this machine need, and [`read()`] reads a module file,
//! whatever it is compressed with.
//!
//! # Invariants
//! * Names are compared as the kernel does: `-` and `_` are the same.
//! * A file is listed after every file that it depends on, and once.
//! * Soft dependencies are a wish: one that the kernel does not have is left out. Nor need each
//!   succeed: `crc32c` stands for every implementation, and a CPU may lack what one of them wants.
//!
//! # Not for
//! Loading.

mod index;
mod needed;
mod read;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use needed::{needed_modules, Missing, Needed, Wanted};
pub use read::read;

use index::{Alias, SoftDependency};

/// Most files that the order of loading is worked out for.
const MAX_STEPS: usize = 100_000;

/// The modules of one kernel.
#[derive(Debug)]
pub struct Tree {
    /// Where it is.
    root: PathBuf,
    /// By name: file below `root`, and names that it depends on, in the order to load them.
    files: BTreeMap<String, index::File>,
    /// Names that are built in.
    built_in: BTreeSet<String>,
    /// Of modules and of what is built in.
    aliases: Vec<Alias>,
    /// By name.
    soft: BTreeMap<String, SoftDependency>,
}

/// What a kernel has for a name or a modalias.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// Files to load, in this order.
    Files(Vec<PathBuf>),
    /// It is part of the kernel.
    BuiltIn,
    /// It has nothing.
    Missing,
}

/// One step of working out the order of loading.
enum Step {
    /// Look at what this module depends on.
    Enter(String),
    /// All that it depends on is listed: list it.
    Leave(String),
}

impl Tree {
    /// Reads the indices of the module directory `root`.
    ///
    /// # Errors
    /// The directory or its `modules.dep` cannot be read.
    pub fn open(root: &Path) -> Result<Self> {
        let dep = root.join("modules.dep");
        let text = std::fs::read_to_string(&dep).with_context(|| {
            format!(
                "cannot read {}: the kernel's modules are not installed there, or depmod has not \
                 been run for it (depmod RELEASE)",
                dep.display()
            )
        })?;
        let built_in_info = index::optional(root, "modules.builtin.modinfo")?;
        let mut aliases = index::aliases(&index::optional(root, "modules.alias")?);
        aliases.extend(index::built_in_aliases(&built_in_info));
        Ok(Self {
            root: root.to_owned(),
            files: index::files(&text),
            built_in: index::built_in(&index::optional(root, "modules.builtin")?),
            aliases,
            soft: index::soft_dependencies(
                &index::optional(root, "modules.softdep")?,
                &built_in_info,
            ),
        })
    }

    /// Where the tree is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the kernel has for the module `name`; if there is no module of that name, for the
    /// alias.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Resolution {
        self.order(self.providers(name))
    }

    /// What the kernel has for the device `modalias`: every driver that claims it.
    #[must_use]
    pub fn by_modalias(&self, modalias: &str) -> Resolution {
        self.order(self.claimants(modalias))
    }

    /// Modules that stand for `name`, itself or by an alias.
    fn providers(&self, name: &str) -> BTreeSet<String> {
        let canonical = index::canonical(name);
        match self.files.contains_key(&canonical) || self.built_in.contains(&canonical) {
            true => BTreeSet::from([canonical]),
            false => self.claimants(name),
        }
    }

    /// Modules one of whose aliases matches.
    fn claimants(&self, modalias: &str) -> BTreeSet<String> {
        self.aliases
            .iter()
            .filter(|alias| alias.matches(modalias))
            .map(|alias| alias.module.clone())
            .collect()
    }

    /// The files of `names` and of all they depend on, in the order of loading.
    fn order(&self, names: BTreeSet<String>) -> Resolution {
        if names.is_empty() {
            return Resolution::Missing;
        }
        let mut seen = BTreeSet::new();
        let mut files = Vec::new();
        let mut todo: Vec<_> = names.into_iter().rev().map(Step::Enter).collect();
        for _ in 0..MAX_STEPS {
            let Some(step) = todo.pop() else {
                break;
            };
            match step {
                Step::Enter(name) => {
                    if seen.insert(name.clone()) {
                        self.enter(name, &mut todo);
                    }
                }
                Step::Leave(name) => {
                    files.extend(self.files.get(&name).map(|file| self.root.join(&file.path)));
                }
            }
        }
        match files.is_empty() {
            true => Resolution::BuiltIn,
            false => Resolution::Files(files),
        }
    }

    /// Puts what has to be done for `name` on the stack, last step first.
    fn enter(&self, name: String, todo: &mut Vec<Step>) {
        let soft = self.soft.get(&name);
        let wishes = |names: &[String]| -> Vec<Step> {
            let providers = names.iter().flat_map(|wish| self.providers(wish));
            providers.map(Step::Enter).collect()
        };
        let after = soft.map_or_else(Vec::new, |soft| wishes(&soft.post));
        let before = soft.map_or_else(Vec::new, |soft| wishes(&soft.pre));
        let hard = self.files.get(&name).map(|file| file.depends.clone());
        todo.extend(after.into_iter().rev());
        todo.push(Step::Leave(name));
        todo.extend(hard.unwrap_or_default().into_iter().rev().map(Step::Enter));
        todo.extend(before.into_iter().rev());
    }
}
