//! `cargo xtask matrix`: the demonstration between every two of several kernels.
//!
//! One pair after the other, in both directions; a pair that fails does not keep the others from
//! being tried. What a run leaves behind is where the demonstration leaves it, and what it found
//! is beside that, in `target/demo/matrix`.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use serde_json::Value;

use crate::bench::mebibytes;
use crate::{demo, progress, rustobj};

/// The oldest kernel that is supported, the newest, and two on the way.
const SERIES: [&str; 4] = ["5.10", "6.1", "6.12", "7.3"];
/// Longest reason in the table; all of it is in the pair's file.
const REASON_MAX: usize = 160;

/// Arguments of `matrix`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Only these pairs: FROM:TO,…
    #[arg(long, value_delimiter = ',', value_parser = pair)]
    only: Vec<Pair>,
    /// Dirty file cache to build up before each update, in MiB (32M or 32)
    #[arg(long, default_value = "32M", value_parser = mebibytes)]
    cache: u32,
    /// Runs of each pair, with other random instants
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Seed of the random choices; by default from the clock
    #[arg(long)]
    seed: Option<u64>,
}

/// An update to try.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    from: String,
    to: String,
}

/// Runs the command. The last line is `N passed, M failed`.
pub fn run(args: &Args) -> Result<()> {
    let folder = rustobj::workspace().join("target/demo/matrix");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let pairs = match args.only.as_slice() {
        [] => all(),
        only => only.to_vec(),
    };
    let mut rows = Vec::new();
    for pair in pairs {
        progress::step("Pair", format_args!("{} to {}", pair.from, pair.to));
        let row = Row::of(&pair, args, &folder);
        progress::step("Pair", &row);
        rows.push(row);
    }
    println!(
        "\n{:<6} {:<6} {:<5} {:>9} {:>10} {:>9}",
        "from", "to", "runs", "outage", "migrated", "CPUs"
    );
    for row in &rows {
        println!("{row}");
    }
    let failed = rows.iter().filter(|row| row.failure.is_some()).count();
    println!("{} passed, {failed} failed", rows.len() - failed);
    ensure!(
        failed == 0,
        "{failed} of {} pairs fail, see above",
        rows.len()
    );
    Ok(())
}

/// What came of one pair.
#[derive(Debug)]
struct Row {
    pair: Pair,
    passed: usize,
    runs: usize,
    outage_ms: Option<f64>,
    migrated: Option<u64>,
    cpus_s: Option<f64>,
    failure: Option<String>,
}

impl Row {
    fn of(pair: &Pair, args: &Args, folder: &Path) -> Self {
        let file = folder.join(format!("{}-{}.json", pair.from, pair.to));
        let demo = demo::Args {
            cache: u64::from(args.cache) << 20,
            json: Some(file.clone()),
            runs: args.runs,
            seed: args.seed,
            ..demo::Args::between(&pair.from, &pair.to, false)
        };
        let forgotten = match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", file.display()))
            }
            _ => Ok(()),
        };
        let failure = forgotten.and_then(|()| demo::run(&demo)).err();
        // There is none if it failed before the first run.
        let found = fs::read(&file)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let found = found.unwrap_or(Value::Null);
        Self {
            pair: pair.clone(),
            failure: failure.map(|error| reason(&format!("{error:#}"))),
            ..Self::read(pair, &found)
        }
    }

    /// Reads what the demonstration found: the summary, and the last run.
    fn read(pair: &Pair, found: &Value) -> Self {
        let count = |what: &str| {
            let number = found.pointer(what).and_then(Value::as_u64);
            usize::try_from(number.unwrap_or(0)).unwrap_or(usize::MAX)
        };
        let runs = found.get("runs").and_then(Value::as_array);
        let last = runs.and_then(|runs| runs.last()).unwrap_or(&Value::Null);
        Self {
            pair: pair.clone(),
            passed: count("/summary/passed"),
            runs: count("/summary/runs"),
            outage_ms: found
                .pointer("/summary/outage_ms/1")
                .and_then(Value::as_f64),
            migrated: last
                .pointer("/timeline/counters/BYTES")
                .and_then(Value::as_u64),
            cpus_s: last.get("cpus_s").and_then(Value::as_f64),
            failure: None,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pair { from, to } = &self.pair;
        let runs = format!("{}/{}", self.passed, self.runs);
        write!(f, "{from:<6} {to:<6} {runs:<5}")?;
        match self.outage_ms {
            Some(ms) => write!(f, " {ms:>6.0} ms")?,
            None => write!(f, " {:>9}", "-")?,
        }
        match self.migrated {
            Some(bytes) => write!(f, " {:>6} MiB", bytes >> 20)?,
            None => write!(f, " {:>10}", "-")?,
        }
        match self.cpus_s {
            Some(s) => write!(f, " {s:>7.1} s")?,
            None => write!(f, " {:>9}", "NOT all")?,
        }
        match &self.failure {
            Some(failure) => write!(f, "  {failure}"),
            None => write!(f, "  ok"),
        }
    }
}

/// Every ordered pair of different kernels.
fn all() -> Vec<Pair> {
    let pair = |from: &str, to: &str| Pair {
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let to_others = |from| {
        let others = SERIES.into_iter().filter(move |to| *to != from);
        others.map(move |to| pair(from, to))
    };
    SERIES.into_iter().flat_map(to_others).collect()
}

/// A pair as it is written: `FROM:TO`.
fn pair(text: &str) -> Result<Pair, String> {
    let (from, to) = text
        .split_once(':')
        .filter(|(from, to)| !from.is_empty() && !to.is_empty())
        .ok_or_else(|| format!("{text:?} is no pair of kernels: write FROM:TO"))?;
    Ok(Pair {
        from: from.to_owned(),
        to: to.to_owned(),
    })
}

/// The first line of an error, within bounds.
fn reason(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    match line.char_indices().nth(REASON_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pairs_go_both_ways() {
        let pairs = all();
        assert_eq!(pairs.len(), 12);
        let has = |text: &str| pairs.contains(&pair(text).unwrap());
        assert!(has("5.10:7.3") && has("7.3:5.10") && !has("6.1:6.1"));
        assert!(pair("6.1").is_err() && pair("6.1:").is_err());
    }

    #[test]
    fn a_row_tells_what_was_found() {
        let found = serde_json::json!({
            "summary": {"runs": 2, "passed": 1, "outage_ms": [1.0, 700.0, 900.0]},
            "runs": [{}, {"timeline": {"counters": {"BYTES": 33 << 20}}, "cpus_s": 1.5}],
        });
        let mut row = Row::read(&pair("a:b").unwrap(), &found);
        row.failure = Some(reason("out of luck\nmore"));
        assert_eq!(
            row.to_string(),
            "a      b      1/2      700 ms     33 MiB     1.5 s  out of luck"
        );
        let row = Row::read(&pair("a:b").unwrap(), &Value::Null);
        assert!(row.to_string().contains("NOT all"));
    }
}
