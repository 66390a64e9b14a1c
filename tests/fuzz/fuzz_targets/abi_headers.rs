//! See [`baton_fuzz::abi_headers`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| baton_fuzz::abi_headers::run(data));
