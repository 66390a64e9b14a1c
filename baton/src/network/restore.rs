//! Makes the network of a snapshot again, as its parts appear.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::abi::*;
use super::attribute::{Attribute, Message};
use super::identity::NicIdentity;
use super::link::{links, Link, LinkKind};
use super::replay::Pending;
use super::socket::{Refusal, Rtnl};
use super::translate::IndexMap;
use super::watch::Watcher;
use super::{normalise, Roots, Settings, Snapshot};

/// How long [`Snapshot::restore`] waits for NICs and carriers.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// The lower layer is up: the cable is in.
const IFF_LOWER_UP: u32 = 0x10000;

/// What was made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Interfaces.
    pub links: usize,
    /// Addresses.
    pub addresses: usize,
    /// Nexthop objects, routes, rules and neighbours.
    pub entries: usize,
    /// NICs that did not appear.
    pub missing: Vec<String>,
    /// What the kernel refused; each was reported.
    pub failed: usize,
}

/// A restore under way. Each call does what is possible by then.
///
/// The caller may drive it NIC by NIC ([`Self::restore_link`]), or let it wait
/// ([`Self::finish`]).
pub struct Restorer<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) rtnl: Rtnl,
    pub(super) roots: Roots,
    watcher: Watcher,
    /// Old index to new, of links that are there and configured.
    pub(super) map: IndexMap,
    /// Old indexes of links that cannot be made.
    pub(super) given_up: BTreeSet<u32>,
    /// Old indexes of ports that are with their master.
    pub(super) enslaved: BTreeSet<u32>,
    /// Old indexes of links that are as up as they were, and have their addresses.
    pub(super) raised: BTreeSet<u32>,
    pub(super) pending: Vec<Pending>,
    pub(super) result: Restored,
    pub(super) known: Option<&'a Settings>,
    held: bool,
}

impl<'a> Restorer<'a> {
    /// Begins: the policy rules. The settings that all links share are to be restored before
    /// ([`Snapshot::restore_settings`], with the same `known`).
    ///
    /// # Errors
    /// Netlink itself failed.
    pub fn new(
        snapshot: &'a Snapshot,
        roots: Roots,
        known: Option<&'a Settings>,
        report: &mut dyn FnMut(String),
    ) -> Result<Self> {
        let mut restorer = Self {
            snapshot,
            rtnl: Rtnl::new()?,
            roots,
            // Before the first look, so that nothing that appears after it is missed.
            watcher: Watcher::new()?,
            map: IndexMap::new(),
            given_up: BTreeSet::new(),
            enslaved: BTreeSet::new(),
            raised: BTreeSet::new(),
            pending: Pending::all(snapshot),
            result: Restored::default(),
            known,
            held: false,
        };
        restorer.align_rules(report)?;
        Ok(restorer)
    }

    /// While held, links are found, named, configured and put under their masters, but nothing
    /// except the loopback interface is set up, gets an address or a route. No packet is
    /// answered that the old kernel's sockets should have answered.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Physical NICs that have not appeared yet.
    pub fn missing(&self) -> impl Iterator<Item = (&Link, &NicIdentity)> {
        let nics = self.snapshot.nics();
        nics.filter(|(link, _)| !self.map.contains_key(&link.index))
    }

    /// Restores one NIC if it is there, and what becomes possible with it: links on it, its
    /// addresses and routes. Says whether it is there.
    ///
    /// # Errors
    /// Netlink itself failed.
    pub fn restore_link(
        &mut self,
        identity: &NicIdentity,
        report: &mut dyn FnMut(String),
    ) -> Result<bool> {
        self.step(Some(identity), report)?;
        let found = self.missing().all(|(_, other)| !other.is_same(identity));
        Ok(found)
    }

    /// Restores all that is possible by now. Says whether nothing is left to wait for.
    ///
    /// # Errors
    /// Netlink itself failed.
    pub fn restore_available(&mut self, report: &mut dyn FnMut(String)) -> Result<bool> {
        self.step(None, report)?;
        Ok(self.missing().next().is_none() && self.pending.is_empty())
    }

    /// Waits for what is not there yet, at most for this long, restores it as it appears, and
    /// reports what stays open. Ends a hold.
    ///
    /// # Errors
    /// Netlink itself failed.
    pub fn finish(
        &mut self,
        patience: Duration,
        report: &mut dyn FnMut(String),
    ) -> Result<Restored> {
        self.held = false;
        let deadline = Instant::now() + patience;
        while !self.restore_available(report)? && self.can_hope()? {
            if !self.watcher.wait(deadline)? {
                break;
            }
        }
        let missing: Vec<String> = self
            .missing()
            .map(|(link, identity)| format!("{} ({identity})", link.name))
            .collect();
        for name in &missing {
            report(format!("NIC {name} did not appear"));
        }
        self.report_unmade(report);
        self.report_pending(report);
        self.verify(report)?;
        self.result.links = self.map.len();
        self.result.missing = missing;
        Ok(self.result.clone())
    }

