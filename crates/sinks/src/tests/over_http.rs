//! Sinks that are reached over HTTP, against a stand-in that keeps what it was asked and answers as it is told.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use kql::{Column, Type};
use net::{EgressConfig, EgressRules};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use vault::{ClientSecretConfig, Identity, Secret, SecretRef};

use super::*;
use crate::batch::Remedy;
use crate::config::{SinkConfig, SinkKind};
use crate::event_hubs::signature;
use crate::kinds;
use crate::sink::Surroundings;

/// A request as it came.
#[derive(Clone, Debug)]
struct Asked {
    /// Method and target.
    line: String,
    headers: String,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        found.unwrap_or_default()
    }
}

#[derive(Clone, Default)]
struct Stand {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Status, further head and body of the answers to come; 200 without anything after that.
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

type Answer = (u16, &'static str, String);

impl Stand {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stand = Self { url, ..Self::default() };
        let own = stand.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let asked = read(&mut stream).await;
                let is_token = asked.line.contains("/oauth2/v2.0/token");
                let (status, head, body) = match is_token {
                    true => {
                        let token = json!({"access_token": "entra-token", "expires_in": 3_599});
                        (200, "", token.to_string())
                    }
                    false => {
                        own.asked.lock().unwrap().push(asked);
                        own.answers.lock().unwrap().pop_front().unwrap_or((200, "", String::new()))
                    }
                };
                let head = format!(
                    "HTTP/1.1 {status} X\r\n{head}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
            }
        });
        stand
    }

    fn answer(&self, status: u16, head: &'static str, body: impl Into<String>) {
        self.answers.lock().unwrap().push_back((status, head, body.into()));
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn config(&self, kind: SinkKind) -> SinkConfig {
        SinkConfig { id: "s".into(), kind, url: self.url.clone(), ..SinkConfig::default() }
    }
}

async fn read(stream: &mut tokio::net::TcpStream) -> Asked {
    let mut request = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        let read = stream.read(&mut piece).await.unwrap_or(0);
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(read > 0, "a whole head: {text}");
            continue;
        };
        let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let asked = Asked { line: line.into(), headers: headers.into(), body: body.into() };
        if read == 0 || body.len() >= asked.header("content-length").parse().unwrap_or(0) {
            return asked;
        }
    }
}

fn around(folder: &Path) -> Surroundings {
    std::fs::write(folder.join("secret"), "the-secret").unwrap();
    let homes = VaultConfig { egress: EgressConfig::loopback(), ..VaultConfig::default() };
    Surroundings {
        egress: EgressRules::new(&EgressConfig::loopback()),
        vault: Vault::new(&homes, |_| {}).unwrap(),
    }
}

fn secret(folder: &Path) -> Option<SecretRef> {
    Some(SecretRef::File(folder.join("secret")))
}

/// Two calls, the second with a body of so many bytes.
fn batch(bytes: usize) -> Batch {
    let columns =
        [Column::new("RequestBody", Type::String), Column::new("LedgerSequence", Type::Long)];
    let row = |sequence: i64, body: String| {
        let key = format!("calls:n1:{sequence}:0");
        vec![Value::String(key), Value::String(body), Value::Long(sequence)]
    };
    Batch {
        name: "calls:n1:17-42".into(),
        at: Some(at(0)),
        columns: Batch::keyed(&columns).unwrap(),
        rows: vec![row(17, "a".into()), row(42, "b".repeat(bytes))],
    }
}

