//! A file that the operator says is a kernel.
//!
//! Rules: the ranges that come out are inside the file, in order, and what comes out can be laid
//! out in a partition or is refused.

use baton::bzimage::{parse, BzImage};
use partition::{boot_params, Image, Layout};

const BASE: u64 = 0x4000_0000;
const SIZE: u64 = 8 << 20;
const LOW: u64 = 0x2_0000;

/// Runs the target.
pub fn run(data: &[u8]) {
    let image = match parse(data) {
        Ok(image) => image,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    for range in [&image.setup_header, &image.image, &image.payload] {
        assert!(
            range.start <= range.end && range.end <= data.len(),
            "{range:?}"
        );
    }
    assert!(image.payload.start >= image.image.start && image.payload.end <= image.image.end);
    assert!(image.kernel_alignment.is_power_of_two());
    assert!(!image.release.is_empty() && !image.release.contains(['/', '\0', ' ']));
    lay_out(data, &image);
}

fn lay_out(data: &[u8], image: &BzImage) {
    let alignment = image.kernel_alignment;
    let Ok(layout) = Layout::new(BASE, SIZE, LOW, alignment, image.init_size, 4096) else {
        return;
    };
    assert!(layout.kernel >= BASE && layout.kernel.is_multiple_of(alignment));
    assert!(layout.kernel + image.init_size <= layout.initrd);
    // Only the tail is written to: what is before it is not needed for that.
    let mut tail = vec![0xffu8; (layout.end() - layout.region) as usize];
    let mut low = [0u8; 0];
    let mut memory = Image::new(layout.region, &mut tail, LOW, &mut low);
    let header = &data[image.setup_header.clone()];
    boot_params::write(&mut memory, &layout, header, "quiet", &[]).expect("there is room");
    let entries = layout.boot_params + 0x1e8;
    assert_eq!(memory.bytes_at(entries, 1), Ok(&mut [6u8][..]));
}
