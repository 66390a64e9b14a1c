//! See [`baton_fuzz::text_files`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| baton_fuzz::text_files::run(data));
