//! `cargo xtask bench`: measurements.

use anyhow::{ensure, Context, Result};

use crate::{images, userland};

mod handover;

pub use handover::mebibytes;

/// Arguments of `bench`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The outage of a service: Baton, `kexec` and a reboot into the same kernel; the last line is
    /// `ratio N`
    Handover(handover::Args),
    /// The migration of 16 to 128 MiB of dirty file cache, natively over a memory image, against
    /// memcpy; the last line is `ratio N`
    Migrate {
        /// Series (6.12), releases (6.1.0-47) or paths of the 1st OS
        #[arg(default_value = "6.1")]
        specs: Vec<String>,
    },
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Handover(args) => handover::run(args),
        What::Migrate { specs } => migrate(specs),
    }
}

fn migrate(specs: &[String]) -> Result<()> {
    let folders = images::make_all(specs, false)?;
    let status = userland::cargo()
        .args(["run", "--quiet", "--release", "--package", "baton-images"])
        .args(["--bin", "migrate-speed", "--"])
        .args(folders)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the measurement fails, see above");
    Ok(())
}
