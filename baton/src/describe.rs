//! What the 2nd OS has to know of this kernel and machine: descriptor, file systems, machine.

use crate::btf;
use crate::device::Device;
use crate::iomem::{self, Map};
use crate::region::{field, text_of};
use crate::system::{Mount, Source, SystemSnapshot};
use anyhow::{bail, ensure, Context, Result};
use handoff_abi::descriptor::{
    DescriptorPage, Member, MemberId, CONSTANTS, CONSTANT_COUNT, MEMBERS, MEMBER_COUNT,
};
use handoff_abi::filesystem::{FilesystemEntry, FilesystemFlags, FilesystemPage, MAX_FILESYSTEMS};
use handoff_abi::header::PageHeader;
use handoff_abi::ioctl::{self, BridgesArgs, HeadersArgs, InfoArgs, SuperBlockArgs, NO_OFFSET};
use handoff_abi::machine::{MachinePage, MemoryRange, PciBridge, RangeKind, MAX_RANGES};
use handoff_abi::region;
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::Path;
use zerocopy::{FromZeros, IntoBytes};

/// File systems whose cache and names are carried over.
pub const SUPPORTED: &[&str] = &["ext4", "xfs"];

/// Split BTF of modules that the descriptor may need, if they are modules here.
const SPLIT_BTF: &[&str] = &["ext4", "jbd2", "xfs", "btrfs"];

/// Magic number of ext2, ext3 and ext4 (`include/uapi/linux/magic.h`).
const EXT4_SUPER_MAGIC: u64 = 0xef53;
/// Magic number of xfs.
const XFS_SUPER_MAGIC: u64 = 0x5846_5342;

/// The descriptor of the running kernel: BTF, checked against the headers that the module was
/// built with.
///
/// # Errors
/// No BTF, a structure that this version does not know, or headers that disagree.
pub fn descriptor(
    device: &Device,
    info: &InfoArgs,
    memory: &Map,
    generation: u64,
) -> Result<Box<DescriptorPage>> {
    let directory = Path::new("/sys/kernel/btf");
    let vmlinux = std::fs::read(directory.join("vmlinux")).context(
        "reading /sys/kernel/btf/vmlinux; the kernel must be built with CONFIG_DEBUG_INFO_BTF",
    )?;
    let mut split = Vec::new();
    for name in SPLIT_BTF {
        if let Ok(bytes) = std::fs::read(directory.join(name)) {
            split.push((*name, bytes));
        }
    }
    let split: Vec<_> = split
        .iter()
        .map(|(name, bytes)| (*name, bytes.as_slice()))
        .collect();
    let resolved = btf::resolve(&vmlinux, &split)?;
    let mut headers = HeadersArgs::new_box_zeroed()
        .ok()
        .context("out of memory")?;
    device.request(&ioctl::HEADERS, &mut *headers)?;
    let mut page = DescriptorPage::new_box_zeroed()
        .ok()
        .context("out of memory")?;
    page.header = PageHeader::new(region::DESCRIPTOR, generation);
    page.member_count = u32::try_from(MEMBER_COUNT)?;
    page.constant_count = u32::try_from(CONSTANT_COUNT)?;
    page.address_space = info.address_space;
    // The direct map reserves more address space than there is memory.
    let end = memory.system_ram().iter().map(|range| range.end).max();
    page.address_space.direct_map_size = end.context("/proc/iomem shows no RAM")? & !4095;
    page.shapes = resolved.shapes;
    page.members = resolved.members;
    check_offsets(&page, &headers)?;
    for (number, spec) in CONSTANTS.iter().enumerate() {
        page.constants[number] = constant(&headers, &resolved.constants, number, spec.name)?;
    }
    // What the migrator of the 2nd OS would refuse at the update is refused here, by name.
    migrator::descriptor::Descriptor::new(&page)
        .map_err(|error| anyhow::anyhow!("this kernel cannot be migrated from: {error}"))?;
    let build_id = build_id(&std::fs::read("/sys/kernel/notes").unwrap_or_default());
    for (to, from) in page.build_id.iter_mut().zip(build_id) {
        *to = from;
    }
    Ok(page)
}

