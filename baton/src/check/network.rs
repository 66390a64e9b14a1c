//! What of the network does not come along.

use super::Point;
use crate::network::{Link, NOT_BY_NETLINK};
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::Path;

/// Most processes that are asked for their network namespace.
const MAX_PROCESSES: usize = 100_000;
/// Queueing disciplines that a kernel gives by itself.
const DEFAULT_QDISCS: &[&str] = &["", "noop", "noqueue", "pfifo_fast", "fq", "fq_codel", "mq"];

/// What is looked at of a link.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its kind, if it is virtual.
    pub kind: Option<&'a str>,
    /// The queueing discipline of its root.
    pub qdisc: &'a str,
    /// An XDP program is attached.
    pub xdp: bool,
    /// Its other end is in another network namespace.
    pub elsewhere: bool,
}

impl<'a> Facts<'a> {
    /// Those of a link.
    pub fn of(link: &'a Link) -> Self {
        Self {
            name: &link.name,
            kind: link.virtual_kind(),
            qdisc: &link.qdisc,
            xdp: link.xdp,
            elsewhere: link.lower_elsewhere,
        }
    }
}

/// Links that come over incompletely or not at all.
pub fn links<'a>(links: impl Iterator<Item = Facts<'a>>) -> Point {
    let mut troubles = Vec::new();
    let mut count = 0usize;
    for link in links {
        count = count.saturating_add(1);
        let name = link.name;
        let known = NOT_BY_NETLINK
            .iter()
            .find(|(kind, _)| Some(*kind) == link.kind);
        if let Some((kind, why)) = known {
            troubles.push(format!("{name} ({kind}: {why})"));
        } else if link.elsewhere {
            troubles.push(format!("{name} (its other end is in another namespace)"));
        }
        if link.xdp {
            troubles.push(format!("{name}'s XDP program"));
        }
        if !DEFAULT_QDISCS.contains(&link.qdisc) {
            troubles.push(format!("{name}'s queueing discipline {}", link.qdisc));
        }
    }
    match troubles.is_empty() {
        true => Point::ok("network", format!("{count} links, all can be made again")),
        false => Point::warn(
            "network",
            format!("not carried over: {}", troubles.join(", ")),
            "set it up again after the update",
        ),
    }
}

/// Tables of packet filters, which do not come along. `ask` lists those of nftables; it is called
/// only if nftables is there already, for asking would load it.
pub fn packet_filter(proc: &Path, ask: impl Fn() -> Result<Vec<String>>) -> Point {
    const TOPIC: &str = "packet filter";
    let read = |name: &str| std::fs::read_to_string(proc.join(name)).unwrap_or_default();
    let mut found: Vec<String> = [
        "net/ip_tables_names",
        "net/ip6_tables_names",
        "net/arp_tables_names",
    ]
    .iter()
    .flat_map(|name| {
        let text = read(name);
        let kind = name.trim_start_matches("net/").trim_end_matches("_names");
        text.lines()
            .map(|table| format!("{kind} {table}"))
            .collect::<Vec<_>>()
    })
    .collect();
    let loaded = read("modules")
        .lines()
        .any(|line| line.starts_with("nf_tables "));
    if loaded {
        match ask() {
            Ok(tables) => found.extend(tables.iter().map(|name| format!("nftables {name}"))),
            Err(error) => return Point::unknown(TOPIC, &error),
        }
    }
    match found.is_empty() {
        true => Point::ok(TOPIC, "no tables"),
        false => Point::warn(
            TOPIC,
            format!("rules are not carried over: {}", found.join(", ")),
            "load them again after the update (nft -f, iptables-restore); until then nothing is \
             filtered",
        ),
    }
}

/// Network namespaces besides the one of this process.
pub fn namespaces(proc: &Path) -> Point {
    const TOPIC: &str = "namespaces";
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    let all: BTreeSet<_> = entries
        .take(MAX_PROCESSES)
        .filter(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().bytes().all(|b| b.is_ascii_digit())
        })
        .filter_map(|entry| std::fs::read_link(entry.path().join("ns/net")).ok())
        .collect();
    match all.len() {
        0 | 1 => Point::ok(TOPIC, "one for the network"),
        more => Point::warn(
            TOPIC,
            format!("{more} for the network; only that of PID 1 is carried over"),
            "start containers again after the update",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::Tree;
    use crate::check::Verdict;

    fn link<'a>(name: &'a str, kind: Option<&'a str>) -> Facts<'a> {
        Facts {
            name,
            kind,
            qdisc: "fq_codel",
            xdp: false,
            elsewhere: false,
        }
    }

    #[test]
    fn links_that_do_not_come_along_are_named() {
        let good = [link("eth0", None), link("br0", Some("bridge"))];
        assert_eq!(links(good.into_iter()).verdict, Verdict::Ok);
        let tun = links([link("tun0", Some("tun"))].into_iter());
        assert_eq!(tun.verdict, Verdict::Warn);
        assert!(tun.found.contains("tun0"));
        let mut shaped = link("eth0", None);
        shaped.qdisc = "htb";
        shaped.xdp = true;
        let point = links([shaped].into_iter());
        assert!(point.found.contains("htb") && point.found.contains("XDP"));
    }

    #[test]
    fn packet_filters_are_found_and_nftables_is_not_woken() {
        let tree = Tree::new();
        let never = || -> Result<Vec<String>> { panic!("asked") };
        assert_eq!(packet_filter(tree.path(), never).verdict, Verdict::Ok);
        tree.file("modules", "nf_tables 286720 0 - Live 0x0\n");
        let none = packet_filter(tree.path(), || Ok(Vec::new()));
        assert_eq!(none.verdict, Verdict::Ok);
        let some = packet_filter(tree.path(), || Ok(vec!["inet filter".to_owned()]));
        assert!(some.found.contains("nftables inet filter"));
        tree.file("net/ip_tables_names", "filter\nnat\n");
        let both = packet_filter(tree.path(), || Ok(Vec::new()));
        assert!(both.found.contains("ip_tables nat"));
    }

    #[test]
    fn other_namespaces_are_counted() {
        let tree = Tree::new();
        tree.link("1/ns/net", "net:[1]");
        tree.link("2/ns/net", "net:[1]");
        tree.link("self/ns/net", "net:[9]");
        assert_eq!(namespaces(tree.path()).verdict, Verdict::Ok);
        tree.link("3/ns/net", "net:[2]");
        assert_eq!(namespaces(tree.path()).verdict, Verdict::Warn);
    }
}
