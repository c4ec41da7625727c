//! The table of figures, each beside its ratio to nginx.

use std::time::Duration;

use super::load::Sample;

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

fn row(sample: &Sample, nginx: &Sample) -> String {
    let cells = [
        count(sample.requests_per_second, nginx.requests_per_second),
        time(sample.path_per_request, nginx.path_per_request),
        time(sample.cpu_per_request, nginx.cpu_per_request),
        time(sample.latency_p50, nginx.latency_p50),
        time(sample.latency_p99, nginx.latency_p99),
        time(sample.first_byte_p50, nginx.first_byte_p50),
        count(sample.chunks_per_second, nginx.chunks_per_second),
        time(sample.path_per_chunk, nginx.path_per_chunk),
        time(sample.cpu_per_chunk, nginx.cpu_per_chunk),
        format!("{:.0} MiB", sample.memory_bytes as f64 / f64::from(1 << 20)),
        format!("{:.1} KiB", sample.memory_per_stream_bytes as f64 / 1024.0),
    ];
    format!("| {} | {} |\n", sample.name, cells.join(" | "))
}

fn count(value: f64, nginx: f64) -> String {
    format!("{value:.0} ({:.2}×)", value / nginx)
}

fn time(value: Duration, nginx: Duration) -> String {
    let micros = value.as_secs_f64() * 1e6;
    let ratio = value.as_secs_f64() / nginx.as_secs_f64().max(1e-9);
    if micros < 1_000.0 {
        format!("{micros:.1} µs ({ratio:.2}×)")
    } else {
        format!("{:.2} ms ({ratio:.2}×)", micros / 1_000.0)
    }
}
