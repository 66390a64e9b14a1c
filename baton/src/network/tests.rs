//! Tests in network namespaces of their own. Each runs on a thread that unshares its namespace;
//! what the host cannot do is skipped, visibly.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::thread::UnshareFlags;

use super::attribute::{emit, parse, Attribute};
use super::normalise::map_hops;
use super::*;

/// A namespace with a fake sysfs, in which interfaces can be made "physical".
struct Net {
    dir: tempfile::TempDir,
}

impl Net {
    fn roots(&self) -> Roots {
        Roots {
            sys: self.dir.path().to_path_buf(),
            ..Roots::default()
        }
    }

    /// Pretends that a device at a PCI address is behind an interface.
    fn device(&self, name: &str, pci: &str, virtio: u32) {
        let sys = self.dir.path();
        let device = sys.join(format!("devices/pci0000:00/{pci}/virtio{virtio}"));
        fs::create_dir_all(&device).unwrap();
        let interface = sys.join("class/net").join(name);
        fs::create_dir_all(&interface).unwrap();
        std::os::unix::fs::symlink(&device, interface.join("device")).unwrap();
    }

    fn forget(&self, name: &str) {
        fs::remove_dir_all(self.dir.path().join("class/net").join(name)).unwrap();
    }

    fn take(&self) -> Snapshot {
        Snapshot::take_from(&self.roots()).unwrap()
    }

    /// A restore of which nothing is done but the settings.
    fn restorer<'a>(&self, snapshot: &'a Snapshot, report: &mut dyn FnMut(String)) -> Restorer<'a> {
        snapshot.restore_settings(&self.roots(), None, report);
        Restorer::new(snapshot, self.roots(), None, report).unwrap()
    }

    /// Restores and expects no report.
    fn restore(&self, snapshot: &Snapshot) -> Restored {
        let mut words = Vec::new();
        let mut report = |text: String| words.push(text);
        let mut restorer = self.restorer(snapshot, &mut report);
        let restored = restorer
            .finish(Duration::from_secs(5), &mut report)
            .unwrap();
        assert_eq!(words, Vec::<String>::new());
        restored
    }
}

/// Runs an `ip` command line; says whether it worked.
fn try_ip(line: &str) -> bool {
    let output = Command::new("ip").args(line.split_whitespace()).output();
    output.is_ok_and(|output| output.status.success())
}

fn ip(line: &str) {
    let output = Command::new("ip")
        .args(line.split_whitespace())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {line}: {error}");
}

fn ip_show(line: &str) -> String {
    let output = Command::new("ip").args(line.split_whitespace()).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// Runs a test on a thread with network namespaces that it may change at will.
fn in_namespace(test: fn(&Net)) {
    let body = move || {
        if !fresh_namespace() {
            eprintln!("SKIPPED: no permission to make a network namespace");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        test(&Net { dir });
    };
    std::thread::spawn(body).join().unwrap();
}

/// Leaves this thread's namespace for an empty one: everything is destroyed.
#[allow(
    deprecated,
    reason = "a thread of its own shares no memory that this could confuse"
)]
fn fresh_namespace() -> bool {
    rustix::thread::unshare(UnshareFlags::NEWNET).is_ok() && try_ip("link show lo")
}

/// What `ip route` shows, sorted, without what passes.
fn lines(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words.retain(|word| *word != "linkdown" && !word.ends_with("sec"));
        words.join(" ")
    };
    let mut lines: Vec<String> = text.lines().map(line).collect();
    lines.sort();
    lines
}

/// Messages in an order that does not depend on indexes, without lifetimes.
fn sorted(messages: &[Message]) -> Vec<Message> {
    let mut messages = messages.to_vec();
    for message in &mut messages {
        match message.kind {
            RTM_NEWADDR => message.drop(&[IFA_CACHEINFO]),
            RTM_NEWROUTE => message.drop(&[RTA_EXPIRES]),
            _ => {}
        }
        message.attributes.sort_by_key(Attribute::id);
    }
    messages.sort_by_key(|message| (message.header.clone(), emit(&message.attributes)));
    messages
}

