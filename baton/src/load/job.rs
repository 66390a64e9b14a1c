//! Filling the partition in, and starting its CPU.

use super::resources::Cpu;
use super::say;
use crate::bzimage::BzImage;
use crate::describe::{self, OpenFilesystem};
use crate::device::Device;
use crate::inheritance;
use crate::iomem;
use crate::region::{field, text_of, Region};
use anyhow::{bail, ensure, Context, Result};
use handoff_abi::control::ControlPage;
use handoff_abi::header::{HeaderPage, PageHeader};
use handoff_abi::ioctl::{self, InfoArgs, LowWindowArgs, RangeArgs, SelfTestArgs, StartArgs};
use handoff_abi::machine::{MachinePage, RangeKind};
use handoff_abi::region::{self, Section as Place};
use handoff_abi::timeline::TimelinePage;
use partition::layout::{Layout, FIRMWARE_SIZE, LOW_SIZE};
use partition::{acpi, aml, boot_params, page_tables, park, trampoline, Image};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use zerocopy::{FromZeros, IntoBytes};

/// What is to be put into the partition.
pub(super) struct Job<'a> {
    pub(super) device: &'a Device,
    pub(super) info: &'a InfoArgs,
    pub(super) memory: &'a iomem::Map,
    pub(super) image: &'a BzImage,
    pub(super) kernel: &'a [u8],
    pub(super) initrd: &'a [u8],
}

impl Job<'_> {
    /// Claims the memory, fills it in, starts the CPU.
    pub(super) fn prepare(
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
        inheritance::seal(&region, machine.header.generation)?;
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
        ensure!(
            command_line.len() <= self.image.cmdline_size as usize,
            "the command line has {} bytes, the kernel takes {}: append less",
            command_line.len(),
            self.image.cmdline_size
        );
        ensure!(
            layout.end() <= 1 << 32 || self.image.can_be_loaded_above_4g(),
            "the memory is above 4 GiB, where this kernel cannot be loaded"
        );
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

    pub(super) fn give_back(&self) {
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

/// Words for the 2nd OS. It has no clock but the TSC, whose frequency the 1st OS knows: to watch it
/// by counted timer interrupts, as a kernel does otherwise, would only take it for the wrong one.
fn command_line(layout: &Layout, machine: &MachinePage, append: &str) -> String {
    format!(
        "baton.handoff={:#x} tsc_early_khz={} tsc=reliable maxcpus=1 nmi_watchdog=0 panic=0 \
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
