//! A kernel that is on disk already.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use super::{depmod, modules_in, Kernel, MODULES};
use crate::apt::Apt;
use crate::cache::Cache;

/// Resolves a bzImage, or a folder with one.
///
/// A folder has `lib/modules/RELEASE` (or `usr/lib/modules/RELEASE`) and the
/// bzImage as `boot/vmlinuz-RELEASE`, `lib/modules/RELEASE/vmlinuz` or
/// `vmlinuz`. For a file the modules are looked for beside it, above it and in
/// the host's root.
pub(super) fn resolve(cache: &Cache, apt: &Apt, path: &Path) -> Result<Kernel> {
    let path = path
        .canonicalize()
        .with_context(|| format!("there is no kernel at {}", path.display()))?;
    let (vmlinuz, release, tree) = match path.is_dir() {
        true => in_folder(&path)?,
        false => {
            let release = release_in(&path)?;
            let tree = path
                .ancestors()
                .skip(1)
                .find(|dir| modules_in(dir, &release).is_ok());
            let tree = tree.with_context(|| {
                format!(
                    "no folder above {} has lib/modules/{release}",
                    path.display()
                )
            })?;
            (path.clone(), release, tree.to_owned())
        }
    };
    let modules = modules_in(&tree, &release)?;
    if !modules.join("modules.dep").exists() {
        depmod(cache, apt, &modules, &release)?;
    }
    Ok(Kernel {
        release,
        version: None,
        vmlinuz,
        modules,
        tree,
    })
}

fn in_folder(tree: &Path) -> Result<(PathBuf, String, PathBuf)> {
    let mut releases = Vec::new();
    for entry in MODULES
        .iter()
        .filter_map(|folder| fs::read_dir(tree.join(folder)).ok())
        .flatten()
    {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !releases.contains(&name) {
            releases.push(name);
        }
    }
    ensure!(
        releases.len() == 1,
        "{} must have the modules of one release in lib/modules; found: {}",
        tree.display(),
        releases.join(" ")
    );
    let release = releases.remove(0);
    let modules = modules_in(tree, &release)?;
    let places = [
        tree.join(format!("boot/vmlinuz-{release}")),
        modules.join("vmlinuz"),
        tree.join("vmlinuz"),
    ];
    let vmlinuz = places.iter().find(|file| file.is_file());
    let vmlinuz = vmlinuz.with_context(|| {
        format!(
            "no vmlinuz below {}: not in boot, the module folder or itself",
            tree.display()
        )
    })?;
    let inside = release_in(vmlinuz)?;
    ensure!(
        inside == release,
        "{} is of release {inside}, but the modules are of {release}",
        vmlinuz.display()
    );
    Ok((vmlinuz.clone(), release, tree.to_owned()))
}

/// The release a bzImage says it is: the first word of the string that its
/// setup header points to (the x86 boot protocol's `kernel_version`).
fn release_in(vmlinuz: &Path) -> Result<String> {
    let image = fs::read(vmlinuz).with_context(|| format!("cannot read {}", vmlinuz.display()))?;
    parse_release(&image)
        .with_context(|| format!("{} is not a bzImage with a version", vmlinuz.display()))
}

fn parse_release(image: &[u8]) -> Option<String> {
    const MAGIC: usize = 0x202;
    const KERNEL_VERSION: usize = 0x20e;
    if image.get(MAGIC..MAGIC + 4)? != b"HdrS" {
        return None;
    }
    let pointer = image.get(KERNEL_VERSION..KERNEL_VERSION + 2)?;
    let start = usize::from(u16::from_le_bytes(pointer.try_into().ok()?)) + 0x200;
    let text = image
        .get(start..)?
        .split(|byte| *byte == 0 || *byte == b' ')
        .next()?;
    let text = std::str::from_utf8(text).ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_release_of_a_bzimage() {
        let mut image = vec![0; 0x400];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x30c].copy_from_slice(b"6.1.0-x (me@");
        assert_eq!(parse_release(&image).as_deref(), Some("6.1.0-x"));
        assert_eq!(parse_release(&image[..0x204]), None);
    }
}
