//! `baton load`: a kernel is booted beside this one.

mod drivers;
mod job;
mod resources;

use crate::bzimage;
use crate::check;
use crate::cpus::Cpus;
use crate::describe;
use crate::device::Device;
use crate::iomem;
use crate::memory_blocks::Blocks;
use crate::module_file;
use crate::region::Region;
use crate::system::SystemSnapshot;
use crate::tsc;
use anyhow::{bail, ensure, Context, Result};
use drivers::build_initramfs;
use handoff_abi::filesystem::FilesystemFlags;
use handoff_abi::ioctl::{self, InfoArgs, RangeArgs};
use handoff_abi::machine::MachinePage;
use handoff_abi::region;
use handoff_abi::status::SecondState;
use job::Job;
use resources::{choose_cpu, take_memory};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zerocopy::FromZeros;

/// What `baton load` was asked for.
#[derive(Debug)]
pub struct Options {
    /// The kernel: a bzImage.
    pub kernel: PathBuf,
    /// The operator's own initramfs, put before ours.
    pub initrd: Option<PathBuf>,
    /// Bytes for the partition.
    pub memory: u64,
    /// The CPU to give away.
    pub cpu: Option<u32>,
    /// More words for the command line of the 2nd OS.
    pub append: String,
    /// The 2nd OS's `baton.ko`, if it is not in its module tree.
    pub module: Option<PathBuf>,
    /// How long it may take from its first instruction to READY.
    pub boot: Duration,
}

/// Boots it, and returns when it is ready.
///
/// # Errors
/// In words for the operator. The machine is then as it was.
pub fn run(options: &Options) -> Result<()> {
    // Before anything is looked at, for another command at work is seen in all of it. The module
    // may not be loaded yet; then there is none.
    let early = Device::open().ok();
    early.as_ref().map_or(Ok(()), Device::lock)?;
    check::gate(&check::run(&check::Options {
        kernel: Some(options.kernel.clone()),
        module: options.module.clone(),
        memory: options.memory,
        cpu: options.cpu,
    }))?;
    module_file::ensure_loaded()?;
    let device = match early {
        Some(device) => device,
        None => {
            let device = Device::open()?;
            device.lock()?;
            device
        }
    };
    let mut info = device.info()?;
    let clock = tsc::Reading::take(&device)?;
    ensure!(
        info.role != ioctl::Role::FIRST.0,
        "a kernel is loaded already; `baton status` shows it, `baton unload` removes it"
    );
    let interrupt = Interrupt::watch()?;
    // What a load that was killed had claimed: nobody else can have, under the lock.
    device.request(&ioctl::RELEASE, &mut RangeArgs::new_zeroed())?;
    let kernel = std::fs::read(&options.kernel)
        .with_context(|| format!("reading {}", options.kernel.display()))?;
    let image = bzimage::parse(&kernel).with_context(|| format!("{}", options.kernel.display()))?;
    say(&format!("kernel {}", image.release));
    let system = SystemSnapshot::take()?;
    let filesystems = describe::filesystems(&device, &system)?;
    ensure!(
        filesystems
            .iter()
            .any(|open| FilesystemFlags::from_bits(open.entry.flags).root()),
        "the root file system is not on a disk that Baton can find again"
    );
    let initrd = build_initramfs(options, &image, &filesystems)?;
    say(&format!("initramfs of {} KiB", initrd.len() / 1024));
    resources::ensure_fits(options.memory, &image, initrd.len())?;

    let inherited = inherited_machine(&device, &info)?;
    let cpus = Cpus::new(Path::new("/sys"));
    let cpu = choose_cpu(options, &cpus, &info, inherited.as_deref())?;
    let memory_map = iomem::parse(&std::fs::read_to_string("/proc/iomem")?)?;
    let blocks = Blocks::new(Path::new("/sys"));
    let memory = take_memory(options.memory, &memory_map, &blocks)?;
    interrupt.check()?;
    let range = memory.range();
    say(&format!("memory {:#x}-{:#x}", range.start, range.end));
    cpus.set_online(cpu.number, false)?;
    say(&format!("CPU {} (APIC ID {})", cpu.number, cpu.apic_id));

    let believed = info.tsc_khz;
    info.tsc_khz = clock.khz_until(&tsc::Reading::take(&device)?, believed);
    if info.tsc_khz != believed {
        say(&format!(
            "the time stamp counter runs at {} kHz; this kernel believes {believed} kHz",
            info.tsc_khz
        ));
    }

    let job = Job {
        device: &device,
        info: &info,
        memory: &memory_map,
        image: &image,
        kernel: &kernel,
        initrd: &initrd,
    };
    let machine = describe::machine_page(
        &device,
        &info,
        &memory_map,
        inherited.as_deref(),
        range.clone(),
        blocks.block_size()?,
        generation(&device, &info)? + 1,
    )?;
    let result = job
        .prepare(range, cpu, &machine, &filesystems, &options.append)
        .and_then(|region| wait_ready(&region, options.boot, &interrupt));
    if let Err(error) = result {
        job.give_back();
        if let Err(second) = cpus.set_online(cpu.number, true) {
            eprintln!("baton: CPU {} stays offline: {second:#}", cpu.number);
        }
        return Err(error);
    }
    memory.keep();
    Ok(())
}