/// A snapshot with the indexes of another, of links of the same names.
fn moved(old: &Snapshot, new: &Snapshot) -> Snapshot {
    let pairs = old.links.iter().map(|link| {
        let same = new.links.iter().find(|other| other.name == link.name);
        (link.index, same.unwrap().index)
    });
    let map = pairs.collect();
    let all = |messages: &[Message]| -> Vec<Message> {
        let new = messages.iter().map(|item| translate::translate(item, &map));
        new.collect::<Option<_>>().unwrap()
    };
    let mut moved = old.clone();
    moved.addresses = sorted(&all(&old.addresses));
    moved.routes = sorted(&all(&old.routes));
    moved.nexthops = all(&old.nexthops);
    moved.neighbours = sorted(&all(&old.neighbours));
    moved
}

fn sysctl(path: &str, value: &str) {
    fs::write(Path::new("/proc/sys/net").join(path), value).unwrap();
}

#[test]
fn attributes_survive_parse_and_emit() {
    let inner = [Attribute::string(1, "x"), Attribute::new(2, &[1, 2, 3])];
    let all = vec![Attribute::nested(7, &inner), Attribute::u32(9, 5)];
    assert_eq!(parse(&emit(&all)).unwrap(), all);
    assert_eq!(all[0].inner().unwrap(), inner);
    assert!(parse(&[3, 0, 1, 0]).is_err(), "length below the header");
    assert!(parse(&[9, 0, 1, 0, 1]).is_err(), "length beyond the end");
}

#[test]
fn hops_that_are_malformed_are_refused() {
    assert_eq!(map_hops(&[4, 0, 0, 0], |f, i| (f, Some(i))), None);
    assert_eq!(map_hops(&[8, 0, 0, 0, 1], |f, i| (f, Some(i))), None);
    let hop = [8, 0, 1, 2, 5, 0, 0, 0];
    let moved = map_hops(&hop, |_, index| (0, Some(index + 1))).unwrap();
    assert_eq!(moved, [8, 0, 0, 2, 6, 0, 0, 0]);
}

