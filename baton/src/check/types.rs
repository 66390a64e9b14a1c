//! The running kernel's type information: what the migrator reads it by.

use super::Point;
use crate::device::Device;
use crate::{btf, describe, iomem};
use anyhow::{ensure, Result};
use handoff_abi::descriptor::{Member, MemberId};
use handoff_abi::ioctl::InfoArgs;
use std::path::Path;

const TOPIC: &str = "BTF";
/// Modules whose type information is in files of their own.
const SPLIT: &[&str] = &["ext4", "jbd2", "xfs"];
/// File systems, and a member that is known if their structures are.
const NEEDED: &[(&str, MemberId)] = &[
    ("ext4", MemberId::EXT4_INODE_INFO_VFS_INODE),
    ("xfs", MemberId::XFS_INODE_I_VNODE),
];

/// Whether this kernel's structures are known, those of the file systems `types` among them: by
/// its BTF, and if the module is loaded by its descriptor too, which compares it with the headers
/// that the module was built with.
pub fn descriptor(sys: &Path, types: &[String], module: Option<(&Device, &InfoArgs)>) -> Point {
    let dir = sys.join("kernel/btf");
    let vmlinux = match std::fs::read(dir.join("vmlinux")) {
        Ok(bytes) => bytes,
        Err(error) => {
            return Point::fail(
                TOPIC,
                format!("the running kernel does not describe its structures ({error})"),
                "it must be built with CONFIG_DEBUG_INFO_BTF; boot such a kernel once",
            )
        }
    };
    let (result, how) = match module {
        Some((device, info)) => (
            plain(&dir, &vmlinux, types).and_then(|()| full(device, info)),
            "this kernel's structures are known and are those of baton.ko",
        ),
        None => (
            plain(&dir, &vmlinux, types),
            "this kernel's structures are known",
        ),
    };
    match result {
        Ok(()) => Point::ok(TOPIC, how),
        Err(error) => Point::fail(
            TOPIC,
            format!("{error:#}"),
            "this version cannot migrate from this kernel; boot another once",
        ),
    }
}

fn plain(dir: &Path, vmlinux: &[u8], types: &[String]) -> Result<()> {
    let split: Vec<(&str, Vec<u8>)> = SPLIT
        .iter()
        .filter_map(|name| Some((*name, std::fs::read(dir.join(name)).ok()?)))
        .collect();
    let split: Vec<(&str, &[u8])> = split
        .iter()
        .map(|(name, bytes)| (*name, bytes.as_slice()))
        .collect();
    file_systems(&btf::resolve(vmlinux, &split)?.members, types)
}

/// Before 5.11 a kernel has no type information for its modules.
fn file_systems(members: &[Member], types: &[String]) -> Result<()> {
    for (name, id) in NEEDED {
        let known = members
            .get(usize::from(id.0))
            .is_some_and(Member::is_present);
        ensure!(
            known || !types.iter().any(|kind| kind == name),
            "this kernel has no type information for {name}, which is mounted"
        );
    }
    Ok(())
}

fn full(device: &Device, info: &InfoArgs) -> Result<()> {
    let memory = iomem::parse(&std::fs::read_to_string("/proc/iomem")?)?;
    describe::descriptor(device, info, &memory, 1).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::Tree;
    use crate::check::Verdict;
    use handoff_abi::descriptor::Kind;

    #[test]
    fn btf_must_be_there_and_be_btf() {
        let tree = Tree::new();
        let none = descriptor(tree.path(), &[], None);
        assert_eq!(none.verdict, Verdict::Fail);
        assert!(none.found.contains("does not describe"));
        tree.bytes("kernel/btf/vmlinux", &[1, 2, 3]);
        assert_eq!(descriptor(tree.path(), &[], None).verdict, Verdict::Fail);
    }

    #[test]
    fn mounted_file_systems_must_be_known() {
        let mut members = vec![Member::ABSENT; 1024];
        let ext4 = ["ext4".to_owned()];
        assert!(file_systems(&members, &ext4).is_err());
        assert!(file_systems(&members, &["vfat".to_owned()]).is_ok());
        let at = usize::from(MemberId::EXT4_INODE_INFO_VFS_INODE.0);
        members[at].kind = Kind::STRUCT.0;
        assert!(file_systems(&members, &ext4).is_ok());
    }
}
