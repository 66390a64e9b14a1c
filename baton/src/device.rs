//! `/dev/baton`: requests to the module, and physical memory through it.
#![allow(unsafe_code, reason = "ioctl and mmap of the module's device")]

use anyhow::{bail, Context, Result};
use handoff_abi::ioctl::{self, Request};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;
use zerocopy::{FromBytes, IntoBytes};

/// The module's device node.
pub const PATH: &str = "/dev/baton";

/// The open device.
#[derive(Debug)]
pub struct Device {
    file: File,
}

/// A request's argument type, tied to the request by its size.
pub trait Argument: FromBytes + IntoBytes {}
impl<T: FromBytes + IntoBytes> Argument for T {}

impl Device {
    /// Opens the device and makes sure that command and module speak the same version.
    ///
    /// # Errors
    /// The module is not loaded, or is of another version.
    pub fn open() -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(PATH)
            .with_context(|| format!("opening {PATH}; is baton.ko loaded, and are you root?"))?;
        let device = Self { file };
        let info = device.info()?;
        if info.abi_version != handoff_abi::ABI_VERSION {
            bail!(
                "baton.ko speaks version {} of the handoff ABI, this command version {}; \
                 install both from one build",
                info.abi_version,
                handoff_abi::ABI_VERSION
            );
        }
        Ok(device)
    }

    /// Makes this the only command that changes anything, until it ends, however it ends. Looking
    /// (`status`, `report`, `log`) needs no lock.
    ///
    /// # Errors
    /// Another one is at work; it is named.
    pub fn lock(&self) -> Result<()> {
        use rustix::fs::{flock, FlockOperation};
        match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let inode = self.file.metadata().map(|file| file.ino()).unwrap_or(0);
                let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
                let who = lock_holder(&locks, inode).map_or_else(String::new, |pid| {
                    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                    let line = String::from_utf8_lossy(&line).replace('\0', " ");
                    format!(" (process {pid}: {})", line.trim())
                });
                bail!(
                    "another baton command is at work{who}; wait until it has ended, or end it \
                     (Ctrl-C, kill)"
                )
            }
            Err(error) => Err(error).with_context(|| format!("locking {PATH}")),
        }
    }

    /// What the module knows of this kernel and machine.
    ///
    /// # Errors
    /// The request fails.
    pub fn info(&self) -> Result<ioctl::InfoArgs> {
        let mut args = Box::new(ioctl::InfoArgs::new_zeroed_value());
        self.request(&ioctl::INFO, &mut *args)?;
        Ok(*args)
    }

    /// Sends one request.
    ///
    /// # Errors
    /// The kernel's error, as [`std::io::Error`] inside.
    pub fn request<T: Argument>(&self, request: &Request, args: &mut T) -> Result<()> {
        self.try_request(request, args)
            .with_context(|| format!("baton.ko refused {}", request.name))
    }

    /// As [`Self::request`], with the bare error for callers that tell errors apart.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn try_request<T: Argument>(
        &self,
        request: &Request,
        args: &mut T,
    ) -> Result<(), std::io::Error> {
        assert_eq!(size_of::<T>(), request.size, "argument of {}", request.name);
        let pointer: *mut T = args;
        // SAFETY: the request's code carries the argument's size, which was just compared; the
        // module reads and writes exactly that much.
        let result = unsafe { libc::ioctl(self.file.as_raw_fd(), request.code(), pointer) };
        if result < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(())
    }

    /// Maps `len` bytes of physical memory at `at`, which the module must hold.
    ///
    /// # Errors
    /// The module does not hold it.
    pub fn map(&self, at: u64, len: usize) -> Result<Memory> {
        let offset = libc::off_t::try_from(at).context("physical address out of range")?;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let pointer = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                self.file.as_raw_fd(),
                offset,
            )
        };
        if pointer == libc::MAP_FAILED {
            let error = std::io::Error::last_os_error();
            bail!("baton.ko does not let {len} bytes at {at:#x} be mapped: {error}");
        }
        let base = NonNull::new(pointer.cast()).context("mmap returned null")?;
        Ok(Memory { base, len })
    }
}

