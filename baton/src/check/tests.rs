//! A directory that stands for a machine's sysfs or procfs, and the points as a whole.

use super::*;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

/// A fake tree.
pub struct Tree(TempDir);

impl Tree {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn bytes(&self, name: &str, content: &[u8]) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn file(&self, name: &str, content: &str) {
        self.bytes(name, content.as_bytes());
    }

    pub fn link(&self, name: &str, target: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }
}

fn mixed() -> Vec<Point> {
    vec![
        Point::ok("CPU", "fine"),
        Point::warn("swap", "in use", "swapoff"),
    ]
}

#[test]
fn warnings_do_not_stop_a_load_and_failures_do() {
    gate(&mixed()).unwrap();
    print(&mixed(), true).unwrap();
    let mut points = mixed();
    points.push(Point::fail("IOMMU", "active", "turn it off"));
    let error = gate(&points).unwrap_err();
    assert_eq!(exit::code(&error), exit::CANNOT);
    let text = error.to_string();
    assert!(text.contains("IOMMU") && text.contains("turn it off") && !text.contains("swap"));
    assert_eq!(
        exit::code(&print(&points, false).unwrap_err()),
        exit::CANNOT
    );
}

#[test]
fn points_are_lines_and_json() {
    let line = Point::warn("swap", "in use", "swapoff").line();
    assert_eq!(line.lines().count(), 2);
    assert!(line.starts_with("WARN  swap"));
    let json = serde_json::to_value(mixed()).unwrap();
    assert_eq!(json[1]["verdict"], "WARN");
    assert!(json[0].get("advice").is_none());
}

#[test]
fn every_point_of_this_very_machine_can_be_asked() {
    // Whatever it is: looking must neither panic nor change anything.
    let options = Options {
        kernel: None,
        module: None,
        memory: 512 << 20,
        cpu: None,
    };
    assert!(run(&options).len() > 10);
}
