//! Where physical memory is in the file that keeps it.
//!
//! A q35 machine has its memory from 0 on, up to 2 GiB if it has 2.75 GiB or more; what is beyond
//! that continues at 4 GiB. In the file there is no gap. Of this only what the guest's kernel
//! lists as its RAM is memory of the 1st OS.

use std::fmt::Write as _;

use anyhow::{Context, Result};

/// Memory size from which a q35 machine keeps less than all of it below 4 GiB.
const SPLIT_FROM: u64 = 0xb000_0000;
/// What it then keeps there.
const SPLIT_AT: u64 = 0x8000_0000;
/// Where the rest continues.
const HIGH: u64 = 1 << 32;

/// A run of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// First physical address.
    pub start: u64,
    /// Length, bytes.
    pub len: u64,
    /// Offset of its first byte in the file.
    pub offset: u64,
}

/// The ranges of a q35 machine with `memory` bytes whose kernel shows `iomem` in `/proc/iomem`.
///
/// # Errors
/// A line that is no resource.
pub fn of_q35(memory: u64, iomem: &str) -> Result<Vec<Range>> {
    let low = if memory >= SPLIT_FROM {
        SPLIT_AT
    } else {
        memory
    };
    let mut ranges = Vec::new();
    for line in iomem.lines() {
        let Some((place, "System RAM")) = line.split_once(" : ") else {
            continue;
        };
        let (start, last) = place
            .trim()
            .split_once('-')
            .context("there is no range in a line of /proc/iomem")?;
        let start = u64::from_str_radix(start, 16)?;
        let end = u64::from_str_radix(last, 16)? + 1;
        for (base, size, offset) in [(0, low, 0), (HIGH, memory - low, low)] {
            let (start, end) = (start.max(base), end.min(base + size));
            if start < end {
                ranges.push(Range {
                    start,
                    len: end - start,
                    offset: start - base + offset,
                });
            }
        }
    }
    Ok(ranges)
}

/// As text: a line `START LEN OFFSET` each, hexadecimal.
#[must_use]
pub fn to_text(ranges: &[Range]) -> String {
    let mut text = String::new();
    for range in ranges {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{:x} {:x} {:x}", range.start, range.len, range.offset);
    }
    text
}

/// From that text.
///
/// # Errors
/// A line that is not such.
pub fn from_text(text: &str) -> Result<Vec<Range>> {
    let mut ranges = Vec::new();
    for line in text.lines() {
        let numbers: Result<Vec<u64>, _> = line
            .split(' ')
            .map(|word| u64::from_str_radix(word, 16))
            .collect();
        match numbers.as_deref() {
            Ok([start, len, offset]) => ranges.push(Range {
                start: *start,
                len: *len,
                offset: *offset,
            }),
            _ => anyhow::bail!("\"{line}\" is no range"),
        }
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_small_machine_has_its_memory_in_one_piece() {
        let iomem = "00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n\
                     00100000-3ffdffff : System RAM\n  01000000-01ffffff : Kernel code\n\
                     b0000000-bfffffff : PCI ECAM 0000 [bus 00-ff]\n";
        let ranges = of_q35(1024 * MIB, iomem).unwrap();
        let expected = [(0x1000, 0x9ec00, 0x1000), (MIB, 0x3fee_0000, MIB)];
        assert_eq!(
            ranges,
            expected.map(|(start, len, offset)| Range { start, len, offset })
        );
        assert_eq!(from_text(&to_text(&ranges)).unwrap(), ranges);
    }

    #[test]
    fn a_large_machine_goes_on_above_the_gap() {
        let iomem = "00100000-7ffdffff : System RAM\n100000000-13fffffff : System RAM\n";
        let ranges = of_q35(3072 * MIB, iomem).unwrap();
        assert_eq!(ranges[1].start, 1 << 32);
        assert_eq!((ranges[1].len, ranges[1].offset), (1024 * MIB, 2048 * MIB));
    }
}
