//! The setup header of a bzImage.
//!
//! # Purpose
//! [`parse`] tells whether a file is an x86-64 Linux kernel that can be started by the 64-bit boot
//! protocol at an address of our choice, and where in the file its parts are. Source:
//! `Documentation/arch/x86/boot.rst`.
//!
//! # Invariants
//! Every range of a [`BzImage`] lies within the bytes that were parsed; any bytes may be given.

use std::fmt;
use std::ops::Range;

/// Start of the setup header, in the file as in the zero page.
pub const SETUP_HEADER: usize = 0x1f1;
/// End of the room for the setup header in the zero page.
const SETUP_HEADER_MAX: usize = 0x290;
/// Offset of the 64-bit entry point in the image.
pub const ENTRY_64: u64 = 0x200;
/// Protocol 2.12: the first with `xloadflags`.
const OLDEST_PROTOCOL: u16 = 0x20c;
/// Longest version text that is looked at.
const MAX_VERSION_TEXT: usize = 512;

/// Bits of `xloadflags`.
mod xlf {
    pub(super) const KERNEL_64: u16 = 1 << 0;
    pub(super) const CAN_BE_LOADED_ABOVE_4G: u16 = 1 << 1;
    pub(super) const FIVE_LEVEL: u16 = 1 << 5;
    pub(super) const FIVE_LEVEL_ENABLED: u16 = 1 << 6;
}

