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

    /// Restores and expects no report.
    fn restore(&self, snapshot: &Snapshot) -> Restored {
        let mut words = Vec::new();
        let mut report = |text: String| words.push(text);
        let mut restorer = Restorer::new(snapshot, self.roots(), &mut report).unwrap();
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
#[allow(deprecated, reason = "a thread of its own shares no memory that this could confuse")]
fn fresh_namespace() -> bool {
    rustix::thread::unshare(UnshareFlags::NEWNET).is_ok() && try_ip("link show lo")
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
        ip("link add z9 index 40 type veth peer name z8 index 41");
        net.device("z9", "0000:00:03.0", 7);
        // Its other end stands for the wire, and is to be b0.
        ip("link set z8 name b0");
        let restored = net.restore(&old);
        assert!(restored.missing.is_empty());
        let new = net.take();
        let index = new.links.iter().find(|link| link.name == "a0").unwrap().index;
        assert_eq!(index, 40, "a NIC keeps the index that its kernel gave it");
        let shown_new = ip_show("route show table all") + &ip_show("-6 route show table all");
        let lines = |text: &str| {
            let mut lines: Vec<String> = text
                .lines()
                .map(|line| line.replace("expires 499sec", "expires 500sec"))
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .map(|line| line.replace(" linkdown", ""))
                .collect();
            lines.sort();
            lines
        };
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
        assert_eq!(old.addresses.len(), new.addresses.len());
        assert_eq!(old.neighbours.len(), new.neighbours.len());
        assert_eq!(old.sysctls, new.sysctls);
        let keys = |snapshot: &Snapshot| -> Vec<_> {
            snapshot.rules.iter().map(normalise::rule_key).collect()
        };
        assert_eq!(keys(&old), keys(&new));

        // Again, on what is there: nothing changes.
        net.restore(&old);
        let again = net.take();
        assert_eq!(again.routes.len(), new.routes.len());
        assert_eq!(again.rules, new.rules);
        assert_eq!(again.addresses.len(), new.addresses.len());
    });
}
