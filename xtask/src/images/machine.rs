//! The machine whose memory is kept.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use baton_images::{image, ranges};
use serde_json::json;

use super::disks::{self, EXTRAS, SLOW};
use super::Tools;
use crate::image::{initramfs, BOOT_MODULES, UP};
use crate::kernels::Kernel;
use crate::oracle::GuestClient;
use crate::progress;
use crate::qemu::Qemu;
use crate::vm::{Bus, Serial, Vm, VmBuilder};

/// Number of this way to make images; to be changed with it.
pub const VERSION: u32 = 4;

/// Memory of the machine.
const MIB: u32 = 1024;
/// Port of the guest's daemon.
const EXEC: u16 = 7000;
const BOOT: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(60);
/// How long the making and listing of all files may take under emulation.
const SCENE: Duration = Duration::from_secs(300);

/// Pages of 16 MiB that must be under writeback; the disk may have taken the first few.
const WRITEBACK: u64 = 3072;

/// Nothing is written for its age or its amount, and no journal is committed by time. An interval
/// of 0 would not do: it wakes the writer of a disk at once when the first inode becomes dirty, and
/// a disk that was never written to has no share yet in what may be dirty.
const HOLD: &str = "cd /proc/sys/vm && echo 943718400 >dirty_bytes && \
                    echo 734003200 >dirty_background_bytes && \
                    echo 360000 >dirty_expire_centisecs && \
                    echo 360000 >dirty_writeback_centisecs && \
                    mount -o remount,commit=3600 /";

/// Boots `kernel`, has the files made, stops the machine and leaves all parts of the image in
/// `folder`.
pub fn make(tools: &Tools, kernel: &Kernel, module: &Path, folder: &Path) -> Result<()> {
    let scratch = tools.cache.scratch("images")?;
    let disks = disks::make(tools, kernel, module, scratch.path())?;
    let initrd = scratch.path().join("initrd.gz");
    initramfs(&tools.cache, &tools.apt, kernel, &BOOT_MODULES, &initrd)?;
    let qemu = Qemu::locate(&tools.cache, &tools.apt)?;
    let memory = scratch.path().join("memory");
    let mut builder = VmBuilder::new(&kernel.vmlinuz)
        .initrd(&initrd)
        .cpus(2)
        .memory(MIB)
        .memory_file(&memory)
        .forward(EXEC);
    for disk in &disks {
        builder = builder.disk(disk, Bus::Virtio);
    }
    progress::step("Booting", &kernel.release);
    let mut vm = builder.start(&qemu, folder)?;
    vm.wait_for(Serial::First, UP, BOOT)?;
    let guest = Guest::new(&vm)?;
    guest.shell(HOLD)?;
    for (letter, extra) in ('b'..).zip(&EXTRAS) {
        let mount = extra.mount;
        guest.shell(&format!(
            "mkdir {mount} && mount -t ext4 -o commit=3600 /dev/vd{letter} {mount}"
        ))?;
    }
    guest.scene()?;
    guest.write_back(&mut vm)?;
    guest.describe()?;
    for (path, name) in [
        ("/run/region", image::REGION),
        ("/run/manifest", image::MANIFEST),
    ] {
        let bytes = guest.client.get(path)?;
        fs::write(folder.join(name), bytes).with_context(|| format!("cannot write {name}"))?;
    }
    let iomem = String::from_utf8(guest.client.get("/proc/iomem")?)?;
    let ranges = ranges::of_q35(u64::from(MIB) << 20, &iomem)?;
    ensure!(!ranges.is_empty(), "the guest has no memory");
    fs::write(folder.join(image::RANGES), ranges::to_text(&ranges))?;

    vm.stop()?;
    let status = vm.status()?;
    ensure!(status == "paused", "the machine does not stop: {status}");
    keep(&memory, &folder.join(image::MEMORY))
}

/// Copies a file without its pages of zeros.
fn keep(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp")
        .arg("--sparse=always")
        .args([from, to])
        .status()
        .context("cannot run cp")?;
    ensure!(status.success(), "cannot copy the memory");
    Ok(())
}

/// The machine, as commands can be given to it.
struct Guest {
    client: GuestClient,
}

