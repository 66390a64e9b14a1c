//! The machine on which faults are played, and how it is known to be unharmed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use baton_guest::frame::{Answer, Exec};
use handoff_abi::region::Section;
use serde_json::Value;

use crate::demo::machine::{Machine, HOST, WORK, WRITERS};
use crate::demo::observe::Facts;
use crate::demo::setup::Setup;
use crate::oracle::{check, AckLog, AckServer, GuestClient, Manifest, Options, Output};
use crate::{progress, rustobj};

/// Dirty file cache that the workload builds up: the faults are about other things.
const CACHE: u64 = 8 << 20;
/// Pause between two operations of a writer: they are to show that the machine is alive.
const PAUSE_US: u64 = 50_000;
const FILL: Duration = Duration::from_secs(120);
/// How soon each writer must have done something again.
const ALIVE: Duration = Duration::from_secs(30);
/// How long a command that is refused may take, under emulation.
pub const SOON: Duration = Duration::from_secs(60);
/// How long a kernel may take to boot, and a command that waits for one.
pub const LONG: Duration = Duration::from_secs(240);
/// How often something is looked at that has no other sign.
const POLL: Duration = Duration::from_millis(100);
/// Size of the second disk, which is empty.
const SPARE: u64 = 64 << 20;
/// What is behind the handoff region, which is at the end of the partition: the last 2 MiB.
const TAIL: u64 = 2 << 20;
/// Lines of a log that are shown.
const LINES: usize = 15;

/// A machine at work.
pub struct Stage {
    pub machine: Machine,
    /// Release of the kernel that runs it.
    pub from: String,
    /// Release of the kernel that is loaded.
    pub to: String,
    acks: AckServer,
    booted: Facts,
    /// CPUs and memory while a kernel is loaded, once one was.
    beside: Option<(u64, u64)>,
    folder: PathBuf,
}

/// What a command did.
pub struct Said {
    /// Its exit status; `None` if it was killed or ran out of time.
    pub code: Option<i32>,
    /// All that it printed.
    pub text: String,
}

/// A command that is under way.
pub struct Running(JoinHandle<Result<Said>>);

impl Running {
    /// Waits for its end.
    pub fn end(self) -> Result<Said> {
        match self.0.join() {
            Ok(said) => said,
            Err(_) => bail!("the thread that ran a command died"),
        }
    }
}

impl Said {
    fn of(output: &Output) -> Self {
        let code = match &output.answer {
            Answer::Exit {
                code,
                timed_out: false,
                ..
            } => *code,
            _ => None,
        };
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code,
            text: text(&output.stdout) + &text(&output.stderr),
        }
    }

    /// That it ended with the exit status `code`, and said all of `phrases`.
    pub fn expect(&self, code: i32, phrases: &[&str]) -> Result<()> {
        let said = self.text.trim();
        ensure!(
            self.code == Some(code),
            "it ended with {:?}, not {code}, and said: {said}",
            self.code
        );
        // Lines are broken where a list is made.
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for phrase in phrases {
            ensure!(
                flat.contains(phrase),
                "it does not say {phrase:?} but: {said}"
            );
        }
        Ok(())
    }
}

impl Stage {
    /// Boots a machine with an empty second disk, and sets it to work.
    pub fn set(setup: &Setup) -> Result<Self> {
        let stage = Self::idle(setup, "faults")?;
        stage.work()?;
        Ok(stage)
    }

    /// Boots one that has nothing to do. Its logs go to `target/LABEL`.
    pub fn idle(setup: &Setup, label: &str) -> Result<Self> {
        let folder = rustobj::workspace().join("target").join(label);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let to = setup.to.first().context("no kernel to load")?;
        let mut disks = setup.fresh_disks(0)?;
        let spare = folder.join("spare.img");
        let made = File::create(&spare).and_then(|file| file.set_len(SPARE));
        made.with_context(|| format!("cannot create {}", spare.display()))?;
        disks.push(spare);
        let machine = Machine::boot(setup, &disks, "", &folder)?;
        let booted = Facts::of(&machine)?;
        let acks = AckServer::start()?;
        let stage = Self {
            machine,
            from: setup.from.release.clone(),
            to: to.release.clone(),
            acks,
            booted,
            beside: None,
            folder,
        };
        // So that also those who may not load it meet it.
        stage.shell(&format!(
            "insmod /lib/modules/{}/extra/baton.ko",
            stage.from
        ))?;
        Ok(stage)
    }

