//! The offset table of the running kernel.

use crate::btf;
use crate::device::Device;
use crate::iomem::Map;
use anyhow::{bail, Context, Result};
use handoff_abi::descriptor::{DescriptorPage, CONSTANTS, CONSTANT_COUNT, MEMBERS, MEMBER_COUNT};
use handoff_abi::header::PageHeader;
use handoff_abi::ioctl::{self, HeadersArgs, InfoArgs, NO_OFFSET};
use handoff_abi::region;
use std::path::Path;
use zerocopy::FromZeros;

/// Split BTF of modules that the descriptor may need, if they are modules here.
const SPLIT_BTF: &[&str] = &["ext4", "jbd2", "xfs", "btrfs"];

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

#[cfg(test)]
mod tests {
    use super::*;

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
