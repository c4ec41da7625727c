//! Many streams open at once: what they cost while they are open, and that a reload cuts none.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};

use super::load::{Load, request};
use super::process::Process;
use crate::shell;

/// Tokens of each answer, and how the simulator spreads them: the last streams have begun long before
/// the first end.
const TOKENS: u32 = 40;
const PACE: &str = "x-sim-fault: drip=200/1500\r\n";
/// Threads that open streams.
const OPENERS: usize = 16;
/// How long the open streams are watched.
const WATCHED: Duration = Duration::from_secs(10);
/// Longest wait for one more piece of a stream.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was seen of them.
pub(crate) struct Crowd {
    streams: usize,
    memory_before: u64,
    memory_open: u64,
    /// Part of a core, while all are open.
    load: f64,
    whole: usize,
}

/// Opens the streams, watches, reloads, and reads each to its end.
pub(crate) fn measure(
    load: &Load<'_>,
    port: u16,
    process: &Process,
    config: &Path,
    streams: usize,
) -> anyhow::Result<Crowd> {
    // Each takes two sockets of the gateway; some files are its own.
    let streams = streams.min(process.files_max()?.saturating_sub(128) / 2);
    shell::say(&format!("holding {streams} streams open"));
    // Each stream is a socket of ours.
    let wanted = format!("--nofile={}", streams + 1024);
    let _ =
        Command::new("prlimit").args(["--pid", &std::process::id().to_string(), &wanted]).status();
    let memory_before = process.memory_bytes()?;
    let text = request(load.key, TOKENS, PACE, true);
    let open = begin_all(port, &text, streams)?;
    let (before, began) = (process.times()?, Instant::now());
    std::thread::sleep(WATCHED);
    let busy = process.times()?.since(before).all;
    let share = busy.as_secs_f64() / began.elapsed().as_secs_f64();
    let memory_open = process.memory_bytes()?;
    let text = fs::read_to_string(config)?;
    fs::write(config, text + "\ncapture:\n  drain_ms_max: 20000\n")?;
    process.signal("HUP")?;
    let whole =
        open.into_iter().filter_map(|stream| is_whole(stream).ok()).filter(|is| *is).count();
    Ok(Crowd { streams, memory_before, memory_open, load: share, whole })
}

/// Several at a time, so that the last has begun before the first ends.
fn begin_all(port: u16, text: &str, streams: usize) -> anyhow::Result<Vec<TcpStream>> {
    let some = |first: usize| {
        let numbers = (first..streams).step_by(OPENERS);
        let begun = numbers.map(|number| {
            begin(port, text).with_context(|| format!("stream {number} of {streams}"))
        });
        begun.collect::<anyhow::Result<Vec<_>>>()
    };
    std::thread::scope(|scope| {
        let openers: Vec<_> = (0..OPENERS).map(|first| scope.spawn(move || some(first))).collect();
        let mut open = Vec::with_capacity(streams);
        for opener in openers {
            open.extend(opener.join().map_err(|_| anyhow!("a thread that opens streams died"))??);
        }
        Ok(open)
    })
}

fn begin(port: u16, text: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context(
        "cannot connect: `ulimit -n` may be too low for so many streams, see `--streams`",
    )?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(text.as_bytes())?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    ensure!(&head == b"HTTP/1.1 200", "answered {}", String::from_utf8_lossy(&head));
    Ok(stream)
}

/// Reads to the end; true if the end was the one the model sent.
fn is_whole(mut stream: TcpStream) -> anyhow::Result<bool> {
    let mut tail = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let read = stream.read(&mut buffer)?;
        tail.extend_from_slice(&buffer[..read]);
        if tail.ends_with(b"\r\n0\r\n\r\n") {
            return Ok(tail.windows(12).any(|text| text == b"data: [DONE]"));
        }
        if read == 0 {
            return Ok(false);
        }
        tail.drain(..tail.len().saturating_sub(256));
    }
}

impl Crowd {
    /// One line of Markdown.
    pub(crate) fn line(&self) -> String {
        let growth = self.memory_open.saturating_sub(self.memory_before);
        format!(
            "{} streams open at once: {:.1} KiB each ({:.0} MiB in all, {:.0} MiB before), {:.0} % of a core \
             with a piece every 1.5 s; {} ended whole after a reload.\n",
            self.streams,
            growth as f64 / self.streams as f64 / 1024.0,
            self.memory_open as f64 / f64::from(1 << 20),
            self.memory_before as f64 / f64::from(1 << 20),
            self.load * 100.0,
            self.whole,
        )
    }

    /// Every stream came to its end.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.whole == self.streams,
            "{} of {} streams were cut",
            self.streams - self.whole,
            self.streams
        );
        Ok(())
    }
}
