//! What the machine is like.

use anyhow::{Context, Result};

use super::stage::Stage;
use super::{quick, slow, Fault};

pub const FAULTS: &[Fault] = &[
    quick(
        "too-much-memory",
        "more memory is asked for than there is",
        too_much_memory,
    ),
    slow(
        "too-little-memory",
        "less memory is asked for than it takes",
        too_little_memory,
    ),
    slow(
        "scarce-memory",
        "the machine cannot do without it",
        scarce_memory,
    ),
    slow("no-spare-cpu", "no CPU can be given away", no_spare_cpu),
    quick("no-types", "a running kernel without BTF", no_types),
    slow(
        "file-systems",
        "file systems that cannot be carried over",
        file_systems,
    ),
    slow(
        "pinned-memory",
        "memory blocks that cannot be offlined",
        pinned_memory,
    ),
];

/// What cannot be undone.
pub const LAST: &[Fault] = &[quick(
    "kexec-disabled",
    "the administrator forbids replacing the kernel",
    kexec_disabled,
)];

fn too_much_memory(stage: &mut Stage) -> Result<()> {
    let phrases = ["adjacent memory blocks", "are needed", "--memory"];
    stage.refuses("--memory 64G", 2, &phrases)?;
    stage.refuses(
        "--memory 99999999999999999999",
        2,
        &["99999999999999999999"],
    )?;
    stage.refuses("--memory 1X", 2, &["X is not a unit; use K, M or G"])
}

fn too_little_memory(stage: &mut Stage) -> Result<()> {
    for size in ["0", "24M"] {
        let phrases = [stage.to.clone(), "needs".to_owned(), "--memory".to_owned()];
        let phrases: Vec<&str> = phrases.iter().map(String::as_str).collect();
        stage.refuses(&format!("--memory {size}"), 1, &phrases)?;
    }
    Ok(())
}

/// All but so much is filled with files in memory.
fn scarce_memory(stage: &mut Stage) -> Result<()> {
    stage.shell(
        "mkdir -p /mnt/full && mount -t tmpfs -o size=95% none /mnt/full && \
         have=$(awk '/^MemAvailable:/ {print int($2 / 1024)}' /proc/meminfo) && \
         fallocate -l $(((have - 350) << 20)) /mnt/full/file",
    )?;
    let result = stage.refuses("", 2, &["MiB available", "512 MiB wanted", "free some"]);
    stage.shell("umount /mnt/full")?;
    result
}

fn no_spare_cpu(stage: &mut Stage) -> Result<()> {
    stage.refuses(
        "--cpu 0",
        2,
        &["CPU 0 is the machine's bootstrap processor"],
    )?;
    stage.refuses("--cpu 77", 2, &["CPU 77 is not online"])?;
    let others = "for cpu in /sys/devices/system/cpu/cpu[1-9]*/online; do echo";
    stage.shell(&format!("{others} 0 >$cpu; done"))?;
    let phrases = [
        "only one CPU online",
        "bring one online",
        "until it takes over",
    ];
    let result = stage.refuses("", 2, &phrases);
    stage.shell(&format!("{others} 1 >$cpu; done"))?;
    result
}

/// An empty file takes the place of the kernel's type information.
fn no_types(stage: &mut Stage) -> Result<()> {
    stage.shell(": >/tmp/empty && mount --bind /tmp/empty /sys/kernel/btf/vmlinux")?;
    let empty = stage.refuses("", 2, &["BTF", "boot another once"]);
    stage.shell("umount /sys/kernel/btf/vmlinux")?;
    stage.shell("mount -t tmpfs none /sys/kernel/btf")?;
    let phrases = ["does not describe its structures", "CONFIG_DEBUG_INFO_BTF"];
    let none = stage.refuses("", 2, &phrases);
    stage.shell("umount /sys/kernel/btf")?;
    empty.and(none)
}

fn file_systems(stage: &mut Stage) -> Result<()> {
    stage.shell("modprobe vfat && mkdosfs /dev/vdb && mount -t vfat /dev/vdb /mnt")?;
    let phrases = ["/mnt (vfat)", "its cache is not carried over", "unmount it"];
    let unsupported = stage.refuses("", 2, &phrases);
    stage.shell(
        "umount /mnt && modprobe loop && truncate -s 64M /root/file && \
         loop=$(losetup -f) && losetup $loop /root/file && mkdosfs $loop && \
         mount -t vfat $loop /mnt",
    )?;
    let phrases = ["/mnt (vfat)", "a loop device", "unmount it"];
    let on_loop = stage.refuses("", 2, &phrases);
    stage
        .shell("umount /mnt; losetup -a | cut -d: -f1 | xargs -r -n1 losetup -d; rm /root/file")?;
    unsupported.and(on_loop).context("file systems")
}

/// A page in each block has a user whom the kernel cannot ask to let go of it.
fn pinned_memory(stage: &mut Stage) -> Result<()> {
    stage.shell("rm -f /run/pinned")?;
    stage.machine.client.start(
        &[
            "/bin/sh",
            "-c",
            "have=$(awk '/^MemFree:/ {print int($2 / 1024)}' /proc/meminfo); \
             exec baton-guest mischief pin --mib $((have - 150)) --done /run/pinned",
        ],
        "/var/log/pin.log",
    )?;
    stage.wait("pages are pinned", |stage| {
        Ok(stage.try_shell("[ -e /run/pinned ]")?.code == Some(0))
    })?;
    let result = stage.refuses("", 1, &["memory", "free memory, ask for less", "memmap="]);
    stage.shell(
        "for p in $(pidof baton-guest); do \
         grep -q mischief /proc/$p/cmdline && kill $p; done; true",
    )?;
    result
}

fn kexec_disabled(stage: &mut Stage) -> Result<()> {
    stage.shell("echo 1 >/proc/sys/kernel/kexec_load_disabled")?;
    let phrases = ["kernel.kexec_load_disabled is 1", "boot without the sysctl"];
    stage.refuses("", 2, &phrases)
}
