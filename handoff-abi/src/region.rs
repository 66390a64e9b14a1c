//! Where each section of the handoff region is.

/// One part of the region. Sections do not overlap and are page-aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Section {
    /// Number of the section, in its page header.
    pub kind: u32,
    /// Offset from the start of the region, bytes.
    pub offset: usize,
    /// Size, bytes.
    pub size: usize,
    /// Name for messages.
    pub name: &'static str,
}

impl Section {
    const fn new(kind: u32, offset: usize, size: usize, name: &'static str) -> Self {
        Self {
            kind,
            offset,
            size,
            name,
        }
    }

    /// First offset after the section.
    #[must_use]
    pub const fn end(self) -> usize {
        self.offset.saturating_add(self.size)
    }
}

/// Size of the whole region, bytes.
pub const REGION_SIZE: usize = 0x10_0000;

/// [`crate::header::HeaderPage`].
pub const HEADER: Section = Section::new(1, 0x0_0000, 0x1000, "header");
/// [`crate::control::ControlPage`].
pub const CONTROL: Section = Section::new(2, 0x0_1000, 0x1000, "control");
/// [`crate::timeline::TimelinePage`].
pub const TIMELINE: Section = Section::new(3, 0x0_2000, 0x1000, "timeline");
/// [`crate::machine::MachinePage`].
pub const MACHINE: Section = Section::new(4, 0x0_3000, 0x5000, "machine");
/// [`crate::descriptor::DescriptorPage`].
pub const DESCRIPTOR: Section = Section::new(5, 0x0_8000, 0x8000, "descriptor");
/// [`crate::filesystem::FilesystemPage`].
pub const FILESYSTEMS: Section = Section::new(6, 0x1_0000, 0x1_0000, "file systems");
/// Blob: the network as it was ([`crate::blob`]).
pub const NETWORK: Section = Section::new(7, 0x2_0000, 0x2_0000, "network snapshot");
/// Blob: host name, mounts, kernel settings ([`crate::blob`]).
pub const SYSTEM: Section = Section::new(8, 0x4_0000, 0x2_0000, "system snapshot");
/// Log ring of the 1st OS ([`crate::log`]).
pub const LOG_FIRST: Section = Section::new(9, 0x6_0000, 0x2_0000, "log of the 1st OS");
/// Log ring of the 2nd OS ([`crate::log`]).
pub const LOG_SECOND: Section = Section::new(10, 0x8_0000, 0x2_0000, "log of the 2nd OS");
/// What could not be carried over ([`crate::loss`]).
pub const LOSSES: Section = Section::new(11, 0xa_0000, 0x1_0000, "losses");
/// Kernel messages of the 2nd OS before the takeover, as text in a log ring.
pub const CONSOLE: Section = Section::new(12, 0xb_0000, 0x4_0000, "console of the 2nd OS");

/// Every section, in the order of their offsets.
pub const SECTIONS: &[Section] = &[
    HEADER,
    CONTROL,
    TIMELINE,
    MACHINE,
    DESCRIPTOR,
    FILESYSTEMS,
    NETWORK,
    SYSTEM,
    LOG_FIRST,
    LOG_SECOND,
    LOSSES,
    CONSOLE,
];

const _: () = {
    let mut rest = SECTIONS;
    let mut end = 0;
    while let [first, tail @ ..] = rest {
        assert!(first.offset >= end, "sections overlap");
        assert!(first.offset % crate::PAGE_SIZE == 0 && first.size % crate::PAGE_SIZE == 0);
        end = first.end();
        rest = tail;
    }
    assert!(end <= REGION_SIZE, "sections exceed the region");
};
