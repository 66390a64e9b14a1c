//! The mounted, disk-backed file systems.

use crate::device::Device;
use crate::region::{field, text_of};
use crate::system::{Backing, Mount, Source, SystemSnapshot};
use anyhow::{bail, ensure, Context, Result};
use handoff_abi::descriptor::{DescriptorPage, Member, MemberId};
use handoff_abi::filesystem::{FilesystemEntry, FilesystemFlags, FilesystemPage, MAX_FILESYSTEMS};
use handoff_abi::header::PageHeader;
use handoff_abi::ioctl::{self, SuperBlockArgs};
use handoff_abi::region;
use std::fs::File;
use std::os::fd::AsRawFd;
use zerocopy::FromZeros;

/// File systems whose cache and names are carried over.
pub const SUPPORTED: &[&str] = &["ext4", "xfs"];

/// Magic number of ext2, ext3 and ext4 (`include/uapi/linux/magic.h`).
const EXT4_SUPER_MAGIC: u64 = 0xef53;

/// Magic number of xfs.
const XFS_SUPER_MAGIC: u64 = 0x5846_5342;

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
            Source::Device(Backing::Disk(identity)) => identity.to_string(),
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
