//! The takeover: from the stop notice to the root file system's own userland.

use crate::aftermath;
use crate::agent::{log, set_standard_streams};
use crate::device::{poll_serial_port, Device};
use crate::inheritance::Inheritance;
use crate::network::{Restorer, Roots, Settings, Snapshot};
use crate::region::{text_of, Region};
use crate::system::{
    block_device_wait, mount_plan, perform, share, Class, PlannedMount, SystemSnapshot,
};
use anyhow::{bail, Context, Result};
use handoff_abi::filesystem::FilesystemPage;
use handoff_abi::ioctl::{self, MigrateArgs, StampArgs, WaitArgs};
use handoff_abi::region;
use handoff_abi::status::SecondState;
use handoff_abi::timeline::{Counter, Phase, TimelinePage};
use std::fs::{File, OpenOptions};
use std::mem::offset_of;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::{Duration, Instant};
use zerocopy::FromZeros;

/// How long to wait for a disk or a NIC that the 1st OS had.
const DEVICE_LIMIT: Duration = Duration::from_secs(30);
/// Where the root file system is mounted before it becomes the root.
const NEW_ROOT: &str = "/root";
/// Where each file system is mounted first.
const STAGING: &str = "/run/baton-staging";
/// Inits of a root file system, in the order the kernel tries them (`init/main.c`).
const INITS: &[&str] = &["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];
/// Word of the command line that leaves the file cache behind: for control runs of tests.
const MIGRATE_OFF: &str = "baton.migrate=off";

/// Stamps a phase.
pub fn stamp(device: &Device, phase: Phase) {
    let mut args = StampArgs::new_zeroed();
    args.phase = phase.0;
    if let Err(error) = device.request(&ioctl::STAMP, &mut args) {
        log(&format!("{error:#}"));
    }
}

/// Adds to a counter of the timeline.
pub fn count(region: &Region, counter: Counter, amount: u64) {
    let result = region.section(region::TIMELINE).and_then(|timeline| {
        let at = offset_of!(TimelinePage, counters) + 8 * counter.0 as usize;
        let old = timeline.load_u64(at)?;
        Ok(timeline.store_u64(at, old.wrapping_add(amount))?)
    });
    if let Err(error) = result {
        log(&format!("{error:#}"));
    }
}

/// A takeover that can still be given back.
pub struct Takeover<'a> {
    device: &'a Device,
    region: &'a Region,
    system: SystemSnapshot,
    network: Snapshot,
    settings: &'a Settings,
    filesystems: Box<FilesystemPage>,
    migrate: bool,
}

impl<'a> Takeover<'a> {
    /// Reads and checks what the 1st OS left. Nothing is touched yet. `settings`: those of this
    /// kernel's network.
    ///
    /// # Errors
    /// Something is missing or corrupt: the machine is to be given back.
    pub fn begin(
        device: &'a Device,
        region: &'a Region,
        settings: &'a Settings,
        command_line: &str,
    ) -> Result<Self> {
        let left = Inheritance::read(region)?;
        Ok(Self {
            device,
            region,
            settings,
            system: left.system,
            network: left.network,
            filesystems: left.filesystems,
            migrate: !command_line
                .split_whitespace()
                .any(|word| word == MIGRATE_OFF),
        })
    }

    /// Takes over, after the commit. Does not return: ends as the root file system's init.
    ///
    /// # Errors
    /// The root file system cannot be reached: there is nothing to go on with.
    pub fn run(self) -> Result<std::convert::Infallible> {
        // Before a NIC appears, which begins with what is set by then.
        let mut report = |text: String| self.lose(&format!("network: {text}"));
        self.network
            .restore_settings(&Roots::default(), Some(self.settings), &mut report);
        let mut args = WaitArgs::new_zeroed();
        self.device.request(&ioctl::ADD_BRIDGES, &mut args)?;
        stamp(self.device, Phase::PCI_DONE);
        std::thread::scope(|scope| {
            let network = scope.spawn(|| self.restore_network());
            let disks = self.restore_disks();
            if network.join().is_err() {
                log("the network thread died");
            }
            disks
        })?;
        self.enter_root()
    }

    /// A loss for the report, and for the log.
    fn lose(&self, text: &str) {
        log(text);
        if let Err(error) = self.region.add_loss(text) {
            log(&format!("{error:#}"));
        }
    }

    fn restore_network(&self) {
        if let Err(error) = self.try_restore_network() {
            self.lose(&format!("network: {error:#}"));
        }
    }

    fn try_restore_network(&self) -> Result<()> {
        let roots = Roots::default();
        self.system.restore_names(&roots)?;
        let mut report = |text: String| self.lose(&format!("network: {text}"));
        let mut restorer = Restorer::new(&self.network, roots, Some(self.settings), &mut report)?;
        let restored = restorer.finish(DEVICE_LIMIT, &mut report)?;
        stamp(self.device, Phase::NIC_READY);
        stamp(self.device, Phase::IP_ASSIGNED);
        log(&format!(
            "{} links, {} addresses",
            restored.links, restored.addresses
        ));
        Ok(())
    }

