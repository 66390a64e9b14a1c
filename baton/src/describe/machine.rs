//! The machine: memory, CPUs, PCI host bridges.

use crate::device::Device;
use crate::iomem::{self, Map};
use anyhow::{ensure, Context, Result};
use handoff_abi::header::PageHeader;
use handoff_abi::ioctl::{self, BridgesArgs, InfoArgs};
use handoff_abi::machine::{MachinePage, MemoryRange, PciBridge, RangeKind, MAX_RANGES};
use handoff_abi::region;
use std::ops::Range;
use zerocopy::FromZeros;

/// The machine page. `partition` is what the 2nd OS gets, `low` the low RAM of the machine as
/// this kernel knows or inherited it, `inherited_tail` the firmware area this kernel was started
/// with, which nobody needs once it has stopped.
///
/// # Errors
/// A machine with more ranges or bridges than a handover carries.
pub fn machine_page(
    device: &Device,
    info: &InfoArgs,
    memory: &Map,
    inherited: Option<&MachinePage>,
    partition: Range<u64>,
    block_size: u64,
    generation: u64,
) -> Result<Box<MachinePage>> {
    let mut page = MachinePage::new_box_zeroed()
        .ok()
        .context("out of memory")?;
    page.header = PageHeader::new(region::MACHINE, generation);
    page.tsc_khz = info.tsc_khz;
    page.memory_block_size = block_size;
    let apic_ids = apic_ids(info, inherited);
    ensure!(
        apic_ids.len() <= page.apic_ids.len(),
        "more CPUs than a handover carries"
    );
    page.cpu_count = u32::try_from(apic_ids.len())?;
    for (slot, id) in page.apic_ids.iter_mut().zip(&apic_ids) {
        *slot = *id;
    }
    page.bsp_apic_id = inherited.map_or(info.bsp_apic_id, |machine| machine.bsp_apic_id);
    let mut ranges = Vec::new();
    for ram in first_ranges(memory, info, &partition) {
        ranges.push((ram, RangeKind::FIRST));
    }
    let low = inherited.map_or_else(
        || memory.low_ram(),
        |machine| ranges_of(machine, RangeKind::LOW),
    );
    ranges.extend(low.into_iter().map(|range| (range, RangeKind::LOW)));
    let ecams = memory.ecam()?;
    ranges.extend(
        ecams
            .iter()
            .map(|ecam| (ecam.start..ecam.start + ecam.size, RangeKind::ECAM)),
    );
    for base in ioapics(inherited)? {
        ranges.push((
            base..base + handoff_abi::PAGE_SIZE as u64,
            RangeKind::IOAPIC,
        ));
    }
    ranges.push((partition, RangeKind::PARTITION));
    ensure!(
        ranges.len() <= MAX_RANGES,
        "the machine has more memory ranges than a handover carries"
    );
    page.range_count = u32::try_from(ranges.len())?;
    for (slot, (range, kind)) in page.ranges.iter_mut().zip(ranges) {
        *slot = MemoryRange {
            base: range.start,
            size: range.end - range.start,
            kind: kind.0,
            reserved: 0,
        };
    }
    let bridges = bridges(device, &ecams)?;
    page.bridge_count = u32::try_from(bridges.len())?;
    for (slot, bridge) in page.bridges.iter_mut().zip(bridges) {
        *slot = bridge;
    }
    Ok(page)
}

/// Where the machine's I/O APICs are: from the firmware's MADT, or as this kernel inherited it.
fn ioapics(inherited: Option<&MachinePage>) -> Result<Vec<u64>> {
    if let Some(machine) = inherited {
        let ranges = ranges_of(machine, RangeKind::IOAPIC);
        return Ok(ranges.into_iter().map(|range| range.start).collect());
    }
    let path = "/sys/firmware/acpi/tables/APIC";
    let madt = std::fs::read(path).with_context(|| format!("reading {path}"))?;
    Ok(madt_ioapics(&madt))
}

