//! What the other kernel does: it does not come up, or fails later.

use anyhow::{ensure, Result};
use handoff_abi::region;

use super::stage::{Stage, LONG};
use super::{slow, Fault};
use crate::vm::Serial;

pub const FAULTS: &[Fault] = &[
    slow(
        "never-boots",
        "the kernel's content is damaged",
        never_boots,
    ),
    slow(
        "panics-at-boot",
        "it panics before its module is there",
        panics_at_boot,
    ),
    slow(
        "other-region",
        "its module finds the region of another version",
        other_region,
    ),
    slow("panics-later", "it panics while it waits", panics_later),
    slow("hangs", "it does not answer the stop notice", hangs),
];

/// Its words go to a console that the host sees.
const CONSOLE: &str = "console=ttyS1,115200";
/// What is waited for a kernel that cannot come up, seconds.
const GIVEN_UP: &str = "--boot-timeout 20";

/// Nothing that the setup header says is wrong, so nobody sees it before the kernel itself.
fn never_boots(stage: &mut Stage) -> Result<()> {
    stage.shell(&format!(
        "cp /boot/vmlinuz-{} /root/image && \
         dd if=/dev/urandom of=/root/image bs=64k seek=24 count=16 conv=notrunc",
        stage.to
    ))?;
    let said = stage.baton(&format!(
        "load --kernel /root/image --append {CONSOLE} {GIVEN_UP}"
    ))?;
    said.expect(
        1,
        &[
            "is not ready after 20 s",
            "--append console",
            "--boot-timeout",
        ],
    )
}

fn panics_at_boot(stage: &mut Stage) -> Result<()> {
    let append = format!("--append '{CONSOLE} rdinit=/nonexistent' {GIVEN_UP}");
    stage.refuses(&append, 1, &["is not ready after 20 s", "--append console"])?;
    stage
        .machine
        .vm
        .wait_for(Serial::Second, "Kernel panic", LONG)?;
    Ok(())
}

/// The version is changed after this side has written it and before the other has read it.
fn other_region(stage: &mut Stage) -> Result<()> {
    let load = stage.begin(&stage.load(&format!("--append {CONSOLE} {GIVEN_UP}")));
    stage.wait_started()?;
    let version = stage.address(region::HEADER, 4)?;
    stage.poke(version)?;
    load.end()?.expect(1, &["is not ready after 20 s"])?;
    stage
        .machine
        .vm
        .wait_for(Serial::Second, "no valid handoff region", LONG)?;
    Ok(())
}

/// An initramfs with a shell, and a script that goes on when the agent is ready.
fn with_script(stage: &Stage, script: &str) -> Result<String> {
    stage.shell(&format!(
        "rm -rf /root/initrd && mkdir /root/initrd && cd /root/initrd && \
         cp /usr/bin/busybox busybox && cat >start <<'END'\n\
         #!/busybox sh\n\
         export PATH=/bin\n\
         /busybox mkdir -p /bin && /busybox --install -s /bin\n\
         (\n\
         until dmesg | grep -q 'baton: ready'; do usleep 100000; done\n\
         {script}\n\
         ) &\n\
         exec /init\n\
         END\n\
         chmod 755 start && find . | cpio -o -H newc >/root/initrd.cpio"
    ))?;
    Ok(format!(
        "--initrd /root/initrd.cpio --append '{CONSOLE} printk.devkmsg=on rdinit=/start'"
    ))
}

fn panics_later(stage: &mut Stage) -> Result<()> {
    let words = with_script(stage, "echo c >/proc/sysrq-trigger")?;
    stage.loaded(&words)?;
    stage
        .machine
        .vm
        .wait_for(Serial::Second, "Kernel panic", LONG)?;
    stage.wait("status says so", |stage| {
        Ok(stage.status()?["second"]["state"] == "failed")
    })?;
    let phrases = [
        "the 2nd OS is not ready: failed",
        "kernel panic: sysrq",
        "baton unload",
    ];
    stage.baton("update")?.expect(1, &phrases)?;
    stage.unharmed()?;
    stage.unload()
}

/// The agent is frozen, so the kernel takes the notice and nobody answers it.
fn hangs(stage: &mut Stage) -> Result<()> {
    let words = with_script(
        stage,
        "mkdir /group && mount -t cgroup2 none /group && mkdir /group/frozen && \
         echo 1 >/group/frozen/cgroup.procs && echo 1 >/group/frozen/cgroup.freeze\n\
         until grep -q 'frozen 1' /group/frozen/cgroup.events; do usleep 100000; done\n\
         echo 'the agent is frozen' >/dev/kmsg",
    )?;
    stage.loaded(&words)?;
    stage
        .machine
        .vm
        .wait_for(Serial::Second, "the agent is frozen", LONG)?;
    let said = stage.baton("update")?;
    said.expect(
        3,
        &[
            "the 2nd OS did not answer",
            "in time",
            "This kernel goes on",
        ],
    )?;
    stage.unharmed()?;
    // Once more: the first did not leave anything half done.
    stage
        .baton("update")?
        .expect(3, &["the 2nd OS did not answer"])?;
    let state = stage.status()?["second"]["state"].clone();
    ensure!(state == "ready", "status says {state}");
    stage.unload()
}
