//! What came of a run, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::observe::{Clock, Facts};
use crate::oracle::{Outage, Report};

/// The handover as the machine itself measured it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Timeline {
    /// In order.
    pub phases: Vec<Phase>,
    /// By name.
    #[serde(default)]
    pub counters: BTreeMap<String, Value>,
    /// What the machine knows that it could not carry over.
    #[serde(default)]
    pub losses: Vec<Value>,
}

/// One stamp of the timeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Phase {
    /// What was reached.
    pub name: String,
    /// Ticks of the time stamp counter.
    #[serde(default)]
    pub tsc: u64,
    /// Milliseconds since the timeline's zero.
    pub ms: Option<f64>,
}

/// Everything about one run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Counted from 1.
    pub run: u32,
    /// Which update of the run, counted from 1.
    pub update: usize,
    /// Repeats the run's choices.
    pub seed: u64,
    /// The two kernels.
    pub from: String,
    /// The one that takes over.
    pub to: String,
    /// Whether the migration was off.
    pub control: bool,
    /// Bytes of dirty file cache asked for.
    pub cache: u64,
    /// Logs of the run.
    pub folder: PathBuf,
    /// From the cache being built up to the update: the random instant.
    pub instant_ms: f64,
    /// How long `baton load` took.
    pub load_s: Option<f64>,
    /// The machine before anything was loaded.
    pub booted: Option<Facts>,
    /// Its memory when the machine had booted its first kernel.
    pub whole_memory_kib: Option<u64>,
    /// Its clock before the update and in the end.
    pub clocks: [Option<Clock>; 2],
    /// The machine right before the update.
    pub before: Option<Facts>,
    /// The machine in the end.
    pub after: Option<Facts>,
    /// Until all CPUs were online, from the service's first answer.
    pub cpus_s: Option<f64>,
    /// Until the memory was back.
    pub memory_s: Option<f64>,
    /// What `baton report` says.
    pub timeline: Option<Timeline>,
    /// What `baton status` says.
    pub status: Option<Value>,
    /// What an outside client saw.
    pub outside: Option<Outage>,
    /// The oracle's verdict.
    pub oracle: Option<Report>,
    /// Why the run has failed, if it has.
    pub problems: Vec<String>,
    /// What the kernels said last, if the run broke off.
    pub diagnosis: Option<String>,
}

impl Outcome {
    /// Whether all is as it should be.
    pub const fn ok(&self) -> bool {
        self.problems.is_empty()
    }

    /// What is wrong, in a line.
    pub fn in_short(&self) -> String {
        let first = self.problems.first().map_or("nothing", String::as_str);
        let first = first.lines().next().unwrap_or_default();
        let more = match self.problems.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        format!("{} (seed {}): {first}{more}", self.name(), self.seed)
    }

    /// [`Self::name`] at the beginning of a line.
    fn title(&self) -> String {
        self.name().replacen("run", "Run", 1)
    }

    /// Which run it is, and which of its updates if that needs to be said.
    fn name(&self) -> String {
        match self.update {
            0 | 1 => format!("run {}", self.run),
            update => format!("run {}, update {update}", self.run),
        }
    }

