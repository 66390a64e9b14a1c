//! Stock Debian kernels: from what a developer writes to files on disk.
//!
//! | specification | kernel |
//! |---|---|
//! | `6.1` | the newest cloud kernel of that series in any suite |
//! | `6.1.0-47`, `6.12.107+deb13` | that very release, cloud flavour |
//! | `6.1.0-47-amd64` | that very release, flavour as spelt |
//! | a path | a folder that has `lib/modules/RELEASE` and a `vmlinuz` |

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

use crate::apt::{Apt, Candidate};
use crate::cache::Cache;
use crate::{progress, tools};

mod headers;
mod local;

pub use headers::headers;

const CLOUD: &str = "-cloud-amd64";
/// Where a Debian package, whatever its age, may have put the modules.
const MODULES: [&str; 2] = ["lib/modules", "usr/lib/modules"];

/// A kernel that can be booted.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` says.
    pub release: String,
    /// The version of its packages; none for a kernel given by path.
    pub version: Option<String>,
    /// The bzImage.
    pub vmlinuz: PathBuf,
    /// The folder with `modules.dep` and the modules.
    pub modules: PathBuf,
    /// The root below which the kernel's packages are unpacked.
    pub tree: PathBuf,
}

/// Finds the kernel that `spec` means, fetching it if need be.
pub fn resolve(cache: &Cache, apt: &Apt, spec: &str) -> Result<Kernel> {
    if spec.contains('/') || Path::new(spec).exists() {
        return local::resolve(cache, apt, Path::new(spec));
    }
    let image = find(apt, spec)?;
    fetch(cache, apt, &image).with_context(|| format!("cannot get the kernel {}", image.package))
}

/// Every kernel of the suites that a specification could name, oldest first:
/// cloud and plain flavours, not the real-time ones. Kernels of which a suite
/// has dropped a part but not the rest are left out.
pub fn list(apt: &Apt) -> Result<Vec<Candidate>> {
    let mut images = apt.candidates("linux-image-", |name| {
        release_of(name).starts_with(|c: char| c.is_ascii_digit())
            && name.ends_with("-amd64")
            && !name.ends_with("-rt-amd64")
            // Metapackages have no version in their name beyond the series.
            && release_of(name).split('-').next().is_some_and(|version| !is_series(version))
    })?;
    let binaries = apt.candidates("linux-binary-", |_| true)?;
    let modules = apt.candidates("linux-modules-", |_| true)?;
    images.retain(|image| {
        let release = release_of(&image.package);
        let has = |candidates: &[Candidate], part: &str| {
            let name = format!("{part}{release}");
            candidates
                .iter()
                .any(|other| other.package == name && other.version == image.version)
        };
        // Before the split, there is neither.
        has(&binaries, "linux-binary-") == has(&modules, "linux-modules-")
    });
    images.sort_by_key(|image| natural(&image.package));
    images.dedup_by(|a, b| a.package == b.package && a.version == b.version);
    Ok(images)
}

/// The image package that a series or a release means.
fn find(apt: &Apt, spec: &str) -> Result<Candidate> {
    let wanted = spec.strip_prefix("linux-image-").unwrap_or(spec);
    ensure!(
        wanted.starts_with(|c: char| c.is_ascii_digit()),
        "`{spec}` is no kernel: write a series (6.12), a release (6.1.0-47) or a path with a `/`"
    );
    let mut images = list(apt)?;
    let known = images.clone();
    if is_series(wanted) {
        let (prefix, flavour) = (format!("{wanted}."), CLOUD);
        images.retain(|image| {
            let release = release_of(&image.package);
            release.starts_with(&prefix) && release.ends_with(flavour)
        });
    } else {
        let release = match wanted.ends_with("-amd64") {
            true => wanted.to_owned(),
            false => format!("{wanted}{CLOUD}"),
        };
        images.retain(|image| release_of(&image.package) == release);
    }
    match newest(apt, images)? {
        Some(image) => Ok(image),
        None => bail!(
            "no suite holds all of the kernel `{spec}`; {}",
            nearby(&known, wanted)
        ),
    }
}

/// The candidate with the highest version.
fn newest(apt: &Apt, candidates: Vec<Candidate>) -> Result<Option<Candidate>> {
    let mut best: Option<Candidate> = None;
    for candidate in candidates {
        let better = match &best {
            Some(best) => apt.newer(&candidate.version, &best.version)?,
            None => true,
        };
        if better {
            best = Some(candidate);
        }
    }
    Ok(best)
}

