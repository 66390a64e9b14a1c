//! The one Rust object of `baton.ko`: from the crate `kernel-glue/ffi` to
//! `target/module/baton_core.o`, the same file for every kernel.
//!
//! 1. [`source`] finds the sources of `core` that belong to the compiler.
//! 2. Cargo builds the staticlib with `core` compiled along, so that all code
//!    has the mitigations which the kernel's own code has ([`FLAGS`]), and
//!    nothing goes through a global offset table, which modules do not have.
//! 3. [`link`] makes one object of the archive's members.
//! 4. [`finish`] makes that object fit for a module: only what C calls stays
//!    visible, and the log's table indices are written into the code.
//! 5. [`gates`] reads the result and refuses what no module may contain.
//!
//! The exported functions are found by their prefix, [`EXPORT_PREFIX`]; to add
//! one to the crate is all that is needed.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{ensure, Context, Result};

use crate::apt::Apt;
use crate::cache::Cache;
use crate::progress;

mod finish;
mod gates;
mod link;
mod source;

/// Functions that C may call begin with this...
const EXPORT_PREFIX: &str = "baton_";
/// ...and those that Rust calls in C with this.
const IMPORT_PREFIX: &str = "baton_glue_";

const TARGET: &str = "x86_64-unknown-none";

/// How the kernel compiles its own code, in rustc's words.
const FLAGS: [&str; 9] = [
    // Addresses are 32-bit sign-extended, in the top 2 GiB; no GOT.
    "-Crelocation-model=static",
    // External functions are called directly, not through the GOT.
    "-Zplt=yes",
    // Panics abort; the kernel has its own unwinder.
    "-Cforce-unwind-tables=no",
    // endbr64 at what may be called indirectly (CONFIG_X86_KERNEL_IBT).
    "-Zcf-protection=branch",
    // Indirect calls and returns through the kernel's thunks, which it patches
    // to suit the CPU (CONFIG_RETPOLINE, CONFIG_RETHUNK).
    "-Zretpoline-external-thunk",
    "-Zindirect-branch-cs-prefix",
    "-Zfunction-return=thunk-extern",
    // Room before each function for call depth tracking and the like.
    "-Zpatchable-function-entry=16,16",
    // A jump table is an indirect jump without endbr64.
    "-Cjump-tables=no",
];

/// The root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Where module builds put their results.
pub(crate) fn output_dir() -> PathBuf {
    workspace().join("target/module")
}

/// Builds the object, or finds that nothing has changed, and returns its path.
///
/// # Errors
///
/// The crate does not build, no sources of `core` for this compiler, or a gate
/// is not passed; the message names the culprit.
pub fn build(cache: &Cache, apt: &Apt) -> Result<PathBuf> {
    // Once a run is enough: the sources do not change under it.
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*built {
        return Ok(path.clone());
    }
    let path = build_now(cache, apt)?;
    *built = Some(path.clone());
    Ok(path)
}

fn build_now(cache: &Cache, apt: &Apt) -> Result<PathBuf> {
    let library = source::library(cache, apt)?;
    let out = output_dir();
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    // Two runs must not write the same files at once.
    let _lock = cache.lock("rust-object")?;

    let archive = compile(&library, &out)?;
    let linked = link::link(&archive, &workspace(), &out.join("link"))?;
    let object = finish::finish(&linked).context("cannot make a module object of the link")?;
    let path = out.join("baton_core.o");
    gates::check(&object, &out.join("link")).with_context(|| {
        format!(
            "the Rust object is not fit for a kernel module ({})",
            path.display()
        )
    })?;
    // An unchanged object keeps its time stamp.
    if fs::read(&path).ok().as_deref() != Some(object.as_slice()) {
        fs::write(&path, &object).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(path)
}

/// Runs Cargo; returns the archive.
fn compile(library: &Path, out: &Path) -> Result<PathBuf> {
    let root = workspace();
    let timer = progress::timed("Compiling", "the Rust object");
    let mut flags: Vec<OsString> = FLAGS.map(OsString::from).to_vec();
    // Panics name their place; it should be short, the same everywhere, and
    // found from the workspace's root. `src` is what Cargo calls the crate's own.
    let places = [
        (root.clone(), ""),
        (PathBuf::from("src"), "kernel-glue/ffi/src"),
        (library.to_owned(), "library"),
        (cargo_home(), "cargo"),
    ];
    for (from, to) in places {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push("=");
        flag.push(to);
        flags.push(flag);
    }
    let target_dir = out.join("cargo");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    if env::var_os("CI").is_some() {
        cargo.arg("--locked");
    }
    let status = cargo
        .current_dir(root.join("kernel-glue/ffi"))
        .args(["build", "--quiet", "--release", "--target", TARGET])
        .args(["-Zbuild-std=core", "--target-dir"])
        .arg(&target_dir)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", library)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            flags.join(&OsString::from("\x1f")),
        )
        .env(
            "DEFMT_LOG",
            env::var_os("BATON_LOG").unwrap_or_else(|| "debug".into()),
        )
        .status()
        .context("cannot run cargo")?;
    ensure!(
        status.success(),
        "the crate kernel-glue/ffi does not build for the kernel, see above"
    );
    timer.done();
    Ok(target_dir.join(TARGET).join("release/libbaton_ffi.a"))
}

/// Where Cargo keeps the sources of packages.
fn cargo_home() -> PathBuf {
    let home = || env::home_dir().unwrap_or_default().join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Whether C may call the symbol.
fn is_export(symbol: &str) -> bool {
    symbol.starts_with(EXPORT_PREFIX) && !symbol.starts_with(IMPORT_PREFIX)
}
