//! What the gateway must know of event streams: when one ends, and how to say that it broke.

use std::mem;

use bytes::{Bytes, BytesMut};
use event::Target;
use serde_json::json;

use crate::refusal::Refusal;

/// Bytes of a stream's end that are looked at.
const TAIL_BYTES: usize = 48;
/// What ends an event.
const ENDS: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];
/// Longest beginning of an event that is held back until the event is whole.
const EVENT_BYTES_MAX: usize = 64 << 10;
/// What stands before the number of an event of the Responses API.
const NUMBER: &[u8] = b"\"sequence_number\":";

/// How a stream numbers its events and tells an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Plain,
    Responses,
    Assistants,
}

/// The end of what has passed of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    is_numbered: bool,
    /// The number of the last event.
    number: Option<u64>,
}

impl Dialect {
    pub(crate) fn of(target: &Target) -> Self {
        match (target.kind.as_str(), target.subkind.as_str()) {
            (_, "responses") => Self::Responses,
            ("assistants", _) => Self::Assistants,
            _ => Self::Plain,
        }
    }
}

impl Tail {
    /// Of a stream of this dialect; those of the Responses API number their events.
    pub(crate) fn of(dialect: Dialect) -> Self {
        Self { is_numbered: dialect == Dialect::Responses, ..Self::default() }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        if self.is_numbered {
            let seam = [&self.bytes, &piece[..piece.len().min(TAIL_BYTES)]].concat();
            let number = last_number(piece).or_else(|| last_number(&seam));
            self.number = number.or(self.number);
        }
        if piece.len() >= TAIL_BYTES {
            self.bytes.clear();
            self.bytes.extend_from_slice(&piece[piece.len() - TAIL_BYTES..]);
            return;
        }
        self.bytes.extend_from_slice(piece);
        let surplus = self.bytes.len().saturating_sub(TAIL_BYTES);
        self.bytes.drain(..surplus);
    }

    /// The last event was `data: [DONE]`.
    pub(crate) fn is_done(&self) -> bool {
        is_done(&self.bytes)
    }

    fn next_number(&self) -> u64 {
        self.number.map_or(0, |number| number + 1)
    }
}

/// Lets only whole events pass, so that an error event can follow at any time: SDKs give up at the
/// text of half an event before they come to the error.
#[derive(Debug, Default)]
pub(crate) struct WholeEvents {
    /// The beginning of an event.
    rest: Bytes,
    /// The beginning of one has passed.
    is_open: bool,
}

impl WholeEvents {
    /// What may pass once this piece is there.
    pub(crate) fn push(&mut self, piece: Bytes) -> Bytes {
        let mut all = joined(mem::take(&mut self.rest), piece);
        let passes = match ENDS.iter().any(|end| all.ends_with(end)) {
            true => all.len(),
            // Comments keep a connection open; no SDK reads them.
            false if all.starts_with(b":") && all.ends_with(b"\n") => all.len(),
            false => ENDS
                .iter()
                .filter_map(|end| memchr::memmem::rfind(&all, end).map(|at| at + end.len()))
                .max()
                .unwrap_or(0),
        };
        if all.len() - passes > EVENT_BYTES_MAX {
            self.is_open = true;
            return all;
        }
        self.is_open &= passes == 0;
        self.rest = all.split_off(passes);
        all
    }

    /// The beginning of an event that will not be whole.
    pub(crate) fn take(&mut self) -> Bytes {
        mem::take(&mut self.rest)
    }
}

/// The bytes end with `data: [DONE]`.
pub(crate) fn is_done(bytes: &[u8]) -> bool {
    bytes.trim_ascii_end().ends_with(b"[DONE]")
}

pub(crate) fn joined(data: Bytes, piece: Bytes) -> Bytes {
    if data.is_empty() {
        return piece;
    }
    let mut all = BytesMut::with_capacity(data.len() + piece.len());
    all.extend_from_slice(&data);
    all.extend_from_slice(&piece);
    all.freeze()
}

/// The last number of an event in these bytes that is there to its end.
fn last_number(bytes: &[u8]) -> Option<u64> {
    let at = memchr::memmem::rfind(bytes, NUMBER)?;
    let rest = bytes[at + NUMBER.len()..].trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_whole = digits < rest.len();
    let number = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    is_whole.then_some(number)
}