    fn restore_disks(&self) -> Result<()> {
        let roots = Roots::default();
        let deadline = Instant::now() + DEVICE_LIMIT;
        let root = self
            .system
            .root()
            .context("the 1st OS had no root file system")?;
        for identity in self.system.disks() {
            if let Err(error) = block_device_wait(identity, &roots, deadline) {
                self.lose(&format!("disk {identity}: {error:#}"));
            }
        }
        stamp(self.device, Phase::DISK_READY);
        let plan: Vec<PlannedMount> = mount_plan(&self.system)
            .into_iter()
            .filter(|planned| !planned.by_init)
            .collect();
        std::fs::create_dir_all(STAGING)?;
        for outcome in perform(&plan, Path::new(NEW_ROOT), Path::new(STAGING), &roots) {
            for option in &outcome.refused_options {
                self.lose(&format!("{}: mount option {option}", outcome.mount_point));
            }
            if let Err(error) = outcome.result {
                self.lose(&format!("{}: not mounted: {error:#}", outcome.mount_point));
                if outcome.mount_point == root.mount_point {
                    bail!("the root file system could not be mounted: {error:#}");
                }
            }
        }
        stamp(self.device, Phase::MOUNTED);
        if self.migrate {
            self.migrate_caches();
            stamp(self.device, Phase::CACHE_MIGRATED);
        } else {
            self.lose("the file cache was left behind, as the command line says");
        }
        Ok(())
    }

    /// The cache was dirty when it came, within the limits of a kernel that had all the memory:
    /// while it moves in, this kernel's own limits must not make the writer wait for the disk.
    fn migrate_caches(&self) {
        let limits = DirtyLimits::lift();
        self.migrate_each();
        limits.restore();
    }

    fn migrate_each(&self) {
        let count = self.filesystems.count as usize;
        for (index, entry) in (0u32..).zip(self.filesystems.entries.iter().take(count)) {
            let mount_point = text_of(&entry.mount_point);
            if let Err(error) = self.migrate_cache(index, &mount_point) {
                self.lose(&format!("{mount_point}: file cache: {error:#}"));
            }
        }
    }

    fn migrate_cache(&self, index: u32, mount_point: &str) -> Result<()> {
        let path = Path::new(NEW_ROOT).join(mount_point.trim_start_matches('/'));
        let root = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let mut args = MigrateArgs::new_zeroed();
        args.root_fd = root.as_raw_fd();
        args.filesystem = index;
        let result = self.device.request(&ioctl::MIGRATE, &mut args);
        count(self.region, Counter::INODES, args.inodes);
        count(self.region, Counter::FILES, args.files);
        count(self.region, Counter::PAGES, args.pages);
        count(self.region, Counter::BYTES, args.bytes);
        count(self.region, Counter::LOST_FILES, args.lost);
        count(self.region, Counter::WALK_TICKS, args.ticks);
        log(&format!(
            "{mount_point}: {} files, {} bytes migrated, {} lost",
            args.files, args.bytes, args.lost
        ));
        result
    }

    /// Makes the root file system the root, leaves the rest of the work to a child, and becomes
    /// init.
    fn enter_root(&self) -> Result<std::convert::Infallible> {
        poll_serial_ports();
        for directory in ["/dev", "/proc", "/sys", "/run"] {
            let target = format!("{NEW_ROOT}{directory}");
            if Path::new(&target).is_dir() {
                rustix::mount::mount_move(directory, target.as_str())
                    .with_context(|| format!("moving {directory}"))?;
            }
        }
        remove_initramfs();
        rustix::process::chdir(NEW_ROOT)?;
        rustix::mount::mount_move(".", "/").context("making the root file system the root")?;
        rustix::process::chroot(".")?;
        rustix::process::chdir("/")?;
        let plan = mount_plan(&self.system);
        let kept: Vec<PlannedMount> = plan
            .into_iter()
            .filter(|planned| {
                !planned.by_init && matches!(planned.class, Class::Root | Class::Disk)
            })
            .collect();
        if let Err(error) = share(&kept, Path::new("/")) {
            self.lose(&format!("mount propagation: {error:#}"));
        }
        self.region.set_second_state(SecondState::RUNNING)?;
        aftermath::spawn()?;
        // As the kernel does for an init that it starts.
        if let Err(error) = set_standard_streams("/dev/console") {
            log(&format!("{error:#}"));
        }
        stamp(self.device, Phase::USERLAND);
        for init in INITS {
            if Path::new(init).exists() {
                log(&format!("starting {init}"));
                let error = std::process::Command::new(init).exec();
                log(&format!("{init}: {error}"));
            }
        }
        bail!("the root file system has no init")
    }
}

/// This kernel's limits on dirty pages.
struct DirtyLimits {
    background: String,
    foreground: String,
}

impl DirtyLimits {
    const BACKGROUND: &str = "/proc/sys/vm/dirty_background_ratio";
    const FOREGROUND: &str = "/proc/sys/vm/dirty_ratio";

    fn lift() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let old = Self {
            background: read(Self::BACKGROUND),
            foreground: read(Self::FOREGROUND),
        };
        Self {
            background: "90".into(),
            foreground: "95".into(),
        }
        .restore();
        old
    }

    fn restore(&self) {
        for (path, value) in [
            (Self::FOREGROUND, &self.foreground),
            (Self::BACKGROUND, &self.background),
        ] {
            if let Err(error) = std::fs::write(path, value) {
                log(&format!("{path}: {error}"));
            }
        }
    }
}

/// Serial ports have interrupts of the I/O APIC, which this kernel does not have: their driver is
/// told to poll, so that a console on one is usable again.
fn poll_serial_ports() {
    const PORTS: usize = 4;
    for number in 0..PORTS {
        let path = format!("/dev/ttyS{number}");
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
            .open(&path);
        match options.and_then(|port| poll_serial_port(&port)) {
            Ok(true) => log(&format!("ttyS{number} is polled from now on")),
            Ok(false) => {}
            Err(error) => log(&format!("ttyS{number}: {error}")),
        }
    }
}

/// Frees the initramfs's memory: its files are not needed any more.
fn remove_initramfs() {
    for path in ["/baton", "/etc/baton"] {
        // What stays costs memory, nothing else.
        let _ = std::fs::remove_dir_all(path);
    }
}