/// Writes a region with only the descriptor and the file systems to `path`, says so, and stays: the
/// descriptor's page table is this process's. For tests that read the memory of a stopped machine.
///
/// # Errors
/// As [`descriptor`] and [`filesystems`].
pub fn to_file(path: &Path) -> Result<()> {
    crate::module_file::ensure_loaded()?;
    let device = Device::open()?;
    let info = device.info()?;
    let memory = iomem::parse(&std::fs::read_to_string("/proc/iomem")?)?;
    let open = filesystems(&device, &SystemSnapshot::take()?)?;
    let mut bytes = vec![0u8; region::REGION_SIZE];
    let descriptor = descriptor(&device, &info, &memory, 1)?;
    let page = filesystem_page(&open, 1)?;
    let parts = [
        (region::DESCRIPTOR, descriptor.as_bytes()),
        (region::FILESYSTEMS, page.as_bytes()),
    ];
    for (place, content) in parts {
        let room = bytes.get_mut(place.offset..place.offset + content.len());
        room.context("a page exceeds the region")?
            .copy_from_slice(content);
    }
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))?;
    println!("described");
    loop {
        std::thread::park();
    }
}

/// What BTF says must be what the compiler said.
fn check_offsets(page: &DescriptorPage, headers: &HeadersArgs) -> Result<()> {
    for (number, spec) in MEMBERS.iter().enumerate() {
        let compiled = headers.offsets[number];
        let found = &page.members[number];
        if compiled != NO_OFFSET && found.is_present() && found.offset != compiled {
            bail!(
                "{}.{} is at {} in the running kernel's BTF and at {} in the headers baton.ko was \
                 built with: build the module for this very kernel",
                spec.structure,
                spec.path(),
                found.offset,
                compiled
            );
        }
    }
    Ok(())
}

fn constant(headers: &HeadersArgs, btf: &[Option<u64>], number: usize, name: &str) -> Result<u64> {
    let known = headers.constants_known[number / 64] >> (number % 64) & 1 == 1;
    let compiled = known.then(|| headers.constants[number]);
    let enumerated = btf.get(number).copied().flatten();
    match (compiled, enumerated) {
        (Some(compiled), Some(enumerated)) if compiled != enumerated => bail!(
            "{name} is {enumerated} in the running kernel's BTF and {compiled} in the headers \
             baton.ko was built with: build the module for this very kernel"
        ),
        (Some(value), _) | (None, Some(value)) => Ok(value),
        (None, None) => bail!("this kernel does not say what {name} is"),
    }
}

/// The GNU build ID in the kernel's ELF notes; empty if there is none.
fn build_id(notes: &[u8]) -> Vec<u8> {
    let mut rest = notes;
    while let Some(header) = rest.first_chunk::<12>() {
        let word = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes) as usize
        };
        let (name_size, size, kind) = (word(0), word(4), word(8));
        let start = 12 + name_size.next_multiple_of(4);
        let name = rest.get(12..12 + name_size).unwrap_or_default();
        let Some(content) = rest.get(start..start + size) else {
            break;
        };
        if kind == 3 && name == b"GNU\0" {
            return content.to_vec();
        }
        rest = rest
            .get(start + size.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Vec::new()
}

/// A file system that is carried over, with a descriptor on it that keeps it busy.
#[derive(Debug)]
pub struct OpenFilesystem {
    /// For the handoff region.
    pub entry: FilesystemEntry,
    /// Its mount point, open.
    pub root: File,
}

