//! Debian packages without touching the host's package manager.
//!
//! A private apt configuration under `CACHE/apt` names the suites that hold
//! the kernels and tools; its lists, downloads and (empty) installation status
//! are its own. Nothing is ever installed: packages are downloaded, checked by
//! apt against the archive's signature, and unpacked with `dpkg-deb -x`.
//! Versions in the suites rotate, so they are always looked up, never pinned.
//!
//! `BATON_DEBIAN_MIRROR` and `BATON_DEBIAN_SECURITY_MIRROR` name other
//! mirrors than `deb.debian.org`. Of the host's apt settings only those that
//! say how to reach a mirror (proxies and the like) are taken over.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};

use crate::cache::Cache;
use crate::progress;

mod config;
mod parse;

pub use config::View;
use parse::{alternatives, is_transient, last_lines, madison_line, planned_install, Remote};
pub use parse::{Candidate, Dependency};

/// Package lists older than this are fetched again.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// A version that is missing from lists older than this may just be newer.
const MIN_AGE: Duration = Duration::from_secs(15 * 60);
const ATTEMPTS: u32 = 4;

/// The private apt.
pub struct Apt {
    cache: Cache,
    root: PathBuf,
    fresh: Cell<bool>,
}

impl Apt {
    /// Writes the private configuration. Fetches nothing yet.
    pub fn open(cache: &Cache) -> Result<Self> {
        for program in [
            "/usr/bin/apt-get",
            "/usr/bin/apt-cache",
            "/usr/bin/dpkg-deb",
        ] {
            ensure!(
                Path::new(program).exists(),
                "{program} is missing: kernels and tools come as Debian packages, so this needs a \
                 Debian (or derived) host or container"
            );
        }
        let apt = Self {
            cache: cache.clone(),
            root: cache.path("apt"),
            fresh: Cell::new(false),
        };
        let _lock = cache.lock("apt")?;
        config::write(&apt.root).context("cannot write the private apt configuration")?;
        Ok(apt)
    }

    /// Fetches the package lists if they are older than `max_age`.
    ///
    /// Every other method does this by itself with an age of a day. When the
    /// network fails but old lists are there, they serve, with a warning.
    pub fn update(&self, max_age: Duration) -> Result<()> {
        let _lock = self.cache.lock("apt")?;
        let stamp = self.root.join("updated");
        if self.age().is_some_and(|age| age <= max_age) {
            return Ok(());
        }
        let timer = progress::timed("Updating", "Debian package lists");
        let update = ["-q", "-o", "APT::Update::Error-Mode=any", "update"];
        if let Err(error) = self.run_retrying("apt-get", View::All, &update, &self.root) {
            let lists = fs::read_dir(self.root.join("state/lists"))?
                .filter_map(|entry| entry.ok())
                .filter(|entry| entry.file_name().to_string_lossy().contains("_Packages"));
            if lists.count() == 0 {
                return Err(error.context(
                    "cannot fetch the Debian package lists; check the network, or set \
                     BATON_DEBIAN_MIRROR",
                ));
            }
            progress::warn(format_args!(
                "some package lists are old or missing: {error:#}"
            ));
        }
        fs::write(&stamp, "").with_context(|| format!("cannot write {}", stamp.display()))?;
        timer.done();
        Ok(())
    }

    /// Every version, in any suite, of the packages whose name begins with
    /// `prefix` and is wanted by `keep`.
    pub fn candidates(&self, prefix: &str, keep: impl Fn(&str) -> bool) -> Result<Vec<Candidate>> {
        self.refresh()?;
        let names = self.run("apt-cache", View::All, &["pkgnames", prefix], &self.root)?;
        let mut names: Vec<&str> = names.lines().filter(|name| keep(name)).collect();
        names.sort_unstable();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        names.insert(0, "madison");
        let table = self.run("apt-cache", View::All, &names, &self.root)?;
        Ok(table.lines().filter_map(madison_line).collect())
    }

    /// What a version of a package depends on (`Pre-Depends` included): every
    /// clause must be met, by any of its alternatives.
    pub fn depends(&self, package: &str, version: &str) -> Result<Vec<Vec<Dependency>>> {
        self.refresh()?;
        let which = format!("{package}={version}");
        let text = self.run("apt-cache", View::All, &["show", &which], &self.root)?;
        let first = text.split("\n\n").next().unwrap_or_default();
        let fields = first.lines().filter_map(|line| {
            line.strip_prefix("Depends: ")
                .or_else(|| line.strip_prefix("Pre-Depends: "))
        });
        Ok(fields
            .flat_map(|field| field.split(", "))
            .map(alternatives)
            .collect())
    }

    /// Whether Debian version `a` is newer than `b`.
    pub fn newer(&self, a: &str, b: &str) -> Result<bool> {
        let status = Command::new("dpkg")
            .args(["--compare-versions", a, "gt", b])
            .status()
            .context("cannot run dpkg")?;
        Ok(status.success())
    }

    /// Downloads one package, `name` (the newest stable) or `name=version`.
    pub fn fetch(&self, spec: &str) -> Result<PathBuf> {
        let mut paths = self.fetch_all(View::All, &[spec])?;
        paths
            .pop()
            .with_context(|| format!("apt found no file for the package {spec}"))
    }

