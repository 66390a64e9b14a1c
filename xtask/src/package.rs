//! `cargo xtask package`: a Debian package with all that an operator needs.
//!
//! ```text
//! /usr/sbin/baton                   the command, linked statically
//! /usr/src/baton-VERSION/           C files, the Rust object as it is, dkms.conf
//! /etc/kernel/{,header_}postinst.d  loads a kernel when its package is installed
//! ```
//! and manual, completions, a systemd unit, documents and licences ([`tree`]). It is built with
//! `dpkg-deb` into `target/package`. With `--kernel` the module is then built from the folder in
//! the package, where there is no Cargo, as DKMS would do it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::apt::Apt;
use crate::cache::Cache;
use crate::{kernels, module, progress, rustobj, userland};

mod licenses;
mod tree;

/// The package's version: that of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Arguments of `package`.
#[derive(clap::Args)]
pub struct Args {
    /// Then build the module for this kernel from the package alone
    #[arg(long)]
    kernel: Option<String>,
}

/// Runs the command: prints the path of the package.
pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let apt = Apt::open(&cache)?;
    let package = build(&cache, &apt)?;
    if let Some(spec) = &args.kernel {
        let kernel = kernels::resolve(&cache, &apt, spec)?;
        let built = module_of(&cache, &apt, &package, &kernel)?;
        progress::step("Built", format_args!("{built} from the package alone"));
    }
    println!("{}", package.display());
    Ok(())
}

fn build(cache: &Cache, apt: &Apt) -> Result<PathBuf> {
    let object = rustobj::build(cache, apt)?;
    let programs = userland::build()?;
    let timer = progress::timed("Packaging", format_args!("baton {VERSION}"));
    let scratch = cache.scratch("package")?;
    let root = scratch.path().join("root");
    tree::lay_out(&root, &programs.baton, &object)?;
    let out = rustobj::workspace().join("target/package");
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let package = out.join(format!("baton_{VERSION}_amd64.deb"));
    call(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .args([&root, &package]),
    )?;
    timer.done();
    Ok(package)
}

/// Builds `baton.ko` as DKMS does, from the unpacked package; returns its kernel's release.
fn module_of(cache: &Cache, apt: &Apt, package: &Path, kernel: &kernels::Kernel) -> Result<String> {
    let scratch = cache.scratch("package-check")?;
    call(
        Command::new("dpkg-deb")
            .arg("--extract")
            .args([package, scratch.path()]),
    )?;
    let source = scratch.path().join(tree::source_dir());
    let conf = fs::read_to_string(source.join("dkms.conf")).context("reading dkms.conf")?;
    ensure!(
        conf.contains(&format!("PACKAGE_VERSION=\"{VERSION}\"")),
        "dkms.conf is not of version {VERSION}"
    );
    module::build_folder(cache, apt, kernel, &source)?;
    Ok(format!("baton.ko for {}", kernel.release))
}

/// Runs a program; what it says counts only if it fails.
fn call(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .env("LC_ALL", "C")
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}
