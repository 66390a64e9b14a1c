//! A small kernel in memory, and changes over it.
//!
//! The kernel is the one that the migrator's own tests build. It is built once for each of a few
//! layouts; an input is a list of changes that are laid over it, so that no run pays for building.

#[path = "../../../migrator/tests/common/mod.rs"]
#[allow(unused_imports, reason = "only a part of it is needed here")]
mod common;

use crate::Input;
use common::builder::{Entry, World, DIRTY, WRITEBACK};
use common::layout::{PGD_PA, RAM, VMEMMAP_PA};
use handoff_abi::descriptor::{ConstantId, DescriptorPage};
use handoff_abi::filesystem::FilesystemEntry;
use migrator::address::PhysAddr;
use migrator::files::{FileInfo, FileSummary, LostFile, Reason, Segment, Sink, SinkError};
use migrator::files::{MAX_SEGMENTS, MAX_WRITE};
use migrator::memory::{ForeignMemory, OutOfRange};
use std::cell::Cell;
use std::collections::BTreeMap;

/// Layouts that are built.
pub(crate) const WORLDS: u8 = 6;
/// Super block, dentries, inodes and nodes, from here on.
const HEAP: u64 = 4 << 20;
/// Pages of the heap that are in use.
const HEAP_PAGES: u64 = 40;
/// The memory map of the page cache's frames: 12 MiB and up.
const FRAMES_MAP: u64 = VMEMMAP_PA + (12 << 20 >> 12) * 64;
/// Most changes of one input.
const MOST_CHANGES: usize = 64;

/// A kernel with a file system, and one of its inodes.
pub(crate) struct Kernel {
    world: World,
    /// Address of an inode in it.
    pub(crate) inode: u64,
}

impl Kernel {
    /// Number `seed`.
    pub(crate) fn new(seed: u8) -> Self {
        let mut world = World::new(u64::from(seed) + 1);
        world.journal(u64::from(seed));
        let dirty: &[ConstantId] = &[ConstantId::PG_UPTODATE, ConstantId::PG_DIRTY];
        let folder = world.dentry(world.root, b"dir");
        for ino in 1..4 {
            let pages: Vec<_> = (0..ino * 20).map(|n| (n * ino, dirty, DIRTY)).collect();
            let inode = world.file(ino, 1 << 22, &pages);
            world.name(inode, folder, b"file");
        }
        let inode = world.inode(4, 1 << 22);
        let value = world.folio(inode, 64, 6, dirty);
        let large = Entry {
            index: 64,
            value,
            marks: WRITEBACK,
            order: 6,
        };
        world.tree(inode, &[large]);
        world.name(inode, folder, b"big");
        world.sync_tid(inode, u64::from(seed) + 1);
        Self { world, inode }
    }

    /// Its offset table.
    pub(crate) fn page(&self) -> &DescriptorPage {
        &self.world.page
    }

    /// Its file system.
    pub(crate) fn entry(&self, journal: bool) -> FilesystemEntry {
        self.world.entry(journal)
    }

    /// Its memory with the changes that `input` holds.
    pub(crate) fn changed(&self, input: &mut Input<'_>) -> Changed<'_> {
        let mut memory = Changed {
            base: &self.world.memory,
            bytes: BTreeMap::new(),
            reads: Cell::new(0),
        };
        for _ in 0..MOST_CHANGES {
            if input.is_empty() {
                break;
            }
            memory.change(input);
        }
        memory
    }
}

/// Memory with single bytes changed.
pub(crate) struct Changed<'a> {
    base: &'a common::FakeMemory,
    bytes: BTreeMap<u64, u8>,
    /// Reads so far.
    pub(crate) reads: Cell<u64>,
}

