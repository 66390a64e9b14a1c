//! A writer's end of the record protocol.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{ensure, Context, Result};

use crate::record::{go_ahead, Hello, Op, Record};

/// One writer's connection to the host.
#[derive(Debug)]
pub struct Channel {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
}

impl Channel {
    /// Connects and introduces the writer. `host` is a numeric address.
    ///
    /// # Errors
    /// The host cannot be reached.
    pub fn open(host: &str, hello: &Hello) -> Result<Self> {
        let address: SocketAddr = host
            .parse()
            .with_context(|| format!("{host:?} as address"))?;
        let stream = TcpStream::connect(address).with_context(|| format!("connect to {host}"))?;
        stream.set_nodelay(true)?;
        let answers = BufReader::new(stream.try_clone()?);
        let mut channel = Self { stream, answers };
        channel.send(&Record::Hello(hello.clone()))?;
        Ok(channel)
    }

    /// Sends one record.
    ///
    /// # Errors
    /// The host is gone.
    pub fn send(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.stream.write_all(&line).context("send to the host")
    }

    /// Announces an operation and waits for the go-ahead, forever if the host
    /// does not give it. Only after this returns may the operation be done.
    ///
    /// # Errors
    /// The host is gone, or answers something else.
    pub fn announce(&mut self, seq: u64, op: &Op) -> Result<()> {
        self.send(&Record::Intent {
            seq,
            op: op.clone(),
        })?;
        let mut answer = String::new();
        self.answers
            .read_line(&mut answer)
            .context("wait for the host")?;
        ensure!(
            answer == go_ahead(seq),
            "the host answered {answer:?} to operation {seq}"
        );
        Ok(())
    }
}
