//! The agent: `/init` of the 2nd OS.
//!
//! It brings the kernel to the point where the takeover can begin at once, sleeps until the stop
//! notice, takes over ([`crate::takeover`]), and becomes the init of the root file system.

use crate::device::Device;
use crate::initramfs::MODULE_LIST;
use crate::module_file;
use crate::network::{Roots, Settings};
use crate::region::Region;
use crate::takeover;
use anyhow::{Context, Result};
use handoff_abi::ioctl::{self, RangeArgs, WaitArgs};
use handoff_abi::region;
use handoff_abi::status::{Reason, SecondState};
use rustix::mount::MountFlags;
use std::ffi::CString;
use std::path::Path;
use zerocopy::FromZeros;

/// Word of the kernel's command line with the physical address of the handoff region.
const HANDOFF: &str = "baton.handoff=";

/// Runs as process 1. Does not return: a dead init would be a panic.
pub fn run() -> ! {
    let error = match begin() {
        Ok(never) => match never {},
        Err(error) => error,
    };
    log(&format!("the agent gave up: {error:#}"));
    loop {
        std::thread::park();
    }
}

/// A line to the kernel's log, which is all the console there is.
pub fn log(text: &str) {
    let line = format!("<5>baton: {text}\n");
    // There is nowhere to report a failure of reporting.
    let _ = std::fs::write("/dev/kmsg", line);
}

fn begin() -> Result<std::convert::Infallible> {
    mount_kernel_filesystems()?;
    // The console's port is to be set up anew at the takeover: nobody may hold it open.
    set_standard_streams("/dev/null")?;
    let command_line = std::fs::read_to_string("/proc/cmdline")?;
    load_modules(&command_line)?;
    let device = Device::open()?;
    let info = device.info()?;
    let region = Region::map(&device, info.inherited_region)?;
    region.set_second_state(SecondState::ATTACHED)?;
    spawn_console(&device, info.inherited_region)?;
    match serve(&device, &region, &command_line) {
        Ok(never) => match never {},
        Err(error) => {
            region.set_failure(Reason::OTHER, &format!("{error:#}"))?;
            region.set_second_state(SecondState::FAILED)?;
            Err(error)
        }
    }
}

/// Prepares, and takes over whenever the notice comes.
fn serve(device: &Device, region: &Region, command_line: &str) -> Result<std::convert::Infallible> {
    let mut prepare = RangeArgs::new_zeroed();
    device
        .request(&ioctl::PREPARE, &mut prepare)
        .context("mapping the memory of the 1st OS")?;
    loop {
        // Anew each time: a takeover that was given back may have changed them.
        let settings = Settings::take(&Roots::default())?;
        region.set_second_state(SecondState::READY)?;
        log("ready");
        let mut wait = WaitArgs::new_zeroed();
        if let Err(error) = device.try_request(&ioctl::WAIT_NOTICE, &mut wait) {
            // A notice that was called off before it was taken: the next one will be another.
            log(&format!("a stop notice came to nothing: {error}"));
            continue;
        }
        region.set_second_state(SecondState::TAKING_OVER)?;
        let takeover = match takeover::Takeover::begin(device, region, &settings, command_line) {
            Ok(takeover) => takeover,
            Err(error) => {
                log(&format!("giving the machine back: {error:#}"));
                region.set_failure(Reason::OTHER, &format!("{error:#}"))?;
                if let Err(error) = device.try_request(&ioctl::GIVE_BACK, &mut wait) {
                    log(&format!("the 1st OS has taken it back already: {error}"));
                }
                continue;
            }
        };
        match device.try_request(&ioctl::COMMIT, &mut wait) {
            Ok(()) => return takeover.run(),
            Err(error) => log(&format!("the 1st OS has taken the machine back: {error}")),
        }
    }
}

fn mount_kernel_filesystems() -> Result<()> {
    for (kind, target) in [
        ("devtmpfs", "/dev"),
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("tmpfs", "/run"),
    ] {
        rustix::mount::mount(
            kind,
            target,
            kind,
            MountFlags::empty(),
            None::<&std::ffi::CStr>,
        )
        .with_context(|| format!("mounting {target}"))?;
    }
    Ok(())
}

/// Makes `path` the standard input, output and error of this process.
///
/// # Errors
/// It cannot be opened.
pub fn set_standard_streams(path: &str) -> Result<()> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("opening {path}"))?;
    rustix::stdio::dup2_stdin(&file)?;
    rustix::stdio::dup2_stdout(&file)?;
    Ok(rustix::stdio::dup2_stderr(&file)?)
}

/// Loads the drivers, so that probing starts at once when the devices appear, and `baton.ko`.
fn load_modules(command_line: &str) -> Result<()> {
    let handoff = command_line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(HANDOFF))
        .context("no baton.handoff= on the command line")?;
    let parameters = CString::new(format!("handoff={handoff}"))?;
    let list = std::fs::read_to_string(MODULE_LIST)?;
    for path in list.lines().filter(|line| !line.trim().is_empty()) {
        let bytes = std::fs::read(path).with_context(|| format!("reading {path}"))?;
        let is_ours = Path::new(path)
            .file_stem()
            .is_some_and(|stem| stem == "baton");
        let parameters = if is_ours { parameters.as_c_str() } else { c"" };
        match module_file::load(&bytes, parameters) {
            Ok(()) => {}
            Err(error) if is_ours => return Err(error).context("loading baton.ko"),
            // A provider for hardware that is not there, or something built in after all.
            Err(error) => log(&format!("{path}: {error}")),
        }
    }
    Ok(())
}

/// Copies the kernel's messages into the handoff region while there is no other console.
fn spawn_console(device: &Device, at: u64) -> Result<()> {
    let region = Region::map(device, at)?;
    std::thread::Builder::new()
        .name("console".into())
        .spawn(move || {
            use std::io::Read;
            let Ok(mut kmsg) = std::fs::File::open("/dev/kmsg") else {
                return;
            };
            let mut record = vec![0u8; 8192];
            loop {
                let Ok(len) = kmsg.read(&mut record) else {
                    continue;
                };
                let text =
                    String::from_utf8_lossy(record.get(..len).unwrap_or_default()).into_owned();
                let message = text
                    .split_once(';')
                    .map_or(text.as_str(), |(_, message)| message);
                let first = message.lines().next().unwrap_or_default();
                if region
                    .append_text(region::CONSOLE, format!("{first}\n").as_bytes())
                    .is_err()
                {
                    return;
                }
            }
        })?;
    Ok(())
}
