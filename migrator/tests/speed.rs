//! What a page costs beside its copy. Run with `--release -- --ignored --nocapture`.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]

mod common;

use std::time::Instant;

use common::builder::{World, DIRTY};
use handoff_abi::descriptor::ConstantId;
use migrator::budget::Budget;
use migrator::files::{
    migrate_files, FileInfo, FileSummary, LostFile, Reason, Segment, Sink, SinkError,
};

/// Counts only.
struct Null(u64);

impl Sink for Null {
    fn begin_file(&mut self, _: &FileInfo<'_>) -> Result<(), SinkError> {
        Ok(())
    }
    fn write(&mut self, _: u64, segments: &[Segment]) -> Result<(), SinkError> {
        self.0 += segments.iter().map(|s| u64::from(s.len)).sum::<u64>();
        Ok(())
    }
    fn end_file(&mut self, _: &FileSummary) -> Result<(), SinkError> {
        Ok(())
    }
    fn lost(&mut self, _: &LostFile<'_>, reason: Reason) {
        panic!("{reason:?}");
    }
}

#[test]
#[ignore = "measures time"]
fn cost_of_a_page() {
    const PAGES: u64 = 3000;
    let mut w = World::new(4);
    let flags: &[ConstantId] = &[ConstantId::PG_UPTODATE, ConstantId::PG_DIRTY];
    let list: Vec<_> = (0..PAGES).map(|i| (i, flags, DIRTY)).collect();
    w.file(5, 1 << 40, &list);
    w.view(|view| {
        let budget = Budget::for_memory_of(view.descriptor());
        let entry = w.entry(false);
        let rounds = 200;
        let mut sink = Null(0);
        let start = Instant::now();
        for _ in 0..rounds {
            migrate_files(view, &entry, &mut sink, &budget).unwrap();
        }
        let walk = start.elapsed().as_nanos() / u128::from(rounds * PAGES);
        assert_eq!(sink.0, rounds * PAGES * 4096);
        let mut copy = vec![1_u8; (PAGES * 4096) as usize];
        let start = Instant::now();
        for _ in 0..20 {
            copy.copy_from_slice(std::hint::black_box(
                w.memory.bytes(12 << 20, (PAGES * 4096) as usize),
            ));
            std::hint::black_box(&mut copy);
        }
        let copied = start.elapsed().as_nanos() / u128::from(20 * PAGES);
        println!("walk {walk} ns a page, memcpy {copied} ns a page");
    });
}
