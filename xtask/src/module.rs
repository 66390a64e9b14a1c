//! `cargo xtask module`: `baton.ko` for stock kernels.
//!
//! The C files of `kernel-glue/` and the Rust object ([`rustobj`]) are given
//! to the kernel's own Kbuild, in a folder of Debian 13 with one compiler that
//! can build for every kernel in scope ([`toolchain`]), whatever the host has.
//!
//! ```text
//! target/module/baton_core.o         the Rust object, for every kernel
//! target/module/RELEASE/baton.ko     the module, without debug information
//! target/module/RELEASE/debug.ko     the module as Kbuild made it
//! target/module/RELEASE/build.log    what the build said
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};

use crate::apt::Apt;
use crate::cache::Cache;
use crate::kernels::{self, Kernel};
use crate::{progress, rustobj};

mod toolchain;

/// The kernels that the module is built for unless others are named.
const DEFAULT: [&str; 4] = ["5.10", "6.1", "6.12", "7.3"];

/// The name under which `kernel-glue/Kbuild` expects the Rust object.
const RUST_OBJECT: &str = "baton_core.o_shipped_rust";

/// Lines of a build that are neither progress nor a reason to stop: how they
/// begin, and why they are no concern.
const HARMLESS: [(&str, &str); 6] = [
    // Debian's kernels are each built by the compiler of their suite. Versions
    // of gcc agree on the C ABI, and no option of the kernel's build that
    // depends on the version is on in them.
    (
        "warning: the compiler differs from the one used to build the kernel",
        "one gcc for all",
    ),
    ("The kernel was built by:", "detail of the former"),
    // pahole makes BTF, see below, and is not there.
    (
        "warning: pahole version differs from the one used to build the kernel",
        "not used",
    ),
    ("The kernel was built with:", "detail of the former"),
    ("You are using:", "detail of either"),
    // BTF describes the module's types to BPF programs; header packages do not
    // have the vmlinux that it is made from.
    (
        "Skipping BTF generation for",
        "no vmlinux in header packages",
    ),
];

/// Arguments of `module`.
#[derive(clap::Args)]
pub struct Args {
    /// Series (6.12), releases (6.1.0-47) or paths; by default the tested series
    specs: Vec<String>,
}

/// Runs the command: prints the path of each module.
pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let apt = Apt::open(&cache)?;
    let default = DEFAULT.map(str::to_owned);
    let specs = if args.specs.is_empty() {
        &default[..]
    } else {
        &args.specs
    };
    for spec in specs {
        let kernel = kernels::resolve(&cache, &apt, spec)?;
        println!("{}", build_module(&cache, &apt, &kernel)?.display());
    }
    Ok(())
}

/// Builds `baton.ko` for the kernel that a series, release or path means.
pub fn build_for(spec: &str) -> Result<PathBuf> {
    let cache = Cache::open()?;
    let apt = Apt::open(&cache)?;
    let kernel = kernels::resolve(&cache, &apt, spec)?;
    build_module(&cache, &apt, &kernel)
}

/// Builds `baton.ko` for a kernel, or finds that nothing has changed, and
/// returns its path.
///
/// # Errors
///
/// Besides failures: anything that the compiler, objtool or modpost says that
/// is not on the list of harmless lines.
pub fn build_module(cache: &Cache, apt: &Apt, kernel: &Kernel) -> Result<PathBuf> {
    let object = rustobj::build(cache, apt)?;
    let root = toolchain::root_for(cache, apt, kernel)?;
    let out = rustobj::output_dir().join(&kernel.release);
    // Two runs must not build in the same folder at once.
    let _lock = cache.lock(&format!("module {}", kernel.release))?;

    let inputs = inputs(&rustobj::workspace().join("kernel-glue"), &object)?;
    let stamp = fingerprint(&inputs, &root);
    let (module, stamp_file) = (out.join("baton.ko"), out.join("inputs"));
    if module.exists() && fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        return Ok(module);
    }
    let timer = progress::timed("Building", format_args!("baton.ko for {}", kernel.release));
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("cannot empty {}", out.display()))?;
    }
    let work = out.join("build");
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    for (name, bytes) in &inputs {
        fs::write(work.join(name), bytes).with_context(|| format!("cannot copy {name}"))?;
    }
    let said = make(&root, &work, &kernel.release)?;
    fs::write(out.join("build.log"), &said).context("cannot write the build's log")?;
    refuse_warnings(&said).with_context(|| {
        format!(
            "building for {} was not clean; all of it: {}/build.log",
            kernel.release,
            out.display()
        )
    })?;

    let unstripped = out.join("debug.ko");
    fs::rename(work.join("baton.ko"), &unstripped)
        .context("Kbuild reported no error, and made no baton.ko")?;
    strip(&unstripped, &module)?;
    check_release(&module, &kernel.release)?;
    fs::write(&stamp_file, stamp).context("cannot write the stamp of the build")?;
    timer.done();
    Ok(module)
}

