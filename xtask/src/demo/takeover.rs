//! The operator's part: load a kernel beside the running one, and let it take
//! over.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use baton_guest::frame::{Answer, Exec};

use super::machine::Machine;
use crate::oracle::{Output, ServiceProbe};

/// Time for a kernel to boot beside the running one, under emulation.
const LOAD: Duration = Duration::from_secs(180);
/// Time from the operator's word until the service answers under the other
/// kernel. Far more than it takes: whoever waits longer has failed.
const TAKEOVER: Duration = Duration::from_secs(120);
/// Limits for an emulated machine, whose host may leave a CPU of it standing for a while.
const PATIENT: [&str; 3] = [
    "--quiesce-timeout=30000",
    "--park-timeout=10000",
    "--answer-timeout=10000",
];
/// How often the probe's replies are looked at.
const POLL: Duration = Duration::from_millis(50);

/// Runs `baton load` for the kernel `release`; what it says goes to the file `log`.
pub fn load(machine: &Machine, release: &str, append: &str, log: &Path) -> Result<()> {
    let kernel = format!("/boot/vmlinuz-{release}");
    let argv = [
        "/usr/sbin/baton",
        "load",
        "--kernel",
        &kernel,
        "--append",
        append,
    ];
    let output = machine.client.exec(&exec(&argv, LOAD), &[])?;
    let said = said(&output);
    fs::write(log, &said).with_context(|| format!("cannot write {}", log.display()))?;
    ensure!(
        output.success(),
        "`baton load` failed ({}): {}",
        ending(&output),
        last_line(&said)
    );
    Ok(())
}

/// Runs `baton update` and waits until the service answers under the kernel
/// `release`.
///
/// The command does not return when it succeeds: the kernel that ran it stops.
/// What it says if it does return goes to the file `log`.
pub fn update(
    machine: &mut Machine,
    probe: &ServiceProbe,
    release: &str,
    log: &Path,
) -> Result<()> {
    let client = machine.client;
    let (sender, ended) = mpsc::channel();
    // Left behind on success: it waits for an answer that never comes, and ends
    // with the machine.
    thread::Builder::new().spawn(move || {
        let mut argv = vec!["/usr/sbin/baton", "update"];
        argv.extend(PATIENT);
        let request = exec(&argv, TAKEOVER);
        // Nobody listens any more once the service has answered.
        drop(sender.send(client.exec(&request, &[])));
    })?;
    let limit = Instant::now() + TAKEOVER;
    let mut broken = None;
    loop {
        match ended.recv_timeout(POLL) {
            Ok(Ok(output)) => {
                let said = said(&output);
                fs::write(log, &said).with_context(|| format!("cannot write {}", log.display()))?;
                bail!(
                    "`baton update` came back ({}): {}",
                    ending(&output),
                    last_line(&said)
                );
            }
            // The connection broke, as it must. Worth telling only if nothing
            // comes after it.
            Ok(Err(error)) => broken = Some(error),
            Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let outage = probe.outage();
        if let Some(switch) = outage.switches.last() {
            ensure!(
                switch.to == release,
                "the service answers under {}, not under {release}",
                switch.to
            );
            return Ok(());
        }
        if let Some(status) = machine.vm.try_wait()? {
            bail!("the machine has gone off instead ({status})");
        }
        if Instant::now() >= limit {
            let why = broken.map_or_else(String::new, |error| format!("; {error:#}"));
            bail!(
                "the service does not answer under {release} {} s after `baton update`{why}",
                TAKEOVER.as_secs()
            );
        }
    }
}

/// Runs `baton COMMAND --json` and parses what it prints.
pub fn ask(machine: &Machine, command: &str) -> Result<serde_json::Value> {
    let argv = ["/usr/sbin/baton", command, "--json"];
    let output = machine.client.run(&argv, Duration::from_secs(20))?;
    serde_json::from_slice(&output).with_context(|| {
        format!(
            "`baton {command} --json` does not print JSON: {}",
            String::from_utf8_lossy(&output)
        )
    })
}

fn exec(argv: &[&str], timeout: Duration) -> Exec {
    Exec {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        timeout_ms: timeout.as_millis().try_into().unwrap_or(u64::MAX),
        ..Exec::default()
    }
}

/// All that a command printed.
fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
        .trim()
        .to_owned()
}

/// The line that says why, as a rule.
fn last_line(said: &str) -> &str {
    said.lines().last().unwrap_or("it said nothing")
}

/// How a command ended, in words.
fn ending(output: &Output) -> String {
    match &output.answer {
        Answer::Exit {
            timed_out: true, ..
        } => "out of time".to_owned(),
        Answer::Exit {
            code: Some(code), ..
        } => format!("exit status {code}"),
        Answer::Exit {
            signal: Some(signal),
            ..
        } => format!("killed by signal {signal}"),
        other => format!("{other:?}"),
    }
}
