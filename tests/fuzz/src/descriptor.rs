//! The offset table: any bytes, or a sound one with changes.
//!
//! Rules: a table that is accepted has every required member, of a kind and size that is allowed;
//! a walk by it stays bounded.

use crate::world::{Kernel, Watcher};
use crate::Input;
use handoff_abi::descriptor::{DescriptorPage, Kind, MemberId, MEMBERS};
use migrator::budget::Budget;
use migrator::descriptor::Descriptor;
use migrator::files::migrate_files;
use migrator::view::View;
use zerocopy::IntoBytes;

/// Reads that a walk over so small a world may take, whatever the offsets are.
const MOST_READS: u64 = 4_000_000;

thread_local! {
    static KERNELS: Vec<Kernel> = (0..3).map(Kernel::new).collect();
}

/// Runs the target.
pub fn run(data: &[u8]) {
    KERNELS.with(|kernels| {
        let mut input = Input(data);
        let choice = usize::from(input.u8());
        let kernel = &kernels[choice % kernels.len()];
        if choice & 0x80 != 0 {
            let mut page = Box::new(DescriptorPage::ZERO);
            let len = input.0.len().min(size_of::<DescriptorPage>());
            page.as_mut_bytes()[..len].copy_from_slice(&input.0[..len]);
            check(&page, kernel);
            return;
        }
        let mut page = Box::new(*kernel.page());
        for _ in 0..32 {
            if input.is_empty() {
                break;
            }
            let at = usize::from(input.u16()) % size_of::<DescriptorPage>();
            page.as_mut_bytes()[at] = input.u8();
        }
        check(&page, kernel);
    });
}

fn check(page: &DescriptorPage, kernel: &Kernel) {
    let descriptor = match Descriptor::new(page) {
        Ok(descriptor) => descriptor,
        Err(error) => {
            // The words for the operator can be made.
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    for (number, spec) in (0u16..).zip(&MEMBERS) {
        let id = MemberId(number);
        let Some(member) = descriptor.member(id) else {
            assert!(!spec.required, "{}.{}", spec.structure, spec.path());
            continue;
        };
        assert!(spec.kinds.contains(&Kind(member.kind)));
        assert!(spec.sizes.is_empty() || spec.sizes.contains(&member.size));
        assert_eq!(descriptor.offset_of(id), Some(u64::from(member.offset)));
        assert!(descriptor.has(id) && descriptor.size_of(id).is_some());
    }
    assert!(descriptor.member(MemberId(u16::MAX)).is_none());
    let _ = (descriptor.page_tree_shape(), descriptor.order_shape());
    let _ = (descriptor.time_shape(), descriptor.address_space());
    let memory = kernel.changed(&mut Input(&[]));
    let view = View::new(&memory, descriptor);
    let budget = Budget::for_memory_of(view.descriptor());
    let _ = migrate_files(&view, &kernel.entry(true), &mut Watcher::new(), &budget);
    let reads = memory.reads.get();
    assert!(reads < MOST_READS, "{reads} reads");
}