/// The process that holds a `flock` of the file `inode`, by the text of `/proc/locks`
/// (`fs/locks.c`): `1: FLOCK  ADVISORY  WRITE 123 00:06:1034 0 EOF`.
fn lock_holder(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, file, ..] = words.as_slice() else {
            return None;
        };
        let is_it = file.rsplit(':').next()?.parse() == Ok(inode);
        pid.parse().ok().filter(|_| is_it)
    })
}

/// `EXT4_IOC_CHECKPOINT` (`include/uapi/linux/ext4.h`, since 5.15): `_IOW('f', 43, __u32)`.
const EXT4_IOC_CHECKPOINT: libc::c_ulong = 1 << 30 | 4 << 16 | (b'f' as libc::c_ulong) << 8 | 43;

/// Writes an ext4 journal's content to its place, so that there is little to replay.
///
/// # Errors
/// The kernel or the file system does not know the request, or a write failed.
pub fn checkpoint_journal(root: &File) -> Result<(), std::io::Error> {
    let flags: u32 = 0;
    // SAFETY: the request reads one 32-bit integer.
    let result = unsafe { libc::ioctl(root.as_raw_fd(), EXT4_IOC_CHECKPOINT, &raw const flags) };
    if result < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// `struct serial_struct` (`include/uapi/linux/serial.h`), as far as it is used here.
#[repr(C)]
struct SerialStruct {
    kind: libc::c_int,
    line: libc::c_int,
    port: libc::c_uint,
    irq: libc::c_int,
    rest: [u8; 64],
}

/// Takes the interrupt from a serial port that has one: it is polled from then on. Says whether
/// it had one.
///
/// # Errors
/// It is no serial port, or the driver refuses.
pub fn poll_serial_port(port: &File) -> Result<bool, std::io::Error> {
    let mut settings = std::mem::MaybeUninit::<SerialStruct>::zeroed();
    // SAFETY: the request writes a `struct serial_struct`, which is smaller than the buffer.
    if unsafe { libc::ioctl(port.as_raw_fd(), libc::TIOCGSERIAL, settings.as_mut_ptr()) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: zeroed before, integers only.
    let mut settings = unsafe { settings.assume_init() };
    if settings.kind == 0 || settings.irq == 0 {
        return Ok(false);
    }
    settings.irq = 0;
    // SAFETY: the request reads what the former wrote.
    if unsafe { libc::ioctl(port.as_raw_fd(), libc::TIOCSSERIAL, &raw const settings) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(true)
}

/// Physical memory, mapped.
#[derive(Debug)]
pub struct Memory {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is not tied to a thread.
unsafe impl Send for Memory {}
// SAFETY: shared access is through `shared_page::Section` alone, which is atomic or volatile;
// plain access needs `&mut`.
unsafe impl Sync for Memory {}

impl Memory {
    /// Where it is mapped.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Its length, bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its bytes, to be filled in while nobody else uses the memory: before the partition's CPU
    /// is started.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped readable and writable for `len` bytes while `self` lives; the module
        // gave the memory to this process alone, and no CPU runs in it yet.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing borrowed from it outlives it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
impl Device {
    /// A file that stands for physical memory from address 0 on; it answers no request.
    pub(crate) fn over(file: File) -> Self {
        Self { file }
    }
}

/// `FromZeros::new_zeroed` under a name that does not need the trait in scope.
trait NewZeroed: Sized {
    fn new_zeroed_value() -> Self;
}

impl<T: FromBytes> NewZeroed for T {
    fn new_zeroed_value() -> Self {
        T::new_zeroed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_command_holds_the_lock() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || {
            let mut options = OpenOptions::new();
            Device::over(options.read(true).write(true).open(file.path()).unwrap())
        };
        let (first, second) = (open(), open());
        first.lock().unwrap();
        let refused = second.lock().unwrap_err().to_string();
        let us = format!("process {}:", std::process::id());
        assert!(
            refused.contains("at work") && refused.contains(&us),
            "{refused}"
        );
        drop(first);
        second.lock().unwrap();
    }

    #[test]
    fn the_holder_is_the_one_that_has_the_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 00:06:34 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 8 00:06:1034 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 9 00:06:34 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 10 00:06:34 0 EOF\n";
        assert_eq!(lock_holder(locks, 34), Some(10));
        assert_eq!(lock_holder(locks, 35), None);
        assert_eq!(lock_holder("x\n\n", 34), None);
    }
}