    fn work(&self) -> Result<()> {
        let timer = progress::timed("Working", format_args!("{WRITERS} writers"));
        let line = format!(
            "exec baton-guest workload --processes --dir {WORK} --ack {HOST}:{} --cache {CACHE} \
             --pause-us {PAUSE_US} --seed 1",
            self.acks.port()
        );
        let client = self.machine.client;
        client.start(&["/bin/sh", "-c", &line], "/var/log/workload.log")?;
        ensure!(
            self.acks.wait(FILL, |log| log.filled(WRITERS)),
            "the workload does not come up"
        );
        timer.done();
        Ok(())
    }

    /// Runs a line of shell that has to succeed; its output.
    pub fn shell(&self, line: &str) -> Result<String> {
        let said = self.try_shell(line)?;
        ensure!(
            said.code == Some(0),
            "`{line}`: {:?} {}",
            said.code,
            said.text
        );
        Ok(said.text.trim().to_owned())
    }

    /// Runs a line of shell.
    pub fn try_shell(&self, line: &str) -> Result<Said> {
        run(self.machine.client, line, SOON)
    }

    /// Runs `baton` with these words.
    pub fn baton(&self, words: &str) -> Result<Said> {
        run(self.machine.client, &format!("exec baton {words}"), LONG)
    }

    /// Runs `baton` with these words, and goes on meanwhile.
    pub fn begin(&self, words: &str) -> Running {
        let (client, line) = (self.machine.client, format!("exec baton {words}"));
        Running(thread::spawn(move || run(client, &line, LONG)))
    }

    /// The words that load the other kernel, with more of them.
    pub fn load(&self, more: &str) -> String {
        format!("load --kernel /boot/vmlinuz-{} {more}", self.to)
    }

    /// `baton load` with more words is refused as described.
    pub fn refuses(&self, more: &str, code: i32, phrases: &[&str]) -> Result<()> {
        self.baton(&self.load(more))?.expect(code, phrases)
    }

    /// Loads the other kernel, which has to succeed.
    pub fn loaded(&mut self, more: &str) -> Result<()> {
        self.baton(&self.load(more))?.expect(0, &["ready"])?;
        let facts = Facts::of(&self.machine)?;
        self.beside.get_or_insert((facts.cpus, facts.memory_kib));
        Ok(())
    }

    /// Unloads it again.
    pub fn unload(&self) -> Result<()> {
        self.baton("unload")?.expect(0, &["is stopped"])
    }

    /// What `baton status` says.
    pub fn status(&self) -> Result<Value> {
        let said = self.baton("status --json")?;
        said.expect(0, &[])?;
        serde_json::from_str(&said.text).context("`baton status --json` does not print JSON")
    }

    /// Whether a kernel is loaded, ready or not.
    pub fn is_loaded(&self) -> Result<bool> {
        Ok(!self.status()?["second"].is_null())
    }

