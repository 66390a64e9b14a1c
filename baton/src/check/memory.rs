//! Memory for the partition, and below 1 MiB.

use super::Point;
use crate::iomem::Map;
use crate::memory_blocks::{reserved_at_boot, Block, Blocks, State};
use partition::layout::FIRMWARE_SIZE;
use std::path::Path;

/// Below this no partition is put.
const LOWEST: u64 = 16 << 20;
const RESERVE: &str =
    "reserve memory at boot: memmap=SIZE$ADDRESS on the kernel's command line, or ask for less \
     (--memory)";

/// Where the partition would come from: a range reserved at boot, or memory blocks.
pub fn partition(sys: &Path, command_line: &str, map: &Map, size: u64) -> Point {
    const TOPIC: &str = "memory";
    let size = size.next_multiple_of(FIRMWARE_SIZE);
    match reserved_at_boot(command_line, map, size) {
        Ok(Some(range)) => {
            return Point::ok(
                TOPIC,
                format!("{:#x}-{:#x} was reserved at boot", range.start, range.end),
            )
        }
        Ok(None) => {}
        Err(error) => return Point::fail(TOPIC, format!("{error:#}"), RESERVE),
    }
    let blocks = Blocks::new(sys);
    let block_size = match blocks.block_size() {
        Ok(size) => size,
        Err(error) => return Point::fail(TOPIC, format!("{error:#}"), RESERVE),
    };
    match blocks.list() {
        Ok(list) => from_blocks(&list, block_size, size),
        Err(error) => Point::unknown(TOPIC, &error),
    }
}

/// Whether enough adjacent blocks look as if they could be taken offline.
fn from_blocks(blocks: &[Block], block_size: u64, size: u64) -> Point {
    const TOPIC: &str = "memory";
    let count = usize::try_from(size.div_ceil(block_size)).unwrap_or(usize::MAX);
    let usable = |block: &Block| {
        block.state == State::Online
            && block.removable != Some(false)
            && block.number.saturating_mul(block_size) >= LOWEST
    };
    let (mut run, mut longest, mut last) = (0usize, 0usize, None);
    for block in blocks {
        let follows = last.is_some_and(|number: u64| number.checked_add(1) == Some(block.number));
        run = match (usable(block), follows) {
            (true, true) => run.saturating_add(1),
            (true, false) => 1,
            (false, _) => 0,
        };
        longest = longest.max(run);
        last = Some(block.number);
    }
    let mib = block_size >> 20;
    if longest < count {
        return Point::fail(
            TOPIC,
            format!(
                "{count} adjacent memory blocks of {mib} MiB are needed, and no more than \
                 {longest} could be taken from the kernel"
            ),
            RESERVE,
        );
    }
    let movable = blocks
        .iter()
        .filter(|block| usable(block) && block.zones.iter().any(|zone| zone == "Movable"))
        .count();
    Point::ok(
        TOPIC,
        format!(
            "{count} adjacent memory blocks of {mib} MiB can be asked for (of {}, {movable} of \
             them movable)",
            blocks.len()
        ),
    )
}

/// Whether the rest of the machine could do without it, by the text of `/proc/meminfo`.
pub fn available(meminfo: &str, size: u64) -> Point {
    const TOPIC: &str = "free memory";
    let bytes = |name: &str| {
        let kib = meminfo.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?.strip_prefix(':')?;
            rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        });
        kib.and_then(|kib| kib.checked_mul(1024))
    };
    let swap = bytes("SwapFree").unwrap_or(0);
    let Some(bytes) = bytes("MemAvailable") else {
        return Point::warn(
            TOPIC,
            "the kernel does not say how much is available",
            "make sure that the machine can do without the partition's memory",
        );
    };
    let found = format!("{} MiB available, {} MiB wanted", bytes >> 20, size >> 20);
    // To try nevertheless could only drive the kernel to kill processes for their memory.
    if bytes.saturating_add(swap) < size {
        return Point::fail(
            TOPIC,
            found,
            "free some, ask for less (--memory), or reserve it at boot: memmap=SIZE$ADDRESS",
        );
    }
    // Moving pages away takes some room besides.
    if bytes < size.saturating_add(size / 8) {
        return Point::warn(
            TOPIC,
            found,
            "free some, or ask for less (--memory); otherwise taking it may fail",
        );
    }
    Point::ok(TOPIC, found)
}