    /// Whether waiting may help: a NIC is missing, or a carrier on which something depends.
    fn can_hope(&mut self) -> Result<bool> {
        if self.missing().next().is_some() {
            return Ok(true);
        }
        let current = links(&mut self.rtnl, &self.roots.sys)?;
        let waiting = |link: &&Link| {
            let new = self.map.get(&link.index);
            let now = current.iter().find(|now| Some(&now.index) == new);
            link.flags & IFF_LOWER_UP != 0 && now.is_some_and(|now| now.flags & IFF_LOWER_UP == 0)
        };
        Ok(self.snapshot.links.iter().any(|link| waiting(&link)))
    }

    /// Reports links that are neither there nor given up nor NICs.
    fn report_unmade(&mut self, report: &mut dyn FnMut(String)) {
        for link in &self.snapshot.links {
            let known = self.map.contains_key(&link.index) || self.given_up.contains(&link.index);
            if known || link.identity().is_some() {
                continue;
            }
            let reason = match &link.kind {
                LinkKind::Virtual(_) => "the link below it is not there",
                _ => "the old kernel did not say what it is",
            };
            report(format!("{} is not made again: {reason}", link.name));
            self.result.failed += 1;
        }
    }

    /// One round: adopt and create, enslave, raise, replay.
    fn step(&mut self, only: Option<&NicIdentity>, report: &mut dyn FnMut(String)) -> Result<()> {
        self.adopt(only, report)?;
        self.create_all(report)?;
        self.enslave_all(report)?;
        self.raise_all(self.held, report)?;
        self.replay(report)
    }

    /// Finds the loopback interface and the physical NICs that have appeared.
    fn adopt(&mut self, only: Option<&NicIdentity>, report: &mut dyn FnMut(String)) -> Result<()> {
        let snapshot = self.snapshot;
        for link in &snapshot.links {
            if self.map.contains_key(&link.index) {
                continue;
            }
            let wanted = match &link.kind {
                LinkKind::Loopback => true,
                LinkKind::Physical(identity) => only.is_none_or(|only| only.is_same(identity)),
                _ => false,
            };
            if !wanted {
                continue;
            }
            // Read anew each time: configuring one may rename another.
            let current = links(&mut self.rtnl, &self.roots.sys)?;
            let found = current.iter().find(|now| match (&link.kind, &now.kind) {
                (LinkKind::Loopback, LinkKind::Loopback) => true,
                (LinkKind::Physical(old), LinkKind::Physical(new)) => old.is_same(new),
                _ => false,
            });
            if let Some(now) = found {
                self.configure(link, now, &current, report)?;
                self.map.insert(link.index, now.index);
            }
        }
        Ok(())
    }

    /// Leaves the rules that are there alone, and deletes default rules that the old kernel did
    /// not have any more.
    fn align_rules(&mut self, report: &mut dyn FnMut(String)) -> Result<()> {
        let kept: BTreeSet<_> = self
            .snapshot
            .rules
            .iter()
            .map(normalise::rule_key)
            .collect();
        let families: BTreeSet<u8> = kept.iter().map(|key| key.0).collect();
        for mut rule in super::collect(&mut self.rtnl, RTM_GETRULE, 12, normalise::rule)? {
            let key = normalise::rule_key(&rule);
            let default = [0, 32766, 32767].contains(&key.1);
            self.pending.retain(|item| {
                let same_key = default
                    && item.message.kind == RTM_NEWRULE
                    && normalise::rule_key(&item.message) == key;
                item.message != rule && !same_key
            });
            if default && !kept.contains(&key) && families.contains(&key.0) {
                rule.kind = RTM_DELRULE;
                let what = || format!("deleting default rule {}", key.1);
                self.apply(0, &rule, what, report)?;
            }
        }
        Ok(())
    }

    /// Asks for a change; what exists already is well. A refusal is reported and counted.
    pub(super) fn apply(
        &mut self,
        flags: u16,
        message: &Message,
        what: impl Fn() -> String,
        report: &mut dyn FnMut(String),
    ) -> Result<bool> {
        match self.rtnl.change(flags, message)? {
            Err(refusal) if !exists(&refusal) => {
                report(format!("{}: {refusal}", what()));
                self.result.failed += 1;
                Ok(false)
            }
            _ => Ok(true),
        }
    }
}

/// Whether the refusal says that it is there already.
pub(super) fn exists(refusal: &Refusal) -> bool {
    rustix::io::Errno::from_raw_os_error(refusal.errno) == rustix::io::Errno::EXIST
}

/// A request about one link.
pub(super) fn link_message(kind: u16, index: u32, attributes: Vec<Attribute>) -> Message {
    let mut message = Message {
        kind,
        header: vec![0; 16],
        attributes,
    };
    message.set_word(4, index);
    message
}