    /// Waits until `condition` holds.
    pub fn wait(&self, what: &str, condition: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let limit = Instant::now() + LONG;
        while !condition(self)? {
            ensure!(Instant::now() < limit, "in vain waited until {what}");
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Waits until the CPU of a kernel that is being loaded runs.
    pub fn wait_started(&self) -> Result<()> {
        self.wait("the other kernel is started", Self::is_loaded)
    }

    /// Physical address of a word of a section of the handoff region of the loaded kernel.
    pub fn address(&self, section: Section, offset: u64) -> Result<u64> {
        let status = self.status()?;
        let memory = &status["second"]["memory"];
        let (base, size) = (memory[0].as_u64(), memory[1].as_u64());
        let (base, size) = base.zip(size).context("no kernel is loaded")?;
        Ok(base + size - TAIL + section.offset as u64 + offset)
    }

    /// Turns a bit of the word at `at` over; twice is never.
    pub fn poke(&self, at: u64) -> Result<()> {
        self.shell(&format!("baton-guest mischief poke --at {at}"))
            .map(drop)
    }

    /// That the machine is as before: every writer goes on, and CPUs, memory and status are right.
    pub fn unharmed(&self) -> Result<()> {
        let done = |log: &AckLog| -> BTreeMap<u32, usize> {
            let writers = log.writers.iter();
            writers
                .map(|(number, log)| (*number, log.acked.len()))
                .collect()
        };
        let before = done(&self.acks.snapshot());
        let alive = self.acks.wait(ALIVE, |log| {
            let now = done(log);
            before
                .iter()
                .all(|(writer, count)| now.get(writer) > Some(count))
        });
        let log = self.acks.snapshot();
        for writer in log.writers.values() {
            if let Some(error) = &writer.failed {
                bail!("{} has failed: {error}", writer.hello.dir);
            }
        }
        if !alive {
            let now = done(&log);
            let stuck = before
                .iter()
                .filter(|(writer, count)| now.get(writer) <= Some(count));
            let stuck: Vec<String> = stuck.map(|(writer, _)| writer.to_string()).collect();
            bail!(
                "writers {} do nothing for {} s",
                stuck.join(", "),
                ALIVE.as_secs()
            );
        }
        let facts = Facts::of(&self.machine)?;
        ensure!(facts.boot_id == self.booted.boot_id, "it is another kernel");
        let status = self.status()?;
        ensure!(
            status["running"] == self.from.as_str(),
            "status says that {} runs",
            status["running"]
        );
        let is_loaded = !status["second"].is_null();
        let wanted = match self.beside {
            Some(beside) if is_loaded => beside,
            _ => (self.booted.cpus, self.booted.memory_kib),
        };
        ensure!(
            (facts.cpus, facts.memory_kib) == wanted,
            "there are {} CPUs and {} KiB of memory, there were {} and {} ({})",
            facts.cpus,
            facts.memory_kib,
            wanted.0,
            wanted.1,
            if is_loaded { "loaded" } else { "not loaded" }
        );
        Ok(())
    }

    /// Compares the files with what the writers reported; how many operations.
    pub fn judge(self) -> Result<u64> {
        let timer = progress::timed("Checking", "every file against what was promised");
        let log = self.acks.freeze();
        self.shell(
            "for p in $(pidof baton-guest); do \
             grep -q workload /proc/$p/cmdline && kill -9 $p; done; true",
        )?;
        let text = self.machine.manifest(WORK)?;
        let report = check(&log, &Manifest::parse(&text)?, &Options::default());
        ensure!(
            report.ok(),
            "what the writers reported is not there:\n{report}"
        );
        timer.done();
        Ok(report.acked_ops)
    }

    /// What the kernels said last.
    pub fn diagnosis(&self) -> String {
        let mut text = String::new();
        for log in ["serial0.log", "serial1.log"] {
            let path = self.folder.join(log);
            let bytes = fs::read(&path).unwrap_or_default();
            let content = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = content.lines().collect();
            let tail = lines[lines.len().saturating_sub(LINES)..].join("\n");
            text.push_str(&format!("The end of {}:\n{tail}\n", path.display()));
        }
        text
    }
}

fn run(client: GuestClient, line: &str, limit: Duration) -> Result<Said> {
    let argv = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
    let request = Exec {
        argv,
        timeout_ms: limit.as_millis().try_into().unwrap_or(u64::MAX),
        ..Exec::default()
    };
    Ok(Said::of(&client.exec(&request, &[])?))
}
