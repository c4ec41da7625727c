//! What a collector hears, read by the format's own types.

use std::sync::Arc;

use bytes::BytesMut;
use event::{Alert, Interaction, InteractionId, Json, Note};
use net::EgressConfig;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::span::{TraceParent, header, spans};
use super::*;
use crate::metrics::gen_ai::GenAiVersion;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

type Heard = Arc<Mutex<Vec<(String, Bytes)>>>;

/// A collector that keeps what it is sent, and answers 503 to the first `failures` requests.
async fn collector(mut failures: u32) -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Heard::default();
    let keeping = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut read = BytesMut::new();
            let (head, length) = loop {
                stream.read_buf(&mut read).await.unwrap();
                let text = String::from_utf8_lossy(&read).into_owned();
                if let Some(end) = text.find("\r\n\r\n") {
                    let head = text[..end].to_ascii_lowercase();
                    let length = head.split("content-length: ").nth(1).unwrap();
                    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                    break (text[..end].to_owned(), end + 4 + length);
                }
            };
            while read.len() < length {
                stream.read_buf(&mut read).await.unwrap();
            }
            let status = if failures > 0 { "503 Later" } else { "200 OK" };
            if failures == 0 {
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let body = read.freeze().slice(head.len() + 4..);
                keeping.lock().await.push((path, body));
            }
            failures = failures.saturating_sub(1);
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, heard)
}

fn row(headers: &str) -> Interaction {
    Interaction {
        correlation_id: InteractionId::mint(now(), [7; 10]).to_string(),
        time_generated: now(),
        closed_at: Timestamp::from_unix_micros(now().unix_micros() + 900_000),
        operation_id: "ChatCompletions_Create".into(),
        kind: "chat".into(),
        request_headers: Json(headers.into()),
        response_code: 200,
        backend_response_code: Some(200),
        backend_id: "eu".into(),
        backend_time: 800,
        attempts: 2,
        deployment_name: "gpt-4o".into(),
        model_name: "gpt-4o-2024-08-06".into(),
        prompt_tokens: Some(9),
        is_request_success: true,
        outcome: "complete".into(),
        request_body: event::BodyText::Inline("SECRET PROMPT".into()),
        ..Interaction::default()
    }
}

fn now() -> Timestamp {
    Timestamp::from_unix_micros(1_790_000_000_000_000)
}

fn exporter(url: &str, change: impl FnOnce(&mut OtlpConfig)) -> Exporter {
    let mut config = OtlpConfig { endpoint: url.into(), ..OtlpConfig::default() };
    change(&mut config);
    let metrics = Arc::new(Metrics::new(Convention::of(GenAiVersion::V1_37)));
    let vault = Vault::new(&vault::VaultConfig::default(), |_| {}).expect("the defaults hold");
    Exporter::new(&config, loopback(), vault, metrics, now())
        .expect("settings are right")
        .expect("it is on")
}

/// The servers of these tests are on this machine, which must be declared.
fn loopback() -> EgressRules {
    let allow = vec!["127.0.0.0/8".parse().expect("a network")];
    EgressRules::new(&EgressConfig::only(allow))
}

#[test]
fn a_callers_trace_is_continued_and_its_decision_obeyed() {
    let convention = Convention::of(GenAiVersion::V1_37);
    let of = |headers: &str, ratio| spans(&row(headers), &convention, ratio);
    let continued = of(&format!("{{\"traceparent\":\"{CALLER}\",\"tracestate\":\"a=1\"}}"), 0.0);
    let [server, client] = &continued[..] else { panic!("two spans, not {continued:?}") };
    assert_eq!(server.trace_id[..2], [0x4b, 0xf9]);
    assert_eq!(server.parent_span_id[..2], [0x00, 0xf0]);
    assert_eq!(server.trace_state, "a=1");
    assert_eq!((&client.trace_id, &client.parent_span_id), (&server.trace_id, &server.span_id));
    assert_ne!(client.span_id, server.span_id);
    assert!(client.start_time_unix_nano >= server.start_time_unix_nano);
    let unsampled = format!("{{\"traceparent\":\"{}00\"}}", &CALLER[..CALLER.len() - 2]);
    assert!(of(&unsampled, 1.0).is_empty(), "the caller does not want it");
    let begun = of("{}", 1.0);
    assert!(begun[0].parent_span_id.is_empty() && begun[0].trace_id.len() == 16);
    assert!(of("{}", 0.0).is_empty());
}

