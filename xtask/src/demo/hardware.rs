//! What the machine of a demonstration is made of.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use super::machine::WORK;
use crate::apt::Apt;
use crate::cache::Cache;
use crate::image::{mke2fs, Rootfs, BOOT_MODULES};
use crate::tools::{Bundle, IMAGE_TOOLS};
use crate::vm::{Bus, Nic};

/// Size of the disk for the workload's files, if they have one; sparse.
const WORK_MIB: u64 = 2048;

const XFS_TOOLS: Bundle = Bundle {
    name: "xfs-tools",
    packages: &["xfsprogs"],
    target: None,
};

/// Arguments that say what the machine is made of.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Hardware {
    /// File system that the workload writes to; any but the default is on a second disk
    #[arg(long, value_enum, default_value_t)]
    pub fs: Filesystem,
    /// How the disks are attached
    #[arg(long, value_enum, default_value_t)]
    pub disk: Bus,
    /// The network card; Debian's cloud kernels have no driver but for virtio
    #[arg(long, value_enum, default_value_t)]
    pub nic: Nic,
}

/// Where the workload's files are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Filesystem {
    /// The root file system, which is ext4.
    #[default]
    Root,
    /// An ext4 file system beside it.
    Ext4,
    /// An xfs file system beside it.
    Xfs,
}

impl Filesystem {
    /// What `mount -t` and the module are called; none if it is the root's.
    fn kind(self) -> Option<&'static str> {
        match self {
            Self::Root => None,
            Self::Ext4 => Some("ext4"),
            Self::Xfs => Some("xfs"),
        }
    }
}

impl Hardware {
    /// Modules of the initramfs that boots the first kernel.
    pub fn boot_modules(&self) -> Vec<&'static str> {
        let mut modules = BOOT_MODULES.to_vec();
        modules.extend(self.fs.kind());
        modules.extend(match self.disk {
            Bus::Virtio => None,
            Bus::Nvme => Some("nvme"),
        });
        modules.extend(match self.nic {
            Nic::Virtio => None,
            Nic::E1000e => Some("e1000e"),
        });
        modules
    }

    /// The command line's word for the root disk.
    pub fn root(&self) -> String {
        format!("root={}", self.disk.device(0))
    }

    /// Adds the second disk to the table of file systems.
    pub fn mount(&self, rootfs: Rootfs) -> Rootfs {
        let Some(kind) = self.fs.kind() else {
            return rootfs;
        };
        let root = "LABEL=baton / ext4 defaults 0 1";
        let device = self.disk.device(1);
        let table = format!("{root}\n{device} {WORK} {kind} defaults 0 2\n");
        rootfs.text("/etc/fstab", table, 0o644)
    }

    /// Makes the second disk, if there is one, in the folder `dir`.
    pub fn make(&self, cache: &Cache, apt: &Apt, dir: &Path) -> Result<Option<PathBuf>> {
        let mut command = match self.fs {
            Filesystem::Root => return Ok(None),
            Filesystem::Ext4 => {
                let tools = IMAGE_TOOLS.unpack(cache, apt)?;
                mke2fs(&tools, "")
            }
            Filesystem::Xfs => {
                let tools = XFS_TOOLS.unpack(cache, apt)?;
                let mut mkfs = tools.command("mkfs.xfs", "sbin/mkfs.xfs");
                mkfs.arg("-q");
                mkfs
            }
        };
        let disk = dir.join("work.img");
        let made = File::create(&disk).and_then(|file| file.set_len(WORK_MIB << 20));
        made.with_context(|| format!("cannot create {}", disk.display()))?;
        let output = command.arg(&disk).output().context("cannot run mkfs")?;
        ensure!(
            output.status.success(),
            "mkfs cannot make {}: {}",
            disk.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(Some(disk))
    }
}
