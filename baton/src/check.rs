//! `baton check`: can this machine do it, and if not, what has to change.
//!
//! # Purpose
//! [`run`] looks at everything that a handover depends on and can be known beforehand, and makes a
//! [`Point`] of each. `baton load` runs the same and goes no further if one of them is
//! [`Verdict::Fail`].
//!
//! # Invariants
//! * Looking changes nothing.
//! * [`Verdict::Fail`] only where the handover cannot work or the load would be refused later;
//!   what merely could go wrong, or will not come along, is [`Verdict::Warn`].
//! * What cannot be found out is a warning that says so.
//! * Each check is a function of directories or of text, so that a test can stand for a machine.

mod devices;
mod firmware;
mod kernel;
mod memory;
mod network;
mod nftables;
mod platform;
mod processor;
mod security;
mod storage;
#[cfg(test)]
mod tests;
mod types;

use crate::device::Device;
use crate::exit;
use crate::iomem;
use crate::memory_blocks::reserved_at_boot;
use crate::network::{Roots, Snapshot};
use crate::region::Region;
use crate::system::SystemSnapshot;
use anyhow::Result;
use handoff_abi::ioctl::{InfoArgs, Role};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What is intended.
#[derive(Clone, Debug)]
pub struct Options {
    /// The kernel to be booted; without it, what depends on it is not looked at.
    pub kernel: Option<PathBuf>,
    /// Its `baton.ko`, if that is not in its module tree.
    pub module: Option<PathBuf>,
    /// Bytes for the partition.
    pub memory: u64,
    /// The CPU to give away, if the operator chose one.
    pub cpu: Option<u32>,
}

/// How one point stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Nothing to do.
    Ok,
    /// The handover works, and something will be missing afterwards or may go wrong.
    Warn,
    /// The handover cannot work.
    Fail,
}

impl Verdict {
    /// As it is printed.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Point {
    /// What it is about.
    pub topic: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Point {
    fn ok(topic: &'static str, found: impl Into<String>) -> Self {
        Self {
            topic,
            verdict: Verdict::Ok,
            found: found.into(),
            advice: None,
        }
    }

    fn warn(topic: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            topic,
            verdict: Verdict::Warn,
            found: found.into(),
            advice: Some(advice.into()),
        }
    }

    fn fail(topic: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(topic, found, advice)
        }
    }

    /// For what could not be found out.
    fn unknown(topic: &'static str, error: &anyhow::Error) -> Self {
        Self::warn(
            topic,
            format!("cannot tell: {error:#}"),
            "run as root, with /proc and /sys mounted",
        )
    }

    /// It on one line, and what to change on a second.
    #[must_use]
    pub fn line(&self) -> String {
        let mut text = format!(
            "{:<4}  {:<13}  {}",
            self.verdict.text(),
            self.topic,
            self.found
        );
        if let Some(advice) = &self.advice {
            text.push_str(&format!("\n{:21}-> {advice}", ""));
        }
        text
    }
}

/// Looks at everything.
#[must_use]
pub fn run(options: &Options) -> Vec<Point> {
    let roots = Roots::default();
    let (sys, proc) = (roots.sys.as_path(), roots.proc.as_path());
    let lib = Path::new("/lib/modules");
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let module = Module::open();
    let mut points = vec![security::root(rustix::process::geteuid().is_root())];
    points.extend(security::kernel_lock(sys, proc));
    points.push(module.point(lib, &release));
    // Once a kernel is loaded, its CPU and its memory are gone from here, as they should be.
    if module.role() != Some(Role::FIRST) {
        points.push(processor::spare(sys, options.cpu, &module.never()));
        points.extend(memory_points(&roots, options));
    }
    points.extend(processor::features(
        &std::fs::read_to_string(proc.join("cpuinfo")).unwrap_or_default(),
    ));
    points.extend(platform::points(sys, proc));
    points.extend(system_points(&roots));
    points.extend(devices::points(sys));
    points.push(match Snapshot::take() {
        Ok(snapshot) => network::links(snapshot.links.iter().map(network::Facts::of)),
        Err(error) => Point::unknown("network", &error),
    });
    points.push(network::packet_filter(proc, nftables::tables));
    points.push(network::namespaces(proc));
    points.push(types::descriptor(
        sys,
        &kernel::types(&roots),
        module.loaded(),
    ));
    points.extend(kernel::points(options, &roots, lib));
    points
}

