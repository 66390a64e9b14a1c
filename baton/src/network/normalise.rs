//! Turns what the kernel answers into what it takes: drops what is state and not setting, so that
//! a message can be sent back as a request, and so that two snapshots of the same network are
//! equal.

use std::collections::BTreeSet;

use super::abi::*;
use super::attribute::{set_u32_at, u32_at, Attribute, Message};

/// `USER_HZ`: ticks per second of times in rtnetlink messages.
const USER_HZ: u32 = 100;
/// Most learned neighbours that are kept. Those beyond cost their first packet an ARP request.
const MAX_LEARNED: usize = 512;
/// Lifetime that does not end.
const INFINITE: u32 = u32::MAX;

/// An address as a request; `None` for what cannot be asked for.
pub(super) fn address(mut message: Message) -> Option<Message> {
    message.kind = RTM_NEWADDR;
    let flags = message
        .find(IFA_FLAGS)
        .and_then(Attribute::as_u32)
        .unwrap_or_else(|| u32::from(message.byte(2)));
    let checked = flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) == 0;
    let mut wanted = flags
        & !(IFA_F_SECONDARY
            | IFA_F_NODAD
            | IFA_F_DADFAILED
            | IFA_F_DEPRECATED
            | IFA_F_TENTATIVE
            | IFA_F_PERMANENT
            | IFA_F_STABLE_PRIVACY);
    if message.family() == AF_INET6 && checked {
        // It was in use a moment ago: nobody else has it.
        wanted |= IFA_F_NODAD;
    }
    message.set_byte(2, u8::try_from(wanted & 0xff).unwrap_or_default());
    message.set(Attribute::u32(IFA_FLAGS, wanted));
    let cache = message.find(IFA_CACHEINFO).cloned();
    message.drop(&[IFA_CACHEINFO]);
    if let Some(cache) = cache {
        let preferred = u32_at(cache.value(), 0).unwrap_or(INFINITE);
        let valid = u32_at(cache.value(), 4).unwrap_or(INFINITE);
        if (preferred, valid) != (INFINITE, INFINITE) {
            let mut value = vec![0; cache.value().len()];
            set_u32_at(&mut value, 0, preferred);
            set_u32_at(&mut value, 4, valid);
            message.attributes.push(cache.with_value(value));
        }
    }
    Some(message)
}

/// A route as a request; `None` for those which the kernel makes for each address by itself, and
/// for cached ones.
pub(super) fn route(mut message: Message) -> Option<Message> {
    message.kind = RTM_NEWROUTE;
    let (protocol, kind) = (message.byte(5), message.byte(7));
    let own = [RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST, RTN_MULTICAST];
    let in_local_table = route_table(&message) == 255;
    if message.word(8) & RTM_F_CLONED != 0
        || (protocol == RTPROT_KERNEL && (in_local_table || own.contains(&kind)))
    {
        return None;
    }
    message.set_word(8, message.word(8) & RTNH_F_ONLINK);
    // rta_expires is the third number, in ticks; zero is "never".
    let expires = message
        .find(RTA_CACHEINFO)
        .and_then(|item| u32_at(item.value(), 8))
        .and_then(|ticks| i32::try_from(ticks).ok())
        .filter(|ticks| *ticks > 0);
    message.drop(&[RTA_CACHEINFO]);
    if let Some(ticks) = expires.and_then(|ticks| u32::try_from(ticks).ok()) {
        message.set(Attribute::u32(RTA_EXPIRES, (ticks / USER_HZ).max(1)));
    }
    if message.find(RTA_NH_ID).is_some() {
        // The nexthop object says it all; a request that says it again is refused.
        message.set_word(8, 0);
        message.drop(&[
            RTA_OIF,
            RTA_GATEWAY,
            RTA_VIA,
            RTA_MULTIPATH,
            RTA_FLOW,
            RTA_ENCAP,
            RTA_ENCAP_TYPE,
        ]);
    }
    if let Some(multipath) = message.find(RTA_MULTIPATH).cloned() {
        let hops = map_hops(multipath.value(), |flags, index| {
            (flags & RTNH_F_ONLINK.to_ne_bytes()[0], Some(index))
        })?;
        message.set(multipath.with_value(hops));
    }
    Some(message)
}

/// Table of a route.
pub(super) fn route_table(message: &Message) -> u32 {
    let long = message.find(RTA_TABLE).and_then(Attribute::as_u32);
    long.unwrap_or_else(|| u32::from(message.byte(4)))
}

