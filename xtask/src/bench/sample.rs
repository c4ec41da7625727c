//! Everything that is measured of one proxy.

use std::time::Duration;

use super::load::{CONNECTIONS, Load, STREAM_TOKENS, WARM_UP, connect, first_byte, request};
use super::paced::{self, Paced};
use super::process::{Cost, Process};
use crate::shell;

/// What was measured of one proxy.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) requests_per_second: f64,
    pub(crate) request: Cost,
    pub(crate) latency_p50: Duration,
    pub(crate) latency_p99: Duration,
    pub(crate) first_byte_p50: Duration,
    pub(crate) chunks_per_second: f64,
    pub(crate) chunk: Cost,
    pub(crate) paced: Paced,
    pub(crate) memory_bytes: u64,
    pub(crate) memory_per_stream_bytes: u64,
}

/// Drives one proxy through every measurement.
pub(crate) fn measure(
    load: &Load<'_>,
    name: &str,
    port: u16,
    process: &Process,
) -> anyhow::Result<Sample> {
    shell::say(&format!("measuring {name}"));
    // The first call waits for what is loaded when it is needed first, such as a vocabulary.
    first_byte(&mut connect(port)?, &request(load.key, 20, "", true))?;
    let (whole, stream) = (load.call(false), load.call(true));
    load.wrk(port, process, &whole, CONNECTIONS, WARM_UP)?;
    let unary = load.wrk(port, process, &whole, CONNECTIONS, load.seconds)?;
    let alone = load.wrk(port, process, &whole, 1, load.seconds)?;
    let streamed = load.wrk(port, process, &stream, CONNECTIONS, load.seconds)?;
    let memory_bytes = process.memory_bytes()?;
    let chunks = streamed.requests * u64::from(STREAM_TOKENS);
    Ok(Sample {
        name: name.to_owned(),
        requests_per_second: unary.requests as f64 / unary.seconds,
        request: unary.used.each(unary.requests),
        latency_p50: alone.p50,
        latency_p99: alone.p99,
        first_byte_p50: load.first_byte(port)?,
        chunks_per_second: chunks as f64 / streamed.seconds,
        chunk: streamed.used.each(chunks),
        paced: paced::measure(load, port, process)?,
        memory_bytes,
        memory_per_stream_bytes: load.memory_per_stream(port, process)?,
    })
}
