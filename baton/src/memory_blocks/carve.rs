//! Taking adjacent blocks offline.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};

use super::{Block, Blocks, State};
use crate::sysfs::Writer;

/// Alignment of what is taken, bytes.
pub(super) const ALIGNMENT: u64 = 2 << 20;
/// Below this the firmware and old devices have their memory.
const LOWEST: u64 = 16 << 20;
/// What lies below can be reached with 32 bits.
const FOUR_GIB: u64 = 1 << 32;

/// What to take.
#[derive(Clone, Copy, Debug)]
pub struct Carve {
    /// At least this many bytes.
    pub size: u64,
    /// How long one block may take.
    pub block_limit: Duration,
    /// How long all may take, those tried in vain included.
    pub total_limit: Duration,
}

impl Carve {
    /// `size` bytes, with limits that suit an operator who waits.
    #[must_use]
    pub fn of(size: u64) -> Self {
        Self {
            size,
            block_limit: Duration::from_secs(5),
            total_limit: Duration::from_secs(60),
        }
    }
}

/// Memory that was taken from the kernel. Dropping it brings the memory back; see
/// [`Carved::keep`].
#[derive(Debug)]
#[must_use = "dropping it gives the memory back to the kernel"]
pub struct Carved<'a, W: Writer> {
    blocks: &'a Blocks<W>,
    taken: Vec<Block>,
    range: Range<u64>,
}

impl<W: Writer> Carved<'_, W> {
    /// Physical addresses.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Numbers of the blocks.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        self.taken.iter().map(|block| block.number).collect()
    }

    /// Leaves the memory offline for good.
    pub fn keep(mut self) -> Range<u64> {
        self.taken.clear();
        self.range.clone()
    }

    /// Brings the memory back.
    ///
    /// # Errors
    /// The kernel refuses a block; the others are brought back nevertheless.
    pub fn give_back(mut self) -> Result<()> {
        self.blocks.give_back(std::mem::take(&mut self.taken))
    }
}

impl<W: Writer> Drop for Carved<'_, W> {
    fn drop(&mut self) {
        if let Err(error) = self.blocks.give_back(std::mem::take(&mut self.taken)) {
            eprintln!("baton: {error:#}");
        }
    }
}

impl<W: Writer> Blocks<W> {
    /// Takes at least `wanted.size` bytes in adjacent blocks offline: below 4 GiB if possible, as
    /// high as possible, never below 16 MiB. A place where the kernel cannot move everything away
    /// is given up for the next one.
    ///
    /// # Errors
    /// There is no such place, or it was not found in time; what the kernel said last is in the
    /// message.
    pub fn carve(&self, wanted: &Carve) -> Result<Carved<'_, W>> {
        let block_size = self.block_size()?;
        ensure!(wanted.size > 0, "a partition of no memory was asked for");
        let count = usize::try_from(wanted.size.div_ceil(block_size))?;
        let blocks = self.list()?;
        let end = Instant::now() + wanted.total_limit;
        let mut stuck = BTreeSet::new();
        let mut last = None;
        for place in places(&blocks, count, block_size) {
            if place.iter().any(|block| stuck.contains(&block.number)) {
                continue;
            }
            ensure!(
                Instant::now() < end,
                "the kernel did not free {} MiB in {} s; {}",
                wanted.size >> 20,
                wanted.total_limit.as_secs(),
                advice()
            );
            match self.take(place, block_size, wanted.block_limit) {
                Ok(carved) => return Ok(carved),
                Err((number, error)) => {
                    stuck.insert(number);
                    last = Some(error);
                }
            }
        }
        let failed = format!(
            "there is no place of {} MiB that the kernel can free ({count} adjacent memory blocks \
             of {} MiB, {} tried in vain); {}",
            wanted.size >> 20,
            block_size >> 20,
            stuck.len(),
            advice()
        );
        match last {
            Some(error) => Err(error.context(failed)),
            None => bail!(failed),
        }
    }

    /// Takes all blocks of `place`, or none: then the one that did not go is named.
    fn take(
        &self,
        place: &[Block],
        block_size: u64,
        limit: Duration,
    ) -> std::result::Result<Carved<'_, W>, (u64, anyhow::Error)> {
        let start = place.first().map_or(0, |block| block.number) * block_size;
        let mut carved = Carved {
            blocks: self,
            taken: Vec::new(),
            range: start..start + place.len() as u64 * block_size,
        };
        for block in place {
            // Even one that fails may have gone by the time its state is read back.
            carved.taken.push(block.clone());
            self.take_one(block.number, limit)
                .map_err(|error| (block.number, error))?;
        }
        Ok(carved)
    }

    fn take_one(&self, number: u64, limit: Duration) -> Result<()> {
        let path = self.state_path(number);
        let written = self.writer.write_within(&path, "offline", limit);
        if self.state(number)? == State::Offline {
            return Ok(());
        }
        match written {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => bail!(
                "memory block {number} was not free after {} ms; something in it cannot be moved",
                limit.as_millis()
            ),
            Err(error) => Err(error)
                .with_context(|| format!("the kernel does not take memory block {number} offline")),
            Ok(()) => bail!("the kernel has not taken memory block {number} offline"),
        }
    }

    /// Brings blocks online, into the zone they were in.
    fn give_back(&self, taken: Vec<Block>) -> Result<()> {
        let mut failed = Vec::new();
        for block in taken.iter().rev() {
            if matches!(self.state(block.number), Ok(State::Online)) {
                continue;
            }
            let movable = block.zones.first().is_some_and(|zone| zone == "Movable");
            let value = if movable { "online_movable" } else { "online" };
            let written = self.writer.write(&self.state_path(block.number), value);
            if !matches!(self.state(block.number), Ok(State::Online)) {
                let why = written
                    .err()
                    .map_or_else(String::new, |error| format!(" ({error})"));
                failed.push(format!("memory{}{why}", block.number));
            }
        }
        ensure!(
            failed.is_empty(),
            "the kernel does not take memory blocks back: {}; bring them online by hand (echo \
             online > {}/memoryN/state)",
            failed.join(", "),
            self.dir.display()
        );
        Ok(())
    }
}

/// What the operator can do.
fn advice() -> &'static str {
    "free memory, ask for less (--memory), or reserve some at boot (memmap=SIZE$ADDRESS)"
}

/// Every run of `count` adjacent online blocks, the best first.
fn places(blocks: &[Block], count: usize, block_size: u64) -> Vec<&[Block]> {
    let address = |block: &Block| block.number.saturating_mul(block_size);
    let usable = |place: &&[Block]| {
        let adjacent = place
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if b.number == a.number + 1));
        let online = place.iter().all(|block| block.state == State::Online);
        let high = place.first().is_some_and(|block| address(block) >= LOWEST);
        adjacent && online && high
    };
    let mut places: Vec<_> = blocks.windows(count).filter(usable).collect();
    places.sort_by_key(|place| {
        let start = place.first().map_or(0, address);
        let end = place.last().map_or(0, address).saturating_add(block_size);
        (end > FOUR_GIB, std::cmp::Reverse(start))
    });
    places
}
