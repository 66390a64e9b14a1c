//! `baton load`: a kernel is booted beside this one.

use crate::bzimage::{self, BzImage};
use crate::check;
use crate::cpus::Cpus;
use crate::describe::{self, OpenFilesystem};
use crate::device::Device;
use crate::initramfs;
use crate::iomem;
use crate::memory_blocks::{reserved_at_boot, Blocks, Carve, Carved};
use crate::module_file;
use crate::modules::{self, Resolution, Tree, Wanted};
use crate::network::Snapshot;
use crate::region::{field, text_of, Region};
use crate::sysfs::Kernel;
use crate::system::SystemSnapshot;
use anyhow::{bail, ensure, Context, Result};
use handoff_abi::control::ControlPage;
use handoff_abi::filesystem::FilesystemFlags;
use handoff_abi::header::{HeaderPage, PageHeader};
use handoff_abi::ioctl::{self, InfoArgs, LowWindowArgs, RangeArgs, SelfTestArgs, StartArgs};
use handoff_abi::machine::{MachinePage, RangeKind};
use handoff_abi::region::{self, Section as Place};
use handoff_abi::status::SecondState;
use handoff_abi::timeline::TimelinePage;
use partition::layout::{Layout, FIRMWARE_SIZE, LOW_SIZE};
use partition::{acpi, aml, boot_params, page_tables, park, trampoline, Image};
use std::io::Write as _;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zerocopy::{FromZeros, IntoBytes};

/// How long a kernel may take from its first instruction to READY.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

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
}

/// Boots it, and returns when it is ready.
///
/// # Errors
/// In words for the operator. The machine is then as it was.
pub fn run(options: &Options) -> Result<()> {
    check::gate(&check::run(&check::Options {
        kernel: Some(options.kernel.clone()),
        module: options.module.clone(),
        memory: options.memory,
        cpu: options.cpu,
    }))?;
    module_file::ensure_loaded()?;
    let device = Device::open()?;
    let info = device.info()?;
    ensure!(
        info.role != ioctl::Role::FIRST.0,
        "a kernel is loaded already; `baton status` shows it, `baton unload` removes it"
    );
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

    let inherited = inherited_machine(&device, &info)?;
    let cpus = Cpus::new(Path::new("/sys"));
    let cpu = choose_cpu(options, &cpus, &info, inherited.as_deref())?;
    let memory_map = iomem::parse(&std::fs::read_to_string("/proc/iomem")?)?;
    let blocks = Blocks::new(Path::new("/sys"));
    let memory = take_memory(options.memory, &memory_map, &blocks)?;
    let range = memory.range();
    say(&format!("memory {:#x}-{:#x}", range.start, range.end));
    cpus.set_online(cpu.number, false)?;
    say(&format!("CPU {} (APIC ID {})", cpu.number, cpu.apic_id));

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
        .and_then(|region| wait_ready(&region));
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

/// The partition's memory: blocks taken offline, or a range reserved at boot.
enum Memory<'a> {
    Blocks(Carved<'a, Kernel>),
    Reserved(Range<u64>),
}

impl Memory<'_> {
    fn range(&self) -> Range<u64> {
        match self {
            Self::Blocks(carved) => carved.range(),
            Self::Reserved(range) => range.clone(),
        }
    }

    fn keep(self) {
        if let Self::Blocks(carved) = self {
            carved.keep();
        }
    }
}

fn take_memory<'a>(size: u64, map: &iomem::Map, blocks: &'a Blocks) -> Result<Memory<'a>> {
    let size = size.next_multiple_of(FIRMWARE_SIZE);
    let command_line = std::fs::read_to_string("/proc/cmdline")?;
    if let Some(range) = reserved_at_boot(&command_line, map, size)? {
        return Ok(Memory::Reserved(range));
    }
    say(&format!("taking {} MiB from this kernel", size >> 20));
    Ok(Memory::Blocks(blocks.carve(&Carve::of(size))?))
}

/// A CPU by this kernel's number and its APIC ID.
#[derive(Clone, Copy)]
struct Cpu {
    number: u32,
    apic_id: u32,
}

