//! A virtual machine: start it, follow its consoles, stop and resume it.
//!
//! ```text
//! let mut vm = VmBuilder::new(&kernel.vmlinuz).initrd(..).disk(..).start(&qemu, &dir)?;
//! vm.wait_for(Serial::First, "userland up", Duration::from_secs(60))?;
//! ```
//!
//! The first kernel prints on ttyS0, the second on ttyS1; each has a log file.
//! The machine dies with the [`Vm`].

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use serde_json::{json, Value};

use crate::qemu::Qemu;

mod builder;
mod ports;
mod qmp;
#[cfg(test)]
mod tests;

pub use builder::{Bus, Nic, VmBuilder};
use ports::Forward;
use qmp::Qmp;

const POLL: Duration = Duration::from_millis(20);
const START: Duration = Duration::from_secs(20);
/// How often QEMU is started when its ports turn out to be taken.
const ATTEMPTS: u32 = 5;
const TAIL: usize = 25;

/// A serial port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serial {
    /// ttyS0: the kernel that the machine booted.
    First = 0,
    /// ttyS1: the kernel started beside it.
    Second = 1,
}

/// A running machine. Dropping it kills QEMU.
#[derive(Debug)]
pub struct Vm {
    qemu: Child,
    qmp: Qmp,
    dir: PathBuf,
    forwards: Vec<Forward>,
    /// Up to where each serial log was searched.
    seen: [usize; 2],
    _socket: SocketDir,
}

impl VmBuilder {
    /// Starts the machine; its logs (`serial0.log`, `serial1.log`, `qemu.log`)
    /// go to the folder `dir`, which is created. Old ones are overwritten.
    pub fn start(&self, qemu: &Qemu, dir: &Path) -> Result<Vm> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let mut attempt = 1;
        loop {
            match self.try_start(qemu, dir) {
                // Somebody took a port between its choice and its use.
                Err(_) if attempt < ATTEMPTS && errors(dir).contains("host forwarding") => {}
                result => return result,
            }
            attempt += 1;
        }
    }

    fn try_start(&self, qemu: &Qemu, dir: &Path) -> Result<Vm> {
        for index in 0..2 {
            let log = log(dir, index);
            File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        }
        let stderr = File::create(dir.join("qemu.log")).context("cannot create qemu.log")?;
        let socket = SocketDir::new()?;
        let path = socket.0.join("qmp");
        let forwards = ports::pick(&self.guest_ports)?;
        let (stdin, stdout) = match self.on_terminal {
            true => (Stdio::inherit(), Stdio::inherit()),
            false => (Stdio::null(), Stdio::null()),
        };
        let mut command = qemu.command();
        command.args(self.arguments(dir, &path, &forwards));
        let child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn();
        let mut child = Guard(Some(child.context("cannot start QEMU")?));
        let qmp = connect(&path, &mut child, dir)?;
        let Some(qemu) = child.0.take() else {
            bail!("QEMU is gone")
        };
        let dir = dir.to_owned();
        Ok(Vm {
            qemu,
            qmp,
            dir,
            forwards,
            seen: [0; 2],
            _socket: socket,
        })
    }
}

impl Vm {
    /// Waits until `text` appears on a serial port, after where the last wait
    /// on that port found its own; returns the line that has it.
    ///
    /// Fails, with the end of the log, when `timeout` passes or QEMU ends.
    pub fn wait_for(&mut self, serial: Serial, text: &str, timeout: Duration) -> Result<String> {
        let until = Instant::now() + timeout;
        loop {
            // Asked before the log is read, so that the last output counts.
            let ended = self.try_wait()?;
            if let Some(line) = self.find(serial, text)? {
                return Ok(line);
            }
            let why = match ended {
                Some(status) => format!("QEMU ended ({status})"),
                None if Instant::now() >= until => format!("{} s passed", timeout.as_secs_f32()),
                None => {
                    thread::sleep(POLL);
                    continue;
                }
            };
            bail!(
                "{why} before `{text}` appeared on {serial:?} serial\n{}",
                self.tail(serial)
            );
        }
    }

