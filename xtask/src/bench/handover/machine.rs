//! A machine that offers a service and has dirty files.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};

use super::subject::Subject;
use crate::kernels::Kernel;
use crate::oracle::{GuestClient, Outage, ProbeConfig, ServiceProbe};
use crate::progress;
use crate::vm::{Bus, Vm, VmBuilder};

/// Ports of the guest.
const EXEC: u16 = 7000;
const SERVICE: u16 = 7001;

const MIB: u32 = 3072;

/// What every kernel is told, besides its console.
pub const COMMAND_LINE: &str = "quiet";

/// Where the dirty files are.
const WORK: &str = "/work";

/// Where the machine keeps what the operator was told.
const LOG: &str = "/var/log/exchange.log";

const BOOT: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(90);
/// From the operator's word until the service answers under the other kernel.
const EXCHANGE: Duration = Duration::from_secs(90);
/// How long the service is watched before.
const BEFORE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

/// A running machine and how to reach it.
pub struct Machine {
    vm: Vm,
    client: GuestClient,
    service: SocketAddr,
}

impl Machine {
    /// Boots a fresh disk with `kernel` and waits until the machine takes commands. The machine
    /// starts `kernel` again if it is reset and `resets` says that it may be.
    pub fn boot(
        subject: &Subject,
        kernel: &Kernel,
        cpus: u32,
        resets: bool,
        folder: &Path,
    ) -> Result<Self> {
        let timer = progress::timed("Booting", &kernel.release);
        let mut builder = VmBuilder::new(&kernel.vmlinuz)
            .initrd(subject.initrd(kernel))
            .disk(subject.fresh_disk()?, Bus::Virtio)
            .append(COMMAND_LINE)
            .cpus(cpus)
            .memory(MIB)
            .forward(EXEC)
            .forward(SERVICE);
        if resets {
            builder = builder.option("-action").option("reboot=reset");
        }
        let vm = builder.start(&subject.qemu, folder)?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let client = GuestClient::new(local(vm.port(EXEC)?));
        let service = local(vm.port(SERVICE)?);
        client.wait_ready(BOOT)?;
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

    /// Makes that many MiB of dirty files; returns their check sum. They stay dirty: nothing is
    /// written for its age or its amount.
    pub fn make_dirty(&self, mib: u32) -> Result<String> {
        let limit = (u64::from(mib) + 512) << 20;
        self.shell(&format!(
            "cd /proc/sys/vm && echo {} >dirty_bytes && echo {limit} >dirty_background_bytes && \
             echo 360000 >dirty_expire_centisecs && mkdir -p {WORK} && cd {WORK} && \
             for number in $(seq {mib}); do \
             dd if=/dev/urandom of=$number bs=1M count=1 2>/dev/null || exit 1; done",
            2 * limit
        ))
        .context("cannot make the dirty files")?;
        let dirty: u64 = self
            .shell("awk '/^(Dirty|Writeback):/ {sum += $2} END {print sum}' /proc/meminfo")?
            .parse()
            .context("/proc/meminfo")?;
        ensure!(
            dirty >= u64::from(mib) << 9,
            "only {dirty} KiB are dirty: there is little to carry over"
        );
        self.check_sum()
    }

    /// The check sum of the dirty files.
    pub fn check_sum(&self) -> Result<String> {
        self.shell(&format!("cd {WORK} && cat $(ls | sort -n) | md5sum"))
    }

    /// Gives the operator's word, a line of shell, and watches the service until another kernel
    /// answers.
    pub fn exchange(&mut self, line: &str) -> Result<Outage> {
        let config = ProbeConfig {
            interval: Duration::from_millis(10),
            ..ProbeConfig::default()
        };
        let probe = ServiceProbe::start(self.service, config);
        thread::sleep(BEFORE);
        self.client
            .start(&["/bin/sh", "-c", line], LOG)
            .context("cannot give the word")?;
        let limit = Instant::now() + EXCHANGE;
        while probe.outage().switches.is_empty() {
            if let Some(status) = self.vm.try_wait()? {
                bail!("the machine has gone off instead ({status})");
            }
            if Instant::now() >= limit {
                // If it was called off, this kernel still answers, and knows why.
                let said = self.client.get(LOG).unwrap_or_default();
                bail!(
                    "no other kernel answers within {} s; it was said: {}",
                    EXCHANGE.as_secs(),
                    String::from_utf8_lossy(&said).trim()
                );
            }
            thread::sleep(POLL);
        }
        Ok(probe.stop())
    }
}
