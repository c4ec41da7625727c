//! The opening handshake, on both sides (RFC 6455, section 4; over HTTP/2 RFC 8441).
//!
//! Each side gets a handshake of its own: the client's nonce is answered here, the backend gets a
//! fresh one. What the two agree on, subprotocol and compression, is agreed between them; only a key
//! that stands among the subprotocols is taken out, as browsers have no other place for it.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::ext::Protocol;

use crate::credential;
use crate::passing::Passing;
use crate::refusal::{Kind, Refusal};
use crate::websocket::frames::{FrameReader, Inflater, Sender};

/// What is hashed behind a nonce (RFC 6455, section 1.3).
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Subprotocol of realtime sessions, which a backend need not confirm but browsers wait for.
const REALTIME: &str = "realtime";
const DEFLATE: &str = "permessage-deflate";

/// What a client's handshake asks for.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    /// None over HTTP/2.
    client_key: Option<HeaderValue>,
    /// For the backend.
    key: String,
    /// Subprotocols offered, without keys.
    protocols: Vec<String>,
    /// Offers of `permessage-deflate`, as they came.
    offers: Vec<String>,
    version: http::Version,
}

/// What client and backend agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Agreed {
    protocol: Option<HeaderValue>,
    extensions: Option<HeaderValue>,
    deflate: Option<Deflate>,
}

/// Parameters of permessage-deflate that matter to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Deflate {
    client_keeps_context: bool,
    server_keeps_context: bool,
}

/// Whether a request asks for a WebSocket.
pub(crate) fn is_asked(method: &Method, headers: &HeaderMap, extensions: &Extensions) -> bool {
    let is_websocket = |word: &str| word.eq_ignore_ascii_case("websocket");
    match *method {
        Method::GET => words(headers, &UPGRADE).any(is_websocket),
        Method::CONNECT => {
            extensions.get::<Protocol>().is_some_and(|protocol| is_websocket(protocol.as_str()))
        }
        _ => false,
    }
}

impl Handshake {
    /// Reads a client's handshake.
    pub(crate) fn read(parts: &Parts) -> Result<Self, Refusal> {
        let refuse = |what: &str| {
            let message = format!("The WebSocket handshake is not well-formed: {what}.");
            Err(Refusal::new(Kind::HandshakeMalformed).say(message))
        };
        let headers = &parts.headers;
        let mut versions = words(headers, &SEC_WEBSOCKET_VERSION);
        let is_http2 = parts.method == Method::CONNECT;
        match versions.next() {
            Some("13") => {}
            None if is_http2 => {}
            _ => return refuse("Sec-WebSocket-Version must be 13"),
        }
        let client_key = headers.get(SEC_WEBSOCKET_KEY).cloned();
        if !is_http2 {
            let is_key = client_key.as_ref().is_some_and(|key| {
                BASE64_STANDARD.decode(key.as_bytes()).is_ok_and(|nonce| nonce.len() == 16)
            });
            if !is_key || headers.get_all(SEC_WEBSOCKET_KEY).iter().count() != 1 {
                return refuse("Sec-WebSocket-Key must be 16 bytes in Base64, once");
            }
            if !words(headers, &CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade")) {
                return refuse("Connection must name Upgrade");
            }
        }
        let protocols = words(headers, &SEC_WEBSOCKET_PROTOCOL)
            .filter(|protocol| credential::key_of_protocol(protocol).is_none())
            .map(str::to_owned)
            .collect();
        let offers = words(headers, &SEC_WEBSOCKET_EXTENSIONS)
            .filter(|offer| extension_name(offer).eq_ignore_ascii_case(DEFLATE))
            .map(str::to_owned)
            .collect();
        let key = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
        Ok(Self { client_key, key, protocols, offers, version: parts.version })
    }

    /// Nothing is agreed on with the backend yet, so no compression can be.
    pub(crate) fn without_offers(&mut self) {
        self.offers.clear();
    }

