//! The JSON scanner: a checker of the whole grammar that keeps a few top-level values.

use crate::object::ObjectKind;

use super::splice::StreamOptions;
use super::token::{Number, Text, literal};
use super::utf8::Utf8Check;
use super::{
    Malformed, PEEK_DEPTH_MAX, PEEK_VALUE_BYTES_MAX, Peek, PeekFormat, REFERENCES_MAX, is_object_id,
};

/// Longest key that can be a wanted one, escapes included.
const KEY_BYTES_MAX: usize = 160;

/// A wanted member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Model,
    Stream,
    StreamOptions,
    IncludeUsage,
    PreviousResponse,
    Conversation,
    ConversationId,
    Assistant,
    InputFile,
    TrainingFile,
    Store,
    Background,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    N,
    StreamFormat,
    /// An id of an object, anywhere in the body.
    Reference,
    /// `id` and `type` of something below the top level.
    InnerId,
    InnerType,
    /// What users fill in at will: nothing in it counts.
    Muted,
    /// Of answers: `id`, `thread_id`, `usage`.
    Id,
    Thread,
    Usage,
}

/// Longest usage object kept.
const USAGE_BYTES_MAX: usize = 8 * 1024;

/// What an answer says at its top level.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) id: Option<String>,
    pub(crate) thread_id: Option<String>,
    /// The usage object, raw.
    pub(crate) usage: Vec<u8>,
    /// Ids of what lies inside the object: its items.
    pub(crate) items: Vec<String>,
}

/// An object below the top level.
#[derive(Debug, Default)]
struct Inner {
    id: Option<String>,
    has_type: bool,
    has_more: bool,
    is_reference: bool,
}

impl Field {
    fn of_key(key: &str, inside: Option<Self>) -> Option<Self> {
        match (inside, key) {
            (Some(Self::StreamOptions), "include_usage") => return Some(Self::IncludeUsage),
            (Some(Self::Conversation), "id") => return Some(Self::ConversationId),
            (Some(_), _) => return None,
            (None, _) => {}
        }
        Some(match key {
            "model" => Self::Model,
            "stream" => Self::Stream,
            "stream_options" => Self::StreamOptions,
            "stream_format" => Self::StreamFormat,
            "previous_response_id" => Self::PreviousResponse,
            "conversation" => Self::Conversation,
            "assistant_id" => Self::Assistant,
            "input_file_id" => Self::InputFile,
            "training_file" => Self::TrainingFile,
            "store" => Self::Store,
            "background" => Self::Background,
            "max_tokens" => Self::MaxTokens,
            "max_completion_tokens" => Self::MaxCompletionTokens,
            "max_output_tokens" => Self::MaxOutputTokens,
            "n" => Self::N,
            "id" => Self::Id,
            "thread_id" => Self::Thread,
            "usage" => Self::Usage,
            "validation_file" => Self::Reference,
            // Not of interest here, unlike further down.
            "type" => return None,
            _ => return Self::of_inner_key(key),
        })
    }
}