/// The CPU to give away: never the bootstrap processor, which INIT would reset with the machine.
fn choose_cpu(
    options: &Options,
    cpus: &Cpus,
    info: &InfoArgs,
    inherited: Option<&MachinePage>,
) -> Result<Cpu> {
    let known = || info.cpus.iter().take(info.cpu_count as usize);
    let bsp = inherited.map_or(info.bsp_apic_id, |machine| machine.bsp_apic_id);
    let mut never: Vec<u32> = known()
        .filter(|entry| entry.apic_id == bsp)
        .map(|entry| entry.cpu)
        .collect();
    never.push(0);
    let number = match options.cpu {
        Some(cpu) => {
            ensure!(
                !never.contains(&cpu),
                "CPU {cpu} is the machine's bootstrap processor"
            );
            ensure!(cpus.online()?.contains(&cpu), "CPU {cpu} is not online");
            cpu
        }
        None => cpus.pick(&never)?,
    };
    let entry = known().find(|entry| entry.cpu == number);
    let apic_id = entry.map(|entry| entry.apic_id);
    Ok(Cpu {
        number,
        apic_id: apic_id.with_context(|| format!("CPU {number} has no APIC ID"))?,
    })
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

/// The initramfs of the 2nd OS: this program, the kernel's drivers, its `baton.ko`.
fn build_initramfs(
    options: &Options,
    image: &BzImage,
    filesystems: &[OpenFilesystem],
) -> Result<Vec<u8>> {
    let root = Path::new("/lib/modules").join(&image.release);
    let tree = Tree::open(&root)?;
    let mut types: Vec<String> = filesystems
        .iter()
        .map(|filesystem| text_of(&filesystem.entry.fs_type))
        .collect();
    types.dedup();
    let wanted = Wanted {
        sysfs: Path::new("/sys"),
        file_systems: &types,
        extra: &[],
    };
    let needed = modules::needed_modules(&wanted, &tree)?;
    if !needed.missing.is_empty() {
        let list: Vec<String> = needed.missing.iter().map(ToString::to_string).collect();
        bail!("{}", list.join("; "));
    }
    let network = network_modules(&tree)?;
    let more = network.iter().filter(|path| !needed.files.contains(path));
    let mut files = Vec::new();
    for path in needed.files.iter().chain(more) {
        let name = path
            .file_name()
            .context("a module without a name")?
            .to_string_lossy();
        let stem = name.split(".ko").next().unwrap_or(&name);
        let bytes = modules::read(path)?;
        files.push(initramfs::Module {
            file_name: format!("{stem}.ko"),
            bytes,
        });
    }
    let baton_ko = match &options.module {
        Some(path) => modules::read(path)?,
        None => modules::read(&module_file::find(&root).with_context(|| {
            format!(
                "kernel {} has no baton.ko; build it for that kernel too",
                image.release
            )
        })?)?,
    };
    let operators = options
        .initrd
        .as_ref()
        .map(|path| std::fs::read(path).with_context(|| format!("reading {}", path.display())))
        .transpose()?;
    let agent = std::fs::read("/proc/self/exe").context("reading this program")?;
    initramfs::build(&initramfs::Contents {
        agent: &agent,
        modules: &files,
        baton_ko: &baton_ko,
        extra: &[],
        operators: operators.as_deref(),
        gzip: false,
    })
}

/// Modules for what the network has besides NICs: VLANs, bridges, and the queueing discipline. The
/// initramfs has no helper that the kernel could ask for them.
fn network_modules(tree: &Tree) -> Result<Vec<PathBuf>> {
    let snapshot = Snapshot::take()?;
    let mut resolutions: Vec<Resolution> = snapshot
        .virtual_kinds()
        .into_iter()
        .map(|kind| tree.by_modalias(&format!("rtnl-link-{kind}")))
        .collect();
    if let Ok(name) = std::fs::read_to_string("/proc/sys/net/core/default_qdisc") {
        resolutions.push(tree.by_name(&format!("sch_{}", name.trim())));
    }
    let mut files = Vec::new();
    for resolution in resolutions {
        // What the new kernel lacks is reported by name when the network is restored.
        if let Resolution::Files(list) = resolution {
            for path in list {
                if !files.contains(&path) {
                    files.push(path);
                }
            }
        }
    }
    Ok(files)
}

/// What is to be put into the partition.
struct Job<'a> {
    device: &'a Device,
    info: &'a InfoArgs,
    memory: &'a iomem::Map,
    image: &'a BzImage,
    kernel: &'a [u8],
    initrd: &'a [u8],
}

