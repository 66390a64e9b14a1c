//! Makes planned mounts.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_change,
    mount_remount, move_mount, open_tree, unmount, FsMountFlags, FsOpenFlags, MountAttrFlags,
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use super::identity::{find_block_device, Backing};
use super::mountinfo::{Mount, Source};
use super::options::{mount_flags, super_options, SuperOption};
use super::plan::{Class, PlannedMount};
use super::Roots;

/// What became of one planned mount.
#[derive(Debug)]
pub struct MountOutcome {
    /// Where it was to be mounted, without the new root.
    pub mount_point: String,
    /// Whether it is mounted; why not, in words.
    pub result: Result<()>,
    /// Options that this kernel's file system did not take, and what it said; it is mounted
    /// without them.
    pub refused_options: Vec<String>,
}

/// A file system that is mounted aside, to be shown from there at its mount points.
struct Staged {
    tree: OwnedFd,
}

/// Makes mounts under a new root, in the order of the plan. The caller passes those that it
/// chose.
///
/// Each file system is mounted once, at `staging`, an existing directory outside of the new root
/// and on a mount that is not shared; each mount of the plan then shows the directory of it that
/// it showed. In the end nothing is left at `staging`.
pub fn perform(
    plan: &[PlannedMount],
    new_root: &Path,
    staging: &Path,
    roots: &Roots,
) -> Vec<MountOutcome> {
    // By device number: mounts of one number show one file system. A file system that could not
    // be mounted is not tried again.
    let mut staged: BTreeMap<(u32, u32), Option<Staged>> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for planned in plan {
        let mount = &planned.mount;
        let mut refused = Vec::new();
        let mut attempt = || -> Result<()> {
            if let Class::Unsupported(reason) = &planned.class {
                bail!("not mounted: {reason}");
            }
            let known = staged.contains_key(&mount.device);
            if !known {
                // Stays "failed" unless it succeeds.
                staged.insert(mount.device, None);
                let made = stage(mount, staging, roots, &mut refused)?;
                staged.insert(mount.device, Some(made));
            }
            match staged.get(&mount.device) {
                Some(Some(source)) => show(source, mount, new_root),
                _ => bail!("its file system could not be mounted"),
            }
        };
        let result = attempt()
            .with_context(|| format!("mounting {} on {}", mount.source, mount.mount_point));
        outcomes.push(MountOutcome {
            mount_point: mount.mount_point.clone(),
            result,
            refused_options: refused,
        });
    }
    for _ in staged.values().flatten() {
        // What is shown elsewhere stays.
        let _ = unmount(staging, UnmountFlags::DETACH);
    }
    outcomes
}

/// Makes those mounts shared that were. To be done once the new root is the root: a mount cannot
/// be moved out of a shared one.
///
/// # Errors
/// The first mount that could not be changed.
pub fn share(plan: &[PlannedMount], root: &Path) -> Result<()> {
    for planned in plan.iter().filter(|planned| planned.mount.shared) {
        let target = below(root, &planned.mount.mount_point);
        mount_change(&target, MountPropagationFlags::SHARED)
            .with_context(|| format!("making {} shared", target.display()))?;
    }
    Ok(())
}

/// Mounts a file system at the staging directory.
fn stage(
    mount: &Mount,
    staging: &Path,
    roots: &Roots,
    refused: &mut Vec<String>,
) -> Result<Staged> {
    let source = match &mount.backing {
        Source::Device(Backing::Disk(identity)) => {
            let device = find_block_device(&roots.sys, identity)
                .with_context(|| format!("there is no disk at {identity}"))?;
            roots.dev.join(device.name)
        }
        _ => PathBuf::from(&mount.source),
    };
    let options = if mount.fs_type == "devtmpfs" {
        // There is one for all, and it is this kernel's own.
        Vec::new()
    } else {
        super_options(&mount.fs_type, &mount.super_options)
    };
    let context = superblock(&mount.fs_type, &source, options, refused)?;
    let tree = fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
    .context("making a mount of the file system")?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree.as_fd(), "", CWD, staging, flags)
        .with_context(|| format!("mounting it at {}", staging.display()))?;
    Ok(Staged { tree })
}

