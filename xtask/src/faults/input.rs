//! What the command is given: who gives it, and which files.

use anyhow::{ensure, Result};

use super::stage::Stage;
use super::{quick, Fault};

pub const FAULTS: &[Fault] = &[
    quick("not-root", "somebody else than root", not_root),
    quick("no-image", "a kernel image that is none", no_image),
    quick(
        "truncated-image",
        "a kernel image that is cut off",
        truncated,
    ),
    quick(
        "other-architecture",
        "a kernel of another architecture",
        other_architecture,
    ),
    quick(
        "no-module",
        "a baton.ko that is none, or of another version",
        no_module,
    ),
    quick(
        "no-driver",
        "a kernel without a driver that is needed",
        no_driver,
    ),
    quick(
        "nothing-loaded",
        "update and unload without load",
        nothing_loaded,
    ),
];

fn not_root(stage: &mut Stage) -> Result<()> {
    let as_nobody = |line: &str| stage.try_shell(&format!("su -s /bin/sh nobody -c '{line}'"));
    as_nobody(&format!("baton {}", stage.load("")))?.expect(2, &["not root", "run it as root"])?;
    for command in ["update", "unload", "status", "report", "console"] {
        let said = as_nobody(&format!("baton {command}"))?;
        said.expect(1, &["/dev/baton", "are you root", "Permission denied"])?;
    }
    ensure!(
        as_nobody("exec 3</dev/baton")?.code != Some(0),
        "another than root can open /dev/baton"
    );
    let mode = stage.shell("stat -c '%a %u' /dev/baton")?;
    ensure!(mode == "600 0", "/dev/baton is {mode}");
    Ok(())
}

/// The first of these bytes changed, or only so many kept, in a copy of the real kernel.
fn copy(stage: &Stage, how: &str) -> Result<()> {
    let kernel = format!("/boot/vmlinuz-{}", stage.to);
    stage
        .shell(&format!("cp {kernel} /root/image && cd /root && {how}"))
        .map(drop)
}

fn no_image(stage: &mut Stage) -> Result<()> {
    let load = |file: &str| stage.baton(&format!("load --kernel {file}"));
    let phrases = ["is not an x86 Linux kernel image", "give a bzImage"];
    load("/usr/bin/busybox")?.expect(2, &phrases)?;
    load("/dev/null")?.expect(2, &["/dev/null", "an empty file"])?;
    load("/boot/vmlinuz-0")?.expect(2, &["/boot/vmlinuz-0", "No such file"])?;
    load("/boot")?.expect(2, &["/boot", "directory"])
}

fn truncated(stage: &mut Stage) -> Result<()> {
    for size in [0x1000, 0x40_0000] {
        copy(stage, &format!("truncate -s {size} image"))?;
        let said = stage.baton("load --kernel /root/image")?;
        said.expect(2, &["/root/image", "is cut off", "install it again"])?;
    }
    Ok(())
}

fn other_architecture(stage: &mut Stage) -> Result<()> {
    // `xloadflags` without XLF_KERNEL_64: a 32-bit kernel.
    copy(
        stage,
        "printf '\\0' | dd of=image bs=1 seek=$((0x236)) conv=notrunc",
    )?;
    let said = stage.baton("load --kernel /root/image")?;
    said.expect(2, &["/root/image", "cannot start this kernel"])?;
    // The magic of arm64's Image, where its header has it.
    let arm = "head -c 65536 /dev/zero >image && \
               printf 'ARM\\144' | dd of=image bs=1 seek=$((0x38)) conv=notrunc";
    copy(stage, arm)?;
    let said = stage.baton("load --kernel /root/image")?;
    said.expect(2, &["not an x86 Linux kernel image", "give a bzImage"])
}

fn no_module(stage: &mut Stage) -> Result<()> {
    let phrases = ["/etc/hostname is not a kernel module", "dkms"];
    stage.refuses("--module /etc/hostname", 2, &phrases)?;
    let of_first = format!("--module /lib/modules/{}/extra/baton.ko", stage.from);
    stage.refuses(&of_first, 2, &["is not for", "dkms"])?;
    let path = format!("/lib/modules/{}/extra/baton.ko", stage.to);
    let mut module = stage.machine.client.get(&path)?;
    let key = b"\0baton_abi=";
    let at = module.windows(key.len()).position(|window| window == key);
    let digit = at.and_then(|at| module.get_mut(at + key.len()));
    ensure!(digit.is_some(), "baton.ko does not say its version");
    if let Some(digit) = digit {
        *digit = b'1';
    }
    let host = crate::rustobj::workspace().join("target/faults/other-abi.ko");
    std::fs::write(&host, module)?;
    stage
        .machine
        .client
        .put(&host, "/root/other-abi.ko", 0o644)?;
    let phrases = ["version 1 of the handoff ABI", "from one build"];
    stage.refuses("--module /root/other-abi.ko", 2, &phrases)
}

/// The lists of modules of the new kernel, without those of a name, are put over the real ones.
fn no_driver(stage: &mut Stage) -> Result<()> {
    let folder = format!("/lib/modules/{}", stage.to);
    for driver in ["virtio_net", "virtio_blk"] {
        stage.shell(&format!(
            "cd {folder} && for list in modules.dep modules.alias modules.builtin; do \
             grep -v {driver} $list >/tmp/$list; mount --bind /tmp/$list $list; done"
        ))?;
        let result = stage.refuses(
            "",
            2,
            &["the new kernel has none for", driver, "further modules"],
        );
        stage.shell(&format!(
            "cd {folder} && umount modules.dep modules.alias modules.builtin"
        ))?;
        result?;
    }
    Ok(())
}

fn nothing_loaded(stage: &mut Stage) -> Result<()> {
    stage
        .baton("update")?
        .expect(1, &["no kernel is loaded", "baton load"])?;
    stage
        .baton("unload")?
        .expect(1, &["no kernel is loaded", "baton status"])?;
    stage
        .baton("console")?
        .expect(1, &["no other kernel", "baton load"])?;
    stage
        .baton("update --no-such-option")?
        .expect(2, &["--no-such-option"])
}
