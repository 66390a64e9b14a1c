//! The disks of a machine whose memory is kept.

use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use super::Tools;
use crate::image::{mke2fs, Rootfs};
use crate::kernels::Kernel;
use crate::tools;

/// Size of the root file system, MiB; sparse. Far more than is written: ext4 gives blocks at once
/// when they become scarce.
const ROOT_MIB: u64 = 2048;

/// A file system beside the root.
pub struct Extra {
    /// Where it is mounted.
    pub mount: &'static str,
    /// What `baton-scene` is to do there: its option, and the MiB.
    pub scene: (&'static str, u64),
    /// Block size, bytes.
    pub block_size: u32,
    /// Size, MiB; sparse.
    mib: u64,
}

/// Where the disk is mounted whose writes never end.
pub const SLOW: &str = "/slow";

/// One for each amount of dirty cache that is measured, one whose frames are scattered, one with
/// blocks smaller than a page, and one that becomes slow.
pub const EXTRAS: [Extra; 7] = [
    filled("/fill16", "--filled", 16),
    filled("/fill32", "--filled", 32),
    filled("/fill64", "--filled", 64),
    filled("/fill128", "--filled", 128),
    filled("/mixed64", "--mixed", 64),
    Extra {
        mount: "/small",
        scene: ("--varied", 2),
        block_size: 1024,
        mib: 512,
    },
    filled(SLOW, "--rewritten", 16),
];

const fn filled(mount: &'static str, scene: &'static str, mib: u64) -> Extra {
    Extra {
        mount,
        scene: (scene, mib),
        block_size: 4096,
        mib: 1024,
    }
}

/// Makes the disks in `folder`, the root first, in the order of [`EXTRAS`].
pub fn make(tools: &Tools, kernel: &Kernel, module: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let release = &kernel.release;
    let mut rootfs = Rootfs::new()
        .tree(&kernel.modules, format!("/lib/modules/{release}"))
        .file(
            module,
            format!("/lib/modules/{release}/extra/baton.ko"),
            0o644,
        );
    for (program, name) in [
        (&tools.programs.baton, "baton"),
        (&tools.programs.guest, "baton-guest"),
        (&tools.scene, "baton-scene"),
    ] {
        rootfs = rootfs.file(program, format!("/usr/sbin/{name}"), 0o755);
    }
    let root = folder.join("root.img");
    rootfs.build(&tools.cache, &tools.apt, ROOT_MIB, &root)?;
    let mut disks = vec![root];
    for (number, extra) in EXTRAS.iter().enumerate() {
        let disk = folder.join(format!("extra{number}.img"));
        make_ext4(tools, extra, &disk)?;
        disks.push(disk);
    }
    Ok(disks)
}

fn make_ext4(tools: &Tools, extra: &Extra, disk: &Path) -> Result<()> {
    let bundle = tools::IMAGE_TOOLS.unpack(&tools.cache, &tools.apt)?;
    let output = mke2fs(&bundle, "")
        .args(["-b", &extra.block_size.to_string()])
        .arg(disk)
        .arg(format!("{}M", extra.mib))
        .output()
        .context("cannot run mke2fs")?;
    ensure!(
        output.status.success(),
        "mke2fs cannot make {}: {}",
        disk.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
