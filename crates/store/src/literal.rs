//! Finding a text in JSON: as the inside of a string, however it is escaped, or as it is.

use std::borrow::Cow;

use memchr::memmem;

/// Bytes of a text that are searched for at first.
const START_BYTES: usize = 32;

/// A JSON text being searched from front to back, as its messages stand in it.
pub(crate) struct Search<'a> {
    json: &'a str,
    /// Behind what was found last.
    behind: usize,
}

/// Where something begins, and how many bytes it has.
type Found = Option<(usize, usize)>;

impl<'a> Search<'a> {
    pub(crate) fn new(json: &'a str) -> Self {
        Self { json, behind: 0 }
    }

    /// The inside of a string that says this.
    pub(crate) fn string(&mut self, text: &str) -> Found {
        let escaped = escaped(text)?;
        let escaped = escaped.as_ref();
        if let Some(found) = self.piece(escaped) {
            return Some(found);
        }
        let found = self.otherwise_escaped(text, escaped.len())?;
        self.behind = found.0 + found.1;
        Some(found)
    }

    /// The text as it is.
    pub(crate) fn piece(&mut self, text: &str) -> Found {
        let bytes = self.json.as_bytes();
        let from = match find(&bytes[self.behind..], text.as_bytes()) {
            Some(at) => self.behind + at,
            None => find(bytes, text.as_bytes())?,
        };
        self.behind = from + text.len();
        Some((from, text.len()))
    }

    /// Whoever wrote it may have escaped more than needs be, such as all that is not ASCII.
    fn otherwise_escaped(&self, text: &str, least: usize) -> Found {
        memchr::memchr(b'\\', self.json.as_bytes())?;
        let mut at = 0;
        while let Some((from, bytes)) = next_string(self.json, at) {
            at = from + bytes + 1;
            let inside = &self.json[from..from + bytes];
            let may_be = bytes > least && memchr::memchr(b'\\', inside.as_bytes()).is_some();
            if may_be && unescaped(inside).is_some_and(|said| said == text) {
                return Some((from, bytes));
            }
        }
        None
    }
}

/// The inside of the string that says this, as most write it.
fn escaped(text: &str) -> Option<Cow<'_, str>> {
    let is_rare = |byte: u8| byte < b' ' && byte != b'\n';
    // All of it is looked at: that takes less than stopping.
    if text.bytes().fold(false, |has, byte| has | is_rare(byte)) {
        let quoted = serde_json::to_string(text).ok()?;
        return Some(quoted[1..quoted.len() - 1].to_owned().into());
    }
    let mut escaped = String::new();
    let mut from = 0;
    for at in memchr::memchr3_iter(b'"', b'\\', b'\n', text.as_bytes()) {
        escaped.push_str(&text[from..at]);
        escaped.push_str(match text.as_bytes()[at] {
            b'"' => "\\\"",
            b'\n' => "\\n",
            _ => "\\\\",
        });
        from = at + 1;
    }
    if from == 0 {
        return Some(text.into());
    }
    escaped.push_str(&text[from..]);
    Some(escaped.into())
}

/// Where a text is. What begins as it does nearly always is it, and to compare all of it takes less than
/// to prepare a search for all of it.
fn find(json: &[u8], text: &[u8]) -> Option<usize> {
    let begins_at = memmem::find(json, &text[..text.len().min(START_BYTES)])?;
    if json[begins_at..].starts_with(text) {
        return Some(begins_at);
    }
    let behind = begins_at + 1;
    memmem::find(&json[behind..], text).map(|at| behind + at)
}

/// The inside of the next string that begins at or behind `at`.
fn next_string(json: &str, at: usize) -> Found {
    let bytes = json.as_bytes();
    let from = at + memchr::memchr(b'"', bytes.get(at..)?)? + 1;
    let mut end = from;
    loop {
        end += memchr::memchr2(b'"', b'\\', bytes.get(end..)?)?;
        if bytes[end] == b'"' {
            return Some((from, end - from));
        }
        end += 2;
    }
}

/// What the inside of a string says; none if it is no such thing.
pub(crate) fn unescaped(inside: &str) -> Option<String> {
    let said: Cow<'_, str> = serde_json::from_str(&format!("\"{inside}\"")).ok()?;
    Some(said.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, text: &str) {
        let (from, bytes) = Search::new(json).string(text).expect("it is there");
        assert_eq!(unescaped(&json[from..from + bytes]).as_deref(), Some(text));
    }

    #[test]
    fn a_text_is_found_however_it_is_escaped() {
        let text = "Ein \"Wort\"\n<übrigens> & 1/2 😀";
        check(&serde_json::json!({ "a": "x", "content": text }).to_string(), text);
        let python = r#"{"content": "Ein \"Wort\"\n<\u00fcbrigens> & 1/2 \ud83d\ude00"}"#;
        check(python, text);
        let rare = "a\ttab, a \\ and\r\na \"line\"\u{1}";
        check(&serde_json::json!({ "content": rare }).to_string(), rare);
        let other = r#"{"k\\":"","content":"Ein \u0022Wort\u0022\u000A\u003C\u00FCbrigens\u003e \u0026 1\/2 😀"}"#;
        check(other, text);
        assert!(Search::new(other).string("Ein anderes Wort").is_none());
        assert!(Search::new(r#"{"cut": "Ein \"Wo"#).string(text).is_none());
        assert!(Search::new("\"\\").string(text).is_none());
    }

    #[test]
    fn what_is_said_twice_is_found_in_order_and_again_from_the_front() {
        let json = r#"["same words","same words"]"#;
        let mut search = Search::new(json);
        assert_eq!(search.string("same words"), Some((2, 10)));
        assert_eq!(search.string("same words"), Some((15, 10)));
        assert_eq!(search.string("same words"), Some((2, 10)));
    }
}
