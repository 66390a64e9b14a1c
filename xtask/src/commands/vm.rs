//! `cargo xtask vm`: boot a kernel with the tiny userland.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

use crate::apt::Apt;
use crate::cache::Cache;
use crate::image::{initramfs, Rootfs, BOOT_MODULES};
use crate::kernels::{self, Kernel};
use crate::progress;
use crate::qemu::Qemu;
use crate::vm::{Bus, Nic, Serial, Vm, VmBuilder};

/// What the guest's script prints last, with the command's exit status.
const ENDED: &str = "baton: command ended with status ";
/// Megabytes of disk: enough for any kernel's modules.
const DISK_MIB: u64 = 1024;

/// Arguments of `vm`.
#[derive(clap::Args)]
pub struct Args {
    /// A series (6.12), a release (6.1.0-47) or a path
    #[arg(default_value = "6.1")]
    spec: String,
    /// Run this shell command in the guest and exit with its status, instead of
    /// giving a shell (which Ctrl-A X ends)
    #[arg(long)]
    cmd: Option<String>,
    /// Number of CPUs
    #[arg(long, default_value_t = 4)]
    cpus: u32,
    /// Memory in MiB
    #[arg(long, default_value_t = 2048)]
    memory: u32,
    /// Attach the disk as NVMe instead of virtio
    #[arg(long)]
    nvme: bool,
    /// Attach an Intel e1000e network card instead of virtio
    #[arg(long)]
    e1000e: bool,
    /// Make this TCP port of the guest reachable from the host
    #[arg(long, value_name = "PORT")]
    forward: Vec<u16>,
    /// Keep the guest's memory in this file
    #[arg(long, value_name = "FILE")]
    memory_file: Option<PathBuf>,
    /// Words to add to the kernel command line
    #[arg(long, default_value = "")]
    append: String,
    /// Seconds that a --cmd may take, boot included
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let apt = Apt::open(&cache)?;
    let kernel = kernels::resolve(&cache, &apt, &args.spec)?;
    let qemu = Qemu::locate(&cache, &apt)?;
    let scratch = cache.scratch("vm")?;
    let (disk, initrd) = (
        scratch.path().join("disk.img"),
        scratch.path().join("initrd.gz"),
    );

    let timer = progress::timed("Building", format_args!("a disk for {}", kernel.release));
    let mut rootfs =
        Rootfs::new().tree(&kernel.modules, format!("/lib/modules/{}", kernel.release));
    if let Some(command) = &args.cmd {
        let script = format!(
            "#!/bin/sh\n(\n{command}\n)\necho \"{ENDED}$?\"\nsync\nsleep 0.2\npoweroff -f\n"
        );
        rootfs = rootfs.text("/etc/rc.local", script, 0o755);
    }
    rootfs.build(&cache, &apt, DISK_MIB, &disk)?;
    let mut modules = BOOT_MODULES.to_vec();
    let wanted = [("nvme", args.nvme), ("e1000e", args.e1000e)];
    modules.extend(
        wanted
            .iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(module, _)| module),
    );
    initramfs(&cache, &apt, &kernel, &modules, &initrd)?;
    timer.done();

    let builder = describe(args, &kernel, &disk, &initrd);
    progress::step(
        "Booting",
        format_args!("{} in {}", kernel.release, qemu.version()),
    );
    let mut vm = builder.start(&qemu, scratch.path())?;
    for port in &args.forward {
        progress::step(
            "Forwarding",
            format_args!("127.0.0.1:{} to port {port}", vm.port(*port)?),
        );
    }
    if args.cmd.is_none() {
        while vm.try_wait()?.is_none() {
            thread::sleep(Duration::from_millis(100));
        }
        return Ok(());
    }
    follow(&mut vm, Duration::from_secs(args.timeout))?;
    let text = vm.text(Serial::First)?;
    let status = text
        .rsplit_once(ENDED)
        .and_then(|(_, rest)| rest.split_whitespace().next());
    match status {
        Some("0") => Ok(()),
        Some(status) => bail!("the command in the guest ended with status {status}"),
        None => bail!("the guest ended before the command did"),
    }
}

fn describe(args: &Args, kernel: &Kernel, disk: &Path, initrd: &Path) -> VmBuilder {
    let (bus, root) = match args.nvme {
        true => (Bus::Nvme, "root=/dev/nvme0n1"),
        false => (Bus::Virtio, "root=/dev/vda"),
    };
    let mut builder = VmBuilder::new(&kernel.vmlinuz)
        .initrd(initrd)
        .disk(disk, bus)
        .nic(if args.e1000e {
            Nic::E1000e
        } else {
            Nic::Virtio
        })
        .cpus(args.cpus)
        .memory(args.memory)
        .append(root)
        .append(&args.append);
    for port in &args.forward {
        builder = builder.forward(*port);
    }
    if let Some(file) = &args.memory_file {
        builder = builder.memory_file(file);
    }
    if args.cmd.is_none() {
        builder = builder.append("baton.shell").on_terminal();
    }
    builder
}

/// Copies the first serial port to standard output until the machine ends.
fn follow(vm: &mut Vm, timeout: Duration) -> Result<()> {
    let until = Instant::now() + timeout;
    let mut shown = 0;
    loop {
        let ended = vm.try_wait()?.is_some();
        shown += show(&vm.log(Serial::First), shown).context("cannot copy the guest's console")?;
        if ended {
            return Ok(());
        }
        if Instant::now() >= until {
            bail!(
                "the guest is not done after {} s (--timeout)",
                timeout.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn show(log: &Path, from: u64) -> io::Result<u64> {
    let mut file = File::open(log)?;
    file.seek(io::SeekFrom::Start(from))?;
    let mut fresh = Vec::new();
    file.read_to_end(&mut fresh)?;
    let mut out = io::stdout().lock();
    out.write_all(&fresh)?;
    out.flush()?;
    Ok(fresh.len() as u64)
}
