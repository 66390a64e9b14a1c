//! `baton report` and `baton status`: what happened, and what there is.

use crate::device::Device;
use crate::region::{text_of, Region};
use anyhow::{ensure, Result};
use handoff_abi::ioctl::Role;
use handoff_abi::timeline::{Counter, Phase, TimelinePage};
use serde::Serialize;

/// One phase that was reached.
#[derive(Debug, Serialize)]
pub struct PhaseReport {
    /// C name.
    pub name: &'static str,
    /// In words.
    pub text: &'static str,
    /// The stamp.
    pub tsc: u64,
    /// Milliseconds since `baton update` was called.
    pub ms: f64,
}

/// The last handover.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Kernel that stopped.
    pub from: String,
    /// Kernel that took over.
    pub to: String,
    /// Number of the handover since the machine booted.
    pub generation: u64,
    /// Phases in the order they were reached.
    pub phases: Vec<PhaseReport>,
    /// Counters by name.
    pub counters: std::collections::BTreeMap<&'static str, u64>,
    /// What could not be carried over, by path.
    pub losses: Vec<String>,
    /// Losses that found no room in the list.
    pub losses_not_listed: u32,
}

/// Reads the report of the handover that brought this kernel.
///
/// # Errors
/// This kernel was not brought by a handover.
pub fn read(device: &Device) -> Result<Report> {
    let info = device.info()?;
    ensure!(
        info.inherited_region != 0,
        "this kernel was booted, not handed over: there is nothing to report yet"
    );
    let region = Region::map(device, info.inherited_region)?;
    let header = region.header()?;
    let timeline = region.timeline()?;
    let (losses, losses_not_listed) = region.losses()?;
    let mut counters = std::collections::BTreeMap::new();
    for (name, number) in Counter::VALUES {
        let value = timeline.counters.get(usize::try_from(*number)?).copied();
        counters.insert(*name, value.unwrap_or(0));
    }
    Ok(Report {
        from: text_of(&header.first_release),
        to: text_of(&header.second_release),
        generation: header.header.generation,
        phases: phases(&timeline),
        counters,
        losses,
        losses_not_listed,
    })
}

fn phases(timeline: &TimelinePage) -> Vec<PhaseReport> {
    let stamp = |number: u64| timeline.stamps.get(number as usize).copied().unwrap_or(0);
    let start = stamp(u64::from(Phase::UPDATE.0));
    let khz = timeline.tsc_khz.max(1) as f64;
    let mut phases: Vec<PhaseReport> = Phase::VALUES
        .iter()
        .filter(|(_, number)| stamp(*number) != 0)
        .map(|(name, number)| PhaseReport {
            name,
            text: Phase(*number as u32).text().unwrap_or_default(),
            tsc: stamp(*number),
            ms: stamp(*number).wrapping_sub(start) as f64 / khz,
        })
        .collect();
    phases.sort_by_key(|phase| phase.tsc);
    phases
}

/// Prints it for people.
pub fn print(report: &Report) {
    println!(
        "Handover {}: {} -> {}",
        report.generation, report.from, report.to
    );
    println!("{:>10}  {:>9}  phase", "ms", "+ms");
    let mut last = 0.0;
    for phase in &report.phases {
        println!(
            "{:>10.2}  {:>9.2}  {}",
            phase.ms,
            phase.ms - last,
            phase.text
        );
        last = phase.ms;
    }
    for (name, number) in Counter::VALUES {
        let text = Counter(*number as u32).text().unwrap_or(name);
        println!(
            "{:>10}  {text}",
            report.counters.get(name).copied().unwrap_or(0)
        );
    }
    if report.losses.is_empty() {
        println!("Everything came over.");
    } else {
        println!("NOT carried over:");
        for loss in &report.losses {
            println!("  {loss}");
        }
    }
    if report.losses_not_listed > 0 {
        println!("  … and {} more", report.losses_not_listed);
    }
}

/// Both kernels.
#[derive(Debug, Serialize)]
pub struct Status {
    /// What the module is to this kernel.
    pub role: &'static str,
    /// This kernel.
    pub running: String,
    /// Handovers since the machine booted.
    pub handovers: u64,
    /// The kernel that waits beside it.
    pub second: Option<SecondStatus>,
}

/// The kernel in the partition.
#[derive(Debug, Serialize)]
pub struct SecondStatus {
    /// Its release.
    pub release: String,
    /// What it is doing.
    pub state: String,
    /// Its partition: start and size, bytes.
    pub memory: (u64, u64),
    /// The APIC ID of its CPU.
    pub apic_id: u32,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// Reads it.
///
/// # Errors
/// A page is not valid.
pub fn status(device: &Device) -> Result<Status> {
    let info = device.info()?;
    let running = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let handovers = if info.inherited_region == 0 {
        0
    } else {
        Region::map(device, info.inherited_region)?
            .header()?
            .header
            .generation
    };
    let role = Role(info.role);
    let second = if role == Role::FIRST {
        let region = Region::map(device, info.region)?;
        let header = region.header()?;
        let (_, failure) = region.failure()?;
        Some(SecondStatus {
            release: text_of(&header.second_release),
            state: region
                .second_state()?
                .text()
                .unwrap_or("unknown")
                .to_owned(),
            memory: (header.partition_base, header.partition_size),
            apic_id: header.second_apic_id,
            failure: (!failure.is_empty()).then_some(failure),
        })
    } else {
        None
    };
    Ok(Status {
        role: role.text().unwrap_or("unknown"),
        running,
        handovers,
        second,
    })
}

/// Prints it for people.
pub fn print_status(status: &Status) {
    println!(
        "running:  {} ({} handovers since boot)",
        status.running, status.handovers
    );
    match &status.second {
        None => println!("beside:   nothing; `baton load --kernel IMAGE` starts a kernel"),
        Some(second) => {
            println!("beside:   {} — {}", second.release, second.state);
            println!(
                "          {} MiB at {:#x}, CPU with APIC ID {}",
                second.memory.1 >> 20,
                second.memory.0,
                second.apic_id
            );
            if let Some(failure) = &second.failure {
                println!("          {failure}");
            }
        }
    }
}
