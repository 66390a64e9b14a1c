//! What the service does not need and so comes after it: the CPUs and the memory of the 1st OS.
//!
//! A process of its own does it, beside the root file system's userland.

mod memory;

use crate::agent::log;
use crate::cpus::Cpus;
use crate::device::Device;
use crate::region::Region;
use crate::takeover::{count, stamp};
use anyhow::{Context, Result};
use handoff_abi::ioctl::{self, WaitArgs};
use handoff_abi::machine::MachinePage;
use handoff_abi::timeline::{Counter, Phase};
use std::path::Path;
use std::time::Duration;
use zerocopy::FromZeros;

/// Nice value that yields to everybody.
const LOWEST_PRIORITY: i32 = 19;
/// How long the userland that starts beside it comes first. After that it is for the CPUs that are
/// brought online to end the crowding on this one.
const YIELD_LIMIT: Duration = Duration::from_secs(2);
/// Name of the child's first argument.
pub const COMMAND: &str = "aftermath";

/// Starts the process. It is this very program: the descriptor of it is passed on, for the file
/// is gone with the initramfs.
///
/// # Errors
/// It cannot be started.
pub fn spawn() -> Result<()> {
    std::process::Command::new("/proc/self/exe")
        .arg(COMMAND)
        .spawn()
        .context("starting the background process")?;
    Ok(())
}

/// The process.
///
/// # Errors
/// The module is not there; single failures are logged and do not end it.
pub fn run() -> Result<()> {
    yield_at_first();
    let device = Device::open()?;
    let info = device.info()?;
    let region = Region::map(&device, info.inherited_region)?;
    let machine = region.machine()?;
    let mut args = WaitArgs::new_zeroed();
    device.request(&ioctl::QUIET_DEVICES, &mut args)?;
    device.request(&ioctl::FORGET, &mut args)?;
    let cpus = bring_cpus_online(&device, &region, &machine)?;
    count(&region, Counter::CPUS, cpus);
    stamp(&device, Phase::CPUS_ONLINE);
    let bytes = memory::add(&device, &machine, Path::new("/sys"))?;
    count(&region, Counter::MEMORY, bytes);
    stamp(&device, Phase::MEMORY_ONLINE);
    log(&format!(
        "{cpus} CPUs and {} MiB of the 1st OS taken over",
        bytes >> 20
    ));
    Ok(())
}

/// Runs this process only on time that nobody else wants, until [`YIELD_LIMIT`] is over.
fn yield_at_first() {
    let this = rustix::process::getpid();
    if rustix::process::setpriority_process(Some(this), LOWEST_PRIORITY).is_ok() {
        std::thread::spawn(move || {
            std::thread::sleep(YIELD_LIMIT);
            let _ = rustix::process::setpriority_process(Some(this), 0);
        });
    }
}

/// Brings every CPU of the machine online that is not. A CPU that this kernel knows but the
/// machine does not have is left alone.
fn bring_cpus_online(device: &Device, region: &Region, machine: &MachinePage) -> Result<u64> {
    let known: Vec<u32> = machine
        .apic_ids
        .iter()
        .take(machine.cpu_count as usize)
        .copied()
        .collect();
    let info = device.info()?;
    let cpus = Cpus::new(Path::new("/sys"));
    let online = cpus.online()?;
    let mut brought = 0;
    let wakes_by_memory = has_wakeup_mailbox();
    for entry in info.cpus.iter().take(info.cpu_count as usize) {
        if online.contains(&entry.cpu) || !known.contains(&entry.apic_id) {
            continue;
        }
        if entry.apic_id == machine.bsp_apic_id && !wakes_by_memory {
            let text = format!(
                "CPU with APIC ID {}: stays parked; it is the machine's bootstrap processor, and \
                 this kernel can only wake it by an INIT, which would reset the machine",
                entry.apic_id
            );
            log(&text);
            region.add_loss(&text)?;
            continue;
        }
        match cpus.set_online(entry.cpu, true) {
            Ok(()) => brought += 1,
            Err(error) => log(&format!("{error:#}")),
        }
    }
    Ok(brought)
}

/// Whether this kernel wakes CPUs through the mailbox of the MADT (`arch/x86/kernel/acpi/`): its
/// function for that is the only sign that it shows.
fn has_wakeup_mailbox() -> bool {
    std::fs::read_to_string("/proc/kallsyms").is_ok_and(|symbols| {
        symbols
            .lines()
            .any(|line| line.split_whitespace().nth(2) == Some("acpi_wakeup_cpu"))
    })
}
