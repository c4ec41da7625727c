//! The body of an answer as a plan: bytes that stand ready, and text that is written only while it is sent.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use memchr::memmem;
use serde_json::Value;
use tokio::time::Sleep;

use crate::config::LatencyModel;
use crate::fault::{Fault, Faults};
use crate::text::{Answer, MARK_CLOSE, MARK_OPEN, Words, mix};

/// Most bytes put into one frame when nothing asks for a slower pace.
const FRAME_BYTES: usize = 16 * 1024;
/// Time given to the connection to send what it has before it is broken.
const FLUSH_BEFORE_CUT: Duration = Duration::from_millis(2);

/// Stands for the piece of text in an event's template.
pub(crate) const PIECE: &str = "\u{E000}piece\u{E001}";
/// Stands for the running number in an event's template.
pub(crate) const NUMBER: &str = "\u{E000}number\u{E001}";

/// A part of a body.
#[derive(Debug, Clone)]
pub(crate) enum Segment {
    /// Ready bytes.
    Bytes(Bytes),
    /// A text inside a JSON string.
    Words {
        /// What is written.
        words: Words,
        /// The next token.
        next: u64,
    },
    /// One event for each piece of one or several texts.
    Deltas(Deltas),
}

/// Events that carry texts piece by piece, the texts taking turns.
#[derive(Debug, Clone)]
pub(crate) struct Deltas {
    lanes: Vec<Lane>,
    turn: usize,
    number: u64,
}

/// One of the texts.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    parts: Vec<Part>,
    answer: Answer,
    step: u64,
    next: u64,
}

#[derive(Debug, Clone)]
enum Part {
    Bytes(Vec<u8>),
    Piece,
    Number,
}

impl Lane {
    /// An event made of `frame` (the bytes around the JSON) and a JSON template holding [`PIECE`] and [`NUMBER`].
    pub(crate) fn new(
        before: &str,
        template: &Value,
        after: &str,
        answer: Answer,
        step: u32,
    ) -> Self {
        let json = template.to_string();
        let mut parts = Vec::new();
        let mut rest = format!("{before}{json}{after}");
        let numbered = format!("\"{NUMBER}\"");
        loop {
            let piece = rest.find(PIECE).map(|at| (at, PIECE.len(), Part::Piece));
            let number = rest.find(&numbered).map(|at| (at, numbered.len(), Part::Number));
            let first = [piece, number].into_iter().flatten().min_by_key(|(at, _, _)| *at);
            let Some((at, len, part)) = first else { break };
            parts.push(Part::Bytes(rest.as_bytes()[..at].to_vec()));
            parts.push(part);
            rest.drain(..at + len);
        }
        parts.push(Part::Bytes(rest.into_bytes()));
        Self { parts, answer, step: u64::from(step.max(1)), next: 0 }
    }

    /// Leaves out the first events.
    pub(crate) fn skip(&mut self, events: u64) {
        self.next = (self.next + events * self.step).min(self.answer.tokens());
    }

    /// How many events it makes.
    pub(crate) fn events(&self) -> u64 {
        self.answer.tokens().div_ceil(self.step)
    }

    fn done(&self) -> bool {
        self.next >= self.answer.tokens()
    }

    fn write(&mut self, number: u64, out: &mut Vec<u8>) {
        let end = (self.next + self.step).min(self.answer.tokens());
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => out.extend_from_slice(bytes),
                Part::Piece => {
                    (self.next..end).for_each(|index| self.answer.push_escaped(index, out))
                }
                Part::Number => out.extend_from_slice(number.to_string().as_bytes()),
            }
        }
        self.next = end;
    }
}

impl Deltas {
    pub(crate) fn new(lanes: Vec<Lane>, first_number: u64) -> Self {
        Self { lanes, turn: 0, number: first_number }
    }

    /// Writes the next event; false when there is none.
    fn write(&mut self, out: &mut Vec<u8>) -> bool {
        for _ in 0..self.lanes.len() {
            let turn = self.turn;
            self.turn = (turn + 1) % self.lanes.len();
            let lane = &mut self.lanes[turn];
            if !lane.done() {
                lane.write(self.number, out);
                self.number += 1;
                return true;
            }
        }
        false
    }
}

/// The whole body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    segments: VecDeque<Segment>,
}

