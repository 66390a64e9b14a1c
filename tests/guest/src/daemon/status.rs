//! The status service: a line on connection, and a line for each line received.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Longest line that is read.
const LINE_MAX: u64 = 4096;

/// One reply. Which kernel answers is found out anew for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `uname -r`.
    pub release: String,
    /// The kernel's random identity, one per boot; empty without procfs.
    pub boot_id: String,
    /// Counts the replies of this process, from 1.
    pub count: u64,
    /// Process id of the daemon.
    pub pid: u32,
}

/// The state of the service.
#[derive(Debug, Default)]
pub struct Service {
    count: AtomicU64,
}

impl Service {
    /// Serves one connection until the client closes it.
    pub fn serve(&self, stream: TcpStream) {
        drop(self.converse(stream));
    }

    fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.write_all(&self.reply()?)?;
        let mut lines = BufReader::new(stream.try_clone()?);
        let mut line = Vec::new();
        while (&mut lines).take(LINE_MAX).read_until(b'\n', &mut line)? > 0 {
            line.clear();
            stream.write_all(&self.reply()?)?;
        }
        Ok(())
    }

    /// The reply as a line of JSON.
    fn reply(&self) -> io::Result<Vec<u8>> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let status = Status {
            release: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            boot_id: boot_id.trim().to_owned(),
            // Relaxed: a statistic; it orders nothing.
            count: self.count.fetch_add(1, Ordering::Relaxed) + 1,
            pid: std::process::id(),
        };
        let mut line = serde_json::to_vec(&status)?;
        line.push(b'\n');
        Ok(line)
    }
}
