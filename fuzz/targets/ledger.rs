//! Ledger files: any bytes are read without panic and without allocating beyond their size.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ledger::fuzzing::segment(bytes);
    ledger::fuzzing::body(bytes);
    ledger::fuzzing::headers(bytes);
});
