//! Operators: the question a rule asks of a value.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use ipnet::IpNet;

use crate::injection;
use crate::pattern::Pattern;
use crate::problem;
use crate::text::Text;

/// Reads a data file that a rule names, given the rule file that names it.
pub type ReadData<'a> = dyn Fn(&str, &str) -> Result<String, String> + 'a;

/// A question, perhaps the other way round.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    pub(crate) is_negated: bool,
    pub(crate) question: Question,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    Pattern(Pattern),
    /// A pattern with variables in it: made when it is asked.
    OpenPattern(Text),
    Phrases(AhoCorasick),
    Compare(Comparison, Text),
    Number(Order, Text),
    Address(Vec<IpNet>),
    SqlInjection,
    CrossSiteScripting,
    /// The bytes that may stand in a value.
    ByteRange(Box<[bool; 256]>),
    UrlEncoding,
    Utf8,
    Always,
    Never,
}

/// How two texts are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Comparison {
    BeginsWith,
    Contains,
    ContainsWord,
    EndsWith,
    Equal,
    Within,
}

/// How two numbers are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Equal,
    AtLeast,
    Above,
    AtMost,
    Below,
}

/// Why an operator is not there.
#[derive(Debug)]
pub(crate) enum Missing {
    /// It is none, or its argument is wrong.
    Wrong(String),
    /// It needs what Gatehouse does not ask while a request waits: rules with it are left out.
    LeftOut(String),
}

const NAMES: &[&str] = &[
    "beginsWith",
    "contains",
    "containsWord",
    "detectSQLi",
    "detectXSS",
    "endsWith",
    "eq",
    "ge",
    "gt",
    "ipMatch",
    "ipMatchF",
    "ipMatchFromFile",
    "le",
    "lt",
    "noMatch",
    "pm",
    "pmf",
    "pmFromFile",
    "rx",
    "rxGlobal",
    "streq",
    "strmatch",
    "unconditionalMatch",
    "validateByteRange",
    "validateUrlEncoding",
    "validateUtf8Encoding",
    "within",
];
/// Operators that ask other services or look into files and answers.
const LEFT_OUT: &[&str] = &[
    "fuzzyHash",
    "geoLookup",
    "gsbLookup",
    "inspectFile",
    "rbl",
    "rsub",
    "validateDTD",
    "validateHash",
    "validateSchema",
    "verifyCC",
    "verifyCPF",
    "verifySSN",
    "verifySVNR",
];
/// Longest data file's number of lines.
const PHRASES_MAX: usize = 100_000;

impl Operator {
    /// `!@name argument`; without a name it is a pattern.
    pub(crate) fn parse(text: &str, file: &str, read: &ReadData<'_>) -> Result<Self, Missing> {
        let (is_negated, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, text),
        };
        let (name, argument) = match text.strip_prefix('@') {
            Some(rest) => rest.split_once([' ', '\t']).unwrap_or((rest, "")),
            None => ("rx", text),
        };
        let question = question(name, argument, file, read)?;
        Ok(Self { is_negated, question })
    }

    /// It is a pattern that is searched step by step.
    pub(crate) fn is_backtracking(&self) -> bool {
        matches!(&self.question, Question::Pattern(pattern) if pattern.is_backtracking())
    }

    /// Whether a rule with it holds for a value; `found` gets what a pattern found.
    pub(crate) fn holds<'v>(
        &self,
        value: &'v [u8],
        expand: &dyn Fn(&Text) -> Vec<u8>,
        found: Option<&mut Vec<&'v [u8]>>,
    ) -> bool {
        self.question.holds(value, expand, found) != self.is_negated
    }
}

fn question(
    name: &str,
    argument: &str,
    file: &str,
    read: &ReadData<'_>,
) -> Result<Question, Missing> {
    let compare = |how| Ok(Question::Compare(how, Text::parse(argument)));
    let number = |order| Ok(Question::Number(order, Text::parse(argument.trim())));
    let listed = || lines(&read(file, argument.trim()).map_err(Missing::Wrong)?);
    match name.to_ascii_lowercase().as_str() {
        "rx" | "rxglobal" => {
            let text = Text::parse(argument);
            match text.plain() {
                Some(_) => Pattern::new(argument).map(Question::Pattern).map_err(Missing::Wrong),
                None => Ok(Question::OpenPattern(text)),
            }
        }
        "pm" => phrases(&argument.split_whitespace().map(str::to_owned).collect::<Vec<_>>()),
        "pmf" | "pmfromfile" => phrases(&listed()?),
        "beginswith" => compare(Comparison::BeginsWith),
        "contains" | "strmatch" => compare(Comparison::Contains),
        "containsword" => compare(Comparison::ContainsWord),
        "endswith" => compare(Comparison::EndsWith),
        "streq" => compare(Comparison::Equal),
        "within" => compare(Comparison::Within),
        "eq" => number(Order::Equal),
        "ge" => number(Order::AtLeast),
        "gt" => number(Order::Above),
        "le" => number(Order::AtMost),
        "lt" => number(Order::Below),
        "ipmatch" => networks(argument.split(',')),
        "ipmatchf" | "ipmatchfromfile" => networks(listed()?.iter().map(String::as_str)),
        "detectsqli" => Ok(Question::SqlInjection),
        "detectxss" => Ok(Question::CrossSiteScripting),
        "validatebyterange" => byte_range(argument),
        "validateurlencoding" => Ok(Question::UrlEncoding),
        "validateutf8encoding" => Ok(Question::Utf8),
        "unconditionalmatch" => Ok(Question::Always),
        "nomatch" => Ok(Question::Never),
        lower => {
            let is_this = |known: &&str| known.eq_ignore_ascii_case(lower);
            Err(match LEFT_OUT.iter().find(|known| is_this(known)) {
                Some(known) => Missing::LeftOut(format!("@{known} is not supported")),
                None => Missing::Wrong(problem::unknown(
                    "operator",
                    &format!("@{name}"),
                    NAMES.iter().chain(LEFT_OUT).copied(),
                )),
            })
        }
    }
}

