//! What the Core Rule Set costs a request: its head alone, and with a body of 2 kB of JSON.

use std::fs;
use std::path::{Path, PathBuf};

use divan::Bencher;
use waf::{Body, Request, RuleFile, Ruleset};

fn main() {
    divan::main();
}

const FOLDER: &str = "/usr/share/modsecurity-crs/rules";

fn rules() -> Option<Ruleset> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(FOLDER).ok()?.map(|entry| entry.expect("readable").path()).collect();
    names.retain(|name| name.extension().is_some_and(|extension| extension == "conf"));
    names.sort();
    names.insert(0, "/etc/modsecurity/crs/crs-setup.conf".into());
    let file = |path: &PathBuf| RuleFile {
        name: path.display().to_string(),
        text: String::from_utf8_lossy(&fs::read(path).expect("readable")).into_owned(),
    };
    let files: Vec<RuleFile> = names.iter().map(file).collect();
    let read = |file: &str, name: &str| {
        let path = Path::new(file).parent().expect("in a folder").join(name);
        fs::read_to_string(path).map_err(|error| error.to_string())
    };
    Some(Ruleset::parse(&files, Vec::new(), &read).expect("the rules are read"))
}

const HEADERS: [(&str, &[u8]); 14] = [
    ("host", b"gateway.example"),
    ("accept-encoding", b"gzip, deflate"),
    ("connection", b"keep-alive"),
    ("accept", b"application/json"),
    ("content-type", b"application/json"),
    ("user-agent", b"AzureOpenAI/Python 2.54.0"),
    ("x-stainless-lang", b"python"),
    ("x-stainless-package-version", b"2.54.0"),
    ("x-stainless-os", b"Linux"),
    ("x-stainless-arch", b"x64"),
    ("x-stainless-runtime", b"CPython"),
    ("x-stainless-async", b"false"),
    ("api-key", b"0123456789abcdef0123456789abcdef"),
    ("content-length", b"2048"),
];

fn request(body: Body<'_>) -> Request<'_> {
    Request {
        method: "POST",
        uri: "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        protocol: "HTTP/1.1",
        headers: &HEADERS,
        remote_address: Some([10, 0, 0, 7].into()),
        unique_id: "0193764d2f5a7c3e8f21",
        received_unix_micros: 1_796_000_000_000_000,
        body,
    }
}

/// A conversation of about this many bytes.
fn conversation(bytes: usize) -> String {
    let sentence = "Please tell me how the tides follow the moon, and why there are two a day. ";
    let message = |role: &str| {
        format!(
            r#"{{"role":"{role}","content":"{}"}}"#,
            sentence.repeat(bytes / 4 / sentence.len())
        )
    };
    let messages = ["system", "user", "assistant", "user"].map(message);
    format!(r#"{{"model":"gpt-4o","temperature":0.2,"messages":[{}]}}"#, messages.join(","))
}

#[divan::bench]
fn head_phase_1(bencher: Bencher<'_, '_>) {
    look(bencher, Body::Awaited);
}

#[divan::bench]
fn head_both_phases(bencher: Bencher<'_, '_>) {
    look(bencher, Body::Unseen);
}

#[divan::bench(args = [2 << 10, 16 << 10, 128 << 10])]
fn head_and_body(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = conversation(bytes);
    look(bencher, Body::Read { bytes: body.as_bytes(), is_partial: false });
}

/// The longest head, made of what patterns and libinjection take longest over.
#[divan::bench(args = ["a=1&", "a=((((((((((((&", "a=1,1,1,1,1,1,1,1,1,", "a=%27%27%27%27%27%27%27&", "../../../"])]
fn hostile_head(bencher: Bencher<'_, '_>, piece: &str) {
    let Some(rules) = rules() else { return };
    let uri = format!("/v1/models?{}", piece.repeat((30 << 10) / piece.len()));
    bencher.bench_local(|| rules.evaluate(&Request { uri: &uri, ..request(Body::Unseen) }, false));
}

#[divan::bench(args = ["a=((((((((((((&", "a=1,1,1,1,1,1,1,1,1,", "select a from b where "])]
fn hostile_form(bencher: Bencher<'_, '_>, piece: &str) {
    let Some(rules) = rules() else { return };
    let body = piece.repeat((128 << 10) / piece.len());
    let mut headers = HEADERS;
    headers[4].1 = b"application/x-www-form-urlencoded";
    let body = Body::Read { bytes: body.as_bytes(), is_partial: true };
    bencher.bench_local(|| rules.evaluate(&Request { headers: &headers, ..request(body) }, false));
}

fn look(bencher: Bencher<'_, '_>, body: Body<'_>) {
    // Without the rules there is nothing to measure.
    let Some(rules) = rules() else { return };
    bencher.bench_local(|| rules.evaluate(&request(body), false));
}

#[divan::bench]
fn reading_the_rules(bencher: Bencher<'_, '_>) {
    bencher.bench_local(rules);
}