    /// The outage at the switch of kernels.
    pub fn outage_ms(&self) -> Option<f64> {
        let switch = self.outside.as_ref()?.switches.last()?;
        Some(switch.outage_ms)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let control = if self.control {
            ", without migration"
        } else {
            ""
        };
        let Self { seed, from, to, .. } = self;
        writeln!(
            f,
            "\n{}: {from} to {to}{control}, seed {seed}",
            self.title()
        )?;
        if let Some(before) = &self.before {
            writeln!(
                f,
                "  instant   {:.0} ms after the cache was built up; shortly before, {:.1} MiB dirty \
                 and {:.1} MiB on the way to the disk",
                self.instant_ms,
                mib(before.dirty_kib),
                mib(before.writeback_kib),
            )?;
        }
        if let Some(timeline) = &self.timeline {
            write_timeline(f, timeline)?;
        }
        if let (Some(outside), Some(outage)) = (&self.outside, self.outage_ms()) {
            writeln!(
                f,
                "  outside   service away for {outage:.0} ms ({:.0} ms between replies otherwise)",
                outside.median_gap_ms,
            )?;
        }
        if let Some(after) = &self.after {
            let since = |time: Option<f64>| {
                time.map_or_else(|| "NOT all".to_owned(), |time| format!("after {time:.1} s"))
            };
            writeln!(
                f,
                "  machine   {} at {}; {} CPUs {}, {:.0} MiB {}",
                after.hostname,
                after.addresses,
                after.cpus,
                since(self.cpus_s),
                mib(after.memory_kib),
                since(self.memory_s),
            )?;
        }
        if let [Some(before), Some(after)] = &self.clocks {
            let (then, now, unsure) = (before.ahead_s, after.ahead_s, after.unsure_s);
            writeln!(
                f,
                "  clock     {now:+.3} s from ours (±{unsure:.3}), was {then:+.3} s"
            )?;
        }
        if let Some(oracle) = &self.oracle {
            // What became of the operations in flight matters if something is wrong.
            let text = oracle.to_string();
            let lines = text
                .lines()
                .filter(|line| !(oracle.ok() && is_in_flight(line)));
            let lines: Vec<&str> = lines.collect();
            writeln!(f, "  oracle    {}", lines.join("\n            "))?;
        }
        for problem in &self.problems {
            writeln!(f, "  PROBLEM   {}", problem.replace('\n', "\n            "))?;
        }
        if let Some(diagnosis) = &self.diagnosis {
            writeln!(f, "{diagnosis}")?;
        }
        writeln!(f, "  logs      {}", self.folder.display())
    }
}

fn is_in_flight(line: &str) -> bool {
    line.trim_start().starts_with("in flight:")
}

fn write_timeline(f: &mut fmt::Formatter<'_>, timeline: &Timeline) -> fmt::Result {
    let mut title = "timeline";
    let mut last = None;
    for Phase { name, ms, .. } in &timeline.phases {
        let Some(ms) = *ms else { continue };
        let step = last.map_or_else(String::new, |last| format!("{:+10.1}", ms - last));
        writeln!(f, "  {title:<8}  {ms:>9.1} ms {step:>10}  {name}")?;
        (title, last) = ("", Some(ms));
    }
    let mut title = "migrated";
    for (name, value) in &timeline.counters {
        let in_mib = value.as_u64().filter(|_| counts_bytes(name));
        let in_mib = in_mib.map_or_else(String::new, |bytes| {
            format!(" ({:.1} MiB)", mib(bytes >> 10))
        });
        writeln!(f, "  {title:<8}  {name} {value}{in_mib}")?;
        title = "";
    }
    Ok(())
}

/// Whether a counter of this name is a number of bytes.
fn counts_bytes(name: &str) -> bool {
    let name = name.to_lowercase();
    name.contains("bytes") || name == "memory"
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Several runs together.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// How many.
    pub runs: usize,
    /// Of them, how many were as they should be.
    pub passed: usize,
    /// What failed, a line each.
    pub failed: Vec<String>,
    /// Least, middle and greatest outage.
    pub outage_ms: Option<[f64; 3]>,
}

impl Summary {
    /// Sums up.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let failed: Vec<String> = outcomes
            .iter()
            .filter(|outcome| !outcome.ok())
            .map(Outcome::in_short)
            .collect();
        let mut times: Vec<f64> = outcomes.iter().filter_map(Outcome::outage_ms).collect();
        times.sort_by(f64::total_cmp);
        let outage_ms = match (times.first(), times.get(times.len() / 2), times.last()) {
            (Some(least), Some(middle), Some(greatest)) => Some([*least, *middle, *greatest]),
            _ => None,
        };
        Self {
            runs: outcomes.len(),
            passed: outcomes.len() - failed.len(),
            failed,
            outage_ms,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{} of {} runs as they should be",
            self.passed, self.runs
        )?;
        if let Some([least, middle, greatest]) = self.outage_ms {
            writeln!(
                f,
                "  outage    {least:.0} to {greatest:.0} ms, median {middle:.0} ms"
            )?;
        }
        for line in &self.failed {
            writeln!(f, "  failed    {line}")?;
        }
        Ok(())
    }
}
