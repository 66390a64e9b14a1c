//! Puts the interface indexes of this kernel in the place of those of the old one.

use std::collections::BTreeMap;

use super::abi::*;
use super::attribute::{Attribute, Message};
use super::normalise::map_hops;

/// Old interface index to new.
pub(super) type IndexMap = BTreeMap<u32, u32>;

/// The message for this kernel; `None` while an interface that it names is not there.
pub(super) fn translate(message: &Message, map: &IndexMap) -> Option<Message> {
    let mut out = message.clone();
    match message.kind {
        RTM_NEWADDR | RTM_NEWNEIGH => {
            let index = message.word(4);
            // A proxy entry may be for all interfaces.
            if index != 0 {
                out.set_word(4, *map.get(&index)?);
            }
        }
        RTM_NEWROUTE => {
            index_attribute(&mut out, RTA_OIF, map)?;
            if let Some(hops) = message.find(RTA_MULTIPATH) {
                let value = map_hops(hops.value(), |flags, index| {
                    let new = if index == 0 {
                        Some(0)
                    } else {
                        map.get(&index).copied()
                    };
                    (flags, new)
                })?;
                out.set(hops.with_value(value));
            }
        }
        RTM_NEWNEXTHOP => index_attribute(&mut out, NHA_OIF, map)?,
        _ => {}
    }
    Some(out)
}

fn index_attribute(message: &mut Message, id: u16, map: &IndexMap) -> Option<()> {
    if let Some(index) = message.find(id).and_then(Attribute::as_u32) {
        message.set(Attribute::u32(id, *map.get(&index)?));
    }
    Some(())
}

/// Indexes of the old interfaces that a message names.
pub(super) fn interfaces(message: &Message) -> Vec<u32> {
    let number = |id| message.find(id).and_then(Attribute::as_u32);
    let mut all = match message.kind {
        RTM_NEWADDR | RTM_NEWNEIGH => vec![message.word(4)],
        RTM_NEWROUTE => number(RTA_OIF).into_iter().collect(),
        RTM_NEWNEXTHOP => number(NHA_OIF).into_iter().collect(),
        _ => Vec::new(),
    };
    if let Some(hops) = message
        .find(RTA_MULTIPATH)
        .filter(|_| message.kind == RTM_NEWROUTE)
    {
        let _ = map_hops(hops.value(), |flags, index| {
            all.push(index);
            (flags, Some(index))
        });
    }
    all.retain(|index| *index != 0);
    all
}
