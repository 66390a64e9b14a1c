//! Files that came about in unusual ways.
#![allow(unsafe_code, reason = "memmap2 cannot know who else changes the file")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use memmap2::MmapMut;
use rustix::fs::{fallocate, FallocateFlags};

use super::files::SHORTENED;
use super::maker::{at, Maker};
use crate::manifest::{State, BLOCK};

/// A file that was written by stores to a mapping, which stays.
pub fn mapped(maker: &mut Maker) -> Result<()> {
    let (file, made) = maker.create("mapped")?;
    file.set_len(at(512))?;
    // SAFETY: the memory is valid while the file is not shortened and not changed by others. It
    // was created a moment ago by this program, which does neither.
    let mut map = unsafe { MmapMut::map_mut(&file) }?;
    // (first byte, length): whole pages, one page, and a part of one.
    for (offset, len) in [(0, at(64)), (at(200), BLOCK), (at(300) + 1000, 500)] {
        let start = usize::try_from(offset)?;
        let end = usize::try_from(offset + len)?;
        made.fill(offset, &mut map[start..end]);
    }
    maker.mappings.push(map);
    maker.add(made);
    Ok(())
}

/// Files that changed their length, or the place of what they hold.
pub fn resized(maker: &mut Maker) -> Result<()> {
    let (file, mut truncated) = maker.create("truncated")?;
    truncated.write(&file, 0, at(10))?;
    file.set_len(5000)?;
    maker.add(truncated);

    let (file, mut regrown) = maker.create("regrown")?;
    regrown.write(&file, 0, at(10))?;
    file.set_len(5000)?;
    file.set_len(20_000)?;
    maker.add(regrown);

    let long = fs::File::options()
        .write(true)
        .open(maker.dir.join(SHORTENED))?;
    long.set_len(at(12) + 345)?;

    let (file, mut punched) = maker.create("punched")?;
    punched.write(&file, 0, at(32))?;
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(&file, hole, at(8) + 100, at(8))?;
    maker.add(punched);

    let (file, mut allocated) = maker.create("preallocated")?;
    fallocate(&file, FallocateFlags::KEEP_SIZE, 0, at(100))?;
    allocated.write(&file, at(3), at(4))?;
    allocated.write(&file, at(50), 77)?;
    maker.add(allocated);

    let (file, mut zeroed) = maker.create("allocated-beyond")?;
    fallocate(&file, FallocateFlags::empty(), 0, at(20))?;
    zeroed.write(&file, at(2), BLOCK)?;
    maker.add(zeroed);
    Ok(())
}

/// Files with many names, strange names, other names than before, and none.
pub fn names(maker: &mut Maker) -> Result<()> {
    let (file, mut deleted) = maker.create("deleted-open")?;
    deleted.write(&file, 0, at(10))?;
    fs::remove_file(maker.dir.join("deleted-open"))?;
    deleted.state = State::Deleted;
    deleted.held = Some(file);
    maker.add(deleted);

    let links = maker.dir.join("links");
    fs::create_dir(&links)?;
    let (file, mut linked) = maker.create("linked")?;
    linked.write(&file, 0, 6000)?;
    for other in ["second", "third"] {
        let name = links.join(other);
        fs::hard_link(maker.dir.join("linked"), &name)?;
        linked.names.push(name);
    }
    // One that is gone again: its dentry may be the first of the inode.
    fs::hard_link(maker.dir.join("linked"), links.join("gone"))?;
    fs::remove_file(links.join("gone"))?;
    maker.add(linked);

    let (file, mut renamed) = maker.create("name-before")?;
    renamed.write(&file, 0, 7000)?;
    let after = links.join("name-after, in another folder");
    fs::rename(maker.dir.join("name-before"), &after)?;
    renamed.names = vec![after];
    maker.add(renamed);

    let (file, mut secret) = maker.create("mode-4750")?;
    secret.write(&file, 0, 300)?;
    file.set_permissions(fs::Permissions::from_mode(0o4750))?;
    maker.add(secret);
    tree(maker)
}

/// Many small files in nested folders with odd names.
fn tree(maker: &mut Maker) -> Result<()> {
    let long = "n".repeat(255);
    let folders: [&[u8]; 6] = [
        b"plain",
        b" blank and\ttab ",
        b"new\nline",
        b"\xff\xfe not utf-8",
        "日本語".as_bytes(),
        long.as_bytes(),
    ];
    let mut folder = PathBuf::from("tree");
    for name in folders {
        folder.push(OsStr::from_bytes(name));
        fs::create_dir_all(maker.dir.join(&folder))?;
        for number in 0..40_u64 {
            // The lengths around which a name is kept in the dentry, or not.
            let name = format!("{number:02}-{}", "x".repeat(usize::try_from(number)?));
            maker.file(folder.join(name), 10 + number * number * 7)?;
        }
    }
    for name in ["\\backslash", "...", "-", "~", "*", &long] {
        maker.file(Path::new("tree").join(name), 50)?;
    }
    Ok(())
}

/// Pieces of pages, written where there was nothing: with blocks smaller than a page, such a page
/// is the file's content in part only. Reading would complete it, so it is not read.
pub fn pieces(maker: &mut Maker) -> Result<()> {
    let (file, mut made) = maker.create("pieces")?;
    let mut content = BTreeMap::new();
    for block in 0..40 {
        let (within, len) = (block % 4 * 1024 + 100, 300 + block);
        made.write(&file, at(block) + within, len)?;
        let mut bytes = vec![0; usize::try_from(BLOCK)?];
        let (start, end) = (usize::try_from(within)?, usize::try_from(within + len)?);
        made.fill(at(block) + within, &mut bytes[start..end]);
        content.insert(block, bytes);
    }
    made.content = Some(content);
    maker.add(made);
    Ok(())
}
