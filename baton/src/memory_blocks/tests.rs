use std::cell::RefCell;
use std::fs;
use std::io;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

const MIB: u64 = 1 << 20;
const BLOCK: u64 = 128 * MIB;

/// A kernel: the blocks it does not give, those it never answers for, those it does not take
/// back, and what it was asked, in order.
#[derive(Default, Debug)]
struct Fake {
    busy: Vec<u64>,
    slow: Vec<u64>,
    lost: Vec<u64>,
    asked: RefCell<Vec<String>>,
}

impl Fake {
    fn number(path: &Path) -> u64 {
        let dir = path
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        dir.strip_prefix("memory").unwrap().parse().unwrap()
    }
}

impl Writer for &Fake {
    fn write(&self, path: &Path, value: &str) -> io::Result<()> {
        let number = Fake::number(path);
        self.asked.borrow_mut().push(format!("{number} {value}"));
        if self.lost.contains(&number) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        fs::write(path, "online\n")
    }

    fn write_within(&self, path: &Path, value: &str, _: Duration) -> io::Result<()> {
        let number = Fake::number(path);
        self.asked.borrow_mut().push(format!("{number} {value}"));
        if self.busy.contains(&number) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        if self.slow.contains(&number) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        fs::write(path, format!("{value}\n"))
    }
}

/// A machine with these blocks, all online.
fn machine(numbers: impl IntoIterator<Item = u64>) -> TempDir {
    let dir = TempDir::new().unwrap();
    let memory = dir.path().join("devices/system/memory");
    fs::create_dir_all(&memory).unwrap();
    fs::write(memory.join("block_size_bytes"), "8000000\n").unwrap();
    fs::write(memory.join("auto_online_blocks"), "online\n").unwrap();
    for number in numbers {
        let block = memory.join(format!("memory{number}"));
        fs::create_dir(&block).unwrap();
        fs::write(block.join("state"), "online\n").unwrap();
        fs::write(block.join("phys_index"), format!("{number:08x}\n")).unwrap();
        fs::write(block.join("removable"), "1\n").unwrap();
        fs::write(block.join("valid_zones"), "Normal\n").unwrap();
    }
    dir
}

fn offline(blocks: &Blocks<&Fake>) -> Vec<u64> {
    let list = blocks.list().unwrap();
    let gone = list.iter().filter(|block| block.state == State::Offline);
    gone.map(|block| block.number).collect()
}

#[test]
fn blocks_are_listed_by_address() {
    let dir = machine([10, 2, 0]);
    let list = Blocks::new(dir.path()).list().unwrap();
    let numbers: Vec<_> = list.iter().map(|block| block.number).collect();
    assert_eq!(numbers, [0, 2, 10]);
    assert_eq!(list[0].removable, Some(true));
    assert_eq!(list[0].zones, ["Normal"]);
    assert_eq!(Blocks::new(dir.path()).block_size().unwrap(), BLOCK);
}

#[test]
fn the_highest_place_below_four_gib_is_taken_first() {
    // 3 GiB below the hole, and 4 GiB above 4 GiB.
    let dir = machine((0..24).chain(32..64));
    let fake = Fake::default();
    let blocks = Blocks::with_writer(dir.path(), &fake);
    let carved = blocks.carve(&Carve::of(400 * MIB)).unwrap();
    assert_eq!(carved.numbers(), [20, 21, 22, 23]);
    assert_eq!(carved.range(), 20 * BLOCK..24 * BLOCK);
    assert_eq!(carved.keep(), 20 * BLOCK..24 * BLOCK);
    assert_eq!(offline(&blocks), [20, 21, 22, 23]);
    // They are taken; the next place is below them.
    let next = blocks.carve(&Carve::of(BLOCK)).unwrap();
    assert_eq!(next.numbers(), [19]);
}

