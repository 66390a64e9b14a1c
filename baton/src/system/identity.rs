//! Names of devices that are the same on every kernel: their place in the machine.
//!
//! A place is what the resolved sysfs path of a device says, less what a kernel numbers as it
//! likes (`virtio3`, `host7`, `usb2`, `sda`): PCI addresses from the host bridge down, then the
//! unit on the controller, then the partition.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

/// Most bytes of an identity: a field of the handoff region, less its NUL.
pub const MAX_IDENTITY: usize = 255;

/// A block device, whatever the kernel calls it: `0000:00:03.0/part:1`,
/// `0000:00:1f.2/ata:1/scsi:0:0:0`, `0000:01:00.0/nvme:1/part:2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceIdentity(String);

impl DeviceIdentity {
    /// The text, as it is in the handoff region.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An identity of its text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A block device as this kernel calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDevice {
    /// Kernel name, which is its name in devtmpfs as well.
    pub name: String,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// What is behind a device number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backing {
    /// A disk or partition, to be found again.
    Disk(DeviceIdentity),
    /// Something that Baton cannot find again; its kind.
    Unsupported(String),
}

/// What is behind a block device number.
///
/// # Errors
/// sysfs does not know the number, or the identity is too long.
pub fn backing_of(sysfs: &Path, major: u32, minor: u32) -> Result<Backing> {
    let link = sysfs.join(format!("dev/block/{major}:{minor}"));
    let path = fs::canonicalize(&link).with_context(|| format!("resolving {}", link.display()))?;
    backing_of_path(&path)
}

/// What is behind the block device with this resolved sysfs directory.
fn backing_of_path(path: &Path) -> Result<Backing> {
    let part = fs::read_to_string(path.join("partition")).ok();
    let disk = match &part {
        Some(_) => path.parent().unwrap_or(path),
        None => path,
    };
    let name = file_name(disk);
    let Some(controller) = controller(disk) else {
        return Ok(Backing::Unsupported(virtual_kind(disk, &name)));
    };
    let mut places = device_chain(&controller);
    if places.iter().any(|place| is_numbered(place, "session")) {
        return Ok(Backing::Unsupported("iscsi".to_owned()));
    }
    if let Ok(namespace) = fs::read_to_string(disk.join("nsid")) {
        places.push(format!("nvme:{}", namespace.trim()));
    } else if name.starts_with("nvme") {
        let namespace = name.rsplit('n').next().unwrap_or_default();
        places.push(format!("nvme:{namespace}"));
    }
    // Hardware partitions of MMC: mmcblk0boot1.
    if let Some(rest) = name.strip_prefix("mmcblk") {
        let hardware = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        if !hardware.is_empty() {
            places.push(format!("hw:{hardware}"));
        }
    }
    if let Some(number) = part {
        places.push(format!("part:{}", number.trim()));
    }
    let text = places.join("/");
    ensure!(
        text.len() <= MAX_IDENTITY,
        "the place of {name} is longer than {MAX_IDENTITY} bytes: {text}"
    );
    Ok(Backing::Disk(DeviceIdentity(text)))
}

/// Directory of what a disk hangs on; `None` if it is not a device of the machine.
fn controller(disk: &Path) -> Option<PathBuf> {
    let parent = disk.parent()?;
    // An NVMe disk of a subsystem with several controllers is the child of the subsystem.
    if is_numbered(&file_name(parent), "nvme-subsys") {
        let entries = fs::read_dir(parent).ok()?.flatten();
        let mut controllers: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| is_numbered(&file_name(path), "nvme"))
            .filter_map(|path| fs::canonicalize(path).ok())
            .collect();
        controllers.sort();
        return controllers.into_iter().next();
    }
    let mut components = disk.components();
    if components.any(|part| part.as_os_str() == "virtual") {
        return None;
    }
    Some(parent.to_path_buf())
}

