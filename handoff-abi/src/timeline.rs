//! When what happened, in TSC ticks, stamped by both sides.

use crate::header::PageHeader;

open_int! {
    /// A phase of the handover. The number is the index into [`TimelinePage::stamps`].
    pub struct Phase(u32) {
        /// `baton update` was called.
        UPDATE = 0, "update asked for";
        /// The first journal commit, before anything is held up, is done.
        PRESYNC = 1, "journals committed beforehand";
        /// Writers are held up: the blackout of writers begins.
        GATE = 2, "writers held up";
        /// Every journal is committed with the writers at rest.
        QUIESCED = 3, "journals committed";
        /// The stop begins: CPUs are called into the parking loop.
        STOP = 4, "stop begun";
        /// The last CPU but the one that commands is parked.
        PARKED = 5, "last CPU parked";
        /// The notice was sent.
        NOTICE_SENT = 6, "notice sent";
        /// The NMI handler of the 2nd OS saw the notice.
        NOTICE_TAKEN = 7, "notice taken";
        /// The 2nd OS committed: it is about to write to the first device.
        COMMITTED = 8, "committed";
        /// The PCI host bridges are enumerated.
        PCI_DONE = 9, "PCI enumerated";
        /// Every disk that is needed is there.
        DISK_READY = 10, "disks ready";
        /// Every file system is mounted.
        MOUNTED = 11, "file systems mounted";
        /// The file cache is migrated.
        CACHE_MIGRATED = 12, "file cache migrated";
        /// Every NIC that is needed is there.
        NIC_READY = 13, "NICs ready";
        /// Every address is assigned.
        IP_ASSIGNED = 14, "addresses assigned";
        /// The root file system's own userland was started.
        USERLAND = 15, "userland started";
        /// The CPUs of the 1st OS are online.
        CPUS_ONLINE = 16, "CPUs online";
        /// The memory of the 1st OS is online.
        MEMORY_ONLINE = 17, "memory online";
    }
}

/// Number of stamps in the page; more than there are phases.
pub const MAX_PHASES: usize = 64;

open_int! {
    /// A counter. The number is the index into [`TimelinePage::counters`].
    pub struct Counter(u32) {
        /// Inodes looked at.
        INODES = 0, "inodes looked at";
        /// Files migrated.
        FILES = 1, "files migrated";
        /// Pages migrated.
        PAGES = 2, "pages migrated";
        /// Bytes migrated.
        BYTES = 3, "bytes migrated";
        /// Files that could not be migrated.
        LOST_FILES = 4, "files not migrated";
        /// CPUs brought online.
        CPUS = 5, "CPUs brought online";
        /// Bytes of memory hot-added.
        MEMORY = 6, "bytes of memory added";
        /// TSC ticks spent in the walk alone.
        WALK_TICKS = 7, "TSC ticks in the walk";
    }
}

/// Number of counters in the page.
pub const MAX_COUNTERS: usize = 32;

abi_struct! {
    /// Stamps and counters. Each stamp has one writer; zero means "not reached".
    pub struct TimelinePage: 4096 {
        /// Kind [`crate::region::TIMELINE`].
        pub header: PageHeader, @ 0;
        /// TSC frequency, kHz. Writer: `baton load`.
        pub tsc_khz: u64, @ 32;
        /// Wall clock at [`Phase::STOP`], nanoseconds since 1970. Writer: 1st OS.
        pub realtime_ns: u64, @ 40;
        /// TSC by [`Phase`]. Phases up to `NOTICE_SENT`: 1st OS; the others: 2nd OS.
        pub stamps: [u64; 64], @ 48;
        /// Counts by [`Counter`]. Writer: 2nd OS.
        pub counters: [u64; 32], @ 560;
        /// Written as zero.
        pub reserved: [u8; 3280], @ 816;
    }
}
