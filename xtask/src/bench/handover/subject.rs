//! What all measurements share: kernels, programs and the pristine disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::apt::Apt;
use crate::cache::{Cache, Scratch};
use crate::image::{initramfs, Rootfs, BOOT_MODULES};
use crate::kernels::{self, Kernel};
use crate::module::build_module;
use crate::qemu::Qemu;
use crate::tools::Bundle;
use crate::{progress, userland};

/// Size of the root file system; sparse.
const DISK_MIB: u64 = 2560;

/// The stock way to start a kernel from a running one.
const KEXEC_TOOLS: Bundle = Bundle {
    name: "kexec-tools",
    packages: &["kexec-tools"],
    target: None,
};

/// Where the bundle's libraries are, in it and below [`KEXEC`].
const LIBRARIES: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];

/// `kexec` with its own loader and libraries, on the machine; arguments follow.
pub const KEXEC: &str = "/opt/kexec/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path \
                         /opt/kexec/lib/x86_64-linux-gnu:/opt/kexec/usr/lib/x86_64-linux-gnu \
                         /opt/kexec/kexec";

/// Where the kernel to come has its initramfs on the machine.
pub const INITRD: &str = "/boot/initrd-to";

/// Kernels, programs and the pristine disk; never written to again.
pub struct Subject {
    /// The kernel that runs first.
    pub from: Kernel,
    /// The kernel that is to run.
    pub to: Kernel,
    /// The emulator.
    pub qemu: Qemu,
    disk: PathBuf,
    scratch: Scratch,
}

impl Subject {
    /// Fetches and builds everything.
    pub fn prepare(from: &str, to: &str) -> Result<Self> {
        let cache = Cache::open()?;
        let apt = Apt::open(&cache)?;
        let from = kernels::resolve(&cache, &apt, from)?;
        let to = kernels::resolve(&cache, &apt, to)?;
        let scratch = cache.scratch("bench")?;
        let mut rootfs = Rootfs::new();
        for kernel in [&from, &to] {
            let release = &kernel.release;
            let module = build_module(&cache, &apt, kernel)
                .with_context(|| format!("cannot build baton.ko for {release}"))?;
            rootfs = rootfs
                .tree(&kernel.modules, format!("/lib/modules/{release}"))
                .file(&kernel.vmlinuz, format!("/boot/vmlinuz-{release}"), 0o644)
                .file(
                    module,
                    format!("/lib/modules/{release}/extra/baton.ko"),
                    0o644,
                );
            let initrd = initrd(&scratch, kernel);
            initramfs(&cache, &apt, kernel, &BOOT_MODULES, &initrd)?;
        }
        let programs = userland::build()?;
        let kexec = KEXEC_TOOLS.unpack(&cache, &apt)?;
        for folder in LIBRARIES {
            rootfs = rootfs.tree(kexec.path().join(folder), format!("/opt/kexec/{folder}"));
        }
        let rootfs = rootfs
            .file(kexec.path().join("sbin/kexec"), "/opt/kexec/kexec", 0o755)
            .file(initrd(&scratch, &to), INITRD, 0o644)
            .file(programs.baton, "/usr/sbin/baton", 0o755)
            .file(programs.guest, "/usr/sbin/baton-guest", 0o755);
        let timer = progress::timed("Building", "the disk of the machines");
        let disk = scratch.path().join("pristine.img");
        rootfs.build(&cache, &apt, DISK_MIB, &disk)?;
        timer.done();
        Ok(Self {
            from,
            to,
            qemu: Qemu::locate(&cache, &apt)?,
            disk,
            scratch,
        })
    }

    /// The initramfs that boots one of the kernels.
    pub fn initrd(&self, kernel: &Kernel) -> PathBuf {
        initrd(&self.scratch, kernel)
    }

    /// A fresh copy of the disk; it replaces the one before.
    pub fn fresh_disk(&self) -> Result<PathBuf> {
        let disk = self.scratch.path().join("disk.img");
        let status = Command::new("cp")
            .args(["--reflink=auto", "--sparse=always"])
            .args([&self.disk, &disk])
            .status()
            .context("cannot run cp")?;
        ensure!(status.success(), "cannot copy {}", self.disk.display());
        Ok(disk)
    }
}

fn initrd(scratch: &Scratch, kernel: &Kernel) -> PathBuf {
    let name = format!("initrd-{}.gz", kernel.release);
    Path::new(scratch.path()).join(name)
}
