//! What the 2nd OS has to know of this kernel and machine: descriptor, file systems, machine.

mod filesystems;
mod machine;
mod offsets;

pub use filesystems::{check_filesystems, filesystem_page, filesystems, OpenFilesystem, SUPPORTED};
pub use machine::{apic_ids, machine_page, ranges_of};
pub use offsets::descriptor;

use crate::device::Device;
use crate::iomem;
use crate::system::SystemSnapshot;
use anyhow::{Context, Result};
use handoff_abi::region;
use std::path::Path;
use zerocopy::IntoBytes;

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