impl Field {
    /// Members that name objects wherever they stand: in tools, attachments, content parts, items.
    fn of_inner_key(key: &str) -> Option<Self> {
        Some(match key {
            "id" => Self::InnerId,
            "type" => Self::InnerType,
            "metadata" | "parameters" | "schema" => Self::Muted,
            "file_id"
            | "file_ids"
            | "vector_store_id"
            | "vector_store_ids"
            | "container"
            | "container_id"
            | "thread_id"
            | "output_file_id"
            | "error_file_id"
            | "result_files"
            | "fine_tuned_model"
            | "fine_tuned_model_checkpoint" => Self::Reference,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value is due.
    Value,
    /// Behind `[`: a value or `]`.
    ValueOrEnd,
    /// Behind `{`: a key or `}`.
    KeyOrEnd,
    /// Behind `,` in an object.
    Key,
    Colon,
    /// Behind a value: `,` or the end of what it stands in.
    After,
    String {
        is_key: bool,
        at: Text,
    },
    Literal {
        word: &'static [u8],
        at: usize,
    },
    Number(Number),
    /// Behind the top-level value: only white space.
    End,
    Broken,
}

/// Scans one JSON body.
#[derive(Debug)]
pub(crate) struct JsonScanner {
    pub(crate) peek: Peek,
    pub(crate) told: Told,
    state: State,
    /// Offset of the piece being scanned.
    base: u64,
    utf8: Utf8Check,
    depth: usize,
    /// One bit per level: it is an object.
    objects: [u64; PEEK_DEPTH_MAX / 64],
    /// The member whose value is due or being read, at the top level or inside `inside`.
    field: Option<Field>,
    /// The wanted top-level object we are in.
    inside: Option<Field>,
    /// Level of a list whose texts are ids of objects.
    references_at: Option<usize>,
    /// Level below which nothing counts.
    muted_at: Option<usize>,
    /// The objects we are in, but for the top-level one.
    inner: Vec<Inner>,
    /// It is an answer: ids of items are kept, which in a request are often just repeated.
    is_answer: bool,
    /// Where in the piece being scanned the kept part of a usage object begins.
    usage_from: Option<usize>,
    /// Raw bytes of the key or value being kept.
    kept: Vec<u8>,
    keeping: bool,
    /// Where the value being kept began.
    started_at: u64,
}

impl Default for JsonScanner {
    fn default() -> Self {
        Self {
            peek: Peek { format: PeekFormat::Json, ..Peek::default() },
            told: Told::default(),
            state: State::Value,
            base: 0,
            utf8: Utf8Check::default(),
            depth: 0,
            objects: [0; PEEK_DEPTH_MAX / 64],
            field: None,
            inside: None,
            references_at: None,
            muted_at: None,
            inner: Vec::new(),
            is_answer: false,
            usage_from: None,
            kept: Vec::new(),
            keeping: false,
            started_at: 0,
        }
    }
}

impl JsonScanner {
    pub(crate) fn of_answer() -> Self {
        Self { is_answer: true, ..Self::default() }
    }

    /// White space went before.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.base += bytes;
    }

    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state, State::End | State::Broken)
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.state == State::Broken {
            return;
        }
        let valid = self.utf8.push(bytes);
        let end = valid.err().map_or(bytes.len(), |at| usize::try_from(at).unwrap_or(0));
        let mut at = 0;
        while at < end && self.state != State::Broken {
            at = self.step(&bytes[..end], at);
            if self.usage_from.is_some() && self.inside.is_none() {
                self.keep_usage(&bytes[..at]);
                self.usage_from = None;
            }
        }
        if self.usage_from.is_some() {
            self.keep_usage(&bytes[..end]);
            self.usage_from = Some(0);
        }
        if let Err(at) = valid {
            self.fail_utf8(bytes, end, at);
        }
        self.base += bytes.len() as u64;
    }

    /// Inside a string the sequence is at fault, which may have begun in an earlier piece. Elsewhere no
    /// such byte may stand, whatever follows it.
    fn fail_utf8(&mut self, bytes: &[u8], end: usize, sequence_at: i64) {
        while self.state != State::Broken {
            if !matches!(self.state, State::String { at: Text::Plain, .. }) {
                self.step(bytes, end);
                continue;
            }
            let offset = self.base.saturating_add_signed(sequence_at);
            self.state = State::Broken;
            self.peek.malformed = Some(Malformed { offset, reason: "invalid UTF-8" });
        }
    }

    fn keep_usage(&mut self, bytes: &[u8]) {
        let piece = &bytes[self.usage_from.unwrap_or(0)..];
        if self.told.usage.len() + piece.len() <= USAGE_BYTES_MAX {
            self.told.usage.extend_from_slice(piece);
        }
    }

    pub(crate) fn finish(mut self) -> Peek {
        match self.state {
            State::Number(number) if self.depth == 0 && number.is_whole() => {}
            State::End if !self.utf8.is_partial() => {}
            State::Broken => {}
            _ if self.utf8.is_partial() => self.fail(0, "the body ends inside a UTF-8 sequence"),
            _ => self.fail(0, "the body ends before its JSON does"),
        }
        self.peek
    }

    fn fail(&mut self, at: usize, reason: &'static str) {
        self.state = State::Broken;
        self.peek.malformed = Some(Malformed { offset: self.base + at as u64, reason });
    }

    /// Handles the byte at `at`, or a run of them; answers where to go on.
    fn step(&mut self, bytes: &[u8], at: usize) -> usize {
        let byte = bytes[at];
        match self.state {
            State::String { is_key, at: place } => return self.text(bytes, at, is_key, place),
            State::Number(number) => return self.number(bytes, at, number),
            State::Literal { word, at: place } => self.word(at, byte, word, place),
            _ if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') => {}
            State::Value => self.value(at, byte),
            State::ValueOrEnd if byte == b']' => self.close(),
            State::ValueOrEnd => self.value(at, byte),
            State::KeyOrEnd if byte == b'}' => {
                if let StreamOptions::Object { is_empty, .. } = &mut self.peek.stream_options {
                    *is_empty |= self.depth == 2 && self.inside == Some(Field::StreamOptions);
                }
                self.peek.is_empty_object |= self.depth == 1;
                self.close();
            }
            State::KeyOrEnd | State::Key if byte == b'"' => self.key(),
            State::KeyOrEnd | State::Key => self.fail(at, "a key is expected"),
            State::Colon if byte == b':' => self.state = State::Value,
            State::Colon => self.fail(at, "a colon is expected"),
            State::After => self.after(at, byte),
            State::End => self.fail(at, "there is more behind the JSON"),
            State::Broken => {}
        }
        at + 1
    }

