//! URLs, taken apart.

use super::bag::Bag;
use crate::json;

/// The parts of a URL, as `parse_url` names them.
pub(super) fn parse(url: &str) -> String {
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = match rest.find('/') {
        Some(at) => (&rest[..at], &rest[at..]),
        None => (rest, ""),
    };
    let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, port),
        _ => (host, ""),
    };
    let mut bag = Bag::default();
    for (key, value) in [
        ("Scheme", scheme),
        ("Host", host),
        ("Port", port),
        ("Path", path),
        ("Username", user),
        ("Password", password),
    ] {
        bag.set(key, &json::quoted(value));
    }
    bag.set("Query Parameters", &parameters(query));
    bag.set("Fragment", &json::quoted(fragment));
    bag.json()
}

/// The parameters of a query, under the name `parse_urlquery` gives them.
pub(super) fn parse_query(query: &str) -> String {
    let query = query.split_once('?').map_or(query, |(_, query)| query);
    let mut bag = Bag::default();
    bag.set("Query Parameters", &parameters(query));
    bag.json()
}

fn parameters(query: &str) -> String {
    let mut bag = Bag::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        bag.set(&decode(key), &json::quoted(&decode(value)));
    }
    bag.json()
}

/// `%20` and `+` are what they stand for.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let source = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = source.get(at) {
        let escaped = (*byte == b'%')
            .then(|| source.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(decoded) => {
                bytes.push(decoded);
                at += 3;
            }
            None => {
                bytes.push(if *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
