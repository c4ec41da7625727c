//! The table of figures, each beside its ratio to nginx.

use std::time::Duration;

use super::paced::{PIECE_RATE, RATES};
use super::process::Cost;
use super::sample::Sample;

/// Markdown; the second sample is nginx, the measure of all.
pub(crate) fn table(samples: &[Sample]) -> String {
    let mut text = String::from(
        "| | requests/s | CPU per request, request path | CPU per request, all | p50 alone | p99 alone | first byte p50 | stream pieces/s | CPU per piece, request path | CPU per piece, all | memory | memory per open stream |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let Some(nginx) = samples.get(1) else { return text };
    for sample in samples {
        text.push_str(&row(sample, nginx));
    }
    text
}

/// What a call and a piece cost at the same rate for every proxy.
pub(crate) fn paced(samples: &[Sample]) -> String {
    let mut names: Vec<String> =
        RATES.iter().map(|rate| format!("CPU per request at {rate}/s")).collect();
    names.push(format!("CPU per piece at {PIECE_RATE}/s"));
    let names =
        names.iter().flat_map(|name| [format!("{name}, request path"), format!("{name}, all")]);
    let names: Vec<String> = names.collect();
    let mut text = format!("| | {} |\n|{}\n", names.join(" | "), "---|".repeat(names.len() + 1));
    let Some(nginx) = samples.get(1) else { return text };
    for Sample { name, paced, .. } in samples {
        let costs = paced.calls.iter().chain([&paced.piece]);
        let pairs = costs.zip(nginx.paced.calls.iter().chain([&nginx.paced.piece]));
        let cells: Vec<String> = pairs.flat_map(|(cost, nginx)| both(*cost, *nginx)).collect();
        text.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
    }
    text
}

fn both(cost: Option<Cost>, nginx: Option<Cost>) -> [String; 2] {
    match (cost, nginx) {
        (Some(cost), Some(nginx)) => [time(cost.path, nginx.path), time(cost.all, nginx.all)],
        _ => ["rate not kept".to_owned(), "rate not kept".to_owned()],
    }
}

fn row(sample: &Sample, nginx: &Sample) -> String {
    let cells = [
        count(sample.requests_per_second, nginx.requests_per_second),
        time(sample.request.path, nginx.request.path),
        time(sample.request.all, nginx.request.all),
        time(sample.latency_p50, nginx.latency_p50),
        time(sample.latency_p99, nginx.latency_p99),
        time(sample.first_byte_p50, nginx.first_byte_p50),
        count(sample.chunks_per_second, nginx.chunks_per_second),
        time(sample.chunk.path, nginx.chunk.path),
        time(sample.chunk.all, nginx.chunk.all),
        format!("{:.0} MiB", sample.memory_bytes as f64 / f64::from(1 << 20)),
        format!("{:.1} KiB", sample.memory_per_stream_bytes as f64 / 1024.0),
    ];
    format!("| {} | {} |\n", sample.name, cells.join(" | "))
}

/// A number, and its ratio to nginx's.
pub(crate) fn count(value: f64, nginx: f64) -> String {
    format!("{value:.0} ({:.2}×)", value / nginx)
}

/// A time, and its ratio to nginx's.
pub(crate) fn time(value: Duration, nginx: Duration) -> String {
    let micros = value.as_secs_f64() * 1e6;
    let ratio = value.as_secs_f64() / nginx.as_secs_f64().max(1e-9);
    if micros < 1_000.0 {
        format!("{micros:.1} µs ({ratio:.2}×)")
    } else {
        format!("{:.2} ms ({ratio:.2}×)", micros / 1_000.0)
    }
}
