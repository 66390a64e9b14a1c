//! `baton report --svg`: the handover as a picture.
//!
//! Two lanes, the 1st OS above the 2nd; in each one bar for each phase, from the stamp before it to
//! its own, and the time from the stop to the userland shaded. The axis is in milliseconds since
//! `baton update` was called. What follows long after the userland is there is cut off and named.

use crate::report::{PhaseReport, Report};
use anyhow::{ensure, Context, Result};
use handoff_abi::timeline::Phase;
use std::path::Path;
use svg::node::element::{Line, Rectangle, Text, Title};
use svg::Document;

/// Sizes in pixels.
const WIDTH: f64 = 1100.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 290.0;
const TOP: f64 = 64.0;
const ROW: f64 = 22.0;
const GAP: f64 = 14.0;
const AXIS: f64 = 40.0;
/// Most ticks on the axis.
const MAX_TICKS: u32 = 12;
/// The picture ends where this much of its length follows the userland.
const TAIL: f64 = 1.5;

const FONT: &str = "system-ui, sans-serif";
const LANES: [(&str, &str); 2] = [("1st OS", "#4878a8"), ("2nd OS", "#d08030")];

/// One bar.
#[derive(Clone, PartialEq, Debug)]
struct Bar<'a> {
    lane: usize,
    text: &'a str,
    from: f64,
    to: f64,
}

/// Writes the picture of a report to `path`.
///
/// # Errors
/// The handover has no stamps, or the file cannot be written.
pub fn to_file(report: &Report, path: &Path) -> Result<()> {
    let document = draw(report)?;
    svg::save(path, &document).with_context(|| format!("writing {}", path.display()))
}

