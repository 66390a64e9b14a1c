//! Taking a CPU from the running kernel and giving it back.
//!
//! # Purpose
//! [`Cpus`] lists the CPUs of sysfs (`/sys/devices/system/cpu`), picks one for the 2nd OS, and
//! takes it offline and online again. Source: `Documentation/core-api/cpu_hotplug.rst`.
//!
//! # Invariants
//! * CPU 0 is never picked: kernels from 6.5 on cannot run without it.
//! * The bootstrap processor of the *machine* is never picked, whatever number it has in this
//!   kernel (after an update it need not be 0): an INIT would reset the machine.
//! * A change counts only when it was read back.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};

use crate::sysfs::{self, Kernel, Writer};

/// The CPUs of the running kernel.
#[derive(Clone, Debug)]
pub struct Cpus<W = Kernel> {
    dir: PathBuf,
    writer: W,
}

impl Cpus {
    /// Those of the running kernel, where sysfs is mounted at `sysfs` (`/sys`).
    #[must_use]
    pub fn new(sysfs: &Path) -> Self {
        Self::with_writer(sysfs, Kernel)
    }
}

impl<W: Writer> Cpus<W> {
    /// Those below `sysfs`, changed through `writer`.
    #[must_use]
    pub fn with_writer(sysfs: &Path, writer: W) -> Self {
        Self {
            dir: sysfs.join("devices/system/cpu"),
            writer,
        }
    }

    /// CPUs that run.
    ///
    /// # Errors
    /// sysfs cannot be read.
    pub fn online(&self) -> Result<Vec<u32>> {
        sysfs::number_list(&sysfs::read(&self.dir.join("online"))?)
    }

    /// CPUs that the machine has.
    ///
    /// # Errors
    /// sysfs cannot be read.
    pub fn present(&self) -> Result<Vec<u32>> {
        sysfs::number_list(&sysfs::read(&self.dir.join("present"))?)
    }

    /// CPUs that the kernel can take offline.
    ///
    /// # Errors
    /// sysfs cannot be read.
    pub fn hotpluggable(&self) -> Result<Vec<u32>> {
        let mut cpus = self.present()?;
        cpus.retain(|cpu| self.attribute(*cpu).exists());
        Ok(cpus)
    }

    /// The CPU to give away: the highest-numbered that runs and can be taken offline, but neither
    /// CPU 0 nor one of `never`, where the machine's bootstrap processor belongs.
    ///
    /// # Errors
    /// There is none; or sysfs cannot be read.
    pub fn pick(&self, never: &[u32]) -> Result<u32> {
        let online = self.online()?;
        ensure!(
            online.len() > 1,
            "the machine has only one CPU online, and baton needs one for the new kernel; give \
             the machine another, or bring one online (echo 1 > {}/cpuN/online)",
            self.dir.display()
        );
        let hotpluggable = self.hotpluggable()?;
        let candidates = online.iter().rev();
        let mut candidates = candidates.filter(|cpu| **cpu != 0 && !never.contains(cpu));
        match candidates.find(|cpu| hotpluggable.contains(cpu)) {
            Some(cpu) => Ok(*cpu),
            None => bail!(
                "none of the CPUs online ({online:?}) can be given away: CPU 0 and the bootstrap \
                 processor have to stay, and the kernel can take offline {hotpluggable:?} only"
            ),
        }
    }

    /// Takes `cpu` offline, or online again.
    ///
    /// # Errors
    /// The kernel refuses; what it says is in the message.
    pub fn set_online(&self, cpu: u32, online: bool) -> Result<()> {
        let path = self.attribute(cpu);
        let (value, word) = if online {
            ("1", "online")
        } else {
            ("0", "offline")
        };
        if sysfs::read(&path)? == value {
            return Ok(());
        }
        self.writer.write(&path, value).with_context(|| {
            format!(
                "the kernel does not take CPU {cpu} {word} ({}); its log may say why (dmesg)",
                path.display()
            )
        })?;
        let now = sysfs::read(&path)?;
        ensure!(
            now == value,
            "the kernel has not taken CPU {cpu} {word}: {} is \"{now}\" after \"{value}\" was \
             written",
            path.display()
        );
        Ok(())
    }

    fn attribute(&self, cpu: u32) -> PathBuf {
        self.dir.join(format!("cpu{cpu}/online"))
    }
}

/// Number and APIC ID of each CPU, from the text of `/proc/cpuinfo`; those that are offline are
/// not in it.
///
/// # Errors
/// The text has no APIC IDs.
pub fn apic_ids(cpuinfo: &str) -> Result<Vec<(u32, u32)>> {
    let mut ids = Vec::new();
    let mut cpu = None;
    for line in cpuinfo.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        match key.trim() {
            "processor" => cpu = value.trim().parse::<u32>().ok(),
            "apicid" => {
                let id = value
                    .trim()
                    .parse::<u32>()
                    .with_context(|| format!("cannot understand \"{line}\" in /proc/cpuinfo"))?;
                ids.extend(cpu.take().map(|cpu| (cpu, id)));
            }
            _ => {}
        }
    }
    ensure!(
        !ids.is_empty(),
        "/proc/cpuinfo has no APIC IDs; is this an x86 machine?"
    );
    Ok(ids)
}

#[cfg(test)]
mod tests;
