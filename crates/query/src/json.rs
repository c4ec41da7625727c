//! JSON text without trees: validate, compact, step into, and cut values out by slices.
//!
//! A `dynamic` value is its compact JSON text, in the order received with escapes kept. Every
//! function here works on that text; none builds a tree.

use std::borrow::Cow;

/// Deepest nesting read; what lies deeper makes a text "not JSON".
const DEPTH_MAX: usize = 256;

/// What a JSON text holds, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// The shape of a valid compact text.
pub(crate) fn shape(text: &str) -> Shape {
    match text.as_bytes().first() {
        Some(b'{') => Shape::Object,
        Some(b'[') => Shape::Array,
        Some(b'"') => Shape::String,
        Some(b't' | b'f') => Shape::Bool,
        Some(b'-' | b'0'..=b'9') => Shape::Number,
        _ => Shape::Null,
    }
}

/// The text without blanks between its tokens; none if it is not one JSON value.
pub(crate) fn compact(text: &str) -> Option<Cow<'_, str>> {
    let mut scanner = Scanner::new(text);
    let span = scanner.document(None, &mut [])?;
    Some(span.text(text))
}

/// The member called `key` of an object; the last one if there are several.
pub(crate) fn member<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut found = None;
    for (name, value) in entries(text) {
        if name == key {
            found = Some(value);
        }
    }
    found
}

/// The element at `index` of an array, counted from the end if negative.
pub(crate) fn element(text: &str, index: i64) -> Option<&str> {
    if shape(text) != Shape::Array {
        return None;
    }
    let index = if index < 0 {
        let length = i64::try_from(elements(text).count()).ok()?;
        length.checked_add(index)?
    } else {
        index
    };
    elements(text).nth(usize::try_from(index).ok()?)
}

/// The elements of an array; nothing for any other text.
pub(crate) fn elements(text: &str) -> impl Iterator<Item = &str> {
    Children::open(text, b'[').map(|(_, value)| value)
}

/// The members of an object; nothing for any other text.
pub(crate) fn entries(text: &str) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    Children::open(text, b'{').map(|(key, value)| (unquote(key), value))
}

/// The content of a JSON string; a text that is none is answered as it is.
pub(crate) fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    Cow::Owned(unescape(inner))
}

/// An array of strings.
pub(crate) fn strings<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut out = String::from("[");
    for (position, text) in texts.into_iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        push_quoted(&mut out, text);
    }
    out.push(']');
    out
}

/// Appends `text` as a JSON string.
pub(crate) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => {
                out.push_str("\\u00");
                out.push(char::from_digit(control as u32 / 16, 16).unwrap_or('0'));
                out.push(char::from_digit(control as u32 % 16, 16).unwrap_or('0'));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_quoted(&mut out, text);
    out
}

fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or("");
        match escape {
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'u' => rest = push_unicode(&mut out, rest),
            other => out.push(char::from(other)),
        }
    }
    out.push_str(rest);
    out
}

/// Reads the digits after `\u`, and a second half if there is one; answers what follows.
fn push_unicode<'a>(out: &mut String, rest: &'a str) -> &'a str {
    let unit = |text: &str| text.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(high) = unit(rest) else { return rest };
    let after = &rest[4..];
    if (0xD800..0xDC00).contains(&high)
        && let Some(low) = after.strip_prefix("\\u").and_then(unit)
        && (0xDC00..0xE000).contains(&low)
    {
        let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
        out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        return &after[6..];
    }
    out.push(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
    after
}

/// One step into a dynamic value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Member(String),
    Element(i64),
}

/// Follows steps through a valid compact text.
pub(crate) fn follow<'a>(text: &'a str, steps: &[Step]) -> Option<&'a str> {
    let mut here = text;
    for step in steps {
        here = match step {
            Step::Member(key) => member(here, key)?,
            Step::Element(index) => element(here, *index)?,
        };
    }
    Some(here)
}

/// Several paths through one text, walked together.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    root: Node,
    count: usize,
}

#[derive(Debug, Default)]
struct Node {
    slots: Vec<usize>,
    members: Vec<(String, Node)>,
    elements: Vec<(usize, Node)>,
}

impl Paths {
    /// Paths that count no element from the end.
    pub(crate) fn new(paths: &[Vec<Step>]) -> Self {
        let mut all = Self { root: Node::default(), count: paths.len() };
        for (slot, path) in paths.iter().enumerate() {
            let mut node = &mut all.root;
            for step in path {
                node = node.child(step);
            }
            node.slots.push(slot);
        }
        all
    }

    /// Cuts out what every path leads to; none for the whole if the text is not JSON.
    pub(crate) fn extract<'a>(&self, text: &'a str) -> Option<Vec<Option<Cow<'a, str>>>> {
        let mut spans = vec![None; self.count];
        Scanner::new(text).document(Some(&self.root), &mut spans)?;
        Some(spans.into_iter().map(|span: Option<Span>| span.map(|s| s.text(text))).collect())
    }
}

