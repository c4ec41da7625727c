//! Egress as an operator meets it: through a proxy, with its credentials from a file, and dials that are
//! refused on record.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::{Backend, Gateway, eventually};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const HELLO: &[u8] = br#"{"messages":[{"role":"user","content":"hello"}]}"#;

/// A CONNECT proxy for which every name is this machine. Tells the heads it was sent.
fn proxy() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let told = heads.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let told = told.clone();
            std::thread::spawn(move || tunnel(stream, &told));
        }
    });
    (port, heads)
}

fn tunnel(mut client: TcpStream, told: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read > 0) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let port = head.split([':', ' ']).nth(2).and_then(|port| port.parse::<u16>().ok());
    told.lock().expect("told").push(head);
    let Some(origin) = port.and_then(|port| TcpStream::connect(("127.0.0.1", port)).ok()) else {
        return;
    };
    client.write_all(b"HTTP/1.1 200 Go on\r\n\r\n").expect("writes");
    let (mut up, mut down) =
        (client.try_clone().expect("clones"), origin.try_clone().expect("clones"));
    let (mut client, mut origin) = (client, origin);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut up, &mut origin);
        let _ = origin.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut down, &mut client);
    let _ = client.shutdown(Shutdown::Write);
}

#[test]
fn calls_go_out_through_the_proxy_and_what_is_denied_is_on_record() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    let (port, heads) = proxy();
    let text = fs::read_to_string(&gateway.config).expect("a configuration");
    let own = format!("http://127.0.0.1:{}", backend.port);
    let text = text.replace(&own, &format!("http://model.invalid:{}", backend.port));
    let more = format!(
        "proxy:\n  url: http://127.0.0.1:{port}\n  username: gatehouse\n  \
         password: {{ file: proxy-password }}\n  no_proxy: [10.0.0.0/8]\n\
         otlp:\n  endpoint: http://20.1.2.3:4318\n  interval_s: 1\n\
         identity:\n  refresh_s: 1\n  egress: {{ allow: [10.0.0.0/8] }}\n  providers:\n    \
         - id: staff\n      issuer: http://127.0.0.3:9\n      audiences: [gatehouse]\n"
    );
    fs::write(&gateway.config, format!("{text}{more}")).expect("writable");
    fs::write(gateway.folder.path().join("proxy-password"), "open sesame\n").expect("writable");
    gateway.start();
    let answer = gateway.call(CHAT, &[], HELLO);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let head = heads.lock().expect("told")[0].clone();
    assert!(head.starts_with(&format!("CONNECT model.invalid:{} ", backend.port)), "{head}");
    assert!(head.contains("proxy-authorization: Basic Z2F0ZWhvdXNlOm9wZW4gc2VzYW1l"), "{head}");
    // Whoever dials, a dial that is refused is on record.
    for (target, reason) in [("20.1.2.3", "not_declared"), ("127.0.0.3", "special_not_declared")] {
        let query =
            format!("SecurityEvents | where Kind == 'egress_denied' and Target == '{target}'");
        let rows =
            eventually(target, || Some(gateway.query(&query)).filter(|rows| !rows.is_empty()));
        assert_eq!(rows[0]["Reason"], reason, "{rows:?}");
    }
    let all = heads.lock().expect("told").join("");
    assert!(!all.contains("20.1.2.3") && !all.contains("127.0.0.3"), "{all}");
    assert!(gateway.terminate());
}
