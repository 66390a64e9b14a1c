//! Lays a file system out in the fake memory.

use std::cell::Cell;

use handoff_abi::descriptor::{ConstantId, DescriptorPage, Kind, MemberId, OrderShape};
use handoff_abi::filesystem::FilesystemEntry;
use migrator::budget::Budget;
use migrator::descriptor::Descriptor;
use migrator::error::Error;
use migrator::files::{migrate_files, Sink, Summary};
use migrator::view::View;
use zerocopy::FromZeros;

use super::layout::{descriptor, Options, PAGE_OFFSET, PGD_PA, VMEMMAP, VMEMMAP_PA};
use super::sink::Recorder;
use super::FakeMemory;

pub const MAGIC: u64 = 0xef53;
pub const DIRTY: u8 = 1;
pub const WRITEBACK: u8 = 2;
/// Bytes of a leaf of the page tables that map the memory map.
const LEAF: u64 = 2 << 20;
/// Bytes for all objects but pages.
const HEAP: u64 = 8 << 20;

pub struct World {
    pub page: Box<DescriptorPage>,
    pub memory: FakeMemory,
    pub sb: u64,
    pub root: u64,
    heap: u64,
    /// End of the heap.
    first_frame: u64,
    frames: u64,
    last_link: u64,
}

const PAGE_SIZE: usize = MemberId::PAGE_SIZE_OF.0 as usize;

/// What an entry of the tree looks like.
#[derive(Clone, Copy)]
pub struct Entry {
    pub index: u64,
    pub value: u64,
    pub marks: u8,
    pub order: u32,
}

