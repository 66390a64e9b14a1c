//! The two services of the test machine, started by its init under each kernel.
//!
//! - `port`: the exec protocol of [`crate::frame`], for the harness.
//! - `port + 1`: the status service, whose outage the host measures.
//!
//! Both listen as soon as the process runs, before the network has an address.
//! One thread per connection; a connection that fails affects no other.

mod exec;
mod files;
pub mod status;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::frame::{self, Answer, Kind, Request};

/// Serves both ports until the process is killed.
///
/// # Errors
/// A port cannot be bound.
pub fn run(port: u16) -> io::Result<()> {
    let status = listen(port + 1)?;
    let exec = listen(port)?;
    let service = Arc::new(status::Service::default());
    thread::Builder::new().spawn(move || {
        accept(&status, move |stream| service.serve(stream));
    })?;
    accept(&exec, |stream| drop(serve(stream)));
    Ok(())
}

/// Binds to every address; the standard library sets `SO_REUSEADDR`.
fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
}

/// Runs `serve` in a thread of its own for each connection, forever.
fn accept(listener: &TcpListener, serve: impl Fn(TcpStream) + Clone + Send + 'static) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors or memory: let others finish.
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let serve = serve.clone();
        // A connection that gets no thread is closed; the client sees that.
        drop(
            thread::Builder::new()
                .stack_size(256 << 10)
                .spawn(move || serve(stream)),
        );
    }
}

/// Serves one request of the exec protocol.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (kind, payload) = frame::receive(&mut stream)?;
    if kind != Kind::Json {
        return Err(io::Error::other("expected a request"));
    }
    let answer = match serde_json::from_slice(&payload)? {
        Request::Exec(request) => exec::run(&mut stream, &request),
        Request::Put { path, mode } => files::put(&mut stream, &path, mode),
        Request::Get { path } => files::get(&mut stream, &path),
    };
    let answer = answer.unwrap_or_else(|error| Answer::Error {
        message: error.to_string(),
    });
    frame::send_json(&mut stream, &answer)
}
