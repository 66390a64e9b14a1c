//! What the running system is, apart from its network: names, mounts, swap, devices.
//!
//! # Story
//! On the 1st OS, [`SystemSnapshot::take`] reads the mounts of PID 1 and what is behind them, and
//! crosses to the 2nd OS as bytes. There [`block_device_wait`] waits for each disk,
//! [`mount_plan`] puts the mounts in the order in which they can be made again, [`perform`] makes
//! those that the caller chooses under a new root, and [`SystemSnapshot::restore_names`] gives the
//! machine its name.
//!
//! # Invariants
//! * A disk is known by its place in the machine ([`identity`]), never by its name or number.
//! * What cannot be found again or mounted is named in words.
//! * No option of a file system is left out without a word.
//!
//! # Not for
//! Contents: what is in files and in the file cache is the migrator's concern, what is in tmpfs
//! nobody's in here.

pub mod identity;
pub mod mountinfo;
pub mod options;
mod perform;
mod plan;
mod wait;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

pub use crate::network::Roots;
pub use identity::{backing_of, find_block_device, Backing, BlockDevice, DeviceIdentity};
pub use mountinfo::{Mount, Source};
pub use perform::{perform, share, MountOutcome};
pub use plan::{mount_plan, Class, PlannedMount};
pub use wait::block_device_wait;

/// Most bytes that a snapshot may have: the size of its section of the handoff region, less its
/// header and a reserve.
pub const MAX_BYTES: usize = 120 * 1024;

/// File systems that the kernel fills by itself.
const KERNEL_TYPES: &[&str] = &[
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
    "nfsd",
];

/// Swap space in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// Path of the device or file.
    pub path: String,
    /// Priority.
    pub priority: i32,
    /// What is behind it, for a device.
    pub backing: Option<Backing>,
}

/// The system as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemSnapshot {
    /// Host name.
    pub hostname: String,
    /// NIS domain name.
    pub domainname: String,
    /// Release of the kernel.
    pub kernel_release: String,
    /// Machine id, if there is one.
    pub machine_id: Option<String>,
    /// Kernel's consoles.
    pub consoles: Vec<String>,
    /// Mounts of PID 1's namespace.
    pub mounts: Vec<Mount>,
    /// Swap in use.
    pub swaps: Vec<Swap>,
}

impl SystemSnapshot {
    /// Reads the running system.
    ///
    /// # Errors
    /// procfs or sysfs cannot be read or understood.
    pub fn take() -> Result<Self> {
        Self::take_from(&Roots::default())
    }

    /// [`Self::take`] with other mount points of procfs, sysfs and devtmpfs.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_from(roots: &Roots) -> Result<Self> {
        let kernel = roots.proc.join("sys/kernel");
        let mountinfo = read(&roots.proc.join("1/mountinfo"))?;
        let swaps = fs::read_to_string(roots.proc.join("swaps")).unwrap_or_default();
        let consoles = fs::read_to_string(roots.sys.join("class/tty/console/active"));
        let machine_id = fs::read_to_string("/etc/machine-id").ok();
        Ok(Self {
            hostname: read(&kernel.join("hostname"))?,
            domainname: read(&kernel.join("domainname"))?,
            kernel_release: read(&kernel.join("osrelease"))?,
            machine_id: machine_id.map(|id| id.trim().to_owned()),
            consoles: consoles
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            mounts: mountinfo::parse(&mountinfo, |mount| classify(mount, roots))?,
            swaps: swaps
                .lines()
                .skip(1)
                .filter_map(|line| swap(line, roots))
                .collect(),
        })
    }

    /// The mount that is the root of the file tree: of those on `/`, the one on top.
    #[must_use]
    pub fn root(&self) -> Option<&Mount> {
        let on_root = |mount: &&Mount| mount.mount_point == "/";
        let covered = |mount: &Mount| {
            let mut others = self.mounts.iter().filter(on_root);
            others.any(|other| other.parent == mount.id && other.id != mount.id)
        };
        let mut all = self.mounts.iter().filter(on_root);
        all.find(|mount| !covered(mount))
    }

    /// Every disk that a mount is on, once.
    #[must_use]
    pub fn disks(&self) -> Vec<&DeviceIdentity> {
        let mut all: Vec<&DeviceIdentity> = self
            .mounts
            .iter()
            .filter_map(|mount| match &mount.backing {
                Source::Device(Backing::Disk(identity)) => Some(identity),
                _ => None,
            })
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Gives this kernel the host's and the domain's name.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn restore_names(&self, roots: &Roots) -> Result<()> {
        let kernel = roots.proc.join("sys/kernel");
        for (file, name) in [
            ("hostname", &self.hostname),
            ("domainname", &self.domainname),
        ] {
            let path = kernel.join(file);
            fs::write(&path, name).with_context(|| format!("writing {name} to {path:?}"))?;
        }
        Ok(())
    }

    /// The bytes that cross to the other kernel.
    ///
    /// # Errors
    /// They are more than [`MAX_BYTES`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let bytes = postcard::to_stdvec(self).context("packing the system snapshot")?;
        ensure!(
            bytes.len() <= MAX_BYTES,
            "the system snapshot has {} bytes, of which {MAX_BYTES} fit: {} mounts",
            bytes.len(),
            self.mounts.len()
        );
        Ok(bytes)
    }

    /// The snapshot of the bytes.
    ///
    /// # Errors
    /// They are not one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        postcard::from_bytes(bytes).context("unpacking the system snapshot")
    }
}