    fn in_object(&self) -> bool {
        let level = self.depth - 1;
        self.objects[level / 64] >> (level % 64) & 1 == 1
    }

    fn key(&mut self) {
        self.state = State::String { is_key: true, at: Text::Plain };
        self.keeping = true;
        self.kept.clear();
        self.field = None;
    }

    fn value(&mut self, at: usize, byte: u8) {
        if self.references_at == Some(self.depth) && byte == b'"' {
            self.field = Some(Field::Reference);
        }
        if self.field.is_some() {
            self.started_at = self.base + at as u64;
            self.kept.clear();
            self.forget();
        }
        self.keeping = self.field.is_some();
        match byte {
            b'"' => self.state = State::String { is_key: false, at: Text::Plain },
            b'{' | b'[' => self.open(at, byte == b'{'),
            _ => {
                if let Some(word) = literal(byte) {
                    self.state = State::Literal { word, at: 1 };
                } else if let Some(number) = Number::begin(byte) {
                    self.state = State::Number(number);
                    self.keep(&[byte]);
                } else {
                    self.fail(at, "a value is expected");
                }
            }
        }
    }

    fn open(&mut self, at: usize, is_object: bool) {
        if self.depth == PEEK_DEPTH_MAX {
            return self.fail(at, "nested too deeply");
        }
        let bit = 1 << (self.depth % 64);
        if is_object {
            self.objects[self.depth / 64] |= bit;
        } else {
            self.objects[self.depth / 64] &= !bit;
        }
        self.depth += 1;
        if self.depth == 1 && is_object {
            self.peek.object_start = Some(self.base + at as u64 + 1);
        }
        match self.field {
            Some(Field::StreamOptions | Field::Conversation) if self.depth == 2 => {
                self.inside = self.field;
                if is_object && self.field == Some(Field::StreamOptions) {
                    let start = self.base + at as u64 + 1;
                    self.peek.stream_options = StreamOptions::Object { start, is_empty: false };
                }
            }
            Some(Field::Usage) if self.depth == 2 && is_object => {
                self.inside = self.field;
                self.usage_from = Some(at);
            }
            Some(Field::Reference) if !is_object => self.references_at = Some(self.depth),
            Some(Field::Muted) => self.muted_at = Some(self.depth),
            _ => {}
        }
        if is_object && self.depth > 1 {
            self.inner.push(Inner::default());
        }
        self.field = None;
        self.state = if is_object { State::KeyOrEnd } else { State::ValueOrEnd };
    }

    fn close(&mut self) {
        if self.references_at == Some(self.depth) {
            self.references_at = None;
        }
        if self.muted_at == Some(self.depth) {
            self.muted_at = None;
        }
        if self.depth > 1 && self.in_object() {
            self.close_inner();
        }
        self.depth -= 1;
        if self.depth == 1 {
            self.inside = None;
        }
        self.value_ended();
    }

    /// `{"type": "item_reference", "id": "msg_1"}` names an item that the backend has, with or without
    /// its type; other objects with an id bring along what they are.
    fn close_inner(&mut self) {
        let Some(Inner { id, has_type, has_more, is_reference }) = self.inner.pop() else { return };
        if is_reference || (id.is_some() && !has_type && !has_more) {
            self.refer(id);
        } else if self.is_answer
            && let Some(id) = id
            && self.told.items.len() < REFERENCES_MAX
        {
            self.told.items.push(id);
        }
    }

    fn value_ended(&mut self) {
        self.field = None;
        self.state = if self.depth == 0 { State::End } else { State::After };
    }

    fn after(&mut self, at: usize, byte: u8) {
        match (byte, self.in_object()) {
            (b',', true) => self.state = State::Key,
            (b',', false) => self.state = State::Value,
            (b'}', true) | (b']', false) => self.close(),
            _ => self.fail(at, "a comma or the end is expected"),
        }
    }