/// Why a file is not a kernel that baton can start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// It is something else.
    NotAKernel {
        /// What it seems to be.
        seems: &'static str,
    },
    /// It ends before something that it should contain.
    Truncated {
        /// What is cut off.
        what: &'static str,
        /// Where that ends, bytes.
        needed: usize,
        /// Bytes there are.
        len: usize,
    },
    /// Its boot protocol is too old.
    TooOld {
        /// Version of the protocol, major in the upper byte.
        protocol: u16,
    },
    /// It lacks a property that baton needs.
    Unsuitable {
        /// What it lacks.
        lacks: &'static str,
    },
    /// A field of the header makes no sense.
    Field {
        /// C name of the field.
        name: &'static str,
        /// Its value.
        value: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAKernel { seems } => write!(
                f,
                "this is not an x86 Linux kernel image but {seems}; give a bzImage, such as \
                 /boot/vmlinuz-RELEASE"
            ),
            Self::Truncated { what, needed, len } => write!(
                f,
                "the kernel image is cut off: its {what} ends at byte {needed}, the file has \
                 {len}; copy or install it again"
            ),
            Self::TooOld { protocol } => write!(
                f,
                "the kernel's boot protocol is {}.{:02}, and 2.12 (Linux 3.8) is the oldest \
                 that baton can start",
                protocol >> 8,
                protocol & 0xff
            ),
            Self::Unsuitable { lacks } => write!(f, "baton cannot start this kernel: it {lacks}"),
            Self::Field { name, value } => write!(
                f,
                "the kernel's setup header is damaged: {name} is {value:#x}; install the kernel \
                 again"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// A kernel image. Ranges are offsets in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BzImage {
    /// Release, as `uname -r` will say.
    pub release: String,
    /// The whole version text, with builder and date.
    pub version_text: String,
    /// Version of the boot protocol, major in the upper byte.
    pub protocol: u16,
    /// The setup header, to be copied to [`SETUP_HEADER`] of the zero page.
    pub setup_header: Range<usize>,
    /// What is loaded: all behind the setup sectors that belongs to the kernel.
    pub image: Range<usize>,
    /// The compressed kernel within `image`.
    pub payload: Range<usize>,
    /// Alignment of the load address, bytes; a power of two.
    pub kernel_alignment: u64,
    /// Bytes the kernel needs from the load address on until it manages memory itself.
    pub init_size: u64,
    /// Address it would rather be loaded at.
    pub pref_address: u64,
    /// Longest command line, without the terminator.
    pub cmdline_size: u32,
    /// Highest address of the initramfs, if it knows no address above 4 GiB.
    pub initrd_addr_max: u32,
    /// `xloadflags` as it is.
    pub xloadflags: u16,
}

impl BzImage {
    /// Whether kernel, command line and initramfs may lie above 4 GiB.
    #[must_use]
    pub fn can_be_loaded_above_4g(&self) -> bool {
        self.xloadflags & xlf::CAN_BE_LOADED_ABOVE_4G != 0
    }

    /// Whether it can be entered with five-level page tables.
    #[must_use]
    pub fn accepts_five_levels(&self) -> bool {
        self.xloadflags & xlf::FIVE_LEVEL != 0
    }

    /// Whether it can run with five-level page tables.
    #[must_use]
    pub fn runs_five_levels(&self) -> bool {
        self.xloadflags & xlf::FIVE_LEVEL_ENABLED != 0
    }
}

/// Reads the setup header of the kernel image `file`.
///
/// # Errors
/// See [`Error`]; each says what is wrong and what to do.
pub fn parse(file: &[u8]) -> Result<BzImage, Error> {
    if field::<4>(file, 0x202, "setup header").ok() != Some(*b"HdrS") {
        return Err(other(file));
    }
    if word(file, 0x1fe)? != 0xaa55 {
        return Err(Error::NotAKernel {
            seems: "damaged (no boot sector signature)",
        });
    }
    let protocol = word(file, 0x206)?;
    if protocol < OLDEST_PROTOCOL {
        return Err(Error::TooOld { protocol });
    }
    let [jump] = field(file, 0x201, "setup header")?;
    let header_end = 0x202 + usize::from(jump);
    if !(0x264..=SETUP_HEADER_MAX).contains(&header_end) {
        return Err(Error::Field {
            name: "jump",
            value: jump.into(),
        });
    }
    let setup_header = part(file, SETUP_HEADER as u64, header_end as u64, "setup header")?;
    let xloadflags = word(file, 0x236)?;
    suitable(file, xloadflags)?;

    let setup_size = match field(file, 0x1f1, "setup header")? {
        [0] => 5 * 512,
        [sectors] => (u64::from(sectors) + 1) * 512,
    };
    let image_size = u64::from(long(file, 0x1f4)?) * 16;
    let image = part(file, setup_size, setup_size + image_size, "kernel")?;
    let payload_start = setup_size + u64::from(long(file, 0x248)?);
    let payload_size = u64::from(long(file, 0x24c)?);
    let payload_end = payload_start + payload_size;
    if payload_size == 0 || payload_end > image.end as u64 {
        return Err(Error::Field {
            name: "payload_length",
            value: payload_size,
        });
    }
    let payload = part(file, payload_start, payload_end, "compressed kernel")?;

    let kernel_alignment = u64::from(long(file, 0x230)?);
    if !kernel_alignment.is_power_of_two() || kernel_alignment < 4096 {
        return Err(Error::Field {
            name: "kernel_alignment",
            value: kernel_alignment,
        });
    }
    let init_size = u64::from(long(file, 0x260)?);
    if init_size < image.len() as u64 {
        return Err(Error::Field {
            name: "init_size",
            value: init_size,
        });
    }
    let version_text = version_text(file, setup_size)?;
    let release = version_text.split(' ').next().unwrap_or_default();
    Ok(BzImage {
        release: release.to_owned(),
        version_text: version_text.clone(),
        protocol,
        setup_header,
        image,
        payload,
        kernel_alignment,
        init_size,
        pref_address: u64::from_le_bytes(field(file, 0x258, "setup header")?),
        cmdline_size: long(file, 0x238)?,
        initrd_addr_max: long(file, 0x22c)?,
        xloadflags,
    })
}

/// Whether a kernel of these flags can be started at all.
fn suitable(file: &[u8], xloadflags: u16) -> Result<(), Error> {
    let [loadflags] = field(file, 0x211, "setup header")?;
    let [relocatable] = field(file, 0x234, "setup header")?;
    let lacks = if xloadflags & xlf::KERNEL_64 == 0 {
        "has no 64-bit entry point (is it a 32-bit kernel?)"
    } else if loadflags & 1 == 0 {
        "is a zImage, to be loaded low"
    } else if relocatable == 0 {
        "can run at one address only (CONFIG_RELOCATABLE is not set)"
    } else {
        return Ok(());
    };
    Err(Error::Unsuitable { lacks })
}

/// The text that `kernel_version` points to, in the setup sectors.
fn version_text(file: &[u8], setup_size: u64) -> Result<String, Error> {
    let pointer = word(file, 0x20e)?;
    let bad = Error::Field {
        name: "kernel_version",
        value: pointer.into(),
    };
    let start = usize::from(pointer) + 0x200;
    if pointer == 0 || start as u64 >= setup_size {
        return Err(bad);
    }
    let text: Vec<u8> = file
        .iter()
        .skip(start)
        .take(MAX_VERSION_TEXT)
        .take_while(|byte| **byte != 0)
        .copied()
        .collect();
    let readable = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
    // The release becomes part of the path of the module tree.
    let release = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    if !readable || release.is_empty() || release.contains(&b'/') || release.starts_with(b".") {
        return Err(bad);
    }
    String::from_utf8(text).map_err(|_| bad)
}

/// What a file without the magic of a setup header is.
fn other(file: &[u8]) -> Error {
    let has = |at: usize, magic: &[u8]| file.get(at..).is_some_and(|f| f.starts_with(magic));
    let seems = if file.is_empty() {
        "an empty file"
    } else if has(0, b"MZ") && has(4, b"zimg") {
        "an EFI zboot image (a compressed kernel of another architecture)"
    } else if has(0x38, b"ARM\x64") {
        "a kernel for arm64"
    } else if has(0x38, b"RSC\x05") {
        "a kernel for RISC-V"
    } else if has(0x24, &[0x18, 0x28, 0x6f, 0x01]) {
        "a kernel for 32-bit ARM"
    } else if has(0, b"MZ") {
        "an EFI program (a unified kernel image has the bzImage in its .linux section)"
    } else if has(0, b"\x7fELF") {
        "an ELF file (an uncompressed vmlinux, or a kernel for another architecture)"
    } else if has(0, &[0x1f, 0x8b]) {
        "a gzip file"
    } else if file.len() < 0x206 {
        return Error::Truncated {
            what: "setup header",
            needed: 0x264,
            len: file.len(),
        };
    } else {
        "something without a Linux setup header"
    };
    Error::NotAKernel { seems }
}

/// `N` bytes at `at`.
fn field<const N: usize>(file: &[u8], at: usize, what: &'static str) -> Result<[u8; N], Error> {
    let bytes = file.get(at..).and_then(|tail| tail.first_chunk::<N>());
    bytes.copied().ok_or(Error::Truncated {
        what,
        needed: at.saturating_add(N),
        len: file.len(),
    })
}

fn word(file: &[u8], at: usize) -> Result<u16, Error> {
    field(file, at, "setup header").map(u16::from_le_bytes)
}

fn long(file: &[u8], at: usize) -> Result<u32, Error> {
    field(file, at, "setup header").map(u32::from_le_bytes)
}

/// `start..end` as offsets in the file, if the file has them.
fn part(file: &[u8], start: u64, end: u64, what: &'static str) -> Result<Range<usize>, Error> {
    let range = start as usize..end as usize;
    match file.get(range.clone()) {
        Some(bytes) if !bytes.is_empty() => Ok(range),
        _ => Err(Error::Truncated {
            what,
            needed: range.end.max(range.start.saturating_add(1)),
            len: file.len(),
        }),
    }
}

#[cfg(test)]
mod tests;