/// What kind of block device without hardware it is.
fn virtual_kind(disk: &Path, name: &str) -> String {
    if let Ok(uuid) = fs::read_to_string(disk.join("dm/uuid")) {
        let kind = uuid.split('-').next().unwrap_or_default();
        return format!("device-mapper {}", kind.trim()).trim().to_owned();
    }
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    match kind {
        "dm-" => "device-mapper".to_owned(),
        kind => kind.to_owned(),
    }
}

/// The device with an identity, if this kernel has it by now.
#[must_use]
pub fn find_block_device(sysfs: &Path, identity: &DeviceIdentity) -> Option<BlockDevice> {
    let entries = fs::read_dir(sysfs.join("dev/block")).ok()?;
    entries.flatten().find_map(|entry| {
        let number = entry.file_name();
        let (major, minor) = number.to_str()?.split_once(':')?;
        let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
        let path = fs::canonicalize(entry.path()).ok()?;
        match backing_of_path(&path).ok()? {
            Backing::Disk(other) if other == *identity => Some(BlockDevice {
                name: file_name(&path).replace('!', "/"),
                major,
                minor,
            }),
            _ => None,
        }
    })
}

/// The place of a device from its resolved sysfs directory: PCI addresses, and what hangs below.
pub(crate) fn device_chain(device: &Path) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    let mut path = PathBuf::new();
    let mut below_devices = false;
    for component in device.components() {
        path.push(component);
        let Some(name) = component.as_os_str().to_str() else {
            continue;
        };
        if !below_devices {
            below_devices = name == "devices";
            continue;
        }
        if let Some(place) = place_of(name, &path, &places) {
            places.push(place);
        }
    }
    places
}

/// What one directory on the way adds to the place.
fn place_of(name: &str, path: &Path, places: &[String]) -> Option<String> {
    let on_ata = places.iter().any(|place| place.starts_with("ata:"));
    let numbered = |prefix| is_numbered(name, prefix);
    if ["block", "nvme", "mmc_host", "net", "virtual", "platform"].contains(&name)
        || ["virtio", "usb", "nvme", "mmc"].into_iter().any(numbered)
        || (name.starts_with("pci") && name.contains(':'))
        || name.starts_with("target")
    {
        return None;
    }
    if numbered("ata") {
        let port = fs::read_to_string(path.join("ata_port").join(name).join("port_no"));
        let port = port.map_or_else(|_| rank(path, "ata"), |text| text.trim().to_owned());
        return Some(format!("ata:{port}"));
    }
    if numbered("host") {
        return (!on_ata).then(|| format!("host:{}", rank(path, "host")));
    }
    // USB: BUS-PORT.PORT, and interfaces BUS-PORT.PORT:CONFIGURATION.INTERFACE.
    if let Some((bus, ports)) = name.split_once('-') {
        if is_number(bus) && ports.starts_with(|c: char| c.is_ascii_digit()) {
            return match ports.split_once(':') {
                Some((_, interface)) => Some(format!("if:{interface}")),
                None => Some(format!("usb:{ports}")),
            };
        }
    }
    if let Some((host, unit)) = name.split_once(':') {
        let parts: Vec<&str> = unit.split(':').collect();
        if is_numbered(host, "mmc") {
            return Some(format!("mmc:{unit}"));
        }
        if parts.len() == 3 && is_number(host) && parts.iter().all(|part| is_number(part)) {
            return Some(format!("scsi:{unit}"));
        }
    }
    Some(name.to_owned())
}

/// Which of the siblings of its kind a directory is, counted by number.
fn rank(path: &Path, prefix: &str) -> String {
    let number = |name: &str| name.strip_prefix(prefix)?.parse::<u32>().ok();
    let own = number(&file_name(path));
    let siblings = path.parent().and_then(|parent| fs::read_dir(parent).ok());
    let before = siblings
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| number(entry.file_name().to_str()?))
        .filter(|other| Some(*other) < own);
    before.count().to_string()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(is_number)
}

pub(super) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
