//! `baton`: the operator's command, and the agent that is `/init` of the 2nd OS.

use anyhow::{bail, Context, Result};
use baton::{
    aftermath, agent, check, describe, device::Device, exit, load, log, manual, plot, region,
    report, unload, update,
};
use clap::{CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Update the kernel of a running machine without rebooting it.
#[derive(Parser)]
#[command(version, about, long_about = None, after_long_help = manual::exit_codes())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say whether this machine can be updated, and what has to change if not
    Check {
        /// The kernel to be booted: a bzImage
        #[arg(long)]
        kernel: Option<PathBuf>,
        /// Memory that the new kernel is to get until it takes over
        #[arg(long, default_value = "512M", value_parser = parse_size)]
        memory: u64,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Boot a kernel beside the running one
    Load {
        /// The kernel to boot: a bzImage
        #[arg(long)]
        kernel: PathBuf,
        /// "auto", or an initramfs of your own to put before Baton's
        #[arg(long, default_value = "auto")]
        initrd: String,
        /// Memory that the new kernel gets until it takes over
        #[arg(long, default_value = "512M", value_parser = parse_size)]
        memory: u64,
        /// CPU that it gets until then; the last one if not given
        #[arg(long)]
        cpu: Option<u32>,
        /// More words for its command line
        #[arg(long, default_value = "")]
        append: String,
        /// Its baton.ko, if that is not in its module tree
        #[arg(long)]
        module: Option<PathBuf>,
        /// Seconds that it may take from its first instruction until it is ready
        #[arg(long, default_value_t = 120)]
        boot_timeout: u64,
    },
    /// Hand the machine over to the kernel that waits beside this one
    Update {
        /// Milliseconds to wait for writers to come to rest
        #[arg(long, default_value_t = 5000)]
        quiesce_timeout: u64,
        /// Milliseconds to wait for every CPU to stop
        #[arg(long, default_value_t = 1000)]
        park_timeout: u64,
        /// Milliseconds to wait for the other kernel's answer
        #[arg(long, default_value_t = 500)]
        answer_timeout: u64,
    },
    /// Stop the kernel that waits beside this one, and take its CPU and memory back
    Unload,
    /// Show both kernels
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what the last handover did, and how long it took
    Report {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Draw it into this file instead
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        svg: Option<PathBuf>,
    },
    /// Show what both modules logged
    Log {
        /// Of the 1st OS only
        #[arg(long)]
        first: bool,
        /// Of the 2nd OS only
        #[arg(long, conflicts_with = "first")]
        second: bool,
        /// Of the last handover, even if another kernel is loaded already
        #[arg(long)]
        last: bool,
        /// The baton.ko that wrote it, if it is not in its module tree
        #[arg(long, value_name = "FILE")]
        module: Option<PathBuf>,
    },
    /// Write this kernel's offset table and file systems to a file, as the migrator reads them
    #[command(hide = true)]
    Describe {
        /// The file: a handoff region with only these sections in it
        #[arg(long)]
        output: PathBuf,
    },
    /// Show the messages of the kernel that waits beside this one
    Console,
    /// Run by Baton itself after a takeover
    #[command(hide = true)]
    Aftermath,
    /// Write the manual, or completions for a shell
    #[command(hide = true)]
    Generate {
        /// What to write
        what: manual::What,
        /// The folder to write to; without it, to the standard output
        dir: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    if std::process::id() == 1 {
        agent::run();
    }
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::from(exit::SUCCESS),
        Err(error) => {
            eprintln!("baton: {error:#}");
            ExitCode::from(exit::code(&error))
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Check {
            kernel,
            memory,
            json,
        } => {
            let options = check::Options {
                kernel,
                module: None,
                memory,
                cpu: None,
            };
            check::print(&check::run(&options), json)
        }
        Command::Load {
            kernel,
            initrd,
            memory,
            cpu,
            append,
            module,
            boot_timeout,
        } => {
            let initrd = (initrd != "auto").then(|| PathBuf::from(initrd));
            load::run(&load::Options {
                kernel,
                initrd,
                memory,
                cpu,
                append,
                module,
                boot: Duration::from_secs(boot_timeout),
            })
        }
        Command::Update {
            quiesce_timeout,
            park_timeout,
            answer_timeout,
        } => update::run(&update::Limits {
            quiesce: Duration::from_millis(quiesce_timeout),
            park: Duration::from_millis(park_timeout),
            answer: Duration::from_millis(answer_timeout),
            commit: Duration::from_millis(answer_timeout),
        }),
        Command::Unload => unload::run(),
        Command::Status { json } => {
            let status = report::status(&Device::open()?)?;
            if json {
                println!("{}", serde_json::to_string_pretty(&status)?);
            } else {
                report::print_status(&status);
            }
            Ok(())
        }
        Command::Report { json, svg } => {
            let report = report::read(&Device::open()?)?;
            if let Some(path) = svg {
                plot::to_file(&report, &path)?;
            } else if json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                report::print(&report);
            }
            Ok(())
        }
        Command::Describe { output } => describe::to_file(&output),
        Command::Console => console(),
        Command::Aftermath => aftermath::run(),
        Command::Generate { what, dir } => manual::generate(Cli::command(), what, dir.as_deref()),
        Command::Log {
            first,
            second,
            last,
            module,
        } => log::run(&log::Options {
            first,
            second,
            last,
            module,
        }),
    }
}

fn console() -> Result<()> {
    let device = Device::open()?;
    let info = device.info()?;
    if info.region == 0 {
        bail!("there is no other kernel; `baton load` boots one");
    }
    let region = region::Region::map(&device, info.region)?;
    let text = region.ring(handoff_abi::region::CONSOLE)?;
    print!("{}", String::from_utf8_lossy(&text));
    Ok(())
}

/// A size in bytes, with K, M or G.
fn parse_size(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text
        .get(digits.len()..)
        .unwrap_or_default()
        .to_ascii_uppercase()
        .as_str()
    {
        "" => 1,
        "K" | "KIB" => 1 << 10,
        "M" | "MIB" => 1 << 20,
        "G" | "GIB" => 1 << 30,
        other => bail!("{other} is not a unit; use K, M or G"),
    };
    let number: u64 = digits
        .parse()
        .with_context(|| format!("{text} is not a size"))?;
    number
        .checked_mul(unit)
        .with_context(|| format!("{text} is too large"))
}
