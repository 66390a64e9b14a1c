//! The verdict on a run.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{ensure, Context, Result};
use baton_guest::manifest::{Entry, Line};

use super::compare::{compare, Findings};
use super::extents::zero_hash;
use super::log::{AckLog, WriterLog};
use super::replay::{candidates, when_was, Candidate};
use super::report::{InFlight, Kind, Problem, Report};

/// Files whose wrong blocks are looked up in the past, per writer.
const EXPLAINED: usize = 8;

/// What else than content, names, modes, owners and modification times must be
/// as it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A different change time is a loss, not only counted.
    pub ctime: bool,
}

/// What a machine says its directory contains.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// By path.
    pub entries: BTreeMap<String, Entry>,
}

impl Manifest {
    /// Reads the output of `baton-guest manifest`.
    ///
    /// # Errors
    /// It is malformed, cut off, or names something twice.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let mut entries = BTreeMap::new();
        let mut end = None;
        for line in text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            ensure!(end.is_none(), "the manifest goes on after its end");
            match serde_json::from_slice(line).context("malformed manifest")? {
                Line::Entry(entry) => {
                    let twice = entries.insert(entry.path.clone(), entry);
                    ensure!(twice.is_none(), "the manifest names something twice");
                }
                Line::End { entries } => end = Some(entries),
            }
        }
        ensure!(end == Some(entries.len() as u64), "the manifest is cut off");
        Ok(Self { entries })
    }
}

/// Compares what was promised with what there is.
#[must_use]
pub fn check(log: &AckLog, manifest: &Manifest, options: &Options) -> Report {
    let mut report = Report {
        acked_ops: log.acked_ops(),
        ..Report::default()
    };
    report.invalid.extend(log.breaches.iter().cloned());
    let mut owned = BTreeSet::new();
    for writer in log.writers.values() {
        owned.insert(writer.hello.dir.as_str());
        check_writer(&mut report, writer, manifest, options);
    }
    for (path, entry) in &manifest.entries {
        if !owned.contains(top(path)) {
            report.extras.push(Problem {
                path: path.clone(),
                what: Kind::Unknown,
                expected: "nothing".to_owned(),
                found: format!("{:?} of {} bytes", entry.kind, entry.stat.size),
            });
        }
    }
    report
}

/// The first component of a path.
fn top(path: &str) -> &str {
    path.split_once('/').map_or(path, |(first, _)| first)
}

/// Adds the verdict on one writer to the report.
fn check_writer(report: &mut Report, log: &WriterLog, manifest: &Manifest, options: &Options) {
    let writer = log.hello.writer;
    report.writers += 1;
    let refused = log.acked.iter().filter(|acked| acked.ack.refused.is_some());
    report.refused_ops += refused.count() as u64;
    if let Some(error) = &log.failed {
        report
            .invalid
            .push(format!("writer {writer} gave up: {error}"));
    }
    let candidates = match candidates(log) {
        Ok(candidates) => candidates,
        Err(error) => {
            report
                .invalid
                .push(format!("the log contradicts itself: {error}"));
            return;
        }
    };
    let own = manifest
        .entries
        .iter()
        .filter(|(path, _)| top(path) == log.hello.dir);
    let entries: BTreeMap<&str, &Entry> = own.map(|(path, entry)| (path.as_str(), entry)).collect();
    let judge = |candidate: &Candidate| {
        (
            candidate.outcome,
            compare(&candidate.tree, &entries, options),
        )
    };
    // Of two that fit equally badly, the one with the operation done says more.
    let best = candidates
        .iter()
        .rev()
        .map(judge)
        .min_by_key(|(_, findings)| findings.problems());
    let Some((outcome, mut findings)) = best else {
        return;
    };
    if let Some(op) = &log.in_flight {
        report.in_flight_ops += 1;
        let (seq, op) = (log.acked.len() as u64, format!("{op:?}"));
        report.in_flight.push(InFlight {
            writer,
            seq,
            op,
            outcome,
        });
    }
    explain(log, &mut findings);
    report.files += findings.files;
    report.bytes += findings.bytes;
    report.ctime_differs += findings.ctime_differs;
    report.inode_differs += findings.inode_differs;
    report.losses.append(&mut findings.losses);
    report.extras.append(&mut findings.extras);
}

/// Says of wrong blocks where they are, and what they contain if that is known.
fn explain(log: &WriterLog, findings: &mut Findings) {
    let zero = zero_hash();
    for wrong in findings.wrong.iter().take(EXPLAINED) {
        let Some(first) = wrong.blocks.first() else {
            continue;
        };
        let content = if first.hash == zero {
            "zeros".to_owned()
        } else if let Some(seq) = when_was(log, wrong.node, *first) {
            format!("stale, as after operation {seq}")
        } else {
            "unknown".to_owned()
        };
        let zeros = wrong
            .blocks
            .iter()
            .filter(|block| block.hash == zero)
            .count();
        if let Some(loss) = findings.losses.get_mut(wrong.loss) {
            let (count, index) = (wrong.blocks.len(), first.index);
            loss.found =
                format!("{count} wrong ({zeros} zeros), the first at block {index}: {content}");
        }
    }
}
