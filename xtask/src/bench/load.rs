//! The load: unary and streamed chat calls through wrk, first bytes and open streams by hand.
//! A call of one kind is a [`Call`].

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::process::{Process, Times};

const PATH: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
/// Concurrent connections of the throughput runs.
pub(crate) const CONNECTIONS: u32 = 32;
/// Tokens, and so pieces, of a streamed answer.
pub(crate) const STREAM_TOKENS: u32 = 200;
/// Load before the first measure.
pub(crate) const WARM_UP: Duration = Duration::from_secs(2);
/// Calls timed one after the other for the time to the first byte.
const FIRST_BYTES: usize = 300;
/// Longest wait for the next bytes of one call.
const PATIENCE: Duration = Duration::from_secs(60);
/// Streams held open at once for the memory figure.
const OPEN_STREAMS: usize = 500;

/// How to drive a proxy.
#[derive(Clone)]
pub(crate) struct Load<'a> {
    pub(crate) core: &'static str,
    pub(crate) key: &'a str,
    pub(crate) seconds: Duration,
    pub(crate) folder: PathBuf,
}

/// What wrk sends, again and again.
pub(crate) struct Call<'a> {
    pub(crate) path: &'a str,
    /// Besides the content type.
    pub(crate) headers: Vec<(&'a str, String)>,
    pub(crate) body: String,
}

/// What came of it.
pub(crate) struct Run {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) used: Times,
}

impl Call<'_> {
    /// As a script of wrk.
    fn script(&self) -> String {
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("wrk.headers['{name}'] = '{value}'\n"))
            .collect();
        format!(
            "wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\n{headers}\
             wrk.body = [[{}]]\n\
             function done(summary, latency, requests)\n local e = summary.errors\n\
             io.write(string.format('figures %d %d %f %f %d\\n', summary.requests, summary.duration,\n\
             latency:percentile(50), latency:percentile(99),\n\
             e.connect + e.read + e.write + e.status + e.timeout))\nend\n",
            self.body
        )
    }
}

impl Load<'_> {
    /// Makes as many calls as the connections give, for so long.
    pub(crate) fn wrk(
        &self,
        port: u16,
        process: &Process,
        call: &Call<'_>,
        connections: u32,
        seconds: Duration,
    ) -> anyhow::Result<Run> {
        let script = self.folder.join("call.lua");
        fs::write(&script, call.script())?;
        let before = process.times()?;
        let mut command = Command::new("taskset");
        command.args(["-c", self.core, "wrk", "-t1", "--timeout", "30s"]);
        command.arg(format!("-c{connections}")).arg(format!("-d{}s", seconds.as_secs()));
        command.arg("-s").arg(&script).arg(format!("http://127.0.0.1:{port}{}", call.path));
        let output = command.output().context("cannot start wrk")?;
        let used = process.times()?.since(before);
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("figures "))
            .with_context(|| format!("wrk printed no figures: {text}"))?;
        let figures: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        ensure!(figures.len() == 5, "wrk printed {} figures", figures.len());
        ensure!(
            figures[4] == 0.0 && figures[0] > 0.0,
            "{} of {} calls failed",
            figures[4],
            figures[0]
        );
        let micros = |figure: f64| Duration::from_nanos((figure * 1_000.0) as u64);
        Ok(Run {
            requests: figures[0] as u64,
            seconds: figures[1] / 1e6,
            p50: micros(figures[2]),
            p99: micros(figures[3]),
            used,
        })
    }

    /// A chat call, as every measure makes it.
    pub(crate) fn call(&self, is_stream: bool) -> Call<'static> {
        let tokens = if is_stream { STREAM_TOKENS } else { 100 };
        Call {
            path: PATH,
            headers: vec![("api-key", self.key.to_owned()), ("x-sim-tokens", tokens.to_string())],
            body: body(is_stream),
        }
    }

    /// Median time from the request to the first byte of a streamed answer.
    pub(crate) fn first_byte(&self, port: u16) -> anyhow::Result<Duration> {
        let mut stream = connect(port)?;
        let mut times = Vec::with_capacity(FIRST_BYTES);
        let request = request(self.key, 20, "", true);
        for _ in 0..FIRST_BYTES {
            times.push(first_byte(&mut stream, &request)?);
        }
        times.sort_unstable();
        Ok(times[times.len() / 2])
    }

    /// Growth of resident memory for each stream held open.
    pub(crate) fn memory_per_stream(&self, port: u16, process: &Process) -> anyhow::Result<u64> {
        process.settle()?;
        let before = process.memory_bytes()?;
        let request = request(self.key, 2_000, "x-sim-fault: drip=200/50\r\n", true);
        let mut streams = Vec::with_capacity(OPEN_STREAMS);
        for _ in 0..OPEN_STREAMS {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.write_all(request.as_bytes())?;
            streams.push(stream);
        }
        for stream in &mut streams {
            ensure!(stream.read(&mut [0; 512])? > 0, "a stream did not begin");
        }
        let after = process.memory_bytes()?;
        Ok(after.saturating_sub(before) / OPEN_STREAMS as u64)
    }
}

pub(crate) fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Makes a streamed call and reads it to its end: the time to the first byte of the answer.
pub(crate) fn first_byte(stream: &mut TcpStream, request: &str) -> anyhow::Result<Duration> {
    let start = Instant::now();
    stream.write_all(request.as_bytes())?;
    let mut buffer = vec![0; 64 << 10];
    let mut read = stream.read(&mut buffer)?;
    let time = start.elapsed();
    let mut seen = buffer[..read].to_vec();
    while !seen.ends_with(b"0\r\n\r\n") {
        ensure!(read > 0, "the connection ended inside an answer");
        read = stream.read(&mut buffer)?;
        seen.extend_from_slice(&buffer[..read]);
    }
    Ok(time)
}

/// A call, written out; `more` are further header lines.
pub(crate) fn request(key: &str, tokens: u32, more: &str, is_stream: bool) -> String {
    let body = body(is_stream);
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\napi-key: {key}\r\n\
         x-sim-tokens: {tokens}\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn body(is_stream: bool) -> String {
    format!("{{\"messages\":{},\"stream\":{is_stream}}}", messages())
}

/// An ordinary conversation: some 600 tokens of prompt.
pub(crate) fn messages() -> String {
    let context =
        "The quarterly report compares usage of the models by team and by day. ".repeat(40);
    format!(
        "[{{\"role\":\"system\",\"content\":\"{context}\"}},{{\"role\":\"user\",\
         \"content\":\"Summarise it in one paragraph.\"}}]"
    )
}
