//! The sources of `core` that belong to the compiler in use.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::apt::Apt;
use crate::cache::Cache;

const OVERRIDE: &str = "BATON_RUST_SRC";

/// The standard library's `library` folder: the one named by `BATON_RUST_SRC`,
/// else the toolchain's component rust-src, else Debian's package of it in the
/// very version of the compiler.
pub fn library(cache: &Cache, apt: &Apt) -> Result<PathBuf> {
    if let Some(set) = env::var_os(OVERRIDE).filter(|value| !value.is_empty()) {
        let library = PathBuf::from(set);
        ensure!(
            has_core(&library),
            "{OVERRIDE} names {}, which has no core/src/lib.rs: set it to the folder `library` of \
             the sources of the compiler in use",
            library.display()
        );
        return library
            .canonicalize()
            .context("cannot resolve BATON_RUST_SRC");
    }
    let sysroot = rustc(&["--print", "sysroot"])?;
    let component = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
    if has_core(&component) {
        return Ok(component);
    }
    let about = rustc(&["-vV"])?;
    let release = about
        .lines()
        .find_map(|line| line.strip_prefix("release: "));
    let release = release.context("rustc -vV does not say its release")?;
    debian(cache, apt, release).with_context(|| {
        format!(
            "no sources of core for rustc {release}: run `rustup component add rust-src`, or set \
             {OVERRIDE} to the folder `library` of those sources"
        )
    })
}

fn debian(cache: &Cache, apt: &Apt, release: &str) -> Result<PathBuf> {
    let tree = cache.folder(&format!("rust-src/{release}"), |dir| {
        let prefix = format!("{release}+");
        let found = apt
            .candidates("rust-src", |name| name == "rust-src")?
            .into_iter()
            .find(|candidate| candidate.version.starts_with(&prefix))
            .with_context(|| format!("no suite has the package rust-src in version {release}"))?;
        let deb = apt.fetch(&format!("{}={}", found.package, found.version))?;
        Apt::unpack(&[deb], dir)
    })?;
    let library = tree.join(format!("usr/src/rustc-{release}/library"));
    ensure!(
        has_core(&library),
        "{} is not where the package has it",
        library.display()
    );
    Ok(library)
}

fn has_core(library: &Path) -> bool {
    library.join("core/src/lib.rs").is_file()
}

fn rustc(args: &[&str]) -> Result<String> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(args)
        .current_dir(super::workspace())
        .output()
        .context("cannot run rustc")?;
    ensure!(
        output.status.success(),
        "rustc {} failed: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).context("rustc printed something that is not UTF-8")
}
