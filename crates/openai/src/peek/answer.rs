//! The few members of an answer that settling and remembering need, found as it passes.

use memchr::memmem;
use serde::Deserialize;

use super::json::JsonScanner;
use crate::{SseEvent, SseParser, Tree, Usage, UsageSource};

/// Events of a stream among which its id is looked for.
const HEAD_EVENTS: u64 = 8;

/// What an answer says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerPeek {
    /// `id` of the object answered; of a stream that of the response, run or completion in it.
    pub id: Option<String>,
    /// `thread_id`, or the thread that a stream created.
    pub thread_id: Option<String>,
    /// `model`.
    pub model: Option<String>,
    /// `usage`.
    pub usage: Option<Usage>,
    /// Events, if it is a stream.
    pub events: u64,
}

/// Looks into one answer as it passes, a JSON body or a stream of events. Of a stream only the first
/// events and those with a usage are parsed.
#[derive(Debug)]
pub struct AnswerPeeker {
    scan: Scan,
}

#[derive(Debug)]
enum Scan {
    /// Nothing has come yet.
    Begin,
    /// It came in one piece.
    Whole(Box<AnswerPeek>),
    Json(Box<JsonScanner>),
    Events(Box<(SseParser, AnswerPeek)>),
    Other,
}

impl AnswerPeeker {
    /// For an answer of this content type.
    pub fn new(content_type: Option<&str>) -> Self {
        let content_type = content_type.unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let scan = if essence.eq_ignore_ascii_case("text/event-stream") {
            Scan::Events(Box::default())
        } else if essence.to_ascii_lowercase().ends_with("json") {
            Scan::Begin
        } else {
            Scan::Other
        };
        Self { scan }
    }

    /// Takes the next bytes of the answer.
    pub fn push(&mut self, bytes: &[u8]) {
        if let Scan::Begin = self.scan {
            self.scan = match whole(bytes) {
                Some(peek) => Scan::Whole(Box::new(peek)),
                None => Scan::Json(Box::default()),
            };
        }
        match &mut self.scan {
            Scan::Begin | Scan::Whole(_) => {}
            Scan::Json(scanner) => scanner.push(bytes),
            Scan::Events(events) => {
                let (parser, peek) = &mut **events;
                parser.push(bytes, |event| look(peek, event));
            }
            Scan::Other => {}
        }
    }

    /// The answer has ended.
    pub fn finish(self) -> AnswerPeek {
        match self.scan {
            Scan::Begin => AnswerPeek::default(),
            Scan::Whole(peek) => *peek,
            Scan::Json(mut scanner) => {
                let told = std::mem::take(&mut scanner.told);
                let usage = serde_json::from_slice::<Tree>(&told.usage).ok();
                AnswerPeek {
                    id: told.id,
                    thread_id: told.thread_id,
                    model: scanner.finish().model,
                    usage: usage.and_then(|usage| Usage::read(&usage, UsageSource::Reported)),
                    events: 0,
                }
            }
            Scan::Events(mut events) => {
                let (parser, peek) = &mut *events;
                parser.finish(|event| look(peek, event));
                events.1
            }
            Scan::Other => AnswerPeek::default(),
        }
    }
}

/// The members of a whole answer that are looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    id: Tree,
    thread_id: Tree,
    model: Tree,
    usage: Tree,
}

/// What a body says that is whole; none if it is not. Quicker by far than the scanner, which takes any piece.
fn whole(body: &[u8]) -> Option<AnswerPeek> {
    if !body.trim_ascii_end().ends_with(b"}") {
        return None;
    }
    let told: Object = serde_json::from_slice(body).ok()?;
    let text = |value: &Tree| value.as_str().map(str::to_owned);
    Some(AnswerPeek {
        id: text(&told.id),
        thread_id: text(&told.thread_id),
        model: text(&told.model),
        usage: Usage::read(&told.usage, UsageSource::Reported),
        events: 0,
    })
}

/// The members of an event that are looked for; everything else is skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    id: Tree,
    object: Tree,
    thread_id: Tree,
    model: Tree,
    usage: Tree,
    response: Option<Box<Told>>,
}

