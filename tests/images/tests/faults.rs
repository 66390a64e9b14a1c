//! Real memory with faults in it: the walk ends, and never hands over what is not memory.
#![allow(missing_docs)]

mod common;

use std::time::{Duration, Instant};

use baton_guest::content::Rng;
use baton_images::image::Image;
use baton_images::overlay::{Overlay, Recorder};
use baton_images::sink::Checker;
use common::for_each_image;
use migrator::budget::Budget;
use migrator::files::{migrate_files, Summary};
use migrator::memory::ForeignMemory;
use migrator::view::View;

/// Runs a file system: how many faulty memories are tried.
const RUNS: [(&str, u32); 2] = [("/small", 400), ("/", 40)];
/// A walk of real memory takes milliseconds; one that takes this long does not end.
const LIMIT: Duration = Duration::from_secs(30);
/// Most faults in one memory.
const FAULTS: u64 = 24;

fn walk<M: ForeignMemory>(
    image: &Image,
    memory: &M,
    mount: &str,
    sink: &mut Checker<'_>,
) -> Result<Summary, migrator::error::Error> {
    let descriptor = image.descriptor().unwrap();
    let view = View::new(memory, descriptor);
    let budget = Budget::for_memory_of(&descriptor);
    migrate_files(&view, image.filesystem(mount).unwrap(), sink, &budget)
}

/// A fault: bits flipped, bytes replaced, or a word that looks like a pointer to elsewhere.
fn inject<M: ForeignMemory>(
    memory: &mut Overlay<'_, M>,
    reads: &[(u64, u32)],
    rng: &mut Rng,
) -> Option<()> {
    let (start, len) = *reads.get(rng.index(reads.len()))?;
    let at = start + rng.below(u64::from(len));
    let byte = |memory: &Overlay<'_, M>, at| {
        let at = migrator::address::PhysAddr::new(at);
        memory.read_u8(at).ok()
    };
    match rng.below(4) {
        0 => {
            let old = byte(memory, at)?;
            memory.set(at, old ^ (1 << rng.below(8)));
        }
        1 => memory.set(at, rng.next_u64().to_le_bytes()[0]),
        2 => memory.set(at, [0, 0xff, 0x80, 1][rng.index(4)]),
        // A word of another object, where this one has a word: pointers that are valid.
        _ => {
            let (other, len) = *reads.get(rng.index(reads.len()))?;
            let from = (other + rng.below(u64::from(len))) & !7;
            for within in 0..8 {
                let value = byte(memory, from + within)?;
                memory.set((at & !7) + within, value);
            }
        }
    }
    Some(())
}

#[test]
fn faulty_memory_costs_files_and_never_more() {
    for_each_image("faulty_memory_costs_files_and_never_more", |image| {
        for (mount, runs) in RUNS {
            let recorder = Recorder::new(&image.memory);
            let mut sink = Checker::new(&image.memory);
            let whole = walk(image, &recorder, mount, &mut sink).unwrap();
            assert_eq!((sink.outside, sink.lost), (0, 0));
            let reads = recorder.into_reads();
            let (mut unharmed, mut harmed, mut refused) = (0, 0, 0);
            let mut slowest = Duration::ZERO;
            for seed in 0..runs {
                let mut rng = Rng::new(0xba70, seed);
                let mut memory = Overlay::new(&image.memory);
                for _ in 0..=rng.below(FAULTS) {
                    // One that lands outside of memory is no fault.
                    let _ = inject(&mut memory, &reads, &mut rng);
                }
                let mut sink = Checker::new(&image.memory);
                let since = Instant::now();
                let result = walk(image, &memory, mount, &mut sink);
                slowest = slowest.max(since.elapsed());
                assert!(slowest < LIMIT, "{} {mount} seed {seed}", image.release);
                assert_eq!(sink.outside, 0, "{} {mount} seed {seed}", image.release);
                match result {
                    Ok(summary) => {
                        assert_eq!(summary.lost, sink.lost, "seed {seed}: {summary:?}");
                        assert_eq!(summary.files, sink.files, "seed {seed}: {summary:?}");
                        match summary == whole {
                            true => unharmed += 1,
                            false => harmed += 1,
                        }
                    }
                    Err(_) => refused += 1,
                }
            }
            println!(
                "  {mount}: {runs} faulty memories of {} read places: {unharmed} without effect, \
                 {harmed} with lost or other files, {refused} refused; slowest {slowest:?}",
                reads.len()
            );
            assert!(harmed > 0, "no fault had an effect");
        }
    });
}

#[test]
fn memory_that_ends_early_is_an_error() {
    /// Memory that cannot be read from an address on.
    struct Short<'a, M>(&'a M, u64);

    impl<M: ForeignMemory> ForeignMemory for Short<'_, M> {
        fn read(
            &self,
            at: migrator::address::PhysAddr,
            buf: &mut [u8],
        ) -> Result<(), migrator::memory::OutOfRange> {
            if at.raw() >= self.1 {
                let len = buf.len() as u64;
                return Err(migrator::memory::OutOfRange { at, len });
            }
            self.0.read(at, buf)
        }
    }

    for_each_image("memory_that_ends_early_is_an_error", |image| {
        for mib in [0, 16, 64, 128, 256, 384, 512, 640, 768, 896, 960] {
            let mut sink = Checker::new(&image.memory);
            let memory = Short(&image.memory, mib << 20);
            let result = walk(image, &memory, "/small", &mut sink);
            assert!(result.is_err() || sink.lost + sink.files > 0, "{mib} MiB");
            assert_eq!(sink.outside, 0);
        }
    });
}
