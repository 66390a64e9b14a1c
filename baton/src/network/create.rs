//! Makes virtual links.

use anyhow::Result;

use super::abi::*;
use super::attribute::{find, Attribute};
use super::link::{index_data, links, read_only_data, read_only_slave_data, Link};
use super::restore::{exists, link_message, Restorer};

/// Kinds that netlink alone cannot make as they were, and why.
pub(crate) const NOT_BY_NETLINK: &[(&str, &str)] = &[
    ("tun", "it belongs to a process"),
    ("wireguard", "its keys and peers are not part of the link"),
    ("openvswitch", "its switch belongs to a daemon"),
    ("team", "its runner is a daemon"),
    ("ppp", "it belongs to a process"),
    ("xfrm", "its security associations are not part of the link"),
    ("netdevsim", "it is a simulated device"),
];

/// Kinds whose settings depend on each other or on the kernel: they are made bare, and their
/// settings are then brought about one by one. With what has to be there from the start.
const STEPWISE: &[(&str, &[u16])] = &[("bond", &[IFLA_BOND_MODE]), ("bridge", &[])];

/// Which part of a link's settings is meant.
#[derive(Clone, Copy)]
enum Part {
    /// Those of the link itself.
    Own,
    /// Those that its master keeps for it.
    Port,
}