    /// Puts the handshake for the backend among the headers.
    pub(crate) fn ask(&self, headers: &mut Passing) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let lists = [
            (SEC_WEBSOCKET_KEY, self.key.clone()),
            (SEC_WEBSOCKET_PROTOCOL, self.protocols.join(", ")),
            (SEC_WEBSOCKET_EXTENSIONS, self.offers.join(", ")),
        ];
        for (name, text) in lists {
            if let Some(value) = HeaderValue::from_str(&text).ok().filter(|_| !text.is_empty()) {
                headers.insert(name, value);
            }
        }
    }

    /// Checks the backend's 101 (RFC 6455, section 4.1): an answer that agrees to what was not asked
    /// for, or to what cannot be read along, is none.
    pub(crate) fn agree(&self, headers: &HeaderMap) -> Result<Agreed, &'static str> {
        let accept = headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        if accept != Some(accept_of(self.key.as_bytes()).as_bytes()) {
            return Err("Sec-WebSocket-Accept does not fit");
        }
        if !words(headers, &UPGRADE).any(|word| word.eq_ignore_ascii_case("websocket")) {
            return Err("Upgrade is not websocket");
        }
        let protocol = headers.get(SEC_WEBSOCKET_PROTOCOL);
        if let Some(chosen) = protocol
            && !self.protocols.iter().any(|offered| offered.as_bytes() == chosen.as_bytes())
        {
            return Err("a subprotocol that was not offered");
        }
        let mut extensions = words(headers, &SEC_WEBSOCKET_EXTENSIONS);
        let deflate = match (extensions.next(), extensions.next()) {
            (None, _) => None,
            (Some(one), None) if !self.offers.is_empty() => Some(Deflate::read(one)?),
            _ => return Err("an extension that was not offered"),
        };
        let extensions = headers.get(SEC_WEBSOCKET_EXTENSIONS).filter(|_| deflate.is_some());
        Ok(Agreed {
            protocol: protocol.cloned().or_else(|| self.own_protocol()),
            extensions: extensions.cloned(),
            deflate,
        })
    }

    /// What is agreed on with a client whose backend is still to be found.
    pub(crate) fn agree_early(&self) -> Agreed {
        Agreed { protocol: self.own_protocol(), ..Agreed::default() }
    }

    /// The head that tells the client it is connected.
    pub(crate) fn answer(&self, agreed: &Agreed, head: &mut Response<()>) {
        let headers = head.headers_mut();
        if let Some(key) = self.client_key.as_ref().filter(|_| self.version < http::Version::HTTP_2)
        {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            let accept = HeaderValue::from_str(&accept_of(key.as_bytes()));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept.expect("Base64 is plain text"));
        }
        let lists = [
            (SEC_WEBSOCKET_PROTOCOL, &agreed.protocol),
            (SEC_WEBSOCKET_EXTENSIONS, &agreed.extensions),
        ];
        for (name, value) in lists {
            headers.remove(&name);
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        *head.status_mut() = self.status();
    }

    /// The status of a handshake that succeeded.
    pub(crate) fn status(&self) -> StatusCode {
        if self.version < http::Version::HTTP_2 {
            StatusCode::SWITCHING_PROTOCOLS
        } else {
            StatusCode::OK
        }
    }

    fn own_protocol(&self) -> Option<HeaderValue> {
        let is_offered = self.protocols.iter().any(|offered| offered == REALTIME);
        is_offered.then(|| HeaderValue::from_static(REALTIME))
    }
}

impl Agreed {
    /// A reader of what this side sends.
    pub(crate) fn reader(&self, sender: Sender, message_bytes_max: u64) -> FrameReader {
        let inflater = self.deflate.map(|deflate| {
            Inflater::new(match sender {
                Sender::Client => deflate.client_keeps_context,
                Sender::Server => deflate.server_keeps_context,
            })
        });
        FrameReader::new(sender, message_bytes_max, inflater)
    }
}

impl Deflate {
    /// Reads the parameters agreed on; window sizes do not matter to a reader with the largest.
    fn read(extension: &str) -> Result<Self, &'static str> {
        if !extension_name(extension).eq_ignore_ascii_case(DEFLATE) {
            return Err("an extension that was not offered");
        }
        let has = |name: &str| {
            extension.split(';').skip(1).any(|parameter| {
                let parameter = parameter.split('=').next().unwrap_or_default();
                parameter.trim().eq_ignore_ascii_case(name)
            })
        };
        Ok(Self {
            client_keeps_context: !has("client_no_context_takeover"),
            server_keeps_context: !has("server_no_context_takeover"),
        })
    }
}