/// Opens a file system. Options that it refuses are left out, and named.
fn superblock(
    fs_type: &str,
    source: &Path,
    mut options: Vec<SuperOption>,
    refused: &mut Vec<String>,
) -> Result<OwnedFd> {
    let first = match attempt(fs_type, source, &mut options, refused) {
        Ok(context) => return Ok(context),
        Err(failure) if failure.errno == Errno::INVAL && !options.is_empty() => failure,
        Err(failure) => return Err(failure.into_error()),
    };
    // File systems of the older kind do not say which option it was: leave out each in turn,
    // and then all.
    for skip in 0..options.len() {
        let mut fewer = options.clone();
        let left_out = fewer.remove(skip);
        if let Ok(context) = attempt(fs_type, source, &mut fewer, refused) {
            refused.push(format!("{}: {}", left_out.text(), first.text));
            return Ok(context);
        }
    }
    // Only what all file systems know.
    let (mut common, rest): (Vec<_>, Vec<_>) = options
        .into_iter()
        .partition(|option| ["ro", "sync", "dirsync", "lazytime"].contains(&option.key.as_str()));
    match attempt(fs_type, source, &mut common, refused) {
        Ok(context) => {
            let texts = rest.iter().map(SuperOption::text);
            refused.extend(texts.map(|option| format!("{option}: {}", first.text)));
            Ok(context)
        }
        Err(_) => Err(first.into_error()),
    }
}

/// Why a file system did not open.
struct Failure {
    errno: Errno,
    text: String,
}

impl Failure {
    fn into_error(self) -> anyhow::Error {
        anyhow::Error::new(self.errno).context(self.text)
    }
}

/// One attempt. Options that are refused by name leave the list.
fn attempt(
    fs_type: &str,
    source: &Path,
    options: &mut Vec<SuperOption>,
    refused: &mut Vec<String>,
) -> std::result::Result<OwnedFd, Failure> {
    let failure = |errno: Errno, what: &str| Failure {
        errno,
        text: format!("{what}: {errno}"),
    };
    let context = fsopen(fs_type, FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(|errno| failure(errno, &format!("this kernel has no file system {fs_type}")))?;
    fsconfig_set_string(context.as_fd(), "source", source)
        .map_err(|errno| failure(errno, "naming the source"))?;
    options.retain(|option| {
        let result = match &option.value {
            Some(value) => {
                fsconfig_set_string(context.as_fd(), option.key.as_str(), value.as_str())
            }
            None => fsconfig_set_flag(context.as_fd(), option.key.as_str()),
        };
        let words = messages(&context);
        if let Err(errno) = result {
            refused.push(format!("{}: {errno} {words}", option.text()));
        }
        result.is_ok()
    });
    match fsconfig_create(context.as_fd()) {
        Ok(()) => Ok(context),
        Err(errno) => {
            let words = messages(&context);
            Err(failure(errno, &format!("opening the file system {words}")))
        }
    }
}

/// What the file system has to say, since the last time.
fn messages(context: &OwnedFd) -> String {
    let mut all = Vec::new();
    let mut buffer = [0_u8; 512];
    // The kernel keeps eight messages.
    for _ in 0..8 {
        let Ok(length) = rustix::io::read(context, &mut buffer) else {
            break;
        };
        let text = buffer.get(..length).unwrap_or_default();
        all.push(String::from_utf8_lossy(text).trim().to_owned());
    }
    all.join("; ")
}

/// Shows a directory of a staged file system at its mount point.
fn show(source: &Staged, mount: &Mount, new_root: &Path) -> Result<()> {
    let inside = mount.root.trim_start_matches('/');
    let inside = if inside.is_empty() { "." } else { inside };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(source.tree.as_fd(), inside, flags)
        .with_context(|| format!("there is no {} in the file system", mount.root))?;
    let target = below(new_root, &mount.mount_point);
    if fs::symlink_metadata(&target).is_err() {
        // It was in a file system in memory, which is empty now.
        let stat = rustix::fs::fstat(&tree).context("looking at what is to be mounted")?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
            fs::create_dir_all(&target)?;
        } else {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&target, b"")?;
        }
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree.as_fd(), "", CWD, &target, flags)
        .with_context(|| format!("attaching it at {}", target.display()))?;
    let flags = mount_flags(&mount.options) | MountFlags::BIND;
    mount_remount(&target, flags, "")
        .with_context(|| format!("setting its options {}", mount.options))
}

/// A path of the old root under the new one.
fn below(root: &Path, path: &str) -> PathBuf {
    match path.trim_start_matches('/') {
        "" => root.to_path_buf(),
        rest => root.join(rest),
    }
}
