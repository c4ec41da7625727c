//! Patterns of PCRE: most run in linear time, those that need look-around or back references step by
//! step with a limit.
//!
//! Rules are written for PCRE on bytes with `.` for line ends too and `^`, `$` at every line
//! (ModSecurity's flags `PCRE_DOTALL` and `PCRE_MULTILINE`). What PCRE reads otherwise than the
//! engines here is spelt out before they see it.

use fancy_regex::BytesMode;
use regex::bytes::{CaptureLocations, RegexBuilder};

/// Steps after which a pattern with look-around gives up: it then counts as not found, as when PCRE
/// meets its limit.
const BACKTRACK_MAX: usize = 100_000;
/// Memory that one thread may use to speed one pattern up; beyond it the search is slower.
const DFA_BYTES_MAX: usize = 256 << 10;
/// Size of a pattern that rules hold, and of one that is made of what a caller sent.
const BYTES_MAX: usize = 10 << 20;
const OPEN_BYTES_MAX: usize = 64 << 10;
/// Groups that a rule can read: `TX.0` to `TX.9`.
const GROUPS_MAX: usize = 10;

/// A pattern, ready to search.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Engine);

#[derive(Clone, Debug)]
enum Engine {
    Linear(regex::bytes::Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

impl Pattern {
    /// Reads a pattern as PCRE would.
    pub(crate) fn new(source: &str) -> Result<Self, String> {
        Self::sized(source, BYTES_MAX)
    }

    /// Reads a pattern that is made while a request waits: a large one is an error.
    pub(crate) fn open(source: &str) -> Result<Self, String> {
        Self::sized(source, OPEN_BYTES_MAX)
    }

    fn sized(source: &str, bytes_max: usize) -> Result<Self, String> {
        let (pattern, needs_backtracking) = translate(source);
        let why = |error: String| {
            let last = error.trim_end().lines().last().unwrap_or_default().trim();
            format!("the pattern cannot be read: {}", last.trim_start_matches("error: "))
        };
        if needs_backtracking {
            let built = fancy_regex::RegexBuilder::new(&pattern)
                .bytes_mode(BytesMode::Ascii)
                .multi_line(true)
                .dot_matches_new_line(true)
                .backtrack_limit(BACKTRACK_MAX)
                .delegate_size_limit(bytes_max)
                .delegate_dfa_size_limit(DFA_BYTES_MAX)
                .build();
            return built
                .map(|regex| Self(Engine::Backtracking(Box::new(regex))))
                .map_err(|error| why(error.to_string()));
        }
        let built = RegexBuilder::new(&pattern)
            .unicode(false)
            .multi_line(true)
            .dot_matches_new_line(true)
            .size_limit(bytes_max)
            .dfa_size_limit(DFA_BYTES_MAX)
            .build();
        built.map(|regex| Self(Engine::Linear(regex))).map_err(|error| why(error.to_string()))
    }

    /// Whether it stands anywhere in the value.
    pub(crate) fn is_match(&self, value: &[u8]) -> bool {
        match &self.0 {
            Engine::Linear(regex) => regex.is_match(value),
            Engine::Backtracking(regex) => regex.is_match(value).unwrap_or(false),
        }
    }

    /// What it and its groups found; none if it found nothing.
    pub(crate) fn captures<'v>(&self, value: &'v [u8]) -> Option<Vec<&'v [u8]>> {
        // Nearly always it is not there, and that is known sooner than where its groups are.
        if !self.is_match(value) {
            return None;
        }
        match &self.0 {
            Engine::Linear(regex) => {
                let mut places: CaptureLocations = regex.capture_locations();
                regex.captures_read(&mut places, value)?;
                let group = |at| places.get(at).map_or(&[][..], |(from, to)| &value[from..to]);
                Some((0..places.len().min(GROUPS_MAX)).map(group).collect())
            }
            Engine::Backtracking(regex) => {
                let found = regex.captures(value).ok()??;
                let group = |at| found.get(at).map_or(&[][..], |group| group.as_bytes());
                Some((0..found.len().min(GROUPS_MAX)).map(group).collect())
            }
        }
    }

    /// It runs step by step, with a limit.
    pub(crate) fn is_backtracking(&self) -> bool {
        matches!(self.0, Engine::Backtracking(_))
    }
}

