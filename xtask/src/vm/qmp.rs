//! QEMU's control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use serde_json::{json, Value};

/// QEMU answers at once; if it does not, it is stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events that may come between a command and its answer.
const EVENTS: u32 = 10_000;

/// A connection that has negotiated and takes commands.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Negotiates on a fresh connection.
    pub fn new(stream: UnixStream) -> Result<Self> {
        stream
            .set_read_timeout(Some(PATIENCE))
            .context("cannot set a timeout")?;
        let mut qmp = Self {
            stream: BufReader::new(stream),
        };
        ensure!(
            qmp.message()?.get("QMP").is_some(),
            "this is not QEMU's control socket"
        );
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns what it returns.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stream.get_mut(), "{request}")
            .with_context(|| format!("QEMU does not take the command {command}"))?;
        for _ in 0..EVENTS {
            let mut message = self
                .message()
                .with_context(|| format!("no answer to the command {command}"))?;
            if let Some(error) = message.get("error") {
                bail!("QEMU refused {command}: {error}");
            }
            if let Some(answer) = message.get_mut("return") {
                return Ok(answer.take());
            }
        }
        bail!("{EVENTS} events and no answer to the command {command}")
    }

    fn message(&mut self) -> Result<Value> {
        let mut line = String::new();
        let length = self
            .stream
            .read_line(&mut line)
            .context("cannot read from QEMU")?;
        ensure!(length > 0, "QEMU closed its control socket");
        serde_json::from_str(&line).with_context(|| format!("QEMU said what is no JSON: {line}"))
    }
}
