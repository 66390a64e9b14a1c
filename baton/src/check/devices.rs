//! The PCI devices behind disks and network cards: each must be able to signal by message, for
//! interrupt lines are not handed over.

use super::Point;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const TOPIC: &str = "devices";
/// Most capabilities that a configuration space can hold, and more.
const MAX_CAPABILITIES: usize = 64;
/// Capability numbers (`include/uapi/linux/pci_regs.h`).
const MSI: u8 = 0x05;
const MSI_X: u8 = 0x11;

/// How a PCI device can interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Interrupts {
    /// By message, and it does.
    Messages,
    /// By message, but its driver does not make use of it.
    MessagesUnused,
    /// By a line only.
    LineOnly,
    /// Its configuration space could not be read that far.
    Unknown,
}

/// Every device that a disk or network card hangs on, once.
pub fn points(sys: &Path) -> Vec<Point> {
    let mut on_pci: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut elsewhere = Vec::new();
    for class in ["block", "nvme", "net"] {
        for (name, device) in hardware(sys, class) {
            match device.ancestors().find(|path| is_pci(path)) {
                Some(pci) => on_pci.entry(pci.to_owned()).or_default().push(name),
                None => elsewhere.push(name),
            }
        }
    }
    let mut points: Vec<Point> = on_pci
        .iter()
        .map(|(path, names)| {
            let address = path.file_name().unwrap_or_default().to_string_lossy();
            judge(
                &format!("{address} ({})", names.join(", ")),
                interrupts(path),
            )
        })
        .collect();
    if !elsewhere.is_empty() {
        points.push(Point::warn(
            TOPIC,
            format!("not on PCI: {}", elsewhere.join(", ")),
            "only PCI devices are taken over; nothing of importance may be on these",
        ));
    }
    points
}

fn judge(device: &str, interrupts: Interrupts) -> Point {
    match interrupts {
        Interrupts::Messages => Point::ok(TOPIC, format!("{device}: MSI")),
        Interrupts::MessagesUnused => Point::warn(
            TOPIC,
            format!("{device}: can signal by MSI, but its driver does not use it here"),
            "look for pci=nomsi or a parameter of the driver; the new kernel may not use it either",
        ),
        Interrupts::LineOnly => Point::fail(
            TOPIC,
            format!("{device}: has an interrupt line only (INTx), which is not handed over"),
            "replace it by a device with MSI or MSI-X, or take it out of use (remove its driver)",
        ),
        Interrupts::Unknown => Point::unknown(
            TOPIC,
            &anyhow::anyhow!("whether {device} can signal by MSI"),
        ),
    }
}

/// Names and resolved device directories of the disks or network cards with hardware behind them.
fn hardware(sys: &Path, class: &str) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(sys.join("class").join(class));
    let mut found: Vec<(String, PathBuf)> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Optical drives and floppies are no disks.
            let is_disk = !(name.starts_with("sr") || name.starts_with("fd"));
            let device = entry.path().join("device").canonicalize().ok()?;
            // An NVMe disk with several paths hangs on no controller; those are listed themselves.
            let is_virtual = device
                .components()
                .any(|part| part.as_os_str() == "virtual");
            let driven = device.join("driver").exists() || !is_pci(&device);
            (is_disk && driven && !is_virtual).then_some((name, device))
        })
        .collect();
    found.sort();
    found
}

/// `0000:00:1f.2`
fn is_pci(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parts: Vec<&str> = name.split([':', '.']).collect();
    let hexadecimal = |part: &&str| u32::from_str_radix(part, 16).is_ok();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    matches!(lengths.as_slice(), [domain, 2, 2, 1] if *domain >= 4) && parts.iter().all(hexadecimal)
}

fn interrupts(device: &Path) -> Interrupts {
    if device.join("msi_irqs").is_dir() {
        return Interrupts::Messages;
    }
    let config = std::fs::read(device.join("config")).unwrap_or_default();
    match has_messages(&config) {
        Some(true) => Interrupts::MessagesUnused,
        Some(false) => Interrupts::LineOnly,
        None => Interrupts::Unknown,
    }
}

/// Whether the capabilities of a configuration space include MSI or MSI-X; `None` if it is cut
/// short, as it is for those who are not root.
fn has_messages(config: &[u8]) -> Option<bool> {
    const STATUS: usize = 0x06;
    const CAPABILITIES: u8 = 1 << 4;
    const POINTER: usize = 0x34;
    if config.get(STATUS)? & CAPABILITIES == 0 {
        return Some(false);
    }
    let mut at = usize::from(config.get(POINTER)? & !3);
    for _ in 0..MAX_CAPABILITIES {
        if at == 0 {
            return Some(false);
        }
        match *config.get(at)? {
            MSI | MSI_X => return Some(true),
            _ => at = usize::from(config.get(at.checked_add(1)?)? & !3),
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::Tree;
    use crate::check::Verdict;

    /// A configuration space with one capability.
    fn config(capability: u8) -> Vec<u8> {
        let mut bytes = vec![0; 256];
        bytes[6] = 0x10;
        bytes[0x34] = 0x40;
        bytes[0x40] = 0x01;
        bytes[0x41] = 0x50;
        bytes[0x50] = capability;
        bytes
    }

    fn machine(capability: u8, in_use: bool) -> Vec<Point> {
        let tree = Tree::new();
        let pci = "devices/pci0000:00/0000:00:03.0";
        tree.bytes(&format!("{pci}/config"), &config(capability));
        tree.file(&format!("{pci}/virtio1/driver/x"), "");
        if in_use {
            tree.file(&format!("{pci}/msi_irqs/24"), "");
        }
        tree.file("class/block/loop0/size", "0");
        tree.link("class/block/vda/device", &format!("../../../{pci}/virtio1"));
        points(tree.path())
    }

    #[test]
    fn messages_are_needed() {
        for (capability, in_use, verdict) in [
            (0x11, true, Verdict::Ok),
            (0x11, false, Verdict::Warn),
            (0x05, false, Verdict::Warn),
            (0x10, false, Verdict::Fail),
        ] {
            let points = machine(capability, in_use);
            assert_eq!(points.len(), 1);
            assert_eq!(points[0].verdict, verdict, "{points:?}");
            assert!(points[0].found.contains("0000:00:03.0 (vda)"));
        }
    }

    #[test]
    fn a_short_configuration_space_is_unknown() {
        assert_eq!(has_messages(&config(0x11)), Some(true));
        assert_eq!(has_messages(&config(0x11)[..64]), None);
        assert_eq!(has_messages(&[]), None);
        let mut ring = config(0);
        ring[0x51] = 0x40;
        assert_eq!(has_messages(&ring), Some(false));
    }

    #[test]
    fn addresses_of_pci() {
        assert!(is_pci(Path::new("/sys/devices/pci0000:00/0000:00:1f.2")));
        assert!(is_pci(Path::new("10000:e1:00.0")));
        for other in ["pci0000:00", "virtio1", "0:0:0:0", "host0"] {
            assert!(!is_pci(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn what_is_not_on_pci_is_named() {
        let tree = Tree::new();
        tree.file("devices/vmbus/x/driver/y", "");
        tree.link("class/net/eth0/device", "../../../devices/vmbus/x");
        let points = points(tree.path());
        assert_eq!(points[0].verdict, Verdict::Warn);
        assert!(points[0].found.contains("eth0"));
    }
}