fn look(peek: &mut AnswerPeek, event: SseEvent<'_>) {
    peek.events += 1;
    let is_head = peek.events <= HEAD_EVENTS && (peek.id.is_none() || peek.model.is_none());
    // A usage of null stands in every chunk before the last. Azure writes no space, others may.
    let has_usage = || {
        memmem::find_iter(event.data, b"\"usage\"").any(|at| {
            let rest = event.data[at + 7..].trim_ascii_start();
            rest.strip_prefix(b":").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{"))
        })
    };
    if !is_head && !has_usage() {
        return;
    }
    let Ok(told) = serde_json::from_slice::<Told>(event.data) else { return };
    let told = match told.response {
        Some(response) => *response,
        None => told,
    };
    let text = |value: &Tree| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    match told.object.as_str() {
        Some("thread") => peek.thread_id = text(&told.id),
        // Messages and steps of a run have ids of their own; the run's is the answer's.
        Some(object)
            if object.starts_with("thread.message") || object.starts_with("thread.run.step") => {}
        _ => {
            peek.id = peek.id.take().or_else(|| text(&told.id));
            peek.thread_id = peek.thread_id.take().or_else(|| text(&told.thread_id));
            peek.model = peek.model.take().or_else(|| text(&told.model));
            let usage = Usage::read(&told.usage, UsageSource::FinalChunk);
            peek.usage = usage.or(peek.usage.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peek(content_type: &str, body: &[u8], size: usize) -> AnswerPeek {
        let mut peeker = AnswerPeeker::new(Some(content_type));
        body.chunks(size).for_each(|piece| peeker.push(piece));
        peeker.finish()
    }

    #[test]
    fn an_answer_tells_its_id_and_usage() {
        let body = br#"{"choices":[{"message":{"content":"\"usage\":{} \\","id":"no"}}],"usage":{"x":{"id":"no"},"prompt_tokens":3, "completion_tokens":4},"id":"chatcmpl-1","model":"gpt-4o"}"#;
        for size in 1..=body.len() {
            let peek = peek("application/json; charset=utf-8", body, size);
            assert_eq!(peek.id.as_deref(), Some("chatcmpl-1"));
            assert_eq!(peek.model.as_deref(), Some("gpt-4o"));
            assert_eq!(peek.usage.and_then(|usage| usage.total), Some(7), "{size}");
        }
        assert_eq!(peek("application/json", b"{\"id\":\"x\",\"usage\":null", 3).usage, None);
        assert_eq!(peek("audio/mpeg", b"ID3", 2), AnswerPeek::default());
    }

    #[test]
    fn an_answer_tells_the_same_whole_and_in_pieces() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/extract");
        let mut told = 0;
        for entry in std::fs::read_dir(folder).expect("the folder") {
            let text = std::fs::read(entry.expect("an entry").path()).expect("a case");
            let case: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
            let body = serde_json::to_vec(&case["response"]).expect("serialises");
            let whole = peek("application/json", &body, body.len());
            assert_eq!(whole, peek("application/json", &body, 7), "{}", case["path"]);
            told += usize::from(whole.usage.is_some());
        }
        assert!(told >= 10, "{told} answers have a usage");
    }

    #[test]
    fn streams_tell_as_much() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/streams");
        for (name, id, thread, total) in [
            ("chat-azure", "chatcmpl-9abc", None, Some(17)),
            ("chat-audio", "chatcmpl-B1", None, Some(17)),
            ("chat-cut", "chatcmpl-9abc", None, None),
            ("completion", "cmpl-1", None, Some(7)),
            ("responses-plain", "resp_68a", None, Some(29)),
            ("responses-cut", "resp_68a", None, None),
            ("assistants-run", "run_1", Some("thread_1"), Some(29)),
            ("assistants-tool", "run_1", Some("thread_1"), None),
            ("transcription", "", None, Some(18)),
        ] {
            let stream = std::fs::read(format!("{folder}/{name}.sse")).expect("the stream");
            for size in [1, 7, 100, 1 << 20] {
                let peek = peek("text/event-stream", &stream, size);
                assert_eq!(peek.id.as_deref().unwrap_or_default(), id, "{name}");
                assert_eq!(peek.thread_id.as_deref(), thread, "{name}");
                assert_eq!(peek.usage.and_then(|usage| usage.total), total, "{name}");
            }
        }
    }
}
