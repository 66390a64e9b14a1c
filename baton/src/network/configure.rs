//! Gives a link its name, settings, master, state and addresses.

use anyhow::Result;

use super::abi::*;
use super::attribute::{find, Attribute, Message};
use super::link::{links, Link, LinkKind};
use super::restore::{link_message, Restorer};
use super::translate::translate;

impl Restorer<'_> {
    /// Name, settings and attributes of a link, which stays or goes down if it has to.
    pub(super) fn configure(
        &mut self,
        link: &Link,
        now: &Link,
        current: &[Link],
        report: &mut dyn FnMut(String),
    ) -> Result<()> {
        let name = &link.name;
        if now.name != *name {
            self.make_room(name, current, report)?;
            if now.is_up() {
                self.set_flags(now.index, 0, IFF_UP, &now.name, report)?;
            }
            self.rename(now.index, &now.name, name, report)?;
        }
        self.snapshot
            .sysctls
            .restore_link(&self.roots.proc, name, self.known, report);
        if link.kind != LinkKind::Loopback {
            // Addresses come from the snapshot, none from the kernel.
            self.set_addr_gen_mode(now, Some(IN6_ADDR_GEN_MODE_NONE), report)?;
        }
        self.set_carried(link, now, report)?;
        if (link.flags ^ now.flags) & IFF_SETTABLE != 0 {
            self.set_flags(now.index, link.flags, IFF_SETTABLE, name, report)?;
        }
        for alternative in &link.alt_names {
            if now.alt_names.contains(alternative) {
                continue;
            }
            let list = [Attribute::string(IFLA_ALT_IFNAME, alternative)];
            let list = vec![Attribute::nested(IFLA_PROP_LIST, &list)];
            let message = link_message(RTM_NEWLINKPROP, now.index, list);
            let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND;
            let what = || format!("{name}: further name {alternative}");
            self.apply(flags, &message, what, report)?;
        }
        Ok(())
    }

    /// Sets those attributes that differ, one by one, so that one refused costs only itself.
    fn set_carried(
        &mut self,
        link: &Link,
        now: &Link,
        report: &mut dyn FnMut(String),
    ) -> Result<()> {
        for attribute in &link.carried {
            // A bond gives its ports their addresses.
            let of_bond = link.slave_kind == "bond" && attribute.id() == IFLA_ADDRESS;
            let same = find(&now.carried, attribute.id()) == Some(attribute);
            if of_bond || same {
                continue;
            }
            let message = link_message(RTM_SETLINK, now.index, vec![attribute.clone()]);
            let what = || format!("{}: {}", link.name, attribute_name(attribute.id()));
            self.apply(0, &message, what, report)?;
        }
        Ok(())
    }

    /// Renames a link that has a name which another is to get.
    pub(super) fn make_room(
        &mut self,
        name: &str,
        current: &[Link],
        report: &mut dyn FnMut(String),
    ) -> Result<()> {
        let Some(holder) = current.iter().find(|link| link.name == name) else {
            return Ok(());
        };
        if holder.is_up() {
            self.set_flags(holder.index, 0, IFF_UP, name, report)?;
        }
        let other = format!("baton{}", holder.index);
        self.rename(holder.index, name, &other, report)
    }

    fn rename(
        &mut self,
        index: u32,
        from: &str,
        to: &str,
        report: &mut dyn FnMut(String),
    ) -> Result<()> {
        let message = link_message(RTM_SETLINK, index, vec![Attribute::string(IFLA_IFNAME, to)]);
        self.apply(0, &message, || format!("renaming {from} to {to}"), report)?;
        Ok(())
    }

    fn set_flags(
        &mut self,
        index: u32,
        flags: u32,
        mask: u32,
        name: &str,
        report: &mut dyn FnMut(String),
    ) -> Result<bool> {
        let mut message = link_message(RTM_SETLINK, index, Vec::new());
        message.set_word(8, flags & mask);
        message.set_word(12, mask);
        let verb = if flags & mask & IFF_UP != 0 {
            "setting up"
        } else {
            "setting flags of"
        };
        self.apply(0, &message, || format!("{verb} {name}"), report)
    }

    fn set_addr_gen_mode(
        &mut self,
        now: &Link,
        mode: Option<u8>,
        report: &mut dyn FnMut(String),
    ) -> Result<()> {
        let (Some(_), Some(mode)) = (now.addr_gen_mode, mode) else {
            return Ok(());
        };
        let mode = Attribute::new(IFLA_INET6_ADDR_GEN_MODE, &[mode]);
        let inet6 = Attribute::nested(u16::from(AF_INET6), &[mode]);
        let spec = vec![Attribute::nested(IFLA_AF_SPEC, &[inet6])];
        let message = link_message(RTM_SETLINK, now.index, spec);
        let what = || format!("{}: IPv6 address generation mode", now.name);
        self.apply(0, &message, what, report)?;
        Ok(())
    }

    /// Puts ports under their masters.
    pub(super) fn enslave_all(&mut self, report: &mut dyn FnMut(String)) -> Result<()> {
        let snapshot = self.snapshot;
        for link in &snapshot.links {
            let (Some(master), Some(index)) = (link.master, self.map.get(&link.index).copied())
            else {
                continue;
            };
            if self.enslaved.contains(&link.index) {
                continue;
            }
            let Some(new_master) = self.map.get(&master).copied() else {
                continue;
            };
            let current = links(&mut self.rtnl, &self.roots.sys)?;
            let now = current.iter().find(|now| now.index == index);
            if now.and_then(|now| now.master) != Some(new_master) {
                if link.slave_kind == "bond" && now.is_some_and(Link::is_up) {
                    self.set_flags(index, 0, IFF_UP, &link.name, report)?;
                }
                let attributes = vec![Attribute::u32(IFLA_MASTER, new_master)];
                let message = link_message(RTM_SETLINK, index, attributes);
                let what = || format!("putting {} under its master", link.name);
                self.apply(0, &message, what, report)?;
            }
            self.enslaved.insert(link.index);
            self.converge_port(link, index, report)?;
        }
        Ok(())
    }

    /// Sets links up, lower ones first, and gives them their addresses. While held, only the
    /// loopback interface.
    pub(super) fn raise_all(&mut self, held: bool, report: &mut dyn FnMut(String)) -> Result<()> {
        let snapshot = self.snapshot;
        // Each round raises at least one link, or is the last.
        for _ in 0..=snapshot.links.len() {
            let mut progress = false;
            for link in &snapshot.links {
                let Some(index) = self.map.get(&link.index).copied() else {
                    continue;
                };
                let hold = held && link.kind != LinkKind::Loopback;
                if hold || self.raised.contains(&link.index) || !self.may_raise(link) {
                    continue;
                }
                if link.is_up() {
                    self.set_flags(index, IFF_UP, IFF_UP, &link.name, report)?;
                }
                self.add_addresses(link, index, report)?;
                self.raised.insert(link.index);
                progress = true;
            }
            if !progress {
                break;
            }
        }
        Ok(())
    }

    /// Whether everything below a link is raised, and it is with its master.
    fn may_raise(&self, link: &Link) -> bool {
        let master = link.master.is_none_or(|master| {
            self.enslaved.contains(&link.index) || self.given_up.contains(&master)
        });
        let links = &self.snapshot.links;
        let lower_link = links.iter().find(|other| Some(other.index) == link.lower);
        // The two ends of a pair name each other.
        let pair = lower_link.is_some_and(|other| other.lower == Some(link.index));
        let lower = link.lower.is_none_or(|lower| {
            pair || link.lower_elsewhere || lower == link.index || self.raised.contains(&lower)
        });
        master && lower
    }

    /// Addresses of a link as they were: missing ones are added, those that the kernel made
    /// and the old one had not are deleted.
    fn add_addresses(
        &mut self,
        link: &Link,
        index: u32,
        report: &mut dyn FnMut(String),
    ) -> Result<()> {
        let snapshot = self.snapshot;
        let own: Vec<&Message> = snapshot
            .addresses
            .iter()
            .filter(|message| message.word(4) == link.index)
            .collect();
        // IPv6 puts a new address in front of the others of its scope, IPv4 behind them.
        let (inet, inet6): (Vec<&Message>, Vec<&Message>) =
            own.iter().partition(|message| message.family() == AF_INET);
        let before = self.addresses_of(index)?;
        for message in inet.into_iter().chain(inet6.into_iter().rev()) {
            let Some(request) = translate(message, &self.map) else {
                continue;
            };
            if before.contains(&request) {
                self.result.addresses += 1;
                continue;
            }
            let what = || format!("{}: address {}", link.name, describe_address(message));
            if self.apply(NLM_F_CREATE | NLM_F_REPLACE, &request, what, report)? {
                self.result.addresses += 1;
            }
        }
        for mut message in self.addresses_of(index)? {
            if own.iter().any(|old| same_address(old, &message)) {
                continue;
            }
            message.kind = RTM_DELADDR;
            let what = || format!("deleting address {}", describe_address(&message));
            self.apply(0, &message, what, report)?;
        }
        let current = links(&mut self.rtnl, &self.roots.sys)?;
        if let Some(now) = current.iter().find(|now| now.index == index) {
            if now.addr_gen_mode != link.addr_gen_mode {
                self.set_addr_gen_mode(now, link.addr_gen_mode, report)?;
            }
        }
        Ok(())
    }

    /// Addresses that a link has by now, in the form of requests.
    fn addresses_of(&mut self, index: u32) -> Result<Vec<Message>> {
        let normalise = super::normalise::address;
        let mut all = super::collect(&mut self.rtnl, RTM_GETADDR, 8, normalise)?;
        all.retain(|message| message.word(4) == index);
        Ok(all)
    }

    /// Compares links with the snapshot, sets once more what came out different, and reports
    /// what is not carried.
    pub(super) fn verify(&mut self, report: &mut dyn FnMut(String)) -> Result<()> {
        let snapshot = self.snapshot;
        let current = links(&mut self.rtnl, &self.roots.sys)?;
        for link in &snapshot.links {
            let new = self.map.get(&link.index);
            let Some(now) = current.iter().find(|now| Some(&now.index) == new) else {
                continue;
            };
            self.set_carried(link, now, report)?;
            if link
                .master
                .is_some_and(|master| self.given_up.contains(&master))
            {
                report(format!("{}: its master could not be made", link.name));
            }
            let filtering = find(&link.data, IFLA_BR_VLAN_FILTERING);
            if link.virtual_kind() == Some("bridge")
                && filtering.is_some_and(|it| it.value() == [1])
            {
                report(format!("{}: its VLAN table is not carried over", link.name));
            }
            if link.xdp && !now.xdp {
                report(format!(
                    "{}: its XDP program is not carried over",
                    link.name
                ));
            }
            if link.qdisc != now.qdisc && link.is_up() {
                report(format!(
                    "{}: queueing discipline {} is now {}",
                    link.name, link.qdisc, now.qdisc
                ));
            }
        }
        Ok(())
    }
}

/// Whether two messages are of the same address, whatever its lifetime and flags.
fn same_address(one: &Message, other: &Message) -> bool {
    one.family() == other.family()
        && one.byte(1) == other.byte(1)
        && one.find(IFA_LOCAL) == other.find(IFA_LOCAL)
        && one.find(IFA_ADDRESS) == other.find(IFA_ADDRESS)
}

/// Address and prefix length for messages.
fn describe_address(message: &Message) -> String {
    let address = message
        .find(IFA_LOCAL)
        .or_else(|| message.find(IFA_ADDRESS));
    let address = address.map_or(&[][..], Attribute::value);
    format!("{}/{}", super::replay::ip(address), message.byte(1))
}

/// What an attribute is, for messages.
fn attribute_name(id: u16) -> String {
    match id {
        IFLA_ADDRESS => "link-layer address".to_owned(),
        IFLA_BROADCAST => "broadcast address".to_owned(),
        IFLA_MTU => "MTU".to_owned(),
        IFLA_TXQLEN => "transmit queue length".to_owned(),
        IFLA_IFALIAS => "alias".to_owned(),
        IFLA_GROUP => "group".to_owned(),
        _ => format!("link attribute {id}"),
    }
}
