//! The developer's one entry point: `cargo xtask COMMAND`.
//!
//! Each command is a module with an `Args` and a `run`; to add one, add its
//! `mod` line, its variant, and its arm in `main`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod apt;
mod bench;
mod cache;
mod commands;
mod cycles;
mod demo;
mod faults;
mod fuzz;
mod header;
#[allow(dead_code, unused_imports)] // an interface for tests and demos, not all in use
mod image;
mod images;
#[allow(dead_code)] // likewise
mod kernels;
mod matrix;
mod module;
#[allow(dead_code, unused_imports)] // likewise
mod oracle;
mod package;
mod progress;
mod qemu;
mod rustobj;
mod test;
mod tools;
mod userland;
#[allow(dead_code, unused_imports)] // likewise
mod vm;

/// Work on Baton: kernels, virtual machines, tests.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure
    Bench(bench::Args),
    /// Load and unload a kernel many times, and look for what does not come back
    Cycles(cycles::Args),
    /// Update a machine's kernel while it works, and check that nothing is lost
    Demo(demo::Args),
    /// Do everything wrong that an operator can, and see it refused or survived
    Faults(faults::Args),
    /// Give bytes that nobody vouches for to what reads them
    Fuzz(fuzz::Args),
    /// Keep the memory of stopped machines, for the migrator's tests
    Images(images::Args),
    /// Fetch kernels and say where they are
    Kernels(commands::kernels::Args),
    /// The demonstration between every two of several kernels, in both directions
    Matrix(matrix::Args),
    /// Boot a kernel in a virtual machine, for a shell or one command
    Vm(commands::vm::Args),
    /// Generate kernel-glue/handoff.h from the ABI
    Header {
        /// Only check that the committed header is current
        #[arg(long)]
        check: bool,
    },
    /// Build baton.ko for kernels
    Module(module::Args),
    /// Make the Debian package
    Package(package::Args),
    /// Run everything that CI runs
    Test(test::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Cycles(args) => cycles::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Faults(args) => faults::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Images(args) => images::run(&args),
        Command::Kernels(args) => commands::kernels::run(&args),
        Command::Matrix(args) => matrix::run(&args),
        Command::Vm(args) => commands::vm::run(&args),
        Command::Header { check } => header::run(check),
        Command::Module(args) => module::run(&args),
        Command::Package(args) => package::run(&args),
        Command::Test(args) => test::run(&args),
    };
    if let Err(error) = result {
        progress::error(&error);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
