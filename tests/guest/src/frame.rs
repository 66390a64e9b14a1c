//! The exec protocol between host and guest.
//!
//! A frame is: length of the payload (u32, little endian), kind (one byte),
//! payload. One request per connection:
//! - exec: client sends [`Request::Exec`], then stdin as `Data` frames ended by
//!   an empty one. Server sends `Stdout` and `Stderr` frames as output comes,
//!   then one [`Answer`].
//! - put: client sends [`Request::Put`], then the file as `Data` frames ended by
//!   an empty one. Server sends one [`Answer`].
//! - get: client sends [`Request::Get`]. Server sends the file as `Data` frames
//!   ended by an empty one, then one [`Answer`].
//!
//! A connection that ends before the `Answer` means that nothing is known.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

/// Longest payload that is sent or accepted.
pub const PAYLOAD_MAX: usize = 1 << 20;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A [`Request`] or an [`Answer`] as JSON.
    Json,
    /// File content or stdin.
    Data,
    /// Output of the command.
    Stdout,
    /// Error output of the command.
    Stderr,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Json => b'J',
            Self::Data => b'D',
            Self::Stdout => b'O',
            Self::Stderr => b'E',
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'J' => Some(Self::Json),
            b'D' => Some(Self::Data),
            b'O' => Some(Self::Stdout),
            b'E' => Some(Self::Stderr),
            _ => None,
        }
    }
}

/// A command to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Program and arguments. The program is searched in `PATH`.
    pub argv: Vec<String>,
    /// Added to the daemon's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working directory; the daemon's own where absent.
    #[serde(default)]
    pub cwd: Option<String>,
    /// The whole process group is killed after this time; 0 is no limit.
    #[serde(default)]
    pub timeout_ms: u64,
    /// Do not wait: answer with the process id as soon as it runs.
    #[serde(default)]
    pub detach: bool,
    /// Where the output of a detached command goes; nowhere if absent.
    #[serde(default)]
    pub log: Option<String>,
}

/// What the client wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the variants' docs name the fields")]
pub enum Request {
    /// Run a command.
    Exec(Exec),
    /// Store a file, atomically and with these permission bits.
    Put { path: String, mode: u32 },
    /// Fetch a file.
    Get { path: String },
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the variants' docs name the fields")]
pub enum Answer {
    /// The command exited, was killed by a signal, or ran out of time.
    Exit {
        code: Option<i32>,
        signal: Option<i32>,
        timed_out: bool,
    },
    /// The detached command runs.
    Started { pid: u32 },
    /// The file is stored or was sent whole.
    Ok { bytes: u64 },
    /// The request failed on the guest.
    Error { message: String },
}

/// Writes one frame.
///
/// # Errors
/// Those of the writer, and a payload over [`PAYLOAD_MAX`].
pub fn send(out: &mut impl Write, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    if payload.len() > PAYLOAD_MAX {
        return Err(io::Error::other("frame too long"));
    }
    let mut frame = Vec::with_capacity(payload.len() + 5);
    frame.extend_from_slice(&len.to_le_bytes());
    frame.push(kind.byte());
    frame.extend_from_slice(payload);
    out.write_all(&frame)
}

/// Writes `value` as a JSON frame.
///
/// # Errors
/// As [`send`].
pub fn send_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    send(out, Kind::Json, &serde_json::to_vec(value)?)
}

/// Copies all of `from` into `Data` frames, ended by an empty one; returns the
/// number of bytes.
///
/// # Errors
/// Those of either side.
pub fn send_data(out: &mut impl Write, from: &mut impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    loop {
        let got = from.read(&mut buffer)?;
        send(out, Kind::Data, &buffer[..got])?;
        if got == 0 {
            return Ok(total);
        }
        total += got as u64;
    }
}

/// Reads one frame.
///
/// # Errors
/// Those of the reader, and a frame of unknown kind or over [`PAYLOAD_MAX`].
pub fn receive(from: &mut impl Read) -> io::Result<(Kind, Vec<u8>)> {
    let mut header = [0; 5];
    from.read_exact(&mut header)?;
    let [a, b, c, d, kind] = header;
    let len = u32::from_le_bytes([a, b, c, d]) as usize;
    let kind = Kind::from_byte(kind).filter(|_| len <= PAYLOAD_MAX);
    let kind = kind.ok_or_else(|| io::Error::other("malformed frame"))?;
    let mut payload = vec![0; len];
    from.read_exact(&mut payload)?;
    Ok((kind, payload))
}

/// Copies `Data` frames into `out` until the empty one; returns the number of
/// bytes.
///
/// # Errors
/// Those of either side, and a frame of another kind.
pub fn receive_data(from: &mut impl Read, out: &mut impl Write) -> io::Result<u64> {
    let mut total = 0;
    loop {
        let (kind, payload) = receive(from)?;
        if kind != Kind::Data {
            return Err(io::Error::other("expected a data frame"));
        }
        if payload.is_empty() {
            return Ok(total);
        }
        out.write_all(&payload)?;
        total += payload.len() as u64;
    }
}