impl Changed<'_> {
    /// Whether it is as it was built.
    pub(crate) fn is_whole(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Some place in an object, the memory map or a page table.
    fn place(input: &mut Input<'_>) -> u64 {
        let (kind, page, offset) = (input.u8(), u64::from(input.u8()), u64::from(input.u16()));
        let base = match kind % 4 {
            0 | 1 => HEAP + 4096 * (1 + page % HEAP_PAGES),
            2 => FRAMES_MAP + 4096 * (page % 8),
            _ => PGD_PA + 4096 * (page % 5),
        };
        base + offset % 4096
    }

    fn change(&mut self, input: &mut Input<'_>) {
        let kind = input.u8();
        let at = Self::place(input);
        let aligned = at & !7;
        match kind % 4 {
            0 => drop(self.bytes.insert(at, input.u8())),
            1 => self.word(aligned, input.u64()),
            // A pointer to somewhere else of this very kernel, perhaps tagged.
            2 => {
                let from = Self::place(input) & !7;
                let value = self.at(from) ^ u64::from(input.u8() & 7);
                self.word(aligned, value);
            }
            _ => {
                let value = self.at(aligned).wrapping_add(u64::from(input.u16()));
                self.word(aligned, value);
            }
        }
    }

    fn word(&mut self, at: u64, value: u64) {
        for (at, byte) in (at..).zip(value.to_le_bytes()) {
            self.bytes.insert(at, byte);
        }
    }

    fn at(&self, at: u64) -> u64 {
        self.read_u64(PhysAddr::new(at)).unwrap_or(0)
    }
}

impl ForeignMemory for Changed<'_> {
    fn read(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), OutOfRange> {
        self.reads.set(self.reads.get() + 1);
        self.base.read(at, buf)?;
        let end = at.raw().saturating_add(buf.len() as u64);
        for (place, byte) in self.bytes.range(at.raw()..end) {
            buf[(place - at.raw()) as usize] = *byte;
        }
        Ok(())
    }

    fn covers(&self, at: PhysAddr, len: u64) -> bool {
        self.base.covers(at, len)
    }
}

/// A sink that watches the migrator keep its promises.
pub(crate) struct Watcher {
    open: Option<u64>,
    end: u64,
    /// Files that were completed.
    pub(crate) ended: u64,
}

impl Watcher {
    /// Nothing is open.
    pub(crate) const fn new() -> Self {
        Self {
            open: None,
            end: 0,
            ended: 0,
        }
    }

    /// Every file was ended or lost.
    pub(crate) const fn is_idle(&self) -> bool {
        self.open.is_none()
    }
}

impl Sink for Watcher {
    fn begin_file(&mut self, file: &FileInfo<'_>) -> Result<(), SinkError> {
        assert!(self.open.is_none(), "a file was neither ended nor lost");
        self.open = Some(file.ino);
        self.end = 0;
        // Now and then the file cannot be opened.
        match file.ino % 7 {
            6 => Err(SinkError(28)),
            _ => Ok(()),
        }
    }

    fn write(&mut self, offset: u64, segments: &[Segment]) -> Result<(), SinkError> {
        assert!(self.open.is_some(), "write without begin_file");
        assert!(!segments.is_empty() && segments.len() <= MAX_SEGMENTS);
        assert!(offset >= self.end, "offsets ascend");
        let mut total = 0;
        for segment in segments {
            assert!(segment.len > 0);
            let end = segment.pa.raw().checked_add(segment.len.into());
            assert!(
                end.is_some_and(|end| end <= RAM),
                "a segment outside of the memory"
            );
            total += u64::from(segment.len);
        }
        assert!(total <= MAX_WRITE);
        self.end = offset.checked_add(total).expect("the end of a file wraps");
        Ok(())
    }

    fn end_file(&mut self, _: &FileSummary) -> Result<(), SinkError> {
        assert!(self.open.take().is_some(), "end_file without begin_file");
        self.ended += 1;
        Ok(())
    }

    fn lost(&mut self, _: &LostFile<'_>, _: Reason) {
        self.open = None;
    }
}