#[test]
fn everything_comes_back() {
    in_namespace(|net| {
        ip("link set lo up");
        ip("link add a0 type veth peer name b0");
        ip("link add a1 type veth peer name b1");
        ip("link set a0 address 02:00:00:00:00:0a mtu 1400 txqueuelen 77 alias uplink");
        ip("link set b1 promisc on");
        ip("link property add dev a0 altname uplink0");
        for name in ["a0", "b0", "a1", "b1"] {
            ip(&format!("link set {name} up"));
        }
        ip("addr add 10.1.0.2/24 brd + dev a0 label a0:x");
        ip("addr add 10.1.0.3/24 dev a0");
        ip("addr add 10.9.0.1 peer 10.9.0.2 dev a1");
        ip("addr add 10.2.0.2/24 dev a1 noprefixroute");
        ip("addr add 10.3.0.2/24 dev a1 valid_lft 4000 preferred_lft 3000");
        ip("-6 addr add 2001:db8:1::2/64 dev a0 nodad");
        ip("-6 addr add 2001:db8:1::3/64 dev a0 nodad");
        ip("addr add 192.0.2.1/32 dev lo");
        ip("route add default via 10.1.0.1 metric 50 mtu 1300 advmss 1200");
        ip("route add 172.16.0.0/16 nexthop via 10.1.0.1 weight 3 nexthop via 10.9.0.2 dev a1");
        ip("route add blackhole 198.51.100.0/24");
        ip("route add unreachable 198.51.101.0/24 metric 7");
        ip("route add 10.77.0.0/16 via 172.31.0.1 dev a1 onlink table 100 proto static");
        ip("route add local 203.0.113.0/24 dev lo table 100");
        ip("route add 10.78.0.0/16 dev a1 src 10.1.0.3 tos 0x10");
        ip("-6 route add default via 2001:db8:1::1 metric 9");
        ip("-6 route add 2001:db8:9::/48 nexthop via 2001:db8:1::8 nexthop via 2001:db8:1::9");
        ip("-6 route add blackhole 2001:db8:dead::/48");
        ip("-6 route add 2001:db8:8::/64 dev a1 table 200 expires 500");
        ip("rule add from 10.2.0.0/16 table 100 priority 500");
        ip("rule add not fwmark 0x1/0xf iif a0 table 100 priority 501");
        ip("-6 rule add to 2001:db8:8::/64 table 200 priority 502");
        ip("rule del priority 32767");
        ip("neigh add 10.1.0.1 lladdr 02:00:00:00:00:01 dev a0 nud reachable");
        ip("neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev a0 nud permanent");
        ip("-6 neigh add 2001:db8:1::1 lladdr 02:00:00:00:00:01 dev a0 nud stale router");
        ip("neigh add proxy 10.1.0.77 dev a0");
        sysctl("ipv4/ip_forward", "1");
        sysctl("ipv4/conf/a0/rp_filter", "2");
        sysctl("ipv6/conf/a0/accept_ra", "0");
        sysctl("ipv6/conf/b1/disable_ipv6", "1");
        if !try_ip("nexthop add id 5 via 10.1.0.1 dev a0")
            || !try_ip("nexthop add id 6 via 10.9.0.2 dev a1")
            || !try_ip("nexthop add id 9 group 5,3/6,2")
            || !try_ip("route add 10.80.0.0/16 nhid 9")
        {
            eprintln!("SKIPPED: nexthop objects");
        }
        net.device("a0", "0000:00:03.0", 1);

        // Link-local addresses pass from tentative to valid in a second or two.
        std::thread::sleep(Duration::from_millis(2500));
        let old = net.take();
        assert_eq!(Snapshot::from_bytes(&old.to_bytes().unwrap()).unwrap(), old);
        let shown = ip_show("route show table all") + &ip_show("-6 route show table all");

        // The next kernel: the NIC a0 has another name, index and address of its own.
        assert!(fresh_namespace());
        net.forget("a0");
        let settings = Settings::take(&net.roots()).unwrap();
        let mut words = Vec::new();
        let mut report = |text: String| words.push(text);
        old.restore_settings(&net.roots(), Some(&settings), &mut report);
        ip("link add z9 index 40 type veth peer name z8 index 41");
        net.device("z9", "0000:00:03.0", 7);
        // Its other end stands for the wire, and is to be b0.
        ip("link set z8 name b0");
        let known = Some(&settings);
        let mut restorer = Restorer::new(&old, net.roots(), known, &mut report).unwrap();
        let patience = Duration::from_secs(5);
        let restored = restorer.finish(patience, &mut report).unwrap();
        assert_eq!(words, Vec::<String>::new());
        assert!(restored.missing.is_empty());
        let new = net.take();
        let index = new
            .links
            .iter()
            .find(|link| link.name == "a0")
            .unwrap()
            .index;
        assert_eq!(index, 40, "a NIC keeps the index that its kernel gave it");
        let shown_new = ip_show("route show table all") + &ip_show("-6 route show table all");
        assert_eq!(lines(&shown), lines(&shown_new));
        let brief = |snapshot: &Snapshot| -> Vec<_> {
            let links = snapshot.links.iter();
            links
                .map(|link| {
                    (
                        link.name.clone(),
                        link.alt_names.clone(),
                        link.mac().to_vec(),
                        emit(&link.carried),
                        link.flags & (IFF_UP | IFF_SETTABLE),
                        link.addr_gen_mode,
                    )
                })
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect()
        };
        assert_eq!(brief(&old), brief(&new));
        let moved = moved(&old, &new);
        assert_eq!(moved.addresses, sorted(&new.addresses));
        assert_eq!(moved.routes, sorted(&new.routes));
        assert_eq!(moved.nexthops, new.nexthops);
        assert_eq!(moved.neighbours, sorted(&new.neighbours));
        assert_eq!(old.sysctls, new.sysctls);
        let keys = |snapshot: &Snapshot| -> Vec<_> {
            snapshot.rules.iter().map(normalise::rule_key).collect()
        };
        assert_eq!(keys(&old), keys(&new));

        // Again, on what is there: nothing changes. A real sysfs follows the rename by itself.
        net.forget("z9");
        net.device("a0", "0000:00:03.0", 7);
        net.restore(&old);
        let again = net.take();
        assert_eq!(again.routes.len(), new.routes.len());
        assert_eq!(again.rules, new.rules);
        assert_eq!(again.addresses.len(), new.addresses.len());
    });
}

