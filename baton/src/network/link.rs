//! A network interface as a snapshot holds it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::abi::*;
use super::attribute::{find, find_inner, Attribute, Message};
use super::identity::NicIdentity;
use super::socket::Rtnl;

/// Attributes of a link that are as valid in a request as in an answer and belong to the link
/// alone.
const CARRIED: &[u16] = &[
    IFLA_ADDRESS,
    IFLA_BROADCAST,
    IFLA_MTU,
    IFLA_TXQLEN,
    IFLA_LINKMODE,
    IFLA_IFALIAS,
    IFLA_GROUP,
    IFLA_PROTO_DOWN,
    IFLA_GSO_MAX_SEGS,
    IFLA_GSO_MAX_SIZE,
    IFLA_GRO_MAX_SIZE,
];

/// What a link is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkKind {
    /// The loopback interface, which every network namespace has.
    Loopback,
    /// A device of the machine, found again by its place.
    Physical(NicIdentity),
    /// Made by software, to be made again. The string is the kernel's name of the kind.
    Virtual(String),
    /// Neither; the kernel does not say what made it.
    Unknown,
}

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Interface index in the kernel the snapshot was taken on.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Further names.
    pub alt_names: Vec<String>,
    /// What it is.
    pub kind: LinkKind,
    /// `IFF_…` flags.
    pub flags: u32,
    /// Index of the link it is a port of.
    pub master: Option<u32>,
    /// Index of the link it is on (VLAN, MACVLAN) or of its other end (veth).
    pub lower: Option<u32>,
    /// The lower link is in another network namespace.
    pub lower_elsewhere: bool,
    /// How the kernel names new IPv6 addresses, if it has IPv6.
    pub addr_gen_mode: Option<u8>,
    /// Queueing discipline of its root.
    pub qdisc: String,
    /// An XDP program is attached.
    pub xdp: bool,
    /// Numbers of transmit and receive queues.
    pub(super) queues: Vec<Attribute>,
    /// [`CARRIED`] attributes.
    pub(super) carried: Vec<Attribute>,
    /// `IFLA_INFO_DATA`: what the kind says of itself.
    pub(super) data: Vec<Attribute>,
    /// Kind of the master, and what it says of this port.
    pub(super) slave_kind: String,
    pub(super) slave_data: Vec<Attribute>,
}

impl Link {
    /// MTU, bytes.
    #[must_use]
    pub fn mtu(&self) -> Option<u32> {
        find(&self.carried, IFLA_MTU).and_then(Attribute::as_u32)
    }

    /// Link-layer address.
    #[must_use]
    pub fn mac(&self) -> &[u8] {
        find(&self.carried, IFLA_ADDRESS).map_or(&[], Attribute::value)
    }

