//! Takes out of a chat stream what asking for its usage put into it: the chunk that tells the usage,
//! and `"usage":null` in all others. Every other byte passes as it came.
//!
//! Only an event whose end has not come is held back, and no client could have read that.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

/// Longest event looked into; a longer one passes as it is.
pub const USAGE_EVENT_BYTES_MAX: usize = 256 * 1024;

/// What nearly every event ends with: what stands last in the text stands at its top level.
const PLAIN_END: &[u8] = b",\"usage\":null}\n\n";

/// Filters one stream, in pieces cut anywhere.
#[derive(Debug)]
pub struct UsageFilter {
    /// Finds the member's name; made once, since that takes longer than to look through an event.
    name: memmem::Finder<'static>,
    /// The beginning of an event whose end has not come.
    held: Vec<u8>,
    /// The event is longer than is looked into; its rest passes.
    is_passing: bool,
    /// Something stands in the line that has not ended.
    in_line: bool,
    /// Lines of the event so far.
    lines: u32,
    /// The last byte was CR: a LF that follows belongs to it.
    after_cr: bool,
    /// That CR ended an event, which was taken out or not.
    dropped: Option<bool>,
}

/// What becomes of an event.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Cut(Range<usize>),
    Drop,
}

impl Default for UsageFilter {
    fn default() -> Self {
        Self {
            name: memmem::Finder::new(br#""usage""#),
            held: Vec::new(),
            is_passing: false,
            in_line: false,
            lines: 0,
            after_cr: false,
            dropped: None,
        }
    }
}

impl UsageFilter {
    /// Takes the next piece of the stream and gives what goes on: the piece or a part of it, where
    /// nothing had to be changed.
    pub fn push<'a>(&mut self, piece: &'a [u8]) -> Cow<'a, [u8]> {
        let mut out = Vec::new();
        let mut is_changed = !self.held.is_empty();
        // Where the part of the piece begins that goes on as it is, and where the event begins.
        let (mut run, mut event) = (0, 0);
        let Some(first) = piece.first() else { return Cow::Borrowed(piece) };
        if let Some(is_dropped) = self.dropped.take().filter(|_| *first == b'\n') {
            event = 1;
            run = usize::from(is_dropped);
            is_changed = is_dropped;
            self.after_cr = false;
        }
        let mut at = event;
        while let Some(end) = self.event_end(piece, &mut at) {
            let was_held = !self.held.is_empty();
            if was_held {
                self.held.extend_from_slice(&piece[event..end]);
            }
            let whole = if was_held { &self.held[..] } else { &piece[event..end] };
            let is_one_line = std::mem::take(&mut self.lines) == 1;
            let verdict = match std::mem::take(&mut self.is_passing) {
                true => Verdict::Keep,
                false => judge(whole, is_one_line, &self.name),
            };
            let cut = match &verdict {
                Verdict::Keep => whole.len()..whole.len(),
                Verdict::Cut(cut) => cut.clone(),
                Verdict::Drop => 0..whole.len(),
            };
            self.dropped = self.after_cr.then_some(verdict == Verdict::Drop);
            if was_held {
                out.extend_from_slice(&whole[..cut.start]);
                out.extend_from_slice(&whole[cut.end..]);
                self.held.clear();
                run = end;
            } else if !cut.is_empty() {
                out.reserve(piece.len() - run);
                out.extend_from_slice(&piece[run..event + cut.start]);
                run = event + cut.end;
                is_changed = true;
            }
            event = end;
        }
        let rest = &piece[event..];
        let passed = match self.hold(rest, &mut out) {
            true => piece.len(),
            false => event,
        };
        if !is_changed && out.is_empty() {
            return Cow::Borrowed(&piece[..passed]);
        }
        out.extend_from_slice(&piece[run..passed]);
        Cow::Owned(out)
    }

    /// The stream has ended: what was held back of an event without end.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Holds the beginning of an event; true if it goes on instead, because it is too long.
    fn hold(&mut self, rest: &[u8], out: &mut Vec<u8>) -> bool {
        self.is_passing |= self.held.len() + rest.len() > USAGE_EVENT_BYTES_MAX;
        if self.is_passing {
            out.append(&mut self.held);
        } else {
            self.held.extend_from_slice(rest);
        }
        self.is_passing
    }

    /// The end of the next event: behind the empty line.
    fn event_end(&mut self, piece: &[u8], at: &mut usize) -> Option<usize> {
        if let Some(next) = piece.get(*at) {
            *at += usize::from(std::mem::take(&mut self.after_cr) && *next == b'\n');
        }
        loop {
            let rest = &piece[*at..];
            let Some(length) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.in_line |= !rest.is_empty();
                *at = piece.len();
                return None;
            };
            let is_empty = length == 0 && !self.in_line;
            self.in_line = false;
            *at += length + 1;
            if rest[length] == b'\r' {
                match piece.get(*at) {
                    Some(b'\n') => *at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if is_empty {
                return Some(*at);
            }
            self.lines += 1;
        }
    }
}

