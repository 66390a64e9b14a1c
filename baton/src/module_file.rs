//! `baton.ko`: found in a kernel's module tree, and loaded.

use crate::device;
use crate::modules;
use anyhow::{bail, Context, Result};
use std::ffi::CStr;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

/// Where in a module tree third-party modules are put, in the order `depmod` prefers them.
const PLACES: &[&str] = &[
    "updates/dkms",
    "updates",
    "extra",
    "kernel/drivers/baton",
    ".",
];

/// `baton.ko` in the module tree `root`.
#[must_use]
pub fn find(root: &Path) -> Option<PathBuf> {
    let names = ["baton.ko", "baton.ko.xz", "baton.ko.zst", "baton.ko.gz"];
    PLACES
        .iter()
        .flat_map(|place| names.iter().map(move |name| root.join(place).join(name)))
        .find(|path| path.is_file())
}

/// Loads this kernel's `baton.ko` if it is not loaded.
///
/// # Errors
/// There is none, or the kernel refuses it.
pub fn ensure_loaded() -> Result<()> {
    if Path::new(device::PATH).exists() {
        return Ok(());
    }
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let root = Path::new("/lib/modules").join(&release);
    let Some(path) = find(&root) else {
        bail!(
            "there is no baton.ko in {}; install it for the running kernel first",
            root.display()
        );
    };
    match load(&modules::read(&path)?, c"") {
        // Another command was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        result => result.with_context(|| format!("loading {}", path.display())),
    }
}

/// Loads a module from its bytes, which are not compressed.
///
/// # Errors
/// The kernel's error.
pub fn load(bytes: &[u8], parameters: &CStr) -> Result<(), std::io::Error> {
    let fd = rustix::fs::memfd_create("module", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes)?;
    file.rewind()?;
    rustix::system::finit_module(&file, parameters, 0)?;
    Ok(())
}
