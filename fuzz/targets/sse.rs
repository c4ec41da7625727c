//! Event streams: any bytes, cut anywhere, give the same events and never panic; joining them neither.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    openai::fuzz::sse(bytes);
    openai::fuzz::assemble(bytes);
});
