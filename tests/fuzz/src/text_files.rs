//! Text that this kernel or the module tree of another gives: `/proc/iomem`, `mountinfo`, a
//! kernel's command line, mount options, and the files of `depmod`.
//!
//! Rules: what is accepted keeps the promises of its type; no order of loading names a file twice.

use baton::iomem::{self, Map};
use baton::memory_blocks::reserved_at_boot;
use baton::modules::{Resolution, Tree};
use baton::system::options::{mount_flags, super_options};
use baton::system::{mountinfo, Source};
use std::path::{Path, PathBuf};

/// Between the parts of an input.
const SEPARATOR: char = '\u{1}';
/// What the parts of a module tree are called.
const INDICES: [&str; 5] = [
    "modules.dep",
    "modules.alias",
    "modules.softdep",
    "modules.builtin",
    "modules.builtin.modinfo",
];

/// Runs the target.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match kind % 4 {
        0 => resources(&text),
        1 => mounts(&text),
        2 => options(&text),
        _ => modules(&text),
    }
}

fn resources(text: &str) {
    let (command_line, text) = text.split_once(SEPARATOR).unwrap_or(("", text));
    let Ok(map) = iomem::parse(text) else {
        return;
    };
    for resource in map.resources() {
        assert!(resource.start <= resource.last);
    }
    // What the accessors say may be empty or refused; it must not be backwards.
    for range in [map.system_ram(), map.low_ram(), map.reserved()].concat() {
        assert!(range.start <= range.end, "{range:?}");
        let _ = map.is_reserved(&range);
    }
    let _ = map.ecam();
    reserved(command_line, &map);
}

fn reserved(command_line: &str, map: &Map) {
    if let Ok(Some(range)) = reserved_at_boot(command_line, map, 2 << 20) {
        assert!(range.start < range.end);
        assert!(range.end - range.start >= 2 << 20);
    }
}

fn mounts(text: &str) {
    if let Ok(mounts) = mountinfo::parse(text, |_| Source::Kernel) {
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        assert_eq!(mounts.len(), lines);
    }
}

fn options(text: &str) {
    let (fs_type, options) = text.split_once(SEPARATOR).unwrap_or(("ext4", text));
    let _ = mount_flags(options);
    for option in super_options(fs_type, options) {
        let _ = option.text();
    }
}

/// A folder for this process, in memory if there is such a place.
fn folder() -> PathBuf {
    let shm = Path::new("/dev/shm");
    let parent = if shm.is_dir() {
        shm.to_owned()
    } else {
        std::env::temp_dir()
    };
    let thread = format!("{:?}", std::thread::current().id());
    let name: String = thread.chars().filter(char::is_ascii_digit).collect();
    parent.join(format!("baton-fuzz-{}-{name}", std::process::id()))
}

/// Removes the folder, also when a rule is broken.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is a few files in memory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn modules(text: &str) {
    let scratch = Scratch(folder());
    std::fs::create_dir_all(&scratch.0).expect("a folder can be made");
    let mut parts = text.split(SEPARATOR);
    let query = parts.next().unwrap_or_default();
    for name in INDICES {
        let part = parts.next().unwrap_or_default();
        std::fs::write(scratch.0.join(name), part).expect("a file can be written");
    }
    let Ok(tree) = Tree::open(&scratch.0) else {
        return;
    };
    for word in query.split_whitespace().take(8) {
        for resolution in [tree.by_name(word), tree.by_modalias(word)] {
            if let Resolution::Files(files) = resolution {
                let mut sorted = files.clone();
                sorted.sort();
                sorted.dedup();
                assert!(!files.is_empty());
                assert!(sorted.len() <= files.len());
            }
        }
    }
}