/// Prints the points of `baton check`.
///
/// # Errors
/// This machine cannot do it.
pub fn print(points: &[Point], json: bool) -> Result<()> {
    let count = |verdict| points.iter().filter(|p| p.verdict == verdict).count();
    let (failed, warned) = (count(Verdict::Fail), count(Verdict::Warn));
    if json {
        println!("{}", serde_json::to_string_pretty(points)?);
    } else {
        for point in points {
            println!("{}", point.line());
        }
        match (failed, warned) {
            (0, 0) => println!("This machine can be updated."),
            (0, _) => println!("This machine can be updated; {warned} warnings."),
            _ => {}
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(exit::Cannot(format!(
            "this machine cannot be updated as it is: {failed} of {} points have to change",
            points.len()
        ))
        .into()),
    }
}

/// For `baton load`: goes on silently, says what is to be warned of, or stops with the list.
///
/// # Errors
/// Every point that failed, with what to change.
pub fn gate(points: &[Point]) -> Result<()> {
    for point in points.iter().filter(|p| p.verdict == Verdict::Warn) {
        eprintln!("baton: warning: {}: {}", point.topic, point.found);
    }
    let failed = points.iter().filter(|p| p.verdict == Verdict::Fail);
    let list: Vec<String> = failed.map(Point::line).collect();
    if list.is_empty() {
        return Ok(());
    }
    Err(exit::Cannot(format!(
        "this machine cannot be updated as it is:\n{}",
        list.join("\n")
    ))
    .into())
}

fn memory_points(roots: &Roots, options: &Options) -> Vec<Point> {
    let read = |name: &str| std::fs::read_to_string(roots.proc.join(name)).unwrap_or_default();
    let command_line = read("cmdline");
    let map = match iomem::parse(&read("iomem")) {
        Ok(map) => map,
        Err(error) => return vec![Point::unknown("memory", &error)],
    };
    let mut points = vec![memory::partition(
        &roots.sys,
        &command_line,
        &map,
        options.memory,
    )];
    // What was reserved at boot is missed by nobody.
    if !matches!(
        reserved_at_boot(&command_line, &map, options.memory),
        Ok(Some(_))
    ) {
        points.push(memory::available(&read("meminfo"), options.memory));
    }
    points.push(memory::low(&map, &command_line));
    points.push(firmware::pci_configuration(&map));
    points
}

fn system_points(roots: &Roots) -> Vec<Point> {
    match SystemSnapshot::take_from(roots) {
        Ok(system) => storage::points(&system),
        Err(error) => vec![Point::unknown("file systems", &error)],
    }
}

/// The module, if it is loaded; it is not loaded for the sake of looking.
struct Module {
    device: Result<(Device, Box<InfoArgs>)>,
}

impl Module {
    fn open() -> Self {
        let open = || {
            let device = Device::open()?;
            let info = Box::new(device.info()?);
            Ok((device, info))
        };
        Self { device: open() }
    }

    fn loaded(&self) -> Option<(&Device, &InfoArgs)> {
        let (device, info) = self.device.as_ref().ok()?;
        Some((device, info))
    }

    fn role(&self) -> Option<Role> {
        self.loaded().map(|(_, info)| Role(info.role))
    }

    /// CPUs that are the machine's bootstrap processor, by this kernel's numbers. Without the
    /// module that is CPU 0: only a kernel that Baton started has it elsewhere.
    fn never(&self) -> Vec<u32> {
        let Some((device, info)) = self.loaded() else {
            return vec![0];
        };
        let inherited = (info.inherited_region != 0)
            .then(|| Region::map(device, info.inherited_region).and_then(|r| r.machine()))
            .and_then(Result::ok);
        let bsp = inherited.map_or(info.bsp_apic_id, |machine| machine.bsp_apic_id);
        let known = info.cpus.iter().take(info.cpu_count as usize);
        let bsps = known.filter(|entry| entry.apic_id == bsp);
        std::iter::once(0)
            .chain(bsps.map(|entry| entry.cpu))
            .collect()
    }

    /// Whether this kernel has its `baton.ko`.
    fn point(&self, lib: &Path, release: &str) -> Point {
        match &self.device {
            Ok((_, info)) if Role(info.role) == Role::FIRST => Point::warn(
                "module",
                "a kernel is loaded already",
                "`baton update` hands over to it, `baton unload` removes it",
            ),
            Ok(_) => Point::ok("module", "baton.ko is loaded"),
            // It is there and does not answer, or not to us.
            Err(error) if Path::new(crate::device::PATH).exists() => Point::fail(
                "module",
                format!("{error:#}"),
                "run as root; install command and module from one build",
            ),
            Err(_) => kernel::module(lib, release, None),
        }
    }
}
