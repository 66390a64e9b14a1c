//! The initramfs of the 2nd OS.
//!
//! # Purpose
//! [`build`] makes the archive that the 2nd OS boots from: the agent as `/init`, the modules it is
//! to load with a list of them in the order of loading, mount points, and the device nodes that a
//! kernel opens before anything is mounted. Source:
//! `Documentation/driver-api/early-userspace/buffer-format.rst`.
//!
//! # Invariants
//! * [`MODULE_LIST`] names every module by its path in the archive, one a line, in the order of
//!   loading; the kernel's `baton.ko` is the last.
//! * An operator's own archive comes first, unchanged, and ours behind it at a multiple of four,
//!   where the kernel expects the next one. What is in both is ours. Modules lie in
//!   [`MODULE_DIR`], and no directory entry is written for names that are symbolic links in
//!   merged-`/usr` systems, for such an entry would replace the link.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::{bail, ensure, Context, Result};
use cpio::newc::{trailer, Builder, ModeFileType};

/// Path of the list of modules, in the 2nd OS.
pub const MODULE_LIST: &str = "/etc/baton/modules";
/// Directory of the modules, in the 2nd OS.
pub const MODULE_DIR: &str = "/baton/modules";

/// Directories that the agent mounts something on or needs.
const DIRECTORIES: &[&str] = &["dev", "proc", "sys", "run", "root", "tmp"];
/// Names that are symbolic links where `/usr` is merged.
const MAYBE_LINKS: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// Path, major and minor of the device nodes.
const NODES: &[(&str, u32, u32)] = &[("dev/console", 5, 1), ("dev/null", 1, 3)];

/// A module for the 2nd OS.
#[derive(Clone, Debug)]
pub struct Module {
    /// File name without directory or compression suffix (`virtio_blk.ko`).
    pub file_name: String,
    /// The ELF object.
    pub bytes: Vec<u8>,
}

/// A file that is to be there besides.
#[derive(Clone, Debug)]
pub struct ExtraFile {
    /// Absolute path in the 2nd OS.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub bytes: Vec<u8>,
}

/// What goes into the archive.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    /// The executable that is `/init`.
    pub agent: &'a [u8],
    /// Modules in the order of loading, without `baton.ko`.
    pub modules: &'a [Module],
    /// `baton.ko` for the kernel of the 2nd OS.
    pub baton_ko: &'a [u8],
    /// Further files.
    pub extra: &'a [ExtraFile],
    /// The operator's own archive, compressed or not.
    pub operators: Option<&'a [u8]>,
    /// Whether to compress ours (gzip, fast); costs time at boot and saves memory.
    pub gzip: bool,
}

/// Builds the archive.
///
/// # Errors
/// A path that is not absolute and plain, two files of one path, or a file above 4 GiB.
pub fn build(contents: &Contents<'_>) -> Result<Vec<u8>> {
    let ours = archive(contents)?;
    let mut out = Vec::new();
    if let Some(operators) = contents.operators {
        out.extend_from_slice(operators);
        while out.len() % 4 != 0 {
            out.push(0);
        }
    }
    if contents.gzip {
        let level = flate2::Compression::fast();
        let mut encoder = flate2::write::GzEncoder::new(out, level);
        encoder
            .write_all(&ours)
            .context("cannot compress the initramfs")?;
        out = encoder.finish().context("cannot compress the initramfs")?;
    } else {
        out.extend_from_slice(&ours);
    }
    Ok(out)
}

/// Our own archive, uncompressed.
fn archive(contents: &Contents<'_>) -> Result<Vec<u8>> {
    let mut archive = Archive {
        out: Vec::new(),
        paths: BTreeSet::new(),
        skip_links: contents.operators.is_some(),
    };
    for path in DIRECTORIES {
        archive.directory(path)?;
    }
    for (path, major, minor) in NODES {
        archive.node(path, *major, *minor)?;
    }
    archive.file("/init", 0o755, contents.agent)?;
    let mut list = String::new();
    let baton = [("baton.ko", contents.baton_ko)];
    let modules = contents
        .modules
        .iter()
        .map(|m| (m.file_name.as_str(), m.bytes.as_slice()));
    for (name, bytes) in modules.chain(baton) {
        ensure!(
            !name.contains('/'),
            "{name} is a path; a module in the initramfs has a file name only"
        );
        let path = format!("{MODULE_DIR}/{name}");
        archive.file(&path, 0o644, bytes)?;
        list.push_str(&path);
        list.push('\n');
    }
    archive.file(MODULE_LIST, 0o644, list.as_bytes())?;
    for file in contents.extra {
        archive.file(&file.path, file.mode, &file.bytes)?;
    }
    trailer(archive.out).context("cannot finish the initramfs")
}

/// A newc archive that is being written.
struct Archive {
    out: Vec<u8>,
    /// What it holds, relative to the root.
    paths: BTreeSet<String>,
    /// Whether to write no entry for [`MAYBE_LINKS`].
    skip_links: bool,
}

impl Archive {
    /// Writes the file `path` and the directories it is in.
    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        let relative = plain(path)?;
        let parents = relative
            .match_indices('/')
            .filter_map(|(at, _)| relative.get(..at));
        for parent in parents {
            if !self.paths.contains(parent) {
                self.directory(parent)?;
            }
        }
        let entry = Builder::new(relative)
            .mode(mode & 0o7777)
            .set_mode_file_type(ModeFileType::Regular);
        self.entry(relative, entry, bytes)
    }

    fn directory(&mut self, path: &str) -> Result<()> {
        if self.skip_links && MAYBE_LINKS.contains(&path) {
            return Ok(());
        }
        let entry = Builder::new(path)
            .mode(0o755)
            .nlink(2)
            .set_mode_file_type(ModeFileType::Directory);
        self.entry(path, entry, &[])
    }

    fn node(&mut self, path: &str, major: u32, minor: u32) -> Result<()> {
        let entry = Builder::new(path)
            .mode(0o600)
            .rdev_major(major)
            .rdev_minor(minor)
            .set_mode_file_type(ModeFileType::Char);
        self.entry(path, entry, &[])
    }

    fn entry(&mut self, path: &str, entry: Builder, bytes: &[u8]) -> Result<()> {
        if !self.paths.insert(path.to_owned()) {
            bail!("/{path} is twice in the initramfs; leave one out");
        }
        let size = u32::try_from(bytes.len())
            .with_context(|| format!("/{path} is too large for an initramfs"))?;
        let number = u32::try_from(self.paths.len())?;
        let mut writer = entry.ino(number).write(std::mem::take(&mut self.out), size);
        writer.write_all(bytes)?;
        self.out = writer.finish()?;
        Ok(())
    }
}

/// An absolute path without its first slash, if it is a plain one.
fn plain(path: &str) -> Result<&str> {
    let relative = path.strip_prefix('/').unwrap_or_default();
    let bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
    ensure!(
        !relative.split('/').any(bad),
        "\"{path}\" cannot be a path in the initramfs; give an absolute path without \".\" or \"..\""
    );
    Ok(relative)
}

#[cfg(test)]
mod tests;