impl Script {
    /// A body that stands ready.
    pub(crate) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self { segments: VecDeque::from([Segment::Bytes(bytes.into())]) }
    }

    /// JSON text in which marked texts are written while sending.
    pub(crate) fn json(value: &Value, ending: &str) -> Self {
        let mut script = Self::default();
        script.push_json("", value, ending);
        script
    }

    pub(crate) fn push(&mut self, segment: Segment) {
        self.segments.push_back(segment);
    }

    pub(crate) fn push_bytes(&mut self, bytes: impl Into<Bytes>) {
        self.segments.push_back(Segment::Bytes(bytes.into()));
    }

    /// Appends JSON between two texts, cutting it where a mark stands.
    pub(crate) fn push_json(&mut self, before: &str, value: &Value, after: &str) {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(before.as_bytes());
        serde_json::to_writer(&mut out, value).expect("a JSON value is always writable");
        out.extend_from_slice(after.as_bytes());
        let mut rest = Bytes::from(out);
        let open = memmem::Finder::new(MARK_OPEN);
        let mut from = 0;
        while let Some(found) = open.find(&rest[from..]) {
            let start = from + found;
            let inside = start + MARK_OPEN.len();
            let Some((words, end)) = read_mark(&rest[inside..]) else {
                from = inside;
                continue;
            };
            self.push_bytes(rest.split_to(start));
            self.push(Segment::Words { words, next: 0 });
            rest = rest.slice(inside - start + end..);
            from = 0;
        }
        self.push_bytes(rest);
    }

    /// Appends `data: {json}` as an event, with an `event:` line if it has a name.
    pub(crate) fn event(&mut self, name: Option<&str>, data: &Value) {
        let before =
            name.map_or_else(|| "data: ".to_owned(), |name| format!("event: {name}\ndata: "));
        self.push_json(&before, data, "\n\n");
    }

    /// The same with the line ends of the audio endpoints.
    pub(crate) fn event_crlf(&mut self, data: &Value) {
        self.push_json("data: ", data, "\r\n\r\n");
    }

    /// The length if it is known without writing the text.
    fn ready_len(&self) -> Option<u64> {
        let mut len = 0;
        for segment in &self.segments {
            let Segment::Bytes(bytes) = segment else { return None };
            len += bytes.len() as u64;
        }
        Some(len)
    }

    /// Everything at once: for answers kept inside other objects, up to `max` bytes.
    pub(crate) fn into_bytes(mut self, max: usize) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        while write_next(&mut self.segments, &mut out) != Wrote::Nothing {
            if out.len() > max {
                return None;
            }
        }
        Some(out)
    }

    /// Puts a malformed event behind the first.
    pub(crate) fn spoil_events(&mut self) {
        let at = self.segments.len().min(1);
        let spoilt = "data: {\"choices\":[{\"delta\":{\"content\":\"unfinished\n\n: a comment\nnonsense without colon\n\n";
        self.segments.insert(at, Segment::Bytes(Bytes::from_static(spoilt.as_bytes())));
    }

    /// Keeps the first half.
    pub(crate) fn halve(&mut self) {
        match self.segments.len() {
            0 => {}
            1 => {
                if let Some(Segment::Bytes(bytes)) = self.segments.front_mut() {
                    bytes.truncate(bytes.len() / 2);
                }
            }
            len => self.segments.truncate(len - 1),
        }
    }

    /// Replaces the end of a stream by `event`.
    pub(crate) fn end_with_error(&mut self, event: &Value) {
        let events = self.segments.len();
        let keep = self.segments.iter().position(|segment| matches!(segment, Segment::Deltas(_)));
        self.segments.truncate(keep.map_or(events.min(1), |at| at + 1));
        self.event(None, event);
    }
}

fn read_mark(text: &[u8]) -> Option<(Words, usize)> {
    let close = memmem::find(&text[..text.len().min(64)], MARK_CLOSE.as_bytes())?;
    let words = Words::from_mark(std::str::from_utf8(&text[..close]).ok()?)?;
    Some((words, close + MARK_CLOSE.len()))
}

#[derive(PartialEq)]
enum Wrote {
    Nothing,
    Ready,
    Token,
}

/// Writes the next small part of a body.
fn write_next(segments: &mut VecDeque<Segment>, out: &mut Vec<u8>) -> Wrote {
    while let Some(segment) = segments.front_mut() {
        match segment {
            Segment::Bytes(bytes) => {
                out.extend_from_slice(bytes);
                segments.pop_front();
                return Wrote::Ready;
            }
            Segment::Words { words, next } if *next < words.tokens => {
                let end = (*next + 256).min(words.tokens);
                (*next..end).for_each(|index| words.push(index, out));
                *next = end;
                return Wrote::Ready;
            }
            Segment::Deltas(deltas) => {
                if deltas.write(out) {
                    return Wrote::Token;
                }
                segments.pop_front();
            }
            Segment::Words { .. } => {
                segments.pop_front();
            }
        }
    }
    Wrote::Nothing
}

/// A script on its way to the client, at its pace and with its faults.
pub(crate) struct ScriptBody {
    segments: VecDeque<Segment>,
    pending: Bytes,
    len: Option<u64>,
    sent: u64,
    pace: Option<(LatencyModel, u64)>,
    waited: bool,
    cut_after: Option<u64>,
    stall: Option<Duration>,
    drip: Option<(usize, Duration)>,
    sleep: Option<Pin<Box<Sleep>>>,
    cutting: bool,
}

