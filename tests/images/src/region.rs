//! What `baton describe` wrote: a handoff region with two of its sections.

use std::path::Path;

use anyhow::{ensure, Context, Result};
use handoff_abi::descriptor::DescriptorPage;
use handoff_abi::filesystem::{FilesystemEntry, FilesystemPage};
use handoff_abi::header::PageHeader;
use handoff_abi::region::{self, Section};
use zerocopy::{FromZeros, IntoBytes};

/// The two sections.
pub struct Region {
    /// The offset table.
    pub descriptor: Box<DescriptorPage>,
    /// The file systems.
    pub filesystems: Vec<FilesystemEntry>,
}

impl Region {
    /// Loads the file at `path`.
    ///
    /// # Errors
    /// It is not a region of this version of the ABI.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is no handoff region", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        ensure!(
            bytes.len() == region::REGION_SIZE,
            "its size is {}",
            bytes.len()
        );
        let mut descriptor = DescriptorPage::new_box_zeroed()
            .ok()
            .context("out of memory")?;
        copy(bytes, region::DESCRIPTOR, descriptor.as_mut_bytes())?;
        check(&descriptor.header, region::DESCRIPTOR)?;
        let mut page = FilesystemPage::new_box_zeroed()
            .ok()
            .context("out of memory")?;
        copy(bytes, region::FILESYSTEMS, page.as_mut_bytes())?;
        check(&page.header, region::FILESYSTEMS)?;
        let used = page.entries.get(..page.count as usize);
        Ok(Self {
            descriptor,
            filesystems: used.context("more file systems than fit")?.to_vec(),
        })
    }
}

/// Text in a field that ends with NUL.
#[must_use]
pub fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]).into_owned()
}

fn copy(bytes: &[u8], section: Section, to: &mut [u8]) -> Result<()> {
    let from = bytes.get(section.offset..section.offset + to.len());
    to.copy_from_slice(from.context("a page exceeds the region")?);
    Ok(())
}

fn check(header: &PageHeader, section: Section) -> Result<()> {
    header
        .check(section)
        .map_err(|error| anyhow::anyhow!("the page {}: {error:?}", section.name))
}
