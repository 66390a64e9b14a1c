//! The other contract: between the `baton` command and `baton.ko` of one kernel, through
//! `/dev/baton` (root only).
//!
//! The command decides and prepares; the module does what only a kernel can. Every call is
//! `_IOWR('B', number, argument)`. `mmap` takes physical addresses as offsets: those of the
//! claimed partition and low window (1st OS), and of the handoff region (2nd OS).

use crate::descriptor::AddressSpace;
use crate::machine::{PciBridge, MAX_BRIDGES};
use crate::PAGE_SIZE;

/// Type byte of every request.
pub const IOCTL_TYPE: u8 = b'B';

/// A request as data: its C name, number and argument, for the generator of the C header.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// C name, without the prefix.
    pub name: &'static str,
    /// Number within the type.
    pub number: u8,
    /// Name of the argument's type.
    pub argument: &'static str,
    /// Size of the argument, bytes.
    pub size: usize,
}

impl Request {
    /// The request code of `_IOWR` (`include/uapi/asm-generic/ioctl.h`).
    #[must_use]
    pub const fn code(&self) -> u64 {
        3 << 30 | (self.size as u64) << 16 | (IOCTL_TYPE as u64) << 8 | self.number as u64
    }
}

macro_rules! requests {
    ( $( $(#[$meta:meta])* $name:ident = $number:literal, $argument:ident; )* ) => {
        $( $(#[$meta])* pub const $name: Request = Request {
            name: stringify!($name),
            number: $number,
            argument: stringify!($argument),
            size: core::mem::size_of::<$argument>(),
        }; )*
        /// Every request.
        pub const REQUESTS: &[Request] = &[$($name),*];
    };
}

requests! {
    /// What the module knows of this kernel and machine.
    INFO = 1, InfoArgs;
    /// 1st OS: take a range of memory that the kernel does not use any more.
    CLAIM = 2, RangeArgs;
    /// 1st OS: take a window below 1 MiB.
    LOW_WINDOW = 3, LowWindowArgs;
    /// 1st OS: start the CPU of the partition.
    START = 4, StartArgs;
    /// 1st OS: stop the CPU of the partition and give everything back.
    RELEASE = 5, RangeArgs;
    /// The super_block behind a file descriptor.
    SUPER_BLOCK = 6, SuperBlockArgs;
    /// `offsetof` and constants from the headers the module was built with.
    HEADERS = 7, HeadersArgs;
    /// The PCI host bridges.
    BRIDGES = 8, BridgesArgs;
    /// 1st OS: stop. Returns only if the handover was aborted.
    STOP = 9, StopArgs;
    /// 2nd OS: map the memory of the 1st and prepare everything that can be prepared.
    PREPARE = 10, RangeArgs;
    /// 2nd OS: sleep until the stop notice came, and take the machine.
    WAIT_NOTICE = 11, WaitArgs;
    /// 2nd OS: pass the point of no return.
    COMMIT = 12, WaitArgs;
    /// 2nd OS: give the machine back, before `COMMIT`.
    GIVE_BACK = 13, WaitArgs;
    /// 2nd OS: add the PCI host bridges.
    ADD_BRIDGES = 14, WaitArgs;
    /// 2nd OS: migrate the file cache of one file system.
    MIGRATE = 15, MigrateArgs;
    /// 2nd OS: stop DMA of devices that no driver has taken.
    QUIET_DEVICES = 16, WaitArgs;
    /// 2nd OS: unmap the memory of the 1st; nothing in it is needed any more.
    FORGET = 17, WaitArgs;
    /// 2nd OS: add a range of memory to this kernel.
    ADD_MEMORY = 18, RangeArgs;
    /// Stamp a phase in the timeline, now.
    STAMP = 19, StampArgs;
    /// Walk live objects of this kernel with the migrator and compare.
    SELF_TEST = 20, SelfTestArgs;
}

open_int! {
    /// What the module is to this kernel.
    pub struct Role(u32) {
        /// Nothing yet.
        NONE = 0, "idle";
        /// It holds a partition: this is the 1st OS.
        FIRST = 1, "1st OS";
        /// It is attached to a handoff region and waits: this is the 2nd OS.
        SECOND = 2, "2nd OS";
    }
}

/// Sentinel of [`CpuEntry::cpu`] for an unused entry.
pub const NO_CPU: u32 = u32::MAX;

abi_struct! {
    /// One possible CPU.
    pub struct CpuEntry: 8 {
        /// Number in this kernel.
        pub cpu: u32, @ 0;
        /// APIC ID.
        pub apic_id: u32, @ 4;
    }
}

abi_struct! {
    /// Argument of [`INFO`]; all out.
    pub struct InfoArgs: 2560 {
        /// [`crate::ABI_VERSION`] of the module.
        pub abi_version: u32, @ 0;
        /// A [`Role`].
        pub role: u32, @ 4;
        /// `tsc_khz`.
        pub tsc_khz: u64, @ 8;
        /// The TSC, now.
        pub tsc: u64, @ 16;
        /// Number of CPUs in `cpus`.
        pub cpu_count: u32, @ 24;
        /// APIC ID of the bootstrap processor (`IA32_APIC_BASE.BSP`), or [`NO_CPU`] if it is not
        /// online.
        pub bsp_apic_id: u32, @ 28;
        /// Physical address of the handoff region: of the one this kernel came from (2nd OS), or
        /// of the one it prepared (1st OS); 0 if there is none.
        pub region: u64, @ 32;
        /// Size of `struct page`, bytes.
        pub page_struct_size: u64, @ 40;
        /// Addresses.
        pub address_space: AddressSpace, @ 48;
        /// Possible CPUs.
        pub cpus: [CpuEntry; 256], @ 144;
        /// Physical address of the handoff region this kernel was started from; 0 if it was not.
        pub inherited_region: u64, @ 2192;
        /// Start of a low window that this kernel was given at its start; 0 if it was not.
        pub inherited_low: u64, @ 2200;
        /// Written as zero.
        pub reserved: [u8; 352], @ 2208;
    }
}

abi_struct! {
    /// A range.
    pub struct RangeArgs: 32 {
        /// First byte.
        pub base: u64, @ 0;
        /// Length, bytes.
        pub size: u64, @ 8;
        /// Meaning depends on the request.
        pub flags: u64, @ 16;
        /// Written as zero.
        pub reserved: u64, @ 24;
    }
}

/// Most ranges to be avoided in [`LowWindowArgs`].
pub const MAX_AVOID: usize = 8;

abi_struct! {
    /// Argument of [`LOW_WINDOW`].
    pub struct LowWindowArgs: 160 {
        /// In: size and alignment, bytes. Out: unchanged.
        pub size: u64, @ 0;
        /// Out: first byte.
        pub base: u64, @ 8;
        /// In: number of ranges to be avoided.
        pub avoid_count: u64, @ 16;
        /// In: their first bytes: this kernel's own real-mode trampoline, above all.
        pub avoid_start: [u64; 8], @ 24;
        /// In: their ends, exclusive.
        pub avoid_end: [u64; 8], @ 88;
        /// In: kernel-virtual address of the variable `real_mode_header` of this kernel
        /// (`/proc/kallsyms`), to avoid what it points to; 0 if it is not known.
        pub real_mode_header: u64, @ 152;
    }
}

abi_struct! {
    /// Argument of [`START`].
    pub struct StartArgs: 32 {
        /// CPU to start.
        pub apic_id: u32, @ 0;
        /// Its number in this kernel; it must be offline.
        pub cpu: u32, @ 4;
        /// Physical address of the trampoline: a page below 1 MiB, in the low window.
        pub trampoline: u64, @ 8;
        /// Physical address of the handoff region, inside the claimed range.
        pub region: u64, @ 16;
        /// Out: how far the trampoline came (0 to 3).
        pub progress: u64, @ 24;
    }
}

abi_struct! {
    /// Argument of [`SUPER_BLOCK`].
    pub struct SuperBlockArgs: 64 {
        /// In: a file descriptor on the file system.
        pub fd: i32, @ 0;
        /// Out: `s_dev`.
        pub device: u32, @ 4;
        /// Out: kernel-virtual address of the super_block.
        pub address: u64, @ 8;
        /// Out: `s_magic`.
        pub magic: u64, @ 16;
        /// Out: non-zero if there is a block device under it.
        pub has_block_device: u32, @ 24;
        /// Out: non-zero if it can look files up by handle (`s_export_op`).
        pub has_export_op: u32, @ 28;
        /// Out: name of the type.
        pub fs_type: [u8; 32], @ 32;
    }
}

/// A header offset that the headers do not have.
pub const NO_OFFSET: u32 = u32::MAX;

abi_struct! {
    /// Argument of [`HEADERS`]; all out.
    pub struct HeadersArgs: 7168 {
        /// Number of members the module knows of.
        pub member_count: u32, @ 0;
        /// Number of constants the module knows of.
        pub constant_count: u32, @ 4;
        /// `offsetof` by [`crate::descriptor::MemberId`], or [`NO_OFFSET`].
        pub offsets: [u32; 1024], @ 8;
        /// Bit i set: constant i is known.
        pub constants_known: [u64; 4], @ 4104;
        /// By [`crate::descriptor::ConstantId`].
        pub constants: [u64; 256], @ 4136;
        /// Written as zero.
        pub reserved: [u8; 984], @ 6184;
    }
}

abi_struct! {
    /// Argument of [`BRIDGES`]; all out.
    pub struct BridgesArgs: 4368 {
        /// Number of bridges.
        pub count: u32, @ 0;
        /// Non-zero if there are more than fit.
        pub truncated: u32, @ 4;
        /// Bridges; `ecam` is left zero.
        pub bridges: [PciBridge; 8], @ 8;
        /// Written as zero.
        pub reserved: u64, @ 4360;
    }
}
const _: () = assert!(MAX_BRIDGES == 8);

abi_struct! {
    /// Argument of [`STOP`].
    pub struct StopArgs: 320 {
        /// In: longest wait for writers and journals, milliseconds.
        pub quiesce_ms: u32, @ 0;
        /// In: longest wait for CPUs to park, milliseconds.
        pub park_ms: u32, @ 4;
        /// In: longest wait for the 2nd OS to take the notice, milliseconds.
        pub answer_ms: u32, @ 8;
        /// In: longest wait for it to commit after that, milliseconds.
        pub commit_ms: u32, @ 12;
        /// In: number of file descriptors in `fds`.
        pub fd_count: u32, @ 16;
        /// Out: a [`crate::status::Reason`].
        pub reason: u32, @ 20;
        /// Out: index into `fds`, or the CPU, that the reason is about.
        pub culprit: u32, @ 24;
        /// Written as zero.
        pub reserved: u32, @ 28;
        /// In: one file descriptor on each file system whose writers are to come to rest.
        pub fds: [i32; 64], @ 32;
        /// Written as zero.
        pub reserved1: [u8; 32], @ 288;
    }
}

abi_struct! {
    /// Argument of requests that need a time or nothing.
    pub struct WaitArgs: 16 {
        /// In: longest wait, milliseconds; 0 for ever.
        pub timeout_ms: u32, @ 0;
        /// Meaning depends on the request.
        pub value: u32, @ 4;
        /// Written as zero.
        pub reserved: u64, @ 8;
    }
}

abi_struct! {
    /// Argument of [`MIGRATE`].
    pub struct MigrateArgs: 96 {
        /// In: file descriptor of the file system's root directory as it is mounted now.
        pub root_fd: i32, @ 0;
        /// In: index into the file system page.
        pub filesystem: u32, @ 4;
        /// Out: inodes looked at.
        pub inodes: u64, @ 8;
        /// Out: files written.
        pub files: u64, @ 16;
        /// Out: pages written.
        pub pages: u64, @ 24;
        /// Out: bytes written.
        pub bytes: u64, @ 32;
        /// Out: files that could not be migrated, all listed as losses.
        pub lost: u64, @ 40;
        /// Out: TSC ticks in all.
        pub ticks: u64, @ 48;
        /// Out: deleted but open files, which no name leads to any more.
        pub unlinked: u64, @ 56;
        /// Written as zero.
        pub reserved: [u64; 4], @ 64;
    }
}

abi_struct! {
    /// Argument of [`STAMP`].
    pub struct StampArgs: 16 {
        /// In: a [`crate::timeline::Phase`].
        pub phase: u32, @ 0;
        /// Written as zero.
        pub reserved: u32, @ 4;
        /// Out: the stamp.
        pub tsc: u64, @ 8;
    }
}

abi_struct! {
    /// Argument of [`SELF_TEST`].
    pub struct SelfTestArgs: 64 {
        /// In: file descriptor of a regular file on the file system under test.
        pub fd: i32, @ 0;
        /// Out: which comparison failed: 0 none, else see `baton.ko`'s `selftest.c`.
        pub failed: u32, @ 4;
        /// Out: what the kernel says.
        pub expected: u64, @ 8;
        /// Out: what the migrator read.
        pub found: u64, @ 16;
        /// Out: pages the migrator walked.
        pub pages: u64, @ 24;
        /// Written as zero.
        pub reserved: [u64; 4], @ 32;
    }
}

abi_struct! {
    /// A run of a file's pages as the Rust object hands it to `sink.c`.
    pub struct Segment: 16 {
        /// Address in this kernel.
        pub va: u64, @ 0;
        /// Length, bytes.
        pub len: u64, @ 8;
    }
}

/// Every argument, for the generator of the C header.
pub const IOCTL_TYPES: &[&crate::AbiType] = &[
    &CpuEntry::ABI,
    &InfoArgs::ABI,
    &RangeArgs::ABI,
    &LowWindowArgs::ABI,
    &StartArgs::ABI,
    &SuperBlockArgs::ABI,
    &HeadersArgs::ABI,
    &BridgesArgs::ABI,
    &StopArgs::ABI,
    &WaitArgs::ABI,
    &MigrateArgs::ABI,
    &StampArgs::ABI,
    &SelfTestArgs::ABI,
    &Segment::ABI,
];

const _: () = assert!(PAGE_SIZE == 4096);
