#!/usr/bin/env bash
# Fuzzes one target for some seconds: fuzz/run.sh TARGET [SECONDS]. Needs a C++ compiler.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=${1:?"one of sse, ledger, kql, identify"}
seconds=${2:-60}
# What cargo-fuzz passes, with the flags that stable Rust knows.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1"
host=$(rustc -vV | sed -n 's/^host: //p')
# With --target, build scripts and macros are built without the flags.
cargo build --release --manifest-path "$here/Cargo.toml" --target "$host" --bin "$target"
mkdir -p "$here/corpus/$target"
folder=${CARGO_TARGET_DIR:-$here/target}
"$folder/$host/release/$target" "$here/corpus/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048
