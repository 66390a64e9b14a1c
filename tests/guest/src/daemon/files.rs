//! Put and get.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::frame::{self, Answer};

/// Tells apart the temporary files of concurrent puts. Only uniqueness matters.
static PUTS: AtomicU64 = AtomicU64::new(0);

/// Receives a file and renames it into place.
pub fn put(stream: &mut TcpStream, path: &str, mode: u32) -> io::Result<Answer> {
    let serial = PUTS.fetch_add(1, Ordering::Relaxed);
    let temporary = format!("{path}.put.{}.{serial}", std::process::id());
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary);
    let mut file = match created {
        Ok(file) => file,
        Err(error) => {
            // The client is sending: take all of it, or it never reads the answer.
            frame::receive_data(stream, &mut io::sink())?;
            return Err(error);
        }
    };
    let stored = frame::receive_data(stream, &mut file).and_then(|bytes| {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        // Closed for writing before the name appears, so that it can be run at once.
        drop(file);
        fs::rename(&temporary, path)?;
        Ok(Answer::Ok { bytes })
    });
    if stored.is_err() {
        drop(fs::remove_file(&temporary));
    }
    stored
}

/// Sends a file.
pub fn get(stream: &mut TcpStream, path: &str) -> io::Result<Answer> {
    let opened = File::open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => {
            frame::send_data(stream, &mut io::empty())?;
            return Err(error);
        }
    };
    frame::send_data(stream, &mut file).map(|bytes| Answer::Ok { bytes })
}