#[test]
fn busy_and_slow_places_are_given_up_and_given_back() {
    let dir = machine((0..8).chain(32..36));
    let fake = Fake {
        busy: vec![7],
        slow: vec![3, 4],
        ..Fake::default()
    };
    let blocks = Blocks::with_writer(dir.path(), &fake);
    let carved = blocks.carve(&Carve::of(3 * BLOCK)).unwrap();
    assert_eq!(carved.numbers(), [33, 34, 35]);
    assert_eq!(offline(&blocks), [33, 34, 35]);
    let asked = fake.asked.borrow().join(", ");
    assert_eq!(
        asked,
        "5 offline, 6 offline, 7 offline, 6 online, 5 online, \
         4 offline, \
         1 offline, 2 offline, 3 offline, 2 online, 1 online, \
         33 offline, 34 offline, 35 offline"
    );
}

#[test]
fn the_first_sixteen_mib_and_holes_are_never_taken() {
    let dir = machine([0, 1, 3]);
    let fake = Fake::default();
    let blocks = Blocks::with_writer(dir.path(), &fake);
    let error = format!("{:#}", blocks.carve(&Carve::of(2 * BLOCK)).unwrap_err());
    assert!(error.contains("no place of 256 MiB"), "{error}");
    assert!(fake.asked.borrow().is_empty());
    assert!(blocks.carve(&Carve::of(0)).is_err());
}

#[test]
fn dropping_and_giving_back_bring_the_memory_online_again() {
    let dir = machine(0..8);
    let zones = dir.path().join("devices/system/memory/memory7/valid_zones");
    fs::write(zones, "Movable\n").unwrap();
    let fake = Fake::default();
    let blocks = Blocks::with_writer(dir.path(), &fake);
    drop(blocks.carve(&Carve::of(2 * BLOCK)).unwrap());
    assert!(offline(&blocks).is_empty());
    blocks
        .carve(&Carve::of(2 * BLOCK))
        .unwrap()
        .give_back()
        .unwrap();
    assert!(offline(&blocks).is_empty());
    assert!(fake.asked.borrow().contains(&"7 online_movable".to_owned()));
}

#[test]
fn what_the_kernel_says_is_told() {
    let dir = machine(0..3);
    let carve = |fake: &Fake, carve| {
        let blocks = Blocks::with_writer(dir.path(), fake);
        let error = blocks.carve(&carve).map(Carved::keep).unwrap_err();
        format!("{error:#}")
    };
    let busy = Fake {
        busy: vec![1, 2],
        ..Fake::default()
    };
    let error = carve(&busy, Carve::of(BLOCK));
    assert!(
        error.contains("block 1 offline") && error.contains("busy"),
        "{error}"
    );
    let slow = Fake {
        slow: vec![1, 2],
        ..Fake::default()
    };
    let error = carve(&slow, Carve::of(BLOCK));
    assert!(error.contains("was not free after 5000 ms"), "{error}");
    let mut hurry = Carve::of(BLOCK);
    hurry.total_limit = Duration::ZERO;
    assert!(carve(&busy, hurry).contains("in 0 s"));
}

#[test]
fn memory_that_does_not_come_back_is_told() {
    let dir = machine(0..4);
    let fake = Fake {
        lost: vec![3],
        ..Fake::default()
    };
    let blocks = Blocks::with_writer(dir.path(), &fake);
    let carved = blocks.carve(&Carve::of(2 * BLOCK)).unwrap();
    let error = carved.give_back().unwrap_err().to_string();
    assert!(
        error.contains("memory3") && error.contains("by hand"),
        "{error}"
    );
    assert_eq!(offline(&blocks), [3]);
}

#[test]
fn a_kernel_without_memory_blocks_is_told() {
    let dir = TempDir::new().unwrap();
    let blocks = Blocks::new(dir.path());
    let error = format!(
        "{:#}",
        blocks.carve(&Carve::of(1)).map(Carved::keep).unwrap_err()
    );
    assert!(error.contains("CONFIG_MEMORY_HOTREMOVE"), "{error}");
    let dir = machine([]);
    let memory = dir.path().join("devices/system/memory");
    fs::write(memory.join("block_size_bytes"), "1000\n").unwrap();
    assert!(Blocks::new(dir.path()).block_size().is_err());
}

#[test]
fn this_machine_is_listed() {
    let blocks = Blocks::new(Path::new("/sys"));
    match (blocks.block_size(), blocks.list()) {
        (Ok(_), Ok(list)) => assert!(list.iter().any(|block| block.state == State::Online)),
        other => eprintln!("SKIPPED: no memory blocks here: {other:?}"),
    }
}
