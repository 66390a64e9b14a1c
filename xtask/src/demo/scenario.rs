//! One run, from boot to verdict.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use baton_guest::content::Rng;

use super::findings::{has_cpus, has_memory, problems};
use super::machine::{Machine, WORK, WRITERS};
use super::observe::{Clock, Facts};
use super::outcome::Outcome;
use super::setup::{copy_sparse, Setup};
use super::{takeover, Args};
use crate::oracle::{check, AckLog, AckServer, Manifest, Options, ProbeConfig, ServiceProbe};
use crate::progress;

/// The random instant is at most this long after the cache is built up...
const INSTANT_MAX: Duration = Duration::from_millis(4000);
/// ...and drawn with this as the first writer's number, so that it has nothing
/// to do with the writers' own choices.
const INSTANT_CHOICE: u32 = u32::MAX;
/// How long the workload may do nothing while it builds up its cache. How long all of it takes is
/// up to the host.
const FILL_PAUSE: Duration = Duration::from_secs(60);
/// How long the machine may take to get back what a kernel needs time for.
const RECOVER: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(300);
/// Lines of each serial log that a failed run shows.
const TAIL: usize = 30;

/// Runs once: every update of the machine, up to the first that fails. What goes wrong in the
/// machine is in the outcomes; an error is about this side.
pub fn run(setup: &Setup, args: &Args, number: u32, seed: u64) -> Result<Vec<Outcome>> {
    let label = match args.control {
        true => format!("control-{}", number + 1),
        false => format!("{}", number + 1),
    };
    let folder = setup.folder().join(label);
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let disks = setup.fresh_disks(number)?;
    let mut machine = None;
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut from = &setup.from;
    for (to, update) in setup.to.iter().zip(1..) {
        let mut outcome = Outcome {
            run: number + 1,
            update,
            seed,
            from: from.release.clone(),
            to: to.release.clone(),
            control: args.control,
            cache: args.cache,
            folder: folder.clone(),
            whole_memory_kib: outcomes.first().and_then(|first| first.whole_memory_kib),
            ..Outcome::default()
        };
        let booted = match machine.take() {
            Some(machine) => Ok(machine),
            None => Machine::boot(setup, &disks, &args.append_first, &folder),
        };
        let played = booted.and_then(|booted| play(machine.insert(booted), args, &mut outcome));
        match played {
            Ok(()) => outcome.problems.extend(problems(&outcome)),
            Err(error) => {
                outcome.problems.push(format!("{error:#}"));
                outcome.diagnosis = Some(diagnosis(&folder));
            }
        }
        print!("{outcome}");
        let ok = outcome.ok();
        outcomes.push(outcome);
        if !ok {
            break;
        }
        from = to;
    }
    drop(machine);
    for (index, disk) in disks.iter().enumerate() {
        if args.keep {
            let kept = folder.join(format!("disk{index}.img"));
            copy_sparse(disk, &kept).context("cannot keep the disk")?;
        }
        fs::remove_file(disk).context("cannot delete the disk of the run")?;
    }
    Ok(outcomes)
}

/// The story of one update.
fn play(machine: &mut Machine, args: &Args, outcome: &mut Outcome) -> Result<()> {
    let (release, update) = (outcome.to.clone(), outcome.update);
    let log = |name: &str| match update {
        0 | 1 => outcome.folder.join(format!("{name}.log")),
        _ => outcome.folder.join(format!("{name}-{update}.log")),
    };
    let (load_log, update_log) = (log("load"), log("update"));
    let place = format!("{WORK}/{update}");
    let seed = outcome.seed.wrapping_add(update as u64);
    let mut booted = Facts::of(machine)?;
    // Nothing of it may get lost on the way.
    booted.memory_kib = *outcome.whole_memory_kib.get_or_insert(booted.memory_kib);
    machine.hold_dirty(args.cache)?;

    let timer = progress::timed("Loading", format_args!("{release} beside it"));
    let since = Instant::now();
    let off = if args.control {
        "baton.migrate=off"
    } else {
        ""
    };
    // The other one is the console of the kernel that is there.
    let console = update % 2;
    let append = format!("console=ttyS{console},115200 {} {off}", args.append_second);
    takeover::load(machine, &release, append.trim(), &load_log)?;
    outcome.load_s = Some(since.elapsed().as_secs_f64());
    outcome.booted = Some(booted.clone());
    timer.done();

    let probe = ServiceProbe::start(machine.service, probing());
    let acks = AckServer::start()?;
    fill(machine, &acks, &place, args.cache, seed)?;
    outcome.clocks[0] = Some(Clock::of(machine)?);
    outcome.before = Some(Facts::of(machine)?);
    let range = INSTANT_MAX.as_micros().try_into().unwrap_or(u64::MAX);
    let instant = Rng::new(seed, INSTANT_CHOICE).below(range);
    thread::sleep(Duration::from_micros(instant));
    outcome.instant_ms = instant as f64 / 1000.0;
    progress::step(
        "Updating",
        format_args!("after {:.0} ms, seed {}", outcome.instant_ms, outcome.seed),
    );
    let updated = takeover::update(machine, &probe, &release, &update_log);
    outcome.outside = Some(probe.outage());
    let since = Instant::now();
    let log = acks.freeze();
    fs::write(outcome.folder.join("acks.json"), serde_json::to_vec(&log)?)?;
    updated?;

    // First, so that the times are right; but a machine that dies of it may still
    // be judged.
    let recovered = recover(machine, &booted, since, outcome);
    judge(machine, &place, &log, outcome)
        .and(recovered)
        .context("the other kernel runs, but does not do all")?;
    outcome.outside = Some(probe.stop());
    outcome.clocks[1] = Some(Clock::of(machine)?);
    Ok(())
}

