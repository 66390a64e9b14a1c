//! The host's end of the exec protocol.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use baton_guest::frame::{self, Answer, Exec, Kind, Request};

/// What the transport may add to the time of a command.
const SLACK: Duration = Duration::from_secs(10);

/// Limit without progress of transfers, and of commands without a limit.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a command did.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its output.
    pub stdout: Vec<u8>,
    /// Its error output.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub answer: Answer,
}

impl Output {
    /// Whether it exited with 0.
    #[must_use]
    pub const fn success(&self) -> bool {
        matches!(
            self.answer,
            Answer::Exit {
                code: Some(0),
                timed_out: false,
                ..
            }
        )
    }
}

/// Talks to the daemon of a test machine. Holds no connection, so it serves
/// across an update.
#[derive(Clone, Copy, Debug)]
pub struct GuestClient {
    address: SocketAddr,
}

impl GuestClient {
    /// A client for the exec port that is forwarded to `address`.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Connects and sends `request`; `limit` is that of each later read.
    fn open(&self, request: &Request, limit: Duration) -> Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&self.address, SLACK)
            .with_context(|| format!("connect to the guest at {}", self.address))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        frame::send_json(&mut stream, request)?;
        Ok(stream)
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// It could not be started, or the machine does not answer. A command that
    /// fails or runs out of time is not an error of this function.
    pub fn exec(&self, request: &Exec, mut stdin: &[u8]) -> Result<Output> {
        let limit = match request.timeout_ms {
            0 => PATIENCE,
            ms => Duration::from_millis(ms) + SLACK,
        };
        let mut stream = self.open(&Request::Exec(request.clone()), limit)?;
        frame::send_data(&mut stream, &mut stdin)?;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            let (kind, mut payload) = frame::receive(&mut stream)
                .with_context(|| format!("wait for {:?}", request.argv))?;
            match kind {
                Kind::Stdout => stdout.append(&mut payload),
                Kind::Stderr => stderr.append(&mut payload),
                Kind::Json => {
                    let answer = serde_json::from_slice(&payload)?;
                    if let Answer::Error { message } = answer {
                        bail!("{:?}: {message}", request.argv);
                    }
                    return Ok(Output {
                        stdout,
                        stderr,
                        answer,
                    });
                }
                Kind::Data => bail!("unexpected data from the guest"),
            }
        }
    }

    /// Runs a command that must succeed; returns its output.
    ///
    /// # Errors
    /// As [`Self::exec`], and any end but exit code 0.
    pub fn run(&self, argv: &[&str], timeout: Duration) -> Result<Vec<u8>> {
        let timeout_ms = timeout.as_millis().try_into().unwrap_or(u64::MAX);
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        let request = Exec {
            argv,
            timeout_ms,
            ..Exec::default()
        };
        let output = self.exec(&request, &[])?;
        if !output.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("{:?}: {:?}: {}", request.argv, output.answer, stderr.trim());
        }
        Ok(output.stdout)
    }

    /// Starts a command that outlives the connection; returns its process id.
    /// Its output goes to the file `log` on the guest.
    ///
    /// # Errors
    /// As [`Self::exec`].
    pub fn start(&self, argv: &[&str], log: &str) -> Result<u32> {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        let log = Some(log.to_owned());
        let request = Exec {
            argv,
            detach: true,
            log,
            ..Exec::default()
        };
        match self.exec(&request, &[])?.answer {
            Answer::Started { pid } => Ok(pid),
            other => bail!("{:?}: {other:?}", request.argv),
        }
    }

    /// Stores the local file `from` as `to`.
    ///
    /// # Errors
    /// Of either side, or of the connection.
    pub fn put(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let mut file = File::open(from).with_context(|| format!("open {}", from.display()))?;
        let request = Request::Put {
            path: to.to_owned(),
            mode,
        };
        let mut stream = self.open(&request, PATIENCE)?;
        let sent = frame::send_data(&mut stream, &mut file)?;
        finish(&mut stream, sent).with_context(|| format!("put {to}"))
    }

    /// Fetches the file `path`.
    ///
    /// # Errors
    /// Of the guest, or of the connection.
    pub fn get(&self, path: &str) -> Result<Vec<u8>> {
        let mut stream = self.open(
            &Request::Get {
                path: path.to_owned(),
            },
            PATIENCE,
        )?;
        let mut content = Vec::new();
        let received = frame::receive_data(&mut stream, &mut content)?;
        finish(&mut stream, received).with_context(|| format!("get {path}"))?;
        Ok(content)
    }

    /// Waits until the daemon answers.
    ///
    /// # Errors
    /// It does not within `timeout`.
    pub fn wait_ready(&self, timeout: Duration) -> Result<()> {
        let limit = Instant::now() + timeout;
        loop {
            let request = Request::Get {
                path: "/proc/uptime".to_owned(),
            };
            let answered =
                self.open(&request, Duration::from_millis(500))
                    .and_then(|mut stream| {
                        frame::receive_data(&mut stream, &mut std::io::sink())?;
                        Ok(())
                    });
            match answered {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= limit => {
                    return Err(error.context("the guest does not answer"));
                }
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// Reads the answer to a transfer of `bytes` bytes.
fn finish(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let (_, payload) = frame::receive(stream)?;
    match serde_json::from_slice(&payload)? {
        Answer::Ok { bytes: stored } if stored == bytes => Ok(()),
        Answer::Error { message } => bail!("{message}"),
        other => bail!("the guest answered {other:?} to {bytes} bytes"),
    }
}
