//! Handcrafted interactions, and what the pipeline makes of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use event::{
    Answered, BodyChunk, CallerAddress, Closed, Dispatched, ErrorDetail, Frame, Interaction,
    InteractionId, Message, Opened, Outcome, Record, Refused, Side, Target, Timestamp,
};
use ledger::Entry;
use policy::Prices;

use crate::PipelineConfig;
use crate::depot::Depot;
use crate::enrich::Enricher;
use crate::shared::Shared;
use crate::tests::sink::MemorySink;
use crate::worker::Line;

/// 2026-11-23T12:00:00Z
pub(crate) const START_MICROS: i64 = 1_795_435_200_000_000;

/// One interaction in the making.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) id: InteractionId,
    pub(crate) opened: Opened,
    pub(crate) request: Vec<Vec<u8>>,
    pub(crate) answered: Option<Answered>,
    pub(crate) response: Vec<Vec<u8>>,
    pub(crate) closed: Closed,
}

impl Story {
    /// A chat, asked and answered in JSON.
    pub(crate) fn chat(number: u8) -> Self {
        let url = "https://gw.example:8443/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
        Self::of("chat", "chat", "ChatCompletions_Create", url)
            .number(number)
            .asks(r#"{"messages":[{"role":"user","content":"Say hi"}],"temperature":0.5}"#)
            .answers(
                "application/json",
                r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"Hi there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#,
            )
    }

    pub(crate) fn of(kind: &str, subkind: &str, operation: &str, url: &str) -> Self {
        let received_at = Timestamp::from_unix_micros(START_MICROS);
        let target = Target {
            operation_id: operation.into(),
            surface_operation_id: operation.into(),
            surface: "azure-dated".into(),
            kind: kind.into(),
            subkind: subkind.into(),
            deployment: "gpt-4o".into(),
            api_version: "2024-10-21".into(),
            ..Target::default()
        };
        let opened = Opened {
            received_at,
            method: "POST".into(),
            url: url.into(),
            protocol: "HTTP/1.1".into(),
            headers: headers(&[("content-type", "application/json"), ("user-agent", "sdk/1")]),
            head_bytes: 300,
            caller: CallerAddress {
                caller_ip: "10.1.2.3".into(),
                certificate_subject: "CN=ann,O=finance".into(),
                ..CallerAddress::default()
            },
            target,
            subscription_id: "team-a".into(),
            ..Opened::default()
        };
        let closed = Closed {
            closed_at: Timestamp::from_unix_micros(START_MICROS + 120_000),
            status: 200,
            client_ms: 5,
            backend_ms: 110,
            first_byte_ms: Some(100),
            overhead_micros: 1_500,
            request_bytes: 400,
            response_bytes: 500,
            ..Closed::default()
        };
        Self {
            id: InteractionId::mint(received_at, [7; 10]),
            opened,
            request: Vec::new(),
            answered: None,
            response: Vec::new(),
            closed,
        }
    }

    pub(crate) fn number(mut self, number: u8) -> Self {
        self.id = InteractionId::mint(self.opened.received_at, [number; 10]);
        self
    }

    pub(crate) fn asks(mut self, body: impl AsRef<[u8]>) -> Self {
        self.request = vec![body.as_ref().to_vec()];
        self
    }

    pub(crate) fn asks_as(mut self, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        self.opened.headers = headers(&[("content-type", content_type)]);
        self.asks(body)
    }

    pub(crate) fn answers(mut self, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        self.answered = Some(Answered {
            answered_at: Timestamp::from_unix_micros(START_MICROS + 100_000),
            protocol: "HTTP/2".into(),
            status: 200,
            headers: headers(&[("content-type", content_type)]),
            attempt: 0,
        });
        self.response = vec![body.as_ref().to_vec()];
        self
    }

    pub(crate) fn answer_header(mut self, name: &str, value: &str) -> Self {
        let answered = self.answered.as_mut().expect("it was answered");
        add_header(&mut answered.headers, name, value);
        self
    }

    /// Cuts both bodies into pieces of this size.
    pub(crate) fn in_pieces(mut self, size: usize) -> Self {
        for body in [&mut self.request, &mut self.response] {
            *body = body.concat().chunks(size).map(<[u8]>::to_vec).collect();
        }
        self
    }

    /// Cuts the answer behind each event.
    pub(crate) fn in_events(mut self) -> Self {
        let whole = String::from_utf8(self.response.concat()).expect("events are text");
        self.response = whole.split_inclusive("\n\n").map(|event| event.into()).collect();
        self
    }

    pub(crate) fn ends(mut self, outcome: Outcome, status: u16) -> Self {
        self.closed.outcome = outcome;
        self.closed.status = status;
        self
    }

    pub(crate) fn fails(mut self, source: &str, reason: &str) -> Self {
        self.closed.errors.push(ErrorDetail {
            source: source.into(),
            reason: reason.into(),
            message: "it failed".into(),
            scope: "api".into(),
            section: "backend".into(),
            elapsed_ms: 42,
        });
        self
    }

    pub(crate) fn frames(&self) -> Vec<Frame> {
        let chunk = |side| {
            move |data: &Vec<u8>| {
                Record::BodyChunk(BodyChunk { side, data: Bytes::from(data.clone()) })
            }
        };
        let mut records = vec![Record::Opened(Box::new(self.opened.clone()))];
        records.extend(self.request.iter().map(chunk(Side::Request)));
        if self.closed.outcome != Outcome::Refused {
            records.push(Record::Dispatched(Box::new(dispatched(1))));
        }
        records.extend(self.answered.clone().map(|answered| Record::Answered(Box::new(answered))));
        records.extend(self.response.iter().map(chunk(Side::Response)));
        records.push(Record::Closed(Box::new(self.closed.clone())));
        records.into_iter().map(|record| record.encode(self.id)).collect()
    }

    /// As a request that was never opened.
    pub(crate) fn refused_frame(&self) -> Frame {
        let refused = Refused { opened: self.opened.clone(), closed: self.closed.clone() };
        Record::Refused(Box::new(refused)).encode(self.id)
    }
}

pub(crate) fn dispatched(attempt: u32) -> Dispatched {
    Dispatched {
        sent_at: Timestamp::from_unix_micros(START_MICROS + 2_000),
        attempt,
        backend_id: format!("backend-{attempt}"),
        method: "POST".into(),
        url: "https://b.example/openai".into(),
        headers: headers(&[("accept", "*/*")]),
        dropped_headers: Some("user-agent".into()),
        body_changes: Vec::new(),
    }
}

pub(crate) fn headers(pairs: &[(&str, &str)]) -> event::HeaderList {
    pairs.iter().copied().collect()
}

pub(crate) fn add_header(headers: &mut event::HeaderList, name: &str, value: &str) {
    let before = std::mem::take(headers);
    let added = [(name.into(), value.into())];
    *headers = before.read().pairs().chain(added).collect();
}

/// Frames with their sequences, from 1.
pub(crate) fn entries(frames: impl IntoIterator<Item = Frame>) -> Vec<Entry> {
    frames.into_iter().zip(1..).map(|(frame, sequence)| entry(sequence, frame)).collect()
}

/// A frame in a commit of its own: one each millisecond from the answer of [`Story`] on.
pub(crate) fn entry(sequence: u64, frame: Frame) -> Entry {
    let micros = START_MICROS + 100_000 + sequence as i64 * 1_000;
    Entry::new(sequence, Timestamp::from_unix_micros(micros), frame)
}

pub(crate) fn line(sink: &MemorySink, config: PipelineConfig, work_dir: &Path) -> Line {
    line_with(&Arc::new(Enricher::new()), sink, config, work_dir)
}

pub(crate) fn line_with(
    enricher: &Arc<Enricher>,
    sink: &MemorySink,
    config: PipelineConfig,
    work_dir: &Path,
) -> Line {
    let depot = Depot::open(Arc::new(sink.clone()), config, work_dir.to_owned())
        .expect("the folder is there");
    let shared = Arc::new(Shared::new(Arc::new(Prices::builtin())));
    Line::new(depot, shared, enricher.clone())
}

/// Runs frames through the pipeline and writes them at once.
pub(crate) fn run(frames: impl IntoIterator<Item = Frame>) -> MemorySink {
    run_with(PipelineConfig::default(), frames)
}

pub(crate) fn run_with(
    config: PipelineConfig,
    frames: impl IntoIterator<Item = Frame>,
) -> MemorySink {
    let sink = MemorySink::default();
    let work_dir = tempfile::tempdir().expect("a folder");
    let mut line = line(&sink, config, work_dir.path());
    for entry in entries(frames) {
        line.take(entry, Instant::now()).expect("the sink takes it");
    }
    line.flush().expect("the sink takes it");
    drop(line);
    let left = std::fs::read_dir(work_dir.path()).expect("the folder").count();
    assert_eq!(left, 0, "nothing is left in the work folder");
    sink
}

/// The only row, its messages, and the sink that holds its blobs.
pub(crate) fn one(story: &Story) -> (Interaction, Vec<Message>, MemorySink) {
    let sink = run(story.frames());
    let rows = sink.interactions();
    assert_eq!(rows.len(), 1);
    (rows.into_iter().next().expect("one row"), sink.messages(), sink)
}

/// What a message says, in short: direction, role, type, text.
pub(crate) fn told(sink: &MemorySink, messages: &[Message]) -> Vec<String> {
    let tell = |message: &Message| {
        let text = sink.text(&message.content);
        format!("{} {} {}: {text}", message.direction, message.role, message.content_type)
    };
    messages.iter().map(tell).collect()
}

/// A stream of chat chunks that says what [`Story::chat`] says.
pub(crate) fn chat_stream() -> String {
    let chunk = |rest: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-2024-08-06\",{rest}}}\n\n"
        )
    };
    [
        chunk(r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]"#),
        chunk(r#""choices":[{"index":0,"delta":{"content":"Hi "},"finish_reason":null}]"#),
        chunk(r#""choices":[{"index":0,"delta":{"content":"there"},"finish_reason":null}]"#),
        chunk(r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#),
        chunk(r#""choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}"#),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat()
}
