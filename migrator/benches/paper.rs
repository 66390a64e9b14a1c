//! How long the migration takes that the paper measured (its figure 6), beside its figures and a
//! `memcpy` of the same bytes in the same run. The last line is `ratio N`: the slowest of the
//! three updates with the most cache, in units of that `memcpy`.
//!
//! The images are synthetic, with the structures of the paper's kernels: single pages, each
//! described by its own entry in a radix tree, in runs of two frames. The sink copies what it is
//! given to a buffer. The paper's kernels also hung the pages into the trees of the 2nd OS; Baton
//! writes to files instead, which is not part of this. "Its frames" is a copy of the same frames
//! without the walk: a `memcpy` of many MiB in one piece may pass the caches by, and copies of
//! single frames do not. All memory was touched before; the three take turns, and of each the
//! fastest counts, for the rest is what else the host did.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use common::builder::World;
use common::paper::{figure, first, PATTERNS, SIZES};
use common::FakeMemory;
use migrator::budget::Budget;
use migrator::files::{
    migrate_files, FileInfo, FileSummary, LostFile, Reason, Segment, Sink, SinkError,
};

/// How often each is measured.
const ROUNDS: u32 = 15;

/// Copies what it is given, one after the other.
struct CopySink<'a> {
    from: &'a FakeMemory,
    to: &'a mut [u8],
    at: usize,
    segments: &'a mut Vec<Segment>,
}

impl Sink for CopySink<'_> {
    fn begin_file(&mut self, _: &FileInfo<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn write(&mut self, _: u64, segments: &[Segment]) -> Result<(), SinkError> {
        self.at = copy(self.from, segments, self.to, self.at);
        self.segments.extend(segments);
        Ok(())
    }

    fn end_file(&mut self, _: &FileSummary) -> Result<(), SinkError> {
        Ok(())
    }

    fn lost(&mut self, file: &LostFile<'_>, reason: Reason) {
        panic!("{:?} is lost: {reason:?}", file.ino);
    }
}

/// Copies `segments` behind the first `at` bytes of `to`, and says how many there are then.
fn copy(from: &FakeMemory, segments: &[Segment], to: &mut [u8], mut at: usize) -> usize {
    for segment in segments {
        let len = segment.len as usize;
        to[at..at + len].copy_from_slice(from.bytes(segment.pa.raw(), len));
        at += len;
    }
    at
}

/// Times of the migration of `bytes` out of `w`, of a copy of its frames, and of a `memcpy`.
fn measure(w: &World, bytes: usize) -> [Duration; 3] {
    let (mut from, mut to) = (vec![1_u8; bytes], vec![1_u8; bytes]);
    let mut segments = Vec::with_capacity(bytes >> 12);
    let mut times = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        // A view remembers translations: a migration begins without any.
        segments.clear();
        w.view(|view| {
            let budget = Budget::for_memory_of(view.descriptor());
            let mut sink = CopySink {
                from: &w.memory,
                to: &mut to,
                at: 0,
                segments: &mut segments,
            };
            let since = Instant::now();
            migrate_files(view, &w.entry(false), &mut sink, &budget).unwrap();
            times[0] = times[0].min(since.elapsed());
            assert_eq!(sink.at, bytes);
        });
        // The very same bytes for the others.
        from.copy_from_slice(&to);
        let since = Instant::now();
        assert_eq!(copy(&w.memory, &segments, &mut to, 0), bytes);
        black_box(&mut to);
        times[1] = times[1].min(since.elapsed());
        let since = Instant::now();
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
        times[2] = times[2].min(since.elapsed());
    }
    times
}

fn main() {
    if cfg!(debug_assertions) {
        println!("a debug build says nothing about speed: cargo xtask bench paper");
        return;
    }
    let mut slowest = 0.0_f64;
    for (from, to) in PATTERNS {
        println!("{} to {}", from.name(), to.name());
        for mib in SIZES {
            let w = first(from, mib);
            let [migrate, frames, memcpy] =
                measure(&w, (mib << 20) as usize).map(|time| time.as_secs_f64() * 1e3);
            let ratio = migrate / memcpy;
            println!(
                "  {mib:>4} MiB: migrate {migrate:>7.3} ms, paper {:>3.0} ms, its frames {frames:>7.3} ms, \
                 memcpy {memcpy:>7.3} ms, ratio {ratio:.2}",
                figure(mib)
            );
            if Some(&mib) == SIZES.last() {
                slowest = slowest.max(ratio);
            }
        }
    }
    println!("ratio {slowest:.2}");
}