/// What becomes of a whole event.
fn judge(event: &[u8], is_one_line: bool, name: &memmem::Finder<'_>) -> Verdict {
    if is_one_line
        && let Some(before) = event.strip_suffix(PLAIN_END)
        && before.starts_with(b"data:")
    {
        return Verdict::Cut(before.len()..event.len() - b"}\n\n".len());
    }
    if name.find(event).is_none() {
        return Verdict::Keep;
    }
    let Some(data) = only_data(event) else { return Verdict::Keep };
    let json = &event[data.clone()];
    let found = find_usage(json);
    match found.value {
        Some(value) if &json[value.clone()] == b"null" => {
            Verdict::Cut(data.start + found.member.start..data.start + found.member.end)
        }
        Some(value) if json[value.start] == b'{' && found.has_no_choices => Verdict::Drop,
        _ => Verdict::Keep,
    }
}

/// The data of an event that has one line of it.
fn only_data(event: &[u8]) -> Option<Range<usize>> {
    let mut found = None;
    let mut start = 0;
    while start < event.len() {
        let rest = &event[start..];
        let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        if rest.starts_with(b"data:") {
            let gap = if rest.get(5) == Some(&b' ') { 6 } else { 5 };
            let data = start + gap.min(length)..start + length;
            if found.replace(data).is_some() {
                return None;
            }
        }
        start += length + 1;
    }
    found
}

/// `usage` at the top level of a chunk.
#[derive(Default)]
struct Found {
    /// Its value.
    value: Option<Range<usize>>,
    /// The member with the comma that goes with it.
    member: Range<usize>,
    /// `choices` is an empty list.
    has_no_choices: bool,
}

