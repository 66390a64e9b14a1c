//! The map of physical memory and of I/O ports, as the running kernel has it.
//!
//! # Purpose
//! [`parse`] reads the text of `/proc/iomem` or `/proc/ioports`, and [`Map`] answers where RAM is,
//! where the PCI configuration space (ECAM) of each segment is, and whether a range is reserved.
//! Source: `kernel/resource.c`, `arch/x86/pci/mmconfig-shared.c`.
//!
//! # Invariants
//! Ranges are half open (`start..end`), sorted, and do not overlap. A map that was read without
//! the right to see addresses is an error, never a map of zeros.

use std::ops::Range;

use anyhow::{bail, ensure, Context, Result};

/// End of the memory that real mode reaches.
const LOW_END: u64 = 0x10_0000;
/// Bytes of ECAM for one bus, as a power of two.
const ECAM_BUS_SHIFT: u32 = 20;

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// First address.
    pub start: u64,
    /// Last address.
    pub last: u64,
    /// How many resources it is in.
    pub depth: usize,
    /// Name.
    pub name: String,
}

/// ECAM of a range of buses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ecam {
    /// PCI segment (domain).
    pub segment: u32,
    /// First bus.
    pub bus_start: u32,
    /// Last bus.
    pub bus_end: u32,
    /// Address of the configuration space of bus 0 of the segment, which need not be in the range.
    pub base: u64,
    /// First address of the range.
    pub start: u64,
    /// Length of the range, bytes.
    pub size: u64,
}

/// All lines, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Map {
    resources: Vec<Resource>,
}

/// Reads the text of `/proc/iomem` or `/proc/ioports`.
///
/// # Errors
/// A line that is no resource, an empty text, and a text whose addresses are hidden.
pub fn parse(text: &str) -> Result<Map> {
    let mut resources = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let resource = resource(line).with_context(|| {
            format!("cannot understand the line \"{line}\" of the kernel's resource map")
        })?;
        resources.push(resource);
    }
    ensure!(
        !resources.is_empty(),
        "the kernel's resource map is empty; is /proc mounted?"
    );
    if resources.iter().all(|r| r.start == 0 && r.last == 0) {
        bail!("the kernel hides the addresses in its resource map (all are zero); run as root");
    }
    Ok(Map { resources })
}

/// `  START-LAST : NAME`, hexadecimal, two blanks for each resource it is in.
fn resource(line: &str) -> Result<Resource> {
    let body = line.trim_start_matches(' ');
    let depth = line.len().saturating_sub(body.len()) / 2;
    let (range, name) = body.split_once(" : ").context("there is no colon")?;
    let (start, last) = range.split_once('-').context("there is no range")?;
    let start = u64::from_str_radix(start, 16)?;
    let last = u64::from_str_radix(last, 16)?;
    ensure!(start <= last, "the range is reversed");
    Ok(Resource {
        start,
        last,
        depth,
        name: name.trim_end().to_owned(),
    })
}

impl Map {
    /// All lines.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Lines of this name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |r| r.name == name)
    }

    /// All RAM that the kernel knows, wherever in the tree: that of the firmware's map, and what
    /// was added later (`System RAM (virtio_mem)` and the like).
    #[must_use]
    pub fn system_ram(&self) -> Vec<Range<u64>> {
        self.ranges(|r| r.name == "System RAM" || r.name.starts_with("System RAM ("))
    }

    /// RAM below 1 MiB.
    #[must_use]
    pub fn low_ram(&self) -> Vec<Range<u64>> {
        let ram = self.system_ram().into_iter();
        ram.filter(|r| r.start < LOW_END)
            .map(|r| r.start..r.end.min(LOW_END))
            .collect()
    }

    /// What is reserved, by the firmware or by `memmap=`.
    #[must_use]
    pub fn reserved(&self) -> Vec<Range<u64>> {
        self.ranges(|r| r.name.eq_ignore_ascii_case("reserved"))
    }

    /// Whether all of `range` is reserved and none of it RAM.
    #[must_use]
    pub fn is_reserved(&self, range: &Range<u64>) -> bool {
        let inside = |r: &Range<u64>| r.start <= range.start && range.end <= r.end;
        let touches = |r: &Range<u64>| r.start < range.end && range.start < r.end;
        self.reserved().iter().any(inside) && !self.system_ram().iter().any(touches)
    }

    /// ECAM ranges, each once (`PCI MMCONFIG …`, or `PCI ECAM …` from 6.9 on).
    ///
    /// # Errors
    /// A name or a length that does not fit its buses.
    pub fn ecam(&self) -> Result<Vec<Ecam>> {
        let mut all = Vec::new();
        for resource in &self.resources {
            let name = resource.name.as_str();
            let buses = name
                .strip_prefix("PCI MMCONFIG ")
                .or(name.strip_prefix("PCI ECAM "));
            if let Some(buses) = buses {
                let ecam = ecam(resource, buses).with_context(|| {
                    format!("cannot understand \"{name}\" at {:#x}", resource.start)
                })?;
                if !all.contains(&ecam) {
                    all.push(ecam);
                }
            }
        }
        Ok(all)
    }

    /// The ranges of the lines that `wanted` picks, sorted and joined.
    fn ranges(&self, wanted: impl Fn(&Resource) -> bool) -> Vec<Range<u64>> {
        let picked = self.resources.iter().filter(|r| wanted(r));
        let mut ranges: Vec<_> = picked.map(|r| r.start..r.last.saturating_add(1)).collect();
        ranges.sort_by_key(|r| (r.start, r.end));
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        joined
    }
}

/// `SSSS [bus BB-BB]`, hexadecimal; the range begins at the configuration space of the first bus.
fn ecam(resource: &Resource, buses: &str) -> Result<Ecam> {
    let (segment, buses) = buses.split_once(" [bus ").context("there are no buses")?;
    let (first, last) = buses
        .strip_suffix(']')
        .and_then(|buses| buses.split_once('-'))
        .context("there is no range of buses")?;
    let segment = u32::from_str_radix(segment, 16)?;
    let bus_start = u32::from_str_radix(first, 16)?;
    let bus_end = u32::from_str_radix(last, 16)?;
    ensure!(
        bus_start <= bus_end && bus_end <= 0xff,
        "the range of buses is impossible"
    );
    let below = u64::from(bus_start) << ECAM_BUS_SHIFT;
    let base = resource
        .start
        .checked_sub(below)
        .context("it lies too low for its buses")?;
    let size = (u64::from(bus_end - bus_start) + 1) << ECAM_BUS_SHIFT;
    ensure!(
        resource.last - resource.start == size - 1,
        "its length does not fit its buses"
    );
    Ok(Ecam {
        segment,
        bus_start,
        bus_end,
        base,
        start: resource.start,
        size,
    })
}

#[cfg(test)]
mod tests;
