//! `cargo xtask fuzz`: the targets of `tests/fuzz`, for some seconds each.
//!
//! First every kept input is replayed on the stable compiler. Then `cargo-fuzz`, put into
//! `target/tools` if it is not there, builds the targets with the nightly compiler and
//! AddressSanitizer, and runs them from the seeds in `tests/fuzz/corpus` and from what earlier runs
//! found, in `target/fuzz`. A case that breaks a rule is left in `tests/fuzz/artifacts`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};

use crate::{progress, rustobj, userland};

/// Version of `cargo-fuzz` that is installed.
const CARGO_FUZZ: &str = "0.13.2";
/// The compiler that has the coverage and sanitizer flags.
const TOOLCHAIN: &str = "nightly";
/// Longest run of one input, seconds: what takes longer does not end.
const INPUT_LIMIT: u32 = 10;
/// Longest input, bytes: a machine page, or a descriptor, with room to spare.
const MAX_LEN: u32 = 40960;

/// Arguments of `fuzz`.
#[derive(clap::Args)]
pub struct Args {
    /// Targets; by default all of them
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each of them runs
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let folder = rustobj::workspace().join("tests/fuzz");
    let known = targets(&folder)?;
    for name in &args.targets {
        ensure!(
            known.contains(name),
            "there is no target {name}; there are: {}",
            known.join(" ")
        );
    }
    let chosen = match args.targets.is_empty() {
        true => &known,
        false => &args.targets,
    };
    replay(&folder)?;
    let tool = cargo_fuzz()?;
    for name in chosen {
        progress::step("Fuzzing", format_args!("{name} for {} s", args.seconds));
        fuzz(&tool, &folder, name, args.seconds)?;
    }
    progress::step(
        "Fuzzed",
        format_args!("{} targets, none failed", chosen.len()),
    );
    Ok(())
}

/// The targets' names: the programs of the package.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let programs = folder.join("fuzz_targets");
    let entries =
        fs::read_dir(&programs).with_context(|| format!("reading {}", programs.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into()));
        }
    }
    names.sort();
    Ok(names)
}

/// What was found once must not be found again.
fn replay(folder: &Path) -> Result<()> {
    progress::step("Replaying", "every kept input");
    let status = userland::cargo()
        .current_dir(folder)
        .args(["test", "--quiet"])
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "a kept input fails, see above");
    Ok(())
}

/// The program, installed if it is not there.
fn cargo_fuzz() -> Result<PathBuf> {
    let root = rustobj::workspace().join("target/tools");
    let tool = root.join("bin/cargo-fuzz");
    if tool.is_file() {
        return Ok(tool);
    }
    progress::step("Installing", format_args!("cargo-fuzz {CARGO_FUZZ}"));
    let status = userland::cargo()
        .args(["install", "cargo-fuzz", "--version", CARGO_FUZZ])
        .args(["--locked", "--quiet", "--root"])
        .arg(&root)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "cargo-fuzz could not be installed");
    Ok(tool)
}

/// One target. `rustup run` puts the compiler in front; what this program's own Cargo left in the
/// environment would lead back to the stable one.
fn fuzz(tool: &Path, folder: &Path, name: &str, seconds: u32) -> Result<()> {
    let corpus = rustobj::workspace().join("target/fuzz").join(name);
    fs::create_dir_all(&corpus).with_context(|| format!("creating {}", corpus.display()))?;
    let mut command = Command::new("rustup");
    for (variable, _) in env::vars_os() {
        let text = variable.to_string_lossy();
        let is_cargos = text.starts_with("CARGO") && text != "CARGO_HOME";
        if is_cargos || text == "RUSTUP_TOOLCHAIN" || text.starts_with("RUSTC") {
            command.env_remove(&variable);
        }
    }
    command
        .current_dir(folder)
        .args(["run", TOOLCHAIN])
        .arg(tool)
        .args(["fuzz", "run", "--fuzz-dir", ".", "--features", "libfuzzer"])
        .args(["--release", "--debug-assertions", name])
        .arg(&corpus);
    for kept in ["corpus", "regressions"] {
        let kept = folder.join(kept).join(name);
        if kept.is_dir() {
            command.arg(kept);
        }
    }
    command
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_LIMIT}"))
        .arg(format!("-max_len={MAX_LEN}"))
        .args(["-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"]);
    let status = command.status().with_context(|| {
        format!("cannot run rustup; fuzzing needs it and its {TOOLCHAIN} toolchain")
    })?;
    if !status.success() {
        let artifacts = folder.join("artifacts").join(name);
        bail!(
            "{name} ended with {status}. If a case was found, it is in {}; keep it in \
             tests/fuzz/regressions/{name}. If the compiler is missing: \
             `rustup toolchain install {TOOLCHAIN}`",
            artifacts.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_seed() {
        let folder = rustobj::workspace().join("tests/fuzz");
        let targets = targets(&folder).expect("the folder can be read");
        assert!(!targets.is_empty());
        for name in targets {
            let seeds = fs::read_dir(folder.join("corpus").join(&name));
            assert!(
                seeds.is_ok_and(|mut seeds| seeds.next().is_some()),
                "{name}"
            );
        }
    }
}
