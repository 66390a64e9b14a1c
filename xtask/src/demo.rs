//! `cargo xtask demo`: a machine gets another kernel while it works.
//!
//! # The story
//! A stock kernel boots from an ext4 disk and runs a service and a workload of
//! writers that report every operation to the host. A second stock kernel is
//! loaded beside it. At a random instant `baton update` stops the first one;
//! nobody has warned the workload. Then the host asks: does the service answer
//! again, under the other kernel, and is every acknowledged operation in the
//! files? The control run does the same with the migration switched off and must
//! find losses, or else the oracle could not have seen any.
//!
//! [`setup`] makes what all runs share, [`machine`] boots one machine,
//! [`scenario`] is one run, [`findings`] judges it and [`outcome`] prints it.
//! [`plain`] proves the oracle on a real machine without any update.
//!
//! All that a run leaves behind is in `target/demo/FROM-TO/N`.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{ensure, Context, Result};
use baton_guest::content::Rng;

use crate::progress;

mod findings;
pub mod hardware;
pub mod machine;
pub mod observe;
mod outcome;
pub mod plain;
mod scenario;
pub mod setup;
mod takeover;

use hardware::Hardware;
use outcome::{Outcome, Summary};
use setup::Setup;

/// Seeds that nobody has chosen are below this: short enough to be typed again.
const SEEDS: u64 = 1_000_000;

/// Arguments of `demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The kernel that runs the machine first: a series, a release or a path
    #[arg(long, default_value = "6.1")]
    pub from: String,
    /// The kernel that it gets
    #[arg(long, default_value = "7.3")]
    pub to: String,
    /// A kernel that it gets after that, in the same way; may be given again
    #[arg(long, value_name = "SPEC")]
    pub then: Vec<String>,
    /// Dirty file cache to build up before each update
    #[arg(long, default_value = "128M", value_parser = size)]
    pub cache: u64,
    /// What the machine is made of
    #[command(flatten)]
    pub hardware: Hardware,
    /// Write all that was found to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep the disk of each run; logs are always kept
    #[arg(long)]
    pub keep: bool,
    /// Switch the migration off: passes only if the oracle then finds losses
    #[arg(long)]
    pub control: bool,
    /// Repeat with other random instants
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Seed of the random choices, to repeat a run; by default from the clock
    #[arg(long)]
    pub seed: Option<u64>,
    /// Words to add to the first kernel's command line
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub append_first: String,
    /// Words to add to the second kernel's command line
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub append_second: String,
}

impl Args {
    /// One run between two kernels, everything else as by default.
    pub fn between(from: &str, to: &str, control: bool) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            then: Vec::new(),
            cache: 128 << 20,
            hardware: Hardware::default(),
            json: None,
            keep: false,
            control,
            runs: 1,
            seed: None,
            append_first: String::new(),
            append_second: String::new(),
        }
    }
}

/// Runs the command. The last line says `PASS`, or the error is what is wrong.
pub fn run(args: &Args) -> Result<()> {
    let seed = args.seed.unwrap_or_else(from_clock);
    let to: Vec<&str> = std::iter::once(&args.to)
        .chain(&args.then)
        .map(String::as_str)
        .collect();
    let setup = Setup::prepare(&args.from, &to, args.hardware)?;
    let mut outcomes = Vec::new();
    for number in 0..args.runs {
        // The first run's seed is the one given, so that a failed run can be had
        // again alone.
        let seed = match number {
            0 => seed,
            _ => Rng::new(seed, number).below(SEEDS),
        };
        outcomes.extend(scenario::run(&setup, args, number, seed)?);
        if let Some(file) = &args.json {
            write_json(file, args, &outcomes)?;
        }
    }
    if outcomes.len() > 1 {
        print!("{}", Summary::of(&outcomes));
    }
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.ok()).collect();
    let what: Vec<String> = failed.iter().map(|outcome| outcome.in_short()).collect();
    ensure!(
        failed.is_empty(),
        "FAIL: {} of {} runs: {}",
        failed.len(),
        outcomes.len(),
        what.join("; ")
    );
    println!("PASS");
    Ok(())
}

/// A seed that nobody has chosen.
fn from_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| u64::from(now.subsec_nanos()) % SEEDS)
}

/// Writes everything; after each run, so that a broken one costs no others.
fn write_json(file: &PathBuf, args: &Args, outcomes: &[Outcome]) -> Result<()> {
    let document = serde_json::json!({
        "from": args.from,
        "to": args.to,
        "then": args.then,
        "control": args.control,
        "cache_bytes": args.cache,
        "runs": outcomes,
        "summary": Summary::of(outcomes),
    });
    let text = serde_json::to_vec_pretty(&document)?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    progress::step("Wrote", file.display());
    Ok(())
}

/// Bytes, with an optional K, M or G.
fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.to_ascii_uppercase().chars().last() {
        Some('K') => (&text[..text.len() - 1], 10),
        Some('M') => (&text[..text.len() - 1], 20),
        Some('G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is no size"))?;
    let bytes = number.checked_mul(1 << shift);
    bytes.ok_or_else(|| format!("{text:?} is too large"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_have_units() {
        assert_eq!(super::size("128M"), Ok(128 << 20));
        assert_eq!(super::size("4096"), Ok(4096));
        assert!(super::size("M").is_err() && super::size("").is_err());
        assert!(super::size("99999999999999999999").is_err());
        assert!(super::size("18446744073709551615G").is_err());
    }
}
