//! One machine of the demonstration, booted by its first kernel.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::setup::Setup;
use crate::image::UP;
use crate::oracle::{AckServer, GuestClient};
use crate::progress;
use crate::vm::{Serial, Vm, VmBuilder};

/// Ports of the guest.
const EXEC: u16 = 7000;
const SERVICE: u16 = 7001;
/// The host, as the guest sees it.
pub const HOST: &str = "10.0.2.2";

/// CPUs and memory of the machine before anything is taken from it.
const CPUS: u32 = 4;
const MIB: u32 = 3072;

/// Below this the workload works.
pub const WORK: &str = "/work";

/// Writes two files back again and again while their writers, which do not know
/// of it, change them: one by stores to a mapping, one by writes with holes.
const FLUSH: &str = "mkdir -p $0 && cd $0 && while :; do \
                     for file in w*-mmap/holes w*-sparse/size.0; do \
                     [ -e \"$file\" ] && sync -d \"$file\"; usleep 20000; done; done";

/// Writers of the workload: one of each kind.
pub const WRITERS: usize = baton_guest::workload::KINDS.len();

const BOOT: Duration = Duration::from_secs(90);
const SOON: Duration = Duration::from_secs(30);
/// How long the manifest of all files may take under emulation.
const LISTING: Duration = Duration::from_secs(300);

/// A running machine and how to reach it.
pub struct Machine {
    /// The virtual machine; it dies with this.
    pub vm: Vm,
    /// Runs commands on it, whichever kernel it has.
    pub client: GuestClient,
    /// Its service.
    pub service: SocketAddr,
}

impl Machine {
    /// Boots the first of `disks` and waits until the machine can be given commands.
    pub fn boot(setup: &Setup, disks: &[PathBuf], append: &str, dir: &Path) -> Result<Self> {
        let timer = progress::timed("Booting", &setup.from.release);
        let hardware = setup.hardware;
        let mut builder = VmBuilder::new(&setup.from.vmlinuz)
            .initrd(&setup.initrd)
            .nic(hardware.nic)
            .append(&hardware.root())
            .append(append)
            .cpus(CPUS)
            .memory(MIB)
            .forward(EXEC)
            .forward(SERVICE);
        for disk in disks {
            builder = builder.disk(disk, hardware.disk);
        }
        let mut vm = builder.start(&setup.qemu, dir)?;
        vm.wait_for(Serial::First, UP, BOOT)?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let client = GuestClient::new(local(vm.port(EXEC)?));
        let service = local(vm.port(SERVICE)?);
        client.wait_ready(SOON)?;
        timer.done();
        Ok(Self {
            vm,
            client,
            service,
        })
    }

    /// Runs a line of shell; its output without the last newline.
    pub fn shell(&self, line: &str) -> Result<String> {
        let output = self.client.run(&["/bin/sh", "-c", line], SOON)?;
        Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
    }

    /// Lets dirty data stay in the cache until the update: nothing is written for
    /// its age or its amount, and no writer is throttled.
    ///
    /// The kernel's own background writeback is of no use here: once it begins it
    /// writes nearly everything, and a moment later there is nothing to migrate.
    /// What is on its way to the disk at the instant of the update comes from the
    /// writers that sync or write past the cache, and from [`FLUSH`].
    pub fn hold_dirty(&self, cache: u64) -> Result<()> {
        let background = cache + (512 << 20);
        let limit = 2 * background;
        self.shell(&format!(
            "cd /proc/sys/vm && echo {limit} >dirty_bytes && echo {background} \
             >dirty_background_bytes && echo 360000 >dirty_expire_centisecs"
        ))
        .map(drop)
        .context("cannot set vm.dirty_*")
    }

    /// Starts one writer of each kind in the folder `dir`; they report to `acks`.
    pub fn start_workload(&self, acks: &AckServer, dir: &str, cache: u64, seed: u64) -> Result<()> {
        let host = format!("{HOST}:{}", acks.port());
        let (cache, seed) = (cache.to_string(), seed.to_string());
        let command = [
            "/usr/sbin/baton-guest",
            "workload",
            "--processes",
            "--dir",
            dir,
            "--ack",
            &host,
            "--cache",
            &cache,
            "--seed",
            &seed,
        ];
        let log = "/var/log/workload.log";
        self.client
            .start(&command, log)
            .and_then(|_| self.client.start(&["/bin/sh", "-c", FLUSH, dir], log))
            .map(drop)
            .context("cannot start the workload")
    }

    /// What the workload's files in `dir` are now, as the machine's programs see them.
    pub fn manifest(&self, dir: &str) -> Result<Vec<u8>> {
        let command = ["/usr/sbin/baton-guest", "manifest", "--dir", dir];
        self.client
            .run(&command, LISTING)
            .context("cannot list the workload's files")
    }
}
