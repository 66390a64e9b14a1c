//! `baton log`: what both modules logged during the handover.
//!
//! # Purpose
//! Each kernel's `baton.ko` writes `defmt` frames into a ring of the handoff region. A frame holds
//! numbers only; the texts are in the `.defmt` table of the very `baton.ko` that wrote it, which is
//! looked for in that kernel's module tree.
//!
//! # Invariants
//! * A frame whose beginning was overwritten is never shown: reading begins behind the first end
//!   of a frame, unless the ring holds everything since the start.
//! * A frame that does not decode is counted, and does not hide the others.
//!
//! # Not for
//! Bit fields and sequences in log messages: such a line is shown with its format string only.

mod frame;
mod table;

use crate::device::Device;
use crate::module_file;
use crate::modules;
use crate::region::{text_of, Region};
use anyhow::{ensure, Context, Result};
use handoff_abi::ioctl::Role;
use handoff_abi::log::RingHeader;
use handoff_abi::region::{self, Section as Place};
use handoff_abi::timeline::{Phase, TimelinePage};
use std::mem::offset_of;
use std::path::{Path, PathBuf};

use table::Table;

/// Bytes that the writer writes between two updates of the ring's head, at most.
const MAX_PIECE: u64 = 64;

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Of the 1st OS only.
    pub first: bool,
    /// Of the 2nd OS only.
    pub second: bool,
    /// The `baton.ko` that wrote the log, if it is not in its module tree.
    pub module: Option<PathBuf>,
    /// Of the handover that brought this kernel, even if another kernel is loaded already.
    pub last: bool,
}

/// One line.
#[derive(Clone, PartialEq, Debug)]
struct Line {
    side: &'static str,
    tsc: u64,
    level: String,
    text: String,
}

/// Prints the log.
///
/// # Errors
/// There was no handover and no kernel is loaded, or the module file that is needed is not there.
pub fn run(options: &Options) -> Result<()> {
    ensure!(
        options.module.is_none() || options.first != options.second,
        "--module is for one side: say --first or --second as well"
    );
    let device = Device::open()?;
    let info = device.info()?;
    let outgoing = info.role == Role::FIRST.0 && info.region != 0 && !options.last;
    let at = match outgoing {
        true => info.region,
        false => info.inherited_region,
    };
    ensure!(
        at != 0,
        "there is no log: this kernel was booted, and no kernel is loaded"
    );
    let region = Region::map(&device, at)?;
    let header = region.header()?;
    let timeline = region.timeline()?;
    let both = options.first == options.second;
    let sides = [
        (
            both || options.first,
            "1st",
            region::LOG_FIRST,
            text_of(&header.first_release),
        ),
        (
            both || options.second,
            "2nd",
            region::LOG_SECOND,
            text_of(&header.second_release),
        ),
    ];
    let mut lines = Vec::new();
    for (_, side, place, release) in sides.into_iter().filter(|(wanted, ..)| *wanted) {
        let bytes = ring(&region, place)?;
        if bytes.content.is_empty() {
            eprintln!("baton: the {} is empty", place.name);
            continue;
        }
        let table = table_for(&release, options.module.as_deref())?;
        let decoded = decode(&table, &bytes, side);
        if decoded.bad > 0 {
            eprintln!(
                "baton: {} frames of the {} do not fit its baton.ko; is it of another build?",
                decoded.bad, place.name
            );
        }
        lines.extend(decoded.lines);
    }
    lines.sort_by_key(|line| line.tsc);
    print(&lines, &timeline);
    Ok(())
}

/// The newest bytes of a ring, and whether they are all since its start.
#[derive(Debug)]
struct Bytes {
    content: Vec<u8>,
    complete: bool,
}

/// Copies a ring that its kernel may still write to.
fn ring(region: &Region, place: Place) -> Result<Bytes> {
    let section = region.section(place)?;
    let start = size_of::<RingHeader>();
    let capacity = place.size.saturating_sub(start);
    let head = || section.load_u64(offset_of!(RingHeader, head));
    let before = head()?;
    let mut raw = vec![0; capacity];
    section.snapshot_into(start, &mut raw)?;
    Ok(newest(&raw, before, head()?))
}

/// The bytes numbered up to `before` that the ring still held, unchanged, at `after`.
fn newest(raw: &[u8], before: u64, after: u64) -> Bytes {
    let capacity = raw.len() as u64;
    // Nothing is written meanwhile unless the head moved.
    let slack = if after == before { 0 } else { MAX_PIECE };
    let first = after.saturating_add(slack).saturating_sub(capacity);
    let content = (first..before)
        .filter_map(|number| {
            let at = usize::try_from(number.checked_rem(capacity)?).ok()?;
            raw.get(at).copied()
        })
        .collect();
    Bytes {
        content,
        complete: first == 0,
    }
}

/// The table of the `baton.ko` of the kernel `release`.
fn table_for(release: &str, given: Option<&Path>) -> Result<Table> {
    let root = Path::new("/lib/modules").join(release);
    let path = match given {
        Some(path) => path.to_owned(),
        None => module_file::find(&root).with_context(|| {
            format!(
                "the log of {release} can only be read with its baton.ko, which is not in {}; \
                 install it there, or name it with --module",
                root.display()
            )
        })?,
    };
    Table::parse(&modules::read(&path)?)
        .with_context(|| format!("the log's table in {}", path.display()))
}

/// What came of the bytes of a ring.
struct Decoded {
    lines: Vec<Line>,
    bad: usize,
}

fn decode(table: &Table, bytes: &Bytes, side: &'static str) -> Decoded {
    let mut frames: Vec<&[u8]> = bytes.content.split(|byte| *byte == 0).collect();
    // What follows the last end is not finished.
    frames.pop();
    let skip = usize::from(!bytes.complete);
    let (mut lines, mut bad) = (Vec::new(), 0usize);
    for encoded in frames.into_iter().skip(skip).filter(|f| !f.is_empty()) {
        let raw = rzcobs::decode(encoded).ok();
        match raw.and_then(|raw| frame::decode(table, &raw).ok()) {
            Some(frame) => lines.push(Line {
                side,
                tsc: frame.timestamp,
                level: frame.level,
                text: frame.text,
            }),
            None => bad = bad.saturating_add(1),
        }
    }
    Decoded { lines, bad }
}

/// Times are milliseconds since `baton update` was called, or, before that, since the machine was
/// switched on, which is when the counter began.
fn print(lines: &[Line], timeline: &TimelinePage) {
    let update = usize::try_from(Phase::UPDATE.0)
        .ok()
        .and_then(|number| timeline.stamps.get(number).copied())
        .unwrap_or(0);
    let since = if update == 0 { "boot" } else { "the update" };
    println!("{:>14}  side  level  message", format!("ms since {since}"));
    for line in lines {
        println!("{}", text(line, update, timeline.tsc_khz));
    }
}

fn text(line: &Line, origin: u64, khz: u64) -> String {
    let ticks = i128::from(line.tsc).saturating_sub(i128::from(origin));
    let ms = ticks as f64 / khz.max(1) as f64;
    format!(
        "{ms:>14.3}  {}   {:<5}  {}",
        line.side, line.level, line.text
    )
}

#[cfg(test)]
mod tests;
