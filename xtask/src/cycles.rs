//! `cargo xtask cycles`: load and unload in a row, and what the kernel uses after each.
//!
//! # What is compared
//! Exactly: `MemTotal`, the CPUs, the ranges of `/proc/iomem`, and that nobody uses the module.
//!
//! Within noise: slab, `vmalloc`, kernel stacks and page tables, per-CPU memory, and all that is in
//! use. Whatever can be dropped is dropped before each look, and still the figures move by
//! themselves. How much is measured in the same run: the first [`SETTLING`] cycles are left out
//! (caches of the kernel and of the command fill up for good), the spread over the first quarter
//! of the rest is the noise, and the growth is the median of the last quarter less that of the
//! first. A leak of L a cycle raises the noise by L times a quarter of the cycles, and the growth
//! by three times as much: it is seen as soon as the leak of the run is twice the noise.

use std::fmt;
use std::time::Instant;

use anyhow::{ensure, Context, Result};

use crate::demo::hardware::Hardware;
use crate::demo::setup::Setup;
use crate::faults::stage::Stage;

/// Cycles before anything is compared.
const SETTLING: usize = 2;
/// Fewer cycles than this have no quarters worth comparing.
const LEAST: u32 = 10;

/// Prints the figures in the order of [`Use`], KiB.
const SCRIPT: &str = r#"
sync
for i in 1 2; do echo 3 >/proc/sys/vm/drop_caches; done
awk '/^MemTotal:/ {total = $2} /^MemFree:/ {free = $2} /^Slab:/ {slab = $2}
     /^VmallocUsed:/ {vmalloc = $2} /^KernelStack:/ {stack = $2} /^PageTables:/ {tables = $2}
     /^Percpu:/ {percpu = $2}
     END {print total, slab, vmalloc, stack + tables, percpu, total - free}' /proc/meminfo
grep -c '^processor' /proc/cpuinfo
awk '$1 == "baton" {print $3}' /proc/modules
grep -c : /proc/iomem
"#;

/// Names of what is compared within noise.
const NAMES: [&str; 5] = ["slab", "vmalloc", "stacks+tables", "percpu", "in use"];

/// Arguments of `cycles`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How often to load and unload
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(i64::from(LEAST)..))]
    pub count: u32,
    /// The kernel that runs the machine: a series, a release or a path
    #[arg(long, default_value = "6.1")]
    pub from: String,
    /// The kernel that is loaded and unloaded
    #[arg(long, default_value = "7.3")]
    pub to: String,
}

/// What a kernel uses, and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// `MemTotal`, KiB; CPUs; users of the module; ranges of physical memory.
    has: [u64; 4],
    /// In the order of [`NAMES`], KiB.
    uses: [u64; 5],
}

impl Use {
    /// Asks the machine, with nothing in its caches that can be dropped.
    pub fn of(stage: &Stage) -> Result<Self> {
        let text = stage.shell(SCRIPT)?;
        Self::parse(&text).with_context(|| format!("the machine says what is no figure: {text}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let numbers: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
        let [total, slab, vmalloc, stacks, percpu, used, cpus, users, ranges] =
            numbers.ok()?.try_into().ok()?;
        Some(Self {
            has: [total, cpus, users, ranges],
            uses: [slab, vmalloc, stacks, percpu, used],
        })
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [total, cpus, users, ranges] = self.has;
        write!(
            f,
            "MemTotal {total} KiB, {cpus} CPUs, {users} users of the module, {ranges} ranges;"
        )?;
        for (name, value) in NAMES.iter().zip(self.uses) {
            write!(f, " {name} {value}")?;
        }
        f.write_str(" KiB")
    }
}

/// Runs the command. The last line says `PASS`, or the error is what does not come back.
pub fn run(args: &Args) -> Result<()> {
    let setup = Setup::prepare(&args.from, &[&args.to], Hardware::default())?;
    let mut stage = Stage::idle(&setup, "cycles")?;
    let before = Use::of(&stage)?;
    println!("before: {before}");
    let mut cycles = Vec::new();
    for number in 1..=args.count {
        let since = Instant::now();
        stage
            .loaded("")
            .with_context(|| format!("cycle {number}"))?;
        stage.unload().with_context(|| format!("cycle {number}"))?;
        let now = Use::of(&stage)?;
        println!(
            "{number:>6}: {now} ({:.1} s)",
            since.elapsed().as_secs_f64()
        );
        ensure!(
            now.has == before.has,
            "FAIL: after cycle {number} the machine has not what it had: {before}"
        );
        cycles.push(now);
    }
    let rest = cycles.get(SETTLING..).unwrap_or_default();
    let mut grown = Vec::new();
    for (index, name) in NAMES.iter().enumerate() {
        let values: Vec<u64> = rest
            .iter()
            .filter_map(|now| now.uses.get(index).copied())
            .collect();
        let growth = Growth::of(&values);
        println!("{name:<14} {growth}");
        if !growth.is_noise() {
            grown.push(*name);
        }
    }
    ensure!(grown.is_empty(), "FAIL: it grows: {}", grown.join(", "));
    println!("PASS");
    Ok(())
}

/// How a figure went over the cycles, KiB.
#[derive(Debug, PartialEq, Eq)]
struct Growth {
    /// Spread over the first quarter.
    noise: u64,
    /// Medians of the first and the last quarter.
    from: u64,
    to: u64,
}

impl Growth {
    fn of(values: &[u64]) -> Self {
        let quarter = (values.len() / 4).max(1);
        let first = values.get(..quarter).unwrap_or_default();
        let last = values.get(values.len().saturating_sub(quarter)..);
        let most = first.iter().max().zip(first.iter().min());
        Self {
            noise: most.map_or(0, |(most, least)| most - least),
            from: median(first),
            to: median(last.unwrap_or_default()),
        }
    }

    fn is_noise(&self) -> bool {
        self.to <= self.from + self.noise
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let growth = self.to.cast_signed() - self.from.cast_signed();
        write!(
            f,
            "{} KiB, then {}: {growth:+} KiB; noise {} KiB",
            self.from, self.to, self.noise
        )
    }
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let now = Use::parse("3000 10 20 30 40 500\n4\n0\n55\n").unwrap();
        assert_eq!(now.has, [3000, 4, 0, 55]);
        assert_eq!(now.uses, [10, 20, 30, 40, 500]);
        assert!(Use::parse("3000 10 20 30 40 500\n4\n\n55\n").is_none());
    }

    #[test]
    fn noise_is_no_growth_and_a_leak_is() {
        // Up and down by as much as 7, in an order that has no trend.
        let noise = |n: u64| 1000 + n * 5 % 8;
        let still: Vec<u64> = (0..48).map(noise).collect();
        assert!(Growth::of(&still).is_noise());
        for leak in 1..100 {
            let leaks: Vec<u64> = (0..48).map(|n| noise(n) + n * leak).collect();
            assert!(!Growth::of(&leaks).is_noise(), "{leak} KiB a cycle");
        }
        let shrinks: Vec<u64> = (0..48).map(|n| 9000 - n).collect();
        assert!(Growth::of(&shrinks).is_noise());
    }
}
