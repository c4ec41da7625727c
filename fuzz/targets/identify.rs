//! Requests: any method, path, query and body is identified and looked into without panic.
#![no_main]

use std::sync::LazyLock;

use openai::Catalogue;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::builtin);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    openai::fuzz::identify(&CATALOGUE, bytes);
    openai::fuzz::peek(bytes);
});