/// Starts the workload in the folder `dir` and waits until its cache is built up.
pub fn fill(machine: &Machine, acks: &AckServer, dir: &str, cache: u64, seed: u64) -> Result<()> {
    let timer = progress::timed(
        "Filling",
        format_args!(
            "the file cache with {} MiB and {WRITERS} writers",
            cache >> 20
        ),
    );
    machine.start_workload(acks, dir, cache, seed)?;
    let mut seen = 0;
    let ended = |log: &AckLog| log.filled(WRITERS) || failure(log).is_some();
    while !acks.wait(FILL_PAUSE, ended) {
        let log = acks.snapshot();
        ensure!(
            log.acked_ops() > seen,
            "the workload stands still and has not built up its cache ({} writers, {seen} \
             operations)",
            log.writers.len(),
        );
        seen = log.acked_ops();
    }
    if let Some(failure) = failure(&acks.snapshot()) {
        bail!("a writer gave up before the update: {failure}");
    }
    timer.done();
    Ok(())
}

/// The first writer that gave up.
fn failure(log: &AckLog) -> Option<String> {
    log.writers.values().find_map(|writer| {
        let error = writer.failed.as_ref()?;
        Some(format!("{}: {error}", writer.hello.dir))
    })
}

/// How often to ask the service. Each probe costs the emulated machine a
/// connection.
fn probing() -> ProbeConfig {
    ProbeConfig {
        interval: Duration::from_millis(10),
        ..ProbeConfig::default()
    }
}

/// Fetches what the machine has and says, and asks the oracle.
fn judge(machine: &Machine, place: &str, log: &AckLog, outcome: &mut Outcome) -> Result<()> {
    let timer = progress::timed("Checking", "every file against what was promised");
    let text = machine.manifest(place)?;
    fs::write(outcome.folder.join("manifest.jsonl"), &text)?;
    let report = check(log, &Manifest::parse(&text)?, &Options::default());
    timer.done();
    outcome.oracle = Some(report);
    let timeline = takeover::ask(machine, "report")?;
    fs::write(outcome.folder.join("report.json"), timeline.to_string())?;
    let timeline = serde_json::from_value(timeline);
    outcome.timeline = Some(timeline.context("`baton report --json` has another form")?);
    outcome.status = Some(takeover::ask(machine, "status")?);
    Ok(())
}

/// Waits for CPUs and memory, which come back in the background.
fn recover(machine: &Machine, booted: &Facts, since: Instant, outcome: &mut Outcome) -> Result<()> {
    loop {
        let after = Facts::of(machine)?;
        let now = since.elapsed().as_secs_f64();
        if has_cpus(&after, booted) {
            outcome.cpus_s.get_or_insert(now);
        }
        if has_memory(&after, booted) {
            outcome.memory_s.get_or_insert(now);
        }
        outcome.after = Some(after);
        let done = outcome.cpus_s.is_some() && outcome.memory_s.is_some();
        if done || since.elapsed() > RECOVER {
            return Ok(());
        }
        thread::sleep(POLL);
    }
}

/// Where to look when the machine does not do what it should.
fn diagnosis(folder: &Path) -> String {
    let mut text = String::new();
    for (log, whose) in [("serial0.log", "first"), ("serial1.log", "second")] {
        let path = folder.join(log);
        let bytes = fs::read(&path).unwrap_or_default();
        let content = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = content.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        text.push_str(&format!(
            "The end of what the {whose} kernel said ({}):\n{tail}\n",
            path.display()
        ));
    }
    text + "Look for the first complaint in them. Beside them, load.log and update.log are what \
            `baton` said; with --keep there is the disk, too."
}