#[tokio::test]
async fn clickhouse_gets_a_table_and_each_batch_under_a_token_of_its_own() {
    let (stand, folder) = (Stand::start().await, TempDir::new().unwrap());
    let config = SinkConfig {
        database: "audit".into(),
        user: "house".into(),
        password: secret(folder.path()),
        ..stand.config(SinkKind::Clickhouse)
    };
    let mut sink = kinds::open(&config, "calls", &around(folder.path())).unwrap();
    sink.write(&batch(1)).await.unwrap();
    let [columns, made, inserted] = &stand.asked()[..] else { panic!("three requests") };
    assert!(columns.line.contains("system.columns"), "{columns:?}");
    assert!(
        made.line.contains("CREATE%20TABLE") && made.line.contains("ReplacingMergeTree"),
        "{made:?}"
    );
    assert!(
        inserted.line.contains("insert_deduplication_token=calls%3An1%3A17-42"),
        "{inserted:?}"
    );
    assert_eq!(inserted.header("x-clickhouse-user"), "house");
    assert_eq!(inserted.header("x-clickhouse-key"), "the-secret");
    assert_eq!(
        inserted.body.lines().next(),
        Some(r#"{"_Key":"calls:n1:17:0","RequestBody":"a","LedgerSequence":17}"#)
    );
    // What is known is not asked again; what failed is, with what stands there.
    stand.answer(500, "x-clickhouse-exception-code: 241\r\n", "near 'a secret'");
    let failure = sink.write(&batch(1)).await.unwrap_err();
    assert_eq!(
        (failure.remedy, failure.why.as_str()),
        (Remedy::Again, "ClickHouse answered 500 (241)")
    );
    let wrong = r#"{"name":"RequestBody","type":"UInt8"}"#;
    stand.answer(200, "", wrong);
    let failure = sink.write(&batch(1)).await.unwrap_err();
    assert!(
        failure.remedy == Remedy::Change && failure.why.contains("`RequestBody`"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn event_hubs_gets_signed_batches_within_its_limit_and_names_what_an_event_lacks() {
    let (stand, folder) = (Stand::start().await, TempDir::new().unwrap());
    let config = SinkConfig {
        user: "send".into(),
        password: secret(folder.path()),
        message_bytes_max: 64 << 10,
        ..stand.config(SinkKind::EventHubs)
    };
    let mut sink = kinds::open(&config, "calls", &around(folder.path())).unwrap();
    sink.write(&batch(1)).await.unwrap();
    let [asked] = &stand.asked()[..] else { panic!("one request") };
    assert!(asked.line.starts_with("POST /calls/messages?"), "{asked:?}");
    assert_eq!(asked.header("content-type"), "application/vnd.microsoft.servicebus.json");
    let shown = asked.header("authorization");
    let until = shown.split("&se=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    let hub = format!("{}/calls", stand.url);
    let expected = signature(&hub, "send", &Secret::new("the-secret"), until.parse().unwrap());
    assert_eq!(shown, expected);
    let events: Json = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(events[1]["UserProperties"]["_Key"], "calls:n1:42:0");
    assert_eq!(events[1]["BrokerProperties"]["PartitionKey"], "calls:n1");
    let body: Json = serde_json::from_str(events[1]["Body"].as_str().unwrap()).unwrap();
    assert_eq!(body, json!({"_Key": "calls:n1:42:0", "RequestBody": "b", "LedgerSequence": 42}));
    // Two that fit alone and not together; one that does not fit.
    let mut large = batch(60_000);
    large.rows[0][1] = Value::String("a".repeat(60_000));
    sink.write(&large).await.unwrap();
    let asked = stand.asked();
    assert!(asked.len() == 2 && asked.iter().all(|asked| asked.body.len() <= 64 << 10));
    sink.write(&batch(70_000)).await.unwrap();
    let [asked] = &stand.asked()[..] else { panic!("one request") };
    let events: Json = serde_json::from_str(&asked.body).unwrap();
    let body: Json = serde_json::from_str(events[1]["Body"].as_str().unwrap()).unwrap();
    let expected = json!({"_Key": "calls:n1:42:0", "RequestBody": null, "LedgerSequence": 42, "_Oversized": ["RequestBody"]});
    assert_eq!(body, expected);
    stand.answer(401, "", "");
    assert_eq!(sink.write(&batch(1)).await.unwrap_err().remedy, Remedy::Change);
    stand.answer(429, "", "");
    assert_eq!(sink.write(&batch(1)).await.unwrap_err().remedy, Remedy::Again);
}

/// Computed with Python's `hmac`, as Microsoft's page on signatures does it.
#[test]
fn a_signature_is_the_one_that_the_service_computes() {
    let signed = signature(
        "https://ns.servicebus.windows.net/hub",
        "send",
        &Secret::new("key="),
        1_800_000_000,
    );
    let expected = "SharedAccessSignature sr=https%3A%2F%2Fns.servicebus.windows.net%2Fhub&sig=E2GzDUvgqrUdj5cXcFm4a5koPAFLU1iJd78lCjfNmqA%3D&se=1800000000&skn=send";
    assert_eq!(signed, expected);
    let raw = signed.split("sig=").nth(1).unwrap().split('&').next().unwrap();
    let raw = raw.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    assert_eq!(BASE64.decode(raw).unwrap().len(), 32);
}

#[tokio::test]
async fn a_batch_is_a_blob_that_is_the_same_when_it_comes_again() {
    let (stand, folder) = (Stand::start().await, TempDir::new().unwrap());
    let config =
        SinkConfig { password: secret(folder.path()), ..stand.config(SinkKind::AzureBlob) };
    let mut sink = kinds::open(&config, "audit/calls", &around(folder.path())).unwrap();
    for _ in 0..2 {
        sink.write(&batch(1)).await.unwrap();
    }
    let [first, again] = &stand.asked()[..] else { panic!("two requests") };
    let expected = "PUT /audit/calls/calls/n1/2026/11/23/17-42.ndjson?the-secret HTTP/1.1";
    assert_eq!((first.line.as_str(), &first.body), (expected, &again.body));
    assert_eq!(first.header("x-ms-blob-type"), "BlockBlob");
    assert_eq!(first.body.lines().count(), 2);
    stand.answer(403, "x-ms-error-code: AuthenticationFailed\r\n", "");
    let failure = sink.write(&batch(1)).await.unwrap_err();
    assert_eq!(failure.why, "Blob Storage answered 403 (AuthenticationFailed)");
}

#[tokio::test]
async fn data_explorer_gets_a_table_a_mapping_and_streams_with_a_token() {
    let (stand, folder) = (Stand::start().await, TempDir::new().unwrap());
    let surroundings = around(folder.path());
    let auth = Identity::ClientSecret(ClientSecretConfig {
        tenant: "t".into(),
        client_id: "gatehouse".into(),
        secret: SecretRef::File(folder.path().join("secret")),
        authority: stand.url.clone(),
    });
    let config = SinkConfig {
        database: "audit".into(),
        auth: Some(auth),
        ..stand.config(SinkKind::AzureDataExplorer)
    };
    let mut sink = kinds::open(&config, "Calls", &surroundings).unwrap();
    // The token is fetched beside; until it is there, a batch is tried again.
    while let Err(failure) = sink.write(&batch(1)).await {
        assert!(failure.remedy == Remedy::Again && failure.why.contains("no token"), "{failure:?}");
        tokio::task::yield_now().await;
    }
    let asked = stand.asked();
    assert!(asked.iter().all(|asked| asked.header("authorization") == "Bearer entra-token"));
    let [table, policy, mapping, rows] = &asked[..] else { panic!("four requests: {asked:?}") };
    let command = |asked: &Asked| {
        let body: Json = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body["db"], "audit");
        body["csl"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        command(table),
        ".create-merge table ['Calls'] (['_Key']:string, ['RequestBody']:string, ['LedgerSequence']:long)"
    );
    assert_eq!(command(policy), ".alter table ['Calls'] policy streamingingestion enable");
    assert!(
        command(mapping)
            .contains(r#"{"column":"RequestBody","Properties":{"path":"$[\'RequestBody\']"}}"#),
        "{mapping:?}"
    );
    assert!(rows.line.starts_with(
        "POST /v1/rest/ingest/audit/Calls?streamFormat=MultiJSON&mappingName=gatehouse "
    ));
    assert_eq!(rows.body.lines().count(), 2);
    let mut large = batch(3 << 20);
    large.rows[0][1] = Value::String("a".repeat(3 << 20));
    sink.write(&large).await.unwrap();
    assert_eq!(stand.asked().len(), 2, "each within what the service takes");
    let failure = sink.write(&batch(5 << 20)).await.unwrap_err();
    assert!(
        failure.remedy == Remedy::Change && failure.why.contains("calls:n1:42:0"),
        "{failure:?}"
    );
}
