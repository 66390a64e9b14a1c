//! What the 1st OS leaves in the handoff region, sealed when it is written and checked before the
//! 2nd OS commits.
//!
//! # The seals
//! `baton load` writes the pages that describe machine, structures and places once; whatever else
//! has the region mapped until the handover, weeks later perhaps, must not change them. So
//! [`seal`] puts their checksums into the blob of the system snapshot, which has one of its own.
//! `baton update` compares, refuses if they differ, and adds the snapshot and the file systems,
//! which it writes anew ([`leave`]). The agent compares again while the machine can still be given
//! back ([`Inheritance::read`]): no single change of what it goes by passes unseen.
//!
//! The control page changes all the time: the stop word is guarded by the notifier's rules, and a
//! wrong state of either side ends in an update that is refused or called off. Stamps and counters
//! only inform.

use crate::network::Snapshot;
use crate::region::Region;
use crate::system::SystemSnapshot;
use anyhow::{ensure, Context, Result};
use handoff_abi::filesystem::{FilesystemEntry, FilesystemPage, MAX_FILESYSTEMS};
use handoff_abi::region::{self, Section as Place};
use std::mem::offset_of;

/// Pages that `baton load` writes and nobody changes.
const LASTING: [Place; 3] = [region::HEADER, region::MACHINE, region::DESCRIPTOR];
/// Pages of which only the header must be right.
const HEADED: [Place; 3] = [region::CONTROL, region::TIMELINE, region::LOSSES];
/// Bytes of one checksum.
const SEAL: usize = 4;
/// Bytes before the system snapshot: the seals of [`LASTING`], and of the file systems.
const SEALS: usize = (LASTING.len() + 1) * SEAL;

/// Seals what `baton load` wrote.
///
/// # Errors
/// A page is not accessible.
pub fn seal(region: &Region, generation: u64) -> Result<()> {
    let mut bytes = Vec::with_capacity(SEALS);
    for place in LASTING {
        bytes.extend(region.checksum(place, place.size)?.to_le_bytes());
    }
    bytes.extend([0; SEAL]);
    region.write_blob(region::SYSTEM, generation, &bytes)
}

/// Adds the system snapshot and the seal of the file systems, for `baton update`.
///
/// # Errors
/// What `baton load` wrote has changed since.
pub fn leave(region: &Region, generation: u64, system: &[u8]) -> Result<()> {
    let old = compare(region)?;
    let lasting = old.get(..SEALS - SEAL).context("seals")?;
    let filesystems = region.checksum(region::FILESYSTEMS, filesystems_size(region)?)?;
    let mut bytes = lasting.to_vec();
    bytes.extend(filesystems.to_le_bytes());
    bytes.extend(system);
    region.write_blob(region::SYSTEM, generation, &bytes)
}

/// What the agent goes by in a takeover.
#[derive(Debug)]
pub struct Inheritance {
    /// Names, mounts, settings.
    pub system: SystemSnapshot,
    /// The network.
    pub network: Snapshot,
    /// The file systems whose cache is to be migrated.
    pub filesystems: Box<FilesystemPage>,
}

impl Inheritance {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// Something is missing or has changed: the machine is to be given back.
    pub fn read(region: &Region) -> Result<Self> {
        let bytes = compare(region)?;
        let (seals, system) = bytes.split_at_checked(SEALS).context("seals")?;
        let filesystems = region.checksum(region::FILESYSTEMS, filesystems_size(region)?)?;
        ensure!(
            seals.ends_with(&filesystems.to_le_bytes()),
            changed(region::FILESYSTEMS)
        );
        let network = region
            .read_blob(region::NETWORK)?
            .with_context(|| format!("there is no {}", region::NETWORK.name))?;
        Ok(Self {
            system: SystemSnapshot::from_bytes(system)?,
            network: Snapshot::from_bytes(&network)?,
            filesystems: region.read(region::FILESYSTEMS)?,
        })
    }
}

/// Compares everything that must be as `baton load` left it; the blob with the seals.
fn compare(region: &Region) -> Result<Vec<u8>> {
    let generation = region.header()?.header.generation;
    let more = [region::FILESYSTEMS, region::NETWORK, region::SYSTEM];
    for place in LASTING.into_iter().chain(HEADED).chain(more) {
        let header = region.section(place)?.header_of(generation);
        header.with_context(|| format!("the {} page", place.name))?;
    }
    let blob = region
        .read_blob(region::SYSTEM)?
        .with_context(|| format!("there is no {}", region::SYSTEM.name))?;
    let (seals, _) = blob.as_chunks::<SEAL>();
    for (place, seal) in LASTING.into_iter().zip(seals) {
        let now = region.checksum(place, place.size)?;
        ensure!(now.to_le_bytes() == *seal, changed(place));
    }
    ensure!(blob.len() >= SEALS, changed(region::SYSTEM));
    Ok(blob)
}

fn changed(place: Place) -> String {
    format!(
        "the {} page of the handoff region has changed since it was written; `baton unload`, and \
         load again",
        place.name
    )
}

/// Bytes of the page of file systems that are in use.
fn filesystems_size(region: &Region) -> Result<usize> {
    let page = region.section(region::FILESYSTEMS)?;
    let count = page.load_u32(offset_of!(FilesystemPage, count))? as usize;
    ensure!(
        count <= MAX_FILESYSTEMS,
        "the page of file systems names {count}, more than {MAX_FILESYSTEMS}"
    );
    Ok(offset_of!(FilesystemPage, entries) + count * size_of::<FilesystemEntry>())
}

#[cfg(test)]
mod tests;