    /// Downloads several packages, each `name` or `name=version`; returns
    /// their files in no particular order. What is already there is not
    /// fetched again.
    pub fn fetch_all(&self, view: View, specs: &[&str]) -> Result<Vec<PathBuf>> {
        if specs.is_empty() {
            return Ok(Vec::new());
        }
        self.refresh()?;
        match self.try_fetch(view, specs) {
            Err(_) if self.age().is_none_or(|age| age > MIN_AGE) => {
                progress::step(
                    "Retrying",
                    "with new package lists: versions may have rotated",
                );
                self.update(MIN_AGE)?;
                self.try_fetch(view, specs)
            }
            result => result,
        }
        .with_context(|| {
            format!(
                "cannot fetch the Debian packages {}; if the archive no longer has them, choose a \
                 newer version",
                specs.join(" ")
            )
        })
    }

    /// Downloads packages with everything they depend on, down to libc, as if
    /// for an empty machine; recommendations are left out. `target` names the
    /// suite to prefer, such as `bookworm-backports`.
    pub fn fetch_closure(
        &self,
        view: View,
        target: Option<&str>,
        packages: &[&str],
    ) -> Result<Vec<PathBuf>> {
        self.refresh()?;
        let mut args = vec!["-s", "--no-install-recommends"];
        if let Some(suite) = target {
            args.extend(["-t", suite]);
        }
        args.push("install");
        args.extend(packages);
        let plan = self
            .run("apt-get", view, &args, &self.root)
            .with_context(|| format!("cannot resolve what {} needs", packages.join(" ")))?;
        let specs: Vec<String> = plan.lines().filter_map(planned_install).collect();
        let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
        self.fetch_all(view, &specs)
    }

    /// Unpacks packages' files into `dir`, in the order given. Runs none of
    /// their scripts.
    pub fn unpack(debs: &[PathBuf], dir: &Path) -> Result<()> {
        for deb in debs {
            let output = Command::new("dpkg-deb")
                .arg("-x")
                .args([deb.as_path(), dir])
                .output()
                .context("cannot run dpkg-deb")?;
            ensure!(
                output.status.success(),
                "cannot unpack {} into {}: {}; if the file is damaged, remove it and try again",
                deb.display(),
                dir.display(),
                last_lines(&output)
            );
        }
        Ok(())
    }

    fn refresh(&self) -> Result<()> {
        if !self.fresh.get() {
            self.update(MAX_AGE)?;
            self.fresh.set(true);
        }
        Ok(())
    }

    /// How old the package lists are, if there are any.
    fn age(&self) -> Option<Duration> {
        let changed = fs::metadata(self.root.join("updated")).and_then(|meta| meta.modified());
        // A clock that went back makes the age unknown: fetch again.
        changed.ok().and_then(|time| time.elapsed().ok())
    }

    fn try_fetch(&self, view: View, specs: &[&str]) -> Result<Vec<PathBuf>> {
        let mut args = vec!["-q", "--print-uris", "download"];
        args.extend(specs);
        let listing = self.run("apt-get", view, &args, &self.root)?;
        let files: Vec<Remote> = listing.lines().filter_map(Remote::parse).collect();
        ensure!(!files.is_empty(), "apt names no file to download");
        let store = self.root.join("archives");
        let _lock = self.cache.lock("apt-archives")?;
        let missing: HashMap<&str, &Remote> = files
            .iter()
            .filter(|file| !store.join(&file.name).exists())
            .map(|file| (file.name.as_str(), file))
            .collect();
        if !missing.is_empty() {
            announce(missing.values().copied());
            // Into a folder of its own, so that what is in the store is whole.
            let scratch = self.cache.scratch("apt-download")?;
            let needed: Vec<&str> = specs
                .iter()
                .filter(|spec| missing.values().any(|file| file.is_of(spec)))
                .copied()
                .collect();
            let mut args = vec!["-q", "download"];
            args.extend(needed);
            self.run_retrying("apt-get", view, &args, scratch.path())?;
            for name in missing.keys() {
                fs::rename(scratch.path().join(name), store.join(name))
                    .with_context(|| format!("apt did not deliver {name}"))?;
            }
        }
        Ok(files.iter().map(|file| store.join(&file.name)).collect())
    }

    /// Runs apt again, a few times with growing pauses, when the network failed.
    fn run_retrying(&self, program: &str, view: View, args: &[&str], dir: &Path) -> Result<String> {
        let mut pause = Duration::from_secs(2);
        let mut attempt = 1;
        loop {
            match self.run(program, view, args, dir) {
                Err(error) if attempt < ATTEMPTS && is_transient(&error.to_string()) => {
                    progress::warn(format_args!("{error:#}; trying again"));
                }
                result => return result,
            }
            thread::sleep(pause);
            pause *= 2;
            attempt += 1;
        }
    }

    /// Runs an apt program in `dir` and returns its standard output.
    fn run(&self, program: &str, view: View, args: &[&str], dir: &Path) -> Result<String> {
        let name = view.file_name();
        let output = Command::new(program)
            .env("APT_CONFIG", self.root.join("apt.conf"))
            .env("LC_ALL", "C")
            .arg(format!(
                "-oDir::Etc::sourcelist={}/{name}.list",
                self.root.display()
            ))
            .arg(format!("-oDir::Cache::pkgcache={name}.bin"))
            .args(args)
            .current_dir(dir)
            .output()
            .with_context(|| format!("cannot run {program}"))?;
        if !output.status.success() {
            bail!("{program} failed: {}", last_lines(&output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Names what is fetched, one by one if it is not much.
fn announce<'a>(files: impl ExactSizeIterator<Item = &'a Remote> + Clone) {
    const FEW: usize = 8;
    if files.len() > FEW {
        let bytes = files.clone().map(|file| file.bytes).sum::<u64>();
        let megabytes = bytes / 1_000_000;
        progress::step(
            "Fetching",
            format_args!("{} packages ({megabytes} MB)", files.len()),
        );
    } else {
        files.for_each(|file| progress::step("Fetching", file));
    }
}
