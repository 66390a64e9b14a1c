//! The packages that modules for a kernel are built with.

use std::path::PathBuf;

use anyhow::{bail, Context, Result};

use super::Kernel;
use crate::apt::{Apt, Candidate, Dependency, View};

/// More packages than any kernel's headers consist of.
const LIMIT: usize = 16;

/// Downloads the header packages of a kernel: `linux-headers-*` of the flavour
/// and in common, `linux-kbuild-*`, and what those need of
/// `linux-compiler-gcc-*` and `linux-base-*`. Not the compiler itself.
///
/// Unpack them into the root they are to be used in; their links are absolute.
pub fn headers(apt: &Apt, kernel: &Kernel) -> Result<Vec<PathBuf>> {
    let Some(version) = &kernel.version else {
        bail!(
            "{} was given by a path, so there are no header packages for it; its own build folder \
             is {}",
            kernel.release,
            kernel.modules.join("build").display()
        );
    };
    let package = format!("linux-headers-{}", kernel.release);
    let specs = closure(apt, package, version.clone())?;
    let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
    apt.fetch_all(View::All, &specs)
}

/// Follows dependencies from one package, by the names that matter only.
fn closure(apt: &Apt, package: String, version: String) -> Result<Vec<String>> {
    let mut found = vec![(package, version)];
    let mut next = 0;
    while let Some((package, version)) = found.get(next).cloned() {
        next += 1;
        for clause in apt.depends(&package, &version)? {
            // Alternatives are only ever offered for the compiler and the image.
            let [dependency] = clause.as_slice() else {
                continue;
            };
            let known = found.iter().any(|(name, _)| *name == dependency.package);
            if known || !is_wanted(&dependency.package) {
                continue;
            }
            let chosen = choose(apt, dependency, &version)
                .with_context(|| format!("cannot meet a dependency of {package}"))?;
            found.push((dependency.package.clone(), chosen));
        }
        if found.len() > LIMIT {
            bail!(
                "{} needs more than {LIMIT} packages, which cannot be right",
                found[0].0
            );
        }
    }
    Ok(found
        .into_iter()
        .map(|(package, version)| format!("{package}={version}"))
        .collect())
}

fn is_wanted(package: &str) -> bool {
    const NAMES: [&str; 4] = [
        "linux-headers-",
        "linux-kbuild-",
        "linux-compiler-gcc-",
        "linux-base-",
    ];
    NAMES.iter().any(|name| package.starts_with(name))
}

/// The version asked for exactly, else the dependent's own, else the newest.
fn choose(apt: &Apt, dependency: &Dependency, own: &str) -> Result<String> {
    let name = dependency.package.as_str();
    if let Some((operator, version)) = &dependency.version {
        if operator == "=" {
            return Ok(version.clone());
        }
    }
    let versions = apt.candidates(name, |candidate| candidate == name)?;
    if versions.iter().any(|candidate| candidate.version == own) {
        return Ok(own.to_owned());
    }
    let newest: Option<Candidate> = super::newest(apt, versions)?;
    let newest = newest.with_context(|| format!("no suite holds {name}"))?;
    Ok(newest.version)
}
