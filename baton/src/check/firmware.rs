//! What the firmware says of PCI.

use super::Point;
use crate::iomem::Map;

/// Where the configuration space of PCI is.
pub fn pci_configuration(map: &Map) -> Point {
    const TOPIC: &str = "PCI";
    match map.ecam() {
        Ok(all) if all.is_empty() => Point::warn(
            TOPIC,
            "configuration space through I/O ports only, not in memory (no ECAM)",
            "choose a machine with PCI Express (QEMU: -M q35); not tested otherwise",
        ),
        Ok(all) => {
            let list: Vec<String> = all
                .iter()
                .map(|ecam| {
                    format!(
                        "segment {} buses {:02x}-{:02x} at {:#x}",
                        ecam.segment, ecam.bus_start, ecam.bus_end, ecam.start
                    )
                })
                .collect();
            Point::ok(TOPIC, list.join(", "))
        }
        Err(error) => Point::fail(
            TOPIC,
            format!("{error:#}"),
            "the machine's PCI cannot be described to the new kernel",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::iomem::parse;

    #[test]
    fn ecam_is_looked_for() {
        let q35 = "00100000-bfffffff : System RAM\nb0000000-bfffffff : PCI ECAM 0000 [bus 00-ff]\n";
        assert_eq!(pci_configuration(&parse(q35).unwrap()).verdict, Verdict::Ok);
        let pc = "00100000-bfffffff : System RAM\n";
        assert_eq!(
            pci_configuration(&parse(pc).unwrap()).verdict,
            Verdict::Warn
        );
    }
}
