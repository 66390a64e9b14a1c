//! Taking physically contiguous memory from the running kernel and giving it back.
//!
//! # Purpose
//! The kernel hands out its memory in blocks (`/sys/devices/system/memory/memoryN`, 128 MiB and
//! more each). [`Blocks::carve`] takes as many adjacent ones offline as a partition needs, and
//! the [`Carved`] it returns brings them back unless it is kept. [`reserved_at_boot`] is the
//! fall-back: memory that `memmap=SIZE$ADDRESS` kept away from the kernel. Source:
//! `Documentation/admin-guide/mm/memory-hotplug.rst`.
//!
//! # Invariants
//! * What was taken in vain is brought back at once.
//! * A block counts as taken only when its state was read back.
//! * No block is waited for longer than [`Carve::block_limit`]: the kernel itself would try for
//!   ever to move a page that is pinned.

mod carve;
mod reserved;

use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use crate::sysfs::{self, Kernel, Writer};

pub use carve::{Carve, Carved};
pub use reserved::reserved_at_boot;

/// State of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The kernel uses it.
    Online,
    /// The kernel does not.
    Offline,
    /// On the way from one to the other.
    Changing,
}

/// One block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// Number in its name, which is its address divided by the block size.
    pub number: u64,
    /// Its state.
    pub state: State,
    /// What `removable` says; on most kernels only that removal is supported at all.
    pub removable: Option<bool>,
    /// What `valid_zones` says: of an online block its zone (`none` if it is in several).
    pub zones: Vec<String>,
}

/// The memory blocks of the running kernel.
#[derive(Clone, Debug)]
pub struct Blocks<W = Kernel> {
    dir: PathBuf,
    writer: W,
}

impl Blocks {
    /// Those of the running kernel, where sysfs is mounted at `sysfs` (`/sys`).
    #[must_use]
    pub fn new(sysfs: &Path) -> Self {
        Self::with_writer(sysfs, Kernel)
    }
}

impl<W: Writer> Blocks<W> {
    /// Those below `sysfs`, changed through `writer`.
    #[must_use]
    pub fn with_writer(sysfs: &Path, writer: W) -> Self {
        Self {
            dir: sysfs.join("devices/system/memory"),
            writer,
        }
    }

    /// Size of a block, bytes.
    ///
    /// # Errors
    /// The kernel cannot remove memory, or sysfs cannot be read.
    pub fn block_size(&self) -> Result<u64> {
        let text = sysfs::read(&self.dir.join("block_size_bytes")).context(
            "this kernel cannot give memory away while it runs (CONFIG_MEMORY_HOTREMOVE); \
             reserve memory at boot instead (memmap=SIZE$ADDRESS)",
        )?;
        let size = u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        let size = size.filter(|size| size.is_power_of_two() && *size >= carve::ALIGNMENT);
        size.with_context(|| format!("the size of memory blocks is impossible: \"{text}\""))
    }

    /// All blocks by rising address.
    ///
    /// # Errors
    /// sysfs cannot be read.
    pub fn list(&self) -> Result<Vec<Block>> {
        let numbers = sysfs::numbered(&self.dir, "memory")?;
        numbers
            .into_iter()
            .map(|number| self.block(number))
            .collect()
    }

    fn block(&self, number: u64) -> Result<Block> {
        let dir = self.dir.join(format!("memory{number}"));
        if let Some(index) = sysfs::read_optional(&dir.join("phys_index"))? {
            ensure!(
                u64::from_str_radix(&index, 16) == Ok(number),
                "{} is not where its name says (phys_index is {index})",
                dir.display()
            );
        }
        let zones = sysfs::read_optional(&dir.join("valid_zones"))?.unwrap_or_default();
        Ok(Block {
            number,
            state: self.state(number)?,
            removable: sysfs::read_optional(&dir.join("removable"))?.map(|text| text == "1"),
            zones: zones.split_whitespace().map(str::to_owned).collect(),
        })
    }

    fn state_path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("memory{number}/state"))
    }

    fn state(&self, number: u64) -> Result<State> {
        Ok(match sysfs::read(&self.state_path(number))?.as_str() {
            "online" => State::Online,
            "offline" => State::Offline,
            _ => State::Changing,
        })
    }
}

#[cfg(test)]
mod tests;
