//! One interaction as it stands in the ledger: its steps, when its answer came, and sums over its bodies. No
//! content.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Json;
use event::{Frame, HeaderList, InteractionId, Kind, Record, Side, Timestamp};
use openai::FirstOutput;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::course::Course;
use crate::extract::Parameters;
use crate::inner::Portal;
use crate::problem::Problem;
use crate::records::{Kept, Part, Records};

/// How many frames before the last one are searched for the first, one try after the other: a long
/// stream lies between many others.
pub(crate) const FRAMES_BACK: [u64; 3] = [1_000, 20_000, 400_000];
/// Steps that are told; a session may have more.
const STEPS_MAX: usize = 1_000;
/// Members of a record that may cite content.
const CITING: [&str; 3] = ["url", "errors", "session"];
/// Members of a record that are long or stand in the tables already.
const LEFT_OUT: [&str; 5] = ["headers", "dropped_headers", "own_body", "opened", "closed"];

/// Where to look.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// Sequence of its last frame: the column `LedgerSequence`.
    last: u64,
}

/// An interaction's frames in the ledger.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Trail {
    /// Its start was found; if not, it lies too far back or is no longer kept.
    is_whole: bool,
    /// Sequence of its first frame.
    first_sequence: u64,
    /// Sequence of its last frame.
    last_sequence: u64,
    /// Its frames.
    frames: u64,
    /// Its steps, in order; pieces of bodies are not among them.
    steps: Vec<Step>,
    /// There are more steps than are told.
    is_cut: bool,
    /// Its content was erased: what is left of bodies has no bytes, and steps leave out what may cite them.
    is_erased: bool,
    /// What the client sent.
    request: BodySum,
    /// What the backend answered.
    response: BodySum,
    /// When that came.
    course: Course,
}

/// What a verification of the ledger found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Proof {
    /// Figures, findings, and the digest of the last commit.
    report: Value,
}

/// A step of an interaction.
#[derive(Debug, Serialize, JsonSchema)]
struct Step {
    /// Its sequence.
    sequence: u64,
    /// What it is, such as `dispatched`.
    kind: String,
    /// What the record says, without headers.
    facts: Map<String, Value>,
}

/// A body as it passed.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct BodySum {
    /// Its pieces.
    pieces: u64,
    /// Its bytes.
    bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal; empty if they were erased.
    sha256: String,
}

/// The trail of one interaction.
pub(crate) async fn trail(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    Parameters(place): Parameters<Place>,
) -> Result<Json<Trail>, Problem> {
    let id: InteractionId = id.parse().map_err(|_| {
        Problem::new(404, "the path holds no id of an interaction: see CorrelationId")
    })?;
    let records = Arc::clone(&portal.records);
    let found = tokio::task::spawn_blocking(move || {
        for back in FRAMES_BACK {
            let trail = Tracker::default().follow(&*records, id, place.last, back)?;
            if trail.is_whole || back >= place.last {
                return Ok(trail);
            }
        }
        Tracker::default().follow(&*records, id, place.last, FRAMES_BACK[2])
    });
    let trail: Trail = found.await.map_err(|error| Problem::new(500, error.to_string()))??;
    if trail.frames == 0 {
        let detail = "the ledger keeps nothing of it any more; the tables may";
        return Err(Problem::new(410, detail));
    }
    Ok(Json(trail))
}

/// Proves the record: gaps, checksums, chain, interactions without an end. One walk at a time.
pub(crate) async fn verify(
    State(portal): State<Portal>,
    Parameters(part): Parameters<Part>,
) -> Result<Json<Proof>, Problem> {
    let Ok(_walk) = portal.walk.try_acquire() else {
        return Err(Problem::new(429, "the ledger is being verified already: wait for that"));
    };
    let records = Arc::clone(&portal.records);
    let found = tokio::task::spawn_blocking(move || records.verify(&part)).await;
    let report = found.map_err(|error| Problem::new(500, error.to_string()))??;
    Ok(Json(Proof { report }))
}

#[derive(Default)]
struct Tracker {
    trail: Trail,
    request: Sha256,
    response: Sha256,
    /// Looks for output, where the answer is a stream of events.
    output: Option<FirstOutput>,
}

impl Tracker {
    fn follow(
        mut self,
        records: &dyn Records,
        id: InteractionId,
        last: u64,
        back: u64,
    ) -> Result<Trail, Problem> {
        records.read(last.saturating_sub(back), last, &mut |kept| {
            if kept.frame.interaction == id {
                self.take(kept);
            }
            ControlFlow::Continue(())
        })?;
        if self.trail.is_erased {
            for step in &mut self.trail.steps {
                CITING.iter().for_each(|name| drop(step.facts.remove(*name)));
            }
            return Ok(self.trail);
        }
        self.trail.request.sha256 = hexadecimal(self.request);
        self.trail.response.sha256 = hexadecimal(self.response);
        Ok(self.trail)
    }

