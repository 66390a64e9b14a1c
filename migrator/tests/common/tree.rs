//! Builds page trees as the kernel would.

use handoff_abi::descriptor::{ConstantId, MemberId, PageTreeShape};

use super::builder::{Entry, World, DIRTY, WRITEBACK};

impl World {
    /// Builds the page tree of `inode` and sets `nrpages` to the pages that `entries` cover.
    /// Gives the topmost node, or the only entry.
    pub fn tree(&mut self, inode: u64, entries: &[Entry]) -> u64 {
        let root = self.at(self.data(inode), MemberId::ADDRESS_SPACE_I_PAGES);
        let pages = entries
            .iter()
            .filter(|e| e.value & 3 == 0)
            .map(|e| 1 << e.order)
            .sum();
        self.set(self.data(inode), MemberId::ADDRESS_SPACE_NRPAGES, pages);
        let shift = self.constant(ConstantId::XA_FLAGS_MARK_SHIFT);
        let marks = entries.iter().fold(0, |all, e| all | e.marks);
        let mut flags = 0;
        for (bit, id) in MARKS {
            if marks & bit != 0 {
                flags |= 1 << (shift + self.constant(id));
            }
        }
        let single = entries.len() == 1 && entries[0].index == 0 && entries[0].order == 0;
        let chunk = self.constant(ConstantId::XA_CHUNK_SHIFT) as u32;
        let (mut top, mut height) = (0, 0);
        if single {
            top = entries[0].value;
        } else if !entries.is_empty() {
            let ends = entries.iter().map(|e| e.index + (1 << e.order) - 1);
            let last = ends.max().unwrap();
            let mut shift = 0;
            while last >> (shift + chunk) != 0 {
                shift += chunk;
            }
            top = self.node(entries, 0, shift, 0, chunk);
            height = shift / chunk + 1;
        }
        if self.is_radix() {
            let indirect = u64::from(height > 0);
            self.set(root, MemberId::RADIX_TREE_ROOT_HEIGHT, height.into());
            self.set(root, MemberId::RADIX_TREE_ROOT_GFP_MASK, flags);
            self.set(root, MemberId::RADIX_TREE_ROOT_RNODE, top | indirect);
        } else {
            let internal = if height > 0 { 2 } else { 0 };
            self.set(root, MemberId::XARRAY_XA_FLAGS, flags);
            self.set(root, MemberId::XARRAY_XA_HEAD, top | internal);
        }
        top
    }

    pub fn is_radix(&self) -> bool {
        self.page.shapes[0] == PageTreeShape::RADIX.0
    }

    fn node(&mut self, entries: &[Entry], base: u64, shift: u32, offset: u64, chunk: u32) -> u64 {
        let node = self.alloc();
        let radix = self.is_radix();
        let (slots, bitmaps) = if radix {
            (
                MemberId::RADIX_TREE_NODE_SLOTS,
                MemberId::RADIX_TREE_NODE_TAGS,
            )
        } else {
            (MemberId::XA_NODE_SLOTS, MemberId::XA_NODE_MARKS)
        };
        let (slots, bitmaps) = (self.at(node, slots), self.at(node, bitmaps));
        let (mut marks, mut count) = ([0_u64; 3], 0);
        for slot in 0..1_u64 << chunk {
            let start = base + (slot << shift);
            let end = start + (1 << shift);
            let here: Vec<Entry> = entries
                .iter()
                .copied()
                .filter(|e| e.index < end && e.index + (1 << e.order) > start)
                .collect();
            let Some(first) = here.first() else {
                continue;
            };
            let value = if first.order < shift {
                self.node(&here, start, shift - chunk, slot, chunk) | if radix { 0 } else { 2 }
            } else if first.index == start {
                first.value
            } else {
                (((first.index - base) >> shift) << 2) | 2
            };
            let canonical = value & 3 != 2 || first.order < shift;
            for (bit, id) in MARKS {
                if canonical && here.iter().any(|e| e.marks & bit != 0) {
                    marks[self.constant(id) as usize] |= 1 << slot;
                }
            }
            count += 1;
            self.poke(slots + slot * 8, value);
        }
        for (n, mark) in marks.iter().enumerate() {
            self.poke(bitmaps + 8 * n as u64, *mark);
        }
        if radix {
            let height = u64::from(shift / chunk) + 1;
            self.set(node, MemberId::RADIX_TREE_NODE_HEIGHT, height);
            self.set(node, MemberId::RADIX_TREE_NODE_COUNT, count);
            return node;
        }
        self.set(node, MemberId::XA_NODE_SHIFT, shift.into());
        self.set(node, MemberId::XA_NODE_OFFSET, offset);
        self.set(node, MemberId::XA_NODE_COUNT, count);
        node
    }
}

const MARKS: [(u8, ConstantId); 2] = [
    (DIRTY, ConstantId::PAGECACHE_TAG_DIRTY),
    (WRITEBACK, ConstantId::PAGECACHE_TAG_WRITEBACK),
];
