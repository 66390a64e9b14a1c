//! Which NIC is which, whatever the kernel calls it.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::system::identity::device_chain;

/// What a physical NIC is known by on every kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NicIdentity {
    /// Its place in the machine: PCI addresses from the host bridge down, and what hangs below.
    pub place: String,
    /// Port of the device, for devices with several.
    pub port: u32,
    /// Address that the hardware came with; empty if the driver does not tell. Not needed to
    /// find the NIC again unless the place is empty.
    pub permanent_mac: Vec<u8>,
}

impl NicIdentity {
    /// Identity of the interface with this name; `None` if no device is behind it.
    pub(super) fn of(sysfs: &Path, name: &str, permanent_mac: &[u8]) -> Option<Self> {
        let interface = sysfs.join("class/net").join(name);
        let device = fs::canonicalize(interface.join("device")).ok()?;
        let port = fs::read_to_string(interface.join("dev_port"));
        let port = port.ok().and_then(|text| text.trim().parse().ok());
        Some(Self {
            place: device_chain(&device).join("/"),
            port: port.unwrap_or_default(),
            permanent_mac: permanent_mac.to_vec(),
        })
    }

    /// Whether both mean the same NIC.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        if self.place.is_empty() {
            return !self.permanent_mac.is_empty() && self.permanent_mac == other.permanent_mac;
        }
        self.place == other.place && self.port == other.port
    }
}

impl fmt::Display for NicIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if self.port != 0 {
            write!(f, " port {}", self.port)?;
        }
        Ok(())
    }
}