impl ScriptBody {
    /// `seed` draws the waits of a stream with a latency.
    pub(crate) fn new(
        mut script: Script,
        faults: &Faults,
        latency: LatencyModel,
        seed: u64,
    ) -> Self {
        if faults.has(&Fault::MalformedJson) {
            script.halve();
        }
        Self {
            len: script.ready_len(),
            segments: script.segments,
            pending: Bytes::new(),
            sent: 0,
            pace: (latency.per_token_ms > 0.0).then_some((latency, seed)),
            waited: false,
            cut_after: faults.cut_after(),
            stall: faults.stall(),
            drip: faults.drip(),
            sleep: None,
            cutting: false,
        }
    }

    fn wait(&mut self, time: Duration) {
        if !time.is_zero() {
            self.sleep = Some(Box::pin(tokio::time::sleep(time)));
        }
    }

    /// Puts the next bytes into `pending`; false if a wait comes first.
    fn refill(&mut self) -> bool {
        if let Some(Segment::Bytes(_)) = self.segments.front()
            && let Some(Segment::Bytes(bytes)) = self.segments.pop_front()
        {
            if self.segments.is_empty() || self.pace.is_some() || bytes.len() >= FRAME_BYTES {
                self.pending = bytes;
                return true;
            }
            self.segments.push_front(Segment::Bytes(bytes));
        }
        if let (Some((latency, seed)), Some(Segment::Deltas(_)), false) =
            (self.pace, self.segments.front(), self.waited)
        {
            self.waited = true;
            self.wait(latency.per_token(mix(seed, self.sent)));
            return false;
        }
        self.waited = false;
        let mut out = Vec::with_capacity(1024);
        let slow = self.pace.is_some() || self.stall.is_some();
        while out.len() < FRAME_BYTES {
            let wrote = write_next(&mut self.segments, &mut out);
            if wrote == Wrote::Nothing || slow {
                break;
            }
        }
        self.pending = Bytes::from(out);
        true
    }

    /// Takes from `pending` what may go now.
    fn take(&mut self) -> Bytes {
        let mut len = self.pending.len();
        if let Some(time) = self.stall.take() {
            if self.segments.is_empty() {
                len = (len / 2).max(1);
            }
            self.wait(time);
        }
        if let Some((bytes, every)) = self.drip {
            len = len.min(bytes);
            self.wait(every);
        }
        if let Some(cut) = self.cut_after {
            len = len.min(usize::try_from(cut - self.sent).unwrap_or(usize::MAX));
        }
        self.sent += len as u64;
        self.pending.split_to(len)
    }
}

impl Body for ScriptBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(context));
                self.sleep = None;
            }
            if self.cutting {
                return Poll::Ready(Some(Err(io::Error::other("cut by a simulated fault"))));
            }
            if self.cut_after.is_some_and(|cut| self.sent >= cut) {
                self.cutting = true;
                self.wait(FLUSH_BEFORE_CUT);
                continue;
            }
            if self.pending.is_empty() {
                if self.segments.is_empty() {
                    return Poll::Ready(None);
                }
                if !self.refill() || self.pending.is_empty() {
                    continue;
                }
            }
            let data = self.take();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pending.is_empty() && self.segments.is_empty() && self.cut_after.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.len {
            Some(len) => SizeHint::with_exact(len - self.sent.min(len)),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn marks_in_json_become_text() {
        let words = Words { seed: 5, tokens: 5000 };
        let text = Answer::Words(words).for_json();
        let script = Script::json(&json!({"a": text, "b": "\u{E000}sim:zz", "c": 1}), "\n");
        assert_eq!(script.ready_len(), None);
        let bytes = script.into_bytes(1 << 20).unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["a"], words.text());
        assert_eq!(value["b"], "\u{E000}sim:zz");
    }

    #[test]
    fn deltas_take_turns_and_count() {
        let lane = |index: u32, tokens| {
            let answer = Answer::Words(Words { seed: u64::from(index), tokens });
            Lane::new("data: ", &json!({"n": NUMBER, "i": index, "t": PIECE}), "\n", answer, 1)
        };
        let mut script = Script::default();
        script.push(Segment::Deltas(Deltas::new(vec![lane(0, 2), lane(1, 3)], 7)));
        let text = String::from_utf8(script.into_bytes(10_000).unwrap()).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap())
            .collect();
        let order: Vec<(u64, u64)> = lines
            .iter()
            .map(|line| (line["n"].as_u64().unwrap(), line["i"].as_u64().unwrap()))
            .collect();
        assert_eq!(order, [(7, 0), (8, 1), (9, 0), (10, 1), (11, 1)]);
    }
}
