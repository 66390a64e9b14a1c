//! The programs that run inside the machines: the operator's `baton` and the
//! test machine's `baton-guest`, linked statically so that any root file system
//! will do, and stripped.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::{progress, rustobj};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The programs, on the host.
#[derive(Clone, Debug)]
pub struct Userland {
    /// The operator's command.
    pub baton: PathBuf,
    /// Services and workload of the test machine.
    pub guest: PathBuf,
}

/// Builds the programs in a target folder of their own: the flags differ from
/// those of a developer's builds, and neither is to displace the other.
///
/// # Errors
///
/// Cargo fails; it has said why.
pub fn build() -> Result<Userland> {
    let timer = progress::timed("Compiling", "the programs of the machine");
    let target = rustobj::workspace().join("target/static");
    let mut cargo = cargo();
    if env::var_os("CI").is_some() {
        cargo.arg("--locked");
    }
    let status = cargo
        .args(["build", "--quiet", "--release", "--target", TARGET])
        .args(["--package", "baton", "--package", "baton-guest"])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .status()
        .context("cannot run cargo")?;
    ensure!(
        status.success(),
        "the programs baton and baton-guest do not build, see above"
    );
    timer.done();
    let out = target.join(TARGET).join("release");
    Ok(Userland {
        baton: program(&out, "baton")?,
        guest: program(&out, "baton-guest")?,
    })
}

/// The Cargo that runs us, in the root of the workspace.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(rustobj::workspace());
    cargo
}

fn program(out: &Path, name: &str) -> Result<PathBuf> {
    let path = out.join(name);
    ensure!(path.is_file(), "Cargo made no {}", path.display());
    Ok(path)
}
