//! What the gateway must know of event streams: when one ends, and how to say that it broke.

use serde_json::json;

use crate::refusal::Refusal;

/// Bytes of a stream's end that are looked at.
const TAIL_BYTES: usize = 16;

/// The end of what has passed of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
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
        self.bytes.trim_ascii_end().ends_with(b"[DONE]")
    }

    fn is_between_events(&self) -> bool {
        self.bytes.is_empty()
            || [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"].iter().any(|end| self.bytes.ends_with(end))
    }
}

/// An error event in the dialect of the stream, to stand after what has passed of it. Every SDK raises
/// its exception where `data` has an `error`; beside it stands what the dialect's own error event has.
pub(crate) fn error_event(kind: &str, subkind: &str, tail: &Tail, refusal: &Refusal) -> String {
    let gap = if tail.is_between_events() { "" } else { "\n\n" };
    let error = refusal.error();
    if subkind == "responses" {
        let data = json!({
            "type": "error", "code": error["code"], "message": error["message"], "param": null,
            "sequence_number": 0, "error": error,
        });
        return format!("{gap}event: error\ndata: {data}\n\n");
    }
    if kind == "assistants" {
        let mut data = error.clone();
        data["error"] = error;
        return format!("{gap}event: error\ndata: {data}\n\n");
    }
    format!("{gap}data: {}\n\n", json!({ "error": error }))
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
    fn an_error_event_never_merges_with_a_broken_one() {
        let mut tail = Tail::default();
        let failed = Refusal::new(Kind::BackendFailed).say("quote \" and \n newline");
        tail.push(b"data: {\"id\":");
        assert!(error_event("chat", "", &tail, &failed).starts_with("\n\ndata: {\"error\""));
        tail.push(b"1}\n\n");
        for (kind, subkind, type_) in [
            ("chat", "", None),
            ("chat", "responses", Some("error")),
            ("assistants", "run", Some("server_error")),
        ] {
            let text = error_event(kind, subkind, &tail, &failed);
            assert_eq!(text.starts_with("event: error\n"), type_.is_some(), "{text}");
            let data = text.split_once("data: ").unwrap().1.trim_end();
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            assert_eq!(data["error"]["code"], "BackendConnectionFailure");
            assert_eq!(data["type"].as_str(), type_);
        }
    }
}
