//! The 1st OS's memory becomes this kernel's.
//!
//! # Purpose
//! Whole memory blocks are hot-added and brought online: a quarter for the kernel's own objects,
//! the rest movable, so that the next partition can be made of it. Without the first part, all
//! that a kernel allocates for itself would have to fit into the partition it was booted in. The
//! ratio is that of `auto_movable_ratio` (`Documentation/admin-guide/mm/memory-hotplug.rst`), and
//! the lower addresses are for the kernel, whose devices may reach no others.

use crate::agent::log;
use crate::describe::ranges_of;
use crate::device::Device;
use crate::memory_blocks::Blocks;
use anyhow::{Context, Result};
use handoff_abi::ioctl::{self, RangeArgs};
use handoff_abi::machine::{MachinePage, RangeKind};
use std::path::{Path, PathBuf};
use zerocopy::FromZeros;

/// One of so many parts of the machine's memory is for the kernel's own objects.
const KERNEL_SHARE: u64 = 4;

/// Adds what is whole memory blocks, and returns the bytes. A block that cannot be added is
/// logged.
///
/// # Errors
/// This kernel cannot add memory.
pub(super) fn add(device: &Device, machine: &MachinePage, sysfs: &Path) -> Result<u64> {
    let block = Blocks::new(sysfs).block_size()?;
    let bases = whole_blocks(ranges_of(machine, RangeKind::FIRST), block);
    let own = own_memory();
    let for_kernel = kernel_blocks(own, bases.len() as u64, block);
    // A block that comes online by itself does so in a zone that nobody chose here.
    let automatic = Automatic::suspend(sysfs.join("devices/system/memory/auto_online_blocks"));
    let mut bytes = 0;
    for (position, base) in (0u64..).zip(bases) {
        let zone = match position < for_kernel {
            true => "online_kernel",
            false => "online_movable",
        };
        let mut args = RangeArgs::new_zeroed();
        args.base = base;
        args.size = block;
        let added = device.request(&ioctl::ADD_MEMORY, &mut args);
        match added.and_then(|()| bring_online(sysfs, base / block, zone)) {
            Ok(()) => bytes += block,
            Err(error) => log(&format!("memory at {base:#x}: {error:#}")),
        }
    }
    drop(automatic);
    Ok(bytes)
}

/// Addresses of the blocks of `size` bytes that lie wholly in one of `ranges`, rising.
fn whole_blocks(ranges: impl IntoIterator<Item = std::ops::Range<u64>>, size: u64) -> Vec<u64> {
    let mut bases = Vec::new();
    for range in ranges {
        let mut next = range.start.checked_next_multiple_of(size);
        while let Some(base) = next {
            next = base.checked_add(size).filter(|end| *end <= range.end);
            bases.extend(next.map(|_| base));
        }
    }
    bases.sort_unstable();
    bases
}

/// How many of `blocks` blocks of `size` bytes are for the kernel, which has `own` bytes.
fn kernel_blocks(own: u64, blocks: u64, size: u64) -> u64 {
    let all = own.saturating_add(blocks.saturating_mul(size));
    (all / KERNEL_SHARE).saturating_sub(own) / size
}

/// Memory of the running kernel, bytes.
fn own_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit))
}

/// Brings a block online in `zone`, if the kernel has not done so by itself.
fn bring_online(sysfs: &Path, number: u64, zone: &str) -> Result<()> {
    let path = sysfs.join(format!("devices/system/memory/memory{number}/state"));
    let state = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    if state.trim() == "online" {
        return Ok(());
    }
    std::fs::write(&path, zone).with_context(|| format!("{}: {zone}", path.display()))
}

/// Whether hot-added memory comes online by itself, set back when dropped.
struct Automatic {
    path: PathBuf,
    before: Option<String>,
}

impl Automatic {
    /// Switches it off. A kernel on which that fails brings blocks online where it likes.
    fn suspend(path: PathBuf) -> Self {
        let before = std::fs::read_to_string(&path).ok();
        if let Err(error) = std::fs::write(&path, "offline") {
            log(&format!("{}: {error}", path.display()));
        }
        Self { path, before }
    }
}

impl Drop for Automatic {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            if let Err(error) = std::fs::write(&self.path, before.trim()) {
                log(&format!("{}: {error}", self.path.display()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{kernel_blocks, whole_blocks};

    const BLOCK: u64 = 128 << 20;

    #[test]
    fn only_whole_blocks_are_added() {
        let ranges = [
            0x1000..BLOCK,
            BLOCK..3 * BLOCK + 1,
            5 * BLOCK + 1..7 * BLOCK - 1,
        ];
        assert_eq!(whole_blocks(ranges, BLOCK), [BLOCK, 2 * BLOCK]);
        let at_the_top = [u64::MAX - BLOCK..u64::MAX, u64::MAX - 1..u64::MAX];
        assert!(whole_blocks(at_the_top, BLOCK).is_empty());
    }

    #[test]
    fn a_quarter_of_the_memory_is_for_the_kernel() {
        let own = 512 << 20;
        assert_eq!(kernel_blocks(own, 12, BLOCK), 0);
        assert_eq!(kernel_blocks(own, 20, BLOCK), 2);
        assert_eq!(kernel_blocks(own, 508, BLOCK), 124);
        assert_eq!(kernel_blocks(u64::MAX, 4, BLOCK), 0);
    }
}
