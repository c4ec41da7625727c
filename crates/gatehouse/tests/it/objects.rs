//! The gateway is killed while objects are made; no id that a caller has seen may be forgotten, not
//! even one from a stream that broke off.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::Rng;
use serde_json::json;

use crate::support::{Backend, Gateway, PATIENCE, eventually};

const KILLS: u32 = 12;
const CALLERS: usize = 3;

#[derive(Default)]
struct Seen {
    /// Paths of objects whose ids have come.
    paths: Mutex<BTreeSet<String>>,
    stop: AtomicBool,
}

impl Seen {
    fn count(&self) -> usize {
        self.paths.lock().expect("no panic").len()
    }
}

#[test]
fn no_object_that_a_caller_has_seen_is_forgotten_after_twelve_kills() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    gateway.start();
    let seen = Arc::new(Seen::default());
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            let (seen, address, key) = (seen.clone(), gateway.address(), gateway.key.clone());
            std::thread::spawn(move || make_until_stopped(number, address, &key, &seen))
        })
        .collect();
    let mut random = rand::rng();
    for _ in 0..KILLS {
        // However slow the machine is, each life makes something; the kill comes at any moment after.
        let before = seen.count();
        eventually("an object is made", || (seen.count() > before).then_some(()));
        std::thread::park_timeout(Duration::from_millis(random.random_range(0..200)));
        gateway.kill();
        gateway.start();
    }
    seen.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join().expect("callers do not panic");
    }
    let paths = std::mem::take(&mut *seen.paths.lock().expect("no panic"));
    assert!(paths.len() > KILLS as usize, "only {} objects were made", paths.len());
    gateway.kill();
    gateway.start();
    for path in &paths {
        let answer = call(gateway.address(), &gateway.key, "GET", path, "");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
    let unknown = call(gateway.address(), &gateway.key, "GET", "/v1/threads/thread_unknown", "");
    assert!(unknown.starts_with("HTTP/1.1 404 "), "{unknown}");
    assert!(gateway.terminate(), "it ends in order");
}

fn make_until_stopped(caller: usize, address: SocketAddr, key: &str, seen: &Seen) {
    let stream = json!({"model": "gpt-4o", "input": "tell me a story", "stream": true});
    let whole = json!({"model": "gpt-4o", "input": "hello"});
    let makes = [
        ("/v1/responses", stream.to_string(), "resp_"),
        ("/v1/threads", "{}".to_owned(), "thread_"),
        ("/v1/responses", whole.to_string(), "resp_"),
    ];
    let mut number = caller;
    while !seen.stop.load(Ordering::Relaxed) {
        let (target, body, prefix) = &makes[number % makes.len()];
        number += 1;
        let came = call(address, key, "POST", target, body);
        let mark = format!("\"id\":\"{prefix}");
        let id = came.split(&mark).nth(1).and_then(|rest| rest.split_once('"'));
        match id {
            Some((id, _)) => {
                let path = format!("{target}/{prefix}{id}");
                seen.paths.lock().expect("no panic").insert(path);
            }
            // Killed in between, or not up yet.
            None => std::thread::park_timeout(Duration::from_millis(5)),
        }
    }
}

/// All of an answer that came, head included, however it ended.
fn call(address: SocketAddr, key: &str, method: &str, target: &str, body: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else { return String::new() };
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: gatehouse\r\napi-key: {key}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut came = Vec::new();
    if stream.write_all(request.as_bytes()).is_ok() {
        // A kill resets the connection; what came before it counts.
        let _ = stream.read_to_end(&mut came);
    }
    String::from_utf8_lossy(&came).into_owned()
}
