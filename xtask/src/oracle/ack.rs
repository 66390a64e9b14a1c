//! The recorder of the writers' records.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use baton_guest::record::{go_ahead, Record};

use super::log::AckLog;

/// How often a waiting caller looks at the log.
const POLL: Duration = Duration::from_millis(3);

/// Listens on a free port of the loopback address, which a machine under QEMU's
/// user network reaches as 10.0.2.2.
///
/// A machine that vanishes leaves its connections stalled; that is no error.
/// Dropping the server closes them.
#[derive(Debug)]
pub struct AckServer {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Once set, nothing is recorded and no operation is permitted.
    frozen: bool,
    log: AckLog,
    connections: Vec<TcpStream>,
}

impl Shared {
    /// A poisoned lock is taken as it is: every change of the state is complete
    /// before anything that could panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AckServer {
    /// Starts listening.
    ///
    /// # Errors
    /// No port or no thread can be had.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("bind the recorder")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            start: Instant::now(),
            state: Mutex::default(),
        });
        let server = Self {
            port,
            shared: Arc::clone(&shared),
        };
        thread::Builder::new().spawn(move || accept(&listener, &shared))?;
        Ok(server)
    }

    /// The port to give to the workload.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Waits until the log is as `wanted` says; false if that took longer than
    /// `timeout`.
    pub fn wait(&self, timeout: Duration, wanted: impl Fn(&AckLog) -> bool) -> bool {
        let limit = Instant::now() + timeout;
        loop {
            if wanted(&self.shared.lock().log) {
                return true;
            }
            if Instant::now() >= limit {
                return false;
            }
            thread::sleep(POLL);
        }
    }

    /// A copy of the log as it is now.
    #[must_use]
    pub fn snapshot(&self) -> AckLog {
        self.shared.lock().log.clone()
    }

    /// Ends the recording and hands out the log. What arrives later is neither
    /// recorded nor answered, so a writer that still lives stops before its next
    /// operation. Records that have arrived unread are lost, which is sound:
    /// an operation whose intent is lost has had no go-ahead.
    #[must_use]
    pub fn freeze(&self) -> AckLog {
        let mut state = self.shared.lock();
        state.frozen = true;
        std::mem::take(&mut state.log)
    }
}

impl Drop for AckServer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.frozen = true;
        for connection in state.connections.drain(..) {
            // Already gone is as good.
            drop(connection.shutdown(Shutdown::Both));
        }
        drop(state);
        // Wakes the listening thread, which sees that the server is frozen.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

/// Starts a thread per connection until the server is frozen.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.lock().frozen {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let result = record(stream, &shared);
            if let Err(error) = result {
                // A reset is what a killed machine may look like.
                if error.kind() == io::ErrorKind::InvalidData {
                    shared.lock().log.breaches.push(error.to_string());
                }
            }
        });
    }
}

/// Records one writer until it or the server ends.
fn record(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut answers = stream.try_clone()?;
    shared.lock().connections.push(stream.try_clone()?);
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    let mut writer = None;
    loop {
        line.clear();
        lines.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            // The end, or a record cut off by it.
            return Ok(());
        }
        let record: Record = serde_json::from_slice(&line)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let at_us = shared
            .start
            .elapsed()
            .as_micros()
            .try_into()
            .unwrap_or(u64::MAX);
        let mut state = shared.lock();
        if state.frozen {
            return Ok(());
        }
        match (writer, record) {
            (None, Record::Hello(hello)) => {
                writer = Some(hello.writer);
                state.log.join(hello);
            }
            (None, _) => state
                .log
                .breaches
                .push("a record before the hello".to_owned()),
            (Some(writer), record) => {
                if let Some(seq) = state.log.add(writer, record, at_us) {
                    // Under the lock: after a freeze there is no go-ahead.
                    answers.write_all(go_ahead(seq).as_bytes())?;
                }
            }
        }
    }
}