impl Restorer<'_> {
    /// Makes those virtual links whose lower links are there, until no more can be made.
    pub(super) fn create_all(&mut self, report: &mut dyn FnMut(String)) -> Result<()> {
        let snapshot = self.snapshot;
        // Each round handles at least one link, or is the last.
        for _ in 0..=snapshot.links.len() {
            let mut progress = false;
            for link in &snapshot.links {
                let done =
                    self.map.contains_key(&link.index) || self.given_up.contains(&link.index);
                let Some(kind) = link.virtual_kind().filter(|_| !done) else {
                    continue;
                };
                let pair = kind == "veth";
                if let (Some(lower), false, false) = (link.lower, pair, link.lower_elsewhere) {
                    if self.given_up.contains(&lower) {
                        report(format!(
                            "{}: the link below it could not be made",
                            link.name
                        ));
                        self.given_up.insert(link.index);
                        progress = true;
                        continue;
                    }
                    if lower != link.index && !self.map.contains_key(&lower) {
                        continue;
                    }
                }
                self.create(link, kind, report)?;
                progress = true;
            }
            if !progress {
                break;
            }
        }
        Ok(())
    }

    /// Makes one, or adopts the one that is there, and configures it.
    fn create(&mut self, link: &Link, kind: &str, report: &mut dyn FnMut(String)) -> Result<()> {
        let mut current = links(&mut self.rtnl, &self.roots.sys)?;
        let is_it = |now: &Link| now.name == link.name && now.virtual_kind() == Some(kind);
        if !current.iter().any(is_it) {
            let reason = if link.lower_elsewhere {
                Some("its other end is in another network namespace")
            } else {
                let known = NOT_BY_NETLINK.iter().find(|(name, _)| *name == kind);
                known.map(|(_, reason)| *reason)
            };
            if let Some(reason) = reason {
                report(format!(
                    "{} ({kind}) is not made again: {reason}",
                    link.name
                ));
                self.given_up.insert(link.index);
                return Ok(());
            }
            self.make_room(&link.name, &current, report)?;
            if !self.request_creation(link, kind, &current, report)? {
                self.given_up.insert(link.index);
                return Ok(());
            }
            current = links(&mut self.rtnl, &self.roots.sys)?;
        }
        let Some(now) = current.iter().find(|now| is_it(now)) else {
            report(format!(
                "{} ({kind}) is not there after it was made",
                link.name
            ));
            self.given_up.insert(link.index);
            return Ok(());
        };
        self.map.insert(link.index, now.index);
        if STEPWISE.iter().any(|(name, _)| *name == kind) {
            self.converge(link, now.index, Part::Own, report)?;
        }
        self.configure(link, now, &current, report)
    }

    /// Asks for the link, with its old index if that is free.
    fn request_creation(
        &mut self,
        link: &Link,
        kind: &str,
        current: &[Link],
        report: &mut dyn FnMut(String),
    ) -> Result<bool> {
        let free = |index: u32| current.iter().all(|now| now.index != index);
        let index = if free(link.index) { link.index } else { 0 };
        let mut attributes = vec![Attribute::string(IFLA_IFNAME, &link.name)];
        attributes.extend(link.queues.iter().cloned());
        let mut data = self.creation_data(link, kind);
        if kind == "veth" {
            let snapshot = self.snapshot;
            let peer = snapshot
                .links
                .iter()
                .find(|other| Some(other.index) == link.lower);
            if let Some(peer) = peer {
                let wanted = if free(peer.index) { peer.index } else { 0 };
                // In here the attributes follow a `struct ifinfomsg`.
                let mut message = link_message(RTM_NEWLINK, wanted, Vec::new());
                message
                    .header
                    .extend(super::attribute::emit(&[Attribute::string(
                        IFLA_IFNAME,
                        &peer.name,
                    )]));
                self.make_room(&peer.name, current, report)?;
                data = vec![Attribute::new(VETH_INFO_PEER, &message.header)];
            }
        } else if let Some(lower) = link.lower.and_then(|lower| self.map.get(&lower)) {
            attributes.push(Attribute::u32(IFLA_LINK, *lower));
        }
        let mut info = vec![Attribute::string(IFLA_INFO_KIND, kind)];
        if !data.is_empty() {
            info.push(Attribute::nested(IFLA_INFO_DATA, &data));
        }
        attributes.push(Attribute::nested(IFLA_LINKINFO, &info));
        let message = link_message(RTM_NEWLINK, index, attributes);
        match self.rtnl.change(NLM_F_CREATE | NLM_F_EXCL, &message)? {
            Err(refusal) if !exists(&refusal) => {
                report(format!("making {} ({kind}): {refusal}", link.name));
                self.result.failed += 1;
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Kind data for the creation, with the indexes of this kernel.
    fn creation_data(&self, link: &Link, kind: &str) -> Vec<Attribute> {
        let bare = STEPWISE.iter().find(|(name, _)| *name == kind);
        let read_only = read_only_data(kind);
        let chosen = link.data.iter().filter(|item| match bare {
            Some((_, first)) => first.contains(&item.id()),
            None => !read_only.contains(&item.id()),
        });
        chosen
            .filter_map(|item| self.translated(item, index_data(kind)))
            .collect()
    }

    /// The attribute with this kernel's index, if it holds one.
    fn translated(&self, item: &Attribute, indexes: &[u16]) -> Option<Attribute> {
        if !indexes.contains(&item.id()) {
            return Some(item.clone());
        }
        let new = self.map.get(&item.as_u32()?)?;
        Some(item.with_value(new.to_ne_bytes().to_vec()))
    }

    /// What a master keeps for a port, and what it says of its ports (a bond's primary).
    pub(super) fn converge_port(
        &mut self,
        link: &Link,
        index: u32,
        report: &mut dyn FnMut(String),
    ) -> Result<()> {
        self.converge(link, index, Part::Port, report)?;
        let snapshot = self.snapshot;
        let master = snapshot
            .links
            .iter()
            .find(|other| Some(other.index) == link.master);
        match master.and_then(|master| Some((master, *self.map.get(&master.index)?))) {
            Some((master, index)) if link.slave_kind == "bond" => {
                self.converge(master, index, Part::Own, report)
            }
            _ => Ok(()),
        }
    }

    /// Sets what differs, one by one, as long as that gets further; reports the rest.
    fn converge(
        &mut self,
        link: &Link,
        index: u32,
        part: Part,
        report: &mut dyn FnMut(String),
    ) -> Result<()> {
        let (wanted, kind, read_only) = match part {
            Part::Own => {
                let kind = link.virtual_kind().unwrap_or_default();
                (&link.data, kind, read_only_data(kind))
            }
            Part::Port => {
                let kind = link.slave_kind.as_str();
                (&link.slave_data, kind, read_only_slave_data(kind))
            }
        };
        // Each round sets at least one attribute for good, or is the last.
        for _ in 0..=wanted.len() {
            let current = links(&mut self.rtnl, &self.roots.sys)?;
            let Some(now) = current.iter().find(|now| now.index == index) else {
                return Ok(());
            };
            let have = match part {
                Part::Own => &now.data,
                Part::Port => &now.slave_data,
            };
            let (mut progress, mut refused) = (false, Vec::new());
            for item in wanted.iter().filter(|item| !read_only.contains(&item.id())) {
                // Not yet possible if it names a port that is not there.
                let Some(item) = self.translated(item, index_data(kind)) else {
                    continue;
                };
                if find(have, item.id()) == Some(&item) {
                    continue;
                }
                let id = item.id();
                let info = match part {
                    Part::Own => [
                        Attribute::string(IFLA_INFO_KIND, kind),
                        Attribute::nested(IFLA_INFO_DATA, &[item]),
                    ],
                    Part::Port => [
                        Attribute::string(IFLA_INFO_SLAVE_KIND, kind),
                        Attribute::nested(IFLA_INFO_SLAVE_DATA, &[item]),
                    ],
                };
                let info = vec![Attribute::nested(IFLA_LINKINFO, &info)];
                match self
                    .rtnl
                    .change(0, &link_message(RTM_NEWLINK, index, info))?
                {
                    Ok(()) => progress = true,
                    Err(refusal) => refused.push((id, refusal)),
                }
            }
            if !refused.is_empty() && progress {
                continue;
            }
            for (id, refusal) in refused {
                report(format!(
                    "{}: setting {id} of kind {kind}: {refusal}",
                    link.name
                ));
                self.result.failed += 1;
            }
            break;
        }
        Ok(())
    }
}
