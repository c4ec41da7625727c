//! Server-sent events, parsed as they arrive (WHATWG HTML, section 9.2).
//!
//! Lines end in LF, CRLF or CR; pieces may be cut anywhere. An event that lies whole within one piece
//! and has one line of data is handed on without a copy.

mod usage;

pub use usage::{USAGE_EVENT_BYTES_MAX, UsageFilter};

/// Largest event handed on, unless told otherwise.
pub const SSE_EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// `event`; empty if it has none.
    pub name: &'a [u8],
    /// `data`, its lines joined by LF.
    pub data: &'a [u8],
    /// `id` of this event, if it has one.
    pub id: Option<&'a [u8]>,
    /// `retry` in milliseconds, if it is a number.
    pub retry: Option<u64>,
}

/// Parses one stream of events.
#[derive(Debug)]
pub struct SseParser {
    event_bytes_max: usize,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// That line is longer than an event may be; it is passed over.
    line_too_long: bool,
    /// What is known of the event whose end has not come.
    open: OpenEvent,
    /// The last piece ended in CR: a LF at the start of the next belongs to it.
    after_cr: bool,
    /// Nothing was read yet but perhaps a part of a byte order mark.
    at_start: bool,
    oversized: u64,
}

/// An event kept over the end of a piece.
#[derive(Debug, Default)]
struct OpenEvent {
    name: Vec<u8>,
    data: Vec<u8>,
    id: Option<Vec<u8>>,
    retry: Option<u64>,
    has_data: bool,
    too_big: bool,
}

/// An event within the piece being read, as far as nothing of it had to be kept.
#[derive(Default)]
struct Borrowed<'a> {
    name: Option<&'a [u8]>,
    data: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

impl Default for SseParser {
    fn default() -> Self {
        Self::new()
    }
}

impl SseParser {
    /// A parser for one stream.
    pub fn new() -> Self {
        Self::with_limit(SSE_EVENT_BYTES_MAX)
    }

    /// A parser that drops events larger than this.
    pub fn with_limit(event_bytes_max: usize) -> Self {
        Self {
            event_bytes_max,
            line: Vec::new(),
            line_too_long: false,
            open: OpenEvent::default(),
            after_cr: false,
            at_start: true,
            oversized: 0,
        }
    }

    /// Events dropped because of their size.
    pub const fn oversized(&self) -> u64 {
        self.oversized
    }

    /// Takes the next bytes of the stream and hands on every event that they complete.
    pub fn push(&mut self, bytes: &[u8], mut sink: impl FnMut(SseEvent<'_>)) {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        if self.at_start && self.line.is_empty() && rest.len() >= BOM.len() {
            // Nothing has to be kept to tell whether there is a byte order mark.
            self.at_start = false;
            rest = rest.strip_prefix(BOM).unwrap_or(rest);
        }
        let mut borrowed = Borrowed::default();
        while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
            let (line, ended) = rest.split_at(end);
            rest = &ended[1..];
            if ended[0] == b'\r' {
                match rest.strip_prefix(b"\n") {
                    Some(after) => rest = after,
                    None => self.after_cr = rest.is_empty(),
                }
            }
            if self.line.is_empty() && !self.at_start && !self.line_too_long {
                self.take_line(line, &mut borrowed, &mut sink);
            } else {
                self.take_kept_line(line, &mut borrowed, &mut sink);
            }
        }
        self.keep(&borrowed);
        self.keep_line(rest);
    }

    /// The stream has ended. Strictly, an event without its empty line is none; it is handed on here,
    /// since an answer that was cut behind its last line has still been given.
    pub fn finish(&mut self, mut sink: impl FnMut(SseEvent<'_>)) {
        let mut borrowed = Borrowed::default();
        if !self.line.is_empty() || self.line_too_long {
            self.take_kept_line(b"", &mut borrowed, &mut sink);
        }
        self.dispatch(&mut borrowed, &mut sink);
    }

    /// A line of which the beginning, or the byte order mark before it, came with an earlier piece.
    fn take_kept_line(
        &mut self,
        line: &[u8],
        borrowed: &mut Borrowed<'_>,
        sink: &mut impl FnMut(SseEvent<'_>),
    ) {
        self.keep_line(line);
        if std::mem::take(&mut self.line_too_long) {
            self.line.clear();
            self.at_start = false;
            self.open.too_big = true;
            return;
        }
        let whole = std::mem::take(&mut self.line);
        let mut text = whole.as_slice();
        if std::mem::take(&mut self.at_start) {
            text = text.strip_prefix(BOM).unwrap_or(text);
        }
        // What was borrowed from this piece stays valid; the line's own content is kept by copy.
        self.keep(borrowed);
        *borrowed = Borrowed::default();
        let mut own = Borrowed::default();
        self.take_line(text, &mut own, sink);
        self.keep(&own);
        self.line = whole;
        self.line.clear();
    }

    fn keep_line(&mut self, line: &[u8]) {
        if self.line.len() + line.len() > self.event_bytes_max {
            self.line_too_long = true;
        } else {
            self.line.extend_from_slice(line);
        }
    }

    fn take_line<'a>(
        &mut self,
        line: &'a [u8],
        borrowed: &mut Borrowed<'a>,
        sink: &mut impl FnMut(SseEvent<'_>),
    ) {
        if line.is_empty() {
            return self.dispatch(borrowed, sink);
        }
        if line.len() > self.event_bytes_max {
            self.open.too_big = true;
            return;
        }
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => self.data(value, borrowed),
            b"event" => {
                self.open.name.clear();
                borrowed.name = Some(value);
            }
            b"id" if !value.contains(&0) => {
                self.open.id = None;
                borrowed.id = Some(value);
            }
            b"retry" => {
                let digits = value.iter().all(u8::is_ascii_digit);
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.open.retry = number.filter(|_| digits).or(self.open.retry);
            }
            _ => {}
        }
    }

    fn data<'a>(&mut self, value: &'a [u8], borrowed: &mut Borrowed<'a>) {
        let length = self.open.data.len() + borrowed.data.map_or(0, <[u8]>::len);
        if length + value.len() > self.event_bytes_max {
            self.open.too_big = true;
        } else if self.open.has_data || borrowed.data.is_some() {
            self.keep(borrowed);
            borrowed.data = None;
            self.open.data.push(b'\n');
            self.open.data.extend_from_slice(value);
        } else {
            borrowed.data = Some(value);
        }
    }

    /// Copies what the end of a piece would take away.
    fn keep(&mut self, borrowed: &Borrowed<'_>) {
        if let Some(name) = borrowed.name {
            self.open.name.clear();
            self.open.name.extend_from_slice(name);
        }
        if let Some(data) = borrowed.data {
            self.open.data.extend_from_slice(data);
            self.open.has_data = true;
        }
        if let Some(id) = borrowed.id {
            self.open.id = Some(id.to_vec());
        }
    }

    fn dispatch(&mut self, borrowed: &mut Borrowed<'_>, sink: &mut impl FnMut(SseEvent<'_>)) {
        let event = std::mem::take(borrowed);
        if self.open.too_big {
            self.oversized += 1;
        } else if self.open.has_data || event.data.is_some() {
            sink(SseEvent {
                name: event.name.unwrap_or(&self.open.name),
                data: event.data.unwrap_or(&self.open.data),
                id: event.id.or(self.open.id.as_deref()),
                retry: self.open.retry,
            });
        }
        self.open.name.clear();
        self.open.data.clear();
        self.open.id = None;
        self.open.retry = None;
        self.open.has_data = false;
        self.open.too_big = false;
    }
}

#[cfg(test)]
mod tests;
