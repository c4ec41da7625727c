//! How long appends take and how many go through, by appenders, payload and durability. On the disk
//! of `LEDGER_BENCH_DIR`, or else of the temporary folder.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use event::{Frame, InteractionId, Kind, Timestamp};
use ledger::{Durability, Ledger, LedgerConfig};

fn main() {
    divan::main();
}

const APPENDERS: [usize; 3] = [1, 16, 256];
/// Appends per appender and sample.
const APPENDS: usize = 16;
/// Different payloads, so that compression does not find the same one over and over.
const DISTINCT: u64 = 1009;

#[divan::bench(args = APPENDERS)]
fn strict_1_kib(bencher: Bencher<'_, '_>, appenders: usize) {
    run(bencher, appenders, 1 << 10, Durability::Strict);
}

#[divan::bench(args = APPENDERS)]
fn strict_16_kib(bencher: Bencher<'_, '_>, appenders: usize) {
    run(bencher, appenders, 16 << 10, Durability::Strict);
}

#[divan::bench(args = APPENDERS)]
fn overlap_1_kib(bencher: Bencher<'_, '_>, appenders: usize) {
    run(bencher, appenders, 1 << 10, Durability::Overlap);
}

#[divan::bench(args = APPENDERS)]
fn relaxed_1_kib(bencher: Bencher<'_, '_>, appenders: usize) {
    run(bencher, appenders, 1 << 10, Durability::Relaxed);
}

#[divan::bench(args = APPENDERS)]
fn relaxed_16_kib(bencher: Bencher<'_, '_>, appenders: usize) {
    run(bencher, appenders, 16 << 10, Durability::Relaxed);
}

/// Frames of 200 bytes without waiting for the disk: what the writer itself costs.
#[divan::bench(args = APPENDERS)]
fn relaxed_small(bencher: Bencher<'_, '_>, appenders: usize) {
    run(bencher, appenders, 200, Durability::Relaxed);
}

/// What compression costs: compare with `relaxed_1_kib`.
#[divan::bench(args = APPENDERS)]
fn relaxed_1_kib_uncompressed(bencher: Bencher<'_, '_>, appenders: usize) {
    let config = LedgerConfig { compress: false, ..config(Durability::Relaxed) };
    run_with(bencher, appenders, 1 << 10, config);
}

fn run(bencher: Bencher<'_, '_>, appenders: usize, payload: usize, durability: Durability) {
    run_with(bencher, appenders, payload, config(durability));
}

fn config(durability: Durability) -> LedgerConfig {
    LedgerConfig { durability, spare_segments: 4, retain_bytes: 64 << 20, ..Default::default() }
}

fn run_with(bencher: Bencher<'_, '_>, appenders: usize, payload: usize, config: LedgerConfig) {
    let at = std::env::var_os("LEDGER_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(at).expect("a folder");
    let now = || Timestamp::from(std::time::SystemTime::now());
    let (ledger, _) = Ledger::open(dir.path(), config, now).expect("it opens");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let frames: Arc<[Frame]> = (0..DISTINCT)
        .map(|seed| Frame {
            interaction: InteractionId::from_bytes([1; 16]),
            kind: Kind::ResponseChunk,
            payload: json(payload, seed).into(),
        })
        .collect();
    bencher.counter(ItemsCount::new(appenders * APPENDS)).bench_local(|| {
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for appender in 0..appenders {
                let (ledger, frames) = (ledger.clone(), Arc::clone(&frames));
                tasks.spawn(async move {
                    for step in 0..APPENDS {
                        let frame = frames[(appender * APPENDS + step) % frames.len()].clone();
                        let commit = ledger.append([frame]).await.expect("it is queued");
                        commit.durable().await.expect("it is kept");
                    }
                });
            }
            tasks.join_all().await;
        });
        ledger.release("bench", *ledger.durable().borrow());
    });
}

/// Text that compresses as bodies do: JSON with words that repeat and numbers that do not.
fn json(bytes: usize, seed: u64) -> Vec<u8> {
    let mut text = String::new();
    let mut state = seed;
    while text.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(&format!("{{\"role\":\"assistant\",\"content\":\"{state:x}\"}},"));
    }
    text.truncate(bytes);
    text.into_bytes()
}