/// Lines of a data file that are no comments.
fn lines(text: &str) -> Result<Vec<String>, Missing> {
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.len() > PHRASES_MAX {
        let count = lines.len();
        return Err(Missing::Wrong(format!(
            "a data file has {count} lines, more than {PHRASES_MAX}"
        )));
    }
    Ok(lines)
}

fn phrases(phrases: &[String]) -> Result<Question, Missing> {
    let built = AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .build(phrases.iter().collect::<BTreeSet<_>>());
    built.map(Question::Phrases).map_err(|error| Missing::Wrong(error.to_string()))
}

fn networks<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Question, Missing> {
    let mut networks = Vec::new();
    for text in texts.map(str::trim).filter(|text| !text.is_empty()) {
        let network = text.parse::<IpNet>().ok();
        let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        networks.push(network.ok_or_else(|| {
            Missing::Wrong(format!("`{text}` is no address and no network as 10.0.0.0/8"))
        })?);
    }
    Ok(Question::Address(networks))
}

/// `1-255` or `9,10,32-126`.
fn byte_range(text: &str) -> Result<Question, Missing> {
    let mut allowed = Box::new([false; 256]);
    for piece in text.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        let (from, to) = piece.split_once('-').unwrap_or((piece, piece));
        let (Ok(from), Ok(to)) = (from.trim().parse::<u8>(), to.trim().parse::<u8>()) else {
            return Err(Missing::Wrong(format!("`{piece}` is no range of bytes from 0 to 255")));
        };
        for byte in from..=to {
            allowed[usize::from(byte)] = true;
        }
    }
    Ok(Question::ByteRange(allowed))
}

impl Question {
    fn holds<'v>(
        &self,
        value: &'v [u8],
        expand: &dyn Fn(&Text) -> Vec<u8>,
        mut found: Option<&mut Vec<&'v [u8]>>,
    ) -> bool {
        let mut search = |pattern: &Pattern| match &mut found {
            None => pattern.is_match(value),
            Some(found) => match pattern.captures(value) {
                Some(groups) => {
                    **found = groups;
                    true
                }
                None => false,
            },
        };
        match self {
            Self::Pattern(pattern) => search(pattern),
            Self::OpenPattern(text) => {
                let source = String::from_utf8_lossy(&expand(text)).into_owned();
                Pattern::open(&source).is_ok_and(|pattern| search(&pattern))
            }
            Self::Phrases(phrases) => {
                let place = phrases.find(value);
                if let (Some(place), Some(found)) = (place, found) {
                    *found = vec![&value[place.range()]];
                }
                place.is_some()
            }
            Self::Compare(how, text) => match text.plain() {
                Some(text) => how.holds(value, text.as_bytes()),
                None => how.holds(value, &expand(text)),
            },
            Self::Number(order, text) => match text.plain() {
                Some(text) => order.holds(integer(value), integer(text.as_bytes())),
                None => order.holds(integer(value), integer(&expand(text))),
            },
            Self::Address(networks) => {
                let address = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                address.is_some_and(|address: IpAddr| {
                    let address = address.to_canonical();
                    networks.iter().any(|network| network.contains(&address))
                })
            }
            Self::SqlInjection => injection::is_sql(value),
            Self::CrossSiteScripting => injection::is_script(value),
            Self::ByteRange(allowed) => value.iter().any(|byte| !allowed[usize::from(*byte)]),
            Self::UrlEncoding => !is_url_encoded(value),
            Self::Utf8 => std::str::from_utf8(value).is_err(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl Comparison {
    fn holds(self, value: &[u8], text: &[u8]) -> bool {
        match self {
            Self::BeginsWith => value.starts_with(text),
            Self::Contains => contains(value, text),
            Self::ContainsWord => contains_word(value, text),
            Self::EndsWith => value.ends_with(text),
            Self::Equal => value == text,
            Self::Within => contains(text, value),
        }
    }
}

impl Order {
    fn holds(self, value: i64, wanted: i64) -> bool {
        match self {
            Self::Equal => value == wanted,
            Self::AtLeast => value >= wanted,
            Self::Above => value > wanted,
            Self::AtMost => value <= wanted,
            Self::Below => value < wanted,
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

/// The part with no letter, digit or underscore on either side.
fn contains_word(text: &[u8], part: &[u8]) -> bool {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    part.is_empty()
        || memchr::memmem::find_iter(text, part).any(|at| {
            let before = at.checked_sub(1).and_then(|before| text.get(before));
            !is_word(before) && !is_word(text.get(at + part.len()))
        })
}

/// The number a value begins with, as C's `atoi` reads it; 0 if it begins with none.
pub(crate) fn integer(value: &[u8]) -> i64 {
    let value = value.trim_ascii_start();
    let (sign, digits) = match value {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0i64, |number, digit| {
        number.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    sign * number
}

fn is_url_encoded(value: &[u8]) -> bool {
    let is_hex = |at: usize| value.get(at).is_some_and(u8::is_ascii_hexdigit);
    memchr::memchr_iter(b'%', value).all(|at| is_hex(at + 1) && is_hex(at + 2))
}
