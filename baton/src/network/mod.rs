//! The network of the running kernel, and how to make it again on another.
//!
//! # Story
//! 1. On the 1st OS, a [`Watcher`] is opened and then [`Snapshot::take`] reads the links,
//!    addresses, routes, rules, neighbours and settings of its network namespace. Right before the
//!    stop, [`Watcher::changed`] tells whether the snapshot has to be taken again.
//! 2. The snapshot crosses to the 2nd OS as bytes ([`Snapshot::to_bytes`]).
//! 3. There a [`Restorer`] makes it all again, NIC by NIC as they appear.
//!
//! # Invariants
//! * Messages are kept as the kernel gave them, less what is state and not setting: attributes
//!   that this build does not know survive.
//! * A NIC is known by its place in the machine, never by its name or index. Indexes in messages
//!   are translated.
//! * Restoring is idempotent: what is there already is left as it is.
//! * What cannot be restored is named in words, never passed over.
//!
//! # Not for
//! Packet filters, traffic control, XDP programs, keys of tunnels (WireGuard, IPsec), the
//! forwarding and VLAN tables of bridges, ethtool settings, and other network namespaces.
//! Of these, what a link shows is reported: another queueing discipline, an XDP program, a VLAN
//! table, kinds of links that cannot be made by netlink alone.

mod abi;
mod attribute;
mod configure;
mod create;
mod identity;
mod link;
mod normalise;
mod replay;
mod restore;
mod socket;
mod sysctl;
mod translate;
pub(crate) mod watch;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

use abi::*;
pub use attribute::{Attribute, Message};
pub(crate) use create::NOT_BY_NETLINK;
pub use identity::NicIdentity;
pub use link::{Link, LinkKind};
pub use restore::{Restored, Restorer};
use socket::{Refusal, Rtnl};
pub use sysctl::Settings;
use sysctl::Sysctls;
pub use watch::Watcher;

/// Most bytes that a snapshot may have: the size of its section of the handoff region, less its
/// header and a reserve.
pub const MAX_BYTES: usize = 120 * 1024;

/// Where the kernel's pseudo file systems are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// Mount point of procfs.
    pub proc: PathBuf,
    /// Mount point of sysfs.
    pub sys: PathBuf,
    /// Mount point of devtmpfs.
    pub dev: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            sys: PathBuf::from("/sys"),
            dev: PathBuf::from("/dev"),
        }
    }
}

/// The network as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Interfaces in the order of their indexes.
    pub links: Vec<Link>,
    /// Addresses in the kernel's order.
    pub addresses: Vec<Message>,
    /// Nexthop objects.
    pub nexthops: Vec<Message>,
    /// Routes of all tables in the kernel's order, less those that the kernel makes by itself.
    pub routes: Vec<Message>,
    /// Policy rules, the default ones as well.
    pub rules: Vec<Message>,
    /// Neighbours that are configured, and those that are known.
    pub neighbours: Vec<Message>,
    sysctls: Sysctls,
}

impl Snapshot {
    /// Reads the network of this thread's namespace.
    ///
    /// # Errors
    /// The kernel refuses a dump, or its answer cannot be read.
    pub fn take() -> Result<Self> {
        Self::take_from(&Roots::default())
    }

    /// [`Self::take`] with other mount points of procfs and sysfs.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_from(roots: &Roots) -> Result<Self> {
        let mut rtnl = Rtnl::new()?;
        let links = link::links(&mut rtnl, &roots.sys)?;
        let nexthops = match rtnl.dump(RTM_GETNEXTHOP, &[0; 8], &[]) {
            Ok(answer) => answer.into_iter().filter_map(normalise::nexthop).collect(),
            // A kernel without nexthop objects.
            Err(error) if error.is::<Refusal>() => Vec::new(),
            Err(error) => return Err(error),
        };
        let routes = collect(&mut rtnl, RTM_GETROUTE, 12, normalise::route)?;
        let mut neighbours = collect(&mut rtnl, RTM_GETNEIGH, 12, normalise::neighbour)?;
        normalise::limit_neighbours(&mut neighbours, &routes);
        let mut proxies = [0; 12];
        proxies[10] = NTF_PROXY;
        let proxies = rtnl.dump(RTM_GETNEIGH, &proxies, &[])?;
        neighbours.extend(proxies.into_iter().filter_map(normalise::neighbour));
        Ok(Self {
            addresses: collect(&mut rtnl, RTM_GETADDR, 8, normalise::address)?,
            rules: collect(&mut rtnl, RTM_GETRULE, 12, normalise::rule)?,
            sysctls: Sysctls::take(&roots.proc, &links),
            links,
            nexthops,
            routes,
            neighbours,
        })
    }

    /// The bytes that cross to the other kernel.
    ///
    /// # Errors
    /// They are more than [`MAX_BYTES`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let bytes = postcard::to_stdvec(self).context("packing the network snapshot")?;
        ensure!(
            bytes.len() <= MAX_BYTES,
            "the network snapshot has {} bytes, of which {MAX_BYTES} fit: {} links, {} addresses, \
             {} routes, {} neighbours",
            bytes.len(),
            self.links.len(),
            self.addresses.len(),
            self.routes.len(),
            self.neighbours.len()
        );
        Ok(bytes)
    }

    /// The snapshot of the bytes.
    ///
    /// # Errors
    /// They are not one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        postcard::from_bytes(bytes).context("unpacking the network snapshot")
    }

    /// Kinds of virtual links in it. Each needs its module, which is known to the kernel as
    /// `rtnl-link-KIND`, before the restore.
    #[must_use]
    pub fn virtual_kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = self.links.iter().filter_map(Link::virtual_kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Physical NICs in it.
    pub fn nics(&self) -> impl Iterator<Item = (&Link, &NicIdentity)> {
        let identify = |link: &'_ Link| link.identity().is_some();
        let links = self.links.iter().filter(move |link| identify(link));
        links.filter_map(|link| link.identity().map(|identity| (link, identity)))
    }

    /// Sets what all links share and what new links begin with: to be done before they appear.
    /// `known`: this kernel's settings, if nothing has changed them since they were read.
    pub fn restore_settings(
        &self,
        roots: &Roots,
        known: Option<&Settings>,
        report: &mut dyn FnMut(String),
    ) {
        self.sysctls.restore_common(&roots.proc, known, report);
    }

    /// Makes it all again, waiting for NICs and their carriers for a bounded time.
    ///
    /// # Errors
    /// Netlink itself failed. What the kernel refuses is reported instead.
    pub fn restore(&self, report: &mut dyn FnMut(String)) -> Result<Restored> {
        let roots = Roots::default();
        self.restore_settings(&roots, None, report);
        let mut restorer = Restorer::new(self, roots, None, report)?;
        restorer.finish(restore::PATIENCE, report)
    }
}

/// Dumps both IP versions, in the form of requests.
fn collect(
    rtnl: &mut Rtnl,
    kind: u16,
    header: usize,
    normalise: fn(Message) -> Option<Message>,
) -> Result<Vec<Message>> {
    let mut all = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let mut request = vec![family];
        request.resize(header, 0);
        match rtnl.dump(kind, &request, &[]) {
            Ok(answer) => all.extend(
                answer
                    .into_iter()
                    .filter(|message| message.family() == family)
                    .filter_map(normalise),
            ),
            // A kernel without IPv6, or without policy routing.
            Err(error) if error.is::<Refusal>() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}
