//! A folder of Debian 13 to build modules in, and how to run something there.
//!
//! gcc-14 builds for every kernel in scope (5.10 to 7.3), which no older one
//! does, and the programs that the header packages bring (modpost, objtool)
//! run with Debian 13's libraries. Packages are unpacked, nothing is installed;
//! each kernel has a root of its own, in which all but its headers is hard
//! links to the one toolchain.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{ensure, Context, Result};

use crate::apt::{Apt, View};
use crate::cache::Cache;
use crate::kernels::{self, Kernel};
use crate::progress;

/// The compiler in the root.
pub const COMPILER: &str = "gcc-14";
/// Where the folder to build in appears inside the root.
pub const BUILD_DIR: &str = "/build";

/// Raised with any change of how a root is made, so that old ones are not used.
const VERSION: u32 = 1;

/// What Kbuild runs, besides the compiler; apt adds what those need.
const PACKAGES: [&str; 18] = [
    "base-files",
    "bash",
    "bc",
    "coreutils",
    "dash",
    "diffutils",
    "findutils",
    "gcc-14",
    "grep",
    "gzip",
    "kmod",
    "libc6-dev",
    "libelf1t64",
    "make",
    "mawk",
    "sed",
    "tar",
    "xz-utils",
];

/// The root for building for `kernel`.
pub fn root_for(cache: &Cache, apt: &Apt, kernel: &Kernel) -> Result<PathBuf> {
    let version = kernel
        .version
        .as_deref()
        .unwrap_or("local")
        .replace(':', "%3a");
    let folder = format!("module-roots/{VERSION}/{}_{version}", kernel.release);
    let root = cache.folder(&folder, |dir| {
        let toolchain = toolchain(cache, apt)?;
        let headers = kernels::headers(apt, kernel)?;
        progress::step("Unpacking", format_args!("headers of {}", kernel.release));
        hard_links(&toolchain, dir)?;
        Apt::unpack(&headers, dir)?;
        let makefile = dir.join(format!("usr/src/linux-headers-{}/Makefile", kernel.release));
        ensure!(
            makefile.exists(),
            "the header packages lack {}",
            makefile.display()
        );
        Ok(())
    });
    root.with_context(|| format!("cannot set up a folder to build for {} in", kernel.release))
}

fn toolchain(cache: &Cache, apt: &Apt) -> Result<PathBuf> {
    cache.folder(&format!("module-toolchain/{VERSION}"), |dir| {
        let debs = apt.fetch_closure(View::Trixie, None, &PACKAGES)?;
        progress::step("Unpacking", "the module toolchain");
        // Its links /bin, /lib and so on must be there before other packages
        // put files below them.
        let (base, others): (Vec<_>, Vec<_>) = debs.into_iter().partition(|deb| {
            deb.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("base-files_"))
        });
        Apt::unpack(&base, dir)?;
        Apt::unpack(&others, dir)?;
        // What the packages' scripts would have done.
        symlink("mawk", dir.join("usr/bin/awk")).context("cannot link awk")?;
        for folder in ["build", "dev", "proc", "root", "tmp"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        let needed = [
            "bin/sh",
            "usr/bin/gcc-14",
            "usr/bin/make",
            "lib64/ld-linux-x86-64.so.2",
        ];
        for program in needed {
            ensure!(
                dir.join(program).exists(),
                "the toolchain came without {program}"
            );
        }
        Ok(())
    })
}

/// Copies a folder's content by hard links.
fn hard_links(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("cp")
        .args(["-a", "--link", "--no-target-directory"])
        .args([from, to])
        .output()
        .context("cannot run cp")?;
    ensure!(
        output.status.success(),
        "cannot link {} into {}: {}",
        from.display(),
        to.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Runs a line of shell inside `root`, in the folder `work`, which appears
/// there as [`BUILD_DIR`], with /dev and /proc, in a mount namespace of its
/// own: nothing of it is left when it ends.
pub fn run_in(root: &Path, work: &Path, line: &str) -> Result<Output> {
    // rbind: in a user namespace mounts below /dev may not be taken away.
    // /proc: mounting a new one takes a PID namespace that is one's own.
    const ENTER: &str = "set -e\n\
        mount --bind \"$2\" \"$1$3\"\n\
        mount --rbind /dev \"$1/dev\"\n\
        mount -t proc proc \"$1/proc\"\n\
        exec chroot \"$1\" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        LC_ALL=C /bin/sh -c \"cd $3 && $4\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--kill-child"]);
    if !is_root()? {
        unshare.arg("--map-root-user");
    }
    unshare
        .args(["sh", "-c", ENTER, "sh"])
        .args([root, work])
        .args([BUILD_DIR, line])
        .output()
        .context("cannot run unshare: the package util-linux has it")
}

fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let own = fs::metadata("/proc/self").context("cannot look at /proc/self")?;
    Ok(own.uid() == 0)
}