impl Job<'_> {
    /// Claims the memory, fills it in, starts the CPU.
    fn prepare(
        &self,
        range: Range<u64>,
        cpu: Cpu,
        machine: &MachinePage,
        filesystems: &[OpenFilesystem],
        append: &str,
    ) -> Result<Region> {
        let mut claim = RangeArgs::new_zeroed();
        claim.base = range.start;
        claim.size = range.end - range.start;
        self.device.request(&ioctl::CLAIM, &mut claim)?;
        let low_base = self.low_window(machine)?;
        let layout = Layout::new(
            range.start,
            claim.size,
            low_base,
            self.image.kernel_alignment,
            self.image.init_size,
            self.initrd.len() as u64,
        )?;
        let mut partition = self.device.map(range.start, usize::try_from(claim.size)?)?;
        let mut low = self.device.map(low_base, usize::try_from(LOW_SIZE)?)?;
        let mut image = Image::new(
            range.start,
            partition.bytes_mut(),
            low_base,
            low.bytes_mut(),
        );
        image.zero(layout.region, usize::try_from(FIRMWARE_SIZE)?)?;
        let apic_ids = ordered_apic_ids(machine, cpu.apic_id);
        self.write_kernel(&mut image, &layout, machine, append)?;
        self.write_firmware(&mut image, &layout, machine, &apic_ids)?;
        self.write_region(&mut image, &layout, machine, filesystems, cpu)?;
        drop((partition, low));
        let region = Region::map(self.device, layout.region)?;
        self.start(&layout, cpu)?;
        self.self_test(filesystems)?;
        Ok(region)
    }

    fn low_window(&self, machine: &MachinePage) -> Result<u64> {
        let mut args = LowWindowArgs::new_zeroed();
        args.size = LOW_SIZE;
        let mut avoid = 0;
        if self.info.inherited_low != 0 {
            args.avoid_start[avoid] = self.info.inherited_low;
            args.avoid_end[avoid] = self.info.inherited_low + LOW_SIZE;
            avoid += 1;
        } else {
            args.real_mode_header = symbol("real_mode_header").unwrap_or(0);
        }
        args.avoid_count = avoid as u64;
        ensure!(
            !describe::ranges_of(machine, RangeKind::LOW).is_empty(),
            "the machine has no RAM below 1 MiB"
        );
        self.device
            .request(&ioctl::LOW_WINDOW, &mut args)
            .context("no window below 1 MiB is free for the new kernel")?;
        Ok(args.base)
    }

    fn write_kernel(
        &self,
        image: &mut Image<'_>,
        layout: &Layout,
        machine: &MachinePage,
        append: &str,
    ) -> Result<()> {
        let payload = self
            .kernel
            .get(self.image.image.clone())
            .context("kernel image")?;
        image.write(layout.kernel, payload)?;
        image.write(layout.initrd, self.initrd)?;
        let header = self
            .kernel
            .get(self.image.setup_header.clone())
            .context("setup header")?;
        let reserved: Vec<(u64, u64)> = describe::ranges_of(machine, RangeKind::ECAM)
            .into_iter()
            .map(|range| (range.start, range.end))
            .collect();
        let command_line = command_line(layout, machine, append);
        boot_params::write(image, layout, header, &command_line, &reserved)?;
        Ok(())
    }

    fn write_firmware(
        &self,
        image: &mut Image<'_>,
        layout: &Layout,
        machine: &MachinePage,
        apic_ids: &[u32],
    ) -> Result<()> {
        acpi::write(image, layout, apic_ids, layout.park_code + park::RESET)?;
        let tables = layout.boot_tables();
        let room = layout.low_base + partition::layout::LOW_RESERVED - tables;
        let boot = page_tables::write(image, layout, tables, room)?;
        trampoline::write(image, layout, boot.pml4)?;
        let room = partition::layout::PARK_TABLES_SIZE;
        let parking = page_tables::write(image, layout, layout.park_tables, room)?;
        park::write(image, layout, parking, apic_ids)?;
        let bridges = machine
            .bridges
            .get(..machine.bridge_count as usize)
            .context("bridges")?;
        image.write(layout.ssdt, aml::Ssdt::new(bridges)?.as_bytes())?;
        Ok(())
    }

    fn write_region(
        &self,
        image: &mut Image<'_>,
        layout: &Layout,
        machine: &MachinePage,
        filesystems: &[OpenFilesystem],
        cpu: Cpu,
    ) -> Result<()> {
        let generation = machine.header.generation;
        let mut put =
            |place: Place, bytes: &[u8]| image.write(layout.region + place.offset as u64, bytes);
        for &place in region::SECTIONS {
            put(place, PageHeader::new(place, generation).as_bytes())?;
        }
        put(region::CONTROL, ControlPage::new(generation).as_bytes())?;
        let mut timeline = TimelinePage::new_box_zeroed()
            .ok()
            .context("out of memory")?;
        timeline.header = PageHeader::new(region::TIMELINE, generation);
        timeline.tsc_khz = self.info.tsc_khz;
        put(region::TIMELINE, timeline.as_bytes())?;
        put(region::MACHINE, machine.as_bytes())?;
        let descriptor = describe::descriptor(self.device, self.info, self.memory, generation)?;
        describe::check_filesystems(&descriptor, filesystems)?;
        put(region::DESCRIPTOR, descriptor.as_bytes())?;
        let page = describe::filesystem_page(filesystems, generation)?;
        put(region::FILESYSTEMS, page.as_bytes())?;
        let bridges = machine
            .bridges
            .get(..machine.bridge_count as usize)
            .context("bridges")?;
        let mut header = HeaderPage::new_box_zeroed().ok().context("out of memory")?;
        header.header = PageHeader::new(region::HEADER, generation);
        header.region_base = layout.region;
        header.region_size = region::REGION_SIZE as u64;
        header.partition_base = layout.base;
        header.partition_size = layout.size;
        header.low_base = layout.low_base;
        header.low_size = LOW_SIZE;
        header.mailbox = layout.mailbox;
        header.park_slots = layout.park_slots;
        header.park_slot_count = u64::from(machine.cpu_count);
        header.park_code = layout.park_code;
        // The tables' first two pages, in this order: see `page_tables::write`.
        header.park_pml5 = layout.park_tables;
        header.park_pml4 = layout.park_tables + handoff_abi::PAGE_SIZE as u64;
        header.ssdt = layout.ssdt;
        header.ssdt_size = aml::Ssdt::new(bridges)?.as_bytes().len() as u64;
        header.park_entry = park::ENTRY;
        header.park_reset = park::RESET;
        header.second_apic_id = cpu.apic_id;
        header.second_release = field(&self.image.release);
        header.first_release = field(&crate::system::SystemSnapshot::take()?.kernel_release);
        put(region::HEADER, header.as_bytes())?;
        Ok(())
    }

    fn start(&self, layout: &Layout, cpu: Cpu) -> Result<()> {
        let mut args = StartArgs::new_zeroed();
        args.apic_id = cpu.apic_id;
        args.cpu = cpu.number;
        args.trampoline = layout.low_base;
        args.region = layout.region;
        self.device.request(&ioctl::START, &mut args)?;
        match args.progress {
            0 => bail!("CPU {} did not answer the start-up interrupt", cpu.number),
            1 | 2 => bail!("CPU {} stopped on its way into 64-bit mode", cpu.number),
            _ => say("the CPU runs"),
        }
        Ok(())
    }

    /// The migrator reads an object of this kernel by the descriptor, before anybody relies on it.
    fn self_test(&self, filesystems: &[OpenFilesystem]) -> Result<()> {
        for filesystem in filesystems {
            let mut args = SelfTestArgs::new_zeroed();
            // This very program is a file with pages in memory; elsewhere the root directory does.
            let program = std::fs::File::open("/proc/self/exe")?;
            let is_here = program.metadata()?.dev() == filesystem.root.metadata()?.dev();
            let file = if is_here { &program } else { &filesystem.root };
            args.fd = file.as_raw_fd();
            let result = self.device.try_request(&ioctl::SELF_TEST, &mut args);
            let mount = text_of(&filesystem.entry.mount_point);
            if args.failed != 0 {
                bail!(
                    "self-test on {mount}: fact {} reads {:#x}, the kernel says {:#x}; the \
                     descriptor does not fit this kernel",
                    args.failed,
                    args.found,
                    args.expected
                );
            }
            result.with_context(|| format!("self-test on {mount}"))?;
        }
        Ok(())
    }

    fn give_back(&self) {
        let mut args = RangeArgs::new_zeroed();
        if let Err(error) = self.device.request(&ioctl::RELEASE, &mut args) {
            eprintln!("baton: {error:#}");
        }
    }
}

