//! Running a command and streaming its output.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{kill_process_group, Pid, Signal};

use crate::frame::{self, Answer, Exec, Kind};

/// How long to wait, after the command has exited, for output that a process it
/// left behind still holds open.
const LINGER: Duration = Duration::from_secs(5);

/// What the threads around a command report.
enum Event {
    Output(Kind, Vec<u8>),
    Exited(io::Result<ExitStatus>),
}

/// Runs `request`; output goes to `stream` as it comes. A client that goes away
/// takes the command with it, a detached command excepted.
pub fn run(stream: &mut TcpStream, request: &Exec) -> io::Result<Answer> {
    let mut stdin = Vec::new();
    frame::receive_data(stream, &mut stdin)?;
    let mut command = command(request)?;
    if request.detach {
        return detach(command, request);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let events = watch(child, stdin);
    let (status, timed_out) = match stream_output(stream, &events, request.timeout_ms) {
        Ok(Some(status)) => (status?, false),
        // Timed out, or the client is gone.
        other => {
            if let Some(group) = group {
                // Nothing left to kill is as good.
                let _ = kill_process_group(group, Signal::KILL);
            }
            other?;
            (wait_exit(&events)?, true)
        }
    };
    Ok(Answer::Exit {
        code: status.code(),
        signal: status.signal(),
        timed_out,
    })
}

/// The command, in a process group of its own.
fn command(request: &Exec) -> io::Result<Command> {
    let (program, arguments) = request
        .argv
        .split_first()
        .ok_or_else(|| io::Error::other("empty argv"))?;
    let mut command = Command::new(program);
    command.args(arguments).envs(&request.env).process_group(0);
    if let Some(cwd) = &request.cwd {
        command.current_dir(cwd);
    }
    Ok(command)
}

/// Starts the command, and reaps it when it ends.
fn detach(mut command: Command, request: &Exec) -> io::Result<Answer> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(log) = &request.log {
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        command.stderr(file.try_clone()?).stdout(file);
    }
    let mut child = command.spawn()?;
    let pid = child.id();
    thread::Builder::new().spawn(move || drop(child.wait()))?;
    Ok(Answer::Started { pid })
}

/// Feeds stdin, collects output and waits for the exit, each in a thread.
fn watch(mut child: Child, stdin: Vec<u8>) -> Receiver<Event> {
    let (sender, events) = mpsc::channel();
    if let Some(mut pipe) = child.stdin.take() {
        thread::spawn(move || drop(io::Write::write_all(&mut pipe, &stdin)));
    }
    if let Some(pipe) = child.stdout.take() {
        let sender = sender.clone();
        thread::spawn(move || collect(pipe, Kind::Stdout, &sender));
    }
    if let Some(pipe) = child.stderr.take() {
        let sender = sender.clone();
        thread::spawn(move || collect(pipe, Kind::Stderr, &sender));
    }
    thread::spawn(move || drop(sender.send(Event::Exited(child.wait()))));
    events
}

/// Passes on what comes out of `pipe` until it is closed.
fn collect(mut pipe: impl Read, kind: Kind, sender: &Sender<Event>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(got @ 1..) = pipe.read(&mut buffer) {
        if sender
            .send(Event::Output(kind, buffer[..got].to_vec()))
            .is_err()
        {
            return;
        }
    }
}

/// Sends output until the command has exited and its output is closed (or
/// [`LINGER`] is over). `None`: the time ran out.
fn stream_output(
    stream: &mut TcpStream,
    events: &Receiver<Event>,
    timeout_ms: u64,
) -> io::Result<Option<io::Result<ExitStatus>>> {
    let limit = (timeout_ms > 0).then(|| Instant::now() + Duration::from_millis(timeout_ms));
    let mut exited = None;
    let mut until = limit;
    loop {
        let wait = until.map_or(Duration::from_secs(3600), |until| {
            until.saturating_duration_since(Instant::now())
        });
        match events.recv_timeout(wait) {
            Ok(Event::Output(kind, bytes)) => frame::send(stream, kind, &bytes)?,
            Ok(Event::Exited(status)) => {
                exited = Some(status);
                until = Some(Instant::now() + LINGER);
            }
            Err(RecvTimeoutError::Timeout) if until.is_none() => {}
            Err(_) => return Ok(exited),
        }
    }
}

/// Waits for the exit of a command that has been killed.
fn wait_exit(events: &Receiver<Event>) -> io::Result<ExitStatus> {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        match events.recv_timeout(limit.saturating_duration_since(Instant::now())) {
            Ok(Event::Exited(status)) => return status,
            Ok(Event::Output(..)) => {}
            Err(_) => return Err(io::Error::other("the command does not die")),
        }
    }
}
