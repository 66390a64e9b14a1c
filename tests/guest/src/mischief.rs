//! What a test of faults needs done on the machine, and no ordinary program does.
#![allow(
    unsafe_code,
    reason = "maps memory that others change, and lends pages to the kernel"
)]

use std::fs::OpenOptions;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread::{park, sleep};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use memmap2::{Advice, MmapMut, MmapOptions};
use rustix::pipe::{pipe, vmsplice, IoSliceRaw, SpliceFlags};

/// Pages that a pipe holds.
const PIPE_PAGES: usize = 16;

/// What to do.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Mischief {
    /// Change a word of memory that a device lets be mapped.
    Poke {
        /// The device.
        #[arg(long, default_value = "/dev/baton")]
        device: PathBuf,
        /// Physical address of the word, decimal.
        #[arg(long)]
        at: u64,
        /// Bits to turn over.
        #[arg(long, default_value_t = 1)]
        flip: u32,
        /// Write the changed word again and again for so long.
        #[arg(long)]
        hold_ms: Option<u64>,
    },
    /// Take memory and keep one page of every few from being moved; does not end by itself.
    Pin {
        /// Memory to take, MiB; all but the pinned pages is given back.
        #[arg(long)]
        mib: usize,
        /// A page is pinned in each so many.
        #[arg(long, default_value_t = 4096)]
        every: usize,
        /// Made when it is done.
        #[arg(long)]
        done: PathBuf,
    },
}

impl Mischief {
    /// Does it.
    ///
    /// # Errors
    /// The kernel does not let it.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Poke {
                device,
                at,
                flip,
                hold_ms,
            } => poke(&device, at, flip, hold_ms.map(Duration::from_millis)),
            Self::Pin { mib, every, done } => {
                let pinned = pin(mib, every)?;
                std::fs::write(&done, pinned.to_string())
                    .with_context(|| format!("cannot write {}", done.display()))?;
                loop {
                    park();
                }
            }
        }
    }
}

fn poke(device: &PathBuf, at: u64, flip: u32, hold: Option<Duration>) -> Result<()> {
    let page = rustix::param::page_size();
    let file = OpenOptions::new().read(true).write(true).open(device);
    let file = file.with_context(|| format!("cannot open {}", device.display()))?;
    let start = at - at % page as u64;
    let word = usize::try_from(at - start)?..usize::try_from(at - start)? + 4;
    // SAFETY: others change this memory at any time; it is only read and written as bytes here.
    let map = unsafe { MmapOptions::new().offset(start).len(page).map_mut(&file) };
    let mut map = map.with_context(|| format!("cannot map {at:#x}"))?;
    let bytes = map.get_mut(word).context("a word lies in one page")?;
    let old = u32::from_le_bytes((&*bytes).try_into()?);
    let new = (old ^ flip).to_le_bytes();
    bytes.copy_from_slice(&new);
    let end = Instant::now() + hold.unwrap_or_default();
    while Instant::now() < end {
        bytes.copy_from_slice(&new);
        sleep(Duration::from_micros(100));
    }
    println!("{old}");
    Ok(())
}

/// Lends pages to pipes that nobody reads: a page with a reference that its owner does not know
/// of cannot be moved. How many.
fn pin(mib: usize, every: usize) -> Result<usize> {
    ensure!(every > 0, "a page in each 0");
    let page = rustix::param::page_size();
    let mut map = MmapMut::map_anon(mib << 20).context("cannot take memory")?;
    // Large pages come faster; one that is lent in part stays where it is as a whole.
    if let Err(error) = map.advise(Advice::HugePage) {
        eprintln!("no large pages: {error}");
    }
    for at in (0..map.len()).step_by(page) {
        if let Some(byte) = map.get_mut(at) {
            *byte = 1;
        }
    }
    let mut pipes: Vec<(OwnedFd, OwnedFd)> = Vec::new();
    let mut pinned = 0;
    for at in (0..map.len()).step_by(every.saturating_mul(page)) {
        if pinned % PIPE_PAGES == 0 {
            pipes.push(pipe().context("cannot make a pipe")?);
        }
        let (Some(bytes), Some((_, end))) = (map.get(at..at + page), pipes.last()) else {
            break;
        };
        // SAFETY: the pages are never changed again, and stay mapped until the pipes have them.
        let lent =
            unsafe { vmsplice(end, &[IoSliceRaw::from_slice(bytes)], SpliceFlags::NONBLOCK) };
        ensure!(lent.context("vmsplice")? == page, "a page was lent in part");
        pinned += 1;
    }
    drop(map);
    // Kept by this process until it ends.
    std::mem::forget(pipes);
    Ok(pinned)
}
