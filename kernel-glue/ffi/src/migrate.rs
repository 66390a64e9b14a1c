//! The migrator, for C: over the memory of the 1st OS into `sink.c`, and over the running kernel
//! for the self-test.

use crate::errno::{EBADMSG, EINVAL, EPROTO};
use crate::glue::CSink;
use crate::handover::section;
use crate::losses::Losses;
use crate::memory::{MappedMemory, Mapping, OwnMemory};
use core::cell::UnsafeCell;
use core::mem::{offset_of, size_of};
use handoff_abi::control::ControlPage;
use handoff_abi::descriptor::DescriptorPage;
use handoff_abi::filesystem::{FilesystemEntry, FilesystemPage, MAX_FILESYSTEMS};
use handoff_abi::ioctl::{MigrateArgs, Segment as GlueSegment};
use handoff_abi::region;
use migrator::address::ForeignVa;
use migrator::budget::Budget;
use migrator::descriptor::Descriptor;
use migrator::files::{
    inspect_inode, migrate_files, FileInfo, FileSummary, LostFile, Reason, Segment, Sink,
    SinkError, MAX_SEGMENTS,
};
use migrator::view::View;
use shared_page::Section;

/// Opaque: `struct baton_sink` of sink.c.
#[repr(C)]
pub struct GlueSink {
    _opaque: [u8; 0],
}

/// The descriptor is too large for a kernel stack.
struct DescriptorBuffer(UnsafeCell<DescriptorPage>);

// SAFETY: used only by the two exported functions below, which C calls under `baton_lock`, so by
// one thread at a time.
unsafe impl Sync for DescriptorBuffer {}

static DESCRIPTOR: DescriptorBuffer = DescriptorBuffer(UnsafeCell::new(DescriptorPage::ZERO));

/// Copies the descriptor out of the region and checks it.
///
/// # Safety
/// `region` is a mapped handoff region; the caller holds `baton_lock`, and no result of an earlier
/// call is in use.
unsafe fn descriptor<'a>(region: *mut u8) -> Result<Descriptor<'a>, i32> {
    // SAFETY: the caller's promise.
    let section = unsafe { section(region, region::DESCRIPTOR) }?;
    // SAFETY: the caller is the only user of the buffer.
    let buffer = unsafe { &mut *DESCRIPTOR.0.get() };
    section
        .snapshot_into(0, zerocopy::IntoBytes::as_mut_bytes(buffer))
        .map_err(|_| -EINVAL)?;
    buffer
        .header
        .check(region::DESCRIPTOR)
        .map_err(|_| -EPROTO)?;
    // SAFETY: the caller's promise.
    let control = unsafe { crate::handover::section(region, region::CONTROL) }?;
    let pgd = control
        .load_u64(offset_of!(ControlPage, first_cr3))
        .map_err(|_| -EINVAL)?;
    if pgd != 0 {
        // The page table of the task that stopped the 1st OS; that of the task which wrote the
        // descriptor may be gone.
        buffer.address_space.pgd = pgd;
    }
    Descriptor::new(buffer).map_err(|_| {
        defmt::error!("the descriptor is not valid");
        -EPROTO
    })
}

/// Hands the migrator's output to `sink.c` and lists what was lost.
struct KernelSink<'a> {
    sink: CSink,
    memory: &'a MappedMemory<'a>,
    losses: Losses,
    mount_point: &'a [u8],
    size: u64,
}

impl Sink for KernelSink<'_> {
    fn begin_file(&mut self, file: &FileInfo<'_>) -> Result<(), SinkError> {
        self.size = file.size;
        self.sink
            .begin(file.ino, file.generation)
            .map_err(SinkError)
    }

    fn write(&mut self, offset: u64, segments: &[Segment]) -> Result<(), SinkError> {
        let mut mapped: heapless::Vec<GlueSegment, MAX_SEGMENTS> = heapless::Vec::new();
        for segment in segments {
            let len = u64::from(segment.len);
            let va = self
                .memory
                .address(segment.pa, len)
                .ok_or(SinkError(EINVAL))?;
            let segment = GlueSegment { va: va as u64, len };
            mapped.push(segment).map_err(|_| SinkError(EINVAL))?;
        }
        self.sink.write(offset, &mapped).map_err(SinkError)
    }

    fn end_file(&mut self, _summary: &FileSummary) -> Result<(), SinkError> {
        self.sink.end(self.size).map_err(SinkError)
    }

    fn lost(&mut self, file: &LostFile<'_>, reason: Reason) {
        self.sink.close();
        self.losses.add(self.mount_point, file, reason);
    }
}