    /// Waits until QEMU ends by itself, as it does at power-off and reboot.
    pub fn wait_exit(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + timeout;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= until {
                let (passed, tail) = (timeout.as_secs_f32(), self.tail(Serial::First));
                bail!("the machine still runs after {passed} s\n{tail}");
            }
            thread::sleep(POLL);
        }
    }

    /// QEMU's exit status, if it has ended.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.qemu.try_wait().context("cannot ask for QEMU's state")
    }

    /// Stops every CPU of the machine; its memory stays as it is.
    pub fn stop(&mut self) -> Result<()> {
        self.command("stop", json!({})).map(drop)
    }

    /// Lets a stopped machine go on.
    pub fn cont(&mut self) -> Result<()> {
        self.command("cont", json!({})).map(drop)
    }

    /// What QEMU calls the machine's state: `running`, `paused`, …
    pub fn status(&mut self) -> Result<String> {
        let answer = self.command("query-status", json!({}))?;
        let status = answer.get("status").and_then(Value::as_str);
        Ok(status.context("QEMU does not say its status")?.to_owned())
    }

    /// Ends QEMU at once, writing back what it holds of the disks.
    pub fn quit(mut self) -> Result<()> {
        self.command("quit", json!({}))?;
        self.wait_exit(START).map(drop)
    }

    /// Runs any command of QEMU's machine protocol.
    pub fn command(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let result = self.qmp.execute(command, arguments);
        result.with_context(|| format!("QEMU's own messages: {}", errors(&self.dir)))
    }

    /// The port of 127.0.0.1 that leads to `guest_port` of the guest.
    pub fn port(&self, guest_port: u16) -> Result<u16> {
        let forward = self
            .forwards
            .iter()
            .find(|forward| forward.guest == guest_port);
        Ok(forward
            .with_context(|| format!("port {guest_port} is not forwarded"))?
            .host)
    }

    /// QEMU's process id.
    pub fn pid(&self) -> u32 {
        self.qemu.id()
    }

    /// The log file of a serial port.
    pub fn log(&self, serial: Serial) -> PathBuf {
        log(&self.dir, serial as usize)
    }

    /// All that a serial port has printed.
    pub fn text(&self, serial: Serial) -> Result<String> {
        let path = self.log(serial);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn find(&mut self, serial: Serial, text: &str) -> Result<Option<String>> {
        let path = self.log(serial);
        let log = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let seen = &mut self.seen[serial as usize];
        let fresh = log.get(*seen..).unwrap_or_default();
        let found = fresh
            .windows(text.len().max(1))
            .position(|part| part == text.as_bytes());
        let Some(at) = found.map(|at| at + *seen) else {
            return Ok(None);
        };
        let start = log[..at]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let after = at + text.len();
        // A line is whole once its end is there: the rest may yet be printed.
        let Some(rest) = log[after..].iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        *seen = after;
        Ok(Some(
            String::from_utf8_lossy(&log[start..after + rest])
                .trim()
                .to_owned(),
        ))
    }

    fn tail(&self, serial: Serial) -> String {
        let text = self.text(serial).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        let (log, errors) = (self.log(serial), errors(&self.dir));
        format!(
            "--- end of {}:\n{tail}\n--- QEMU's own messages: {errors}",
            log.display()
        )
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Kills a child that nobody took over.
struct Guard(Option<Child>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A folder only we can enter, short enough for a socket's path.
#[derive(Debug)]
struct SocketDir(PathBuf);

impl SocketDir {
    fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let time = std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |time| time.subsec_nanos());
        let path = PathBuf::from(format!("/tmp/baton-{process}-{next}-{time:x}"));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        // A leftover in /tmp is harmless.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The log of a serial port, by its number.
fn log(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("serial{index}.log"))
}

/// What QEMU itself printed.
fn errors(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join("qemu.log")).unwrap_or_default();
    if text.trim().is_empty() {
        "none".to_owned()
    } else {
        text.trim().to_owned()
    }
}

fn connect(path: &Path, qemu: &mut Guard, dir: &Path) -> Result<Qmp> {
    let until = Instant::now() + START;
    loop {
        // QEMU opens the socket first and may fail after, so even a connection
        // can turn out to be to nobody.
        let attempt = UnixStream::connect(path)
            .context("QEMU does not open its control socket")
            .and_then(Qmp::new);
        let error = match attempt {
            Ok(qmp) => return Ok(qmp),
            Err(error) => error,
        };
        if let Some(child) = &mut qemu.0 {
            if let Some(status) = child.try_wait().context("cannot ask for QEMU's state")? {
                bail!("QEMU does not start ({status}): {}", errors(dir));
            }
        }
        if Instant::now() >= until {
            return Err(error);
        }
        thread::sleep(POLL);
    }
}