    fn word(&mut self, at: usize, byte: u8, word: &'static [u8], place: usize) {
        if byte != word[place] {
            self.fail(at, "a value is expected");
        } else if place + 1 < word.len() {
            self.state = State::Literal { word, at: place + 1 };
        } else {
            self.found_word(word, self.base + at as u64 + 1);
            self.value_ended();
        }
    }

    fn number(&mut self, bytes: &[u8], at: usize, number: Number) -> usize {
        if let Some(next) = number.next(bytes[at]) {
            self.state = State::Number(next);
            self.keep(&bytes[at..=at]);
            return at + 1;
        }
        if number.is_whole() {
            self.found_number();
            self.value_ended();
        } else {
            self.fail(at, "a number is cut short");
        }
        at
    }

    /// Takes as much of a string as there is.
    fn text(&mut self, bytes: &[u8], at: usize, is_key: bool, place: Text) -> usize {
        let byte = bytes[at];
        let next = match place {
            Text::Plain => return self.plain(bytes, at, is_key),
            Text::Escape if byte == b'u' => Text::Unicode(4),
            Text::Escape if b"\"\\/bfnrt".contains(&byte) => Text::Plain,
            Text::Unicode(due) if byte.is_ascii_hexdigit() => match due {
                1 => Text::Plain,
                _ => Text::Unicode(due - 1),
            },
            Text::Escape | Text::Unicode(_) => {
                self.fail(at, "an escape is wrong");
                return at;
            }
        };
        self.keep(&bytes[at..=at]);
        self.state = State::String { is_key, at: next };
        at + 1
    }