impl Guest {
    fn new(vm: &Vm) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, vm.port(EXEC)?));
        let client = GuestClient::new(address);
        client.wait_ready(SOON)?;
        Ok(Self { client })
    }

    fn shell(&self, line: &str) -> Result<String> {
        let output = self.client.run(&["/bin/sh", "-c", line], SOON)?;
        Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
    }

    /// Makes the files and leaves the list in `/run/manifest`.
    fn scene(&self) -> Result<()> {
        let mut words: Vec<String> = ["--manifest", "/run/manifest", "--varied", "/:64"]
            .map(str::to_owned)
            .to_vec();
        for extra in &EXTRAS {
            let (option, mib) = extra.scene;
            words.extend([option.to_owned(), format!("{}:{mib}", extra.mount)]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.start("/usr/sbin/baton-scene", &words, "ready", SCENE)
    }

    /// Has a file written back to a disk that takes nothing any more: its pages are not dirty
    /// then, but under writeback.
    fn write_back(&self, vm: &mut Vm) -> Result<()> {
        let number = EXTRAS.iter().position(|extra| extra.mount == SLOW);
        let number = number.context("no disk is slow")? + 1;
        let limits = json!({
            "device": format!("disk{number}"),
            "bps": 0, "bps_rd": 0, "bps_wr": 4096, "iops": 0, "iops_rd": 0, "iops_wr": 0,
        });
        vm.command("block_set_io_throttle", limits)?;
        // The first request passes, however long, and QEMU makes one of many that it finds at
        // once: it has to be another one, for which all later ones then wait.
        let other = format!("of={SLOW}/first");
        let words = ["if=/dev/zero", &other, "bs=1M", "count=16", "oflag=direct"];
        self.client
            .start(&[&["/bin/dd"], &words[..]].concat(), "/run/dd.log")?;
        let stat = format!(
            "/sys/block/vd{}/stat",
            char::from(b'a' + u8::try_from(number)?)
        );
        self.wait("no write waits for the disk", || {
            let waiting = self.shell(&format!("sleep 0.2; awk '{{ print $9 }}' {stat}"))?;
            Ok(waiting != "0")
        })?;
        let file = format!("{SLOW}/fill/rewritten");
        self.client
            .start(&["/bin/sync", "-d", &file], "/run/sync.log")?;
        self.wait("too few pages came under writeback", || {
            let pages = self.shell("awk '/^nr_writeback / { print $2 }' /proc/vmstat")?;
            Ok(pages.parse().is_ok_and(|pages: u64| pages >= WRITEBACK))
        })
    }

    /// Asks until the answer is yes twice.
    fn wait(&self, what: &str, ask: impl Fn() -> Result<bool>) -> Result<()> {
        let until = Instant::now() + SOON;
        let mut twice = 0;
        while twice < 2 {
            twice = if ask()? { twice + 1 } else { 0 };
            ensure!(
                Instant::now() < until,
                "{what}: {}",
                self.shell("grep -E 'nr_(dirty|writeback) ' /proc/vmstat; dmesg | tail -3")?
            );
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Leaves the region in `/run/region`.
    fn describe(&self) -> Result<()> {
        let words = ["describe", "--output", "/run/region"];
        self.start("/usr/sbin/baton", &words, "described", SOON)
    }

    /// Starts a program that says `word` when it is done, and stays.
    fn start(&self, program: &str, words: &[&str], word: &str, limit: Duration) -> Result<()> {
        let log = format!("/run/{}.log", program.rsplit('/').next().unwrap_or(program));
        let mut argv = vec![program];
        argv.extend(words);
        let pid = self.client.start(&argv, &log)?;
        let until = Instant::now() + limit;
        loop {
            let said = String::from_utf8_lossy(&self.client.get(&log)?).into_owned();
            if said.lines().any(|line| line == word) {
                return Ok(());
            }
            let alive = self.shell(&format!("kill -0 {pid} 2>/dev/null && echo yes || echo no"))?;
            if alive != "yes" || Instant::now() >= until {
                bail!("{program} did not say `{word}`, but: {}", said.trim());
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}
