//! File systems and swap.

use super::Point;
use crate::describe::SUPPORTED;
use crate::system::{Backing, Mount, Source, SystemSnapshot};
use handoff_abi::filesystem::MAX_FILESYSTEMS;
use std::collections::BTreeMap;

const TOPIC: &str = "file systems";

/// Kinds without a disk of their own that nobody misses: layers over others, and what is made
/// again by who made it.
const HARMLESS: &[&str] = &["overlay", "autofs", "file of a namespace"];

/// Every file system, and swap.
pub fn points(system: &SystemSnapshot) -> Vec<Point> {
    let root = system.root().map(|mount| mount.id);
    let mut points = Vec::new();
    // A file system that is mounted several times is one.
    let mut seen: BTreeMap<(u32, u32), &Mount> = BTreeMap::new();
    let mut disks = 0usize;
    let mut in_memory = Vec::new();
    let mut mounts: Vec<&Mount> = system.mounts.iter().collect();
    mounts.sort_by_key(|mount| (Some(mount.id) != root, mount.mount_point.len()));
    for mount in mounts {
        if seen.insert(mount.device, mount).is_some() {
            continue;
        }
        let is_root = Some(mount.id) == root;
        if matches!(mount.backing, Source::Device(_)) {
            disks = disks.saturating_add(1);
        }
        if mount.backing == Source::Memory && !is_root {
            in_memory.push(mount.mount_point.as_str());
        }
        points.extend(file_system(mount, is_root));
    }
    if disks > MAX_FILESYSTEMS {
        points.push(Point::fail(
            TOPIC,
            format!("{disks} on disks; a handover carries {MAX_FILESYSTEMS}"),
            "unmount some",
        ));
    }
    if !in_memory.is_empty() {
        points.push(Point::warn(
            TOPIC,
            format!(
                "in memory: {}; empty after the update",
                in_memory.join(", ")
            ),
            "keep nothing there that is needed afterwards",
        ));
    }
    if root.is_none() {
        points.push(Point::unknown(TOPIC, &anyhow::anyhow!("there is no root")));
    }
    points.push(swap(system));
    points
}

/// One file system; nothing is said of those that the kernel makes.
fn file_system(mount: &Mount, is_root: bool) -> Option<Point> {
    let read_only = mount.super_options.split(',').any(|word| word == "ro");
    let place = format!("{} ({})", mount.mount_point, mount.fs_type);
    match &mount.backing {
        Source::Device(Backing::Disk(identity)) => {
            let supported = SUPPORTED.contains(&mount.fs_type.as_str());
            Some(if supported || read_only {
                Point::ok(TOPIC, format!("{place} on {identity}"))
            } else {
                Point::fail(
                    TOPIC,
                    format!("{place}: its cache is not carried over"),
                    format!(
                        "unmount it, or mount it read-only; supported: {}",
                        SUPPORTED.join(", ")
                    ),
                )
            })
        }
        Source::Device(Backing::Unsupported(kind)) => Some(Point::fail(
            TOPIC,
            format!("{place} is on {}", in_words(kind)),
            match is_root {
                true => "the root file system has to be on a disk or a partition of one",
                false => "unmount it; only disks and their partitions are carried over",
            },
        )),
        Source::Unsupported(kind) if is_root => Some(Point::fail(
            TOPIC,
            format!("{place}: {kind} cannot be the root"),
            "the root file system has to be on a disk or a partition of one",
        )),
        Source::Memory | Source::Kernel if is_root => Some(Point::fail(
            TOPIC,
            format!("{place}: the root file system is in memory"),
            "the root file system has to be on a disk or a partition of one",
        )),
        Source::Unsupported(kind) if HARMLESS.contains(&kind.as_str()) => None,
        Source::Unsupported(kind) => Some(Point::warn(
            TOPIC,
            format!("{place}: {kind}; it will not be mounted after the update"),
            "unmount it, or mount it again afterwards",
        )),
        Source::Memory | Source::Kernel => None,
    }
}

/// A kind of block device as people call it.
fn in_words(kind: &str) -> String {
    match kind {
        "device-mapper CRYPT" => "an encrypted device (dm-crypt)".to_owned(),
        "device-mapper LVM" => "a logical volume (device mapper, LVM)".to_owned(),
        "loop" => "a loop device".to_owned(),
        "md" => "a software RAID (md)".to_owned(),
        "zram" => "compressed memory (zram)".to_owned(),
        "nbd" | "iscsi" | "rbd" => format!("a network block device ({kind})"),
        other => other.to_owned(),
    }
}

