//! The machine around CPU and memory: IOMMU, hypervisor.

use super::Point;
use std::path::Path;

/// Parameters that turn an IOMMU on.
const ASKED: &[&str] = &["intel_iommu=on", "amd_iommu=force_enable", "iommu=force"];

/// IOMMU and hypervisor.
pub fn points(sys: &Path, proc: &Path) -> Vec<Point> {
    let command_line = std::fs::read_to_string(proc.join("cmdline")).unwrap_or_default();
    let hypervisor = std::fs::read_to_string(sys.join("hypervisor/type")).unwrap_or_default();
    let mut points = vec![iommu(&names(&sys.join("class/iommu")), &command_line)];
    points.extend(xen(hypervisor.trim()));
    points
}

/// An IOMMU that works translates by tables in this kernel's memory, of which the new kernel, which
/// has no firmware table of it, knows nothing.
fn iommu(active: &[String], command_line: &str) -> Point {
    const TOPIC: &str = "IOMMU";
    const OFF: &str = "boot with intel_iommu=off or amd_iommu=off (and intremap=off)";
    if !active.is_empty() {
        return Point::fail(
            TOPIC,
            format!(
                "active ({}): devices would go on using the tables of the kernel that stopped",
                active.join(", ")
            ),
            OFF,
        );
    }
    let asked = command_line
        .split_whitespace()
        .find(|word| ASKED.contains(word));
    match asked {
        Some(word) => Point::warn(
            TOPIC,
            format!("{word} is on the command line, but none is active"),
            "leave the parameter out",
        ),
        None => Point::ok(TOPIC, "none is active"),
    }
}

fn xen(kind: &str) -> Option<Point> {
    (kind == "xen").then(|| {
        Point::fail(
            "hypervisor",
            "a Xen guest: disks, network and CPUs are Xen's, not PCI devices and APICs",
            "use a virtual machine with virtio (KVM), or hardware",
        )
    })
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::Tree;
    use crate::check::Verdict;

    #[test]
    fn an_active_iommu_is_a_reason_to_stop() {
        let tree = Tree::new();
        let verdict = |tree: &Tree| points(&tree.path().join("sys"), &tree.path().join("proc"));
        assert_eq!(verdict(&tree)[0].verdict, Verdict::Ok);
        tree.file("proc/cmdline", "quiet intel_iommu=on\n");
        assert_eq!(verdict(&tree)[0].verdict, Verdict::Warn);
        tree.file("sys/class/iommu/dmar0/x", "");
        assert_eq!(verdict(&tree)[0].verdict, Verdict::Fail);
        tree.file("sys/hypervisor/type", "xen\n");
        assert_eq!(verdict(&tree)[1].verdict, Verdict::Fail);
    }
}
