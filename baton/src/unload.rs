//! `baton unload`: the kernel beside this one is stopped, CPU and memory come back.

use crate::cpus::Cpus;
use crate::device::Device;
use crate::region::{text_of, Region};
use anyhow::{ensure, Context, Result};
use handoff_abi::control::StopState;
use handoff_abi::ioctl::{self, RangeArgs, Role};
use std::path::Path;
use zerocopy::FromZeros;

/// Stops it and gives everything back.
///
/// # Errors
/// There is none, or an update is under way; or a memory block or the CPU stays offline, by name.
pub fn run() -> Result<()> {
    let device = Device::open()?;
    device.lock()?;
    let info = device.info()?;
    ensure!(
        info.role == Role::FIRST.0,
        "no kernel is loaded, so there is nothing to unload; `baton status` shows what there is"
    );
    let region = Region::map(&device, info.region)?;
    let state = region.stop_word()?.state;
    ensure!(
        state == StopState::RUNNING || state == StopState::ABORTED,
        "an update is under way ({})",
        state.text().unwrap_or("in an unknown state")
    );
    let header = region.header()?;
    let release = text_of(&header.second_release);
    let apic_id = header.second_apic_id;
    let (base, size) = (header.partition_base, header.partition_size);
    // The module lets go of memory that this process would still have mapped.
    drop((header, region));
    let mut args = RangeArgs::new_zeroed();
    device.request(&ioctl::RELEASE, &mut args)?;
    println!("baton: {release} is stopped");
    let memory = memory_online(base, size);
    let cpu = cpu_online(&info, apic_id);
    memory.and(cpu)
}

/// Brings the memory blocks of the range online; one that was reserved at boot has none.
fn memory_online(base: u64, size: u64) -> Result<()> {
    let root = Path::new("/sys/devices/system/memory");
    let text = std::fs::read_to_string(root.join("block_size_bytes"))?;
    let block = u64::from_str_radix(text.trim(), 16).context("block_size_bytes")?;
    let mut result = Ok(());
    for number in base / block..(base + size).div_ceil(block) {
        let state = root.join(format!("memory{number}/state"));
        if std::fs::read_to_string(&state).is_ok_and(|state| state.trim() == "offline") {
            let online = std::fs::write(&state, "online");
            result = result.and(online.with_context(|| format!("{}", state.display())));
        }
    }
    result
}

fn cpu_online(info: &ioctl::InfoArgs, apic_id: u32) -> Result<()> {
    let known = info.cpus.iter().take(info.cpu_count as usize);
    let cpu = known
        .filter(|entry| entry.apic_id == apic_id)
        .map(|entry| entry.cpu)
        .next();
    let cpu = cpu.with_context(|| format!("no CPU has the APIC ID {apic_id}"))?;
    Cpus::new(Path::new("/sys")).set_online(cpu, true)
}
