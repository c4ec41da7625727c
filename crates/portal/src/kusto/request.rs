//! What a client asks in Kusto's protocol: the body and its client request properties.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use axum::http::HeaderMap;
use flate2::read::GzDecoder;
use kql::Options;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::reading::PURPOSE;

/// Longest time a run may be given.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);
/// Most bytes of a result for a client that wants it whole.
const UNTRUNCATED_BYTES_MAX: u64 = 256 << 20;
/// Longest client request id, in characters; what is longer is cut.
const ID_CHARS_MAX: usize = 256;

/// A query or a command, read.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The text.
    pub(crate) csl: String,
    /// Id the client gave.
    pub(crate) id: String,
    /// What content is read for.
    pub(crate) purpose: String,
    /// Limits and parameters.
    pub(crate) options: Options,
    /// Version 2: the primary results come as fragments.
    pub(crate) is_progressive: bool,
    /// A cut result is told at the end only.
    pub(crate) defers_failures: bool,
}

#[derive(Debug, Deserialize)]
struct Body {
    csl: String,
    /// An object; clients send its JSON text as well.
    #[serde(default)]
    properties: Option<Json>,
}

/// `properties`; options that we do not know are ignored, as Kusto does.
#[derive(Debug, Default, Deserialize)]
struct Properties {
    #[serde(default, rename = "Options")]
    options: Option<Map<String, Json>>,
    #[serde(default, rename = "Parameters")]
    parameters: Option<BTreeMap<String, Json>>,
    #[serde(default, rename = "ClientRequestId")]
    id: Option<String>,
}

impl Asked {
    /// Reads a request, which may be packed; the error says what is wrong with it.
    pub(crate) fn read(headers: &HeaderMap, body: &[u8], bytes_max: usize) -> Result<Self, String> {
        let body = plain(headers, body, bytes_max)?;
        let body: Body = serde_json::from_slice(&body)
            .map_err(|error| format!("the body is not {{\"csl\": \"…\"}}: {error}"))?;
        let properties = match body.properties {
            None | Some(Json::Null) => Ok(Properties::default()),
            Some(Json::String(text)) if text.trim().is_empty() => Ok(Properties::default()),
            Some(Json::String(text)) => serde_json::from_str(&text),
            Some(properties) => serde_json::from_value(properties),
        };
        let properties =
            properties.map_err(|error| format!("`properties` cannot be read: {error}"))?;
        let known = properties.options.unwrap_or_default();
        let is_set = |name: &str| known.get(name).is_some_and(is_true);
        let stated = known.get(PURPOSE).and_then(Json::as_str);
        Ok(Self {
            csl: body.csl,
            id: properties.id.unwrap_or_else(|| request_id(headers)),
            purpose: stated.map_or_else(|| purpose(headers), str::to_owned),
            options: options(&known, properties.parameters.unwrap_or_default()),
            is_progressive: is_set("results_progressive_enabled"),
            defers_failures: is_set("deferpartialqueryfailures"),
        })
    }
}

/// The body as it was before its `Content-Encoding`.
fn plain<'b>(
    headers: &HeaderMap,
    body: &'b [u8],
    bytes_max: usize,
) -> Result<Cow<'b, [u8]>, String> {
    match header(headers, "content-encoding").trim() {
        "" | "identity" => return Ok(Cow::Borrowed(body)),
        coding if coding.eq_ignore_ascii_case("gzip") => {}
        coding => return Err(format!("the body is packed as {coding}: gzip is understood")),
    }
    let mut plain = Vec::new();
    let mut unpacked = GzDecoder::new(body).take(bytes_max as u64 + 1);
    let read = unpacked.read_to_end(&mut plain);
    read.map_err(|error| format!("the body cannot be unpacked: {error}"))?;
    if plain.len() > bytes_max {
        return Err(format!("the body unpacks to more than {bytes_max} bytes: shorten the query"));
    }
    Ok(Cow::Owned(plain))
}

/// The id that the client gave its request.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    header(headers, "x-ms-client-request-id").chars().take(ID_CHARS_MAX).collect()
}

