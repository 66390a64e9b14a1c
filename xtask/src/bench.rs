//! `cargo xtask bench`: measurements.

use anyhow::{ensure, Context, Result};

use crate::{images, userland};

mod handover;
mod paper;

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
    /// The migration of 16 to 128 MiB out of images of 2.6.38, 3.0 and 3.4, beside the paper's
    /// figures and memcpy; the last line is `ratio N`
    Paper,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Handover(args) => handover::run(args),
        What::Migrate { specs } => migrate(specs),
        What::Paper => paper::run(),
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