/// Every mounted, disk-backed file system, root first.
///
/// # Errors
/// One that cannot be carried over, by name.
pub fn filesystems(device: &Device, system: &SystemSnapshot) -> Result<Vec<OpenFilesystem>> {
    let mut found: Vec<OpenFilesystem> = Vec::new();
    let root_id = system.root().map(|mount| mount.id);
    let mut mounts: Vec<&Mount> = system.mounts.iter().collect();
    mounts.sort_by_key(|mount| (Some(mount.id) != root_id, mount.mount_point.len()));
    for mount in mounts {
        let identity = match &mount.backing {
            Source::Device(crate::system::Backing::Disk(identity)) => identity.to_string(),
            Source::Device(other) => bail!(
                "{} is mounted on {}: {other:?} cannot be carried over; unmount it first",
                mount.mount_point,
                mount.source
            ),
            _ => continue,
        };
        let root = File::open(&mount.mount_point)
            .with_context(|| format!("opening {}", mount.mount_point))?;
        let mut args = SuperBlockArgs::new_zeroed();
        args.fd = root.as_raw_fd();
        device.request(&ioctl::SUPER_BLOCK, &mut args)?;
        if found
            .iter()
            .any(|other| other.entry.super_block == args.address)
        {
            continue;
        }
        let read_only = mount.super_options.split(',').any(|option| option == "ro");
        ensure!(
            SUPPORTED.contains(&mount.fs_type.as_str()) || read_only,
            "{} is a {} file system, whose cache this version does not carry over; supported: {}",
            mount.mount_point,
            mount.fs_type,
            SUPPORTED.join(", ")
        );
        ensure!(
            args.has_export_op != 0,
            "{} ({}) cannot look files up by handle",
            mount.mount_point,
            mount.fs_type
        );
        ensure!(
            found.len() < MAX_FILESYSTEMS,
            "more than {MAX_FILESYSTEMS} file systems"
        );
        let mut flags = FilesystemFlags::from_bits(0);
        flags.set_root(Some(mount.id) == root_id);
        flags.set_read_only(read_only);
        flags.set_has_journal_tids(args.magic == EXT4_SUPER_MAGIC);
        flags.set_has_pin_counts(args.magic == XFS_SUPER_MAGIC);
        let mut entry = FilesystemEntry::new_zeroed();
        entry.super_block = args.address;
        entry.device = args.device;
        entry.flags = flags.bits();
        entry.magic = args.magic;
        entry.fs_type = args.fs_type;
        entry.mount_point = field(&mount.mount_point);
        entry.identity = field(&identity);
        found.push(OpenFilesystem { entry, root });
    }
    Ok(found)
}

/// Whether the descriptor says all that the migrator needs of these file systems.
///
/// # Errors
/// One whose structures this kernel's BTF does not describe, by name.
pub fn check_filesystems(page: &DescriptorPage, open: &[OpenFilesystem]) -> Result<()> {
    let has = |id: MemberId| {
        page.members
            .get(usize::from(id.0))
            .is_some_and(Member::is_present)
    };
    let ext4 = [
        MemberId::EXT4_INODE_INFO_VFS_INODE,
        MemberId::EXT4_INODE_INFO_I_SYNC_TID,
        MemberId::EXT4_SB_INFO_S_JOURNAL,
        MemberId::JOURNAL_J_COMMIT_SEQUENCE,
    ];
    let xfs = [MemberId::XFS_INODE_I_VNODE, MemberId::XFS_INODE_I_PINCOUNT];
    for filesystem in open {
        let flags = FilesystemFlags::from_bits(filesystem.entry.flags);
        let needed: &[MemberId] = if flags.has_journal_tids() {
            &ext4
        } else if flags.has_pin_counts() {
            &xfs
        } else {
            &[]
        };
        ensure!(
            needed.iter().all(|id| has(*id)),
            "{}: this kernel has no type information for {}, whose cache can therefore not be \
             carried over (before 5.11 there is none for modules)",
            text_of(&filesystem.entry.mount_point),
            text_of(&filesystem.entry.fs_type)
        );
    }
    Ok(())
}

/// The page for the handoff region.
///
/// # Errors
/// Out of memory.
pub fn filesystem_page(open: &[OpenFilesystem], generation: u64) -> Result<Box<FilesystemPage>> {
    let mut page = FilesystemPage::new_box_zeroed()
        .ok()
        .context("out of memory")?;
    page.header = PageHeader::new(region::FILESYSTEMS, generation);
    page.count = u32::try_from(open.len())?;
    for (slot, filesystem) in page.entries.iter_mut().zip(open) {
        *slot = filesystem.entry;
    }
    Ok(page)
}

