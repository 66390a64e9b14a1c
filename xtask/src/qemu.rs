//! The machine emulator: the host's if it is new enough, else a private one.
//!
//! QEMU 9 or later is needed: 7.2 crashes 7.x kernels while they patch their
//! own code under multi-threaded TCG, and has no x2APIC emulation.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{bail, Context, Result};

use crate::apt::Apt;
use crate::cache::Cache;
use crate::progress;
use crate::tools::{self, Bundle, Root};

const PROGRAM: &str = "qemu-system-x86_64";
const OLDEST: u32 = 9;
const BUNDLE: Bundle = Bundle {
    name: "qemu",
    packages: &["qemu-system-x86"],
    target: Some("bookworm-backports"),
};
/// Where the packages keep firmware and option ROMs.
const FIRMWARE: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];

/// A QEMU that has been seen to run.
#[derive(Clone, Debug)]
pub struct Qemu {
    place: Place,
    version: String,
}

#[derive(Clone, Debug)]
enum Place {
    Host(PathBuf),
    Private(Root),
}

impl Qemu {
    /// Finds or fetches QEMU, and runs it once to learn its version.
    pub fn locate(cache: &Cache, apt: &Apt) -> Result<Self> {
        if let Some(program) = tools::on_host(PROGRAM) {
            let place = Place::Host(program);
            match place.version() {
                Ok(version) if major(&version).is_some_and(|major| major >= OLDEST) => {
                    return Ok(Self { place, version });
                }
                Ok(version) => progress::step("Ignoring", format_args!("the host's old {version}")),
                Err(error) => progress::warn(format_args!("the host's QEMU is broken: {error:#}")),
            }
        }
        let place = Place::Private(BUNDLE.unpack(cache, apt)?);
        let version = place.version()?;
        if major(&version).is_none_or(|major| major < OLDEST) {
            bail!("QEMU {OLDEST} or later is needed, but the suites delivered {version}");
        }
        Ok(Self { place, version })
    }

    /// What QEMU says it is.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A command that starts QEMU; the machine's options are to be added.
    pub fn command(&self) -> Command {
        self.place.command()
    }
}

impl Place {
    fn command(&self) -> Command {
        let root = match self {
            Self::Host(program) => return Command::new(program),
            Self::Private(root) => root,
        };
        let mut command = root.command(PROGRAM, &format!("usr/bin/{PROGRAM}"));
        for folder in FIRMWARE {
            command.arg("-L").arg(root.path().join(folder));
        }
        command.env(
            "QEMU_MODULE_DIR",
            root.path().join("usr/lib/x86_64-linux-gnu/qemu"),
        );
        command
    }

    fn version(&self) -> Result<String> {
        let output = self
            .command()
            .arg("--version")
            .output()
            .context("cannot start QEMU")?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().next() {
            Some(line) if output.status.success() => Ok(line.to_owned()),
            _ => bail!(
                "QEMU does not run ({}): {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            ),
        }
    }
}

/// The first number of `QEMU emulator version 10.0.2 (Debian …)`.
fn major(version: &str) -> Option<u32> {
    version
        .split_once("version ")?
        .1
        .split('.')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_the_version() {
        assert_eq!(
            super::major("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds)"),
            Some(10)
        );
        assert_eq!(super::major("nonsense"), None);
    }
}
