//! A streamed answer: joined as its events arrive, and told apart from what only calls itself one.

use openai::{ASSEMBLED_BYTES_MAX, Assembled, Kind, StreamAssembler};

/// Bytes after which a body is a stream or is not.
const PROBE_BYTES: usize = 64;

/// Joins the events of one answer.
pub(crate) struct EventStream {
    assembler: StreamAssembler,
    verdict: Verdict,
    /// All bytes so far, until the verdict.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Open,
    Events,
    /// An error in JSON, mostly, under the content type of the stream that was asked for.
    Other,
}

impl EventStream {
    /// Keeps at most so many bytes of what the events say.
    pub(crate) fn new(kind: Kind, subkind: &str, bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX).min(ASSEMBLED_BYTES_MAX);
        Self {
            assembler: StreamAssembler::with_limit(kind, subkind, bytes_max),
            verdict: Verdict::Open,
            held: Vec::new(),
        }
    }

    /// Takes the next piece; if by now it is clear that this is no stream, answers all that came.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        if self.verdict == Verdict::Events {
            self.assembler.push(piece);
            return None;
        }
        self.held.extend_from_slice(piece);
        self.verdict = judge(&self.held);
        match self.verdict {
            Verdict::Open => None,
            Verdict::Events => {
                self.assembler.push(&std::mem::take(&mut self.held));
                None
            }
            Verdict::Other => Some(std::mem::take(&mut self.held)),
        }
    }

    /// Output of the model has come.
    pub(crate) fn has_output(&self) -> bool {
        self.assembler.has_output()
    }

    /// It is certainly a stream: the bytes it came in are not needed to know what it said.
    pub(crate) fn is_certain(&self) -> bool {
        self.verdict == Verdict::Events
    }

    /// The answer it stands for.
    pub(crate) fn finish(mut self) -> Assembled {
        self.assembler.push(&self.held);
        self.assembler.finish()
    }
}

/// What the first line that is not empty begins with (WHATWG HTML §9.2.6).
fn judge(probe: &[u8]) -> Verdict {
    let start = probe.strip_prefix(b"\xef\xbb\xbf").unwrap_or(probe).trim_ascii_start();
    let fields: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b":"];
    if fields.iter().any(|field| start.starts_with(field)) {
        return Verdict::Events;
    }
    let may_still = |field: &&[u8]| field.starts_with(start);
    let is_open =
        start.is_empty() || fields.iter().any(may_still) || b"\xef\xbb\xbf".starts_with(start);
    if is_open && probe.len() < PROBE_BYTES { Verdict::Open } else { Verdict::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_a_stream_from_an_error_page() {
        assert_eq!(judge(b"\r\n"), Verdict::Open);
        assert_eq!(judge(b"da"), Verdict::Open);
        assert_eq!(judge(b"\xef\xbb\xbfdata: 1"), Verdict::Events);
        assert_eq!(judge(b": ping"), Verdict::Events);
        assert_eq!(judge(b"{\"error\""), Verdict::Other);
        assert_eq!(judge(&[b' '; PROBE_BYTES]), Verdict::Other);
    }
}
