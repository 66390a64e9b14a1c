//! Programs the host lacks, unpacked beside their own libraries.
//!
//! A tool's folder holds the closure of its packages, libc included, and its
//! programs are started through that libc's loader: what the host has or lacks
//! does not matter, and nothing is installed.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::apt::{Apt, View};
use crate::cache::Cache;

const LOADER: &str = "lib64/ld-linux-x86-64.so.2";

/// A set of packages to run programs from.
#[derive(Clone, Copy, Debug)]
pub struct Bundle {
    /// The bundle's folder below `tools/` of the cache.
    pub name: &'static str,
    /// The packages; what they depend on comes with them.
    pub packages: &'static [&'static str],
    /// The suite to prefer, where a release's own version is too old.
    pub target: Option<&'static str>,
}

/// Everything to make kernels and images usable on the host.
pub const IMAGE_TOOLS: Bundle = Bundle {
    name: "image-tools",
    packages: &["kmod", "e2fsprogs"],
    target: None,
};

/// An unpacked bundle.
#[derive(Clone, Debug)]
pub struct Root {
    path: PathBuf,
}

impl Bundle {
    /// Unpacks the bundle if the cache does not hold it yet.
    pub fn unpack(&self, cache: &Cache, apt: &Apt) -> Result<Root> {
        let path = cache.folder(&format!("tools/{}", self.name), |dir| {
            let debs = apt.fetch_closure(View::Bookworm, self.target, self.packages)?;
            Apt::unpack(&debs, dir)?;
            ensure!(
                dir.join(LOADER).exists(),
                "{} came without libc ({LOADER} is missing)",
                self.packages.join(" ")
            );
            Ok(())
        });
        let path = path.with_context(|| {
            format!(
                "cannot set up {} below the cache's tools folder",
                self.packages.join(" ")
            )
        })?;
        Ok(Root { path })
    }
}

impl Root {
    /// The unpacked files.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs `program`, a path inside the bundle such as
    /// `usr/bin/x`, with the bundle's own libraries, and calls it `name`.
    ///
    /// `program` must not be an absolute link: it would lead out of the bundle.
    pub fn command(&self, name: &str, program: &str) -> Command {
        let folders = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
        let folders = folders.map(|folder| self.path.join(folder).into_os_string());
        let mut command = Command::new(self.path.join(LOADER));
        command
            .arg("--library-path")
            .arg(folders.join(OsStr::new(":")));
        command.args(["--argv0", name]).arg(self.path.join(program));
        command
    }
}

/// The first `name` in `PATH` or the system's folders, if the host has it.
pub fn on_host(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}
