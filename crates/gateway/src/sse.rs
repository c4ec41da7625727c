//! What the gateway must know of event streams: when one ends, and how to say that it broke.

use serde_json::json;

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

/// An error event in the dialect of the stream, to stand after what has passed of it.
pub(crate) fn error_event(kind: &str, subkind: &str, tail: &Tail, message: &str) -> String {
    let gap = if tail.is_between_events() { "" } else { "\n\n" };
    let code = "BackendConnectionFailure";
    if subkind == "responses" {
        let data = json!({
            "type": "error", "code": code, "message": message, "param": null, "sequence_number": 0,
        });
        return format!("{gap}event: error\ndata: {data}\n\n");
    }
    let error = json!({"code": code, "message": message, "type": "server_error", "param": null});
    if kind == "assistants" {
        return format!("{gap}event: error\ndata: {error}\n\n");
    }
    format!("{gap}data: {}\n\n", json!({ "error": error }))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        tail.push(b"data: {\"id\":");
        assert!(error_event("chat", "", &tail, "x").starts_with("\n\ndata: {\"error\""));
        tail.push(b"1}\n\n");
        assert!(error_event("chat", "responses", &tail, "x").starts_with("event: error\n"));
        let text = error_event("assistants", "run", &tail, "quote \" and \n newline");
        let data = text.split_once("data: ").unwrap().1.trim_end();
        assert!(serde_json::from_str::<serde_json::Value>(data).is_ok());
    }
}
