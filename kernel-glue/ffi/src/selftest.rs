//! A first call from C that goes through everything the object relies on.

use crate::errno::EINVAL;
use core::hint::black_box;

/// Logs one frame and checks that compiled Rust works in this kernel: an
/// indirect call (return thunks and branch tracking), a memory copy (the
/// kernel's own), a 128-bit division (compiler_builtins).
///
/// Returns 0, or `-EINVAL` if a result is wrong.
#[no_mangle]
pub extern "C" fn baton_ffi_selftest(seed: u32) -> i32 {
    let indirect: fn(u32) -> u32 = black_box(rotate);
    let rotated = indirect(seed);

    let original = black_box([seed; 32]);
    let mut copy = [0u32; 32];
    copy.copy_from_slice(black_box(&original));

    let wide = black_box((u128::from(seed) << 64) | 7);
    let divisor = black_box(1u128 << 64);
    let (quotient, rest) = (black_box(wide / divisor), black_box(wide % divisor));

    let good = rotated == seed.rotate_left(7)
        && black_box(&copy) == &original
        && (quotient, rest) == (u128::from(seed), 7);
    defmt::info!("selftest seed={=u32:#x} good={=bool}", seed, good);
    if good {
        0
    } else {
        -EINVAL
    }
}

#[inline(never)]
fn rotate(value: u32) -> u32 {
    value.rotate_left(7)
}
