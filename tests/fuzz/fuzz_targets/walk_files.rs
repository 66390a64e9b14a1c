//! See [`baton_fuzz::walk_files`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| baton_fuzz::walk_files::run(data));