impl Node {
    fn child(&mut self, step: &Step) -> &mut Self {
        match step {
            Step::Member(key) => child_at(&mut self.members, key.clone()),
            Step::Element(index) => {
                child_at(&mut self.elements, usize::try_from(*index).unwrap_or(usize::MAX))
            }
        }
    }

    /// Forgets what a repeated key had led to.
    fn clear(&self, spans: &mut [Option<Span>]) {
        for slot in &self.slots {
            spans[*slot] = None;
        }
        for (_, child) in &self.members {
            child.clear(spans);
        }
        for (_, child) in &self.elements {
            child.clear(spans);
        }
    }
}

fn child_at<K: PartialEq>(children: &mut Vec<(K, Node)>, key: K) -> &mut Node {
    let at = children.iter().position(|(name, _)| *name == key).unwrap_or_else(|| {
        children.push((key, Node::default()));
        children.len() - 1
    });
    &mut children[at].1
}

/// Where a value stands, and whether blanks stand between its tokens.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    has_blanks: bool,
}

impl Span {
    fn text(self, whole: &str) -> Cow<'_, str> {
        let text = &whole[self.start..self.end];
        if self.has_blanks { Cow::Owned(without_blanks(text)) } else { Cow::Borrowed(text) }
    }
}

fn without_blanks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(quote) = memchr::memchr(b'"', rest.as_bytes()) {
        push_dense(&mut out, &rest[..quote]);
        let end = string_end(rest.as_bytes(), quote + 1).unwrap_or(rest.len());
        out.push_str(&rest[quote..end]);
        rest = &rest[end..];
    }
    push_dense(&mut out, rest);
    out
}

fn push_dense(out: &mut String, text: &str) {
    out.extend(text.chars().filter(|c| !matches!(c, ' ' | '\t' | '\n' | '\r')));
}

/// The position after the quote that ends a string whose content starts at `from`.
fn string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[found] == b'"' {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// Iterates over the children of a valid compact array or object.
struct Children<'a> {
    text: &'a str,
    at: usize,
    is_object: bool,
}

impl<'a> Children<'a> {
    fn open(text: &'a str, bracket: u8) -> Self {
        let is_open = text.as_bytes().first() == Some(&bracket);
        Self { text, at: if is_open { 1 } else { text.len() }, is_object: bracket == b'{' }
    }

    fn value_end(&self, from: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        match bytes.get(from)? {
            b'"' => string_end(bytes, from + 1),
            b'{' | b'[' => nested_end(bytes, from),
            _ => bytes[from..]
                .iter()
                .position(|byte| matches!(byte, b',' | b']' | b'}'))
                .map(|length| from + length),
        }
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) == Some(&b',') {
            self.at += 1;
        }
        if matches!(bytes.get(self.at), None | Some(b']' | b'}')) {
            return None;
        }
        let key_start = self.at;
        let mut value_start = self.at;
        if self.is_object {
            value_start = string_end(bytes, key_start + 1)? + 1;
        }
        let end = self.value_end(value_start)?;
        self.at = end;
        let key = &self.text[key_start..value_start.saturating_sub(1).max(key_start)];
        Some((key, &self.text[value_start..end]))
    }
}

/// The position after the bracket that closes the one at `from`.
fn nested_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at + 1)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// A validating reader that notes where wanted values stand.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    blanks: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0, blanks: 0 }
    }

    fn document(&mut self, node: Option<&Node>, spans: &mut [Option<Span>]) -> Option<Span> {
        self.skip_blanks();
        let span = self.value(node, spans, DEPTH_MAX)?;
        self.skip_blanks();
        (self.at == self.bytes.len()).then_some(span)
    }

    fn value(
        &mut self,
        node: Option<&Node>,
        spans: &mut [Option<Span>],
        depth: usize,
    ) -> Option<Span> {
        let start = self.at;
        let blanks = self.blanks;
        match self.bytes.get(self.at)? {
            b'{' => self.object(node, spans, depth.checked_sub(1)?)?,
            b'[' => self.array(node, spans, depth.checked_sub(1)?)?,
            b'"' => self.string()?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.number()?,
        }
        let span = Span { start, end: self.at, has_blanks: self.blanks != blanks };
        for slot in node.map_or(&[][..], |node| &node.slots) {
            spans[*slot] = Some(span);
        }
        Some(span)
    }

    fn object(
        &mut self,
        node: Option<&Node>,
        spans: &mut [Option<Span>],
        depth: usize,
    ) -> Option<()> {
        self.at += 1;
        self.skip_blanks();
        if self.take(b'}') {
            return Some(());
        }
        loop {
            let key_start = self.at;
            if self.bytes.get(self.at) != Some(&b'"') {
                return None;
            }
            self.string()?;
            let key = &self.bytes[key_start + 1..self.at - 1];
            let child = node.and_then(|node| member_node(node, key));
            if let Some(child) = child {
                child.clear(spans);
            }
            self.skip_blanks();
            if !self.take(b':') {
                return None;
            }
            self.skip_blanks();
            self.value(child, spans, depth)?;
            self.skip_blanks();
            if self.take(b'}') {
                return Some(());
            }
            if !self.take(b',') {
                return None;
            }
            self.skip_blanks();
        }
    }

    fn array(
        &mut self,
        node: Option<&Node>,
        spans: &mut [Option<Span>],
        depth: usize,
    ) -> Option<()> {
        self.at += 1;
        self.skip_blanks();
        if self.take(b']') {
            return Some(());
        }
        for index in 0.. {
            let child = node
                .and_then(|node| node.elements.iter().find(|(wanted, _)| *wanted == index))
                .map(|(_, child)| child);
            self.value(child, spans, depth)?;
            self.skip_blanks();
            if self.take(b']') {
                return Some(());
            }
            if !self.take(b',') {
                return None;
            }
            self.skip_blanks();
        }
        None
    }

    fn string(&mut self) -> Option<()> {
        let mut at = self.at + 1;
        loop {
            let found = at + memchr::memchr2(b'"', b'\\', self.bytes.get(at..)?)?;
            if self.bytes[found] == b'"' {
                self.at = found + 1;
                return Some(());
            }
            at = match self.bytes.get(found + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => found + 2,
                b'u' => {
                    let digits = self.bytes.get(found + 2..found + 6)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    found + 6
                }
                _ => return None,
            };
        }
    }

    fn number(&mut self) -> Option<()> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end)? != word {
            return None;
        }
        self.at = end;
        Some(())
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn skip_blanks(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
            self.blanks += 1;
        }
    }
}

