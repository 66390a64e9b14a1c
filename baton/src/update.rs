//! `baton update`: this kernel stops, the other goes on.

use crate::describe;
use crate::device::{checkpoint_journal, Device};
use crate::exit;
use crate::inheritance;
use crate::network::{Snapshot, Watcher};
use crate::region::Region;
use crate::system::SystemSnapshot;
use anyhow::{bail, ensure, Context, Result};
use handoff_abi::filesystem::FilesystemFlags;
use handoff_abi::ioctl::{self, StopArgs};
use handoff_abi::region;
use handoff_abi::status::{Reason, SecondState};
use std::os::fd::AsRawFd;
use std::time::Duration;
use zerocopy::FromZeros;

/// Most snapshots taken because the network kept changing.
const MAX_SNAPSHOTS: u32 = 8;

/// How long each step may take before the update is called off.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For writers and journals to come to rest.
    pub quiesce: Duration,
    /// For every CPU to stop.
    pub park: Duration,
    /// For the 2nd OS to take the notice.
    pub answer: Duration,
    /// For it to begin.
    pub commit: Duration,
}

/// Hands the machine over. Does not return if it succeeds.
///
/// # Errors
/// In words for the operator; this kernel and everything on it go on.
pub fn run(limits: &Limits) -> Result<()> {
    let device = Device::open()?;
    device.lock()?;
    let info = device.info()?;
    ensure!(
        info.role == ioctl::Role::FIRST.0,
        "no kernel is loaded; `baton load` does it"
    );
    let region = Region::map(&device, info.region)?;
    let state = region.second_state()?;
    ensure!(
        state == SecondState::READY,
        "the 2nd OS is not ready: {}; `baton unload`, and load it again",
        not_ready(state, &region.failure()?.1)
    );
    // What an earlier update failed of is not this one's reason.
    region.set_failure(Reason::NONE, "")?;
    let generation = region.header()?.header.generation;
    let system = SystemSnapshot::take()?;
    let filesystems = describe::filesystems(&device, &system)?;
    let page = describe::filesystem_page(&filesystems, generation)?;
    region.section(region::FILESYSTEMS)?.publish(0, &*page)?;
    inheritance::leave(&region, generation, &system.to_bytes()?)?;
    let mut args = StopArgs::new_zeroed();
    args.quiesce_ms = millis(limits.quiesce)?;
    args.park_ms = millis(limits.park)?;
    args.answer_ms = millis(limits.answer)?;
    args.commit_ms = millis(limits.commit)?;
    args.fd_count = u32::try_from(filesystems.len())?;
    for (slot, filesystem) in args.fds.iter_mut().zip(&filesystems) {
        *slot = filesystem.root.as_raw_fd();
    }
    shorten_journals(&filesystems);
    snapshot_network(&region, generation)?;
    match device.try_request(&ioctl::STOP, &mut args) {
        Ok(()) => bail!("the stop came back without a reason; this kernel goes on"),
        Err(error) => Err(explain(&region, &args, &filesystems, &error)),
    }
}

/// Writes the journals out while everybody still works: what is in them at the stop has to be
/// replayed before the file system can be mounted. Only a matter of time, so a kernel that cannot
/// do it is no failure.
fn shorten_journals(filesystems: &[describe::OpenFilesystem]) {
    for filesystem in filesystems {
        let flags = FilesystemFlags::from_bits(filesystem.entry.flags);
        if flags.has_journal_tids() && !flags.read_only() {
            let _ = checkpoint_journal(&filesystem.root);
        }
    }
}

/// Takes the network's state, again if it changed meanwhile.
fn snapshot_network(region: &Region, generation: u64) -> Result<()> {
    let mut watcher = Watcher::new()?;
    for _ in 0..MAX_SNAPSHOTS {
        let bytes = Snapshot::take()?.to_bytes()?;
        region.write_blob(region::NETWORK, generation, &bytes)?;
        if !watcher.changed() {
            return Ok(());
        }
    }
    bail!("the network's configuration keeps changing; try again")
}

/// What it is instead, and why.
fn not_ready(state: SecondState, failure: &str) -> String {
    let text = state.text().unwrap_or("in an unknown state");
    match failure {
        "" => text.to_owned(),
        _ => format!("{text} ({failure})"),
    }
}

fn millis(duration: Duration) -> Result<u32> {
    u32::try_from(duration.as_millis()).context("a time limit is too long")
}

fn explain(
    region: &Region,
    args: &StopArgs,
    filesystems: &[describe::OpenFilesystem],
    error: &std::io::Error,
) -> anyhow::Error {
    let reason = Reason(args.reason);
    let mut text = match reason {
        Reason::NONE => format!("the update was refused: {error}"),
        _ => reason
            .text()
            .unwrap_or("the update was aborted for an unknown reason")
            .to_owned(),
    };
    if reason == Reason::WRITERS_BUSY || reason == Reason::JOURNAL {
        if let Some(filesystem) = filesystems.get(args.culprit as usize) {
            let mount = crate::region::text_of(&filesystem.entry.mount_point);
            text = format!("{text} ({mount})");
        }
    }
    if let Ok((_, message)) = region.failure() {
        if !message.is_empty() {
            text = format!("{text}: {message}");
        }
    }
    exit::CalledOff(format!("{text}. This kernel goes on; nothing was lost.")).into()
}
