//! The root file system: busybox, boot scripts, and what the caller adds.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{symlink, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};

use super::{busybox, write_whole};
use crate::apt::Apt;
use crate::cache::Cache;
use crate::tools;

/// What the boot script writes to the kernel log when it is done, followed by
/// the kernel's release.
pub const UP: &str = "baton: userland up on ";

/// Files every image has: path, mode, content.
const BASE: [(&str, u32, &str); 9] = [
    ("etc/inittab", 0o644, include_str!("guest/inittab")),
    ("etc/init.d/rcS", 0o755, include_str!("guest/rcS")),
    ("etc/init.d/console", 0o755, include_str!("guest/console")),
    ("etc/network/address", 0o644, include_str!("guest/address")),
    (
        "etc/passwd",
        0o644,
        "root::0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    ),
    (
        "etc/group",
        0o644,
        "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    ),
    ("etc/hostname", 0o644, "baton\n"),
    ("etc/hosts", 0o644, "127.0.0.1 localhost\n127.0.1.1 baton\n"),
    ("etc/fstab", 0o644, "LABEL=baton / ext4 defaults 0 1\n"),
];
const FOLDERS: [&str; 12] = [
    "usr/bin", "usr/sbin", "usr/lib", "dev", "proc", "sys", "run", "root", "var/log", "boot",
    "home", "mnt",
];

/// A root file system in the making. Later additions replace earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Rootfs {
    entries: Vec<(PathBuf, Source)>,
}

#[derive(Clone, Debug)]
enum Source {
    File(PathBuf, u32),
    Text(String, u32),
    Tree(PathBuf),
}

impl Rootfs {
    /// The base system only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file of the host at the absolute guest path `guest`.
    pub fn file(mut self, host: impl Into<PathBuf>, guest: impl Into<PathBuf>, mode: u32) -> Self {
        self.entries
            .push((guest.into(), Source::File(host.into(), mode)));
        self
    }

    /// Adds a file with the given content.
    pub fn text(mut self, guest: impl Into<PathBuf>, text: impl Into<String>, mode: u32) -> Self {
        self.entries
            .push((guest.into(), Source::Text(text.into(), mode)));
        self
    }

    /// Adds a folder of the host with all that is in it; links stay links.
    pub fn tree(mut self, host: impl Into<PathBuf>, guest: impl Into<PathBuf>) -> Self {
        self.entries.push((guest.into(), Source::Tree(host.into())));
        self
    }

    /// Makes the ext4 image `image`, `mib` large (sparse). An existing one is
    /// replaced.
    pub fn build(&self, cache: &Cache, apt: &Apt, mib: u64, image: &Path) -> Result<()> {
        let stage = cache.scratch("rootfs")?;
        let root = stage.path();
        self.stage(cache, apt, root).with_context(|| {
            format!("cannot lay out the root file system in {}", root.display())
        })?;
        write_whole(image, |new| make_ext4(cache, apt, root, mib, new))
    }

    fn stage(&self, cache: &Cache, apt: &Apt, root: &Path) -> Result<()> {
        fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
        for folder in FOLDERS {
            fs::create_dir_all(root.join(folder))?;
        }
        fs::create_dir(root.join("tmp"))?;
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        for (link, target) in [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib")] {
            symlink(target, root.join(link))?;
        }
        let busybox = busybox(cache, apt)?;
        copy(&busybox, &root.join("usr/bin/busybox"), 0o755)?;
        let listing = Command::new(&busybox).arg("--list-full").output()?;
        ensure!(
            listing.status.success(),
            "{} does not run",
            busybox.display()
        );
        for applet in String::from_utf8_lossy(&listing.stdout).lines() {
            let link = place(root, Path::new(applet))?;
            if fs::symlink_metadata(&link).is_err() {
                symlink("/usr/bin/busybox", &link)?;
            }
        }
        for (path, mode, text) in BASE {
            write(text, &place(root, Path::new(path))?, mode)?;
        }
        for (guest, source) in &self.entries {
            let target = place(root, guest)?;
            match source {
                Source::File(host, mode) => copy(host, &target, *mode)?,
                Source::Text(text, mode) => write(text, &target, *mode)?,
                Source::Tree(host) => copy_tree(host, &target)?,
            }
        }
        Ok(())
    }
}

/// Where a guest path is below `root`; creates the folders above it.
fn place(root: &Path, guest: &Path) -> Result<PathBuf> {
    let mut path = root.to_owned();
    for part in guest.components() {
        match part {
            Component::RootDir => {}
            Component::Normal(name) => path.push(name),
            _ => bail!("{} is no plain path", guest.display()),
        }
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
        // A link to an absolute path would lead out of the image, to the host.
        let inside = parent.canonicalize()?.starts_with(root.canonicalize()?);
        ensure!(inside, "{} leads out of the image", guest.display());
    }
    Ok(path)
}

/// Removes what a new file replaces, so that nothing is written through a link.
fn clear(target: &Path) -> Result<()> {
    match fs::remove_file(target) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot replace {}", target.display()))
        }
        _ => Ok(()),
    }
}