#[test]
fn swapped_names_are_swapped_back() {
    in_namespace(|net| {
        ip("link add eth0 type veth peer name eth1");
        ip("addr add 10.1.0.1/24 dev eth0");
        ip("addr add 10.2.0.1/24 dev eth1");
        ip("link set eth0 up");
        ip("link set eth1 up");
        net.device("eth0", "0000:00:03.0", 0);
        net.device("eth1", "0000:00:04.0", 1);
        let old = net.take();
        assert!(fresh_namespace());
        ip("link add eth0 type veth peer name eth1");
        net.forget("eth0");
        net.forget("eth1");
        net.device("eth0", "0000:00:04.0", 0);
        net.device("eth1", "0000:00:03.0", 1);
        // The fake sysfs does not follow a rename as the real one does, so that each NIC is
        // restored by itself.
        let mut words = Vec::new();
        let mut report = |text: String| words.push(text);
        let mut restorer = net.restorer(&old, &mut report);
        let nic = |name: &str| old.nics().find(|(link, _)| link.name == name).unwrap().1;
        assert_eq!(restorer.missing().count(), 2);
        assert!(restorer.restore_link(nic("eth0"), &mut report).unwrap());
        assert_eq!(restorer.missing().count(), 1);
        let other = ip_show("-o link show");
        let temporary = other.split_whitespace().find_map(|word| {
            let name = word.split(['@', ':']).next()?;
            name.starts_with("baton").then(|| name.to_owned())
        });
        net.device(&temporary.unwrap(), "0000:00:04.0", 0);
        net.forget("eth0");
        net.forget("eth1");
        net.device("eth0", "0000:00:03.0", 0);
        assert!(restorer.restore_link(nic("eth1"), &mut report).unwrap());
        restorer
            .finish(Duration::from_secs(1), &mut report)
            .unwrap();
        assert_eq!(words, Vec::<String>::new());
        assert!(ip_show("addr show eth0").contains("10.1.0.1/24"));
        assert!(ip_show("addr show eth1").contains("10.2.0.1/24"));
    });
}

#[test]
fn a_bridge_gets_its_ports_and_settings() {
    in_namespace(|net| {
        if !try_ip("link add br0 type bridge stp_state 0 ageing_time 12300 priority 77") {
            eprintln!("SKIPPED: no bridge on this host");
            return;
        }
        ip("link add a0 type veth peer name b0");
        ip("link set a0 master br0");
        ip("link set a0 type bridge_slave hairpin on cost 55");
        ip("link set a0 up");
        ip("link set br0 up");
        ip("addr add 10.5.0.1/24 dev br0");
        let old = net.take();
        assert!(fresh_namespace());
        net.restore(&old);
        let new = net.take();
        let bridge = new.links.iter().find(|link| link.name == "br0").unwrap();
        let port = new.links.iter().find(|link| link.name == "a0").unwrap();
        assert_eq!(port.master, Some(bridge.index));
        assert_eq!(old.links.len(), new.links.len());
        let was = |name: &str| old.links.iter().find(|link| link.name == name).unwrap();
        let settings = |link: &Link| {
            let read_only = link::read_only_data("bridge");
            let mut all = link.data.clone();
            all.retain(|item| !read_only.contains(&item.id()));
            all
        };
        assert_eq!(settings(was("br0")), settings(bridge));
        assert_eq!(was("br0").mac(), bridge.mac());
        assert_eq!(was("br0").index, bridge.index, "a free index is kept");
        let port_details = ip_show("-d link show a0");
        assert!(port_details.contains("hairpin on") && port_details.contains("cost 55"));
    });
}

#[test]
fn a_vlan_is_made_on_its_lower_link() {
    in_namespace(|net| {
        ip("link add a0 type veth peer name b0");
        if !try_ip("link add link a0 name a0.7 type vlan id 7 egress-qos-map 1:2") {
            eprintln!("SKIPPED: no vlan on this host");
            return;
        }
        ip("link set a0 up");
        ip("link set a0.7 up");
        ip("addr add 10.7.0.1/24 dev a0.7");
        let old = net.take();
        assert!(fresh_namespace());
        net.restore(&old);
        let shown = ip_show("-d link show a0.7");
        assert!(shown.contains("id 7") && shown.contains("1:2"), "{shown}");
        assert!(ip_show("addr show a0.7").contains("10.7.0.1/24"));
    });
}

