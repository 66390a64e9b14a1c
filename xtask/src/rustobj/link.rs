//! From the archive's members to one object, with the system's `ld`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};

use super::is_export;

/// Of these the kernel has its own, better ones; compiler_builtins' get out of
/// their way, and are dropped as unused.
const KERNEL_HAS: [&str; 6] = ["memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"];

/// What the log's decoder needs although no code refers to it.
const DEFMT_ROOTS: [&str; 2] = ["_defmt_timestamp", "__DEFMT_MARKER_TIMESTAMP_WAS_DEFINED"];

/// Links `archive` with `kernel-glue/link/baton_core.lds` of the workspace
/// `root`, in the folder `work`; returns the bytes of the object.
pub fn link(archive: &Path, root: &Path, work: &Path) -> Result<Vec<u8>> {
    if work.exists() {
        fs::remove_dir_all(work).with_context(|| format!("cannot empty {}", work.display()))?;
    }
    fs::create_dir_all(work).with_context(|| format!("cannot create {}", work.display()))?;
    let bytes = fs::read(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    let Members { objects, exports } =
        unpack(&bytes, work).with_context(|| format!("cannot take {} apart", archive.display()))?;
    ensure!(
        !exports.is_empty(),
        "the crate exports no function for C to call"
    );

    let linked = work.join("linked.o");
    let mut ld = Command::new("ld");
    ld.args(["-r", "--gc-sections", "-T"])
        .arg(root.join("kernel-glue/link/baton_core.lds"));
    for symbol in exports.iter().map(String::as_str).chain(DEFMT_ROOTS) {
        ld.args(["-u", symbol]);
    }
    run(ld.arg("-o").arg(&linked).args(&objects))?;
    fs::read(&linked).with_context(|| format!("cannot read {}", linked.display()))
}

struct Members {
    objects: Vec<PathBuf>,
    exports: Vec<String>,
}

fn unpack(bytes: &[u8], work: &Path) -> Result<Members> {
    let archive = ArchiveFile::parse(bytes)?;
    let (mut objects, mut exports) = (Vec::new(), Vec::new());
    for (number, member) in archive.members().enumerate() {
        let member = member?;
        let name = String::from_utf8_lossy(member.name()).into_owned();
        let data = member.data(bytes)?;
        let object = object::File::parse(data).with_context(|| format!("member {name}"))?;
        // Cargo's names are long; the number keeps these short ones apart.
        let path = work.join(format!("member{number}.o"));
        fs::write(&path, data)?;
        if name.starts_with("compiler_builtins-") {
            step_aside(&path)?;
        }
        for symbol in object
            .symbols()
            .filter(|s| s.is_global() && s.is_definition())
        {
            let symbol = symbol.name()?;
            if is_export(symbol) {
                exports.push(symbol.to_owned());
            }
        }
        objects.push(path);
    }
    exports.sort();
    Ok(Members { objects, exports })
}

/// Renames the functions that the kernel has in an object of compiler_builtins.
fn step_aside(object: &Path) -> Result<()> {
    let mut objcopy = Command::new("objcopy");
    for symbol in KERNEL_HAS {
        objcopy
            .arg("--redefine-sym")
            .arg(format!("{symbol}=compiler_builtins_{symbol}"));
    }
    run(objcopy.arg(object))
}

/// Runs a program of binutils; whatever it says is an error.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .env("LC_ALL", "C")
        .output()
        .with_context(|| format!("cannot run {program}: the package binutils has it"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !said.trim().is_empty() {
        bail!("{program} failed or complained: {}", said.trim());
    }
    Ok(())
}
