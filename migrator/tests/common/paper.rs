//! The updates that the paper on this method measured (its figure 6), as images: the 1st OS with
//! so much dirty file cache, and a 2nd OS of the other release that takes it over.

use std::collections::BTreeMap;

use handoff_abi::descriptor::ConstantId;
use migrator::files::{FileInfo, FileSummary, LostFile, Reason, Segment, Sink, SinkError};

use super::builder::{Entry, World, DIRTY};
use super::old::Release;
use super::FakeMemory;

/// From and to.
pub const PATTERNS: [(Release, Release); 3] = [
    (Release::V3_0, Release::V3_4),
    (Release::V2_6_38, Release::V3_4),
    (Release::V2_6_38, Release::V3_0),
];
/// Dirty cache, MiB.
pub const SIZES: [u64; 4] = [16, 32, 64, 128];
/// Pages of a file.
pub const FILE_PAGES: u64 = 1024;
/// Pages of a MiB.
pub const PAGES: u64 = 256;

const FLAGS: &[ConstantId] = &[ConstantId::PG_UPTODATE, ConstantId::PG_DIRTY];

/// Milliseconds in the paper: about 8 at 16 MiB and 50 at 128, on a line.
pub fn figure(mib: u64) -> f64 {
    8.0 + (mib as f64 - 16.0) * (50.0 - 8.0) / (128.0 - 16.0)
}

/// RAM that has room for so much cache, in frames that are not all neighbours.
fn ram(mib: u64) -> u64 {
    (2 * mib + 32) << 20
}

/// What the page of a file holds: no two pages the same.
pub fn content(ino: u64, index: u64) -> Vec<u8> {
    let mut bytes = vec![(ino * 31 + index) as u8; 4096];
    bytes[..8].copy_from_slice(&ino.to_le_bytes());
    bytes[4088..].copy_from_slice(&index.to_le_bytes());
    bytes
}

/// A kernel with `mib` of dirty cache in files of [`FILE_PAGES`].
pub fn first(release: Release, mib: u64) -> World {
    let mut w = World::of(release.descriptor(ram(mib)));
    let dir = w.dentry(w.root, b"dir");
    for ino in 1..=mib * PAGES / FILE_PAGES {
        let inode = w.inode(ino, FILE_PAGES << 12);
        w.name(inode, dir, ino.to_string().as_bytes());
        let mut entries = Vec::new();
        for index in 0..FILE_PAGES {
            let (value, pa) = w.bare_folio(inode, index, 0, FLAGS);
            w.memory.write(pa, &content(ino, index));
            entries.push(entry(index, value));
        }
        w.tree(inode, &entries);
    }
    w
}

fn entry(index: u64, value: u64) -> Entry {
    Entry {
        index,
        value,
        marks: DIRTY,
        order: 0,
    }
}

/// A kernel that takes files over: each page is copied into a frame of its own memory and hung
/// into a page tree, as its own structures are.
pub struct Second<'a> {
    pub world: World,
    from: &'a FakeMemory,
    dir: u64,
    open: Option<u64>,
    entries: BTreeMap<u64, u64>,
}

impl<'a> Second<'a> {
    pub fn new(release: Release, mib: u64, from: &'a FakeMemory) -> Self {
        let mut world = World::of(release.descriptor(ram(mib)));
        let dir = world.dentry(world.root, b"dir");
        Self {
            world,
            from,
            dir,
            open: None,
            entries: BTreeMap::new(),
        }
    }
}

impl Sink for Second<'_> {
    fn begin_file(&mut self, info: &FileInfo<'_>) -> Result<(), SinkError> {
        let inode = self.world.inode(info.ino, info.size);
        let name = info.path.as_bytes().rsplit(|byte| *byte == b'/').next();
        self.world.name(inode, self.dir, name.unwrap());
        assert!(self.open.replace(inode).is_none());
        Ok(())
    }

    fn write(&mut self, offset: u64, segments: &[Segment]) -> Result<(), SinkError> {
        let inode = self.open.unwrap();
        let mut index = offset >> 12;
        for segment in segments {
            let bytes = self.from.bytes(segment.pa.raw(), segment.len as usize);
            for page in bytes.chunks(4096) {
                let (value, pa) = self.world.bare_folio(inode, index, 0, FLAGS);
                self.world.memory.write(pa, page);
                assert!(self.entries.insert(index, value).is_none());
                index += 1;
            }
        }
        Ok(())
    }

    fn end_file(&mut self, _: &FileSummary) -> Result<(), SinkError> {
        let entries: Vec<_> = std::mem::take(&mut self.entries)
            .into_iter()
            .map(|(index, value)| entry(index, value))
            .collect();
        self.world.tree(self.open.take().unwrap(), &entries);
        Ok(())
    }

    fn lost(&mut self, file: &LostFile<'_>, reason: Reason) {
        panic!("{:?} is lost: {reason:?}", file.ino);
    }
}
