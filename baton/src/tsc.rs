//! How fast the time stamp counter runs.
//!
//! The 2nd OS has no other clock, and is told the frequency. What this kernel believes of it was
//! found within milliseconds of its boot, in which a virtual machine may stand still; a kernel that
//! then found another clock better goes on with the wrong value and does not notice. So it is
//! measured again, over the seconds that a load takes anyway.

use crate::device::Device;
use anyhow::Result;
use std::time::{Duration, Instant};

/// Readings of which the one that took least time counts.
const READINGS: usize = 16;
/// Below this distance from the measured frequency, in parts, what the kernel believes is taken for
/// the more precise value.
const TOLERANCE: f64 = 1.0 / 1000.0;

/// The counter at an instant.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    tsc: u64,
    at: Instant,
    /// The instant may be later by this.
    within: Duration,
}

impl Reading {
    /// Reads it.
    ///
    /// # Errors
    /// The module does not answer.
    pub fn take(device: &Device) -> Result<Self> {
        let read = || -> Result<Self> {
            let at = Instant::now();
            let tsc = device.info()?.tsc;
            Ok(Self {
                tsc,
                at,
                within: at.elapsed(),
            })
        };
        let mut best = read()?;
        for _ in 1..READINGS {
            let next = read()?;
            if next.within < best.within {
                best = next;
            }
        }
        Ok(best)
    }

    /// Frequency in kHz from this reading to a later one: `believed`, unless that is out of the
    /// question.
    #[must_use]
    pub fn khz_until(&self, later: &Self, believed: u64) -> u64 {
        let seconds = later.at.saturating_duration_since(self.at).as_secs_f64();
        let ticks = later.tsc.saturating_sub(self.tsc) as f64;
        let unsure = (self.within + later.within).as_secs_f64();
        if seconds <= unsure {
            return believed;
        }
        let measured = ticks / seconds / 1000.0;
        let allowed = measured * (TOLERANCE + unsure / seconds);
        match (measured - believed as f64).abs() <= allowed {
            true => believed,
            false => measured.round() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(khz: u64, millis: u64, unsure: Duration) -> (Reading, Reading) {
        let at = Instant::now();
        let first = Reading {
            tsc: 5_000,
            at,
            within: unsure,
        };
        let later = Reading {
            tsc: 5_000 + khz * millis,
            at: at + Duration::from_millis(millis),
            within: unsure,
        };
        (first, later)
    }

    #[test]
    fn a_kernel_that_is_nearly_right_is_believed() {
        let (first, later) = readings(2_300_000, 3000, Duration::from_micros(100));
        assert_eq!(first.khz_until(&later, 2_300_023), 2_300_023);
        assert_eq!(first.khz_until(&later, 2_298_000), 2_298_000);
    }

    #[test]
    fn a_kernel_that_was_stopped_when_it_measured_is_not() {
        let (first, later) = readings(2_300_000, 3000, Duration::from_micros(100));
        assert_eq!(first.khz_until(&later, 134_217), 2_300_000);
        assert_eq!(first.khz_until(&later, 2_400_000), 2_300_000);
        assert_eq!(first.khz_until(&later, 0), 2_300_000);
    }

    #[test]
    fn a_measurement_is_worth_what_it_took() {
        // Half of the time is unsure.
        let (first, later) = readings(2_300_000, 1000, Duration::from_millis(250));
        assert_eq!(first.khz_until(&later, 2_000_000), 2_000_000);
        let (first, later) = readings(2_300_000, 0, Duration::from_millis(1));
        assert_eq!(first.khz_until(&later, 1), 1);
    }
}