pub fn va(pa: u64) -> u64 {
    PAGE_OFFSET + pa
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self::with(Options::new(seed))
    }

    pub fn with(o: Options) -> Self {
        Self::of(descriptor(o))
    }

    /// With the offsets of `page`, and as much RAM as its direct map covers: page tables, memory
    /// map, objects and frames, in this order.
    pub fn of(page: Box<DescriptorPage>) -> Self {
        let (ram, levels) = (
            page.address_space.direct_map_size,
            page.address_space.levels,
        );
        let memory_map = (ram >> 12) * u64::from(page.members[PAGE_SIZE].size);
        let heap = VMEMMAP_PA + memory_map.next_multiple_of(LEAF);
        let memory = FakeMemory {
            segments: vec![(0, vec![0; ram as usize])],
            reads: Cell::new(0),
        };
        let mut w = Self {
            page,
            memory,
            sb: 0,
            root: 0,
            heap,
            first_frame: heap + HEAP,
            frames: heap + HEAP,
            last_link: 0,
        };
        let mut table = PGD_PA;
        for level in (1..levels).rev() {
            let index = (VMEMMAP >> (12 + 9 * level)) & 511;
            let next = table + 4096;
            if level == 1 {
                for n in 0..memory_map.div_ceil(LEAF) {
                    let entry = (VMEMMAP_PA + n * LEAF) | 0x80 | 1;
                    w.memory
                        .write(table + (index + n) * 8, &entry.to_le_bytes());
                }
            } else {
                w.memory.write(table + index * 8, &(next | 1).to_le_bytes());
            }
            table = next;
        }
        w.sb = w.alloc();
        w.set(w.sb, MemberId::SUPER_BLOCK_S_MAGIC, MAGIC);
        w.set(w.sb, MemberId::SUPER_BLOCK_S_BLOCKSIZE_BITS, 10);
        w.root = w.alloc();
        w.set(w.root, MemberId::DENTRY_D_PARENT, w.root);
        w.set(w.sb, MemberId::SUPER_BLOCK_S_ROOT, w.root);
        w.last_link = w.at(w.sb, MemberId::SUPER_BLOCK_S_INODES);
        w.close_list();
        w
    }

    pub fn alloc(&mut self) -> u64 {
        self.heap += 4096;
        assert!(self.heap < self.first_frame);
        va(self.heap)
    }

    pub fn at(&self, object: u64, id: MemberId) -> u64 {
        object + u64::from(self.page.members[id.0 as usize].offset)
    }

    pub fn poke(&mut self, at: u64, value: u64) {
        self.memory.write(at - PAGE_OFFSET, &value.to_le_bytes());
    }

    pub fn set(&mut self, object: u64, id: MemberId, value: u64) {
        let size = self.page.members[id.0 as usize].size as usize;
        let at = self.at(object, id) - PAGE_OFFSET;
        self.memory.write(at, &value.to_le_bytes()[..size]);
    }

    pub fn constant(&self, id: ConstantId) -> u64 {
        self.page.constants[id.0 as usize]
    }

    /// Ends `s_inodes` after the last inode.
    fn close_list(&mut self) {
        let head = self.at(self.sb, MemberId::SUPER_BLOCK_S_INODES);
        self.poke(self.last_link, head);
    }

    pub fn inode(&mut self, ino: u64, size: u64) -> u64 {
        let info = self.alloc();
        let inode = self.at(info, MemberId::EXT4_INODE_INFO_VFS_INODE);
        let data = self.at(inode, MemberId::INODE_I_DATA);
        for (id, value) in [
            (MemberId::INODE_I_SB, self.sb),
            (MemberId::INODE_I_MAPPING, data),
            (MemberId::INODE_I_INO, ino),
            (MemberId::INODE_I_SIZE, size),
            (MemberId::INODE_I_MODE, 0o100_644),
            (MemberId::INODE_I_NLINK, 1),
            (MemberId::INODE_I_GENERATION, 7),
        ] {
            self.set(inode, id, value);
        }
        self.set(data, MemberId::ADDRESS_SPACE_HOST, inode);
        if self.has_list_of_names() {
            let head = self.at(inode, MemberId::INODE_I_DENTRY);
            self.poke(head, head);
            self.poke(head + 8, head);
        }
        let link = self.at(inode, MemberId::INODE_I_SB_LIST);
        self.poke(self.last_link, link);
        self.last_link = link;
        self.close_list();
        inode
    }

    pub fn sync_tid(&mut self, inode: u64, tid: u64) {
        let vfs =
            u64::from(self.page.members[MemberId::EXT4_INODE_INFO_VFS_INODE.0 as usize].offset);
        self.set(inode - vfs, MemberId::EXT4_INODE_INFO_I_SYNC_TID, tid);
    }

    pub fn journal(&mut self, commit_sequence: u64) {
        let (info, journal) = (self.alloc(), self.alloc());
        self.set(self.sb, MemberId::SUPER_BLOCK_S_FS_INFO, info);
        self.set(info, MemberId::EXT4_SB_INFO_S_JOURNAL, journal);
        self.set(
            journal,
            MemberId::JOURNAL_J_COMMIT_SEQUENCE,
            commit_sequence,
        );
    }

    pub fn dentry(&mut self, parent: u64, name: &[u8]) -> u64 {
        let (dentry, bytes) = (self.alloc(), self.alloc());
        self.memory.write(bytes - PAGE_OFFSET, name);
        let qstr = self.at(dentry, MemberId::DENTRY_D_NAME);
        self.set(qstr, MemberId::QSTR_LEN, name.len() as u64);
        self.set(qstr, MemberId::QSTR_NAME, bytes);
        self.set(dentry, MemberId::DENTRY_D_PARENT, parent);
        let hash = self.at(dentry, MemberId::DENTRY_D_HASH);
        self.poke(hash + 8, self.sb);
        dentry
    }

    pub fn name(&mut self, inode: u64, parent: u64, name: &[u8]) -> u64 {
        let dentry = self.dentry(parent, name);
        let alias = self.at(dentry, MemberId::DENTRY_D_ALIAS);
        let head = self.at(inode, MemberId::INODE_I_DENTRY);
        if self.has_list_of_names() {
            self.poke(alias, head);
            self.poke(alias + 8, head);
        }
        self.poke(head, alias);
        dentry
    }

    /// Whether `i_dentry` is a `list_head`.
    fn has_list_of_names(&self) -> bool {
        let member = self.page.members[MemberId::INODE_I_DENTRY.0 as usize];
        member.kind == Kind::LIST_HEAD.0
    }

    pub fn data(&self, inode: u64) -> u64 {
        self.at(inode, MemberId::INODE_I_DATA)
    }

    /// A page or folio of `inode` at `index`, its memory filled with what [`fill`] says.
    pub fn folio(&mut self, inode: u64, index: u64, order: u32, flags: &[ConstantId]) -> u64 {
        let (page, pa) = self.bare_folio(inode, index, order, flags);
        for n in 0..1 << order {
            self.memory.write(pa + n * 4096, &fill(index + n));
        }
        page
    }

    /// The same with its memory left as it is, and the address of that.
    pub fn bare_folio(
        &mut self,
        inode: u64,
        index: u64,
        order: u32,
        flags: &[ConstantId],
    ) -> (u64, u64) {
        let size = 4096 << order;
        let pa = self.frames.next_multiple_of(size);
        // A frame is left out between two folios, but for every third: runs of both kinds.
        self.frames = pa
            + size
            + if (pa >> 12).is_multiple_of(3) {
                0
            } else {
                4096
            };
        let mut bits = if order > 0 {
            1 << self.constant(ConstantId::PG_HEAD)
        } else {
            0
        };
        for flag in flags {
            bits |= 1 << self.constant(*flag);
        }
        let step = u64::from(self.page.members[MemberId::PAGE_SIZE_OF.0 as usize].size);
        let offset = (pa >> 12) * step;
        let page = va(VMEMMAP_PA + offset);
        self.set(page, MemberId::PAGE_FLAGS, bits);
        self.set(page, MemberId::PAGE_MAPPING, self.data(inode));
        self.set(page, MemberId::PAGE_INDEX, index);
        if order > 0 {
            match OrderShape(self.page.shapes[1]) {
                OrderShape::SECOND_PAGE => {
                    self.set(page + step, MemberId::PAGE_COMPOUND_ORDER, order.into());
                }
                OrderShape::FOLIO_BYTE => self.set(page, MemberId::FOLIO_ORDER, order.into()),
                _ => self.set(page, MemberId::FOLIO_FLAGS_1, 0xab00 | u64::from(order)),
            }
        }
        (VMEMMAP + offset, pa)
    }

    /// A file of single pages: each index with its flags and marks.
    pub fn file(&mut self, ino: u64, size: u64, pages: &[(u64, &[ConstantId], u8)]) -> u64 {
        let inode = self.inode(ino, size);
        let entries: Vec<Entry> = pages
            .iter()
            .map(|(index, flags, marks)| {
                let value = self.folio(inode, *index, 0, flags);
                Entry {
                    index: *index,
                    value,
                    marks: *marks,
                    order: 0,
                }
            })
            .collect();
        self.tree(inode, &entries);
        inode
    }

    pub fn entry(&self, journal_tids: bool) -> FilesystemEntry {
        let mut entry = FilesystemEntry::new_zeroed();
        entry.super_block = self.sb;
        entry.magic = MAGIC;
        entry.flags = if journal_tids { 4 } else { 0 };
        entry
    }

    pub fn view<R>(&self, f: impl FnOnce(&View<'_, FakeMemory>) -> R) -> R {
        let descriptor = Descriptor::new(&self.page).expect("the descriptor is sound");
        f(&View::new(&self.memory, descriptor))
    }

    pub fn migrate_into(&self, sink: &mut impl Sink, tids: bool) -> Result<Summary, Error> {
        self.view(|view| {
            let budget = Budget::for_memory_of(view.descriptor());
            migrate_files(view, &self.entry(tids), sink, &budget)
        })
    }

    pub fn migrate(&self, tids: bool) -> (Result<Summary, Error>, Recorder) {
        let mut sink = Recorder::default();
        (self.migrate_into(&mut sink, tids), sink)
    }
}

/// What the page at `index` holds.
pub fn fill(index: u64) -> Vec<u8> {
    (0..512)
        .flat_map(|n| (index << 16 | n).to_le_bytes())
        .collect()
}