fn fetch(cache: &Cache, apt: &Apt, image: &Candidate) -> Result<Kernel> {
    let release = release_of(&image.package);
    // The version too: a suite may rebuild a release under the same name.
    let folder = format!("kernels/{release}_{}", image.version.replace(':', "%3a"));
    let tree = cache.folder(&folder, |dir| {
        let specs = parts(apt, &image.package, &image.version)?;
        let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
        let debs = apt.fetch_all(crate::apt::View::All, &specs)?;
        progress::step("Unpacking", release);
        Apt::unpack(&debs, dir)?;
        let modules = modules_in(dir, release)?;
        depmod(cache, apt, &modules, release)
    })?;
    let modules = modules_in(&tree, release)?;
    let places = [
        tree.join(format!("boot/vmlinuz-{release}")),
        modules.join("vmlinuz"),
    ];
    let vmlinuz = places
        .into_iter()
        .find(|file| file.is_file())
        .with_context(|| {
            format!(
                "the packages of {release} hold no vmlinuz that this knows, in {}",
                tree.display()
            )
        })?;
    let (release, version) = (release.to_owned(), Some(image.version.clone()));
    Ok(Kernel {
        release,
        version,
        vmlinuz,
        modules,
        tree,
    })
}

/// The packages that make up a kernel: the image's own, and, since it was
/// split, `linux-binary-*` and `linux-modules-*`. `linux-base-*`, with the
/// configuration and (since the split) the list of what is built in, comes along
/// if the suites still have it.
fn parts(apt: &Apt, package: &str, version: &str) -> Result<Vec<String>> {
    let release = release_of(package);
    let base = format!("linux-base-{release}");
    let names = ["linux-binary-", "linux-modules-"].map(|part| format!("{part}{release}"));
    let mut specs = vec![format!("{package}={version}")];
    for other in apt.depends(package, version)?.into_iter().flatten() {
        let wanted = names.contains(&other.package)
            || other.package == base
                && (apt.candidates(&base, |name| name == base)?.iter())
                    .any(|candidate| candidate.version == version);
        if wanted {
            specs.push(format!("{}={version}", other.package));
        }
    }
    Ok(specs)
}

/// The module folder of `release` below an unpacked root.
fn modules_in(root: &Path, release: &str) -> Result<PathBuf> {
    let places = MODULES.map(|folder| root.join(folder).join(release));
    let found = places.into_iter().find(|dir| dir.join("kernel").is_dir());
    found.with_context(|| format!("no modules of {release} below {}", root.display()))
}

/// Writes `modules.dep` and its kin into `modules`, whose name is `release`.
fn depmod(cache: &Cache, apt: &Apt, modules: &Path, release: &str) -> Result<()> {
    // depmod looks only at BASE/lib/modules/RELEASE.
    let scratch = cache.scratch("depmod")?;
    let base = scratch.path().join("lib/modules");
    fs::create_dir_all(&base)?;
    std::os::unix::fs::symlink(modules.canonicalize()?, base.join(release))?;
    let mut command = tools::IMAGE_TOOLS
        .unpack(cache, apt)?
        .command("depmod", "bin/kmod");
    let output = command
        .arg("-b")
        .arg(scratch.path())
        .arg(release)
        .output()
        .context("cannot run depmod")?;
    ensure!(
        output.status.success() && modules.join("modules.dep").exists(),
        "depmod failed for {release}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// `linux-image-RELEASE` without its prefix.
fn release_of(package: &str) -> &str {
    package.strip_prefix("linux-image-").unwrap_or(package)
}

/// Two numbers and nothing more.
fn is_series(text: &str) -> bool {
    let numbers: Vec<&str> = text.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    numbers.len() == 2 && numbers.iter().all(number)
}

/// A sort key in which 6.9 comes before 6.12.
fn natural(text: &str) -> Vec<(u64, String)> {
    let mut key = Vec::new();
    for part in text.split(['.', '-', '+']) {
        key.push((part.parse().unwrap_or(u64::MAX), part.to_owned()));
    }
    key
}

/// Says what there is instead of `wanted`.
fn nearby(images: &[Candidate], wanted: &str) -> String {
    let series: Vec<&str> = wanted.split(['.', '-', '+']).take(2).collect();
    let prefix = format!("{}.", series.join("."));
    let releases = |near: bool| -> Vec<&str> {
        let all = images.iter().map(|image| release_of(&image.package));
        let cloud = all.filter_map(|release| release.strip_suffix(CLOUD));
        cloud
            .filter(|release| !near || release.starts_with(&prefix))
            .collect()
    };
    match releases(true) {
        near if near.is_empty() => format!("there are: {}", releases(false).join(" ")),
        near => format!("of that series there are: {}", near.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_series_from_a_release() {
        assert!(is_series("6.1") && is_series("5.10"));
        assert!(!is_series("6.1.0") && !is_series("6.1-47") && !is_series("6."));
    }

    #[test]
    fn sorts_numbers_as_numbers() {
        assert!(natural("linux-image-6.9.1-amd64") < natural("linux-image-6.12.1-amd64"));
    }
}