fn draw(report: &Report) -> Result<Document> {
    let bars = bars(&report.phases);
    ensure!(!bars.is_empty(), "the handover left no time stamps");
    let end = end_of_picture(&report.phases);
    let scale = (WIDTH - LEFT - RIGHT) / end.max(f64::MIN_POSITIVE);
    let x = |ms: f64| LEFT + ms.clamp(0.0, end) * scale;
    let bottom = TOP + bars.len() as f64 * ROW + GAP;
    let height = bottom + AXIS;
    let mut document = Document::new()
        .set("viewBox", (0, 0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .set("font-family", FONT)
        .set("font-size", 13)
        .add(rectangle(0.0, 0.0, WIDTH, height, "#ffffff"))
        .add(
            text(LEFT, 26.0, &title(report))
                .set("font-size", 17)
                .set("font-weight", "bold"),
        );
    if let Some((from, to)) = blackout(&report.phases) {
        document = document
            .add(rectangle(
                x(from),
                TOP - 6.0,
                x(to) - x(from),
                bottom - TOP + 6.0,
                "#f4e6e6",
            ))
            .add(
                text(
                    x(from) + 4.0,
                    TOP - 12.0,
                    &format!("stopped for {:.1} ms", to - from),
                )
                .set("fill", "#a03030"),
            );
    }
    document = axis(document, end, bottom, x);
    let mut y = TOP;
    let mut lane = None;
    for bar in &bars {
        let (name, colour) = LANES.get(bar.lane).copied().unwrap_or_default();
        if lane != Some(bar.lane) {
            y += if lane.is_some() { GAP } else { 0.0 };
            document = document.add(text(12.0, y + 15.0, name).set("font-weight", "bold"));
            lane = Some(bar.lane);
        }
        let width = (x(bar.to) - x(bar.from)).max(1.5);
        let took = format!("{} +{:.2} ms", bar.text, bar.to - bar.from);
        let beyond = match bar.to > end {
            true => format!(" (at {:.0} ms)", bar.to),
            false => String::new(),
        };
        document = document
            .add(
                rectangle(x(bar.from), y + 3.0, width, ROW - 6.0, colour)
                    .add(Title::new(format!("{took}, until {:.3} ms", bar.to))),
            )
            .add(text(
                x(bar.from) + width + 6.0,
                y + 15.0,
                &format!("{took}{beyond}"),
            ));
        y += ROW;
    }
    Ok(document)
}

/// Each phase from the stamp before it to its own, those of the 1st OS first. The first stamp is
/// the origin and has no length.
fn bars(phases: &[PhaseReport]) -> Vec<Bar<'_>> {
    let mut bars: Vec<Bar<'_>> = phases
        .iter()
        .zip(phases.iter().skip(1))
        .map(|(before, phase)| Bar {
            lane: lane(phase),
            text: phase.text,
            from: before.ms,
            to: phase.ms,
        })
        .collect();
    bars.sort_by_key(|bar| bar.lane);
    bars
}

/// The 1st OS stamps up to the notice, the 2nd the rest.
fn lane(phase: &PhaseReport) -> usize {
    let number = Phase::VALUES
        .iter()
        .find(|(name, _)| *name == phase.name)
        .map_or(0, |(_, number)| *number);
    usize::from(number > u64::from(Phase::NOTICE_SENT.0))
}

fn stamp(phases: &[PhaseReport], wanted: Phase) -> Option<f64> {
    phases
        .iter()
        .find(|phase| Some(phase.text) == wanted.text())
        .map(|phase| phase.ms)
}

/// From the stop to the userland of the 2nd OS.
fn blackout(phases: &[PhaseReport]) -> Option<(f64, f64)> {
    let from = stamp(phases, Phase::STOP)?;
    let to = stamp(phases, Phase::USERLAND)?;
    (to > from).then_some((from, to))
}

fn end_of_picture(phases: &[PhaseReport]) -> f64 {
    let last = phases.last().map_or(0.0, |phase| phase.ms);
    match stamp(phases, Phase::USERLAND) {
        Some(userland) => last.min(userland * TAIL),
        None => last,
    }
}

fn title(report: &Report) -> String {
    format!(
        "Handover {}: {} to {}",
        report.generation, report.from, report.to
    )
}

fn axis(mut document: Document, end: f64, bottom: f64, x: impl Fn(f64) -> f64) -> Document {
    let step = step(end);
    for number in 0..=MAX_TICKS {
        let ms = f64::from(number) * step;
        if ms > end {
            break;
        }
        document = document
            .add(
                Line::new()
                    .set("x1", x(ms))
                    .set("x2", x(ms))
                    .set("y1", TOP - 6.0)
                    .set("y2", bottom + 5.0)
                    .set("stroke", "#d0d0d0"),
            )
            .add(text(x(ms), bottom + 20.0, &format!("{ms}")).set("text-anchor", "middle"));
    }
    document.add(text(
        x(end) + 24.0,
        bottom + 20.0,
        "ms since the update was asked for",
    ))
}

/// A round distance between ticks, so that there are not too many.
fn step(end: f64) -> f64 {
    let mut step = 0.1;
    let factors = [2.0, 2.5, 2.0];
    for factor in factors.into_iter().cycle().take(30) {
        if end / step <= f64::from(MAX_TICKS) {
            break;
        }
        step *= factor;
    }
    step
}

fn rectangle(x: f64, y: f64, width: f64, height: f64, colour: &str) -> Rectangle {
    Rectangle::new()
        .set("x", x)
        .set("y", y)
        .set("width", width)
        .set("height", height)
        .set("fill", colour)
}

fn text(x: f64, y: f64, content: &str) -> Text {
    Text::new(content).set("x", x).set("y", y)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(stamps: &[(Phase, f64)]) -> Report {
        let name = |phase: Phase| {
            let mut values = Phase::VALUES.iter();
            let found = values.find(|(_, number)| *number == u64::from(phase.0));
            found.map(|(name, _)| *name).unwrap()
        };
        Report {
            from: "6.1".to_owned(),
            to: "6.12 <&>".to_owned(),
            generation: 1,
            phases: stamps
                .iter()
                .map(|(phase, ms)| PhaseReport {
                    name: name(*phase),
                    text: phase.text().unwrap(),
                    tsc: 0,
                    ms: *ms,
                })
                .collect(),
            counters: std::collections::BTreeMap::new(),
            losses: Vec::new(),
            losses_not_listed: 0,
        }
    }

    #[test]
    fn phases_become_bars_on_two_lanes() {
        let report = report(&[
            (Phase::UPDATE, 0.0),
            (Phase::STOP, 10.0),
            (Phase::NOTICE_SENT, 11.0),
            (Phase::NOTICE_TAKEN, 12.0),
            (Phase::USERLAND, 500.0),
            (Phase::MEMORY_ONLINE, 9000.0),
        ]);
        let bars = bars(&report.phases);
        let lanes: Vec<usize> = bars.iter().map(|bar| bar.lane).collect();
        assert_eq!(lanes, [0, 0, 1, 1, 1]);
        assert_eq!((bars[0].from, bars[0].to), (0.0, 10.0));
        assert_eq!(blackout(&report.phases), Some((10.0, 500.0)));
        assert!((end_of_picture(&report.phases) - 750.0).abs() < 1e-9);
        let picture = draw(&report).unwrap().to_string();
        assert!(picture.contains("stopped for 490.0 ms"));
        assert!(picture.contains("(at 9000 ms)"));
        assert!(picture.contains("&lt;&amp;&gt;"), "text is escaped");
    }

    #[test]
    fn few_stamps_are_no_reason_to_fail() {
        assert!(draw(&report(&[])).is_err());
        assert!(draw(&report(&[(Phase::UPDATE, 0.0)])).is_err());
        draw(&report(&[(Phase::UPDATE, 0.0), (Phase::STOP, 0.0)])).unwrap();
    }

    #[test]
    fn ticks_are_round_and_few() {
        for (end, wanted) in [(1.0, 0.1), (2.0, 0.2), (750.0, 100.0), (20_000.0, 2000.0)] {
            assert!((step(end) - wanted).abs() < wanted * 1e-9, "{end}");
        }
    }
}
