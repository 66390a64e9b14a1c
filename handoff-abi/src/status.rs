//! What each side is doing, and why something failed: open integers with words for the operator.

open_int! {
    /// What the 1st OS is doing.
    pub struct FirstState(u32) {
        /// It runs the workload.
        RUNNING = 0, "running";
        /// `baton update` waits for writers to come to rest and commits the journals.
        QUIESCING = 1, "quiescing the file systems";
        /// Its CPUs are on their way into the parking loop.
        PARKING = 2, "parking its CPUs";
        /// Its CPUs are parked.
        PARKED = 3, "parked";
    }
}

open_int! {
    /// How far the 2nd OS is.
    pub struct SecondState(u32) {
        /// Nothing was heard of it yet.
        NONE = 0, "not heard of yet";
        /// Its agent runs.
        AGENT = 1, "booted; its agent runs";
        /// Its module is attached to the handoff region.
        ATTACHED = 2, "attached to the handoff region";
        /// Drivers are loaded, the memory of the 1st OS is mapped: `baton update` may come.
        READY = 3, "ready";
        /// It takes over.
        TAKING_OVER = 4, "taking over";
        /// It has taken over and runs the machine.
        RUNNING = 5, "running the machine";
        /// It gave up; see the message in the control page.
        FAILED = 6, "failed";
    }
}

open_int! {
    /// Why a handover was aborted or a takeover failed.
    pub struct Reason(u32) {
        /// Nothing failed.
        NONE = 0, "none";
        /// The 2nd OS did not take the notice in time.
        NO_ANSWER = 1, "the 2nd OS did not answer the stop notice in time";
        /// The 2nd OS took the notice but did not commit in time.
        NO_COMMIT = 2, "the 2nd OS took the stop notice but did not begin in time";
        /// A CPU of the 1st OS did not come to the parking loop in time.
        CPU_LATE = 3, "a CPU of the 1st OS did not stop in time";
        /// Writers did not come to rest in time.
        WRITERS_BUSY = 4, "writers to a file system did not come to rest in time";
        /// A journal could not be committed.
        JOURNAL = 5, "a file system's journal could not be committed";
        /// A page of the handoff region is not what it should be.
        CORRUPT = 6, "the handoff region is corrupt";
        /// The PCI host bridges could not be added.
        PCI = 7, "the PCI host bridges could not be added";
        /// The root file system could not be mounted.
        MOUNT = 8, "a file system could not be mounted";
        /// The file cache could not be migrated completely.
        MIGRATE = 9, "the file cache could not be migrated completely";
        /// Another failure; the message says which.
        OTHER = 10, "another failure";
        /// A CPU came online that has no park slot.
        NO_SLOT = 11, "a CPU was added after the load; `baton unload` and `baton load` again";
    }
}
