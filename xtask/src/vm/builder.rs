//! How a machine is described, and the QEMU options that result.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::ports::Forward;

/// How a disk is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Bus {
    /// virtio-blk: `/dev/vda` and on.
    #[default]
    Virtio,
    /// NVMe: `/dev/nvme0n1` and on.
    Nvme,
}

impl Bus {
    /// The device of disk `number`, counted from 0, in a guest with few disks.
    pub fn device(self, number: u8) -> String {
        match self {
            Self::Virtio => format!("/dev/vd{}", char::from(b'a'.saturating_add(number))),
            Self::Nvme => format!("/dev/nvme{number}n1"),
        }
    }
}

/// The network card, on QEMU's user network: the guest is 10.0.2.15, the host
/// 10.0.2.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Nic {
    /// virtio-net.
    #[default]
    Virtio,
    /// Intel 82574.
    E1000e,
}

/// A virtual machine to be started: q35 under multi-threaded TCG, by default
/// with 4 CPUs, 2 GiB, a virtio network card and no disk.
#[derive(Clone, Debug)]
#[must_use = "a machine runs when it is started"]
pub struct VmBuilder {
    kernel: PathBuf,
    initrd: Option<PathBuf>,
    command_line: String,
    cpus: u32,
    mib: u32,
    memory_file: Option<PathBuf>,
    disks: Vec<(PathBuf, Bus)>,
    nic: Nic,
    pub(super) guest_ports: Vec<u16>,
    pub(super) on_terminal: bool,
    extra: Vec<OsString>,
}

impl VmBuilder {
    /// A machine that boots `kernel` (a bzImage) with its console on ttyS0, and
    /// whose QEMU ends when it reboots or panics.
    pub fn new(kernel: impl Into<PathBuf>) -> Self {
        Self {
            kernel: kernel.into(),
            initrd: None,
            command_line: "console=ttyS0 panic=-1 printk.devkmsg=on".to_owned(),
            cpus: 4,
            mib: 2048,
            memory_file: None,
            disks: Vec::new(),
            nic: Nic::Virtio,
            guest_ports: Vec::new(),
            on_terminal: false,
            extra: Vec::new(),
        }
    }

    /// The initramfs.
    pub fn initrd(mut self, path: impl Into<PathBuf>) -> Self {
        self.initrd = Some(path.into());
        self
    }

    /// Adds words to the kernel command line.
    pub fn append(mut self, words: &str) -> Self {
        self.command_line.push(' ');
        self.command_line.push_str(words);
        self
    }

    /// The number of CPUs.
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// The memory, in MiB.
    pub fn memory(mut self, mib: u32) -> Self {
        self.mib = mib;
        self
    }

    /// Keeps the guest's memory in `path`, readable while the machine runs or
    /// is stopped. The file becomes as large as the memory.
    pub fn memory_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.memory_file = Some(path.into());
        self
    }

    /// Attaches a raw image, which the guest writes to.
    pub fn disk(mut self, image: impl Into<PathBuf>, bus: Bus) -> Self {
        self.disks.push((image.into(), bus));
        self
    }

    /// The kind of network card.
    pub fn nic(mut self, nic: Nic) -> Self {
        self.nic = nic;
        self
    }

    /// Makes a TCP port of the guest reachable; [`super::Vm::port`] says where.
    pub fn forward(mut self, guest_port: u16) -> Self {
        self.guest_ports.push(guest_port);
        self
    }

    /// Puts the first serial port on this terminal instead of into a file.
    /// Ctrl-A X ends the machine.
    pub fn on_terminal(mut self) -> Self {
        self.on_terminal = true;
        self
    }

    /// Adds a QEMU option as it is.
    pub fn option(mut self, option: impl AsRef<OsStr>) -> Self {
        self.extra.push(option.as_ref().to_owned());
        self
    }

    /// QEMU's arguments; files that the machine makes go to `dir`.
    pub(super) fn arguments(&self, dir: &Path, qmp: &Path, ports: &[Forward]) -> Vec<OsString> {
        let mut args = Arguments::default();
        // Emulation makes a string copy byte by byte of `rep movsb`, which kernels choose where
        // the CPU says that it is fast.
        args.words("-M q35 -accel tcg,thread=multi -cpu max,erms=off,fsrm=off");
        args.words("-nodefaults -display none -no-reboot");
        args.pair("-smp", self.cpus.to_string());
        args.pair("-m", format!("{}M", self.mib));
        if let Some(file) = &self.memory_file {
            let object = format!("memory-backend-file,id=ram,size={}M,share=on", self.mib);
            args.pair("-object", with_path(&object, "mem-path", file));
            args.words("-machine memory-backend=ram");
        }
        args.pair("-kernel", &self.kernel);
        if let Some(initrd) = &self.initrd {
            args.pair("-initrd", initrd);
        }
        args.pair("-append", &self.command_line);
        match self.on_terminal {
            true => args.words("-serial mon:stdio"),
            false => args.serial(0, dir),
        }
        args.serial(1, dir);
        let socket = with_path("socket,id=qmp,server=on,wait=off", "path", qmp);
        args.pair("-chardev", socket);
        args.words("-mon chardev=qmp,mode=control");
        for (index, (image, bus)) in self.disks.iter().enumerate() {
            let drive = format!("if=none,id=disk{index},format=raw");
            args.pair("-drive", with_path(&drive, "file", image));
            args.pair(
                "-device",
                match bus {
                    Bus::Virtio => format!("virtio-blk-pci,drive=disk{index}"),
                    Bus::Nvme => format!("nvme,drive=disk{index},serial=baton{index}"),
                },
            );
        }
        let forwards: String = ports.iter().map(Forward::option).collect();
        args.pair("-netdev", format!("user,id=net{forwards}"));
        args.pair(
            "-device",
            match self.nic {
                Nic::Virtio => "virtio-net-pci,netdev=net",
                Nic::E1000e => "e1000e,netdev=net",
            },
        );
        args.0.extend(self.extra.iter().cloned());
        args.0
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn words(&mut self, words: &str) {
        self.0.extend(words.split(' ').map(OsString::from));
    }

    fn pair(&mut self, option: &str, value: impl AsRef<OsStr>) {
        self.0.push(option.into());
        self.0.push(value.as_ref().to_owned());
    }

    fn serial(&mut self, index: usize, dir: &Path) {
        let file = with_path(
            &format!("file,id=serial{index}"),
            "path",
            &super::log(dir, index),
        );
        self.pair("-chardev", file);
        self.pair("-serial", format!("chardev:serial{index}"));
    }
}

/// `options,key=path`, with the path's commas doubled as QEMU wants them.
fn with_path(options: &str, key: &str, path: &Path) -> OsString {
    let path = path.to_string_lossy().replace(',', ",,");
    format!("{options},{key}={path}").into()
}