/// Looks at the top-level members. The text is taken for valid; of another nothing is found.
fn find_usage(json: &[u8]) -> Found {
    let mut found = Found::default();
    let (mut depth, mut at, mut comma) = (0_u32, 0, None);
    let mut key: Option<Range<usize>> = None;
    let mut colon: Option<usize> = None;
    while at < json.len() {
        match json[at] {
            b'"' => {
                let end = text_end(json, at);
                if depth == 1 && key.is_none() {
                    key = Some(at..end);
                }
                at = end;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b':' if depth == 1 => colon = Some(at),
            b',' | b'}' | b']' if depth == 1 => {
                if let (Some(key), Some(colon)) = (key.take(), colon.take()) {
                    let value = trimmed(json, colon + 1..at);
                    match &json[key.clone()] {
                        br#""usage""# => found.see(json, key.start, value, (comma, at)),
                        br#""choices""# => found.has_no_choices = is_empty_list(&json[value]),
                        _ => {}
                    }
                }
                comma = Some(at);
                depth -= u32::from(json[at] != b',');
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    found
}

impl Found {
    /// The comma before goes with the member, or else the one behind it.
    fn see(
        &mut self,
        json: &[u8],
        key: usize,
        value: Range<usize>,
        (before, end): (Option<usize>, usize),
    ) {
        self.member = match before {
            Some(comma) => comma..value.end,
            None if json[end] == b',' => key..end + 1,
            None => key..value.end,
        };
        self.value = Some(value);
    }
}

/// Behind the closing quote of the text that begins at `at`.
fn text_end(json: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(length) = json.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += length + 1;
        if json[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    json.len()
}

fn trimmed(json: &[u8], span: Range<usize>) -> Range<usize> {
    let text = &json[span.clone()];
    let start = span.start + (text.len() - text.trim_ascii_start().len());
    start..start + text.trim_ascii().len()
}

fn is_empty_list(value: &[u8]) -> bool {
    value
        .strip_prefix(b"[")
        .and_then(|value| value.strip_suffix(b"]"))
        .is_some_and(|inner| inner.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filtered(stream: &[u8], size: usize) -> Vec<u8> {
        let mut filter = UsageFilter::default();
        let mut out = Vec::new();
        for piece in stream.chunks(size) {
            out.extend_from_slice(&filter.push(piece));
        }
        out.extend_from_slice(&filter.finish());
        out
    }

    /// What comes with the usage asked for, and what would have come without.
    const PAIRS: [(&str, &str); 14] = [
        (
            r#"{"id":"a","choices":[{"delta":{"content":"x"}}],"usage":null}"#,
            r#"{"id":"a","choices":[{"delta":{"content":"x"}}]}"#,
        ),
        (
            r#"{"choices":[{}],"usage":null,"obfuscation":"ab"}"#,
            r#"{"choices":[{}],"obfuscation":"ab"}"#,
        ),
        (r#"{"usage":null,"choices":[{}]}"#, r#"{"choices":[{}]}"#),
        (r#"{ "a": 1, "usage": null, "choices": [{}] }"#, r#"{ "a": 1, "choices": [{}] }"#),
        (
            r#"{"choices":[],"prompt_filter_results":[{"x":{}}],"usage":null}"#,
            r#"{"choices":[],"prompt_filter_results":[{"x":{}}]}"#,
        ),
        (r#"{"choices":[],"id":"a","usage":{"total_tokens":3,"d":{"e":[1]}}}"#, ""),
        (r#"{"usage" : {"total_tokens":3}, "choices" : [ ], "obfuscation":""}"#, ""),
        // Nothing of ours.
        (
            r#"{"choices":[{"delta":{"content":"\"usage\":null}"}}]}"#,
            r#"{"choices":[{"delta":{"content":"\"usage\":null}"}}]}"#,
        ),
        (r#"{"choices":[{"x":",\\","usage":null}]}"#, r#"{"choices":[{"x":",\\","usage":null}]}"#),
        (
            r#"{"choices":[{}],"usage":{"total_tokens":1}}"#,
            r#"{"choices":[{}],"usage":{"total_tokens":1}}"#,
        ),
        (r#"{"error":{"usage":null,"message":"m"}}"#, r#"{"error":{"usage":null,"message":"m"}}"#),
        (r#"["usage"]"#, r#"["usage"]"#),
        ("[DONE]", "[DONE]"),
        (r#"{"usage":}}}]]"usage":null"#, r#"{"usage":}}}]]"usage":null"#),
    ];

    #[test]
    fn what_asking_for_usage_adds_is_taken_out_however_the_stream_is_cut() {
        for (gap, line) in [("\n\n", "\n"), ("\r\n\r\n", "\r\n"), ("\r\r", "\r"), ("\r\n\n", "\n")]
        {
            let (mut stream, mut want) = (format!(": hello{gap}"), format!(": hello{gap}"));
            for (event, without) in PAIRS {
                stream.push_str(&format!("data: {event}{gap}id: 7{line}data:{event}{gap}"));
                if !without.is_empty() {
                    want.push_str(&format!("data: {without}{gap}id: 7{line}data:{without}{gap}"));
                }
            }
            stream.push_str("data: {\"usage\":nu");
            want.push_str("data: {\"usage\":nu");
            for size in 1..stream.len() {
                let out = filtered(stream.as_bytes(), size);
                assert_eq!(String::from_utf8_lossy(&out), want, "pieces of {size}, {gap:?}");
            }
        }
    }

    #[test]
    fn whole_events_are_never_held_and_unchanged_ones_not_copied() {
        let mut filter = UsageFilter::default();
        let piece = b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: {\"c";
        let out = filter.push(piece);
        assert!(matches!(out, Cow::Borrowed(out) if out == &piece[..piece.len() - 9]), "{out:?}");
        assert_eq!(&*filter.push(b"\":3}\n\n"), b"data: {\"c\":3}\n\n");
        assert!(filter.finish().is_empty());
    }

    #[test]
    fn an_event_too_long_to_be_held_passes() {
        let mut filter = UsageFilter::default();
        let long = format!("data: {{\"x\":\"{}\",", "y".repeat(USAGE_EVENT_BYTES_MAX));
        let mut out = Vec::new();
        for piece in long.as_bytes().chunks(1000) {
            out.extend_from_slice(&filter.push(piece));
            assert!(filter.held.len() <= USAGE_EVENT_BYTES_MAX);
        }
        out.extend_from_slice(
            &filter.push(b"\"usage\":null}\n\ndata: {\"a\":1,\"usage\":null}\n\n"),
        );
        let want = format!("{long}\"usage\":null}}\n\ndata: {{\"a\":1}}\n\n");
        assert_eq!(String::from_utf8_lossy(&out), want);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_stream_comes_out_the_same_however_it_is_cut(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "data:", " ", "\n", "\r", "\r\n", "{", "}", "\"usage\"", ":", "null", ",", "\"choices\"", "[]",
                    "\\", "\"", "data: {\"choices\":[],\"usage\":{}}\n\n",
                ]),
                0..40,
            ),
            size in 1_usize..9,
        ) {
            let stream = words.concat();
            prop_assert_eq!(filtered(stream.as_bytes(), size), filtered(stream.as_bytes(), stream.len().max(1)));
        }
    }
}