#[test]
fn what_cannot_be_made_is_named() {
    in_namespace(|net| {
        ip("link add a0 type veth peer name b0");
        ip("addr add 10.1.0.1/24 dev a0");
        ip("link set a0 up");
        ip("link set b0 up");
        ip("route add 10.2.0.0/16 dev a0");
        let mut old = net.take();
        for link in &mut old.links {
            if link.name == "a0" {
                link.kind = LinkKind::Virtual("wireguard".to_owned());
                link.lower = None;
            }
            if link.name == "b0" {
                link.kind = LinkKind::Physical(NicIdentity {
                    place: "0000:00:09.0".to_owned(),
                    port: 0,
                    permanent_mac: Vec::new(),
                });
            }
        }
        assert!(fresh_namespace());
        let mut words = Vec::new();
        let mut report = |text: String| words.push(text);
        let mut restorer = net.restorer(&old, &mut report);
        let restored = restorer
            .finish(Duration::from_millis(200), &mut report)
            .unwrap();
        assert_eq!(restored.missing, ["b0 (0000:00:09.0)"]);
        let all = words.join("\n");
        assert!(all.contains("a0 (wireguard) is not made again"), "{all}");
        assert!(all.contains("route 10.2.0.0/16 in table 254"), "{all}");
        assert!(
            all.contains("NIC b0 (0000:00:09.0) did not appear"),
            "{all}"
        );
    });
}

#[test]
fn a_late_nic_is_waited_for_and_held_links_stay_down() {
    in_namespace(|net| {
        ip("link add a0 type veth peer name b0");
        ip("addr add 10.1.0.1/24 dev a0");
        ip("link set a0 up");
        ip("link set b0 up");
        net.device("a0", "0000:00:03.0", 1);
        net.device("b0", "0000:00:04.0", 1);
        let old = net.take();
        assert!(fresh_namespace());
        let mut words = Vec::new();
        let mut report = |text: String| words.push(text);
        let mut restorer = net.restorer(&old, &mut report);
        restorer.hold(true);
        assert!(!restorer.restore_available(&mut report).unwrap());
        let late = Command::new("sh")
            .args(["-c", "sleep 0.3; ip link add a0 type veth peer name b0"])
            .spawn();
        let begin = std::time::Instant::now();
        let patience = Duration::from_secs(10);
        let restored = restorer.finish(patience, &mut report).unwrap();
        late.unwrap().wait().unwrap();
        assert!(begin.elapsed() < patience / 2, "woken by the notice");
        assert!(restored.missing.is_empty());
        assert!(ip_show("addr show a0").contains("10.1.0.1/24"));

        // Held: named and configured, but down and without address.
        ip("link del a0");
        ip("link add a0 type veth peer name b0");
        let mut restorer = net.restorer(&old, &mut report);
        restorer.hold(true);
        restorer.restore_available(&mut report).unwrap();
        assert!(!ip_show("addr show a0").contains("10.1.0.1/24"));
        assert!(!ip_show("link show a0").contains(",UP"));
        restorer.hold(false);
        restorer.restore_available(&mut report).unwrap();
        assert!(ip_show("addr show a0").contains("10.1.0.1/24"));
        assert_eq!(words, Vec::<String>::new());
    });
}

#[test]
fn the_watcher_sees_each_kind_of_change() {
    in_namespace(|_| {
        let mut watcher = Watcher::new().unwrap();
        assert!(!watcher.changed());
        for line in [
            "link set lo up",
            "addr add 10.1.0.1/24 dev lo",
            "-6 addr add 2001:db8::1/64 dev lo",
            "route add blackhole 10.2.0.0/16",
            "-6 route add blackhole 2001:db8:2::/48",
            "rule add from 10.1.0.0/24 table 9",
            "-6 rule add from 2001:db8::/64 table 9",
        ] {
            ip(line);
            assert!(watcher.changed(), "{line}");
            assert!(!watcher.changed(), "drained after {line}");
        }
    });
}

#[test]
fn a_snapshot_that_is_too_large_says_so() {
    in_namespace(|net| {
        ip("link set lo up");
        ip("route add blackhole 10.2.0.0/16");
        let mut snapshot = net.take();
        let route = snapshot.routes.first().unwrap().clone();
        snapshot.routes = vec![route; 10_000];
        let error = snapshot.to_bytes().unwrap_err().to_string();
        assert!(error.contains("10000 routes"), "{error}");
        assert!(Snapshot::from_bytes(&[1, 2, 3]).is_err());
    });
}
