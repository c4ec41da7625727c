//! Subscription keys: where callers put them, and how they are kept out of records, logs and
//! backends.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

/// Headers that carry the subscription key, in the order in which they are read.
const KEY_HEADERS: [&str; 2] = ["api-key", "ocp-apim-subscription-key"];
/// Query parameters that carry it; compared without case. The last one is how browsers send a bearer
/// token when they open a WebSocket.
const KEY_PARAMETERS: [&str; 3] = ["subscription-key", "api-key", "authorization"];
/// What the key stands behind in a subprotocol of a browser's WebSocket.
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";
/// Headers that clients of other services put their key in: never read, never recorded.
const MISPLACED_HEADERS: [&str; 8] = [
    "x-api-key",
    "apikey",
    "api_key",
    "openai-api-key",
    "azure-api-key",
    "subscription-key",
    "x-goog-api-key",
    "x-functions-key",
];
/// Parameters of that kind.
const MISPLACED_PARAMETERS: [&str; 4] = ["key", "apikey", "api_key", "access_token"];
/// What stands in the record in place of a secret.
const REDACTED: &str = "***";

/// The subscription key of a request: a header's, or else the bearer token, or else the query's, or
/// else one among a WebSocket's subprotocols.
pub(crate) fn find<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Option<Cow<'a, str>> {
    for name in KEY_HEADERS {
        if let Some(key) = headers.get(name) {
            return key.to_str().ok().map(|key| Cow::Borrowed(key.trim()));
        }
    }
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| Cow::Borrowed(token.trim()));
    }
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut keys = pairs.filter(|(name, _)| is_key_parameter(name));
    let Some((_, value)) = keys.next() else { return find_in_protocols(headers) };
    let value = percent_decode_str(value).decode_utf8().ok()?;
    Some(match value.get(..7) {
        Some(scheme)
            if scheme.eq_ignore_ascii_case("bearer ") || scheme.eq_ignore_ascii_case("bearer+") =>
        {
            Cow::Owned(value[7..].trim().to_owned())
        }
        _ => value,
    })
}

fn find_in_protocols(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut protocols =
        lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    protocols.find_map(|protocol| key_of_protocol(protocol.trim())).map(Cow::Borrowed)
}

/// The key that a subprotocol carries, if it does.
pub(crate) fn key_of_protocol(protocol: &str) -> Option<&str> {
    let start = protocol.get(..KEY_PROTOCOL.len())?;
    start.eq_ignore_ascii_case(KEY_PROTOCOL).then(|| &protocol[KEY_PROTOCOL.len()..])
}

/// A header that probably holds a key but is not read.
pub(crate) fn misplaced_header(headers: &HeaderMap) -> Option<&'static str> {
    MISPLACED_HEADERS.into_iter().find(|name| headers.contains_key(*name))
}

/// A parameter that probably holds a key but is not read.
pub(crate) fn misplaced_parameter(query: &str) -> Option<&'static str> {
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    names.into_iter().find_map(|name| {
        MISPLACED_PARAMETERS.into_iter().find(|known| name.eq_ignore_ascii_case(known))
    })
}

/// Whether a header's value must not be recorded: those above, and cookies.
pub(crate) fn is_secret(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "authorization"
            | "proxy-authorization"
            | "cookie"
            | "set-cookie"
            | "api-key"
            | "ocp-apim-subscription-key"
            | "x-api-key"
            | "apikey"
            | "api_key"
            | "openai-api-key"
            | "azure-api-key"
            | "subscription-key"
            | "x-goog-api-key"
            | "x-functions-key"
    )
}

/// A header's value as it is recorded.
pub(crate) fn redact_header<'a>(name: &HeaderName, value: &'a [u8]) -> Cow<'a, [u8]> {
    if *name == SEC_WEBSOCKET_PROTOCOL {
        return redact_protocols(&String::from_utf8_lossy(value)).into_bytes().into();
    }
    if !is_secret(name) {
        return value.into();
    }
    if value.len() > 7 && value[..7].eq_ignore_ascii_case(b"bearer ") {
        return format!("Bearer {REDACTED}").into_bytes().into();
    }
    REDACTED.as_bytes().into()
}

fn redact_protocols(list: &str) -> String {
    let redacted = list.split(',').map(str::trim).map(|protocol| match key_of_protocol(protocol) {
        Some(_) => format!("{KEY_PROTOCOL}{REDACTED}"),
        None => protocol.to_owned(),
    });
    redacted.collect::<Vec<_>>().join(", ")
}

