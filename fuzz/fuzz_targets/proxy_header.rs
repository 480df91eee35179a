#![no_main]

#[path = "../targets/proxy_header.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::run(bytes));