fn say(text: &str) {
    println!("baton: {text}");
    // Progress must be seen when it happens, also through a pipe.
    let _ = std::io::stdout().flush();
}

/// The machine page of the region that this kernel was started with, if Baton started it.
fn inherited_machine(device: &Device, info: &InfoArgs) -> Result<Option<Box<MachinePage>>> {
    if info.inherited_region == 0 {
        return Ok(None);
    }
    Region::map(device, info.inherited_region)?
        .machine()
        .map(Some)
}

/// Number of the handover that brought this kernel; 0 if it was booted.
fn generation(device: &Device, info: &InfoArgs) -> Result<u64> {
    if info.inherited_region == 0 {
        return Ok(0);
    }
    Ok(Region::map(device, info.inherited_region)?
        .header()?
        .header
        .generation)
}

/// Waits until the 2nd OS says that it is ready, and shows how far it is.
fn wait_ready(region: &Region, limit: Duration, interrupt: &Interrupt) -> Result<()> {
    let start = Instant::now();
    let mut shown = SecondState::NONE;
    loop {
        let state = region.second_state()?;
        if state != shown {
            say(&format!(
                "2nd OS: {} ({:.1} s)",
                state.text().unwrap_or("in an unknown state"),
                start.elapsed().as_secs_f64()
            ));
            shown = state;
        }
        match state {
            SecondState::READY => return Ok(()),
            SecondState::FAILED => bail!("the new kernel gave up: {}", region.failure()?.1),
            _ => {}
        }
        if start.elapsed() > limit {
            bail!(not_ready(limit, &region.ring(region::CONSOLE)?));
        }
        interrupt.check()?;
        // The 2nd OS cannot interrupt this one: looking now and then is all there is.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What is said of a kernel that does not come up.
fn not_ready(limit: Duration, console: &[u8]) -> String {
    let seconds = limit.as_secs();
    let text = String::from_utf8_lossy(console);
    match text.trim() {
        "" => format!(
            "the new kernel is not ready after {seconds} s and said nothing; to see its messages, \
             give it a console that this kernel does not use (--append console=ttyS1,115200), or \
             more time (--boot-timeout)"
        ),
        text => format!(
            "the new kernel is not ready after {seconds} s (--boot-timeout allows more); its \
             messages:\n{text}"
        ),
    }
}

/// The operator's or the system's wish that this ends.
struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the usual signals end this process only where everything can be taken back.
    fn watch() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag)).context("signals")?;
        }
        Ok(Self(flag))
    }

    fn check(&self) -> Result<()> {
        ensure!(
            !self.0.load(Ordering::Relaxed),
            "interrupted; everything was taken back"
        );
        Ok(())
    }
}