/// A query as it is recorded: its keys redacted.
pub(crate) fn redact_query(query: &str) -> Cow<'_, str> {
    let is_secret = |name: &str| is_key_parameter(name) || misplaced_parameter(name).is_some();
    rewrite(query, is_secret, |pair, out| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        out.push_str(name);
        out.push('=');
        out.push_str(REDACTED);
    })
}

/// A query as it is sent on: its keys removed.
pub(crate) fn strip_query(query: &str) -> Cow<'_, str> {
    rewrite(query, is_key_parameter, |_, _| {})
}

fn rewrite(
    query: &str,
    is_key: impl Fn(&str) -> bool,
    replace: impl Fn(&str, &mut String),
) -> Cow<'_, str> {
    let has_key = |pair: &str| is_key(pair.split_once('=').map_or(pair, |(name, _)| name));
    if !query.split('&').any(has_key) {
        return Cow::Borrowed(query);
    }
    let mut out = String::with_capacity(query.len());
    for pair in query.split('&') {
        let length = out.len();
        if length > 0 {
            out.push('&');
        }
        let start = out.len();
        if has_key(pair) {
            replace(pair, &mut out);
        } else {
            out.push_str(pair);
        }
        if out.len() == start {
            out.truncate(length);
        }
    }
    Cow::Owned(out)
}

fn is_key_parameter(name: &str) -> bool {
    let name = percent_decode_str(name).decode_utf8_lossy();
    KEY_PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn found(headers: &[(&'static str, &'static str)], query: Option<&str>) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        find(&map, query).map(Cow::into_owned)
    }

    #[test]
    fn every_carrier_is_read_and_headers_come_before_the_query() {
        assert_eq!(found(&[("api-key", "a")], None).as_deref(), Some("a"));
        assert_eq!(found(&[("ocp-apim-subscription-key", "b")], None).as_deref(), Some("b"));
        assert_eq!(found(&[("authorization", "bearer c")], None).as_deref(), Some("c"));
        assert_eq!(found(&[], Some("x=1&Subscription-Key=d%2B")).as_deref(), Some("d+"));
        assert_eq!(found(&[], Some("api-key=e")).as_deref(), Some("e"));
        assert_eq!(found(&[("api-key", "a")], Some("api-key=e")).as_deref(), Some("a"));
        let both = [("ocp-apim-subscription-key", "b"), ("api-key", "a")];
        assert_eq!(found(&both, None).as_deref(), Some("a"));
        assert_eq!(found(&[], Some("Authorization=Bearer%20f")).as_deref(), Some("f"));
        assert_eq!(found(&[], Some("Authorization=Bearer+f")).as_deref(), Some("f"));
        let offered = [("sec-websocket-protocol", "realtime, openai-insecure-api-key.g")];
        assert_eq!(found(&offered, None).as_deref(), Some("g"));
        assert_eq!(found(&offered, Some("a=b&api-key=e")).as_deref(), Some("e"));
        assert_eq!(found(&[("authorization", "Basic c")], None), None);
        assert_eq!(found(&[], None), None);
    }

    #[test]
    fn queries_are_redacted_in_records_and_stripped_upstream() {
        let query = "api-version=1&api-key=s3cret&x=y&subscription%2Dkey=s3cret";
        assert_eq!(redact_query(query), "api-version=1&api-key=***&x=y&subscription%2Dkey=***");
        assert_eq!(redact_query("key=s3cret&x=key"), "key=***&x=key");
        assert_eq!(strip_query(query), "api-version=1&x=y");
        assert_eq!(strip_query("api-key=s&a=b"), "a=b");
        assert_eq!(strip_query("api-key=s"), "");
        assert!(matches!(strip_query("a=b"), Cow::Borrowed("a=b")));
    }

    #[test]
    fn secret_headers_never_show_their_value() {
        let names = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
        for name in names.into_iter().chain(KEY_HEADERS).chain(MISPLACED_HEADERS) {
            let shown = redact_header(&HeaderName::from_static(name), b"Bearer s3cret");
            assert!([&b"***"[..], b"Bearer ***"].contains(&&*shown), "{name}");
        }
        assert_eq!(redact_header(&HeaderName::from_static("accept"), b"*/*"), &b"*/*"[..]);
        let offered = b"realtime,OpenAI-insecure-api-key.s3cret, x";
        let shown = redact_header(&SEC_WEBSOCKET_PROTOCOL, offered);
        assert_eq!(shown, &b"realtime, openai-insecure-api-key.***, x"[..]);
    }
}