/// Builds `baton.ko` in a folder that has everything already, as DKMS would; returns its path.
///
/// # Errors
///
/// As [`build_module`].
pub fn build_folder(cache: &Cache, apt: &Apt, kernel: &Kernel, folder: &Path) -> Result<PathBuf> {
    let root = toolchain::root_for(cache, apt, kernel)?;
    refuse_warnings(&make(&root, folder, &kernel.release)?)?;
    let module = folder.join("baton.ko");
    check_release(&module, &kernel.release)?;
    Ok(module)
}

/// The files that a module is made of, by name.
pub fn inputs(glue: &Path, object: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let listing = fs::read_dir(glue).with_context(|| format!("cannot list {}", glue.display()))?;
    for entry in listing {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let wanted = name == "Kbuild" || [".c", ".h", ".S"].iter().any(|end| name.ends_with(end));
        if wanted && entry.file_type()?.is_file() {
            files.insert(name, read(&entry.path())?);
        }
    }
    files.insert(RUST_OBJECT.to_owned(), read(object)?);
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Equal for equal inputs: the files, and the compiler and headers, whose
/// folder is named by their versions.
fn fingerprint(inputs: &BTreeMap<String, Vec<u8>>, root: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    inputs.hash(&mut hasher);
    root.hash(&mut hasher);
    format!("{:016x}\n", hasher.finish())
}

/// Runs Kbuild; returns what it said.
fn make(root: &Path, work: &Path, release: &str) -> Result<String> {
    // BTF needs a vmlinux that header packages do not have.
    let arguments = format!(
        "make -j2 -C /usr/src/linux-headers-{release} M={dir} CC={cc} HOSTCC={cc} \
         CONFIG_DEBUG_INFO_BTF_MODULES= modules 2>&1",
        dir = toolchain::BUILD_DIR,
        cc = toolchain::COMPILER,
    );
    let output = toolchain::run_in(root, work, &arguments)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!(
            "Kbuild failed for {release}:\n{}{}",
            said.trim_end(),
            errors.trim_end()
        );
    }
    Ok(said)
}

/// Every line is Kbuild's progress, harmless, or a reason to stop.
fn refuse_warnings(said: &str) -> Result<()> {
    let unexpected: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !is_progress(line) && !is_harmless(line))
        .collect();
    ensure!(
        unexpected.is_empty(),
        "the build said:\n{}",
        unexpected.join("\n")
    );
    Ok(())
}

/// `make: ...folder ...`, or `  CC [M]  file`: a word in capitals and a file.
fn is_progress(line: &str) -> bool {
    if line.is_empty() {
        return true;
    }
    if line.starts_with("make") && line.contains("ing directory '") {
        return true;
    }
    let mut words = line.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.filter(|word| *word != "[M]").collect();
    !verb.is_empty() && verb.bytes().all(|b| b.is_ascii_uppercase()) && rest.len() == 1
}

fn is_harmless(line: &str) -> bool {
    HARMLESS.iter().any(|(start, _)| line.starts_with(start))
}

fn strip(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("strip")
        .arg("--strip-debug")
        .arg("-o")
        .args([to, from])
        .output()
        .context("cannot run strip: the package binutils has it")?;
    ensure!(
        output.status.success(),
        "strip failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// The kernel refuses a module that does not name its release.
fn check_release(module: &Path, release: &str) -> Result<()> {
    let bytes = read(module)?;
    let wanted = format!("\0vermagic={release} ");
    ensure!(
        bytes
            .windows(wanted.len())
            .any(|window| window == wanted.as_bytes()),
        "{} is not for {release}: the header packages are of another kernel",
        module.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_progress_from_warnings() {
        let clean = "make: Entering directory '/usr/src/x'\n  CC [M]  /build/main.o\n\
                     \x20 RUSTOBJ /build/baton_core.o\n  MODPOST Module.symvers\n\
                     Skipping BTF generation for baton.ko due to unavailability of vmlinux\n";
        assert!(refuse_warnings(clean).is_ok());
        for bad in [
            "WARNING: modpost: missing MODULE_LICENSE() in baton.o",
            "/build/main.c:3:1: warning: unused variable",
            "baton.o: warning: objtool: f() falls through",
            "ERROR: modpost: \"x\" undefined!",
        ] {
            assert!(
                refuse_warnings(&format!("{clean}{bad}\n")).is_err(),
                "{bad}"
            );
        }
    }
}