/// A neighbour as a request; `None` for what is neither configured nor of use.
pub(super) fn neighbour(mut message: Message) -> Option<Message> {
    message.kind = RTM_NEWNEIGH;
    if ![AF_INET, AF_INET6].contains(&message.family()) {
        return None;
    }
    let state = u16::from_ne_bytes([message.byte(8), message.byte(9)]);
    let proxy = message.byte(10) & NTF_PROXY != 0;
    let learned = state & NUD_LEARNED != 0 && message.find(NDA_LLADDR).is_some();
    let state = if proxy || state & NUD_PERMANENT != 0 {
        NUD_PERMANENT
    } else if learned {
        // Used at once, and confirmed while it is used.
        NUD_STALE
    } else {
        return None;
    };
    let [low, high] = state.to_ne_bytes();
    message.set_byte(8, low);
    message.set_byte(9, high);
    message.set_byte(10, message.byte(10) & (NTF_PROXY | NTF_ROUTER));
    message.drop(&[NDA_CACHEINFO, NDA_PROBES, NDA_MASTER, NDA_IFINDEX]);
    Some(message)
}

/// Keeps all configured neighbours, gateways, and then others up to a limit.
pub(super) fn limit_neighbours(neighbours: &mut Vec<Message>, routes: &[Message]) {
    let gateways: BTreeSet<&[u8]> = routes
        .iter()
        .filter_map(|route| route.find(RTA_GATEWAY))
        .map(Attribute::value)
        .collect();
    let mut others = 0_usize;
    neighbours.retain(|message| {
        let learned = u16::from_ne_bytes([message.byte(8), message.byte(9)]) == NUD_STALE;
        let gateway = message
            .find(NDA_DST)
            .is_some_and(|item| gateways.contains(item.value()));
        if learned && !gateway {
            others += 1;
        }
        !learned || gateway || others <= MAX_LEARNED
    });
}

/// A policy rule as a request.
pub(super) fn rule(mut message: Message) -> Option<Message> {
    message.kind = RTM_NEWRULE;
    if ![AF_INET, AF_INET6].contains(&message.family()) {
        return None;
    }
    message.set_word(8, message.word(8) & FIB_RULE_INVERT);
    message.drop(&[FRA_PAD]);
    if message.find(FRA_PRIORITY).is_none() {
        // The kernel does not tell a priority of zero, and picks one if it is not told.
        message.attributes.push(Attribute::u32(FRA_PRIORITY, 0));
    }
    Some(message)
}

/// Family, priority, table and action of a rule.
pub(super) fn rule_key(message: &Message) -> (u8, u32, u32, u8) {
    let number = |id| message.find(id).and_then(Attribute::as_u32);
    (
        message.family(),
        number(FRA_PRIORITY).unwrap_or_default(),
        number(FRA_TABLE).unwrap_or_else(|| u32::from(message.byte(4))),
        message.byte(7),
    )
}

/// A nexthop object as a request.
pub(super) fn nexthop(mut message: Message) -> Option<Message> {
    message.kind = RTM_NEWNEXTHOP;
    message.set_word(4, message.word(4) & RTNH_F_ONLINK);
    // The kernel derives the scope, and refuses to be told.
    message.set_byte(1, 0);
    let keep = match message.find(NHA_GROUP) {
        Some(_) => [NHA_ID, NHA_GROUP, NHA_GROUP_TYPE, NHA_RES_GROUP, NHA_FDB].as_slice(),
        // Id, blackhole, interface, gateway, encapsulation, FDB.
        None => [NHA_ID, 4, NHA_OIF, 6, 7, NHA_ENCAP, NHA_FDB].as_slice(),
    };
    message.attributes.retain(|item| keep.contains(&item.id()));
    if let Some(group) = message.find(NHA_RES_GROUP).cloned() {
        let mut inner = group.inner().ok()?;
        inner.retain(|item| item.id() != NHA_RES_GROUP_UNBALANCED_TIME);
        message.set(Attribute::nested(NHA_RES_GROUP, &inner));
    }
    Some(message)
}

/// Rewrites flags and interface index of each hop of a multipath route (`struct rtnexthop`:
/// length, flags, hops, index, attributes). `None` if a hop is malformed or the function gives no
/// index for it.
pub(super) fn map_hops(
    bytes: &[u8],
    mut change: impl FnMut(u8, u32) -> (u8, Option<u32>),
) -> Option<Vec<u8>> {
    let mut out = bytes.to_vec();
    let mut at = 0_usize;
    while at < out.len() {
        let hop = out.get_mut(at..)?;
        let length = u16::from_ne_bytes([*hop.first()?, *hop.get(1)?]);
        if length < 8 {
            return None;
        }
        let (flags, index) = change(*hop.get(2)?, u32_at(hop, 4)?);
        *hop.get_mut(2)? = flags;
        set_u32_at(hop, 4, index?);
        at = at.checked_add(usize::from(length).next_multiple_of(4))?;
    }
    Some(out)
}
