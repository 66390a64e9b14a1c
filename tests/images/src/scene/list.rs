//! The listing: what a program reads from the files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use baton_guest::{content::hash, text};
use rustix::fs::{seek, OFlags, SeekFrom};
use rustix::io::Errno;

use super::maker::{Made, Maker};
use crate::manifest::{FileEntry, State, BLOCK};

/// Blocks read at once.
const AT_ONCE: u64 = 64;

/// Lists all files of `maker`.
pub fn list(maker: &Maker) -> Result<Vec<FileEntry>> {
    let all = maker.made.iter();
    all.map(|made| entry(&maker.mount, made).with_context(|| format!("{:?}", made.names)))
        .collect()
}

fn entry(mount: &Path, made: &Made) -> Result<FileEntry> {
    let opened;
    let file = match &made.held {
        Some(file) => file,
        None => {
            let flags = i32::try_from(OFlags::NOATIME.bits())?;
            let name = made.names.first().context("it has no name")?;
            // To read must not change the inode.
            opened = File::options().read(true).custom_flags(flags).open(name)?;
            &opened
        }
    };
    let meta = file.metadata()?;
    let mut blocks = match &made.content {
        Some(content) => content
            .iter()
            .map(|(block, bytes)| (*block, hash(bytes)))
            .collect(),
        None => read(file, meta.size())?,
    };
    if made.content.is_some() {
        // The last is as long as the file.
        if let Some((block, bytes)) = made.content.iter().flatten().next_back() {
            let len = usize::try_from(meta.size() - block * BLOCK)?;
            blocks.insert(*block, hash(&bytes[..len.min(bytes.len())]));
        }
    }
    let dirty = match (made.state, &made.dirty) {
        (State::Clean, _) => Vec::new(),
        (_, Some(dirty)) => dirty.clone(),
        (_, None) => blocks.keys().copied().collect(),
    };
    let mut paths = Vec::new();
    for name in &made.names {
        let below = Path::new("/").join(name.strip_prefix(mount)?);
        paths.push(text::encode(below.as_os_str()));
    }
    Ok(FileEntry {
        mount: mount.display().to_string(),
        paths,
        state: made.state,
        ino: meta.ino(),
        mode: meta.mode(),
        nlink: meta.nlink(),
        size: meta.size(),
        mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        dirty: runs(dirty.iter().map(|block| (*block, ())))
            .into_iter()
            .map(|(first, run)| (first, run.len() as u64))
            .collect(),
        blocks: runs(blocks),
    })
}

/// Joins what has consecutive numbers.
fn runs<T>(items: impl IntoIterator<Item = (u64, T)>) -> Vec<(u64, Vec<T>)> {
    let mut runs: Vec<(u64, Vec<T>)> = Vec::new();
    for (number, item) in items {
        match runs.last_mut() {
            Some((first, run)) if *first + run.len() as u64 == number => run.push(item),
            _ => runs.push((number, vec![item])),
        }
    }
    runs
}

/// Hashes of the blocks that are not holes, nor unwritten extents without a page.
fn read(file: &File, size: u64) -> Result<BTreeMap<u64, u64>> {
    let mut blocks = BTreeMap::new();
    let mut offset = 0;
    let mut buffer = vec![0; usize::try_from(AT_ONCE * BLOCK)?];
    while offset < size {
        let data = match seek(file, SeekFrom::Data(offset)) {
            Ok(data) => data / BLOCK * BLOCK,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let end = seek(file, SeekFrom::Hole(data.max(offset)))?.min(size);
        let mut at = data;
        while at < end {
            let want = (end.next_multiple_of(BLOCK).min(size) - at).min(AT_ONCE * BLOCK);
            let bytes = &mut buffer[..usize::try_from(want)?];
            file.read_exact_at(bytes, at)?;
            for (number, block) in (at / BLOCK..).zip(bytes.chunks(usize::try_from(BLOCK)?)) {
                blocks.insert(number, hash(block));
            }
            at += want;
        }
        offset = end.next_multiple_of(BLOCK);
    }
    Ok(blocks)
}
