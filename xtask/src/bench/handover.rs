//! `cargo xtask bench handover`: how long a service is away while the kernel under it is
//! exchanged, seen by a client outside.
//!
//! # The story
//! Three ways to the same kernel, one after the other on machines of the same kind, each with a
//! fresh copy of the same disk and the same dirty files: Baton, `kexec`, and a reboot. A probe asks
//! the service all the time. The outage is the time from the last reply under one kernel to the
//! first under the other; whatever can be done before (loading the other kernel, `sync`) is done
//! before, while the service works. Afterwards the files must be what they were, or the time is
//! not worth reporting.
//!
//! The rounds alternate between the ways, so that a busy host disturbs all alike.
//!
//! # What is in favour of whom
//! - `kexec` skips the check sums of what it starts, which emulation would make unduly slow.
//! - The machine that reboots runs the other kernel from the beginning, since QEMU cannot change
//!   what it boots. Its firmware has little to do, unlike that of real machines.
//! - All kernels are quiet: what they would print costs time under emulation.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{progress, rustobj};

mod machine;
mod subject;
mod way;

use subject::Subject;
use way::{Measured, Way};

/// Arguments of `bench handover`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The kernel that runs the machine first: a series, a release or a path
    #[arg(long, default_value = "6.1")]
    from: String,
    /// The kernel that it gets
    #[arg(long, default_value = "7.3")]
    to: String,
    /// Dirty files at the exchange, in MiB (16M or 16)
    #[arg(long, default_value = "16M", value_parser = mebibytes)]
    cache: u32,
    /// Measurements of each way
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Measure only these ways
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Way>,
    /// CPUs of the machine
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..))]
    cpus: u32,
    /// Write everything to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command. The last line is `ratio N`: the outage of `kexec` for one of Baton.
pub fn run(args: &Args) -> Result<()> {
    let subject = Subject::prepare(&args.from, &args.to)?;
    let folder = rustobj::workspace().join("target/bench/handover");
    let mut results = Results {
        from: subject.from.release.clone(),
        to: subject.to.release.clone(),
        cache_mib: args.cache,
        cpus: args.cpus,
        runs: Vec::new(),
    };
    let ways = match args.only.as_slice() {
        [] => &[Way::Baton, Way::Kexec, Way::Reboot],
        only => only,
    };
    for round in 1..=args.runs {
        for &way in ways {
            let folder = folder.join(format!("{way}-{round}"));
            let measured = way::measure(&subject, way, args, &folder).with_context(|| {
                format!("{way}, round {round}; logs are in {}", folder.display())
            })?;
            progress::step(
                "Measured",
                format_args!("{way}: {:.0} ms", measured.outage_ms),
            );
            results.runs.push(measured);
            if let Some(file) = &args.json {
                let text = serde_json::to_vec_pretty(&results)?;
                fs::write(file, text)
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
        }
    }
    print!("{results}");
    Ok(())
}

/// All measurements.
#[derive(Debug, Serialize)]
struct Results {
    from: String,
    to: String,
    cache_mib: u32,
    cpus: u32,
    runs: Vec<Measured>,
}

impl Results {
    /// Least, middle and greatest outage of a way, in milliseconds.
    fn outage(&self, way: Way) -> Option<[f64; 3]> {
        let runs = self.runs.iter().filter(|run| run.way == way);
        let mut times: Vec<f64> = runs.map(|run| run.outage_ms).collect();
        times.sort_by(f64::total_cmp);
        Some([
            *times.first()?,
            *times.get(times.len() / 2)?,
            *times.last()?,
        ])
    }

    /// How many of Baton's outages fit into one of another way, by their medians.
    fn ratio(&self, way: Way) -> Option<f64> {
        let [[_, baton, _], [_, other, _]] = [self.outage(Way::Baton)?, self.outage(way)?];
        Some(other / baton)
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, .. } = self;
        writeln!(
            f,
            "Outage of the service, {from} to {to}, {} MiB dirty, {} CPUs",
            self.cache_mib, self.cpus
        )?;
        writeln!(
            f,
            "{:<8} {:>10} {:>10} {:>10}  runs",
            "", "median", "least", "greatest"
        )?;
        for way in [Way::Baton, Way::Kexec, Way::Reboot] {
            let Some([least, middle, greatest]) = self.outage(way) else {
                continue;
            };
            let runs = self.runs.iter().filter(|run| run.way == way).count();
            let name = way.to_string();
            writeln!(
                f,
                "{name:<8} {middle:>7.0} ms {least:>7.0} ms {greatest:>7.0} ms  {runs:>4}"
            )?;
        }
        if let Some(ratio) = self.ratio(Way::Reboot) {
            writeln!(f, "reboot ratio {ratio:.1}")?;
        }
        if let Some(ratio) = self.ratio(Way::Kexec) {
            writeln!(f, "ratio {ratio:.1}")?;
        }
        Ok(())
    }
}

/// Mebibytes, written with or without an M.
pub fn mebibytes(text: &str) -> Result<u32, String> {
    let digits = text.strip_suffix(['M', 'm']).unwrap_or(text);
    digits
        .parse()
        .map_err(|_| format!("{text:?} is no number of MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(way: Way, outage_ms: f64) -> Measured {
        Measured {
            way,
            outage_ms,
            median_gap_ms: 10.0,
            report: None,
        }
    }

    #[test]
    fn the_ratio_is_of_medians_and_comes_last() {
        let mut results = Results {
            from: "a".to_owned(),
            to: "b".to_owned(),
            cache_mib: 16,
            cpus: 4,
            runs: vec![run(Way::Baton, 500.0), run(Way::Kexec, 9000.0)],
        };
        results.runs.push(run(Way::Kexec, 2000.0));
        results.runs.push(run(Way::Kexec, 3000.0));
        let text = results.to_string();
        assert_eq!(text.lines().last(), Some("ratio 6.0"));
        assert!(!text.contains("reboot"));
        results.runs.push(run(Way::Reboot, 4000.0));
        assert!(results
            .to_string()
            .ends_with("reboot ratio 8.0\nratio 6.0\n"));
    }

    #[test]
    fn the_unit_may_be_left_out() {
        assert_eq!((mebibytes("16M"), mebibytes("8")), (Ok(16), Ok(8)));
        assert!(mebibytes("1G").is_err() && mebibytes("M").is_err());
    }
}
