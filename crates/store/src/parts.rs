//! The rows of `Messages` as they are kept: with the interaction they belong to, naming the place of
//! their text in its bodies, so that no text is stored twice.
//!
//! The column [`PARTS_COLUMN`] of an interaction has a line for each of its messages, in order: a JSON
//! object that says where the text is, and what the interaction does not say itself. A message that
//! cannot be told so (of no interaction of its batch, or at odds with it) is a row of its own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use arrow::array::{AsArray, RecordBatch};
use event::{Batch, BodyText, Interaction, Message};
use serde::{Deserialize, Serialize};

use crate::literal::{Search, unescaped};

/// Stored behind the columns of `Interactions`; no query sees it.
pub(crate) const PARTS_COLUMN: &str = "Parts";

/// Texts shorter than this stand in the part itself: naming their place would take as much.
const SHORT_BYTES: usize = 24;

/// One message of an interaction.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Part<'a> {
    /// Where the text is.
    #[serde(rename = "p")]
    pub(crate) place: Place,
    /// The text as its cell has it, where no body has it.
    #[serde(rename = "t", borrow, default, skip_serializing_if = "str::is_empty")]
    pub(crate) text: Cow<'a, str>,
    #[serde(rename = "d", borrow)]
    pub(crate) direction: Cow<'a, str>,
    #[serde(rename = "r", borrow)]
    pub(crate) role: Cow<'a, str>,
    #[serde(rename = "c", borrow)]
    pub(crate) content_type: Cow<'a, str>,
    #[serde(rename = "i", default, skip_serializing_if = "is_zero")]
    pub(crate) choice_index: i32,
    #[serde(rename = "n", borrow, default, skip_serializing_if = "str::is_empty")]
    pub(crate) name: Cow<'a, str>,
}

/// Whose bytes a text is: of which body, from where, how many, and whether they are the inside of a
/// JSON string or the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// Of no body.
    #[serde(rename = "o")]
    Own,
    /// The inside of a string in the request.
    #[serde(rename = "q")]
    RequestString(usize, usize),
    /// A piece of the request.
    #[serde(rename = "Q")]
    Request(usize, usize),
    /// The inside of a string in the answer.
    #[serde(rename = "a")]
    ResponseString(usize, usize),
    /// A piece of the answer.
    #[serde(rename = "A")]
    Response(usize, usize),
}

/// A text that stands in a body.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) is_request: bool,
    from: usize,
    bytes: usize,
    /// It is the inside of a JSON string.
    pub(crate) is_string: bool,
}

impl Place {
    /// Where in which body the text is, if it is in one.
    pub(crate) fn piece(self) -> Option<Piece> {
        let (is_request, is_string, from, bytes) = match self {
            Self::Own => return None,
            Self::RequestString(from, bytes) => (true, true, from, bytes),
            Self::Request(from, bytes) => (true, false, from, bytes),
            Self::ResponseString(from, bytes) => (false, true, from, bytes),
            Self::Response(from, bytes) => (false, false, from, bytes),
        };
        Some(Piece { is_request, from, bytes, is_string })
    }
}

impl Piece {
    pub(crate) fn range(self) -> Range<usize> {
        self.from..self.from.saturating_add(self.bytes)
    }

    /// What some of it says; nothing if that is damaged.
    pub(crate) fn text(self, some: &str) -> Cow<'_, str> {
        if self.is_string && memchr::memchr(b'\\', some.as_bytes()).is_some() {
            return unescaped(some).unwrap_or_default().into();
        }
        some.into()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// The messages of a batch.
pub(crate) struct Folded<'a> {
    /// The cell of [`PARTS_COLUMN`] of each interaction.
    pub(crate) parts: Vec<String>,
    /// Messages that are rows of their own.
    pub(crate) loose: Vec<&'a Message>,
}

/// Gives the messages of a batch to its interactions.
pub(crate) fn fold(batch: &Batch) -> Folded<'_> {
    let by_id: HashMap<&str, usize> = batch
        .interactions
        .iter()
        .enumerate()
        .map(|(place, row)| (row.correlation_id.as_str(), place))
        .collect();
    let mut parts = vec![String::new(); batch.interactions.len()];
    let mut loose = Vec::new();
    let mut writer: Option<(usize, Writer<'_>)> = None;
    for message in &batch.messages {
        let Some(&owner) = by_id.get(message.correlation_id.as_str()) else {
            loose.push(message);
            continue;
        };
        let interaction = &batch.interactions[owner];
        let writer = match &mut writer {
            Some((of, writer)) if *of == owner => writer,
            // Messages of one interaction follow each other; what comes later is on its own.
            _ if !parts[owner].is_empty() => {
                loose.push(message);
                continue;
            }
            other => &mut other.insert((owner, Writer::new(interaction))).1,
        };
        if !belongs(message, interaction) || message.sequence_number != writer.count {
            loose.push(message);
            continue;
        }
        writer.add(message, &mut parts[owner]);
    }
    Folded { parts, loose }
}

