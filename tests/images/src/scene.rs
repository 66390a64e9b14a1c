//! Files of every kind, unwritten, made inside the machine that is about to stop.
//!
//! The order matters. What is to be on the disk is made first, and a last `fsync` commits the
//! journal, which on the machine is not committed by time. Everything after that is in memory
//! only, and so are, before it, overwritten and newly allocated blocks: a journal of ext4 holds
//! metadata, and a commit does not write data that has no place on the disk yet.

mod files;
mod list;
mod maker;
mod odd;

use std::path::Path;

use anyhow::{Context, Result};

use crate::manifest::FileEntry;
use maker::Maker;

/// A finished scene. What it holds open or mapped stays so until it is dropped.
pub struct Scene {
    /// What the files hold, as read from them.
    pub files: Vec<FileEntry>,
    _maker: Maker,
}

/// Makes every kind of file in `dir`, a folder of the file system mounted at `mount`; the one that
/// is streamed becomes `mib` long.
///
/// # Errors
/// The kernel's, with the file.
pub fn varied(mount: &Path, dir: &Path, mib: u64) -> Result<Scene> {
    let mut maker = Maker::new(mount, dir)?;
    files::on_disk(&mut maker)?;
    files::committed(&mut maker)?;
    files::plain(&mut maker)?;
    files::with_holes(&mut maker)?;
    files::streamed(&mut maker, "stream", mib << 20)?;
    odd::mapped(&mut maker)?;
    odd::resized(&mut maker)?;
    odd::names(&mut maker)?;
    odd::pieces(&mut maker)?;
    finish(maker)
}

/// Makes files of together `mib` MiB, for measurements.
///
/// # Errors
/// As [`varied`].
pub fn filled(mount: &Path, dir: &Path, mib: u64) -> Result<Scene> {
    /// Length of one.
    const EACH: u64 = 16;
    let mut maker = Maker::new(mount, dir)?;
    for number in 0..mib.div_ceil(EACH) {
        let length = EACH.min(mib - number * EACH) << 20;
        files::streamed(&mut maker, &format!("fill-{number}"), length)?;
    }
    finish(maker)
}

/// Makes files of together `mib` MiB whose frames are scattered: they are written page by page in
/// turns.
///
/// # Errors
/// As [`varied`].
pub fn mixed(mount: &Path, dir: &Path, mib: u64) -> Result<Scene> {
    let mut maker = Maker::new(mount, dir)?;
    files::in_turns(&mut maker, 8, mib << 20)?;
    finish(maker)
}

/// Makes a file of `mib` MiB that is on the disk with other content, and whose inode the journal
/// knows: whoever then writes it back on a slow disk has its pages under writeback, not dirty.
///
/// # Errors
/// As [`varied`].
pub fn rewritten(mount: &Path, dir: &Path, mib: u64) -> Result<Scene> {
    let mut maker = Maker::new(mount, dir)?;
    files::rewritten(&mut maker, mib << 20)?;
    finish(maker)
}

fn finish(maker: Maker) -> Result<Scene> {
    let files = list::list(&maker).context("cannot list the files")?;
    Ok(Scene {
        files,
        _maker: maker,
    })
}
