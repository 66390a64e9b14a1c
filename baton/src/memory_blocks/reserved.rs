//! Memory that was kept away from the kernel when it booted.

use std::ops::Range;

use anyhow::{ensure, Context, Result};

use super::carve::ALIGNMENT;
use crate::iomem::Map;

/// The largest range that a `memmap=SIZE$ADDRESS` on the kernel's command line reserved, if it
/// has at least `size` bytes after alignment to 2 MiB; `None` if there is no such parameter.
///
/// # Errors
/// A parameter that cannot be understood; a range that the kernel did not reserve in fact, or
/// that is too small.
pub fn reserved_at_boot(cmdline: &str, iomem: &Map, size: u64) -> Result<Option<Range<u64>>> {
    let mut best: Option<Range<u64>> = None;
    let values = cmdline
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("memmap="));
    for value in values.flat_map(|value| value.split(',')) {
        let Some((length, start)) = value.split_once('$') else {
            continue;
        };
        let not_understood = || format!("cannot understand memmap={value} of the command line");
        let start = number(start).with_context(not_understood)?;
        let length = number(length).with_context(not_understood)?;
        let end = start.checked_add(length).with_context(not_understood)?;
        ensure!(
            iomem.is_reserved(&(start..end)),
            "memmap={value} is on the command line, but the kernel has not reserved {start:#x} to \
             {end:#x} (see /proc/iomem); did the boot loader change the \"$\"?"
        );
        let aligned = start.next_multiple_of(ALIGNMENT)..end - end % ALIGNMENT;
        let longer = |best: &Range<u64>| aligned.end - aligned.start > best.end - best.start;
        if !aligned.is_empty() && best.as_ref().is_none_or(longer) {
            best = Some(aligned);
        }
    }
    if let Some(range) = &best {
        ensure!(
            range.end - range.start >= size,
            "the memory reserved at boot ({:#x} to {:#x}) has {} MiB, and {} MiB are needed; \
             reserve more (memmap=), or ask for less (--memory)",
            range.start,
            range.end,
            (range.end - range.start) >> 20,
            size >> 20
        );
    }
    Ok(best)
}

/// A number as the kernel's `memparse` reads it: decimal, hexadecimal or octal, with a unit.
fn number(text: &str) -> Option<u64> {
    let unit = text.chars().last()?.to_ascii_uppercase();
    let shift = "KMGTPE".find(unit).map(|at| (at + 1) * 10);
    // An E at the end of a hexadecimal number is a digit.
    let hexadecimal = text.strip_prefix("0x").or(text.strip_prefix("0X"));
    let shift = shift.filter(|_| !(hexadecimal.is_some() && unit == 'E'));
    let digits = |text: &str| match shift {
        Some(_) => text.get(..text.len() - 1).map(str::to_owned),
        None => Some(text.to_owned()),
    };
    let value = match hexadecimal {
        Some(rest) => u64::from_str_radix(&digits(rest)?, 16),
        None if text.len() > 1 && text.starts_with('0') => u64::from_str_radix(&digits(text)?, 8),
        None => digits(text)?.parse(),
    };
    let shift = u32::try_from(shift.unwrap_or(0)).ok()?;
    value.ok()?.checked_mul(1u64.checked_shl(shift)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iomem::parse;

    fn find(cmdline: &str, size: u64) -> Result<Option<Range<u64>>> {
        let map = "00100000-3fffffff : System RAM\n\
                   40000000-5fffffff : Reserved\n\
                   70100000-700fffff0 : Reserved\n";
        reserved_at_boot(cmdline, &parse(map).unwrap(), size)
    }

    #[test]
    fn numbers_have_units_and_bases() {
        assert_eq!(number("512M"), Some(512 << 20));
        assert_eq!(number("1g"), Some(1 << 30));
        assert_eq!(number("0x40000000"), Some(0x4000_0000));
        assert_eq!(number("0x1E"), Some(0x1e));
        assert_eq!(number("0x10K"), Some(0x4000));
        assert_eq!(number("010"), Some(8));
        assert_eq!(number("0"), Some(0));
        for bad in ["", "M", "x", "99999999999999999999", "99999999999G", "-1"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_reserved_range_is_verified() {
        let whole = 0x4000_0000..0x6000_0000;
        assert_eq!(
            find("quiet memmap=512M$1G ro", 512 << 20).unwrap(),
            Some(whole.clone())
        );
        let two = "memmap=1M@16M,16M$0x48100001 memmap=512M$0x40000000";
        assert_eq!(find(two, 1).unwrap(), Some(whole));
        assert_eq!(
            find("memmap=16M$0x48100000", 1).unwrap(),
            Some(0x4820_0000..0x4900_0000)
        );
        assert_eq!(find("quiet memmap=exactmap memmap=1G@0", 1).unwrap(), None);
        let text = |cmdline, size| format!("{:#}", find(cmdline, size).unwrap_err());
        assert!(text("memmap=512M$0x50000000", 1).contains("has not reserved"));
        assert!(text("memmap=512M$1G", 1 << 30).contains("1024 MiB are needed"));
        assert!(text("memmap=x$1G", 1).contains("cannot understand"));
        assert!(text("memmap=1G$0xffffffffffffffff", 1).contains("cannot understand"));
    }
}
