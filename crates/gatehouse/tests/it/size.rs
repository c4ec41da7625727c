//! Bodies of any size pass and are recorded in flat memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support::{Backend, Gateway, eventually};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const UPLOAD_BYTES: u64 = 1 << 30;
const STREAM_BYTES_MIN: u64 = 200 << 20;
/// Enough for as many bytes: each token comes in an event of its own.
const STREAM_TOKENS: u32 = 500_000;
/// Most that resident memory may grow over that of a warmed-up process.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

#[test]
fn a_gigabyte_upload_and_a_long_stream_pass_in_flat_memory() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    gateway.start();
    warm_up(&gateway);
    let watch = MemoryWatch::start(gateway.id());
    let uploaded = upload(&gateway);
    let after_upload = watch.growth();
    let received = stream(&gateway, STREAM_TOKENS);
    assert!(received >= STREAM_BYTES_MIN, "only {received} bytes");
    let rows = eventually("both are in the tables", || {
        let query = "Interactions | where max_of(RequestBodyBytes, ResponseBodyBytes) > 1000000 \
                     | sort by TimeGenerated asc \
                     | project RequestBodyBytes, ResponseBodyBytes, ResponseCode, StreamOutcome, CompletionTokens";
        Some(gateway.query(query)).filter(|rows| rows.len() == 2)
    });
    assert_eq!(rows[0]["RequestBodyBytes"], uploaded);
    assert_eq!(rows[0]["ResponseCode"], 201);
    assert_eq!(rows[1]["ResponseBodyBytes"], received);
    assert_eq!(rows[1]["StreamOutcome"], "complete");
    assert!(
        rows[1]["CompletionTokens"].as_i64() > Some(100_000),
        "{}",
        rows[1]["CompletionTokens"]
    );
    let growth = watch.growth();
    assert!(
        growth < GROWTH_BYTES_MAX,
        "resident memory grew by {} MiB, {} MiB of it with the upload",
        growth >> 20,
        after_upload >> 20
    );
    watch.stop();
}

/// One small call of each kind, and a query: vocabularies, caches and the pages of the program itself
/// are loaded at first use. They cost once, whatever the size of a body.
fn warm_up(gateway: &Gateway) {
    let small = br#"{"messages":[{"role":"user","content":"small"}]}"#;
    assert_eq!(gateway.call(CHAT, &[], small).status, 200);
    stream(gateway, 16);
    eventually("the small calls are in the tables", || {
        let rows = gateway.query("Interactions | summarize Calls = count() by IsStreamCompletion");
        Some(rows).filter(|rows| rows.len() == 2)
    });
}

/// Sends a multipart file in pieces; answers the bytes of the body.
fn upload(gateway: &Gateway) -> u64 {
    let head = "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
                --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"big.jsonl\"\r\n\r\n";
    let tail = "\r\n--b--\r\n";
    let length = UPLOAD_BYTES + (head.len() + tail.len()) as u64;
    let mut stream = TcpStream::connect(gateway.address()).expect("connects");
    let request = format!(
        "POST /openai/files?api-version=2024-10-21 HTTP/1.1\r\nHost: test\r\napi-key: {}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{head}",
        gateway.key
    );
    stream.write_all(request.as_bytes()).expect("sends");
    let piece: Vec<u8> = (0..1 << 20).map(|index: u32| b'a' + (index % 23) as u8).collect();
    for _ in 0..UPLOAD_BYTES >> 20 {
        stream.write_all(&piece).expect("sends");
    }
    stream.write_all(tail.as_bytes()).expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    length
}

/// Reads a streamed answer of so many tokens; answers the bytes of its body.
fn stream(gateway: &Gateway, tokens: u32) -> u64 {
    let mut stream = TcpStream::connect(gateway.address()).expect("connects");
    let body = r#"{"messages":[{"role":"user","content":"go on"}],"stream":true,"stream_options":{"include_usage":true}}"#;
    // HTTP/1.0: the body ends with the connection, so its bytes are what is left of the answer.
    let request = format!(
        "POST {CHAT} HTTP/1.0\r\napi-key: {}\r\n\
         Content-Type: application/json\r\nx-sim-tokens: {tokens}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        gateway.key,
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("sends");
    let mut buffer = vec![0; 1 << 16];
    let (mut seen, mut total, mut tail) = (Vec::new(), 0u64, Vec::new());
    let mut head_bytes = None;
    loop {
        let read = stream.read(&mut buffer).expect("the answer goes on");
        if read == 0 {
            break;
        }
        total += read as u64;
        if head_bytes.is_none() {
            seen.extend_from_slice(&buffer[..read]);
            head_bytes = seen.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at as u64 + 4);
        }
        tail.extend_from_slice(&buffer[..read]);
        tail.drain(..tail.len().saturating_sub(64));
    }
    assert!(tail.trim_ascii_end().ends_with(b"data: [DONE]"), "{}", String::from_utf8_lossy(&tail));
    total - head_bytes.expect("the answer has a head")
}

/// Samples resident memory of a process until it is asked for the growth.
struct MemoryWatch {
    first: u64,
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl MemoryWatch {
    fn start(id: u32) -> Self {
        let first = resident_bytes(id);
        let (most, stop) = (Arc::new(AtomicU64::new(first)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (most, stop) = (most.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    most.fetch_max(resident_bytes(id), Ordering::Relaxed);
                    std::thread::park_timeout(Duration::from_millis(20));
                }
            }
        });
        Self { first, most, stop, thread }
    }

    /// The most it grew by so far.
    fn growth(&self) -> u64 {
        self.most.load(Ordering::Relaxed) - self.first
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watch does not panic");
    }
}

fn resident_bytes(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib * 1024
}
