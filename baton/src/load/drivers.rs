//! The initramfs of the 2nd OS: this program and the drivers for this machine.

use super::Options;
use crate::bzimage::BzImage;
use crate::describe::OpenFilesystem;
use crate::initramfs;
use crate::module_file;
use crate::modules::{self, Resolution, Tree, Wanted};
use crate::network::Snapshot;
use crate::region::text_of;
use anyhow::{bail, Context, Result};
use std::path::{Path, PathBuf};

/// The initramfs of the 2nd OS: this program, the kernel's drivers, its `baton.ko`.
pub(super) fn build_initramfs(
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
