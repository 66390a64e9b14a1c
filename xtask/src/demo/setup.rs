//! What all runs between two kernels share: made once, never written to again.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};

use super::hardware::Hardware;
use crate::apt::Apt;
use crate::cache::{Cache, Scratch};
use crate::image::{initramfs, Rootfs};
use crate::kernels::{self, Kernel};
use crate::module::build_module;
use crate::qemu::Qemu;
use crate::{progress, rustobj, userland};

/// Size of the root file system; sparse.
const DISK_MIB: u64 = 2560;

/// Kernels, programs and the pristine disk.
pub struct Setup {
    /// The kernel that boots.
    pub from: Kernel,
    /// The kernels that take over, one after the other.
    pub to: Vec<Kernel>,
    /// The emulator.
    pub qemu: Qemu,
    /// The initramfs of the kernel that boots.
    pub initrd: PathBuf,
    /// What the machine is made of.
    pub hardware: Hardware,
    /// The root's disk, and others.
    disks: Vec<PathBuf>,
    /// Holds the files above.
    scratch: Scratch,
}

impl Setup {
    /// Fetches and builds everything for updates from one kernel to others.
    pub fn prepare(from: &str, to: &[&str], hardware: Hardware) -> Result<Self> {
        let (cache, apt) = open()?;
        let from = kernels::resolve(&cache, &apt, from)?;
        let to = to.iter().map(|spec| kernels::resolve(&cache, &apt, spec));
        let to = to.collect::<Result<Vec<Kernel>>>()?;
        let mut rootfs = hardware.mount(Rootfs::new());
        for kernel in once_each(&from, &to) {
            let module = build_module(&cache, &apt, kernel)
                .with_context(|| format!("cannot build baton.ko for {}", kernel.release))?;
            let place = format!("/lib/modules/{}/extra/baton.ko", kernel.release);
            let vmlinuz = format!("/boot/vmlinuz-{}", kernel.release);
            rootfs = add_modules(rootfs, kernel)
                .file(&kernel.vmlinuz, vmlinuz, 0o644)
                .file(module, place, 0o644);
        }
        Self::finish(&cache, &apt, (from, to), hardware, rootfs)
    }

    /// For a machine that never gets another kernel: needs no module of ours.
    pub fn without_update(kernel: &str) -> Result<Self> {
        let (cache, apt) = open()?;
        let kernel = kernels::resolve(&cache, &apt, kernel)?;
        let rootfs = add_modules(Rootfs::new(), &kernel);
        Self::finish(
            &cache,
            &apt,
            (kernel, Vec::new()),
            Hardware::default(),
            rootfs,
        )
    }

    /// Adds what does not depend on kernels, and makes the files.
    fn finish(
        cache: &Cache,
        apt: &Apt,
        (from, to): (Kernel, Vec<Kernel>),
        hardware: Hardware,
        rootfs: Rootfs,
    ) -> Result<Self> {
        let qemu = Qemu::locate(cache, apt)?;
        let programs = userland::build()?;
        let rootfs = rootfs.file(programs.baton, "/usr/sbin/baton", 0o755).file(
            programs.guest,
            "/usr/sbin/baton-guest",
            0o755,
        );
        let timer = progress::timed("Building", "the disk of the machine");
        let scratch = cache.scratch("demo")?;
        let disk = scratch.path().join("pristine.img");
        let initrd = scratch.path().join("initrd.gz");
        rootfs.build(cache, apt, DISK_MIB, &disk)?;
        initramfs(cache, apt, &from, &hardware.boot_modules(), &initrd)?;
        let mut disks = vec![disk];
        disks.extend(hardware.make(cache, apt, scratch.path())?);
        timer.done();
        Ok(Self {
            from,
            to,
            qemu,
            initrd,
            hardware,
            disks,
            scratch,
        })
    }

    /// Disks of its own for run `number`, the root's first, deleted with the setup.
    pub fn fresh_disks(&self, number: u32) -> Result<Vec<PathBuf>> {
        let copy = |(index, pristine): (usize, &PathBuf)| {
            let disk = self
                .scratch
                .path()
                .join(format!("run-{number}-{index}.img"));
            copy_sparse(pristine, &disk)?;
            Ok(disk)
        };
        self.disks.iter().enumerate().map(copy).collect()
    }

    /// Where the runs between the two kernels leave what is worth looking at.
    pub fn folder(&self) -> PathBuf {
        let kernels = std::iter::once(&self.from).chain(&self.to);
        let names: Vec<&str> = kernels.map(short).collect();
        rustobj::workspace()
            .join("target/demo")
            .join(names.join("-"))
    }
}

/// Every kernel once: a machine may come back to one.
fn once_each<'a>(from: &'a Kernel, to: &'a [Kernel]) -> Vec<&'a Kernel> {
    let mut kernels = vec![from];
    for kernel in to {
        if kernels.iter().all(|other| other.release != kernel.release) {
            kernels.push(kernel);
        }
    }
    kernels
}

/// Copies an image; what is empty in it takes no space.
pub fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp")
        .args(["--reflink=auto", "--sparse=always"])
        .args([from, to])
        .status()
        .context("cannot run cp")?;
    let (from, to) = (from.display(), to.display());
    ensure!(status.success(), "cannot copy {from} to {to}");
    Ok(())
}

fn open() -> Result<(Cache, Apt)> {
    let cache = Cache::open()?;
    let apt = Apt::open(&cache)?;
    Ok((cache, apt))
}

fn add_modules(rootfs: Rootfs, kernel: &Kernel) -> Rootfs {
    rootfs.tree(&kernel.modules, format!("/lib/modules/{}", kernel.release))
}

/// A release without its flavour.
fn short(kernel: &Kernel) -> &str {
    let release = kernel.release.as_str();
    let end = release.find("-cloud").or_else(|| release.find("-amd64"));
    &release[..end.unwrap_or(release.len())]
}