/// The pattern in the engines' own spelling, and whether it needs backtracking.
fn translate(source: &str) -> (String, bool) {
    let mut reader = Reader { rest: source, out: String::new(), backtracks: false };
    reader.pattern();
    (reader.out, reader.backtracks)
}

struct Reader<'a> {
    rest: &'a str,
    out: String,
    backtracks: bool,
}

impl Reader<'_> {
    fn pattern(&mut self) {
        let mut after_repeat = false;
        while let Some(letter) = self.rest.chars().next() {
            let mut is_repeat = false;
            match letter {
                '\\' => self.escape(false),
                '[' => self.class(),
                '(' => self.group(),
                '{' => match repeat_length(self.rest) {
                    Some(length) => {
                        self.take(length);
                        is_repeat = true;
                    }
                    None => self.put("\\{", 1),
                },
                '}' => self.put("\\}", 1),
                '+' if after_repeat => {
                    self.backtracks = true;
                    self.take(1);
                }
                '*' | '+' | '?' => {
                    self.take(1);
                    // A second sign makes the first lazy or possessive.
                    is_repeat = !after_repeat;
                }
                letter => self.put_letter(letter),
            }
            after_repeat = is_repeat;
        }
    }

    /// `(?=`, `(?!`, `(?<=`, `(?<!` and `(?>` are beyond the linear engine.
    fn group(&mut self) {
        let looks = ["(?=", "(?!", "(?<=", "(?<!", "(?>"];
        self.backtracks |= looks.iter().any(|look| self.rest.starts_with(look));
        self.take(1);
        if self.rest.starts_with('?') {
            self.take(1);
        }
    }

    /// A class; in PCRE `[`, `&`, `~` and a doubled `-` in it are letters.
    fn class(&mut self) {
        self.take(1);
        if self.rest.starts_with('^') {
            self.take(1);
        }
        let mut is_first = true;
        while let Some(letter) = self.rest.chars().next() {
            match letter {
                ']' if is_first => self.put("\\]", 1),
                ']' => return self.take(1),
                '[' => match posix_length(self.rest) {
                    Some(length) => self.take(length),
                    None => self.put("\\[", 1),
                },
                '&' => self.put("\\&", 1),
                '~' => self.put("\\~", 1),
                '-' if self.rest.starts_with("--") => self.put("\\-", 1),
                '\\' => self.escape(true),
                letter => self.put_letter(letter),
            }
            is_first = false;
        }
    }

    fn escape(&mut self, in_class: bool) {
        let Some(letter) = self.rest[1..].chars().next() else { return self.put("\\\\", 1) };
        match letter {
            'h' if in_class => self.put("\\t\\x20\\xA0", 2),
            'h' => self.put("[\\t\\x20\\xA0]", 2),
            'v' if in_class => self.put("\\n\\x0B\\x0C\\r\\x85", 2),
            'v' => self.put("[\\n\\x0B\\x0C\\r\\x85]", 2),
            'R' if !in_class => self.put("(?:\\r\\n|[\\n\\x0B\\x0C\\r\\x85])", 2),
            'e' => self.put("\\x1B", 2),
            'b' if in_class => self.put("\\x08", 2),
            'Z' if !in_class => self.put("(?:\\n?\\z)", 2),
            '0' => self.put("\\x00", 2),
            '1'..='9' if !in_class => {
                self.backtracks = true;
                self.take(2);
            }
            'x' => self.hexadecimal(),
            'a' | 'A' | 'b' | 'B' | 'd' | 'D' | 'f' | 'n' | 'r' | 's' | 'S' | 't' | 'w' | 'W'
            | 'z' => {
                self.take(2);
            }
            letter if letter.is_ascii_punctuation() && !matches!(letter, '<' | '>') => self.take(2),
            // A letter that needs no escape: `\<` would be the beginning of a word.
            letter => {
                self.rest = &self.rest[1..];
                self.put_letter(letter);
            }
        }
    }

    /// `\xHH`, `\xH`, `\x{HH}`.
    fn hexadecimal(&mut self) {
        let after = &self.rest[2..];
        let inner = after.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let plain = after.len() - after.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len();
        let (digits, length) = match inner {
            Some((inner, _)) => (inner, inner.len() + 2),
            None => (&after[..plain.min(2)], plain.min(2)),
        };
        let code = u32::from_str_radix(digits, 16).unwrap_or(0);
        let text = format!("\\x{{{code:02X}}}");
        let text = if code < 0x100 { format!("\\x{code:02X}") } else { text };
        self.put(&text, 2 + length);
    }

    /// Letters beyond ASCII are the bytes of their UTF-8.
    fn put_letter(&mut self, letter: char) {
        if letter.is_ascii() {
            self.out.push(letter);
        } else {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                self.out.push_str(&format!("\\x{byte:02X}"));
            }
        }
        self.rest = &self.rest[letter.len_utf8()..];
    }

    fn take(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.out.push_str(taken);
        self.rest = rest;
    }

    fn put(&mut self, text: &str, length: usize) {
        self.out.push_str(text);
        self.rest = &self.rest[length..];
    }
}

