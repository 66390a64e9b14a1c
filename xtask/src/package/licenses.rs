//! The crates that are linked into what is shipped, with the texts of their licences.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use serde::Deserialize;

use super::call;
use crate::{rustobj, userland};

/// Licences under which a crate may be linked into a GPL-2.0-only program. Apache-2.0 alone is
/// not: its terms on patents go further than the GPL allows.
const COMPATIBLE: [&str; 12] = [
    "MIT",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "Zlib",
    "Unlicense",
    "0BSD",
    "CC0-1.0",
    "LGPL-2.1-or-later",
    "LGPL-2.1-only",
    "GPL-2.0-only",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
    source: Option<String>,
}

/// All of them, as one text.
///
/// # Errors
/// One whose licence does not allow it, by name.
pub fn collect() -> Result<String> {
    let root = rustobj::workspace();
    let mut linked = BTreeMap::new();
    for (folder, package) in [
        (root.clone(), "baton"),
        (root.join("kernel-glue/ffi"), "baton-ffi"),
    ] {
        linked.extend(in_program(&folder, package)?);
    }
    let mut text = String::from(
        "Rust crates that are part of baton or of baton_core.o_shipped_rust, and the licences\n\
         under which they were made available. The Rust standard library is among them (MIT or\n\
         Apache-2.0, https://www.rust-lang.org).\n",
    );
    for package in linked.values() {
        let license = package.license.as_deref().unwrap_or_default();
        ensure!(
            is_compatible(license),
            "{} {} is under \"{license}\", which a GPL-2.0-only program cannot contain",
            package.name,
            package.version
        );
        writeln!(
            text,
            "\n{}\n{} {}: {license}\n{}",
            "=".repeat(76),
            package.name,
            package.version,
            "=".repeat(76)
        )?;
        text.push_str(&texts(package)?);
    }
    Ok(text)
}

/// The crates of others that end up in a package's program.
fn in_program(folder: &Path, package: &str) -> Result<BTreeMap<String, Package>> {
    let tree = call(userland::cargo().current_dir(folder).args([
        "tree",
        "--package",
        package,
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    let tree = String::from_utf8(tree).context("cargo tree")?;
    let names: Vec<String> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
            Some(format!("{name} {version}"))
        })
        .collect();
    let metadata =
        call(
            userland::cargo()
                .current_dir(folder)
                .args(["metadata", "--format-version", "1"]),
        )?;
    let metadata: Metadata = serde_json::from_slice(&metadata).context("cargo metadata")?;
    let others = metadata.packages.into_iter().filter(|p| p.source.is_some());
    Ok(others
        .map(|package| (format!("{} {}", package.name, package.version), package))
        .filter(|(name, _)| names.contains(name))
        .collect())
}

/// Whether one of the alternatives, all of whose parts are on the list, is there. Understands as
/// much of SPDX expressions as crates use.
fn is_compatible(license: &str) -> bool {
    let plain = license.replace(['(', ')'], " ").replace('/', " OR ");
    let known = |name: &str| COMPATIBLE.contains(&name.trim());
    match (plain.contains(" OR "), license.contains('(')) {
        // `(MIT OR Apache-2.0) AND Unicode-3.0`: each part for itself.
        (true, true) => license.split(" AND ").all(|part| {
            let part = part.replace(['(', ')'], "");
            part.split(" OR ").any(known) || part.trim() == "Unicode-3.0"
        }),
        (true, false) => plain
            .split(" OR ")
            .any(|part| part.split(" AND ").all(known)),
        (false, _) => plain.split(" AND ").all(known),
    }
}

/// The licence files in a crate's folder.
fn texts(package: &Package) -> Result<String> {
    let folder = package.manifest_path.parent().context("a crate's folder")?;
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && is_license(path))
        .collect();
    files.sort();
    let mut text = String::new();
    for file in files {
        let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        writeln!(text, "\n{}", String::from_utf8_lossy(&content).trim_end())?;
    }
    Ok(text)
}

fn is_license(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_uppercase();
    ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"]
        .iter()
        .any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::is_compatible;

    #[test]
    fn alternatives_and_parts() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "Apache-2.0 OR BSL-1.0",
            "Unlicense OR MIT",
            "LGPL-2.1-or-later",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "MIT AND BSD-3-Clause",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert!(is_compatible(good), "{good}");
        }
        for bad in ["Apache-2.0", "", "GPL-3.0-only", "MIT AND Apache-2.0"] {
            assert!(!is_compatible(bad), "{bad}");
        }
    }
}
