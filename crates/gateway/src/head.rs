//! What a well-formed head may still not hold, over either version of HTTP. What HTTP/1.1's gate has
//! looked at already costs little to look at again, and HTTP/2 has no gate.

use http::request::Parts;
use http::{Method, Version, header};
use percent_encoding::percent_decode_str;

use crate::config::EdgeConfig;
use crate::headers;
use crate::refusal::{Kind, Refusal};
use crate::websocket::handshake;

/// Methods that the API may have; any other means something else to each server.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Refuses a head over the limits, and one that a backend might read in another way.
pub(crate) fn check(edge: &EdgeConfig, parts: &Parts) -> Result<(), Refusal> {
    if parts.version == Version::HTTP_2 {
        let target = parts.uri.path_and_query().map_or(1, |target| target.as_str().len());
        let line = parts.method.as_str().len() + target + " HTTP/1.1 ".len();
        let bytes = headers::head_bytes(line, &parts.headers);
        let lines = parts.headers.len();
        if bytes > u64::from(edge.head_bytes_max) || lines > edge.header_count_max as usize {
            return Err(Refusal::new(Kind::HeadTooLarge));
        }
        check_framing(parts)?;
    }
    // Over HTTP/2 a WebSocket is asked for by CONNECT (RFC 8441).
    let is_websocket = handshake::is_asked(&parts.method, &parts.headers, &parts.extensions);
    if !METHODS.contains(&parts.method) && !is_websocket {
        let methods: Vec<&str> = METHODS.iter().map(Method::as_str).collect();
        return Err(Refusal::new(Kind::MethodNotAllowed).allow(&methods));
    }
    check_authority(parts)?;
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    if target.bytes().any(|byte| byte >= 0x7f) {
        return Err(malformed("its target holds bytes that must be percent-encoded"));
    }
    check_path(parts.uri.path())
}

/// HTTP/2 has its own framing, but a backend may be spoken to in HTTP/1.1.
fn check_framing(parts: &Parts) -> Result<(), Refusal> {
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    let is_number = |length: &http::HeaderValue| length.as_bytes().iter().all(u8::is_ascii_digit);
    if lengths.next().is_some_and(|length| !is_number(length)) || lengths.next().is_some() {
        return Err(malformed("Content-Length must stand once, and be a number"));
    }
    if parts.headers.contains_key("content_length")
        || parts.headers.contains_key("transfer_encoding")
    {
        return Err(malformed("content_length and transfer_encoding are look-alikes"));
    }
    Ok(())
}

/// `Host` and the authority of the target name one host (RFC 9113, section 8.3.1); in HTTP/1.1 the
/// latter stands only in a target of absolute form.
fn check_authority(parts: &Parts) -> Result<(), Refusal> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(malformed("Host must stand once"));
    }
    let Some(host) = host else { return Ok(()) };
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]:%!$&'()*+;=".contains(&byte);
    if !host.as_bytes().iter().copied().all(is_part) {
        return Err(malformed("Host holds more than a host and a port"));
    }
    match parts.uri.authority() {
        Some(authority) if !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) => {
            Err(malformed("Host and the target name two hosts"))
        }
        _ => Ok(()),
    }
}

/// A path means one place only if nothing in it steps elsewhere, in whatever spelling.
fn check_path(path: &str) -> Result<(), Refusal> {
    if !path.starts_with('/') {
        return Err(malformed("its target is no path"));
    }
    if !path.bytes().any(|byte| matches!(byte, b'.' | b'%' | b'\\')) {
        return Ok(());
    }
    let is_code =
        |code: &str| code.get(..2).is_some_and(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
    if !path.split('%').skip(1).all(is_code) {
        return Err(malformed("its path holds a percent sign that encodes nothing"));
    }
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    if decoded.iter().any(u8::is_ascii_control) {
        return Err(malformed("its path holds a control character"));
    }
    let steps = |segment: &[u8]| {
        let name = segment.split(|&byte| byte == b';').next().unwrap_or_default();
        matches!(name, b"." | b"..")
    };
    if decoded.split(|&byte| matches!(byte, b'/' | b'\\')).any(steps) {
        return Err(malformed("its path holds segments of dots: write out the path that is meant"));
    }
    Ok(())
}

fn malformed(why: &str) -> Refusal {
    Refusal::new(Kind::HeadMalformed).say(format!(
        "The request head is not accepted: {why}. Correct the client or the proxy in front of it."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(version: Version, uri: &str, lines: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_path_that_steps_elsewhere_is_refused_in_every_spelling() {
        let edge = EdgeConfig::default();
        for path in ["/v1/models", "/v1/models/gpt-4.1", "/a/..b/c..", "/a%20b/%C3%A4", "/.hidden"]
        {
            assert!(check(&edge, &parts(Version::HTTP_11, path, &[])).is_ok(), "{path}");
        }
        for path in [
            "/a/../b",
            "/a/./b",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/a/..%2fb",
            "/a%5c..%5cb",
            "/a/..;x=1/b",
            "/a%00b",
            "/a%0d%0ab",
            "/a/\u{e4}",
            "/a%",
            "/a%zz",
            "/a%2/b",
            "*",
        ] {
            assert!(check(&edge, &parts(Version::HTTP_11, path, &[])).is_err(), "{path}");
        }
    }

    #[test]
    fn one_host_one_length_and_the_limits_hold_over_http_2() {
        let edge = EdgeConfig::default();
        let uri = "http://h.test:80/v1/models";
        let code = |lines: &[(&str, &str)]| {
            check(&edge, &parts(Version::HTTP_2, uri, lines)).map_err(|refusal| refusal.kind)
        };
        assert_eq!(code(&[("host", "H.test:80"), ("content-length", "3")]), Ok(()));
        for lines in [
            vec![("host", "other.test")],
            vec![("host", "h.test:80"), ("host", "h.test:80")],
            vec![("host", "h.test:80/x")],
            vec![("content-length", "3"), ("content-length", "3")],
            vec![("content-length", "3, 3")],
            vec![("content_length", "3")],
            vec![("transfer_encoding", "chunked")],
        ] {
            assert_eq!(code(&lines), Err(Kind::HeadMalformed), "{lines:?}");
        }
        let long = "a".repeat(40_000);
        assert_eq!(code(&[("x", &long)]), Err(Kind::HeadTooLarge));
        assert_eq!(code(&[("x", "y"); 101]), Err(Kind::HeadTooLarge));
    }
}
