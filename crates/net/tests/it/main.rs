//! The client against real sockets: reuse, stale connections, limits, egress.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is its failure")]

mod client_certificates;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::BodyExt;
use net::{Body, Client, ClientConfig, EgressConfig, EgressRules, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server that runs `script` with each connection and its number, from 0.
async fn server<F, R>(script: F) -> (Uri, Arc<AtomicUsize>)
where
    F: Fn(usize, TcpStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(counter.fetch_add(1, Ordering::SeqCst), stream));
        }
    });
    (uri, connections)
}

pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut last = [0; 4];
    while last != *b"\r\n\r\n" {
        let Ok(byte) = stream.read_u8().await else { return false };
        last.rotate_left(1);
        last[3] = byte;
    }
    true
}

fn client(uri: &Uri, change: impl FnOnce(&mut ClientConfig)) -> Client {
    let mut config = ClientConfig::default();
    change(&mut config);
    Client::new(uri, &config, EgressRules::new(&EgressConfig::loopback())).unwrap()
}

fn get() -> Request<Body> {
    Request::get("/path").body(Body::empty()).unwrap()
}

async fn text(client: &Client, request: Request<Body>) -> Bytes {
    client.send(request).await.unwrap().into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_connection_is_used_again_once_its_answer_was_read() {
    let (uri, connections) = server(|_, mut stream| async move {
        while read_head(&mut stream).await {
            stream.write_all(ANSWER).await.unwrap();
        }
    })
    .await;
    let client = client(&uri, |_| {});
    for _ in 0..10 {
        assert_eq!(text(&client, get()).await, "ok");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    drop(client.send(get()).await.unwrap());
    assert_eq!(text(&client, get()).await, "ok");
    assert_eq!(connections.load(Ordering::SeqCst), 2, "an unread answer closes its connection");
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    let (uri, connections) = server(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(ANSWER).await.unwrap();
    })
    .await;
    let client = client(&uri, |_| {});
    for round in 1..=5 {
        let body = Body::whole(Bytes::from_static(b""));
        let request = Request::post("/path").body(body).unwrap();
        assert_eq!(text(&client, request).await, "ok");
        assert_eq!(connections.load(Ordering::SeqCst), round);
    }
}

#[tokio::test]
async fn a_request_that_was_sent_is_not_sent_again() {
    let (uri, connections) = server(|_, mut stream| async move {
        read_head(&mut stream).await;
    })
    .await;
    let client = client(&uri, |_| {});
    let error = client.send(get()).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broken, "{}", error.story());
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn waits_are_bounded() {
    let (uri, _) =
        server(|_, mut stream| async move { while read_head(&mut stream).await {} }).await;
    let silent = client(&uri, |config| config.answer_timeout_ms = 50);
    let error = silent.send(get()).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);

    let full = client(&uri, |config| {
        config.connections_max = 1;
        config.connect_timeout_ms = 50;
        config.answer_timeout_ms = 500;
    });
    let (first, second) = tokio::join!(full.send(get()), full.send(get()));
    let kinds = [first.map(drop).unwrap_err().kind(), second.map(drop).unwrap_err().kind()];
    assert!(
        kinds.contains(&ErrorKind::Connect) && kinds.contains(&ErrorKind::Timeout),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn an_address_outside_the_rules_is_never_dialled() {
    let (uri, connections) = server(|_, _| async {}).await;
    let rules = EgressConfig::only(vec!["10.0.0.0/8".parse().unwrap()]);
    let port = uri.port_u16().unwrap();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let uri: Uri = format!("http://{host}:{port}").parse().unwrap();
        let client = Client::new(&uri, &ClientConfig::default(), EgressRules::new(&rules)).unwrap();
        let error = client.send(get()).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{host}");
        assert!(error.to_string().contains("egress.allow"), "{error}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn wrong_base_urls_and_files_name_the_fix() {
    let rules = || EgressRules::new(&EgressConfig::loopback());
    for wrong in ["ftp://h", "/path", "http://user:password@h"] {
        let uri: Uri = wrong.parse().unwrap();
        let error = Client::new(&uri, &ClientConfig::default(), rules()).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{wrong}");
        assert!(!error.to_string().contains("password"), "{error}");
    }
    let config = ClientConfig { ca_file: "/nonexistent.pem".into(), ..ClientConfig::default() };
    let uri: Uri = "https://h".parse().unwrap();
    let error = Client::new(&uri, &config, rules()).map(drop).unwrap_err();
    assert!(error.story().contains("/nonexistent.pem"), "{}", error.story());
}

#[tokio::test]
async fn closing_waits_for_the_connections() {
    let (uri, _) = server(|_, mut stream| async move {
        while read_head(&mut stream).await {
            stream.write_all(ANSWER).await.unwrap();
        }
    })
    .await;
    let client = client(&uri, |_| {});
    assert_eq!(text(&client, get()).await, "ok");
    tokio::time::timeout(Duration::from_secs(10), client.close()).await.expect("it ends");
    assert!(client.send(get()).await.is_err());
}

#[tokio::test]
async fn a_connection_is_handed_over_and_counts_until_it_is_dropped() {
    let (uri, connections) = server(|number, mut stream| async move {
        read_head(&mut stream).await;
        let status: &[u8] = if number == 0 { b"101 Switching Protocols" } else { b"403 No" };
        let rest = b"\r\nconnection: upgrade\r\nupgrade: echo\r\ncontent-length: 0\r\n\r\nhello";
        let head = [b"HTTP/1.1 ", status, &rest[..rest.len() - if number == 0 { 0 } else { 5 }]];
        stream.write_all(&head.concat()).await.unwrap();
        let mut byte = [0];
        while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {
            stream.write_all(&byte).await.unwrap();
        }
    })
    .await;
    let client = client(&uri, |config| {
        config.connections_max = 1;
        config.connect_timeout_ms = 300;
    });
    let request = || {
        let request = Request::get("/path").header("connection", "upgrade");
        request.header("upgrade", "echo").body(Body::empty()).unwrap()
    };
    let answer = client.send(request()).await.unwrap();
    assert_eq!(answer.status(), 101);
    let mut upgraded = net::Upgraded::from_answer(answer).await.unwrap();
    let mut read = [0; 5];
    upgraded.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
    upgraded.write_all(b"again").await.unwrap();
    upgraded.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"again");
    let error = client.send(get()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "the only connection is in use");
    drop(upgraded);
    let refused = client.send(request()).await.unwrap();
    assert_eq!(refused.status(), 403, "an answer like any other");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_body_yet_to_come_goes_on_while_nobody_reads_the_answer() {
    let (done, is_done) = tokio::sync::oneshot::channel();
    let done = Arc::new(std::sync::Mutex::new(Some(done)));
    let (uri, _) = server(move |_, mut stream| {
        let done = done.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(ANSWER).await.unwrap();
            let mut body = Vec::new();
            while !body.ends_with(b"0\r\n\r\n") {
                stream.read_buf(&mut body).await.unwrap();
            }
            done.lock().unwrap().take().unwrap().send(()).unwrap();
        }
    })
    .await;
    let client = client(&uri, |_| {});
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let frames = futures_util::stream::unfold(receiver, async |mut receiver| {
        let piece: Bytes = receiver.recv().await?;
        Some((Ok(http_body::Frame::data(piece)), receiver))
    });
    let body = Body::stream(http_body_util::StreamBody::new(frames));
    let answer = client.send(Request::post("/path").body(body).unwrap()).await.unwrap();
    for _ in 0..64 {
        sender.send(Bytes::from_static(&[b'x'; 64 << 10])).await.unwrap();
    }
    drop(sender);
    is_done.await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
}
