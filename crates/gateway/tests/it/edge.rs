//! Where the caller is, as proxies in front tell it; listeners and health.

use std::net::SocketAddr;

use gateway::{ClientCertificates, TlsConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::support::{CHAT, HELLO, KEY, Setup, post, simulator, with_header};

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_headers_count_only_from_trusted_proxies() {
    let backend = simulator().await;
    for (trusted, want) in [(None, "127.0.0.1"), (Some("127.0.0.0/8"), "203.0.113.9")] {
        let world = Setup::before(&[backend.url()])
            .with(|config| {
                config.edge.trusted_proxies =
                    trusted.into_iter().map(|net: &str| net.parse().unwrap()).collect();
            })
            .start()
            .await;
        let request = with_header(post(CHAT, HELLO), "x-forwarded-for", "10.9.9.9, 203.0.113.9:51");
        assert_eq!(world.call(request).await.status, 200);
        let story = world.story();
        let caller = &story.start().caller;
        assert_eq!(caller.caller_ip, want);
        assert_eq!(caller.peer_ip, "127.0.0.1");
        assert_eq!(caller.forwarded_for, "10.9.9.9, 203.0.113.9:51");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_protocol_names_the_caller_and_is_demanded_of_trusted_proxies() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()])
        .with(|config| {
            config.edge.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            config.edge.listeners[0].proxy_protocol = true;
        })
        .start()
        .await;
    let call = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\napi-key: {KEY}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{HELLO}",
        HELLO.len()
    );
    let mut version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24".to_vec();
    version_2.extend("2001:db8::17".parse::<std::net::Ipv6Addr>().unwrap().octets());
    version_2.extend([0; 16]);
    version_2.extend([0x12, 0x34, 0, 80]);
    let line = b"PROXY TCP4 203.0.113.5 10.0.0.1 4711 80\r\n".to_vec();
    for (header, want) in [(version_2, "2001:db8::17"), (line, "203.0.113.5")] {
        let answer = world.raw(&[header, call.clone().into_bytes()].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        let stories = world.stories();
        assert_eq!(stories.last().unwrap().start().caller.caller_ip, want);
    }
    assert_eq!(world.raw(call.as_bytes()).await, "", "without the header nothing is served");
    assert_eq!(backend.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_answered_on_a_listener_of_its_own() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(world.gateway.health().serve(listener, stop.clone()));
    assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200 OK"));
    let ready = ask(address, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200 OK") && ready.contains("\"b0\""), "{ready}");
    assert!(ask(address, "/other").await.starts_with("HTTP/1.1 404 "));
    stop.cancel();
    serving.await.unwrap();
}

async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_cannot_start_says_what_to_change() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let mut setups = vec![
        (Setup::before(&["http://127.0.0.1:1".into()]), "edge.listeners"),
        (Setup::before(&["127.0.0.1".into()]), "give a URL"),
        (Setup::before(&["ftp://h".into()]), "neither http nor https"),
    ];
    setups[0].0.config.edge.listeners[0].address = address;
    let ordered = TlsConfig { acme_hosts: vec!["a.internal".into()], ..TlsConfig::default() };
    let with_file = TlsConfig { certificate_file: "a.pem".into(), ..ordered.clone() };
    let with_clients = TlsConfig { client_certificates: ClientCertificates::Required, ..ordered };
    for (tls, words) in [(with_file, "remove one"), (with_clients, "use optional")] {
        let setup = Setup::before(&["http://127.0.0.1:1".into()]);
        setups.push((setup.with(|config| config.edge.listeners[0].tls = Some(tls)), words));
    }
    for (setup, words) in setups {
        let dir = tempfile::tempdir().unwrap();
        let now = || event::Timestamp::from_unix_micros(0);
        let (ledger, _) = ledger::Ledger::open(dir.path(), setup.ledger, now).unwrap();
        let rules = policy::Rules::new(1, policy::KeyHasher::new(b"x"), &[], &[]).unwrap();
        let started = gateway::Gateway::start(gateway::Wiring {
            settings: gateway::Settings {
                config: setup.config,
                rules,
                keys: setup.keys,
                waf: None,
            },
            catalogue: std::sync::Arc::new(openai::Catalogue::builtin()),
            ledger,
            limiter: shared::Limiter::new(),
            identity: identity::Verifier::default(),
            objects: shared::Objects::new(
                std::sync::Arc::new(
                    shared::Snapshot::open(dir.path().join("shared.redb")).unwrap(),
                ),
                10,
            ),
            security: shared::SecurityLog::default(),
            spool_dir: dir.path().join("spool"),
            ordered: gateway::OrderedCertificates::default(),
        })
        .await;
        let error = started.err().expect("it does not start").to_string();
        assert!(error.contains(words), "{error}");
    }
}
