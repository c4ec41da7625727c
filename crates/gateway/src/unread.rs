//! Requests that never became an exchange, since their heads could not be read: they are recorded too.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use event::{
    CallerAddress, Closed, HeaderList, HeaderListBuilder, InteractionId, Opened, Outcome, Refused,
    Timestamp,
};
use http::{HeaderMap, HeaderName};

use crate::facts::ConnectionFacts;
use crate::inner::Inner;
use crate::record::Recorder;
use crate::refusal::Refusal;
use crate::{credential, headers, record};

/// How much of a request line is kept in the record.
const LINE_KEPT_BYTES: usize = 2 << 10;

/// Records a refused HTTP/1.1 head and gives the answer to it.
pub(crate) async fn refuse_head(
    gateway: Arc<Inner>,
    facts: Arc<ConnectionFacts>,
    refusal: Refusal,
    head: Bytes,
) -> Bytes {
    tracing::debug!(peer = %facts.peer, code = refusal.code(), "request head refused");
    gateway.counters.received();
    let opened = opened(&facts, &head);
    let (answer, body) = refusal.answer(gateway.live.load().config.edge.error_shape);
    match keep(&gateway, &refusal, opened, (answer, &body)).await {
        Ok(answer) => wire(&refusal, &answer, &body),
        Err(down) => {
            let (answer, body) = down.answer(gateway.live.load().config.edge.error_shape);
            wire(&down, &answer, &body)
        }
    }
}

/// Records HTTP/2 requests that the library refused or that were reset before they were read. What they
/// asked for is not known.
pub(crate) async fn refuse_streams(
    gateway: Arc<Inner>,
    facts: Arc<ConnectionFacts>,
    refusal: Refusal,
) {
    gateway.counters.received();
    let opened = Opened { protocol: "HTTP/2".into(), ..nameless(&facts) };
    if let Err(down) = keep(&gateway, &refusal, opened, (HeaderMap::new(), &Bytes::new())).await {
        tracing::warn!(peer = %facts.peer, code = down.code(), "refused requests are not recorded");
    }
}

/// Writes the record; the answer's headers then name the interaction.
async fn keep(
    gateway: &Inner,
    refusal: &Refusal,
    opened: Opened,
    (mut answer, body): (HeaderMap, &Bytes),
) -> Result<HeaderMap, Refusal> {
    let id = InteractionId::mint(opened.received_at, rand::random());
    gateway.counters.refused();
    headers::correlate(&mut answer, id);
    let closed = Closed {
        closed_at: opened.received_at,
        outcome: Outcome::Refused,
        status: refusal.status().as_u16(),
        headers: record::header_list(&answer),
        request_bytes: opened.head_bytes,
        response_bytes: body.len() as u64,
        errors: vec![refusal.record(Duration::ZERO)],
        own_body: String::from_utf8_lossy(body).into_owned(),
        ..Closed::default()
    };
    let recorder = Recorder::new(gateway.ledger.clone(), id);
    recorder.keep(vec![recorder.refused(Refused { opened, closed })]).await?;
    Ok(answer)
}

/// What can be said of a head that is refused: its first line, and its headers where they can be
/// told apart; keys are redacted.
fn opened(facts: &ConnectionFacts, head: &[u8]) -> Opened {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(&line[..line.len().min(LINE_KEPT_BYTES)]);
    let mut words = line.split_ascii_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let url = match target.split_once('?') {
        Some((path, query)) => format!("{path}?{}", credential::redact_query(query)),
        None => target.to_owned(),
    };
    Opened {
        method,
        url,
        protocol: "HTTP/1.1".into(),
        headers: header_list(head),
        head_bytes: head.len() as u64,
        ..nameless(facts)
    }
}

/// What is known of any request on a connection.
fn nameless(facts: &ConnectionFacts) -> Opened {
    let ip = facts.peer.ip().to_canonical().to_string();
    Opened {
        received_at: Timestamp::from(SystemTime::now()),
        tls_version: facts.tls_version.into(),
        caller: CallerAddress {
            caller_ip: ip.clone(),
            peer_ip: ip,
            peer_port: facts.peer.port(),
            forwarded_for: String::new(),
            certificate_subject: facts.certificate_subject.to_string(),
        },
        ..Opened::default()
    }
}

fn header_list(head: &[u8]) -> HeaderList {
    let mut lines = [httparse::EMPTY_HEADER; crate::gate::HEADER_COUNT];
    let mut request = httparse::Request::new(&mut lines);
    let is_whole = matches!(request.parse(head), Ok(httparse::Status::Complete(_)));
    let lines = if is_whole { &*request.headers } else { &[] };
    let mut list = HeaderListBuilder::default();
    for line in lines {
        if let Ok(name) = HeaderName::from_bytes(line.name.as_bytes()) {
            list.push(name.as_str(), &credential::redact_header(&name, line.value));
        }
    }
    list.finish()
}

fn wire(refusal: &Refusal, headers: &HeaderMap, body: &Bytes) -> Bytes {
    let mut bytes = format!("HTTP/1.1 {}\r\nconnection: close\r\n", refusal.status()).into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes.into()
}
