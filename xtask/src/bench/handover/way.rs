//! The ways to another kernel.

use std::fmt;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use serde::Serialize;
use serde_json::Value;

use super::machine::{Machine, COMMAND_LINE};
use super::subject::{Subject, INITRD, KEXEC};
use super::Args;
use crate::progress;

/// A way to another kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// The other kernel runs already, and takes over.
    Baton,
    /// The kernel starts the other in its place.
    Kexec,
    /// The machine is reset.
    Reboot,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Baton => "baton",
            Self::Kexec => "kexec",
            Self::Reboot => "reboot",
        })
    }
}

/// One measurement.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// How.
    pub way: Way,
    /// From the last reply of one kernel to the first of the other.
    pub outage_ms: f64,
    /// Half of the times between replies are shorter.
    pub median_gap_ms: f64,
    /// What `baton report` says, if it was Baton.
    pub report: Option<Value>,
}

/// Boots a machine and exchanges its kernel. What the machine says goes to `folder`.
pub fn measure(subject: &Subject, way: Way, args: &Args, folder: &Path) -> Result<Measured> {
    let first = match way {
        Way::Baton | Way::Kexec => &subject.from,
        Way::Reboot => &subject.to,
    };
    let mut machine = Machine::boot(subject, first, args.cpus, way == Way::Reboot, folder)?;
    let image = format!("/boot/vmlinuz-{}", subject.to.release);
    let line = match way {
        Way::Baton => {
            machine
                .shell(&format!(
                    "baton load --kernel {image} --append 'console=ttyS1 {COMMAND_LINE}' 2>&1"
                ))
                .context("`baton load` failed")?;
            "exec baton update".to_owned()
        }
        Way::Kexec => {
            machine
                .shell(&format!(
                    "{KEXEC} --load {image} --initrd={INITRD} --no-checks \
                     --append='console=ttyS0 panic=-1 {COMMAND_LINE}' 2>&1"
                ))
                .context("`kexec --load` failed")?;
            format!("sync; exec {KEXEC} --exec")
        }
        Way::Reboot => "sync; exec reboot -f".to_owned(),
    };
    let before = machine.make_dirty(args.cache)?;
    progress::step("Exchanging", format_args!("the kernel, by {way}"));
    let outage = machine.exchange(&line)?;
    let switch = outage.switches.first().context("there was no exchange")?;
    ensure!(
        switch.to == subject.to.release,
        "{} answers, not {}",
        switch.to,
        subject.to.release
    );
    let after = machine.check_sum()?;
    ensure!(
        after == before,
        "the files have changed: {before}, now {after}"
    );
    let report = match way {
        Way::Baton => {
            let text = machine.shell("baton report --json")?;
            Some(serde_json::from_str(&text).context("`baton report --json`")?)
        }
        Way::Kexec | Way::Reboot => None,
    };
    Ok(Measured {
        way,
        outage_ms: switch.outage_ms,
        median_gap_ms: outage.median_gap_ms,
        report,
    })
}
