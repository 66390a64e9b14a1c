//! Files as programs make them.

use anyhow::Result;

use super::maker::{at, Maker};
use crate::manifest::{State, BLOCK};

/// Bytes of one write to a streamed file.
const CHUNK: u64 = 64 << 10;
/// Blocks of the rewritten file that even the slowest disk may have taken.
const TAKEN: u64 = 1024;
/// On the disk with more blocks than it has.
pub const SHORTENED: &str = "shortened";

/// Files whose content is on the disk in part or whole.
pub fn on_disk(maker: &mut Maker) -> Result<()> {
    let (file, mut clean) = maker.create("clean")?;
    clean.write(&file, 0, at(40) + 17)?;
    file.sync_all()?;
    clean.state = State::Clean;
    maker.add(clean);

    let (file, mut half) = maker.create("half")?;
    half.write(&file, 0, at(128))?;
    file.sync_all()?;
    half.change_content();
    let rewritten: Vec<u64> = (0..128).filter(|block| block / 3 % 2 == 1).collect();
    for block in &rewritten {
        half.write(&file, at(*block), BLOCK)?;
    }
    half.state = State::Partly;
    half.dirty = Some(rewritten);
    maker.add(half);

    // One page of a mebibyte, and not all of that page.
    let (file, mut spot) = maker.create("spot")?;
    spot.write(&file, 0, 1 << 20)?;
    file.sync_all()?;
    spot.change_content();
    spot.write(&file, at(77) + 1000, 1000)?;
    spot.state = State::Partly;
    spot.dirty = Some(vec![77]);
    maker.add(spot);

    // To be made shorter when the journal is no longer committed.
    let (file, mut long) = maker.create(SHORTENED)?;
    long.write(&file, 0, at(30))?;
    file.sync_all()?;
    long.state = State::Partly;
    long.dirty = Some(Vec::new());
    maker.add(long);

    // Unwritten when the journal is committed: no place on the disk yet.
    maker.file("before-commit", at(9) + 9)
}

/// Commits the journal, for the last time.
pub fn committed(maker: &mut Maker) -> Result<()> {
    // The same as `half`, with the journal not knowing of it.
    let (half_file, mut half) = maker.create("half-uncommitted")?;
    half.write(&half_file, 0, at(64))?;
    half_file.sync_all()?;

    let (file, mut made) = maker.create("committed")?;
    made.write(&file, 0, 3 * BLOCK)?;
    made.state = State::Clean;
    file.sync_all()?;
    maker.add(made);

    half.change_content();
    let rewritten: Vec<u64> = (0..64).step_by(2).collect();
    for block in &rewritten {
        half.write(&half_file, at(*block), BLOCK)?;
    }
    half.state = State::Partly;
    half.dirty = Some(rewritten);
    maker.add(half);
    Ok(())
}

/// Files of one piece.
pub fn plain(maker: &mut Maker) -> Result<()> {
    let sizes = [
        ("empty", 0),
        ("byte", 1),
        ("tiny", 100),
        ("page", BLOCK),
        ("page-and-byte", BLOCK + 1),
        ("small", 20_000),
        // The first sizes whose tree needs a second leaf, and a third level.
        ("leaf", at(64)),
        ("two-leaves", at(65)),
        ("three-levels", at(64 * 64) + 5),
    ];
    for (name, size) in sizes {
        maker.file(name, size)?;
    }
    let (file, mut appended) = maker.create("appended")?;
    for number in 0..200 {
        appended.write(&file, number * 777, 777)?;
    }
    maker.add(appended);
    Ok(())
}

/// Files whose trees have empty slots and many levels.
pub fn with_holes(maker: &mut Maker) -> Result<()> {
    let (file, mut sparse) = maker.create("sparse")?;
    for block in [0, 5, 63, 64, 127, 4095, 4096, 262_143, 262_144] {
        sparse.write(&file, at(block), BLOCK)?;
    }
    maker.add(sparse);

    let (file, mut huge) = maker.create("huge-offset")?;
    for offset in [0, 1 << 30, 3 << 40] {
        huge.write(&file, offset, 5000)?;
    }
    maker.add(huge);

    let (file, mut far) = maker.create("far-only")?;
    far.write(&file, 1 << 40, 10)?;
    maker.add(far);

    let (file, mut all_hole) = maker.create("all-hole")?;
    file.set_len(1 << 20)?;
    all_hole.dirty = Some(Vec::new());
    maker.add(all_hole);
    Ok(())
}

/// A file of `len` bytes, written from its start to its end.
pub fn streamed(maker: &mut Maker, name: &str, len: u64) -> Result<()> {
    let (file, mut made) = maker.create(name)?;
    let mut offset = 0;
    while offset < len {
        let chunk = CHUNK.min(len - offset);
        made.write(&file, offset, chunk)?;
        offset += chunk;
    }
    maker.add(made);
    Ok(())
}

/// `count` files of together `len` bytes, each a page longer in turn.
pub fn in_turns(maker: &mut Maker, count: u64, len: u64) -> Result<()> {
    let mut files = Vec::new();
    for number in 0..count {
        files.push(maker.create(format!("turn-{number}"))?);
    }
    for block in 0..len / count / BLOCK {
        for (file, made) in &mut files {
            made.write(file, at(block), BLOCK)?;
        }
    }
    for (_, made) in files {
        maker.add(made);
    }
    Ok(())
}

/// A file of `len` bytes with new content in place of the old; all else is on the disk.
pub fn rewritten(maker: &mut Maker, len: u64) -> Result<()> {
    let (file, mut made) = maker.create("rewritten")?;
    made.write(&file, 0, len)?;
    file.sync_all()?;
    made.change_content();
    made.write(&file, 0, len)?;
    made.state = State::Partly;
    made.dirty = Some((TAKEN..len / BLOCK).collect());
    let (last, mut committed) = maker.create("committed")?;
    committed.write(&last, 0, BLOCK)?;
    last.sync_all()?;
    committed.state = State::Clean;
    maker.add(committed);
    maker.add(made);
    Ok(())
}