fn read(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}

/// What a mounted file system is made of.
fn classify(mount: &Mount, roots: &Roots) -> Source {
    let kind = mount.fs_type.as_str();
    let (major, minor) = mount.device;
    let device = if major != 0 {
        backing_of(&roots.sys, major, minor)
    } else if KERNEL_TYPES.contains(&kind) {
        return Source::Kernel;
    } else if ["tmpfs", "ramfs"].contains(&kind) {
        return Source::Memory;
    } else if ["btrfs", "bcachefs"].contains(&kind) && !mount.source.contains(':') {
        // Its device number is not that of its disk; of several disks one is named.
        backing_of_name(&mount.source, roots)
    } else {
        let base = kind.split('.').next().unwrap_or_default();
        return Source::Unsupported(match base {
            "nfs" | "nfs4" | "cifs" | "smb3" | "ceph" | "afs" | "9p" | "glusterfs" => {
                format!("network file system {kind}")
            }
            "nsfs" => "file of a namespace".to_owned(),
            _ => kind.to_owned(),
        });
    };
    match device {
        // A FUSE server is a process, even on a disk.
        Ok(Backing::Disk(_)) if kind.starts_with("fuse") => Source::Unsupported(kind.to_owned()),
        Ok(backing) => Source::Device(backing),
        Err(error) => Source::Unsupported(format!("{kind}: {error:#}")),
    }
}

/// What is behind a device with this path.
fn backing_of_name(source: &str, roots: &Roots) -> Result<Backing> {
    let path = match source.strip_prefix("/dev/") {
        Some(rest) => roots.dev.join(rest),
        None => Path::new(source).to_path_buf(),
    };
    // Symbolic links of udev and of the device mapper.
    let path = fs::canonicalize(&path).unwrap_or(path);
    let name = path.strip_prefix(&roots.dev).unwrap_or(&path);
    let name = name.to_string_lossy().replace('/', "!");
    let number = read(&roots.sys.join("class/block").join(&name).join("dev"))?;
    let (major, minor) = number
        .split_once(':')
        .with_context(|| format!("device number {number:?} of {name}"))?;
    backing_of(&roots.sys, major.parse()?, minor.parse()?)
}

/// One line of `/proc/swaps`: path, type, size, used, priority.
fn swap(line: &str, roots: &Roots) -> Option<Swap> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let path = mountinfo::unescape(fields.first()?);
    let partition = *fields.get(1)? == "partition";
    Some(Swap {
        priority: fields.last()?.parse().ok()?,
        backing: partition.then(|| {
            backing_of_name(&path, roots)
                .unwrap_or_else(|error| Backing::Unsupported(format!("{error:#}")))
        }),
        path,
    })
}
