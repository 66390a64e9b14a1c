//! The modules that the disks and network cards of this machine need.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::index::canonical;
use super::{Resolution, Tree};

/// Most devices between a disk and the root of the device tree.
const MAX_DEPTH: usize = 64;

/// Drivers whose module has another name, for kernels where neither says so.
const DRIVER_MODULES: &[(&str, &str)] = &[
    ("sd", "sd_mod"),
    ("vbd", "xen_blkfront"),
    ("vif", "xen_netfront"),
    ("mmcblk", "mmc_block"),
];

/// Character sets that mounting these file systems asks for; the kernel may have them built in
/// or not at all.
const CHARACTER_SETS: &[(&str, &[&str])] = &[
    (
        "vfat",
        &["nls_cp437", "nls_iso8859_1", "nls_ascii", "nls_utf8"],
    ),
    ("msdos", &["nls_cp437", "nls_iso8859_1", "nls_ascii"]),
];

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Where sysfs is mounted (`/sys`).
    pub sysfs: &'a Path,
    /// Types of the file systems to be mounted (`ext4`, `xfs` …).
    pub file_systems: &'a [String],
    /// Further modules by name.
    pub extra: &'a [String],
}

/// What was found.
#[derive(Clone, Default, Debug)]
pub struct Needed {
    /// Files to load, in this order, each once.
    pub files: Vec<PathBuf>,
    /// What the kernel has no driver for.
    pub missing: Vec<Missing>,
}

/// Something that the kernel has no driver for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// The device, file system or module.
    pub what: String,
    /// Its modalias, for a device.
    pub modalias: Option<String>,
    /// The driver that runs it now, for a device.
    pub driver: Option<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the new kernel has no driver for {}", self.what)?;
        if let Some(driver) = &self.driver {
            write!(f, ", which is run by {driver} now")?;
        }
        if let Some(modalias) = &self.modalias {
            write!(f, " ({modalias})")?;
        }
        write!(
            f,
            "; install the package with the kernel's further modules, or choose another kernel"
        )
    }
}

/// One device on the way from a disk to the root of the device tree.
struct Node {
    path: PathBuf,
    modalias: Option<String>,
    /// Name of the driver that is bound to it.
    driver: Option<String>,
    /// Name of the module of that driver.
    module: Option<String>,
}

impl Needed {
    fn add(&mut self, resolution: Resolution, missing: Option<Missing>) {
        match resolution {
            Resolution::Files(files) => {
                for file in files {
                    if !self.files.contains(&file) {
                        self.files.push(file);
                    }
                }
            }
            Resolution::BuiltIn => {}
            Resolution::Missing => {
                self.missing
                    .extend(missing.filter(|m| !self.missing.contains(m)));
            }
        }
    }
}

/// Everything in `tree` that the disks and network cards found in sysfs need, with the file
/// systems and further modules that are wanted.
///
/// A device that no driver is bound to now needs none. One that has a driver now and that `tree`
/// has nothing for is in [`Needed::missing`]; whether that is fatal is for the caller to say.
///
/// # Errors
/// sysfs cannot be read.
pub fn needed_modules(wanted: &Wanted<'_>, tree: &Tree) -> Result<Needed> {
    let mut needed = Needed::default();
    let mut seen = BTreeSet::new();
    for device in devices(wanted.sysfs)? {
        for node in chain(wanted.sysfs, &device) {
            if seen.insert(node.path.clone()) {
                let missing = node.driver.as_ref().map(|driver| Missing {
                    what: format!("device {}", base_name(&node.path)),
                    modalias: node.modalias.clone(),
                    driver: Some(driver.clone()),
                });
                needed.add(driver_of(tree, &node), missing);
            }
        }
    }
    for name in wanted.file_systems {
        needed.add(file_system(tree, name), Some(missing("file system", name)));
        let sets = CHARACTER_SETS.iter().filter(|(fs, _)| fs == name);
        for set in sets.flat_map(|(_, sets)| sets.iter()) {
            needed.add(tree.by_name(set), None);
        }
    }
    for name in wanted.extra {
        needed.add(tree.by_name(name), Some(missing("module", name)));
    }
    Ok(needed)
}

fn missing(what: &str, name: &str) -> Missing {
    Missing {
        what: format!("{what} {name}"),
        modalias: None,
        driver: None,
    }
}

/// What `tree` has for a file system type.
fn file_system(tree: &Tree, name: &str) -> Resolution {
    match tree.by_name(&format!("fs-{name}")) {
        Resolution::Missing => tree.by_name(name),
        found => found,
    }
}

/// What `tree` has for a device: by its modalias, else by the module or driver that runs it now.
/// The latter finds drivers built into kernels that do not tell the aliases of what is built in.
fn driver_of(tree: &Tree, node: &Node) -> Resolution {
    let by_alias = node.modalias.as_ref().map(|alias| tree.by_modalias(alias));
    if let Some(found @ (Resolution::Files(_) | Resolution::BuiltIn)) = by_alias {
        return found;
    }
    let driver = node.driver.as_deref().map(canonical);
    let known = DRIVER_MODULES
        .iter()
        .find(|(name, _)| Some(*name) == driver.as_deref())
        .map(|(_, module)| (*module).to_owned());
    for name in [node.module.clone(), known, driver].into_iter().flatten() {
        match tree.by_name(&name) {
            Resolution::Missing => {}
            found => return found,
        }
    }
    Resolution::Missing
}

/// The devices behind disks and network cards, in the order of their names. Floppies and optical
/// drives are no disks. The controllers of NVMe are listed too, for with multipath a disk hangs
/// on none of them.
fn devices(sysfs: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut devices = BTreeSet::new();
    for class in ["block", "nvme", "net"] {
        let dir = sysfs.join("class").join(class);
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot list {}", dir.display()))
            }
        };
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", dir.display()))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_disk = !(name.starts_with("sr") || name.starts_with("fd"));
            // Without a device: a partition, or something that software makes.
            if let (true, Ok(device)) = (is_disk, entry.path().join("device").canonicalize()) {
                devices.insert(device);
            }
        }
    }
    Ok(devices)
}

/// The devices from the root of the device tree down to `device`. Of the PCI bridges above a
/// PCI device none is listed, for their drivers are part of PCI itself.
fn chain(sysfs: &Path, device: &Path) -> Vec<Node> {
    let root = sysfs.join("devices");
    let root = root.canonicalize().unwrap_or(root);
    let mut nodes: Vec<_> = device
        .ancestors()
        .take(MAX_DEPTH)
        .take_while(|path| path.starts_with(&root) && **path != root)
        .filter(|path| !is_bridge(path))
        .map(node)
        .filter(|node| node.modalias.is_some() || node.driver.is_some())
        .collect();
    nodes.reverse();
    nodes
}

/// Whether it is a PCI bridge, by its class.
fn is_bridge(path: &Path) -> bool {
    attribute(&path.join("class")).is_some_and(|class| class.starts_with("0x06"))
}

fn node(path: &Path) -> Node {
    let driver = path.join("driver").canonicalize().ok();
    let module = driver
        .as_ref()
        .and_then(|d| d.join("module").canonicalize().ok());
    Node {
        path: path.to_owned(),
        modalias: attribute(&path.join("modalias")),
        driver: driver.as_deref().map(base_name),
        module: module.as_deref().map(base_name),
    }
}

/// Content of an attribute, if it has one.
fn attribute(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn base_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