/// An error event in the dialect of the stream, to stand after what has passed of it. Every SDK raises
/// its exception where `data` has an `error`; beside it stands what the dialect's own error event has.
pub(crate) fn error_event(
    dialect: Dialect,
    (tail, whole): (&Tail, &WholeEvents),
    refusal: &Refusal,
) -> String {
    let gap = if whole.is_open { "\n\n" } else { "" };
    let error = refusal.error();
    let data = match dialect {
        Dialect::Plain => return format!("{gap}data: {}\n\n", json!({ "error": error })),
        Dialect::Responses => json!({
            "type": "error", "code": error["code"], "message": error["message"], "param": null,
            "sequence_number": tail.next_number(), "error": error,
        }),
        Dialect::Assistants => {
            let mut data = error.clone();
            data["error"] = error;
            data
        }
    };
    format!("{gap}event: error\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Kind;

    #[test]
    fn the_end_is_seen_across_pieces() {
        let mut tail = Tail::default();
        for piece in ["data: {\"a\":1}\n\n", "data: [DO"] {
            tail.push(piece.as_bytes());
            assert!(!tail.is_done());
        }
        for piece in ["NE]\n", "\n"] {
            tail.push(piece.as_bytes());
            assert!(tail.is_done());
        }
        tail.push(b"data: more and more and more\n\n");
        assert!(!tail.is_done());
    }

    #[test]
    fn an_error_event_has_the_number_after_the_last_wherever_pieces_end() {
        let event = |number: u64| {
            let text = r#"\"sequence_number\":99"#;
            format!(
                "event: x\ndata: {{\"type\":\"x\",\"sequence_number\": {number},\"delta\":\"{text}\"}}\n\n"
            )
        };
        let stream: String = (0..13).map(event).collect();
        let failed = Refusal::new(Kind::BackendFailed);
        for size in 1..stream.len() {
            let mut tail = Tail::of(Dialect::Responses);
            stream.as_bytes().chunks(size).for_each(|piece| tail.push(piece));
            let whole = WholeEvents::default();
            let text = error_event(Dialect::Responses, (&tail, &whole), &failed);
            assert!(text.contains("\"sequence_number\":13"), "pieces of {size}: {text}");
        }
        let nothing = (&Tail::of(Dialect::Responses), &WholeEvents::default());
        let none = error_event(Dialect::Responses, nothing, &failed);
        assert!(none.contains("\"sequence_number\":0"), "{none}");
    }

    #[test]
    fn only_whole_events_pass_wherever_pieces_end() {
        for end in ["\n\n", "\r\n\r\n", "\r\r"] {
            let stream: String =
                (0..5).map(|n| format!("data: {{\"n\":{n}}}{end}")).collect::<String>() + "data: {";
            for size in 1..stream.len() {
                let (mut whole, mut passed) = (WholeEvents::default(), Vec::new());
                for piece in stream.as_bytes().chunks(size) {
                    passed.extend_from_slice(&whole.push(Bytes::copy_from_slice(piece)));
                    let is_whole = passed.is_empty() || passed.ends_with(end.as_bytes());
                    assert!(is_whole, "pieces of {size}: {}", String::from_utf8_lossy(&passed));
                }
                passed.extend_from_slice(&whole.take());
                assert_eq!(String::from_utf8(passed).unwrap(), stream);
            }
        }
        let mut whole = WholeEvents::default();
        let comment = Bytes::from_static(b": still here\n");
        assert_eq!(whole.push(comment.clone()), comment);
        let long = Bytes::from(vec![b'x'; EVENT_BYTES_MAX + 1]);
        assert_eq!(whole.push(long.clone()), long, "what is held is bounded");
    }

    #[test]
    fn an_error_event_never_merges_with_a_broken_one() {
        let (tail, mut whole) = (Tail::default(), WholeEvents::default());
        let failed = Refusal::new(Kind::BackendFailed).say("quote \" and \n newline");
        whole.push(Bytes::from(vec![b'x'; EVENT_BYTES_MAX + 1]));
        let text = error_event(Dialect::Plain, (&tail, &whole), &failed);
        assert!(text.starts_with("\n\ndata: {\"error\""));
        whole.push(Bytes::from_static(b"1}\n\n"));
        for (dialect, type_) in [
            (Dialect::Plain, None),
            (Dialect::Responses, Some("error")),
            (Dialect::Assistants, Some("server_error")),
        ] {
            let text = error_event(dialect, (&tail, &whole), &failed);
            assert_eq!(text.starts_with("event: error\n"), type_.is_some(), "{text}");
            let data = text.split_once("data: ").unwrap().1.trim_end();
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            assert_eq!(data["error"]["code"], "BackendConnectionFailure");
            assert_eq!(data["type"].as_str(), type_);
        }
    }
}
