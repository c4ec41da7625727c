//! Which headers pass, in both directions.

use event::InteractionId;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use openai::Splice;

use crate::credential;

/// Names the interaction in every answer.
const CORRELATION: HeaderName = HeaderName::from_static("x-gatehouse-correlation-id");

/// Headers of one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 6] =
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, PROXY_AUTHENTICATE];

/// Removes what is the client's connection's own, and its credentials.
pub(crate) fn towards_backend(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    for name in [HOST, EXPECT, PROXY_AUTHORIZATION] {
        headers.remove(name);
    }
    // A WebSocket's handshake is made anew.
    for name in
        [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_EXTENSIONS]
    {
        headers.remove(name);
    }
    let secrets: [HeaderName; 3] = [
        http::header::AUTHORIZATION,
        HeaderName::from_static("api-key"),
        HeaderName::from_static("ocp-apim-subscription-key"),
    ];
    for name in secrets {
        debug_assert!(credential::is_secret(&name));
        headers.remove(name);
    }
}

/// The body changes on its way. Where it is made to ask for the usage, the answer will be changed too,
/// so it must come readable.
pub(crate) fn of_changed_body(headers: &mut HeaderMap, changes: &[Splice]) {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(length) = length {
        let length = changes.iter().fold(length, |length, change| change.length_of(length));
        headers.insert(CONTENT_LENGTH, length.into());
    }
    if changes.iter().any(Splice::asks_for_usage) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
}

/// Removes what is the backend's connection's own, and names the interaction.
pub(crate) fn towards_client(headers: &mut HeaderMap, id: InteractionId) {
    strip_hop_by_hop(headers);
    correlate(headers, id);
}

/// Names the interaction.
pub(crate) fn correlate(headers: &mut HeaderMap, id: InteractionId) {
    let value = HeaderValue::from_str(&id.to_string()).expect("an id is plain text");
    headers.insert(CORRELATION, value);
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
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
        towards_backend(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-type", "x-ms-client-request-id"]);
    }
}
