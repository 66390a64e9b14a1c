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
echo "writeback_kib=$(awk '/^Writeback:/ {print $2}' /proc/meminfo)"
"#;

/// Prints seconds since 1970, to the microsecond.
const CLOCK: &str =
    r#"adjtimex | awk '/time.tv_sec/ {s=$2} /time.tv_usec/ {printf "%d.%06d", s, $2}'"#;

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
    /// File cache on its way to the disk.
    pub writeback_kib: u64,
}

impl Facts {
    /// Asks the machine.
    pub fn of(machine: &Machine) -> Result<Self> {
        let text = machine
            .shell(SCRIPT)
            .context("cannot ask the machine about itself")?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
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
        Ok(Self {
            release: word("release")?,
            boot_id: word("boot_id")?,
            hostname: word("hostname")?,
            addresses: word("addresses")?,
            cpus: number("cpus")?,
            memory_kib: number("memory_kib")?,
            dirty_kib: number("dirty_kib")?,
            writeback_kib: number("writeback_kib")?,
        })
    }
}

/// The machine's wall clock, compared with this one's.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Clock {
    /// How far it is ahead, seconds...
    pub ahead_s: f64,
    /// ...give or take this.
    pub unsure_s: f64,
}

impl Clock {
    /// Asks some times, and takes the answer that came soonest.
    pub fn of(machine: &Machine) -> Result<Self> {
        const TIMES: usize = 5;
        let mut best: Option<Self> = None;
        for _ in 0..TIMES {
            let asked = now_s()?;
            let text = machine.shell(CLOCK).context("cannot ask for the time")?;
            let answered = now_s()?;
            let clock: f64 = text
                .parse()
                .with_context(|| format!("the time is {text:?}"))?;
            let now = Self {
                ahead_s: clock - (asked + answered) / 2.0,
                unsure_s: (answered - asked) / 2.0,
            };
            if best.is_none_or(|best| now.unsure_s < best.unsure_s) {
                best = Some(now);
            }
        }
        best.context("the machine was not asked")
    }

    /// How much the clock was put forward or back since `before`, seconds, beyond what the two
    /// measurements leave open.
    pub fn step_since(&self, before: &Self) -> f64 {
        (self.ahead_s - before.ahead_s).abs() - self.unsure_s - before.unsure_s
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
                    memory_kib=3000\ndirty_kib=20\nwriteback_kib=0\n";
        let facts = Facts::parse(text).unwrap();
        assert_eq!(facts.addresses, "eth0 10.0.2.15/24");
        assert_eq!((facts.cpus, facts.writeback_kib), (4, 0));
        assert!(Facts::parse(&text.replace("cpus=4", "cpus=")).is_err());
    }
}
