//! Sends kept messages again: nexthop objects, routes, rules, neighbours.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::abi::*;
use super::attribute::{Attribute, Message};
use super::normalise::route_table;
use super::restore::{exists, Restorer};
use super::socket::Refusal;
use super::translate::{interfaces, translate};
use super::Snapshot;

/// A message that is still to be sent.
pub(super) struct Pending {
    pub(super) message: Message,
    /// Why the kernel did not take it so far.
    refusal: Option<Refusal>,
}

impl Pending {
    /// All of a snapshot, in an order in which most depend on earlier ones only.
    pub(super) fn all(snapshot: &Snapshot) -> Vec<Self> {
        let grouped = |message: &&Message| message.find(NHA_GROUP).is_some();
        let direct = |message: &&Message| {
            [RTA_GATEWAY, RTA_VIA, RTA_MULTIPATH, RTA_NH_ID]
                .iter()
                .all(|id| message.find(*id).is_none())
        };
        let (groups, single): (Vec<_>, Vec<_>) = snapshot.nexthops.iter().partition(grouped);
        let (on_link, routed): (Vec<_>, Vec<_>) = snapshot.routes.iter().partition(direct);
        let order = [single, groups, on_link, routed].into_iter().flatten();
        order
            .chain(&snapshot.rules)
            .chain(&snapshot.neighbours)
            .map(|message| Self {
                message: message.clone(),
                refusal: None,
            })
            .collect()
    }
}

impl Restorer<'_> {
    /// Sends what can be sent by now, again and again as long as that gets further.
    pub(super) fn replay(&mut self, report: &mut dyn FnMut(String)) -> Result<()> {
        // Each round sends at least one message for good, or is the last.
        for _ in 0..=self.pending.len() {
            let mut left = Vec::new();
            let mut progress = false;
            for mut item in std::mem::take(&mut self.pending) {
                let all = interfaces(&item.message);
                if all.iter().any(|index| self.given_up.contains(index)) {
                    report(format!(
                        "{}: its link could not be made",
                        describe(&item.message)
                    ));
                    self.result.failed += 1;
                    continue;
                }
                let ready = all.iter().all(|index| self.raised.contains(index));
                let request = translate(&item.message, &self.map).filter(|_| ready);
                let Some(request) = request else {
                    left.push(item);
                    continue;
                };
                let request = self.beside_advertised(request);
                match self.rtnl.change(create_flags(&request), &request)? {
                    Err(refusal) if !exists(&refusal) => {
                        item.refusal = Some(refusal);
                        left.push(item);
                    }
                    _ => {
                        self.result.entries += 1;
                        progress = true;
                    }
                }
            }
            self.pending = left;
            if !progress || self.pending.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// A default route that the old kernel had learned from a router advertisement is not known
    /// as such to the new one: with the same metric it would keep the kernel from learning it,
    /// and the rest of the advertisement, again. It goes one step behind, until it expires.
    fn beside_advertised(&self, mut request: Message) -> Message {
        let index = request.find(RTA_OIF).and_then(Attribute::as_u32);
        let metric = request.find(RTA_PRIORITY).and_then(Attribute::as_u32);
        let (Some(index), Some(metric)) = (index, metric) else {
            return request;
        };
        let advertised = request.kind == RTM_NEWROUTE
            && request.family() == AF_INET6
            && request.byte(5) == RTPROT_RA
            && request.byte(7) == RTN_UNICAST
            && request.find(RTA_GATEWAY).is_some();
        let old = self.map.iter().find(|(_, new)| **new == index);
        let links = &self.snapshot.links;
        let link = links
            .iter()
            .find(|link| Some(&link.index) == old.map(|(old, _)| old));
        let by_kernel =
            link.is_some_and(|link| self.snapshot.sysctls.accepts_advertisements(&link.name));
        if advertised && by_kernel {
            request.set(Attribute::u32(RTA_PRIORITY, metric.saturating_add(1)));
        }
        request
    }

    /// Reports what was not taken, and counts it.
    pub(super) fn report_pending(&mut self, report: &mut dyn FnMut(String)) {
        for item in std::mem::take(&mut self.pending) {
            let what = describe(&item.message);
            match item.refusal {
                Some(refusal) => report(format!("{what}: {refusal}")),
                None => report(format!("{what}: its link is not there")),
            }
            self.result.failed += 1;
        }
    }
}

fn create_flags(message: &Message) -> u16 {
    match message.kind {
        // Routes of one destination stay in their order.
        RTM_NEWROUTE => NLM_F_CREATE | NLM_F_APPEND,
        // What is configured counts; what is learned counts less than what was learned since.
        RTM_NEWNEIGH if message.byte(8) & NUD_PERMANENT.to_ne_bytes()[0] != 0 => {
            NLM_F_CREATE | NLM_F_REPLACE
        }
        _ => NLM_F_CREATE | NLM_F_EXCL,
    }
}

/// What a message is about, for messages.
fn describe(message: &Message) -> String {
    let value = |id| message.find(id).map(Attribute::value);
    let address = |id| value(id).map_or_else(|| "default".to_owned(), ip);
    match message.kind {
        RTM_NEWROUTE => {
            // RTA_DST and rtm_dst_len.
            let mut text = format!("route {}/{}", address(1), message.byte(1));
            if let Some(gateway) = value(RTA_GATEWAY) {
                text.push_str(&format!(" via {}", ip(gateway)));
            }
            format!("{text} in table {}", route_table(message))
        }
        RTM_NEWNEIGH => format!("neighbour {}", address(NDA_DST)),
        RTM_NEWRULE => {
            let priority = message.find(FRA_PRIORITY).and_then(Attribute::as_u32);
            format!("rule {}", priority.unwrap_or_default())
        }
        RTM_NEWNEXTHOP => {
            let id = message.find(NHA_ID).and_then(Attribute::as_u32);
            format!("nexthop {}", id.unwrap_or_default())
        }
        kind => format!("netlink message {kind}"),
    }
}

/// An address of either IP version as text.
pub(super) fn ip(bytes: &[u8]) -> String {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Ipv4Addr::from(octets).to_string();
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(octets) => Ipv6Addr::from(octets).to_string(),
        Err(_) => format!("{bytes:02x?}"),
    }
}