fn member_node<'n>(node: &'n Node, key: &[u8]) -> Option<&'n Node> {
    let has_escape = memchr::memchr(b'\\', key).is_some();
    let decoded = if has_escape {
        Cow::Owned(unescape(std::str::from_utf8(key).ok()?).into_bytes())
    } else {
        Cow::Borrowed(key)
    };
    node.members
        .iter()
        .find(|(name, _)| name.as_bytes() == decoded.as_ref())
        .map(|(_, child)| child)
}

/// Steps of a JSON path; none if it is malformed.
pub(crate) fn path(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            steps.push(Step::Member(after[..end].to_owned()));
            rest = &after[end..];
            continue;
        }
        let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
        let quoted =
            inside.strip_prefix(['\'', '"']).and_then(|text| text.strip_suffix(['\'', '"']));
        steps.push(match quoted {
            Some(name) => Step::Member(name.to_owned()),
            None => Step::Element(inside.parse().ok()?),
        });
        rest = after;
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compaction_keeps_order_escapes_and_blanks_inside_strings() {
        let text = " { \"b\" : [ 1 , 2.50 ] ,\n \"a\" : \"x \\n \\u00e9\" } ";
        assert_eq!(compact(text).as_deref(), Some("{\"b\":[1,2.50],\"a\":\"x \\n \\u00e9\"}"));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in ["", "{", "{\"a\":}", "[1,]", "01", "\"\\x\"", "nul", "1 2", "{\"a\" 1}", "-"] {
            assert_eq!(compact(text), None, "{text}");
        }
        assert_eq!(compact(&"[".repeat(100_000)), None);
    }

    #[test]
    fn paths_walk_together_and_the_last_of_a_repeated_key_wins() {
        let member = |name: &str| Step::Member(name.into());
        let paths = Paths::new(&[
            vec![member("usage"), member("total")],
            vec![member("choices"), Step::Element(1)],
            vec![member("é")],
        ]);
        let text =
            r#"{"usage":{"total":1,"x":[{}]},"choices":[0, { "a" : 1 }],"\u00e9":true,"usage":{}}"#;
        let found = paths.extract(text).expect("valid");
        assert_eq!(found[0], None);
        assert_eq!(found[1].as_deref(), Some("{\"a\":1}"));
        assert_eq!(found[2].as_deref(), Some("true"));
        assert_eq!(paths.extract("{\"usage\":{\"total\":1}"), None);
    }

    #[test]
    fn steps_into_compact_text_find_members_and_elements_from_both_ends() {
        let text = r#"{"a":[1,"two",{"b":"]}"}],"c":{}}"#;
        assert_eq!(member(text, "c"), Some("{}"));
        let list = member(text, "a").expect("there");
        assert_eq!(element(list, 1), Some("\"two\""));
        assert_eq!(element(list, -1).and_then(|last| member(last, "b")), Some("\"]}\""));
        assert_eq!(element(list, 3), None);
        assert_eq!(element(list, -4), None);
        assert_eq!(entries("{}").count() + elements("[]").count() + elements("7").count(), 0);
    }

    #[test]
    fn strings_survive_quoting() {
        for text in ["", "plain", "\"\\\n\t\u{1}\u{1F600}", "é"] {
            assert_eq!(unquote(&quoted(text)), text);
        }
        assert_eq!(unquote(r#""\ud83d\ude00\/""#), "😀/");
    }
}