#[test]
fn each_attempt_at_a_backend_is_a_span_of_its_own() {
    let mut tried = row("{}");
    tried.backend_attempts = Json(
        r#"[{"Attempt":1,"BackendId":"us","SentAfter":2.5,"Status":503},{"Attempt":2,"BackendId":"eu","SentAfter":100.0,"Status":200}]"#.into(),
    );
    let spans = spans(&tried, &Convention::of(GenAiVersion::V1_37), 1.0);
    let [server, first, second] = &spans[..] else { panic!("three spans, not {spans:?}") };
    let start = server.start_time_unix_nano;
    let times = |span: &opentelemetry_proto::tonic::trace::v1::Span| {
        [span.start_time_unix_nano - start, span.end_time_unix_nano - start]
    };
    assert_eq!(times(first), [2_500_000, 100_000_000], "it ends when the next one begins");
    assert_eq!(times(second), [100_000_000, 900_000_000]);
    assert!([first, second].iter().all(|span| span.parent_span_id == server.span_id));
    assert_ne!(first.span_id, second.span_id);
    let codes = [first, second].map(|span| span.status.as_ref().expect("a status").code);
    assert_eq!(codes, [2, 0], "the first one failed");
}

#[test]
fn only_a_well_formed_traceparent_counts() {
    assert!(TraceParent::parse(CALLER).is_some_and(|caller| caller.is_sampled));
    for wrong in [
        "",
        "00-0-0-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
    ] {
        assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
    }
    let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
    assert!(TraceParent::parse(later).is_some());
    assert_eq!(header("{\"A\":[\"1\",\"2\"]}", "a").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_collector_that_fails_at_first_gets_everything_and_no_content() {
    let (url, heard) = collector(2).await;
    let exporter = exporter(&url, |_| {});
    let alert = Alert { rule_id: "r".into(), state: "Fired".into(), ..Alert::default() };
    let batch = Batch {
        interactions: vec![row("{}")],
        notes: vec![Note::Alert(alert)],
        ..Batch::default()
    };
    exporter.metrics.count(&batch);
    exporter.offer(&batch);
    exporter.send_waiting(now(), ATTEMPTS_MAX).await;
    let heard = heard.lock().await;
    let of = |path: &str| {
        let found = heard.iter().find(|(known, _)| known == path);
        found.unwrap_or_else(|| panic!("nothing came to {path}")).1.clone()
    };
    let traces = ExportTraceServiceRequest::decode(of("/v1/traces")).expect("the format");
    let spans = &traces.resource_spans[0].scope_spans[0].spans;
    assert_eq!(spans.len(), 2);
    let names: Vec<_> = spans[1].attributes.iter().map(|pair| pair.key.as_str()).collect();
    assert!(
        names.contains(&"gen_ai.provider.name") && names.contains(&"gen_ai.usage.input_tokens")
    );
    let logs = ExportLogsServiceRequest::decode(of("/v1/logs")).expect("the format");
    assert_eq!(logs.resource_logs[0].scope_logs[0].log_records.len(), 1);
    let metrics = ExportMetricsServiceRequest::decode(of("/v1/metrics")).expect("the format");
    let metrics = &metrics.resource_metrics[0].scope_metrics[0].metrics;
    for name in ["gatehouse.requests", "gatehouse.overhead", "gen_ai.client.token.usage"] {
        assert!(metrics.iter().any(|metric| metric.name == name), "no {name}");
    }
    let service = &traces.resource_spans[0].resource.as_ref().expect("a resource").attributes[0];
    let value = service.value.as_ref().and_then(|value| value.value.clone());
    assert_eq!(value, Some(Any::StringValue("gatehouse".into())));
    for (path, body) in heard.iter() {
        let has = body.windows(6).any(|window| window == b"SECRET");
        assert!(!has, "content in {path}");
    }
    assert_eq!(exporter.metrics.total(Metric::TelemetryDropped, &[]), 0.0);
}

#[tokio::test]
async fn what_finds_no_room_or_no_collector_is_dropped_and_counted() {
    let exporter = exporter("http://127.0.0.1:9", |config| config.queue_max = 3);
    let batch = Batch { interactions: vec![row("{}"), row("{}")], ..Batch::default() };
    exporter.offer(&batch);
    let dropped = |signal| exporter.metrics.total(Metric::TelemetryDropped, &[("signal", signal)]);
    assert_eq!(dropped("traces"), 1.0);
    exporter.send_waiting(now(), 1).await;
    assert_eq!(dropped("traces"), 4.0);
    assert!(dropped("metrics") > 0.0);
}