    /// Whether it is set up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.flags & IFF_UP != 0
    }

    /// Identity of a physical one.
    #[must_use]
    pub fn identity(&self) -> Option<&NicIdentity> {
        match &self.kind {
            LinkKind::Physical(identity) => Some(identity),
            _ => None,
        }
    }

    /// Kind of a virtual one.
    #[must_use]
    pub fn virtual_kind(&self) -> Option<&str> {
        match &self.kind {
            LinkKind::Virtual(kind) => Some(kind),
            _ => None,
        }
    }

    fn parse(message: &Message, sysfs: &Path) -> Result<Self> {
        let attributes = &message.attributes;
        let number = |id| find(attributes, id).and_then(Attribute::as_u32);
        let name = find(attributes, IFLA_IFNAME).map_or_else(String::new, Attribute::as_string);
        let permanent = find(attributes, IFLA_PERM_ADDRESS).map_or(&[][..], Attribute::value);
        let flags = message.word(8);
        let info = find_inner(attributes, IFLA_LINKINFO)?;
        let info_kind = find(&info, IFLA_INFO_KIND).map(Attribute::as_string);
        let kind = if flags & IFF_LOOPBACK != 0 {
            LinkKind::Loopback
        } else if let Some(identity) = NicIdentity::of(sysfs, &name, permanent) {
            LinkKind::Physical(identity)
        } else {
            info_kind.map_or(LinkKind::Unknown, LinkKind::Virtual)
        };
        let pick = |ids: &[u16]| -> Vec<Attribute> {
            let chosen = attributes.iter().filter(|item| ids.contains(&item.id()));
            chosen.cloned().collect()
        };
        // An address family is known by its number in here, IPv6's settings are nested in it.
        let families = find_inner(attributes, IFLA_AF_SPEC)?;
        let inet6 = find_inner(&families, u16::from(AF_INET6))?;
        let addr_gen_mode =
            find(&inet6, IFLA_INET6_ADDR_GEN_MODE).and_then(|item| item.value().first().copied());
        let xdp = find_inner(attributes, IFLA_XDP)?;
        let alt_names = find_inner(attributes, IFLA_PROP_LIST)?;
        Ok(Self {
            index: message.word(4),
            name,
            alt_names: alt_names
                .iter()
                .filter(|item| item.id() == IFLA_ALT_IFNAME)
                .map(Attribute::as_string)
                .collect(),
            kind,
            flags,
            master: number(IFLA_MASTER),
            lower: number(IFLA_LINK).filter(|lower| *lower != 0),
            lower_elsewhere: find(attributes, IFLA_LINK_NETNSID).is_some(),
            addr_gen_mode,
            qdisc: find(attributes, IFLA_QDISC).map_or_else(String::new, Attribute::as_string),
            xdp: find(&xdp, IFLA_XDP_ATTACHED)
                .and_then(|item| item.value().first().copied())
                .is_some_and(|mode| mode != 0),
            queues: pick(&[IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES]),
            carried: pick(CARRIED),
            data: find_inner(&info, IFLA_INFO_DATA)?,
            slave_kind: find(&info, IFLA_INFO_SLAVE_KIND)
                .map_or_else(String::new, Attribute::as_string),
            slave_data: find_inner(&info, IFLA_INFO_SLAVE_DATA)?,
        })
    }
}

/// The links of this network namespace, in the order of their indexes.
pub(super) fn links(rtnl: &mut Rtnl, sysfs: &Path) -> Result<Vec<Link>> {
    let mask = Attribute::u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    let answer = rtnl.dump(RTM_GETLINK, &[0; 16], &[mask])?;
    let links: Result<BTreeMap<u32, Link>> = answer
        .iter()
        .filter(|message| message.kind == RTM_NEWLINK)
        .map(|message| Link::parse(message, sysfs).map(|link| (link.index, link)))
        .collect();
    Ok(links?.into_values().collect())
}

/// Attributes that say how a link is now and cannot be asked for, by kind.
pub(super) fn read_only_data(kind: &str) -> &'static [u16] {
    match kind {
        // Active port and LACP state.
        "bond" => &[2, 23],
        // Root and bridge id, root path, topology change, timers, querier state, FDB size.
        "bridge" => &[10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 40, 47, 48],
        // Queue length in use, addresses of the source mode.
        "macvlan" | "macvtap" => &[4, 5, 6, 8],
        _ => &[],
    }
}

/// The same for what a master says of a port.
pub(super) fn read_only_slave_data(kind: &str) -> &'static [u16] {
    match kind {
        // Link state, failures, permanent address, aggregator, LACP and churn state.
        "bond" => &[1, 2, 3, 4, 6, 7, 8, 11, 12],
        // State, what STP and MRP found out, timers, counts.
        "bridge" => &[
            1, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 35, 36, 38,
        ],
        _ => &[],
    }
}

/// Attributes in kind data that hold the index of another link.
pub(super) fn index_data(kind: &str) -> &'static [u16] {
    match kind {
        "bond" => &[IFLA_BOND_PRIMARY],
        "vxlan" => &[IFLA_VXLAN_LINK],
        _ => &[],
    }
}
