//! The memory and the CPU that this kernel gives away.

use super::{say, Options};
use crate::bzimage::BzImage;
use crate::cpus::Cpus;
use crate::iomem;
use crate::memory_blocks::{reserved_at_boot, Blocks, Carve, Carved};
use crate::sysfs::Kernel;
use anyhow::{ensure, Context, Result};
use handoff_abi::ioctl::InfoArgs;
use handoff_abi::machine::MachinePage;
use partition::layout::{Layout, FIRMWARE_SIZE, LOW_SIZE};
use std::ops::Range;

/// The partition's memory: blocks taken offline, or a range reserved at boot.
pub(super) enum Memory<'a> {
    Blocks(Carved<'a, Kernel>),
    Reserved(Range<u64>),
}

impl Memory<'_> {
    pub(super) fn range(&self) -> Range<u64> {
        match self {
            Self::Blocks(carved) => carved.range(),
            Self::Reserved(range) => range.clone(),
        }
    }

    pub(super) fn keep(self) {
        if let Self::Blocks(carved) = self {
            carved.keep();
        }
    }
}

/// Memory for the partition: reserved at boot, if there is any, or taken from this kernel.
pub(super) fn take_memory<'a>(
    size: u64,
    map: &iomem::Map,
    blocks: &'a Blocks,
) -> Result<Memory<'a>> {
    let size = size.next_multiple_of(FIRMWARE_SIZE);
    let command_line = std::fs::read_to_string("/proc/cmdline")?;
    if let Some(range) = reserved_at_boot(&command_line, map, size)? {
        return Ok(Memory::Reserved(range));
    }
    say(&format!("taking {} MiB from this kernel", size >> 20));
    Ok(Memory::Blocks(blocks.carve(&Carve::of(size))?))
}

/// Whether kernel and initramfs find room in `size` bytes, before anything is taken from this
/// kernel. The addresses, which nobody knows yet, are the worst that there can be.
pub(super) fn ensure_fits(size: u64, image: &BzImage, initrd: usize) -> Result<()> {
    let size = size.next_multiple_of(FIRMWARE_SIZE);
    let (base, low) = (FIRMWARE_SIZE, LOW_SIZE);
    let initrd = u64::try_from(initrd)?;
    Layout::new(
        base,
        size,
        low,
        image.kernel_alignment,
        image.init_size,
        initrd,
    )
    .map(drop)
    .with_context(|| format!("kernel {}", image.release))
}

/// A CPU by this kernel's number and its APIC ID.
#[derive(Clone, Copy)]
pub(super) struct Cpu {
    pub(super) number: u32,
    pub(super) apic_id: u32,
}

/// The CPU to give away: never the bootstrap processor, which INIT would reset with the machine.
pub(super) fn choose_cpu(
    options: &Options,
    cpus: &Cpus,
    info: &InfoArgs,
    inherited: Option<&MachinePage>,
) -> Result<Cpu> {
    let known = || info.cpus.iter().take(info.cpu_count as usize);
    let bsp = inherited.map_or(info.bsp_apic_id, |machine| machine.bsp_apic_id);
    let mut never: Vec<u32> = known()
        .filter(|entry| entry.apic_id == bsp)
        .map(|entry| entry.cpu)
        .collect();
    never.push(0);
    let number = match options.cpu {
        Some(cpu) => {
            ensure!(
                !never.contains(&cpu),
                "CPU {cpu} is the machine's bootstrap processor"
            );
            ensure!(cpus.online()?.contains(&cpu), "CPU {cpu} is not online");
            cpu
        }
        None => cpus.pick(&never)?,
    };
    let entry = known().find(|entry| entry.cpu == number);
    let apic_id = entry.map(|entry| entry.apic_id);
    Ok(Cpu {
        number,
        apic_id: apic_id.with_context(|| format!("CPU {number} has no APIC ID"))?,
    })
}