/// The bytes of a NUL-terminated field.
fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn filesystem_entry(page: &Section, index: u32) -> Result<FilesystemEntry, i32> {
    let count: u32 = page
        .load_u32(offset_of!(FilesystemPage, count))
        .map_err(|_| -EINVAL)?;
    let index = usize::try_from(index).map_err(|_| -EINVAL)?;
    if index >= MAX_FILESYSTEMS || index >= usize::try_from(count).unwrap_or(0) {
        return Err(-EINVAL);
    }
    let at = index
        .checked_mul(size_of::<FilesystemEntry>())
        .and_then(|at| at.checked_add(offset_of!(FilesystemPage, entries)))
        .ok_or(-EINVAL)?;
    page.snapshot(at).map_err(|_| -EINVAL)
}

/// Migrates the file cache of file system number `filesystem`. Files that cannot be carried over
/// are listed as losses; an error means that the walk could not begin or broke off.
///
/// # Safety
/// `region` is a mapped handoff region, `maps` are `map_count` live mappings of the 1st OS's
/// memory, `sink` is a `struct baton_sink`, `out` a valid argument. Called under `baton_lock`.
#[no_mangle]
pub unsafe extern "C" fn baton_migrate(
    region: *mut u8,
    maps: *const Mapping,
    map_count: u32,
    filesystem: u32,
    sink: *mut GlueSink,
    out: *mut MigrateArgs,
) -> i32 {
    // SAFETY: `out` is a valid argument, says the caller.
    let out = unsafe { &mut *out };
    // SAFETY: the caller's promise.
    let result = unsafe { migrate(region, maps, map_count, filesystem, sink, out) };
    result.err().unwrap_or(0)
}

unsafe fn migrate(
    region: *mut u8,
    maps: *const Mapping,
    map_count: u32,
    filesystem: u32,
    sink: *mut GlueSink,
    out: &mut MigrateArgs,
) -> Result<(), i32> {
    if map_count == 0 {
        return Err(-EINVAL);
    }
    // SAFETY: `map_count` mappings at `maps`, says the caller.
    let ranges = unsafe { core::slice::from_raw_parts(maps, map_count as usize) };
    // SAFETY: they are live while the call lasts, says the caller.
    let memory = unsafe { MappedMemory::new(ranges) };
    // SAFETY: the caller's promise; this is the only use until it returns.
    let descriptor = unsafe { descriptor(region) }?;
    // SAFETY: the caller's promise.
    let page = unsafe { section(region, region::FILESYSTEMS) }?;
    // SAFETY: the caller's promise.
    let losses = unsafe { section(region, region::LOSSES) }?;
    let entry = filesystem_entry(&page, filesystem)?;
    let view = View::new(&memory, descriptor);
    let budget = Budget::for_memory_of(view.descriptor());
    // SAFETY: `sink` is ours for the call, says the caller.
    let sink = unsafe { CSink::new(sink) };
    let mut sink = KernelSink {
        sink,
        memory: &memory,
        losses: Losses::new(losses),
        mount_point: until_nul(&entry.mount_point),
        size: 0,
    };
    let summary = migrate_files(&view, &entry, &mut sink, &budget).map_err(|error| {
        defmt::error!(
            "file system {=u32}: {} at {=u64:#x}",
            filesystem,
            error.object,
            error.at.raw()
        );
        -EBADMSG
    })?;
    out.inodes = summary.inodes;
    out.files = summary.files;
    out.pages = summary.pages;
    out.bytes = summary.bytes;
    out.lost = summary.lost;
    out.unlinked = summary.skipped_unlinked;
    defmt::info!(
        "file system {=u32}: {=u64} inodes, {=u64} files, {=u64} pages, {=u64} lost",
        filesystem,
        summary.inodes,
        summary.files,
        summary.pages,
        summary.lost
    );
    Ok(())
}

/// Facts of [`baton_inspect`], in the order of `selftest.c`.
const FACTS: usize = 7;

/// Reads the inode at `inode` of the running kernel by the descriptor in `region`: number, size,
/// mode, links, generation, pages it should have, pages found.
///
/// # Safety
/// `region` is a mapped handoff region; `facts` points to `fact_count` words. Called under
/// `baton_lock`.
#[no_mangle]
pub unsafe extern "C" fn baton_inspect(
    region: *mut u8,
    inode: u64,
    facts: *mut u64,
    fact_count: u32,
) -> i32 {
    if fact_count as usize != FACTS {
        return -EINVAL;
    }
    // SAFETY: the caller's promise.
    let descriptor = match unsafe { descriptor(region) } {
        Ok(descriptor) => descriptor,
        Err(error) => return error,
    };
    let view = View::new(&OwnMemory, descriptor);
    let Ok(seen) = inspect_inode(&view, ForeignVa::new(inode)) else {
        return -EBADMSG;
    };
    let values: [u64; FACTS] = [
        seen.ino,
        seen.size,
        u64::from(seen.mode),
        u64::from(seen.nlink),
        u64::from(seen.generation),
        seen.nrpages,
        seen.walked,
    ];
    // SAFETY: `facts` has room for as many, as was checked.
    let facts = unsafe { core::slice::from_raw_parts_mut(facts, FACTS) };
    facts.copy_from_slice(&values);
    0
}
