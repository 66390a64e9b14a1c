//! The migrator over a kernel whose memory was changed in up to 64 places.
//!
//! Rules: an unchanged kernel gives every file; the sink gets files one after the other, in ascending runs, of memory that is there; the
//! number of reads is bounded by the size of the memory.

use crate::world::{Kernel, Watcher, WORLDS};
use crate::Input;
use migrator::address::ForeignVa;
use migrator::budget::Budget;
use migrator::descriptor::Descriptor;
use migrator::files::{inspect_inode, migrate_files};
use migrator::view::View;

/// Reads that a walk over so small a world may take, broken or not.
const MOST_READS: u64 = 1_000_000;

thread_local! {
    static KERNELS: Vec<Kernel> = (0..WORLDS).map(Kernel::new).collect();
}

/// Runs the target.
pub fn run(data: &[u8]) {
    KERNELS.with(|kernels| {
        let mut input = Input(data);
        let choice = input.u8();
        let kernel = &kernels[usize::from(choice >> 1) % kernels.len()];
        let memory = kernel.changed(&mut input);
        let descriptor = Descriptor::new(kernel.page()).expect("the builder's table is sound");
        let view = View::new(&memory, descriptor);
        let budget = Budget::for_memory_of(view.descriptor());
        let mut sink = Watcher::new();
        let result = migrate_files(&view, &kernel.entry(choice & 1 != 0), &mut sink, &budget);
        assert!(result.is_err() || sink.is_idle(), "a file is still open");
        if memory.is_whole() {
            assert_eq!(
                sink.ended, 4,
                "an unchanged kernel gives all its files: {result:?}"
            );
        }
        let _ = inspect_inode(&view, ForeignVa::new(kernel.inode));
        let reads = memory.reads.get();
        assert!(reads < MOST_READS, "{reads} reads");
    });
}
