//! What the machine says about itself.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::Serialize;

use super::machine::Machine;

/// Prints `name=value` lines; values may have spaces.
const SCRIPT: &str = r#"
echo "release=$(uname -r)"
echo "boot_id=$(cat /proc/sys/kernel/random/boot_id)"
echo "hostname=$(hostname)"
echo "addresses=$(ip -4 -o addr show scope global | awk '{print $2, $4}' | sort | tr '\n' ' ')"
echo "cpus=$(grep -c '^processor' /proc/cpuinfo)"
echo "memory_kib=$(awk '/^MemTotal:/ {print $2}' /proc/meminfo)"
echo "dirty_kib=$(awk '/^Dirty:/ {print $2}' /proc/meminfo)"
echo "clock_s=$(adjtimex | awk '/time.tv_sec/ {s=$2} /time.tv_usec/ {printf "%d.%06d", s, $2}')"
echo "writeback_kib=$(awk '/^Writeback:/ {print $2}' /proc/meminfo)"
"#;

/// A machine at one instant.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    /// `uname -r`.
    pub release: String,
    /// One per boot.
    pub boot_id: String,
    /// The host name.
    pub hostname: String,
    /// Interfaces and their IPv4 addresses.
    pub addresses: String,
    /// CPUs online.
    pub cpus: u64,
    /// `MemTotal`.
    pub memory_kib: u64,
    /// File cache that differs from the disk.
    pub dirty_kib: u64,
    /// How far the wall clock is ahead of this machine's, seconds...
    pub clock_ahead_s: f64,
    /// ...give or take this.
    pub clock_unsure_s: f64,
    /// File cache on its way to the disk.
    pub writeback_kib: u64,
}

impl Facts {
    /// Asks the machine.
    pub fn of(machine: &Machine) -> Result<Self> {
        let asked = now_s()?;
        let text = machine
            .shell(SCRIPT)
            .context("cannot ask the machine about itself")?;
        Self::parse(&text, (asked, now_s()?))
    }

    /// `between`: this machine's clock before and after, seconds since 1970.
    fn parse(text: &str, between: (f64, f64)) -> Result<Self> {
        let values: HashMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name, value.trim()))
            .collect();
        let word = |name: &str| -> Result<String> {
            let value = values.get(name).copied().filter(|value| !value.is_empty());
            Ok(value
                .with_context(|| format!("the machine does not say its {name}"))?
                .to_owned())
        };
        let number = |name: &str| -> Result<u64> {
            let value = word(name)?;
            value
                .parse()
                .with_context(|| format!("{name} is {value:?}"))
        };
        let clock: f64 = word("clock_s")?.parse().context("its clock")?;
        Ok(Self {
            release: word("release")?,
            boot_id: word("boot_id")?,
            hostname: word("hostname")?,
            addresses: word("addresses")?,
            cpus: number("cpus")?,
            memory_kib: number("memory_kib")?,
            dirty_kib: number("dirty_kib")?,
            clock_ahead_s: clock - (between.0 + between.1) / 2.0,
            clock_unsure_s: (between.1 - between.0) / 2.0,
            writeback_kib: number("writeback_kib")?,
        })
    }
}

/// This machine's wall clock, seconds since 1970.
fn now_s() -> Result<f64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(now.context("the clock is before 1970")?.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::Facts;

    #[test]
    fn reads_what_the_script_prints() {
        let text = "release=6.1\nboot_id=x\nhostname=baton\naddresses=eth0 10.0.2.15/24 \ncpus=4\n\
                    memory_kib=3000\ndirty_kib=20\nclock_s=1000.250000\nwriteback_kib=0\n";
        let facts = Facts::parse(text, (999.0, 1000.0)).unwrap();
        assert_eq!(facts.addresses, "eth0 10.0.2.15/24");
        assert_eq!((facts.cpus, facts.writeback_kib), (4, 0));
        assert_eq!((facts.clock_ahead_s, facts.clock_unsure_s), (0.75, 0.5));
        let lacking = text.replace("cpus=4", "cpus=");
        assert!(Facts::parse(&lacking, (0.0, 0.0)).is_err());
    }
}
