//! Requests hidden in requests, against real servers as backends. Whatever is tried, a backend sees at
//! most the one request that is meant, all that was tried is recorded, and a good caller beside it gets
//! its own answers.

mod backends;
mod corpus;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::frames::{Client, DATA, END_STREAM, GOAWAY, HEADERS, RST_STREAM, frame};
use crate::support::{LIMIT, Setup, Story, World, post};
use backends::{Backend, Seen, has};

/// Cases at once; each waits for a timeout at most.
const AT_ONCE: usize = 24;

#[test]
fn the_corpus_has_more_than_three_hundred_cases_of_different_names() {
    let http1: Vec<String> = corpus::http1().into_iter().map(|case| case.name).collect();
    let http2: Vec<String> = corpus::http2().into_iter().map(|case| case.name).collect();
    assert!(http1.len() >= 400 && http2.len() >= 100, "{} and {}", http1.len(), http2.len());
    let names: std::collections::BTreeSet<_> = http1.iter().chain(&http2).collect();
    assert_eq!(names.len(), http1.len() + http2.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_smuggled_to_nginx() {
    if has("nginx", "nginx") {
        let folder = tempfile::tempdir().unwrap();
        check(Backend::nginx(folder.path()).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_smuggled_to_node() {
    if has("node", "nodejs") {
        check(Backend::node()).await;
    }
}

/// What became of a case, as its client saw it.
struct Outcome {
    id: usize,
    name: String,
    /// Of the answers, over HTTP/1.1.
    statuses: Option<Vec<u16>>,
}

async fn check(backend: Backend) {
    let world = Setup::before(&[format!("http://{}", backend.address)])
        .with(|config| {
            let edge = &mut config.edge;
            edge.head_timeout_ms = 1_000;
            edge.idle_timeout_ms = 500;
            edge.body_gap_timeout_ms = 1_000;
        })
        .start()
        .await;
    let world = Arc::new(world);
    let is_done = Arc::new(AtomicBool::new(false));
    let good = tokio::spawn(good_caller(world.clone(), is_done.clone()));
    let mut outcomes = Vec::new();
    let cases = corpus::http1().into_iter().enumerate();
    let mut cases = futures_util::stream::iter(cases)
        .map(|(id, case)| send(&world, id, case))
        .buffer_unordered(AT_ONCE);
    while let Some(outcome) = cases.next().await {
        outcomes.push(outcome);
    }
    let first = outcomes.len();
    let cases = corpus::http2().into_iter().enumerate();
    let mut cases = futures_util::stream::iter(cases)
        .map(|(id, case)| send2(&world, first + id, case))
        .buffer_unordered(AT_ONCE);
    while let Some(outcome) = cases.next().await {
        outcomes.push(outcome);
    }
    is_done.store(true, Ordering::Relaxed);
    let calls = good.await.unwrap();
    assert!(calls > 20, "only {calls} good calls");
    let answers: usize =
        outcomes.iter().map(|outcome| outcome.statuses.as_ref().map_or(1, Vec::len)).sum();
    let stories = world.ended(calls + answers).await;
    let mut by_caller: BTreeMap<String, Vec<Story>> = BTreeMap::new();
    for story in stories {
        by_caller.entry(story.start().caller.caller_ip.clone()).or_default().push(story);
    }
    let mut wrong = Vec::new();
    for outcome in &outcomes {
        let stories = by_caller.get(&caller(outcome.id).to_string());
        let stories = stories.map_or(&[][..], Vec::as_slice);
        if let Err(why) = judge(outcome, stories) {
            wrong.push(format!("{} {}: {why}", outcome.id, outcome.name));
        }
    }
    let name = backend.name;
    let seen = backend.seen().await;
    wrong.extend(judge_backend(&outcomes, &seen, calls));
    assert!(wrong.is_empty(), "{name}: {} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// One record for each answer, and nothing served but what was meant.
fn judge(outcome: &Outcome, stories: &[Story]) -> Result<(), String> {
    let mut recorded: Vec<u16> = stories.iter().map(|story| story.end().status).collect();
    recorded.sort_unstable();
    if recorded.is_empty() {
        return Err("nothing is recorded".into());
    }
    if let Some(statuses) = &outcome.statuses {
        let mut statuses = statuses.clone();
        statuses.sort_unstable();
        if recorded != statuses {
            return Err(format!("answered {statuses:?}, recorded {recorded:?}"));
        }
    } else if recorded.len() > 1 {
        return Err(format!("one request was sent, recorded are {recorded:?}"));
    }
    let served = recorded.iter().filter(|status| **status == 200).count();
    // A client that broke off has no status; WebSockets are refused here with 501.
    let is_fine = |status: &u16| matches!(status, 0 | 200 | 400..=499 | 501);
    if served > 1 || !recorded.iter().all(is_fine) {
        return Err(format!("recorded {recorded:?}"));
    }
    Ok(())
}

/// Each request once at most, whole and well-formed, and no canary.
fn judge_backend(outcomes: &[Outcome], seen: &[Seen], calls: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    let mut good = 0;
    for seen in seen {
        let id = seen.url.strip_prefix("/openai/case/").map(|rest| {
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
        });
        good += usize::from(seen.url.starts_with("/openai/good"));
        match id {
            Some(id) => *times.entry(id).or_default() += 1,
            None if seen.url.starts_with("/openai/good") => {}
            None => wrong.push(format!("arrived: {seen:?}")),
        }
        let lengths = seen.lengths.bytes().all(|byte| byte.is_ascii_digit());
        let is_framed_once = seen.lengths.is_empty() || seen.encodings.is_empty();
        let is_chunked = seen.encodings.is_empty() || seen.encodings == "chunked";
        let is_method = seen.method.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_whole =
            is_method && seen.status == "200" && !seen.host.contains('|') && !seen.host.is_empty();
        if !(lengths && is_framed_once && is_chunked && is_whole) {
            let name = id.and_then(|id| outcomes.iter().find(|outcome| outcome.id == id));
            wrong.push(format!("{:?} arrived as {seen:?}", name.map(|outcome| &outcome.name)));
        }
    }
    wrong.extend(
        times
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(|(id, times)| format!("case {id} arrived {times} times")),
    );
    if good != calls {
        wrong.push(format!("{calls} good calls, {good} arrived"));
    }
    wrong
}

fn numbered(bytes: &[u8], id: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, b"@ID@") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(id.to_string().as_bytes());
        rest = &rest[at + 4..];
    }
    out.extend_from_slice(rest);
    out
}

/// Each case has an address of its own, by which its records are found.
fn caller(id: usize) -> Ipv4Addr {
    let [.., high, low] = u32::try_from(id).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 7, high, low)
}

async fn connect(world: &World, id: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((caller(id), 0).into()).unwrap();
    socket.connect(world.address()).await.unwrap()
}

/// Sends a case and reads until the connection is closed.
async fn send(world: &World, id: usize, case: corpus::Case) -> Outcome {
    let mut stream = connect(world, id).await;
    // The gateway may close before all is written.
    let _ = stream.write_all(&numbered(&case.bytes, id)).await;
    let mut answers = Vec::new();
    let reading = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answers)).await;
    let _ = reading.unwrap_or_else(|_| panic!("{} does not end", case.name));
    Outcome { id, name: case.name, statuses: Some(statuses(&answers)) }
}

/// Statuses of the answers, but for interim ones.
fn statuses(answers: &[u8]) -> Vec<u16> {
    let starts = memchr::memmem::find_iter(answers, b"HTTP/1.");
    let status = |at: usize| {
        let line = answers.get(at..at + 13)?;
        let is_line = matches!(line[7], b'0' | b'1') && line[8] == b' ' && line[12] == b' ';
        std::str::from_utf8(&line[9..12]).ok()?.parse::<u16>().ok().filter(|_| is_line)
    };
    starts.filter_map(status).filter(|status| *status >= 200).collect()
}

/// Sends a case and reads until its stream or its connection ends.
async fn send2(world: &World, id: usize, case: corpus::Case2) -> Outcome {
    let mut client = Client::begin(connect(world, id).await).await;
    let mut bytes = Vec::new();
    for (kind, flags, stream, payload) in &case.frames {
        bytes.extend(frame(*kind, *flags, *stream, &renumbered(payload, id)));
    }
    let _ = client.0.write_all(&bytes).await;
    while let Some((kind, flags, stream, _)) = client.next().await {
        let ends = matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
        if kind == GOAWAY || (stream == 1 && (ends || kind == RST_STREAM)) {
            break;
        }
    }
    Outcome { id, name: case.name, statuses: None }
}

/// Puts the number in, in as many bytes as its place: lengths stand before it in a header block.
fn renumbered(payload: &[u8], id: usize) -> Vec<u8> {
    let mut payload = payload.to_vec();
    while let Some(at) = memchr::memmem::find(&payload, b"@ID@") {
        payload[at..at + 4].copy_from_slice(format!("{id:04}").as_bytes());
    }
    payload
}

/// Calls on one connection until told to stop; each answer must be its own. How many it made.
async fn good_caller(world: Arc<World>, is_done: Arc<AtomicBool>) -> usize {
    let stream = TcpStream::connect(world.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut calls = 0;
    while !is_done.load(Ordering::Relaxed) {
        let request = post(&format!("/openai/good?good={calls}"), "hello");
        let answer = tokio::time::timeout(LIMIT, sender.send_request(request)).await;
        let answer = answer.unwrap().unwrap();
        assert_eq!(answer.status(), 200, "call {calls}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("seen {calls}"));
        calls += 1;
    }
    calls
}

#[test]
fn statuses_are_read_from_the_answers_as_they_are() {
    let answers = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nin HTTP/1.1 or HTTP/1.1.HTTP/1.0 400 Bad\r\n";
    assert_eq!(statuses(answers), [200, 400]);
}
