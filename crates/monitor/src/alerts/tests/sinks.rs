//! A webhook whose URL and header are secrets.

use net::{EgressConfig, EgressRules};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use vault::SecretRef;

use super::super::delivery::Courier;
use super::super::sink::SinkConfig;
use super::{Change, ChangeKind, START_S, at, rule, vault};

fn change() -> Change {
    Change {
        kind: ChangeKind::Fired,
        alert_id: "alert".into(),
        rule_id: "rule".into(),
        dimensions: "{}".into(),
        value: Some(2.0),
        window_start_s: START_S - 60,
        window_end_s: START_S,
        fired_at_s: START_S,
        is_test: false,
    }
}

#[tokio::test]
async fn url_and_header_come_from_their_homes_and_failures_do_not_show_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let allow = vec!["127.0.0.0/8".parse().expect("a network")];
    let egress = EgressRules::new(&EgressConfig::only(allow));
    let courier = Courier::new(egress, None, vault(), String::new());
    let folder = tempfile::TempDir::new().unwrap();
    let place = |name: &str| SecretRef::File(folder.path().join(name));
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let sink = SinkConfig {
        id: "chat".into(),
        secret_url: Some(place("url")),
        secret_headers: [("authorization".to_owned(), place("header"))].into(),
        ..SinkConfig::default()
    };
    sink.validate().expect("it is whole");
    let failure = courier.deliver(&sink, &rule(), &change(), at(START_S)).await;
    let failure = failure.expect_err("its URL is not there");
    assert!(!failure.is_final && failure.why.contains("url"), "{failure}");

    put("url", &format!("http://{address}/canary-path\n"));
    let failure = courier.deliver(&sink, &rule(), &change(), at(START_S)).await;
    let failure = failure.expect_err("its header is not there");
    assert!(failure.why.contains("authorization") && !failure.why.contains("canary"), "{failure}");

    put("header", "Bearer canary-token\n");
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains("\"alertId\"") {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0, "it speaks to its end");
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        String::from_utf8_lossy(&read).into_owned()
    });
    courier.deliver(&sink, &rule(), &change(), at(START_S)).await.expect("it is delivered");
    let heard = heard.await.unwrap();
    assert!(heard.starts_with("POST /canary-path HTTP/1.1"), "{heard}");
    assert!(heard.contains("authorization: Bearer canary-token\r\n"), "{heard}");
}

#[test]
fn a_url_stands_in_one_place() {
    for (url, secret_url) in [("", None), ("http://a", Some(SecretRef::Env("URL".into())))] {
        let sink =
            SinkConfig { id: "x".into(), url: url.into(), secret_url, ..SinkConfig::default() };
        assert!(sink.validate().expect_err("none or both").contains("secret_url"));
    }
}