/// The length of `{n}`, `{n,}` or `{n,m}`; any other brace is a letter.
fn repeat_length(text: &str) -> Option<usize> {
    let (inner, _) = text.strip_prefix('{')?.split_once('}')?;
    let (from, to) = inner.split_once(',').unwrap_or((inner, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!from.is_empty() && is_number(from) && is_number(to)).then_some(inner.len() + 2)
}

/// The length of `[:alpha:]` and its like.
fn posix_length(text: &str) -> Option<usize> {
    let (inner, _) = text.strip_prefix("[:")?.split_once(":]")?;
    let is_name = inner.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'^');
    (is_name && !inner.is_empty()).then_some(inner.len() + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pattern, what it is found in, and what it is not.
    type Case = (&'static str, &'static [&'static [u8]], &'static [&'static [u8]]);

    #[test]
    fn patterns_mean_what_they_mean_in_pcre() {
        let cases: &[Case] = &[
            (r"\<b\>", &[b"a<b>"], &[b"a b c"]),
            (r"[^\<\>\[a&&b]x", &[b"cx"], &[b"<x", b"[x", b"&x", b"ax"]),
            ("a{,3}{b", &[b"a{,3}{b"], &[b"aaab"]),
            ("a{2,}}", &[b"aa}"], &[b"a}"]),
            ("[]a]+$", &[b"]a"], &[b"b"]),
            (r"\xbc\x3", &[b"\xbc\x03"], &[b"\xbc\x04", b"\xbc3"]),
            ("é", &[b"\xc3\xa9"], &[b"\xe9"]),
            ("^b$", &[b"a\nb\nc"], &[b"ab"]),
            ("a.b", &[b"a\nb"], &[b"ab"]),
            (r"\Aa\Z", &[b"a", b"a\n"], &[b"a\nb"]),
            (r"[\w--]", &[b"-"], &[b" "]),
            ("(?i)abc", &[b"xABC"], &[b"ab"]),
            (r"[[:alpha:]_]1", &[b"_1"], &[b"[1"]),
            ("a(?!b)", &[b"ac"], &[b"ab"]),
            (r"(.)\1", &[b"aa"], &[b"ab"]),
            ("a++b", &[b"aab"], &[b"aac"]),
            ("x*+x", &[], &[b"xxx"]),
            (r"(?<!a)b", &[b"\xffb"], &[b"ab"]),
        ];
        for (source, found, missing) in cases {
            let pattern = Pattern::new(source).unwrap();
            for value in *found {
                assert!(pattern.is_match(value), "{source} in {value:?}");
            }
            for value in *missing {
                assert!(!pattern.is_match(value), "{source} in {value:?}");
            }
        }
    }

    #[test]
    fn groups_are_read_from_both_engines() {
        for source in ["(a)(x)?(b)", "(a)(x)?(b)(?!c)"] {
            let pattern = Pattern::new(source).unwrap();
            assert_eq!(pattern.is_backtracking(), source.contains("?!"));
            let groups = pattern.captures(b"-ab-").unwrap();
            assert_eq!(groups, [&b"ab"[..], b"a", b"", b"b"]);
        }
    }

    #[test]
    fn a_pattern_that_explodes_gives_up() {
        let pattern = Pattern::new("(?=(a+)+$)b|(a|a)*(?!x)c").unwrap();
        assert!(!pattern.is_match(&b"a".repeat(10_000)));
    }

    #[test]
    fn what_no_engine_reads_is_an_error() {
        assert!(Pattern::new("(a").is_err() && Pattern::new("(?=a").is_err());
    }
}
