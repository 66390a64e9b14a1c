//! The initramfs that boots the first kernel from its disk.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use cpio::newc::{trailer, Builder};
use flate2::{write::GzEncoder, Compression};

use super::{busybox, modules, write_whole};
use crate::apt::Apt;
use crate::cache::Cache;
use crate::kernels::Kernel;

const INIT: &[u8] = include_bytes!("guest/init");
const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const PLAIN: u32 = 0o100_644;

/// What it takes to reach the root file system and the network on a
/// [`crate::vm`] machine, whatever the kernel has built in.
pub const BOOT_MODULES: [&str; 4] = ["virtio_pci", "virtio_blk", "virtio_net", "ext4"];

/// Writes a gzipped initramfs for `kernel` to `image`: busybox, the
/// modules `names` with all they depend on, and an init that loads them in order, mounts `root=`
/// (by default `/dev/vda`) and switches to it.
///
/// A module that the kernel has built in is left out; one that it does not
/// have at all is an error.
pub fn initramfs(
    cache: &Cache,
    apt: &Apt,
    kernel: &Kernel,
    names: &[&str],
    image: &Path,
) -> Result<()> {
    let order = modules::order(&kernel.modules, names)
        .with_context(|| format!("cannot make an initramfs for {}", kernel.release))?;
    let busybox = fs::read(busybox(cache, apt)?).context("cannot read busybox")?;
    let mut entries = vec![
        ("bin".to_owned(), DIRECTORY, Vec::new()),
        ("modules".to_owned(), DIRECTORY, Vec::new()),
        ("bin/busybox".to_owned(), PROGRAM, busybox),
        ("init".to_owned(), PROGRAM, INIT.to_vec()),
    ];
    let mut list = String::new();
    for load in &order {
        let file = format!("{}.ko", modules::name(&load.path));
        let data = modules::read(&kernel.modules.join(&load.path))?;
        entries.push((format!("modules/{file}"), PLAIN, data));
        let need = if load.required { "needed" } else { "wished" };
        list.push_str(&format!("{file} {need}\n"));
    }
    entries.push(("modules/order".to_owned(), PLAIN, list.into_bytes()));
    write_whole(image, |new| {
        let file = File::create(new).with_context(|| format!("cannot create {}", new.display()))?;
        write_archive(file, entries).with_context(|| format!("cannot write {}", new.display()))
    })
}

fn write_archive(file: File, entries: Vec<(String, u32, Vec<u8>)>) -> Result<()> {
    let mut archive = GzEncoder::new(file, Compression::fast());
    for (inode, (name, mode, data)) in (1..).zip(entries) {
        let size = u32::try_from(data.len()).with_context(|| format!("{name} is too large"))?;
        let entry = Builder::new(&name).ino(inode).mode(mode).nlink(1);
        let mut entry = entry.write(archive, size);
        entry.write_all(&data)?;
        archive = entry.finish()?;
    }
    trailer(archive)?.finish()?;
    Ok(())
}
