//! Which headers pass, in both directions.

use event::InteractionId;
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue};
use openai::Splice;

use crate::passing::Passing;

/// Names the interaction in every answer.
const CORRELATION: HeaderName = HeaderName::from_static("x-gatehouse-correlation-id");

/// What goes on to a backend of a client's headers: not what is the connection's own, nor credentials.
pub(crate) fn towards_backend(headers: &HeaderMap) -> Passing {
    let mut passing = Passing::new(headers.clone());
    remove(&mut passing, |name| is_hop_by_hop(name) || is_for_gateway(name));
    passing
}

/// It belongs to one connection only (RFC 9110, section 7.6.1).
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// It is meant for the gateway: credentials, and a WebSocket's handshake, which is made anew.
fn is_for_gateway(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "host"
            | "expect"
            | "authorization"
            | "proxy-authorization"
            | "api-key"
            | "ocp-apim-subscription-key"
            | "sec-websocket-key"
            | "sec-websocket-version"
            | "sec-websocket-protocol"
            | "sec-websocket-extensions"
    )
}

/// The body changes on its way. Where it is made to ask for the usage, the answer will be changed too,
/// so it must come readable.
pub(crate) fn of_changed_body(headers: &mut Passing, changes: &[Splice]) {
    let length =
        headers.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(length) = length {
        let length = changes.iter().fold(length, |length, change| change.length_of(length));
        headers.insert(CONTENT_LENGTH, length.into());
    }
    if changes.iter().any(Splice::asks_for_usage) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
}

/// Removes what is the backend's connection's own, and names the interaction.
pub(crate) fn towards_client(headers: &mut Passing, id: InteractionId) {
    remove(headers, is_hop_by_hop);
    headers.insert(CORRELATION, id_value(id));
}

/// Names the interaction.
pub(crate) fn correlate(headers: &mut HeaderMap, id: InteractionId) {
    headers.insert(CORRELATION, id_value(id));
}

fn id_value(id: InteractionId) -> HeaderValue {
    HeaderValue::from_str(&id.to_string()).expect("an id is plain text")
}

/// Removes the headers that `is_gone` says, and those that `Connection` names.
fn remove(headers: &mut Passing, is_gone: impl Fn(&HeaderName) -> bool) {
    let came = headers.headers();
    let named = came.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named =
        named.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok());
    let mut gone: Vec<HeaderName> = named.collect();
    gone.extend(came.keys().filter(|name| is_gone(name)).cloned());
    for name in gone {
        headers.remove(name);
    }
}

/// Length of a head in bytes, as HTTP/1.1 writes it.
pub(crate) fn head_bytes(first_line: usize, headers: &HeaderMap) -> u64 {
    let lines: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    (first_line + lines + 4) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_headers_and_credentials_do_not_pass() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("host", "h"),
            ("expect", "100-continue"),
            ("api-key", "k"),
            ("ocp-apim-subscription-key", "k"),
            ("authorization", "Bearer k"),
            ("content-type", "application/json"),
            ("x-ms-client-request-id", "7"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let passing = towards_backend(&headers);
        let mut left: Vec<_> = passing.headers().keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-type", "x-ms-client-request-id"]);
    }
}
