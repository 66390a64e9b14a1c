//! `/proc/PID/mountinfo`.

use anyhow::{anyhow, Context, Result};
use serde::{Deserialize, Serialize};

use super::identity::Backing;

/// What a mounted file system is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A block device.
    Device(Backing),
    /// Memory, with files in it that somebody put there (tmpfs, ramfs).
    Memory,
    /// The kernel: procfs, sysfs, cgroup and the like.
    Kernel,
    /// Anything else, by kind: a network, a process, other mounts.
    Unsupported(String),
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Number of the mount.
    pub id: u32,
    /// Number of the mount that it is on.
    pub parent: u32,
    /// Device number of the file system (`s_dev`).
    pub device: (u32, u32),
    /// Directory of the file system that is the root of the mount; not `/` for bind mounts.
    pub root: String,
    /// Where it is mounted.
    pub mount_point: String,
    /// Options of the mount.
    pub options: String,
    /// It propagates to its peers.
    pub shared: bool,
    /// Type of the file system.
    pub fs_type: String,
    /// Source as it was mounted: a device's path, or any text.
    pub source: String,
    /// Options of the file system.
    pub super_options: String,
    /// What it is made of.
    pub backing: Source,
}

/// Splits the file into mounts; the classification is the caller's.
///
/// # Errors
/// A line that is not as `proc_pid_mountinfo(5)` says.
pub fn parse(text: &str, classify: impl Fn(&Mount) -> Source) -> Result<Vec<Mount>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let mut mount = parse_line(line).with_context(|| format!("mountinfo line {line:?}"))?;
            mount.backing = classify(&mount);
            Ok(mount)
        })
        .collect()
}

fn parse_line(line: &str) -> Result<Mount> {
    let (front, back) = line
        .split_once(" - ")
        .ok_or_else(|| anyhow!("no separator"))?;
    let mut front = front.split(' ');
    let mut next = || front.next().ok_or_else(|| anyhow!("too few fields"));
    let (id, parent, device) = (next()?.parse()?, next()?.parse()?, next()?);
    let (major, minor) = device
        .split_once(':')
        .ok_or_else(|| anyhow!("no device number"))?;
    let (root, mount_point, options) = (next()?, next()?, next()?);
    let shared = front.any(|field| field.starts_with("shared:"));
    let mut back = back.splitn(3, ' ');
    let mut next = || back.next().ok_or_else(|| anyhow!("too few fields"));
    Ok(Mount {
        id,
        parent,
        device: (major.parse()?, minor.parse()?),
        root: unescape(root),
        mount_point: unescape(mount_point),
        options: options.to_owned(),
        shared,
        fs_type: unescape(next()?),
        source: unescape(next()?),
        super_options: unescape(next().unwrap_or_default()),
        backing: Source::Kernel,
    })
}

/// Undoes the kernel's `\ooo`, which stands for space, tab, newline, backslash and `#`.
pub(super) fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| *first == b'\\');
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            out.push(byte);
            rest = tail.get(3..).unwrap_or_default();
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
