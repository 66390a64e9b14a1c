//! `cargo xtask faults`: everything wrong that an operator can do or meet, one after the other, on
//! a machine that works.
//!
//! # The story
//! A machine of the demonstration boots, and its writers report every operation. Then each
//! [`Fault`] is played as an operator would meet it: the command has to end with the exit status
//! that the manual gives, and to say what is wrong, where, and what to do now. After each, the
//! machine is looked at ([`stage::Stage::unharmed`]): every writer goes on, the CPUs and the
//! memory are those it had, and `baton status` says what is true. At last all the files are
//! compared with what the writers had reported.
//!
//! One machine serves all faults, for that they leave it as it was is the point. Only a fault that
//! was not survived gets the next one a fresh machine.
//!
//! All that a run leaves behind is in `target/faults`.

use std::time::Instant;

use anyhow::{bail, ensure, Result};

use crate::demo::hardware::Hardware;
use crate::demo::setup::Setup;
use crate::progress;

mod input;
mod second;
pub mod stage;
mod state;
mod twice;

use stage::Stage;

/// Arguments of `faults`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The kernel that runs the machine: a series, a release or a path
    #[arg(long, default_value = "6.1")]
    pub from: String,
    /// The kernel that is loaded beside it
    #[arg(long, default_value = "7.3")]
    pub to: String,
    /// Only the faults of these names
    #[arg(long, num_args = 1.., value_name = "NAME")]
    pub only: Vec<String>,
    /// Only those that are refused before another kernel is started
    #[arg(long)]
    pub quick: bool,
    /// Print their names, and play none
    #[arg(long)]
    pub list: bool,
}

impl Args {
    /// What is refused before another kernel is started.
    pub fn quick(from: &str, to: &str) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            only: Vec::new(),
            quick: true,
            list: false,
        }
    }
}

/// One fault.
pub struct Fault {
    /// What `--only` takes.
    name: &'static str,
    /// What is wrong.
    what: &'static str,
    /// Whether another kernel is started, or it takes long for another reason.
    slow: bool,
    /// Plays it, and says what was not as it should be.
    play: fn(&mut Stage) -> Result<()>,
}

/// A fault that is refused at once.
const fn quick(
    name: &'static str,
    what: &'static str,
    play: fn(&mut Stage) -> Result<()>,
) -> Fault {
    Fault {
        name,
        what,
        slow: false,
        play,
    }
}

/// A fault that takes its time.
const fn slow(name: &'static str, what: &'static str, play: fn(&mut Stage) -> Result<()>) -> Fault {
    Fault {
        slow: true,
        ..quick(name, what, play)
    }
}

/// All, in the order in which they are played.
fn all() -> Vec<Fault> {
    let lists = [
        input::FAULTS,
        state::FAULTS,
        second::FAULTS,
        twice::FAULTS,
        // It cannot be undone, so it is the last.
        state::LAST,
    ];
    lists.into_iter().flatten().map(Fault::copy).collect()
}

impl Fault {
    const fn copy(&self) -> Self {
        Self { ..*self }
    }
}

/// Runs the command. The last line says `PASS`, or the error is what is wrong.
pub fn run(args: &Args) -> Result<()> {
    let faults = select(args)?;
    if args.list {
        for fault in &faults {
            println!("{:<20} {}", fault.name, fault.what);
        }
        return Ok(());
    }
    let setup = Setup::prepare(&args.from, &[&args.to], Hardware::default())?;
    let mut stage = Some(Stage::set(&setup)?);
    let mut failures = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        let mut on = match stage.take() {
            Some(stage) => stage,
            None => Stage::set(&setup)?,
        };
        let since = Instant::now();
        let result = (fault.play)(&mut on).and_then(|()| on.unharmed());
        let seconds = since.elapsed().as_secs_f64();
        let place = format!("{}/{} {}", number + 1, faults.len(), fault.name);
        match result {
            Ok(()) => {
                println!("ok    {place}: {} ({seconds:.1} s)", fault.what);
                stage = Some(on);
            }
            Err(error) => {
                println!(
                    "WRONG {place}: {}: {error:#}\n{}",
                    fault.what,
                    on.diagnosis()
                );
                failures.push(fault.name);
                // It may have been no more than a wrong word.
                if on.unharmed().is_ok() && !on.is_loaded().unwrap_or(true) {
                    stage = Some(on);
                }
            }
        }
    }
    if let Some(stage) = stage {
        let operations = stage.judge()?;
        progress::step(
            "Checked",
            format_args!("{operations} operations of the workload: none is missing"),
        );
    }
    let passed = faults.len() - failures.len();
    println!("{passed} passed, {} failed", failures.len());
    ensure!(failures.is_empty(), "FAIL: {}", failures.join(", "));
    println!("PASS");
    Ok(())
}

/// The faults asked for.
fn select(args: &Args) -> Result<Vec<Fault>> {
    let mut faults = all();
    if let Some(unknown) = args
        .only
        .iter()
        .find(|name| !faults.iter().any(|fault| fault.name == **name))
    {
        bail!("no fault is called {unknown:?}; --list names them");
    }
    faults.retain(|fault| args.only.is_empty() || args.only.iter().any(|name| name == fault.name));
    faults.retain(|fault| !(args.quick && fault.slow));
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_selected_by_name_and_by_pace() {
        let args = Args {
            quick: false,
            ..Args::quick("6.1", "7.3")
        };
        let all = select(&args).unwrap();
        let mut names: Vec<&str> = all.iter().map(|fault| fault.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len(), "names are unique");
        let quick = select(&Args {
            quick: true,
            ..args.clone()
        });
        assert!((1..all.len()).contains(&quick.unwrap().len()));
        let one = select(&Args {
            only: vec!["not-root".to_owned()],
            ..args.clone()
        });
        assert_eq!(one.unwrap().len(), 1);
        let none = Args {
            only: vec!["no-such".to_owned()],
            ..args
        };
        assert!(select(&none).is_err());
    }
}