/// Whether there is RAM below 1 MiB for the new kernel's start-up code.
pub fn low(map: &Map, command_line: &str) -> Point {
    const TOPIC: &str = "low memory";
    if command_line
        .split_whitespace()
        .any(|word| word.starts_with("baton.handoff="))
    {
        return Point::ok(TOPIC, "as the kernel before this one handed it over");
    }
    let bytes: u64 = map
        .low_ram()
        .iter()
        .map(|range| range.end.saturating_sub(range.start))
        .sum();
    match bytes {
        0 => Point::fail(
            TOPIC,
            "the machine has no RAM below 1 MiB",
            "none; the new kernel's CPUs start there",
        ),
        _ => Point::ok(TOPIC, format!("{} KiB below 1 MiB", bytes >> 10)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::Tree;
    use crate::check::Verdict;
    use crate::iomem::parse;

    const MAP: &str = "00001000-0009fbff : System RAM\n00100000-bfffffff : System RAM\n";

    fn tree(blocks: u64, offline: &[u64]) -> Tree {
        let tree = Tree::new();
        tree.file("devices/system/memory/block_size_bytes", "8000000\n");
        for number in 0..blocks {
            let state = if offline.contains(&number) {
                "offline"
            } else {
                "online"
            };
            let dir = format!("devices/system/memory/memory{number}");
            tree.file(&format!("{dir}/state"), state);
            tree.file(&format!("{dir}/removable"), "1");
            tree.file(&format!("{dir}/valid_zones"), "DMA32");
        }
        tree
    }

    #[test]
    fn blocks_must_be_adjacent_and_online() {
        let map = parse(MAP).unwrap();
        let find = |tree: &Tree, size| partition(tree.path(), "quiet", &map, size).verdict;
        assert_eq!(find(&tree(24, &[]), 512 << 20), Verdict::Ok);
        assert_eq!(find(&tree(5, &[]), 512 << 20), Verdict::Ok);
        assert_eq!(
            find(&tree(4, &[]), 512 << 20),
            Verdict::Fail,
            "the first block has to stay"
        );
        assert_eq!(find(&tree(8, &[4]), 512 << 20), Verdict::Fail);
        let none = partition(Tree::new().path(), "quiet", &map, 1 << 29);
        assert_eq!(none.verdict, Verdict::Fail);
        assert!(none.found.contains("CONFIG_MEMORY_HOTREMOVE"));
    }

    #[test]
    fn a_reservation_is_taken_or_explained() {
        let map = parse("00100000-3fffffff : System RAM\n40000000-5fffffff : Reserved\n").unwrap();
        let none = Tree::new();
        let good = partition(none.path(), "memmap=512M$0x40000000", &map, 512 << 20);
        assert_eq!(good.verdict, Verdict::Ok);
        let small = partition(none.path(), "memmap=512M$0x40000000", &map, 1 << 30);
        assert_eq!(small.verdict, Verdict::Fail);
    }

    #[test]
    fn scarce_memory_is_a_warning_and_too_little_a_refusal() {
        let text = "MemTotal: 3000000 kB\nMemAvailable:    2000000 kB\n";
        assert_eq!(available(text, 512 << 20).verdict, Verdict::Ok);
        assert_eq!(available(text, 1900 << 20).verdict, Verdict::Warn);
        assert_eq!(available(text, 2 << 30).verdict, Verdict::Fail);
        let swap = format!("{text}SwapTotal: 900000 kB\nSwapFree: 800000 kB\n");
        assert_eq!(available(&swap, 2 << 30).verdict, Verdict::Warn);
        assert_eq!(available("", 1).verdict, Verdict::Warn);
    }

    #[test]
    fn low_ram_is_found_or_inherited() {
        let with = parse(MAP).unwrap();
        let without = parse("00100000-bfffffff : System RAM\n").unwrap();
        assert_eq!(low(&with, "").verdict, Verdict::Ok);
        assert_eq!(low(&without, "").verdict, Verdict::Fail);
        let inherited = "baton.handoff=0x5fe00000 panic=0";
        assert_eq!(low(&without, inherited).verdict, Verdict::Ok);
    }
}
