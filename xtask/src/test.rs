//! `cargo xtask test`: everything that CI runs, in the order in which it fails
//! fastest. CI itself (`.ci/run`) runs this and nothing else.
//!
//! The last line is `N passed, M failed`, counted in steps. The first failure
//! ends the run: what comes after would mostly fail for the same reason.

use std::time::Instant;

use anyhow::{bail, ensure, Context, Result};

use crate::progress;

mod steps;

use steps::{Step, Work};

/// Arguments of `test`.
#[derive(clap::Args)]
pub struct Args {
    /// Leave out what boots virtual machines
    #[arg(long)]
    quick: bool,
    /// Run the steps of this name only, or those whose name begins with it
    #[arg(long, value_name = "STEP")]
    only: Option<String>,
    /// Print the names of the steps, and run none
    #[arg(long)]
    list: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let steps = args.select();
    if args.list {
        for step in &steps {
            println!("{:<28} {}", step.name, step.what);
        }
        return Ok(());
    }
    if steps.is_empty() {
        let names: Vec<&str> = steps::all().iter().map(|step| step.name).collect();
        bail!("no such step; there are: {}", names.join(" "));
    }
    let begin = Instant::now();
    let mut times = Vec::new();
    let failed = steps.iter().enumerate().find_map(|(index, step)| {
        let place = format!("{}/{}", index + 1, steps.len());
        progress::step("Step", format_args!("{place} {}: {}", step.name, step.what));
        let since = Instant::now();
        let result = step.work.run();
        times.push((step.name, since.elapsed()));
        let verb = if result.is_ok() { "Passed" } else { "Failed" };
        let seconds = since.elapsed().as_secs_f64();
        progress::step(
            verb,
            format_args!("{place} {} in {seconds:.1} s", step.name),
        );
        result.err().map(|error| (step.name, error))
    });
    for (name, time) in &times {
        println!("{:>8.1} s  {name}", time.as_secs_f64());
    }
    println!("{:>8.1} s  in all", begin.elapsed().as_secs_f64());
    let failures = usize::from(failed.is_some());
    println!("{} passed, {failures} failed", times.len() - failures);
    let Some((name, error)) = failed else {
        return Ok(());
    };
    Err(error).with_context(|| {
        format!(
            "the step {name} failed and {} more were not run; again alone: \
             `cargo xtask test --only {name}`",
            steps.len() - times.len()
        )
    })
}

impl Args {
    /// The steps asked for.
    fn select(&self) -> Vec<Step> {
        let mut steps = steps::all();
        match &self.only {
            // A whole name means that step, though others may begin with it.
            Some(name) if steps.iter().any(|step| step.name == name) => {
                steps.retain(|step| step.name == name);
            }
            Some(name) => steps.retain(|step| step.name.starts_with(name.as_str())),
            None => steps.retain(|step| !(self.quick && step.work.boots())),
        }
        steps
    }
}

impl Work {
    /// Whether it takes a virtual machine.
    const fn boots(&self) -> bool {
        matches!(
            self,
            Self::Oracle { .. } | Self::Faults { .. } | Self::Images | Self::Handover { .. }
        )
    }

    fn run(&self) -> Result<()> {
        match self {
            Self::Cargo {
                folder,
                arguments,
                environment,
            } => cargo(folder, arguments, environment),
            Self::Header => crate::header::run(true),
            Self::Module { kernel } => crate::module::build_for(kernel).map(drop),
            Self::Images => crate::images::make_and_check(),
            Self::Oracle { kernel } => crate::demo::plain::run(kernel),
            Self::Faults { from, to } => crate::faults::run(&crate::faults::Args::quick(from, to)),
            Self::Handover { from, to, control } => {
                crate::demo::run(&crate::demo::Args::between(from, to, *control))
            }
        }
    }
}

/// Runs Cargo in a folder of the workspace; its output is the progress.
fn cargo(folder: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut cargo = crate::userland::cargo();
    cargo
        .current_dir(crate::rustobj::workspace().join(folder))
        .args(arguments)
        .envs(environment.iter().copied());
    let status = cargo.status().context("cannot run cargo")?;
    let words = arguments.join(" ");
    let place = if folder.is_empty() {
        "the root"
    } else {
        folder
    };
    ensure!(
        status.success(),
        "`cargo {words}` in {place} ended with {status}, see above"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(quick: bool, only: Option<&str>) -> Args {
        Args {
            quick,
            only: only.map(str::to_owned),
            list: false,
        }
    }

    #[test]
    fn quick_boots_nothing_and_only_selects_by_name() {
        let count = |args: Args| args.select().len();
        let machines = steps::all().iter().filter(|step| step.work.boots()).count();
        let all = steps::all().len();
        assert!(machines > 0);
        assert_eq!(count(args(false, None)), all);
        assert_eq!(count(args(true, None)), all - machines);
        assert_eq!(count(args(false, Some("fmt"))), 1);
        assert!(count(args(false, Some("module-"))) > 1);
        assert_eq!(count(args(true, Some("no-such"))), 0);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = steps::all().iter().map(|step| step.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