    fn take(&mut self, Kept { sequence, written_at, frame, is_erased }: Kept) {
        let trail = &mut self.trail;
        trail.is_erased |= is_erased;
        if trail.frames == 0 {
            trail.first_sequence = sequence;
        }
        trail.last_sequence = sequence;
        trail.frames += 1;
        let is_start = matches!(frame.kind, Kind::Opened | Kind::Refused);
        trail.is_whole |= is_start;
        match Record::decode(frame.kind, &frame.payload) {
            Ok(Record::BodyChunk(chunk)) => self.add(chunk.side, written_at, &chunk.data),
            Ok(Record::MessageChunk(chunk)) => self.add(chunk.side, chunk.at, &chunk.data),
            Ok(record) => self.step(sequence, &frame, &record),
            // An erased piece of a session; one of a body decodes as an empty one.
            Err(_) if frame.kind == Kind::ClientMessage => self.add(Side::Request, written_at, &[]),
            Err(_) if frame.kind == Kind::ServerMessage => {
                self.add(Side::Response, written_at, &[])
            }
            Err(_) => self.push(sequence, frame.kind, Map::new()),
        }
    }

    fn add(&mut self, side: Side, at: Timestamp, data: &[u8]) {
        let (sum, digest) = match side {
            Side::Request => (&mut self.trail.request, &mut self.request),
            Side::Response => (&mut self.trail.response, &mut self.response),
        };
        sum.pieces += 1;
        sum.bytes += data.len() as u64;
        digest.update(data);
        if side == Side::Response {
            self.trail.course.push(at, data.len() as u64);
            if self.output.as_mut().is_some_and(|output| output.push(data)) {
                self.trail.course.note_output(at);
            }
        }
    }

    fn step(&mut self, sequence: u64, frame: &Frame, record: &Record) {
        if let Record::Answered(answered) = record {
            self.output = is_event_stream(&answered.headers).then(FirstOutput::default);
        }
        let facts = match record {
            Record::Opened(opened) => json!({
                "received_at": opened.received_at,
                "rules_version": opened.rules_version,
            }),
            Record::Dispatched(_)
            | Record::Answered(_)
            | Record::Objects(_)
            | Record::Charges(_)
            | Record::Closed(_) => serde_json::from_slice(&frame.payload).unwrap_or_default(),
            Record::Refused(refused) => json!({
                "received_at": refused.opened.received_at,
                "closed_at": refused.closed.closed_at,
                "status": refused.closed.status,
                "errors": refused.closed.errors,
            }),
            _ => Value::Null,
        };
        let Value::Object(mut facts) = facts else { return };
        for name in LEFT_OUT {
            facts.remove(name);
        }
        self.push(sequence, frame.kind, facts);
    }

    fn push(&mut self, sequence: u64, kind: Kind, facts: Map<String, Value>) {
        if self.trail.steps.len() >= STEPS_MAX {
            self.trail.is_cut = true;
            return;
        }
        let kind = format!("{kind:?}").to_lowercase();
        self.trail.steps.push(Step { sequence, kind, facts });
    }
}

/// A stream of events, and its bytes are those of the events.
fn is_event_stream(headers: &HeaderList) -> bool {
    let is_events =
        |text: &str| text.trim_start().to_ascii_lowercase().starts_with("text/event-stream");
    let headers = headers.read();
    headers.first("content-type").is_some_and(|text| is_events(&text))
        && headers.first("content-encoding").is_none()
}

