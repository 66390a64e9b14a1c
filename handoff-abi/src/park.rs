//! What a parked CPU reads and writes: its slot, and the wakeup mailbox.

/// `command` of the mailbox: nothing asked.
pub const MAILBOX_NOOP: u16 = 0;
/// Jump to the wakeup vector (ACPI specification 6.5, 5.2.12.19).
pub const MAILBOX_WAKEUP: u16 = 1;
/// Acknowledge that the CPU is in the mailbox loop (version 1 of the structure).
pub const MAILBOX_TEST: u16 = 2;

abi_struct! {
    /// The multiprocessor wakeup mailbox of the ACPI specification 6.5, 5.2.12.19. Writer of
    /// `command`: the 2nd OS sets it, the parking loop clears it; the other fields: 2nd OS.
    pub struct Mailbox: 4096 {
        /// `MAILBOX_*`.
        pub command: u16, @ 0;
        /// Written as zero.
        pub reserved0: u16, @ 2;
        /// APIC ID of the CPU that is meant.
        pub apic_id: u32, @ 4;
        /// Physical address to jump to, in 64-bit mode, identity-mapped.
        pub wakeup_vector: u64, @ 8;
        /// For the operating system.
        pub reserved_os: [u8; 2032], @ 16;
        /// For the firmware, here the parking loop; unused.
        pub reserved_firmware: [u8; 2048], @ 2048;
    }
}

abi_struct! {
    /// State that one parked CPU needs to return if the handover is aborted. Writer: that CPU,
    /// on its way in; reader: that CPU, on its way out. Slot `i` belongs to the `i`-th APIC ID of the
    /// machine page. The parking code knows the offsets.
    pub struct ParkSlot: 256 {
        /// APIC ID.
        pub apic_id: u64, @ 0;
        /// CR3 to return with.
        pub cr3: u64, @ 8;
        /// Stack pointer to return with.
        pub rsp: u64, @ 16;
        /// Kernel-virtual address to return to.
        pub rip: u64, @ 24;
        /// IDTR (2 bytes limit, 8 bytes base) to return with.
        pub idtr: [u8; 16], @ 32;
        /// GDTR to return with.
        pub gdtr: [u8; 16], @ 48;
        /// Physical address of the control page's stop word.
        pub stop_word: u64, @ 64;
        /// Value of the stop word that means "return".
        pub abort_value: u64, @ 72;
        /// Physical address of the mailbox.
        pub mailbox: u64, @ 80;
        /// CR4 to return with.
        pub cr4: u64, @ 88;
        /// `IA32_S_CET` to return with.
        pub s_cet: u64, @ 96;
        /// Non-zero if the CPU has `IA32_S_CET`.
        pub has_cet: u64, @ 104;
        /// The parking loop's own GDTR.
        pub park_gdtr: [u8; 16], @ 112;
        /// The parking loop's own IDTR.
        pub park_idtr: [u8; 16], @ 128;
        /// Non-zero once the CPU is in the loop.
        pub parked: u64, @ 144;
        /// Stack for exceptions (an NMI, say) taken while parked; it grows down from the end.
        pub stack: [u64; 13], @ 152;
    }
}
