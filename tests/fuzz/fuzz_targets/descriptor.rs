//! See [`baton_fuzz::descriptor`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| baton_fuzz::descriptor::run(data));
