use std::fs;
use std::io;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// A kernel that does, refuses or ignores what is written.
#[derive(Clone, Copy)]
enum Fake {
    Obeys,
    Refuses,
    Ignores,
}

impl Writer for Fake {
    fn write(&self, path: &Path, value: &str) -> io::Result<()> {
        match self {
            Self::Obeys => fs::write(path, format!("{value}\n")),
            Self::Refuses => Err(io::ErrorKind::ResourceBusy.into()),
            Self::Ignores => Ok(()),
        }
    }

    fn write_within(&self, path: &Path, value: &str, _: Duration) -> io::Result<()> {
        self.write(path, value)
    }
}

fn sysfs(online: &str, present: &str, hotpluggable: &[u32]) -> TempDir {
    let dir = TempDir::new().unwrap();
    let cpu = dir.path().join("devices/system/cpu");
    fs::create_dir_all(&cpu).unwrap();
    fs::write(cpu.join("online"), online).unwrap();
    fs::write(cpu.join("present"), present).unwrap();
    for number in hotpluggable {
        let dir = cpu.join(format!("cpu{number}"));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("online"), "1\n").unwrap();
    }
    dir
}

fn pick(online: &str, hotpluggable: &[u32], never: &[u32]) -> Result<u32> {
    let dir = sysfs(online, "0-3", hotpluggable);
    Cpus::new(dir.path()).pick(never)
}

#[test]
fn the_highest_that_may_go_is_picked() {
    assert_eq!(pick("0-3\n", &[0, 1, 2, 3], &[]).unwrap(), 3);
    assert_eq!(pick("0-2\n", &[1, 2, 3], &[]).unwrap(), 2);
    assert_eq!(pick("0-3\n", &[1, 2, 3], &[3]).unwrap(), 2);
    assert_eq!(pick("0-3\n", &[1], &[]).unwrap(), 1);
}

#[test]
fn nothing_to_pick_is_told() {
    let text = |result: Result<u32>| result.unwrap_err().to_string();
    assert!(text(pick("0\n", &[0], &[])).contains("only one CPU"));
    assert!(text(pick("0-1\n", &[0, 1], &[1])).contains("bootstrap processor"));
    assert!(text(pick("0-1\n", &[0], &[])).contains("can take offline"));
    assert!(Cpus::new(Path::new("/nonexistent")).pick(&[]).is_err());
}

#[test]
fn a_change_is_read_back() {
    let dir = sysfs("0-1", "0-1", &[1]);
    let set = |fake| Cpus::with_writer(dir.path(), fake).set_online(1, false);
    let error = format!("{:#}", set(Fake::Refuses).unwrap_err());
    assert!(
        error.contains("CPU 1 offline") && error.contains("busy"),
        "{error}"
    );
    assert!(set(Fake::Ignores)
        .unwrap_err()
        .to_string()
        .contains("has not taken"));
    set(Fake::Obeys).unwrap();
    let state = dir.path().join("devices/system/cpu/cpu1/online");
    assert_eq!(fs::read_to_string(&state).unwrap(), "0\n");
    // Nothing is written for what is so already.
    set(Fake::Refuses).unwrap();
    Cpus::with_writer(dir.path(), Fake::Obeys)
        .set_online(1, true)
        .unwrap();
    assert_eq!(fs::read_to_string(&state).unwrap(), "1\n");
}

#[test]
fn apic_ids_are_read() {
    let text =
        "processor\t: 0\napicid\t\t: 4\ninitial apicid\t: 4\n\nprocessor\t: 2\napicid\t: 6\n";
    assert_eq!(apic_ids(text).unwrap(), [(0, 4), (2, 6)]);
    assert!(apic_ids("processor : 0\n").is_err());
}