/// The machine page. `partition` is what the 2nd OS gets, `low` the low RAM of the machine as
/// this kernel knows or inherited it, `inherited_tail` the firmware area this kernel was started
/// with, which nobody needs once it has stopped.
///
/// # Errors
/// A machine with more ranges or bridges than a handover carries.
pub fn machine_page(
    device: &Device,
    info: &InfoArgs,
    memory: &Map,
    inherited: Option<&MachinePage>,
    partition: Range<u64>,
    block_size: u64,
    generation: u64,
) -> Result<Box<MachinePage>> {
    let mut page = MachinePage::new_box_zeroed()
        .ok()
        .context("out of memory")?;
    page.header = PageHeader::new(region::MACHINE, generation);
    page.tsc_khz = info.tsc_khz;
    page.memory_block_size = block_size;
    let apic_ids = apic_ids(info, inherited);
    ensure!(
        apic_ids.len() <= page.apic_ids.len(),
        "more CPUs than a handover carries"
    );
    page.cpu_count = u32::try_from(apic_ids.len())?;
    for (slot, id) in page.apic_ids.iter_mut().zip(&apic_ids) {
        *slot = *id;
    }
    page.bsp_apic_id = inherited.map_or(info.bsp_apic_id, |machine| machine.bsp_apic_id);
    let mut ranges = Vec::new();
    for ram in first_ranges(memory, info, &partition) {
        ranges.push((ram, RangeKind::FIRST));
    }
    let low = inherited.map_or_else(
        || memory.low_ram(),
        |machine| ranges_of(machine, RangeKind::LOW),
    );
    ranges.extend(low.into_iter().map(|range| (range, RangeKind::LOW)));
    let ecams = memory.ecam()?;
    ranges.extend(
        ecams
            .iter()
            .map(|ecam| (ecam.start..ecam.start + ecam.size, RangeKind::ECAM)),
    );
    for base in ioapics(inherited)? {
        ranges.push((
            base..base + handoff_abi::PAGE_SIZE as u64,
            RangeKind::IOAPIC,
        ));
    }
    ranges.push((partition, RangeKind::PARTITION));
    ensure!(
        ranges.len() <= MAX_RANGES,
        "the machine has more memory ranges than a handover carries"
    );
    page.range_count = u32::try_from(ranges.len())?;
    for (slot, (range, kind)) in page.ranges.iter_mut().zip(ranges) {
        *slot = MemoryRange {
            base: range.start,
            size: range.end - range.start,
            kind: kind.0,
            reserved: 0,
        };
    }
    let bridges = bridges(device, &ecams)?;
    page.bridge_count = u32::try_from(bridges.len())?;
    for (slot, bridge) in page.bridges.iter_mut().zip(bridges) {
        *slot = bridge;
    }
    Ok(page)
}

/// Where the machine's I/O APICs are: from the firmware's MADT, or as this kernel inherited it.
fn ioapics(inherited: Option<&MachinePage>) -> Result<Vec<u64>> {
    if let Some(machine) = inherited {
        let ranges = ranges_of(machine, RangeKind::IOAPIC);
        return Ok(ranges.into_iter().map(|range| range.start).collect());
    }
    let path = "/sys/firmware/acpi/tables/APIC";
    let madt = std::fs::read(path).with_context(|| format!("reading {path}"))?;
    Ok(madt_ioapics(&madt))
}

/// Addresses of the I/O APIC structures of a MADT (ACPI specification 6.5, 5.2.12.3).
fn madt_ioapics(madt: &[u8]) -> Vec<u64> {
    const FIRST: usize = 44;
    const IO_APIC: u8 = 1;
    let mut found = Vec::new();
    let mut rest = madt.get(FIRST..).unwrap_or_default();
    while let [kind, length, ..] = rest {
        let Some(entry) = rest
            .get(..usize::from(*length))
            .filter(|entry| entry.len() >= 2)
        else {
            break;
        };
        if let (IO_APIC, Some(address)) = (*kind, entry.get(4..8)) {
            let address = address.try_into().map(u32::from_le_bytes).unwrap_or(0);
            found.push(u64::from(address));
        }
        rest = rest.get(entry.len()..).unwrap_or_default();
    }
    found
}