/// What the header says that content is read for. Text beyond ASCII comes percent-encoded.
pub(crate) fn purpose(headers: &HeaderMap) -> String {
    let text = header(headers, PURPOSE);
    percent_decoded(text).unwrap_or_else(|| text.to_owned())
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if *first == b'%' {
            let digits = std::str::from_utf8(others.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &others[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Limits and parameters that the request asks for, within what a run may have.
fn options(known: &Map<String, Json>, parameters: BTreeMap<String, Json>) -> Options {
    let mut options = Options::default();
    if let Some(timeout) = known.get("servertimeout").and_then(timespan) {
        options.timeout = timeout.min(TIMEOUT_MAX);
    }
    if known.get("norequesttimeout").is_some_and(is_true) {
        options.timeout = TIMEOUT_MAX;
    }
    if known.get("notruncation").is_some_and(is_true) {
        (options.rows_max, options.bytes_max) = (u64::MAX, UNTRUNCATED_BYTES_MAX);
    }
    let number = |name: &str| known.get(name).and_then(whole_number);
    for name in ["truncationmaxrecords", "query_take_max_records"] {
        options.rows_max = options.rows_max.min(number(name).unwrap_or(u64::MAX));
    }
    let bytes = number("truncationmaxsize").unwrap_or(u64::MAX);
    options.bytes_max = options.bytes_max.min(bytes);
    let instant = |name: &str| known.get(name).and_then(Json::as_str).and_then(kql::parse_datetime);
    options.now_ticks = instant("query_now");
    let (from, to) = (instant("query_datetimescope_from"), instant("query_datetimescope_to"));
    if from.or(to).is_some() {
        options.time_range = Some((from.unwrap_or(0), to.unwrap_or(i64::MAX)));
    }
    options.parameters = parameters
        .into_iter()
        .map(|(name, value)| {
            (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect();
    options
}

fn is_true(value: &Json) -> bool {
    value
        .as_bool()
        .unwrap_or_else(|| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true")))
}

fn whole_number(value: &Json) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// `hh:mm:ss`, `d.hh:mm:ss`, or as a Python client writes it, `1 day, 0:00:00`.
fn timespan(value: &Json) -> Option<Duration> {
    let text = value.as_str()?.replace(" days, ", ".").replace(" day, ", ".");
    let ticks = kql::parse_timespan(&text)?;
    Some(Duration::from_nanos(u64::try_from(ticks).ok()?.checked_mul(100)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Json) -> Asked {
        Asked::read(&HeaderMap::new(), body.to_string().as_bytes(), 1 << 20).expect("reads")
    }

    #[test]
    fn properties_come_as_an_object_or_as_its_text() {
        let properties = json!({
            "Options": { "servertimeout": "0:01:30", "truncationmaxrecords": 5, "deferpartialqueryfailures": true, PURPOSE: "audit 7" },
            "Parameters": { "n": 7, "s": "'x'" },
        });
        for properties in [properties.clone(), properties.to_string().into()] {
            let asked = read(&json!({ "csl": "print 1", "db": "x", "properties": properties }));
            assert_eq!(asked.options.timeout, Duration::from_secs(90));
            assert_eq!(asked.options.rows_max, 5);
            assert_eq!(asked.options.parameters["n"], "7");
            assert!(asked.defers_failures && !asked.is_progressive);
            assert_eq!(asked.purpose, "audit 7");
        }
    }

    #[test]
    fn limits_can_be_lowered_and_never_raised_past_what_a_run_may_have() {
        let body = json!({ "csl": "x", "properties": { "Options": {
            "servertimeout": "5.00:00:00", "truncationmaxrecords": 9_000_000, "truncationmaxsize": 10 } } });
        let options = read(&body).options;
        assert_eq!(options.timeout, TIMEOUT_MAX);
        assert_eq!(options.rows_max, Options::default().rows_max);
        assert_eq!(options.bytes_max, 10);
        let whole = json!({ "csl": "x", "properties": { "Options": { "notruncation": true } } });
        assert_eq!(read(&whole).options.bytes_max, UNTRUNCATED_BYTES_MAX);
        assert_eq!(timespan(&json!("1 day, 0:00:00")), Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn a_purpose_in_a_header_may_be_percent_encoded() {
        let mut headers = HeaderMap::new();
        headers.insert(PURPOSE, "Pr%C3%BCfung 100%25".parse().unwrap());
        assert_eq!(purpose(&headers), "Prüfung 100%");
        headers.insert(PURPOSE, "100% sure".parse().unwrap());
        assert_eq!(purpose(&headers), "100% sure");
    }

    #[test]
    fn a_packed_body_is_read_within_the_limit_of_a_plain_one() {
        use std::io::Write;
        let packed = |text: &str| {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(text.as_bytes()).unwrap();
            packer.finish().unwrap()
        };
        let mut headers = HeaderMap::new();
        headers.insert("content-encoding", "gzip".parse().unwrap());
        let body = packed(r#"{"csl":"print 1"}"#);
        assert_eq!(Asked::read(&headers, &body, 100).unwrap().csl, "print 1");
        let bomb = packed(&" ".repeat(1 << 20));
        assert!(bomb.len() < 100_000);
        let error = Asked::read(&headers, &bomb, 100_000).unwrap_err();
        assert!(error.contains("more than 100000 bytes"), "{error}");
        assert!(Asked::read(&headers, b"plain", 100).is_err());
        headers.insert("content-encoding", "br".parse().unwrap());
        assert!(Asked::read(&headers, b"x", 100).unwrap_err().contains("gzip"));
    }

    #[test]
    fn a_body_that_is_none_says_what_it_should_be() {
        let error = Asked::read(&HeaderMap::new(), b"print 1", 1 << 20).expect_err("no JSON");
        assert!(error.contains("csl"), "{error}");
    }
}