fn hexadecimal(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use event::{Answered, BodyChunk, Dispatched, MessageChunk, Opcode};

    use super::*;

    struct Written(Vec<Frame>);

    /// The same once the pieces of bodies are erased.
    struct Erased(Written);

    impl Records for Erased {
        fn read(
            &self,
            from: u64,
            to: u64,
            visit: &mut dyn FnMut(Kept) -> ControlFlow<()>,
        ) -> Result<(), Problem> {
            self.0.read(from, to, &mut |mut kept| {
                kept.is_erased = kept.frame.kind.is_content();
                if kept.is_erased {
                    kept.frame.payload.clear();
                }
                visit(kept)
            })
        }

        fn verify(&self, _: &Part) -> Result<Value, Problem> {
            Ok(Value::Null)
        }
    }

    impl Records for Written {
        fn read(
            &self,
            from: u64,
            to: u64,
            visit: &mut dyn FnMut(Kept) -> ControlFlow<()>,
        ) -> Result<(), Problem> {
            for (sequence, frame) in (1..).zip(&self.0) {
                let written_at = Timestamp::from_unix_micros(sequence as i64 * 1_000);
                let kept = Kept { sequence, written_at, frame: frame.clone(), is_erased: false };
                if (from..=to).contains(&sequence) && visit(kept).is_break() {
                    break;
                }
            }
            Ok(())
        }

        fn verify(&self, _: &Part) -> Result<Value, Problem> {
            Ok(Value::Null)
        }
    }

    #[test]
    fn a_trail_holds_the_steps_of_one_interaction_and_sums_over_its_bodies() {
        let mint = |random| InteractionId::mint(Timestamp::default(), [random; 10]);
        let (id, other) = (mint(1), mint(2));
        let chunk =
            |side, data: &'static [u8]| Record::BodyChunk(BodyChunk { side, data: data.into() });
        let kept = Written(vec![
            Record::Opened(Box::default()).encode(other),
            Record::Opened(Box::default()).encode(id),
            chunk(Side::Request, b"hel").encode(id),
            chunk(Side::Request, b"no").encode(other),
            chunk(Side::Request, b"lo").encode(id),
            Record::Answered(Box::new(Answered { status: 200, ..Answered::default() })).encode(id),
            Record::Closed(Box::default()).encode(id),
        ]);
        let trail = Tracker::default().follow(&kept, id, 7, 100).expect("readable");
        let kinds: Vec<&str> = trail.steps.iter().map(|step| step.kind.as_str()).collect();
        assert_eq!(kinds, ["opened", "answered", "closed"]);
        assert!(trail.is_whole && trail.first_sequence == 2 && trail.last_sequence == 7);
        let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!((trail.request.bytes, trail.request.sha256.as_str()), (5, hello));
        let too_short = Tracker::default().follow(&kept, id, 7, 3).expect("readable");
        assert!(!too_short.is_whole);
    }

    #[test]
    fn a_trail_of_what_was_erased_claims_and_cites_nothing() {
        let id = InteractionId::mint(Timestamp::default(), [1; 10]);
        let chunk = BodyChunk { side: Side::Request, data: b"hello".as_slice().into() };
        let dispatched = Dispatched { url: "https://b/?q=hello".into(), ..Dispatched::default() };
        let message = MessageChunk {
            side: Side::Response,
            at: Timestamp::default(),
            opcode: Opcode::Text,
            is_start: true,
            is_end: true,
            data: b"hello".as_slice().into(),
        };
        let kept = Erased(Written(vec![
            Record::Opened(Box::default()).encode(id),
            Record::BodyChunk(chunk).encode(id),
            Record::Dispatched(Box::new(dispatched)).encode(id),
            Record::MessageChunk(message).encode(id),
            Record::Closed(Box::default()).encode(id),
        ]));
        let trail = Tracker::default().follow(&kept, id, 5, 100).expect("readable");
        assert!(trail.is_erased && trail.is_whole);
        assert_eq!((trail.request.pieces, trail.response.pieces), (1, 1));
        assert_eq!((trail.request.bytes, trail.request.sha256.as_str()), (0, ""));
        let told = serde_json::to_string(&trail).expect("JSON");
        assert!(!told.contains("hello") && !told.contains("\"errors\""), "{told}");
    }

    #[test]
    fn a_trail_tells_when_a_stream_came_and_when_it_began_to_say_something() {
        let id = InteractionId::mint(Timestamp::default(), [1; 10]);
        let piece = |data: &'static [u8]| BodyChunk { side: Side::Response, data: data.into() };
        let said = |content_type: &str| {
            let headers = [("Content-Type", content_type)].into_iter().collect();
            let answered = Answered { status: 200, headers, ..Answered::default() };
            let kept = Written(vec![
                Record::Opened(Box::default()).encode(id),
                Record::Answered(Box::new(answered)).encode(id),
                Record::BodyChunk(piece(b"data: {\"choices\":[]}\n\n")).encode(id),
                Record::BodyChunk(piece(
                    b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n",
                ))
                .encode(id),
                Record::Closed(Box::default()).encode(id),
            ]);
            json!(Tracker::default().follow(&kept, id, 5, 100).expect("readable").course)
        };
        let course = said("text/event-stream; charset=utf-8");
        assert_eq!(course["first_output_at_us"], 4_000);
        assert_eq!(course["moments"][0], json!({ "at_us": 3_000, "pieces": 1, "bytes": 22 }));
        assert_eq!(course["gaps"], json!([{ "from_us": 3_000, "to_us": 4_000 }]));
        assert_eq!(said("application/json")["first_output_at_us"], Value::Null);
    }
}
