//! See [`baton_fuzz::bzimage`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| baton_fuzz::bzimage::run(data));
