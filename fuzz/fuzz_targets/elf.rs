#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tarsia_fuzz::elf(data));
