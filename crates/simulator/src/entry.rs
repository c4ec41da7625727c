//! Who asks and for what, before it is done.

use http::{HeaderMap, HeaderName, Method, header};

use crate::call::Call;
use crate::dialect::Dialect;
use crate::failure::Failure;
use crate::fault::Faults;
use crate::instance::Instance;
use crate::payload::Payload;
use crate::route::Route;

/// A call without a body.
pub(crate) fn call<'a>(
    instance: &'a Instance,
    head: &'a http::request::Parts,
    (method, route, query): (Method, Route, Vec<(String, String)>),
    faults: &'a Faults,
) -> Call<'a> {
    Call {
        instance,
        method,
        route,
        query,
        headers: &head.headers,
        host: host(head).to_owned(),
        payload: Payload::Empty,
        faults,
        triggers: false,
        now: instance.now(),
    }
}

pub(crate) fn authenticate(
    instance: &Instance,
    headers: &HeaderMap,
    route: &Route,
) -> Result<(), Failure> {
    let config = &instance.config;
    if config.api_keys.is_empty() {
        return Ok(());
    }
    let bearer = text(headers, &header::AUTHORIZATION);
    let bearer = bearer
        .strip_prefix("Bearer ")
        .or_else(|| bearer.strip_prefix("bearer "))
        .unwrap_or_default();
    let key = headers.get("api-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = |given: &str| config.api_keys.iter().any(|key| key == given);
    let entra = config.accept_entra_tokens && looks_like_jwt(bearer);
    let passes = match route.dialect {
        Dialect::OpenAi => known(bearer),
        Dialect::Arm => entra || known(bearer),
        Dialect::AzureDated => known(key) || entra,
        Dialect::AzureV1 | Dialect::Inference => known(key) || known(bearer) || entra,
    };
    let given = if key.is_empty() { bearer } else { key };
    if passes { Ok(()) } else { Err(Failure::bad_key(route.dialect, given)) }
}

/// Three parts of base64url; nothing is verified.
fn looks_like_jwt(token: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'='))
    };
    token.starts_with("eyJ") && token.split('.').count() == 3 && token.split('.').all(word)
}

/// From the header, or in HTTP/2 from the target.
pub(crate) fn host(head: &http::request::Parts) -> &str {
    head.uri.authority().map_or_else(|| text(&head.headers, &header::HOST), |name| name.as_str())
}

/// A header, empty where it is not there.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
