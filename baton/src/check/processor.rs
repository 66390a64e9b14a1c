//! CPUs: one to give away, and what they can do.

use super::Point;
use crate::cpus::Cpus;
use handoff_abi::machine::MAX_CPUS;
use std::path::Path;

/// Whether a CPU can be given away. `never` are those that must not: the bootstrap processor.
pub fn spare(sys: &Path, chosen: Option<u32>, never: &[u32]) -> Point {
    const TOPIC: &str = "CPU";
    let cpus = Cpus::new(sys);
    let present = match cpus.present() {
        Ok(present) => present,
        Err(error) => return Point::unknown(TOPIC, &error),
    };
    if present.len() > MAX_CPUS {
        return Point::fail(
            TOPIC,
            format!("{} CPUs; a handover carries {MAX_CPUS}", present.len()),
            "this version cannot update a machine of this size",
        );
    }
    let picked = match chosen {
        None => cpus.pick(never),
        Some(cpu) => usable(&cpus, cpu, never),
    };
    match picked {
        Ok(cpu) => Point::ok(
            TOPIC,
            format!("CPU {cpu} of {} can be spared", present.len()),
        ),
        Err(error) => Point::fail(
            TOPIC,
            format!("{error:#}"),
            "the new kernel needs a CPU of its own until it takes over: at least 2 online, one \
             of which can go offline",
        ),
    }
}

fn usable(cpus: &Cpus, cpu: u32, never: &[u32]) -> anyhow::Result<u32> {
    anyhow::ensure!(
        cpu != 0 && !never.contains(&cpu),
        "CPU {cpu} is the machine's bootstrap processor"
    );
    anyhow::ensure!(cpus.online()?.contains(&cpu), "CPU {cpu} is not online");
    anyhow::ensure!(
        cpus.hotpluggable()?.contains(&cpu),
        "the kernel cannot take CPU {cpu} offline"
    );
    Ok(cpu)
}

/// What the text of `/proc/cpuinfo` says of the first CPU.
pub fn features(cpuinfo: &str) -> Vec<Point> {
    let value = |key: &str| {
        let mut pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        pairs
            .find(|(name, _)| name.trim() == key)
            .map_or("", |(_, value)| value.trim())
    };
    let flags: Vec<&str> = value("flags").split_whitespace().collect();
    let has = |flag: &str| flags.contains(&flag);
    let mut points = Vec::new();
    if has("tdx_guest") {
        points.push(Point::fail(
            "CPU features",
            "a confidential virtual machine (TDX): CPUs cannot be started by interrupt",
            "use a machine without memory encryption",
        ));
    }
    if !flags.is_empty() && !has("constant_tsc") && !has("hypervisor") {
        points.push(Point::warn(
            "CPU features",
            "the time stamp counter is not constant",
            "the times in `baton report` may be wrong",
        ));
    }
    let shown = [
        ("hypervisor", "virtual machine"),
        ("la57", "5-level paging possible"),
        ("x2apic", "x2APIC"),
        ("pti", "page-table isolation"),
        ("user_shstk", "shadow stacks"),
    ];
    let list: Vec<&str> = shown
        .iter()
        .filter(|(flag, _)| has(flag))
        .map(|(_, text)| *text)
        .collect();
    let model = value("model name");
    points.push(Point::ok(
        "CPU features",
        format!("{model} ({})", list.join(", ")),
    ));
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::Tree;
    use crate::check::Verdict;

    fn machine(online: &str) -> Tree {
        let tree = Tree::new();
        tree.file("devices/system/cpu/present", "0-3\n");
        tree.file("devices/system/cpu/online", online);
        for cpu in 1..4 {
            tree.file(&format!("devices/system/cpu/cpu{cpu}/online"), "1\n");
        }
        tree
    }

    #[test]
    fn a_cpu_besides_the_first_is_needed() {
        let four = machine("0-3\n");
        assert_eq!(spare(four.path(), None, &[0]).verdict, Verdict::Ok);
        assert!(spare(four.path(), None, &[0]).found.starts_with("CPU 3"));
        assert!(spare(four.path(), None, &[0, 3]).found.starts_with("CPU 2"));
        assert_eq!(spare(four.path(), Some(2), &[0]).verdict, Verdict::Ok);
        for never in [0, 7] {
            assert_eq!(spare(four.path(), Some(never), &[]).verdict, Verdict::Fail);
        }
        assert_eq!(
            spare(machine("0\n").path(), None, &[0]).verdict,
            Verdict::Fail
        );
        assert_eq!(
            spare(Tree::new().path(), None, &[0]).verdict,
            Verdict::Warn,
            "what cannot be read is no reason to refuse"
        );
    }

    #[test]
    fn features_are_informational() {
        let qemu =
            "processor\t: 0\nmodel name\t: QEMU TCG\nflags\t\t: fpu hypervisor la57 x2apic\n";
        let points = features(qemu);
        assert!(points.iter().all(|point| point.verdict == Verdict::Ok));
        assert!(points[0].found.contains("5-level"));
        assert!(features("").iter().all(|p| p.verdict == Verdict::Ok));
        let tdx = features("flags : tdx_guest hypervisor\n");
        assert_eq!(tdx[0].verdict, Verdict::Fail);
    }
}