fn extension_name(extension: &str) -> &str {
    extension.split(';').next().unwrap_or_default().trim()
}

/// The words of a header that holds a list, over all its lines.
fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

fn accept_of(key: &[u8]) -> String {
    let joined = [key, ACCEPT_GUID.as_bytes()].concat();
    BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &joined))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::get("/v1/realtime?model=m");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn client(more: &[(&str, &str)]) -> Handshake {
        let mut headers = vec![
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        headers.extend_from_slice(more);
        let parts = parts(&headers);
        assert!(is_asked(&parts.method, &parts.headers, &parts.extensions));
        Handshake::read(&parts).expect("well-formed")
    }

    fn agreed(handshake: &Handshake, more: &[(&str, &str)]) -> Result<Agreed, &'static str> {
        let accept = accept_of(handshake.key.as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).unwrap());
        for (name, value) in more {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        handshake.agree(&headers)
    }

    #[test]
    fn the_nonce_is_answered_as_the_standard_shows() {
        assert_eq!(accept_of(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let handshake = client(&[]);
        let mut head = Response::new(());
        handshake.answer(&Agreed::default(), &mut head);
        assert_eq!(head.status(), 101);
        assert_eq!(head.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_among_the_subprotocols_go_no_further_and_browsers_get_theirs() {
        let offered = "realtime, openai-insecure-api-key.s3cret, openai-beta.realtime-v1";
        let handshake = client(&[("sec-websocket-protocol", offered)]);
        let mut headers = Passing::default();
        handshake.ask(&mut headers);
        let headers = headers.into_headers();
        assert_eq!(headers["sec-websocket-protocol"], "realtime, openai-beta.realtime-v1");
        assert_ne!(headers["sec-websocket-key"], "dGhlIHNhbXBsZSBub25jZQ==");
        let silent = agreed(&handshake, &[]).unwrap();
        assert_eq!(silent.protocol.as_ref().unwrap(), "realtime");
        let chosen = [("sec-websocket-protocol", "openai-beta.realtime-v1")];
        let chosen = agreed(&handshake, &chosen).unwrap();
        assert_eq!(chosen.protocol.as_ref().unwrap(), "openai-beta.realtime-v1");
        agreed(&handshake, &[("sec-websocket-protocol", "chat")]).expect_err("not offered");
        assert_eq!(agreed(&client(&[]), &[]).unwrap(), Agreed::default());
    }

    #[test]
    fn compression_is_agreed_on_between_the_two() {
        let offers = "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame";
        let handshake = client(&[("sec-websocket-extensions", offers)]);
        let mut headers = Passing::default();
        handshake.ask(&mut headers);
        let headers = headers.into_headers();
        let passed = "permessage-deflate; client_max_window_bits";
        assert_eq!(headers["sec-websocket-extensions"], passed);
        let answer = "permessage-deflate; server_no_context_takeover; client_max_window_bits=12";
        let deflate = agreed(&handshake, &[("sec-websocket-extensions", answer)]).unwrap();
        let expected = Deflate { client_keeps_context: true, server_keeps_context: false };
        assert_eq!(deflate.deflate, Some(expected));
        assert_eq!(deflate.extensions.as_ref().unwrap(), answer);
        for wrong in ["x-other", "permessage-deflate, permessage-deflate"] {
            agreed(&handshake, &[("sec-websocket-extensions", wrong)]).expect_err(wrong);
        }
        let plain = client(&[]);
        agreed(&plain, &[("sec-websocket-extensions", DEFLATE)]).expect_err("not offered");
    }

    #[test]
    fn what_is_no_handshake_is_refused_with_the_reason() {
        let good = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (place, value, what) in [
            (0, "close", "Connection"),
            (2, "8", "Version"),
            (3, "short", "Key"),
            (3, "AAAA", "Key"),
        ] {
            let mut headers = good;
            headers[place].1 = value;
            let refusal = Handshake::read(&parts(&headers)).expect_err(value);
            assert!(refusal.message().contains(what), "{}", refusal.message());
        }
    }
}