/// Addresses of the I/O APIC structures of a MADT (ACPI specification 6.5, 5.2.12.3).
fn madt_ioapics(madt: &[u8]) -> Vec<u64> {
    const FIRST: usize = 44;
    const IO_APIC: u8 = 1;
    let mut found = Vec::new();
    let mut rest = madt.get(FIRST..).unwrap_or_default();
    while let [kind, length, ..] = rest {
        let Some(entry) = rest
            .get(..usize::from(*length))
            .filter(|entry| entry.len() >= 2)
        else {
            break;
        };
        if let (IO_APIC, Some(address)) = (*kind, entry.get(4..8)) {
            let address = address.try_into().map(u32::from_le_bytes).unwrap_or(0);
            found.push(u64::from(address));
        }
        rest = rest.get(entry.len()..).unwrap_or_default();
    }
    found
}

/// APIC IDs of the machine's CPUs: those of the first kernel that booted on it, for a kernel that
/// Baton started also knows one that does not exist.
#[must_use]
pub fn apic_ids(info: &InfoArgs, inherited: Option<&MachinePage>) -> Vec<u32> {
    match inherited {
        Some(machine) => machine
            .apic_ids
            .iter()
            .take(machine.cpu_count as usize)
            .copied()
            .collect(),
        None => info
            .cpus
            .iter()
            .take(info.cpu_count as usize)
            .map(|cpu| cpu.apic_id)
            .collect(),
    }
}

/// Ranges of one kind.
#[must_use]
pub fn ranges_of(machine: &MachinePage, kind: RangeKind) -> Vec<Range<u64>> {
    machine
        .ranges
        .iter()
        .take(machine.range_count as usize)
        .filter(|range| range.kind == kind.0)
        .map(|range| range.base..range.base.saturating_add(range.size))
        .collect()
}

/// RAM of this kernel above 1 MiB without the partition, in whole pages, adjacent ranges joined.
fn first_ranges(memory: &Map, info: &InfoArgs, partition: &Range<u64>) -> Vec<Range<u64>> {
    const MIB: u64 = 1 << 20;
    let mut ram = memory.system_ram();
    if info.inherited_region != 0 {
        ram.push(info.inherited_region..info.inherited_region + partition::layout::FIRMWARE_SIZE);
    }
    ram.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ram {
        let range = range.start.max(MIB).next_multiple_of(4096)..range.end & !4095;
        if range.start >= range.end {
            continue;
        }
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    let mut rest = Vec::new();
    for range in joined {
        for part in [
            range.start..range.end.min(partition.start),
            range.start.max(partition.end)..range.end,
        ] {
            if part.start < part.end && !rest.contains(&part) {
                rest.push(part);
            }
        }
    }
    rest
}

fn bridges(device: &Device, ecams: &[iomem::Ecam]) -> Result<Vec<PciBridge>> {
    let mut args = BridgesArgs::new_box_zeroed()
        .ok()
        .context("out of memory")?;
    device.request(&ioctl::BRIDGES, &mut *args)?;
    ensure!(
        args.truncated == 0,
        "the machine has more PCI host bridges than a handover carries"
    );
    let mut bridges = Vec::new();
    for mut bridge in args.bridges.into_iter().take(args.count as usize) {
        let ecam = ecams.iter().find(|ecam| {
            ecam.segment == bridge.segment
                && (ecam.bus_start..=ecam.bus_end).contains(&bridge.bus_start)
        });
        bridge.ecam = ecam.map_or(0, |ecam| ecam.base);
        bridges.push(bridge);
    }
    Ok(bridges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_apics_of_a_madt() {
        let mut madt = vec![0u8; 44];
        madt.extend([0, 8, 0, 0, 1, 0, 0, 0]);
        madt.extend([1, 12, 0, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0]);
        assert_eq!(madt_ioapics(&madt), [0xfec0_0000]);
        for cut in 0..madt.len() {
            madt_ioapics(&madt[..cut]);
        }
        madt.extend([7, 0]);
        assert_eq!(madt_ioapics(&madt), [0xfec0_0000]);
    }
}
