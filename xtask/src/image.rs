//! What a virtual machine boots from: a root file system and an initramfs.
//!
//! The root file system is small but behaves as a distribution's does: merged
//! `/usr`, an init that is restarted by nobody, boot scripts that find work
//! already done and leave it so. That matters because the second kernel runs
//! the same scripts over mounts and addresses that the takeover gave it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt::{Apt, View};
use crate::cache::Cache;

mod initramfs;
pub mod modules;
mod rootfs;

pub use initramfs::{initramfs, BOOT_MODULES};
pub use rootfs::{mke2fs, Rootfs, UP};

/// A static busybox from Debian; it also runs on the host.
fn busybox(cache: &Cache, apt: &Apt) -> Result<PathBuf> {
    let root = cache.folder("tools/busybox", |dir| {
        Apt::unpack(&apt.fetch_all(View::Bookworm, &["busybox-static"])?, dir)
    })?;
    let places = ["bin/busybox", "usr/bin/busybox"].map(|place| root.join(place));
    let found = places.into_iter().find(|file| file.is_file());
    found.with_context(|| format!("busybox-static holds no busybox, in {}", root.display()))
}

/// Writes `path` through `write`, whole or not at all.
fn write_whole(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    write(&new)?;
    fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
}
