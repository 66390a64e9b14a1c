//! Settings of the network under `/proc/sys/net/ipv{4,6}/conf` and `neigh`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::link::{links, Link};
use super::socket::Rtnl;
use super::Roots;

/// Directories with one directory per interface.
const TREES: &[&str] = &[
    "net/ipv4/conf",
    "net/ipv6/conf",
    "net/ipv4/neigh",
    "net/ipv6/neigh",
];
/// Settings that stand alone. The queueing discipline must be set before a link comes up.
const SINGLE: &[&str] = &["core/default_qdisc"];
/// Set by netlink instead (writing it makes addresses), or by the kernel alone.
const NOT_WRITTEN: &[&str] = &["addr_gen_mode", "mc_forwarding"];

/// Values by file name.
type Values = BTreeMap<String, String>;

/// Settings of one tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tree {
    path: String,
    all: Values,
    default: Values,
    /// By interface name, only what differs from `default`.
    interfaces: BTreeMap<String, Values>,
}

impl Tree {
    /// Every value of one interface.
    fn of(&self, name: &str) -> Values {
        let mut values = self.default.clone();
        values.extend(self.interfaces.get(name).cloned().unwrap_or_default());
        values
    }
}

/// The settings of this kernel, read while nothing changes them. A restore that knows them writes
/// what differs and need not read all of them first, one file each.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    sysctls: Sysctls,
    /// Names of the links that there were.
    links: BTreeSet<String>,
}

impl Settings {
    /// Reads those of this thread's network namespace.
    ///
    /// # Errors
    /// The kernel does not list its links.
    pub fn take(roots: &Roots) -> Result<Self> {
        let links = links(&mut Rtnl::new()?, &roots.sys)?;
        Ok(Self {
            sysctls: Sysctls::take(&roots.proc, &links),
            links: links.into_iter().map(|link| link.name).collect(),
        })
    }

    fn tree(&self, other: &Tree) -> Option<&Tree> {
        let mut trees = self.sysctls.trees.iter();
        trees.find(|tree| tree.path == other.path)
    }

    /// This kernel's values for the tree that `wanted` is of, unless setting `wanted` for all
    /// interfaces changes them.
    fn unaffected(&self, wanted: &Tree) -> Option<&Tree> {
        let same = |own: &&Tree| {
            let mut all = own.all.iter();
            all.all(|(key, value)| wanted.all.get(key).is_none_or(|wanted| wanted == value))
        };
        self.tree(wanted).filter(same)
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sysctls {
    trees: Vec<Tree>,
    /// By path below `net`.
    single: Values,
}

impl Sysctls {
    /// Reads those of these links.
    pub(super) fn take(proc: &Path, links: &[Link]) -> Self {
        let trees = TREES.iter().map(|path| {
            let root = proc.join("sys").join(path);
            let default = read(&root.join("default"));
            let of_link = |link: &Link| {
                let mut values = read(&root.join(&link.name));
                values.retain(|key, value| default.get(key) != Some(value));
                (link.name.clone(), values)
            };
            let mut interfaces: BTreeMap<_, _> = links.iter().map(of_link).collect();
            interfaces.retain(|_, values| !values.is_empty());
            Tree {
                path: (*path).to_owned(),
                all: read(&root.join("all")),
                interfaces,
                default,
            }
        });
        let net = proc.join("sys/net");
        let single = SINGLE.iter().filter_map(|path| {
            let text = fs::read_to_string(net.join(path)).ok()?;
            Some(((*path).to_owned(), text.trim().to_owned()))
        });
        Self {
            trees: trees.collect(),
            single: single.collect(),
        }
    }

    /// Sets what holds for all interfaces and for those to come. To be done before any
    /// interface is restored: some of these settings reach through to all interfaces.
    pub(super) fn restore_common(
        &self,
        proc: &Path,
        known: Option<&Settings>,
        report: &mut dyn FnMut(String),
    ) {
        let single = known.map(|known| &known.sysctls.single);
        write(&proc.join("sys/net"), &self.single, single, report);
        for tree in &self.trees {
            let root = proc.join("sys").join(&tree.path);
            let all = known.and_then(|known| known.tree(tree)).map(|own| &own.all);
            write(&root.join("all"), &tree.all, all, report);
            let default = known.and_then(|known| known.unaffected(tree));
            let default = default.map(|own| &own.default);
            write(&root.join("default"), &tree.default, default, report);
        }
    }

    /// Sets those of one interface. One that is newer than what is `known` began with the values
    /// that [`Self::restore_common`] set.
    pub(super) fn restore_link(
        &self,
        proc: &Path,
        name: &str,
        known: Option<&Settings>,
        report: &mut dyn FnMut(String),
    ) {
        for tree in &self.trees {
            let directory = proc.join("sys").join(&tree.path).join(name);
            match known {
                Some(known) if !known.links.contains(name) => {
                    let differing = tree.interfaces.get(name).cloned().unwrap_or_default();
                    write(&directory, &differing, None, report);
                }
                _ => {
                    let own = known.and_then(|known| known.unaffected(tree));
                    let own = own.map(|own| own.of(name));
                    write(&directory, &tree.of(name), own.as_ref(), report);
                }
            }
        }
    }

    /// Whether the kernel itself takes router advertisements on an interface.
    pub(super) fn accepts_advertisements(&self, name: &str) -> bool {
        let tree = self.trees.iter().find(|tree| tree.path == "net/ipv6/conf");
        let value = |key: &str| {
            let tree = tree?;
            let own = tree.interfaces.get(name).and_then(|values| values.get(key));
            own.or_else(|| tree.default.get(key)).map(String::as_str)
        };
        match value("accept_ra") {
            Some("2") => true,
            Some("1") => value("forwarding") == Some("0"),
            _ => false,
        }
    }
}

/// Every readable value of a directory. A secret that is not set cannot be read.
fn read(directory: &Path) -> Values {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let value = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        let text = fs::read_to_string(&path).ok()?;
        Some((name, text.trim().to_owned()))
    };
    entries
        .filter_map(|entry| value(entry.path()))
        .filter(|(name, _)| !NOT_WRITTEN.contains(&name.as_str()))
        .collect()
}

/// Writes the values that are not there yet. What is there is `known`, or read.
fn write(
    directory: &Path,
    values: &Values,
    known: Option<&Values>,
    report: &mut dyn FnMut(String),
) {
    if !directory.is_dir() {
        return;
    }
    // Forwarding first: changing it sets others, redirects for one.
    let (first, rest): (Vec<_>, Vec<_>) = values.iter().partition(|(key, _)| *key == "forwarding");
    for (key, value) in first.into_iter().chain(rest) {
        if known.and_then(|known| known.get(key)) == Some(value) {
            continue;
        }
        let path = directory.join(key);
        let current = fs::read_to_string(&path);
        match current {
            Ok(text) if text.trim() == value => continue,
            // A setting that this kernel does not have is one that it does not need: kernels
            // drop settings together with what they set.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            _ => {}
        }
        if let Err(error) = fs::write(&path, value) {
            report(format!(
                "{} stays, {value} is refused: {error}",
                path.display()
            ));
        }
    }
}
