//! The same number of calls a second for every proxy. One that is kept busy is spared what every call
//! costs elsewhere: to be woken for it, with caches that hold other things.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};

use super::load::{CONNECTIONS, Load, connect, request};
use super::process::{Cost, Process};

/// Calls a second.
pub(crate) const RATES: [u32; 3] = [500, 2_000, 4_000];
/// Streams open at once, the pieces of each, and how long between two of them.
const STREAMS: u32 = 200;
const PIECE_BYTES: u64 = 460;
const PIECE_EVERY: Duration = Duration::from_millis(50);
/// Pieces a second.
pub(crate) const PIECE_RATE: u32 = STREAMS * 20;
/// What a piece is wrapped in on its way: its length and two line ends.
const CHUNK_BYTES: u64 = 7;
/// Less than this part of the rate, and the figures would be of another rate.
const KEPT_MIN: f64 = 0.95;

/// None where the proxy does not keep the rate.
pub(crate) struct Paced {
    /// At each of [`RATES`].
    pub(crate) calls: Vec<Option<Cost>>,
    pub(crate) piece: Option<Cost>,
}

/// Drives one proxy at each rate.
pub(crate) fn measure(load: &Load<'_>, port: u16, process: &Process) -> anyhow::Result<Paced> {
    let calls = RATES.iter().map(|rate| calls(load, port, process, *rate));
    Ok(Paced { calls: calls.collect::<Result<_, _>>()?, piece: pieces(load, port, process)? })
}

/// Unary calls at this rate, evenly spread over the connections.
fn calls(load: &Load<'_>, port: u16, process: &Process, rate: u32) -> anyhow::Result<Option<Cost>> {
    let request = request(load.key, 100, "", false);
    process.settle()?;
    let before = process.times()?;
    let start = Instant::now();
    let made = on_threads(CONNECTIONS, |number| {
        let mut stream = connect(port)?;
        let mut due = start + Duration::from_secs(1) * number / rate;
        let mut made = 0;
        while due < start + load.seconds {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            stream.write_all(request.as_bytes())?;
            read_answer(&mut stream)?;
            made += 1;
            due += Duration::from_secs(1) * CONNECTIONS / rate;
        }
        Ok(made)
    })?;
    let is_kept = made as f64 >= KEPT_MIN * f64::from(rate) * start.elapsed().as_secs_f64();
    Ok(is_kept.then_some(process.times()?.since(before).each(made)))
}

/// Pieces of many streams, each of which brings one now and then as a model does.
fn pieces(load: &Load<'_>, port: u16, process: &Process) -> anyhow::Result<Option<Cost>> {
    let pace = format!("x-sim-fault: drip={PIECE_BYTES}/{}\r\n", PIECE_EVERY.as_millis());
    let request = request(load.key, 2_000, &pace, true);
    process.settle()?;
    let open = |_| {
        let mut stream = connect(port)?;
        stream.write_all(request.as_bytes())?;
        ensure!(stream.read(&mut [0; 512])? > 0, "a stream did not begin");
        Ok(stream)
    };
    let mut streams = (0..STREAMS).map(open).collect::<anyhow::Result<Vec<_>>>()?;
    let before = process.times()?;
    let start = Instant::now();
    let readers = streams.iter_mut().map(|stream| {
        move || {
            let mut buffer = [0; 4 << 10];
            let mut bytes = 0;
            while start.elapsed() < load.seconds {
                let read = stream.read(&mut buffer)?;
                ensure!(read > 0, "a stream ended before it was to");
                bytes += read as u64;
            }
            Ok(bytes)
        }
    });
    let bytes = sum(readers.collect())?;
    let pieces = bytes / (PIECE_BYTES + CHUNK_BYTES);
    let is_kept = pieces as f64 >= KEPT_MIN * f64::from(PIECE_RATE) * start.elapsed().as_secs_f64();
    Ok(is_kept.then_some(process.times()?.since(before).each(pieces)))
}

/// Reads one answer to its end.
fn read_answer(stream: &mut impl Read) -> anyhow::Result<()> {
    let mut answer = Vec::with_capacity(8 << 10);
    let mut buffer = [0; 8 << 10];
    loop {
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "the connection ended inside an answer");
        answer.extend_from_slice(&buffer[..read]);
        if is_whole(&answer)? {
            return Ok(());
        }
    }
}

fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(false);
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    ensure!(head.starts_with("http/1.1 200"), "a call was answered with {head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    match length {
        Some(length) => Ok(answer.len() >= end + 4 + length.trim().parse::<usize>()?),
        None => Ok(answer.ends_with(b"0\r\n\r\n")),
    }
}

fn on_threads(count: u32, work: impl Fn(u32) -> anyhow::Result<u64> + Sync) -> anyhow::Result<u64> {
    let work = &work;
    sum((0..count).map(|number| move || work(number)).collect())
}

/// Runs each on a thread of its own, and adds up what they answer.
fn sum<W: FnOnce() -> anyhow::Result<u64> + Send>(works: Vec<W>) -> anyhow::Result<u64> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = works.into_iter().map(|work| scope.spawn(work)).collect();
        let results = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a thread died"))?);
        results.sum()
    })
}