    fn plain(&mut self, bytes: &[u8], mut at: usize, is_key: bool) -> usize {
        loop {
            let rest = &bytes[at..];
            let length = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            let run = &rest[..length];
            // One pass without branches, which the compiler turns into vector instructions.
            if run.iter().fold(false, |found, byte| found | (*byte < 0x20)) {
                let place = run.iter().position(|byte| *byte < 0x20).unwrap_or(0);
                self.fail(at + place, "a control character stands in a string");
                return at;
            }
            self.keep(run);
            let end = at + length;
            match (rest.get(length), rest.get(length + 1)) {
                (None, _) => return end,
                // The common escapes are taken at once.
                (Some(b'\\'), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => {
                    self.keep(&rest[length..length + 2]);
                    at = end + 2;
                    if at == bytes.len() {
                        return at;
                    }
                }
                (Some(b'\\'), _) => {
                    self.keep(b"\\");
                    self.state = State::String { is_key, at: Text::Escape };
                    return end + 1;
                }
                (Some(_), _) => {
                    self.text_ended(end, is_key);
                    return end + 1;
                }
            }
        }
    }

    /// A key or a text ends with the quote at `at`.
    fn text_ended(&mut self, at: usize, is_key: bool) {
        if is_key {
            self.key_ended();
        } else {
            self.found_text(self.base + at as u64 + 1);
            self.value_ended();
        }
    }

    fn key_ended(&mut self) {
        self.state = State::Colon;
        if self.kept.len() > KEY_BYTES_MAX {
            return self.note_member();
        }
        self.field = match std::str::from_utf8(&self.kept) {
            Ok(key) if !key.contains('\\') => self.field_of(key),
            _ => unescaped(&self.kept).and_then(|key| self.field_of(&key)),
        };
        self.note_member();
    }

    /// Tells the object we are in of a member.
    fn note_member(&mut self) {
        if self.depth > 1
            && self.in_object()
            && let Some(inner) = self.inner.last_mut()
        {
            inner.has_type |= self.field == Some(Field::InnerType);
            inner.has_more |= !matches!(self.field, Some(Field::InnerType | Field::InnerId));
        }
    }

    fn field_of(&self, key: &str) -> Option<Field> {
        if self.muted_at.is_some() {
            return None;
        }
        match (self.depth, self.inside) {
            (1, _) => Field::of_key(key, None),
            (2, Some(Field::StreamOptions | Field::Conversation)) => {
                Field::of_key(key, self.inside)
            }
            _ => Field::of_inner_key(key),
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.keeping && self.kept.len() <= PEEK_VALUE_BYTES_MAX {
            let room = PEEK_VALUE_BYTES_MAX + 1 - self.kept.len();
            self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// A member that stands twice counts as its last value, so the value before is forgotten.
    fn forget(&mut self) {
        let peek = &mut self.peek;
        match self.field {
            Some(Field::Model) => (peek.model, peek.model_span) = (None, None),
            Some(Field::Stream) => peek.stream = None,
            Some(Field::StreamOptions | Field::IncludeUsage) => {
                (peek.include_usage, peek.stream_options) = (None, StreamOptions::Other);
            }
            Some(Field::PreviousResponse) => peek.previous_response_id = None,
            Some(Field::Conversation | Field::ConversationId) => peek.conversation = None,
            Some(Field::Assistant) => peek.assistant_id = None,
            Some(Field::InputFile) => peek.input_file_id = None,
            Some(Field::TrainingFile) => peek.training_file = None,
            Some(Field::Store) => peek.store = None,
            Some(Field::Background) => peek.background = None,
            Some(Field::MaxTokens) => peek.max_tokens = None,
            Some(Field::MaxCompletionTokens) => peek.max_completion_tokens = None,
            Some(Field::MaxOutputTokens) => peek.max_output_tokens = None,
            Some(Field::N) => peek.n = None,
            Some(Field::StreamFormat) => peek.stream_format = None,
            Some(Field::Id) => self.told.id = None,
            Some(Field::Thread) => self.told.thread_id = None,
            Some(Field::Usage) => self.told.usage.clear(),
            Some(Field::Reference | Field::InnerId | Field::InnerType | Field::Muted) | None => {}
        }
    }

    fn found_text(&mut self, end: u64) {
        let Some(field) = self.field else { return };
        if self.kept.len() > PEEK_VALUE_BYTES_MAX {
            self.peek.overlong = true;
            return;
        }
        let text = unescaped(&self.kept);
        let peek = &mut self.peek;
        match field {
            Field::Model => {
                (peek.model, peek.model_span) = (text, Some(self.started_at..end));
            }
            Field::PreviousResponse => peek.previous_response_id = text,
            Field::Conversation | Field::ConversationId => peek.conversation = text,
            Field::Assistant => peek.assistant_id = text,
            Field::InputFile => peek.input_file_id = text,
            Field::TrainingFile => peek.training_file = text,
            Field::StreamFormat => peek.stream_format = text,
            Field::Id => self.told.id = text,
            Field::Thread => self.told.thread_id = text,
            Field::Reference => self.refer(text),
            Field::InnerId => self.inner_id(text),
            Field::InnerType if text.as_deref() == Some("item_reference") => {
                if let Some(inner) = self.inner.last_mut() {
                    inner.is_reference = true;
                }
            }
            _ => {}
        }
    }

    fn refer(&mut self, id: Option<String>) {
        self.peek.refer(id.as_deref().unwrap_or_default());
    }

    fn inner_id(&mut self, id: Option<String>) {
        let Some(id) = id.filter(|id| is_object_id(id)) else { return };
        if ObjectKind::of_id(&id).is_some_and(ObjectKind::stands_alone) {
            return self.refer(Some(id));
        }
        let Some(inner) = self.inner.last_mut() else { return };
        // One that stands twice: a reader may take either.
        let before = inner.id.replace(id);
        if before.is_some() {
            self.refer(before);
        }
    }

    fn found_word(&mut self, word: &[u8], end: u64) {
        let value = (word != b"null").then_some(word == b"true");
        let peek = &mut self.peek;
        match self.field {
            Some(Field::Stream) => peek.stream = value,
            Some(Field::IncludeUsage) => {
                peek.include_usage = value;
                if value != Some(true) {
                    peek.stream_options = StreamOptions::Declined(self.started_at..end);
                }
            }
            Some(Field::Model) if value.is_none() => peek.model_span = Some(self.started_at..end),
            Some(Field::Store) => peek.store = value,
            Some(Field::Background) => peek.background = value,
            Some(Field::StreamOptions) if value.is_none() => {
                peek.stream_options = StreamOptions::Null(self.started_at..end);
            }
            _ => {}
        }
    }

    fn found_number(&mut self) {
        let text = std::str::from_utf8(&self.kept).unwrap_or_default();
        let peek = &mut self.peek;
        match self.field {
            Some(Field::MaxTokens) => peek.max_tokens = text.parse().ok(),
            Some(Field::MaxCompletionTokens) => peek.max_completion_tokens = text.parse().ok(),
            Some(Field::MaxOutputTokens) => peek.max_output_tokens = text.parse().ok(),
            Some(Field::N) => peek.n = text.parse().ok(),
            _ => {}
        }
    }
}

/// The text of a string's raw inside; lone surrogates become U+FFFD.
fn unescaped(raw: &[u8]) -> Option<String> {
    let raw = std::str::from_utf8(raw).ok()?;
    if !raw.contains('\\') {
        return Some(raw.to_owned());
    }
    let quoted = format!("\"{raw}\"");
    crate::body::parse_json(&quoted)?.as_str().map(str::to_owned)
}