/// APIC IDs with that of the boot CPU first, as the kernel expects them.
fn ordered_apic_ids(machine: &MachinePage, first: u32) -> Vec<u32> {
    let all = machine
        .apic_ids
        .iter()
        .take(machine.cpu_count as usize)
        .copied();
    std::iter::once(first)
        .chain(all.filter(|&id| id != first))
        .collect()
}

fn command_line(layout: &Layout, machine: &MachinePage, append: &str) -> String {
    format!(
        "baton.handoff={:#x} tsc_early_khz={} maxcpus=1 nmi_watchdog=0 panic=0 \
         printk.devkmsg=on rdinit=/init {append}",
        layout.region, machine.tsc_khz
    )
}

/// Address of a kernel variable, if the kernel shows it.
fn symbol(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/kallsyms").ok()?;
    let line = text
        .lines()
        .find(|line| line.split_whitespace().nth(2) == Some(name))?;
    let address = u64::from_str_radix(line.split_whitespace().next()?, 16).ok()?;
    (address != 0).then_some(address)
}

/// Waits until the 2nd OS says that it is ready, and shows how far it is.
fn wait_ready(region: &Region) -> Result<()> {
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
        if start.elapsed() > BOOT_LIMIT {
            bail!(
                "the new kernel is not ready after {} s; its last messages:\n{}",
                BOOT_LIMIT.as_secs(),
                String::from_utf8_lossy(&region.ring(region::CONSOLE)?)
            );
        }
        // The 2nd OS cannot interrupt this one: looking now and then is all there is.
        std::thread::sleep(Duration::from_millis(20));
    }
}
