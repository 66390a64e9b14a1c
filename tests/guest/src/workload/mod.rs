//! The workload: writers that tell the host what they do.
//!
//! A writer is a generator of operations ([`kinds::Generator`]), a performer and
//! a channel. The generator decides from its own memory of what it has asked
//! for; it never looks at the file system.

mod channel;
pub mod kinds;
mod mapping;
pub mod perform;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use self::channel::Channel;
pub use self::kinds::KINDS;
use self::kinds::{Generator, Settings};
use self::perform::{refusal, Performer};
use crate::content::{key, Rng};
use crate::record::{Ack, Hello, Record};

/// What to run.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Directory to work in; made if absent, and best empty.
    #[arg(long)]
    pub dir: PathBuf,
    /// Numeric address and port of the host's recorder.
    #[arg(long)]
    pub ack: String,
    /// Seed of all choices and contents.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Kinds of writers, each with an optional `:count`; all kinds once if absent.
    #[arg(long, value_delimiter = ',')]
    pub writers: Vec<String>,
    /// Bytes that the stream writer builds up before it goes on to overwrite.
    #[arg(long, default_value_t = 128 << 20)]
    pub cache: u64,
    /// Pause between the operations of a writer, except while building up.
    #[arg(long, default_value_t = 2000)]
    pub pause_us: u64,
    /// Operations per writer, after which it stops; no limit if absent.
    #[arg(long)]
    pub ops: Option<u64>,
    /// A process per writer instead of a thread.
    #[arg(long)]
    pub processes: bool,
    /// Number of the first writer.
    #[arg(long, default_value_t = 0)]
    pub first_writer: u32,
}

/// Runs all writers; returns when all have done their operations.
///
/// # Errors
/// A writer's kind is unknown, or a writer failed (it has told the host).
pub fn run(options: &Options) -> Result<()> {
    std::fs::create_dir_all(&options.dir).context("make the directory")?;
    // Modes in the records are exact.
    rustix::process::umask(rustix::fs::Mode::empty());
    let kinds = expand(&options.writers)?;
    let numbered = (options.first_writer..).zip(kinds);
    if options.processes {
        return run_processes(options, numbered);
    }
    let mut threads = Vec::new();
    for (number, kind) in numbered {
        let options = options.clone();
        threads.push(thread::Builder::new().spawn(move || write(&options, number, kind))?);
    }
    let results = threads.into_iter().map(|thread| thread.join());
    first_failure(results.map(|result| result.unwrap_or_else(|_| bail!("a writer panicked"))))
}

/// Resolves `kind:count` items.
fn expand(items: &[String]) -> Result<Vec<&'static str>> {
    if items.is_empty() {
        return Ok(KINDS.to_vec());
    }
    let mut kinds = Vec::new();
    for item in items {
        let (name, count) = item.split_once(':').unwrap_or((item, "1"));
        let count: usize = count
            .parse()
            .with_context(|| format!("count in {item:?}"))?;
        let known = KINDS.iter().find(|kind| **kind == name);
        let kind = known.with_context(|| format!("{name:?} is none of {KINDS:?}"))?;
        kinds.extend(std::iter::repeat_n(*kind, count));
    }
    Ok(kinds)
}

/// Runs each writer as a process of this same program.
fn run_processes(
    options: &Options,
    numbered: impl Iterator<Item = (u32, &'static str)>,
) -> Result<()> {
    let mut children = Vec::new();
    for (number, kind) in numbered {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("workload")
            .arg("--dir")
            .arg(&options.dir)
            .args(["--ack", &options.ack]);
        command.args(["--seed", &options.seed.to_string(), "--writers", kind]);
        command.args(["--cache", &options.cache.to_string()]);
        command.args(["--pause-us", &options.pause_us.to_string()]);
        command.args(["--first-writer", &number.to_string()]);
        if let Some(ops) = options.ops {
            command.args(["--ops", &ops.to_string()]);
        }
        children.push(command.spawn().context("start a writer")?);
    }
    first_failure(children.into_iter().map(|mut child| {
        let status = child.wait()?;
        if !status.success() {
            bail!("a writer ended with {status}");
        }
        Ok(())
    }))
}

/// Runs through all results, so that all writers are waited for.
fn first_failure(results: impl Iterator<Item = Result<()>>) -> Result<()> {
    results.fold(Ok(()), Result::and)
}

/// One writer, from hello to done. A failure is reported to the host as well.
fn write(options: &Options, writer: u32, kind: &'static str) -> Result<()> {
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let dir = format!("w{writer:02}-{kind}");
    let hello = Hello {
        writer,
        kind: kind.to_owned(),
        dir: dir.clone(),
        seed: options.seed,
        uid,
        gid,
    };
    let mut channel = Channel::open(&options.ack, &hello)?;
    let settings = Settings {
        dir,
        cache: options.cache,
        uid,
        gid,
    };
    let mut generator = kinds::generator(kind, settings, Rng::new(options.seed, writer));
    let result = operate(options, writer, generator.as_mut(), &mut channel);
    let last = match &result {
        Ok(()) => Record::Done,
        Err(error) => Record::Failed {
            error: format!("{error:#}"),
        },
    };
    channel.send(&last).and(result)
}

/// The operations of one writer.
fn operate(
    options: &Options,
    writer: u32,
    generator: &mut dyn Generator,
    channel: &mut Channel,
) -> Result<()> {
    let mut performer = Performer::new(Path::new(&options.dir));
    let mut filling = true;
    for seq in 0..options.ops.unwrap_or(u64::MAX) {
        let op = generator.next_op();
        channel.announce(seq, &op)?;
        let refused = match performer.perform(&op, key(options.seed, writer, seq)) {
            Ok(()) => None,
            Err(error) => match refusal(&op, &error) {
                Some(errno) => Some(errno),
                None => bail!("operation {seq}, {op:?}: {error}"),
            },
        };
        channel.send(&Record::Ack(Ack {
            seq,
            refused,
            stats: performer.observe(&op),
        }))?;
        if filling && generator.filled() {
            filling = false;
            channel.send(&Record::CacheFilled)?;
        }
        if !filling {
            thread::sleep(Duration::from_micros(options.pause_us));
        }
    }
    Ok(())
}
