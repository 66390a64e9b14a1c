//! Reading and writing attributes of sysfs.
//!
//! Writes go through [`Writer`], so that a test can stand for the kernel. Reads are plain files.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

/// How often a bounded write is looked at.
const POLL: Duration = Duration::from_millis(2);
/// How long a write may take to end after it was told to.
const GRACE: Duration = Duration::from_secs(5);

/// Writes attributes.
pub trait Writer {
    /// Writes `value` to the attribute `path`, for as long as it takes.
    ///
    /// # Errors
    /// What the kernel says.
    fn write(&self, path: &Path, value: &str) -> io::Result<()>;

    /// Writes `value` to the attribute `path`, and interrupts the kernel if it has not done it
    /// after `limit`.
    ///
    /// # Errors
    /// What the kernel says, or [`io::ErrorKind::TimedOut`].
    fn write_within(&self, path: &Path, value: &str, limit: Duration) -> io::Result<()>;
}

/// The running kernel.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

impl Writer for Kernel {
    fn write(&self, path: &Path, value: &str) -> io::Result<()> {
        OpenOptions::new()
            .write(true)
            .open(path)?
            .write_all(value.as_bytes())
    }

    /// The write is made by a process of its own, for only a signal ends it early.
    fn write_within(&self, path: &Path, value: &str, limit: Duration) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        let mut command = Command::new("/bin/echo");
        command
            .args(["-n", value])
            .stdin(Stdio::null())
            .stdout(file);
        let mut child = match command.stderr(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.write(path, value)
            }
            Err(error) => return Err(error),
        };
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = child.try_wait()? {
                let mut text = String::new();
                if let Some(mut stderr) = child.stderr.take() {
                    stderr.read_to_string(&mut text)?;
                }
                return match status.success() {
                    true => Ok(()),
                    false => Err(io::Error::other(text.trim().to_owned())),
                };
            }
            sleep(POLL);
        }
        child.kill()?;
        let end = Instant::now() + GRACE;
        while child.try_wait()?.is_none() && Instant::now() < end {
            sleep(POLL);
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// Content of the attribute `path`, without blanks around it.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> Result<String> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// Content of the attribute `path`, or `None` if this kernel does not have it.
///
/// # Errors
/// It is there and cannot be read.
pub fn read_optional(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The numbers of the entries `PREFIXnumber` of the directory `dir`, in rising order.
///
/// # Errors
/// The directory cannot be listed.
pub fn numbered(dir: &Path, prefix: &str) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let list = || format!("cannot list {}", dir.display());
    for entry in std::fs::read_dir(dir).with_context(list)? {
        let name = entry.with_context(list)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(prefix));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// A list of numbers as the kernel writes it: `0-3,5`.
///
/// # Errors
/// It is not one.
pub fn number_list(text: &str) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let parse = |number: &str| {
            let number = number.parse::<u32>();
            number.with_context(|| format!("\"{text}\" is not a list of numbers"))
        };
        let (first, last) = (parse(first)?, parse(last)?);
        if first > last || last > 0xffff {
            bail!("\"{text}\" is not a list of numbers");
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(number_list("0-3,5\n").unwrap(), [0, 1, 2, 3, 5]);
        assert!(number_list("\n").unwrap().is_empty());
        for bad in ["a", "3-1", "0-4294967295", "-1"] {
            assert!(number_list(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bounded_write_succeeds_fails_and_ends() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, "").unwrap();
        let second = Duration::from_secs(20);
        Kernel.write_within(&path, "offline", second).unwrap();
        assert_eq!(read(&path).unwrap(), "offline");
        let full = Kernel.write_within(Path::new("/dev/full"), "x", second);
        assert!(full.unwrap_err().to_string().contains("No space left"));
        // A pipe that nobody reads takes no more when it is full.
        let (_reader, writer) = std::io::pipe().unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&writer);
        let path = format!("/proc/self/fd/{fd}");
        let much = "x".repeat(100_000);
        let error = Kernel
            .write_within(Path::new(&path), &much, Duration::from_millis(50))
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