/// The columns that both tables have are the same.
fn belongs(message: &Message, of: &Interaction) -> bool {
    message.time_generated == of.time_generated
        && message.kind == of.kind
        && message.model_name == of.model_name
        && message.deployment_name == of.deployment_name
        && message.apim_subscription_id == of.apim_subscription_id
        && message.caller_ip_address == of.caller_ip_address
        && message.thread_id == of.thread_id
        && message.run_id == of.run_id
}

/// Finds the messages of one interaction in its bodies.
struct Writer<'a> {
    count: i32,
    request: Search<'a>,
    response: Search<'a>,
}

impl<'a> Writer<'a> {
    fn new(of: &'a Interaction) -> Self {
        let search = |body: &'a BodyText| match body {
            BodyText::Inline(text) => Search::new(text),
            BodyText::Blob { .. } => Search::new(""),
        };
        let (request, response) = (search(&of.request_body), search(&of.response_body));
        Self { count: 0, request, response }
    }

    fn add(&mut self, message: &Message, cell: &mut String) {
        let place = match &message.content {
            BodyText::Inline(text) if text.len() >= SHORT_BYTES => {
                self.find(text, message.direction == "completion")
            }
            _ => Place::Own,
        };
        let part = Part {
            text: if place == Place::Own { message.content.stored() } else { "".into() },
            place,
            direction: message.direction.as_str().into(),
            role: message.role.as_str().into(),
            content_type: message.content_type.as_str().into(),
            choice_index: message.choice_index,
            name: message.name.as_str().into(),
        };
        cell.push_str(&serde_json::to_string(&part).expect("texts and numbers are plain JSON"));
        cell.push('\n');
        self.count += 1;
    }

    /// Prompts stand in the request, mostly; those of a thread that is listed, in the answer.
    fn find(&mut self, text: &str, is_answer: bool) -> Place {
        let request_first = !is_answer;
        for is_string in [true, false] {
            for is_request in [request_first, !request_first] {
                let search = if is_request { &mut self.request } else { &mut self.response };
                let found = if is_string { search.string(text) } else { search.piece(text) };
                let Some((from, bytes)) = found else { continue };
                return match (is_request, is_string) {
                    (true, true) => Place::RequestString(from, bytes),
                    (true, false) => Place::Request(from, bytes),
                    (false, true) => Place::ResponseString(from, bytes),
                    (false, false) => Place::Response(from, bytes),
                };
            }
        }
        Place::Own
    }
}

/// The parts of an interaction. What a damaged line said is left out.
pub(crate) fn read(cell: &str) -> impl Iterator<Item = Part<'_>> {
    cell.lines().filter_map(|line| serde_json::from_str(line).ok())
}

/// How many there are in some rows as they are written.
pub(crate) fn count_all(batch: &RecordBatch) -> u64 {
    let Some(column) = batch.column_by_name(PARTS_COLUMN) else { return 0 };
    let lines = |cell: &str| memchr::memchr_iter(b'\n', cell.as_bytes()).count() as u64;
    column.as_string::<i32>().iter().flatten().map(lines).sum()
}

/// The references to blobs among the texts.
pub(crate) fn blobs(cell: &str) -> Vec<String> {
    if memchr::memmem::find(cell.as_bytes(), b"blob:").is_none() {
        return Vec::new();
    }
    let own = read(cell).map(|part| BodyText::from_stored(&part.text));
    own.filter_map(|text| match text {
        BodyText::Blob { sha256, .. } => Some(sha256),
        BodyText::Inline(_) => None,
    })
    .collect()
}

/// What a part says.
pub(crate) enum Content<'a> {
    /// These bytes of the request, or of the answer.
    Piece { is_request: bool, from: usize, bytes: usize },
    /// A text that stands in no body as it is.
    Text(Cow<'a, str>),
}

/// What a part says, given the bodies of its interaction; nothing if they do not have it any more.
pub(crate) fn content<'a>(part: &'a Part<'_>, request: &'a str, response: &'a str) -> Content<'a> {
    let Some(piece) = part.place.piece() else { return Content::Text(part.text.as_ref().into()) };
    let Piece { is_request, from, bytes, .. } = piece;
    let body = if is_request { request } else { response };
    match body.get(piece.range()).map(|said| piece.text(said)) {
        None => Content::Text("".into()),
        Some(Cow::Owned(text)) => Content::Text(text.into()),
        Some(Cow::Borrowed(_)) => Content::Piece { is_request, from, bytes },
    }
}
