//! A real machine, driven through every part of the interface. Slow, so only
//! on demand: `cargo test -p xtask -- --ignored`.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use super::*;
use crate::apt::Apt;
use crate::cache::Cache;
use crate::image::{initramfs, Rootfs, BOOT_MODULES, UP};

const BOOT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);
const SERVE: &str = "#!/bin/sh\necho ready\necho hello from the guest | nc -l -p 7\n";

#[test]
#[ignore = "boots a virtual machine"]
fn a_machine_boots_stops_goes_on_and_is_reachable() {
    let cache = Cache::open().unwrap();
    let apt = Apt::open(&cache).unwrap();
    let kernel = crate::kernels::resolve(&cache, &apt, "6.1").unwrap();
    let qemu = Qemu::locate(&cache, &apt).unwrap();
    let scratch = cache.scratch("vm-test").unwrap();
    let dir = scratch.path();
    let (disk, initrd) = (dir.join("disk.img"), dir.join("initrd.gz"));
    let rootfs = Rootfs::new().text("/etc/rc.local", SERVE, 0o755);
    rootfs.build(&cache, &apt, 128, &disk).unwrap();
    initramfs(&cache, &apt, &kernel, &BOOT_MODULES, &initrd).unwrap();

    let builder = VmBuilder::new(&kernel.vmlinuz)
        .initrd(&initrd)
        .disk(&disk, Bus::Virtio);
    let memory = dir.join("memory");
    let builder = builder.forward(7).memory(512).memory_file(&memory);
    let mut vm = builder.start(&qemu, dir).unwrap();
    let line = vm.wait_for(Serial::First, UP, BOOT).unwrap();
    assert!(line.ends_with(&kernel.release), "{line}");
    vm.wait_for(Serial::First, "ready", SOON).unwrap();

    assert_eq!(vm.status().unwrap(), "running");
    vm.stop().unwrap();
    assert_eq!(vm.status().unwrap(), "paused");
    vm.cont().unwrap();
    assert_eq!(fs::metadata(&memory).unwrap().len(), 512 << 20);

    let mut stream = TcpStream::connect(("127.0.0.1", vm.port(7).unwrap())).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello from the guest\n");

    let late = vm
        .wait_for(Serial::Second, "nothing", Duration::from_millis(50))
        .unwrap_err();
    assert!(
        late.to_string().contains("passed before `nothing`"),
        "{late}"
    );
    vm.command("quit", json!({})).unwrap();
    let dead = vm.wait_for(Serial::First, "never", BOOT).unwrap_err();
    assert!(dead.to_string().contains("QEMU ended"), "{dead}");

    let broken = VmBuilder::new("/nonexistent")
        .start(&qemu, dir)
        .unwrap_err();
    assert!(broken.to_string().contains("does not start"), "{broken}");
    let panicking = VmBuilder::new(&kernel.vmlinuz).start(&qemu, dir).unwrap();
    let pid = panicking.pid();
    drop(panicking);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}
