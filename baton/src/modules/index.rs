//! The text files that `depmod` and the kernel's build leave in a module directory. Sources:
//! `modules.dep(5)`, `Documentation/kbuild/kbuild.rst`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};

/// A module that is a file.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// Path below the directory (or absolute, which `Path::join` heeds).
    pub(super) path: String,
    /// Names it depends on, in the order to load them.
    pub(super) depends: Vec<String>,
}

/// A pattern and the module that claims what matches it.
#[derive(Clone, Debug)]
pub(super) struct Alias {
    pattern: String,
    pub(super) module: String,
}

/// What a module would like to be loaded before and after it.
#[derive(Clone, Default, Debug)]
pub(super) struct SoftDependency {
    pub(super) pre: Vec<String>,
    pub(super) post: Vec<String>,
}

impl Alias {
    fn new(pattern: &str, module: &str) -> Self {
        Self {
            pattern: pattern.to_owned(),
            module: canonical(module),
        }
    }

    /// Whether `text` matches the pattern, as `fnmatch(3)` without flags has it.
    pub(super) fn matches(&self, text: &str) -> bool {
        let literal = self.pattern.find(['*', '?', '[']);
        let Some(prefix) = literal.and_then(|end| self.pattern.get(..end)) else {
            return self.pattern == text;
        };
        if !text.starts_with(prefix) {
            return false;
        }
        // To the glob crate "**" means directories; to fnmatch it is one star.
        let mut pattern = self.pattern.clone();
        while pattern.contains("**") {
            pattern = pattern.replace("**", "*");
        }
        glob::Pattern::new(&pattern).is_ok_and(|pattern| pattern.matches(text))
    }
}

/// The file `name` of the directory as text, empty if it does not exist.
pub(super) fn optional(root: &Path, name: &str) -> Result<String> {
    let path = root.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// A module's name as the kernel has it.
pub(super) fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// Name of the module in a file: `kernel/fs/ext4/ext4.ko.xz` is `ext4`.
pub(super) fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let end = file.find(".ko").unwrap_or(file.len());
    canonical(file.get(..end).unwrap_or(file))
}

/// `modules.dep`: `FILE: FILE FILE…`, where what is to be loaded first comes last.
pub(super) fn files(text: &str) -> BTreeMap<String, File> {
    let entry = |line: &str| {
        let (path, depends) = line.split_once(':')?;
        let file = File {
            path: path.trim().to_owned(),
            depends: depends.split_whitespace().rev().map(name_of).collect(),
        };
        Some((name_of(path.trim()), file))
    };
    text.lines().filter_map(entry).collect()
}

/// `modules.builtin`: one path a line.
pub(super) fn built_in(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).map(name_of).collect()
}

/// `modules.alias`: `alias PATTERN MODULE`.
pub(super) fn aliases(text: &str) -> Vec<Alias> {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("alias"), Some(pattern), Some(module)) => Some(Alias::new(pattern, module)),
            _ => None,
        }
    };
    text.lines().filter_map(entry).collect()
}

/// The `MODULE.KEY=VALUE` of `modules.builtin.modinfo`, NUL-terminated each.
fn built_in_info<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.split('\0').filter_map(move |entry| {
        let (name, value) = entry.split_once('=')?;
        let (module, found) = name.split_once('.')?;
        (found == key).then_some((module, value))
    })
}

/// Aliases of what is built in, as far as the kernel tells them.
pub(super) fn built_in_aliases(text: &str) -> Vec<Alias> {
    built_in_info(text, "alias")
        .map(|(module, pattern)| Alias::new(pattern, module))
        .collect()
}

/// `modules.softdep`: `softdep MODULE pre: NAME… post: NAME…`, and the same of what is built in.
pub(super) fn soft_dependencies(text: &str, info: &str) -> BTreeMap<String, SoftDependency> {
    let mut all: BTreeMap<String, SoftDependency> = BTreeMap::new();
    let modules = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("softdep ")?.trim_start();
        rest.split_once(char::is_whitespace)
    });
    for (module, rest) in modules.chain(built_in_info(info, "softdep")) {
        let entry = all.entry(canonical(module)).or_default();
        let mut list: Option<&mut Vec<String>> = None;
        for word in rest.split_whitespace() {
            match (word, &mut list) {
                ("pre:", _) => list = Some(&mut entry.pre),
                ("post:", _) => list = Some(&mut entry.post),
                (name, Some(list)) => list.push(name.to_owned()),
                // Words before either keyword mean nothing, to modprobe too.
                (_, None) => {}
            }
        }
    }
    all
}
