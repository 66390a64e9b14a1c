//! The oracle on a real machine that gets no other kernel: a machine that goes
//! on must be found intact, and one whose power is cut must not. Without the
//! second, the first would prove nothing.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};

use super::machine::{Machine, WORK};
use super::scenario::fill;
use super::setup::Setup;
use crate::oracle::{check, AckServer, Manifest, Options, Report};
use crate::progress;
use crate::rustobj;

/// Less than the demonstration has: only the kinds of writers matter here.
const CACHE: u64 = 32 << 20;
/// How long the writers go on after they have built it up.
const WORKING: Duration = Duration::from_secs(2);

/// Runs both parts on the kernel `spec`.
pub fn run(spec: &str) -> Result<()> {
    let setup = Setup::without_update(spec)?;
    let folder = rustobj::workspace().join("target/demo/plain");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let disks = setup.fresh_disks(0)?;

    let machine = Machine::boot(&setup, &disks, "", &folder)?;
    machine.hold_dirty(CACHE)?;
    let acks = AckServer::start()?;
    fill(&machine, &acks, WORK, CACHE, 1)?;
    thread::sleep(WORKING);
    // The writers hang in the middle of what they do, and see no answer.
    let log = acks.freeze();
    machine.shell(
        "pkill -9 -f '[b]aton-guest workload'; sleep 1; ! pgrep -f '[b]aton-guest workload'",
    )?;
    let live = judge(&machine, &log)?;
    ensure!(
        live.ok(),
        "the oracle is wrong about a live machine:\n{live}"
    );

    // The same files, of which the disk has only a part.
    drop(machine);
    let machine = Machine::boot(&setup, &disks, "", &folder)?;
    let cut = judge(&machine, &log)?;
    ensure!(cut.invalid.is_empty(), "the oracle is at a loss:\n{cut}");
    ensure!(
        !cut.losses.is_empty(),
        "the power was cut and the oracle sees no loss:\n{cut}"
    );
    progress::step(
        "Found",
        format_args!(
            "{} operations intact while the machine ran, {} losses after a power cut",
            live.acked_ops,
            cut.losses.len()
        ),
    );
    Ok(())
}

fn judge(machine: &Machine, log: &crate::oracle::AckLog) -> Result<Report> {
    let since = Instant::now();
    let text = machine.manifest(WORK)?;
    let listed = since.elapsed();
    let report = check(log, &Manifest::parse(&text)?, &Options::default());
    progress::step(
        "Checked",
        format_args!(
            "{} names in {:.1} s, after {:.1} s to list them",
            report.files,
            (since.elapsed() - listed).as_secs_f64(),
            listed.as_secs_f64()
        ),
    );
    Ok(report)
}
