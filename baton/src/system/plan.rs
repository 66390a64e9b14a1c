//! In which order mounts can be made again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::identity::Backing;
use super::mountinfo::{Mount, Source};
use super::SystemSnapshot;

/// What kind of mount it is, for the caller to choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// The root file system.
    Root,
    /// Another mount of a file system on a disk.
    Disk,
    /// A file system in memory, to be made again empty.
    Memory,
    /// A file system of the kernel.
    Kernel,
    /// Cannot be made again, and why.
    Unsupported(String),
}

/// A mount to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedMount {
    /// As it was.
    pub mount: Mount,
    /// What it is.
    pub class: Class,
    /// An init makes it by itself (`/proc`, `/sys`, `/dev`, `/run`, what is below, and what is
    /// mounted there only by the kernel or by systemd).
    pub by_init: bool,
}

/// Mount points that an init provides.
const BY_INIT: &[&str] = &["/proc", "/sys", "/dev", "/run"];

/// Mounts of a snapshot in an order in which each finds its mount point as it was: parents before
/// children, and of the children of one parent the deeper first, because a mount on `/a` would
/// hide what is to be mounted on `/a/b`.
///
/// What lies below an unsupported mount is unsupported as well.
#[must_use]
pub fn mount_plan(snapshot: &SystemSnapshot) -> Vec<PlannedMount> {
    let Some(root) = snapshot.root() else {
        return Vec::new();
    };
    let mut children: BTreeMap<u32, Vec<&Mount>> = BTreeMap::new();
    for mount in &snapshot.mounts {
        if mount.id != mount.parent && mount.id != root.id {
            children.entry(mount.parent).or_default().push(mount);
        }
    }
    for siblings in children.values_mut() {
        // The next to be visited is the last: shallow ones first in here.
        siblings.sort_by_key(|mount| (depth(&mount.mount_point), std::cmp::Reverse(mount.id)));
    }
    let mut plan = Vec::new();
    let mut stack = vec![(root, None)];
    // Every mount has one parent, so that it is pushed at most once.
    while let Some((mount, below)) = stack.pop() {
        let class = below.unwrap_or_else(|| classify(mount, mount.id == root.id));
        let inherited = match &class {
            Class::Unsupported(reason) if mount.mount_point == "/" => {
                Some(Class::Unsupported(format!("below /: {reason}")))
            }
            Class::Unsupported(_) => {
                let reason = format!("{} below it is unsupported", mount.mount_point);
                Some(Class::Unsupported(reason))
            }
            _ => None,
        };
        for child in children.remove(&mount.id).unwrap_or_default() {
            stack.push((child, inherited.clone()));
        }
        plan.push(PlannedMount {
            by_init: is_by_init(mount, &class),
            mount: mount.clone(),
            class,
        });
    }
    plan
}

fn classify(mount: &Mount, root: bool) -> Class {
    if mount.root.ends_with("//deleted") || mount.mount_point.ends_with("//deleted") {
        return Class::Unsupported("what is mounted was deleted".to_owned());
    }
    if mount.options.split(',').any(|option| option == "idmapped") {
        return Class::Unsupported("it maps ids by a user namespace".to_owned());
    }
    match &mount.backing {
        Source::Device(Backing::Disk(_)) if root => Class::Root,
        Source::Device(Backing::Disk(_)) => Class::Disk,
        Source::Device(Backing::Unsupported(kind)) => Class::Unsupported(kind.clone()),
        Source::Memory | Source::Kernel if mount.root != "/" => {
            Class::Unsupported("it shows a part of a file system that is not on a disk".to_owned())
        }
        Source::Memory => Class::Memory,
        Source::Kernel => Class::Kernel,
        Source::Unsupported(kind) => Class::Unsupported(kind.clone()),
    }
}

fn is_by_init(mount: &Mount, class: &Class) -> bool {
    let point = mount.mount_point.as_str();
    let memory = matches!(class, Class::Memory | Class::Kernel)
        || matches!(&mount.backing, Source::Unsupported(kind) if kind == "autofs");
    let below = BY_INIT.iter().any(|prefix| {
        let rest = point.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    memory && below
}

fn depth(path: &str) -> usize {
    path.split('/').filter(|part| !part.is_empty()).count()
}
