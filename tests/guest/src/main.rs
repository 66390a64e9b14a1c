//! The test machine's program; see the library for what it is about.

use std::io::{self, BufWriter};
use std::path::PathBuf;

use anyhow::{Context, Result};
use baton_guest::{daemon, manifest, mischief, workload};
use clap::Parser;

/// Services and workload of the test machine.
#[derive(Debug, Parser)]
enum Command {
    /// Serve the exec protocol on a port and the status service on the next.
    Daemon {
        /// Port of the exec protocol.
        #[arg(long, default_value_t = 7000)]
        port: u16,
    },
    /// Write files and tell the host about each operation.
    Workload(workload::Options),
    /// List all that is below a directory, with hashes, as JSON lines.
    Manifest {
        /// The directory.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Do what a test wants to see refused or survived.
    #[command(subcommand)]
    Mischief(mischief::Mischief),
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Daemon { port } => daemon::run(port).context("serve"),
        Command::Workload(options) => workload::run(&options),
        Command::Mischief(mischief) => mischief.run(),
        Command::Manifest { dir } => {
            let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
            manifest::write(&dir, &mut out).with_context(|| format!("list {}", dir.display()))
        }
    }
}