fn write(text: &str, target: &Path, mode: u32) -> Result<()> {
    clear(target)?;
    fs::write(target, text)?;
    Ok(fs::set_permissions(
        target,
        fs::Permissions::from_mode(mode),
    )?)
}

fn copy(host: &Path, target: &Path, mode: u32) -> Result<()> {
    clear(target)?;
    fs::copy(host, target).with_context(|| format!("cannot copy {}", host.display()))?;
    Ok(fs::set_permissions(
        target,
        fs::Permissions::from_mode(mode),
    )?)
}

/// Copies a folder with attributes and links, sharing blocks where it can.
fn copy_tree(host: &Path, target: &Path) -> Result<()> {
    fs::create_dir_all(target)?;
    let status = Command::new("cp")
        .args(["-a", "--reflink=auto", "-T"])
        .args([host, target])
        .status()
        .context("cannot run cp")?;
    ensure!(
        status.success(),
        "cannot copy {} to {}",
        host.display(),
        target.display()
    );
    Ok(())
}

/// `mke2fs` for a machine's disk: features that 5.10 knows, no initialisation left to a kernel
/// thread. `extended` are more options of its `-E`, each after a comma.
pub fn mke2fs(tools: &tools::Root, extended: &str) -> Command {
    let mut command = tools.command("mke2fs", "sbin/mke2fs");
    command
        .env("MKE2FS_CONFIG", tools.path().join("etc/mke2fs.conf"))
        .args(["-q", "-F", "-t", "ext4"])
        .args(["-O", "^orphan_file,^metadata_csum_seed", "-E"])
        .arg(format!("lazy_itable_init=0,lazy_journal_init=0{extended}"));
    command
}

fn make_ext4(cache: &Cache, apt: &Apt, root: &Path, mib: u64, image: &Path) -> Result<()> {
    let tools = tools::IMAGE_TOOLS.unpack(cache, apt)?;
    let output = as_root(mke2fs(&tools, ",root_owner=0:0"), root)?
        .args(["-L", "baton", "-d"])
        .args([root, image])
        .arg(format!("{mib}M"))
        .output()
        .context("cannot run mke2fs")?;
    ensure!(
        output.status.success(),
        "mke2fs cannot make {} of {mib} MiB: {}",
        image.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Lets `command` see the files below `root`, which are ours, as root's: they
/// are to belong to the guest's root. Needs a user namespace if we are not it.
fn as_root(command: Command, root: &Path) -> Result<Command> {
    if fs::metadata(root)?.uid() == 0 {
        return Ok(command);
    }
    let mut wrapped = Command::new("unshare");
    wrapped
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .arg("--map-root-user")
        .arg(command.get_program())
        .args(command.get_args());
    Ok(wrapped)
}