/// APIC IDs of the machine's CPUs: those of the first kernel that booted on it, for a kernel that
/// Baton started also knows one that does not exist.
#[must_use]
pub fn apic_ids(info: &InfoArgs, inherited: Option<&MachinePage>) -> Vec<u32> {
    match inherited {
        Some(machine) => machine
            .apic_ids
            .iter()
            .take(machine.cpu_count as usize)
            .copied()
            .collect(),
        None => info
            .cpus
            .iter()
            .take(info.cpu_count as usize)
            .map(|cpu| cpu.apic_id)
            .collect(),
    }
}

/// Ranges of one kind.
#[must_use]
pub fn ranges_of(machine: &MachinePage, kind: RangeKind) -> Vec<Range<u64>> {
    machine
        .ranges
        .iter()
        .take(machine.range_count as usize)
        .filter(|range| range.kind == kind.0)
        .map(|range| range.base..range.base.saturating_add(range.size))
        .collect()
}

/// RAM of this kernel above 1 MiB without the partition, in whole pages, adjacent ranges joined.
fn first_ranges(memory: &Map, info: &InfoArgs, partition: &Range<u64>) -> Vec<Range<u64>> {
    const MIB: u64 = 1 << 20;
    let mut ram = memory.system_ram();
    if info.inherited_region != 0 {
        ram.push(info.inherited_region..info.inherited_region + partition::layout::FIRMWARE_SIZE);
    }
    ram.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ram {
        let range = range.start.max(MIB).next_multiple_of(4096)..range.end & !4095;
        if range.start >= range.end {
            continue;
        }
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    let mut rest = Vec::new();
    for range in joined {
        for part in [
            range.start..range.end.min(partition.start),
            range.start.max(partition.end)..range.end,
        ] {
            if part.start < part.end && !rest.contains(&part) {
                rest.push(part);
            }
        }
    }
    rest
}

fn bridges(device: &Device, ecams: &[iomem::Ecam]) -> Result<Vec<PciBridge>> {
    let mut args = BridgesArgs::new_box_zeroed()
        .ok()
        .context("out of memory")?;
    device.request(&ioctl::BRIDGES, &mut *args)?;
    ensure!(
        args.truncated == 0,
        "the machine has more PCI host bridges than a handover carries"
    );
    let mut bridges = Vec::new();
    for mut bridge in args.bridges.into_iter().take(args.count as usize) {
        let ecam = ecams.iter().find(|ecam| {
            ecam.segment == bridge.segment
                && (ecam.bus_start..=ecam.bus_end).contains(&bridge.bus_start)
        });
        bridge.ecam = ecam.map_or(0, |ecam| ecam.base);
        bridges.push(bridge);
    }
    Ok(bridges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_apics_of_a_madt() {
        let mut madt = vec![0u8; 44];
        madt.extend([0, 8, 0, 0, 1, 0, 0, 0]);
        madt.extend([1, 12, 0, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0]);
        assert_eq!(madt_ioapics(&madt), [0xfec0_0000]);
        for cut in 0..madt.len() {
            madt_ioapics(&madt[..cut]);
        }
        madt.extend([7, 0]);
        assert_eq!(madt_ioapics(&madt), [0xfec0_0000]);
    }

    #[test]
    fn the_build_id_among_other_notes() {
        let mut notes = Vec::new();
        for (name, kind, content) in [
            (&b"Linux\0"[..], 1u32, &b"x"[..]),
            (b"GNU\0", 3, b"\x01\x02\x03\x04\x05"),
        ] {
            notes.extend(u32::try_from(name.len()).expect("short").to_le_bytes());
            notes.extend(u32::try_from(content.len()).expect("short").to_le_bytes());
            notes.extend(kind.to_le_bytes());
            for part in [name, content] {
                notes.extend(part);
                notes.resize(notes.len().next_multiple_of(4), 0);
            }
        }
        assert_eq!(build_id(&notes), [1, 2, 3, 4, 5]);
        for cut in 0..notes.len() {
            build_id(&notes[..cut]);
        }
    }
}