/// What is swapped out is memory that the new kernel does not see.
fn swap(system: &SystemSnapshot) -> Point {
    let list: Vec<&str> = system.swaps.iter().map(|swap| swap.path.as_str()).collect();
    match list.is_empty() {
        true => Point::ok("swap", "none in use"),
        false => Point::warn(
            "swap",
            format!("in use: {}; it is not carried over", list.join(", ")),
            "swapoff -a before the update, swapon -a afterwards",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::system::{DeviceIdentity, Swap};

    fn mount(id: u32, point: &str, kind: &str, backing: Source) -> Mount {
        Mount {
            id,
            parent: 0,
            device: (8, id),
            root: "/".to_owned(),
            mount_point: point.to_owned(),
            options: "rw".to_owned(),
            shared: false,
            fs_type: kind.to_owned(),
            source: "/dev/x".to_owned(),
            super_options: "rw".to_owned(),
            backing,
        }
    }

    fn disk() -> Source {
        let identity = DeviceIdentity::from_text("0000:00:03.0");
        Source::Device(Backing::Disk(identity))
    }

    fn system(mounts: Vec<Mount>) -> SystemSnapshot {
        SystemSnapshot {
            hostname: String::new(),
            domainname: String::new(),
            kernel_release: String::new(),
            machine_id: None,
            consoles: Vec::new(),
            mounts,
            swaps: Vec::new(),
        }
    }

    fn worst(system: &SystemSnapshot) -> Verdict {
        let rank = |p: &Point| match p.verdict {
            Verdict::Ok => 0,
            Verdict::Warn => 1,
            Verdict::Fail => 2,
        };
        let points = points(system);
        points
            .into_iter()
            .max_by_key(rank)
            .map_or(Verdict::Ok, |p| p.verdict)
    }

    #[test]
    fn a_plain_machine_is_fine() {
        let plain = vec![
            mount(1, "/", "ext4", disk()),
            mount(2, "/proc", "proc", Source::Kernel),
            mount(3, "/run", "tmpfs", Source::Memory),
            mount(4, "/var/lib/docker/x", "overlay", {
                Source::Unsupported("overlay".to_owned())
            }),
        ];
        // Files in memory are lost, and that is all.
        let points = points(&system(plain));
        assert!(points.iter().all(|point| point.verdict != Verdict::Fail));
        let warned = points.iter().filter(|p| p.verdict == Verdict::Warn);
        assert_eq!(warned.map(|p| &p.found).collect::<Vec<_>>().len(), 1);
    }

    #[test]
    fn what_cannot_be_carried_is_named() {
        let with = |kind: &str, backing: Source| {
            let root = mount(1, "/", "ext4", disk());
            system(vec![root, mount(2, "/data", kind, backing)])
        };
        let unsupported =
            |kind: &str| Source::Device(Backing::Unsupported(format!("device-mapper {kind}")));
        let crypt = with("ext4", unsupported("CRYPT"));
        assert_eq!(worst(&crypt), Verdict::Fail);
        assert!(points(&crypt)[1].found.contains("dm-crypt"));
        assert_eq!(worst(&with("btrfs", disk())), Verdict::Fail);
        assert_eq!(worst(&with("xfs", disk())), Verdict::Ok);
        for kind in ["network file system nfs4", "zfs", "fuse.sshfs"] {
            let system = with("x", Source::Unsupported(kind.to_owned()));
            assert_eq!(worst(&system), Verdict::Warn, "{kind}");
        }
        let mut read_only = mount(2, "/boot/efi", "vfat", disk());
        read_only.super_options = "ro,utf8".to_owned();
        let root = mount(1, "/", "ext4", disk());
        assert_eq!(worst(&system(vec![root, read_only])), Verdict::Ok);
        let memory = system(vec![mount(1, "/", "tmpfs", Source::Memory)]);
        assert_eq!(worst(&memory), Verdict::Fail);
    }

    #[test]
    fn swap_is_a_warning() {
        let mut with = system(vec![mount(1, "/", "ext4", disk())]);
        with.swaps.push(Swap {
            path: "/dev/sda2".to_owned(),
            priority: -2,
            backing: None,
        });
        assert_eq!(worst(&with), Verdict::Warn);
    }
}
