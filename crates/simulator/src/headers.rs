//! The headers Azure and OpenAI put on answers.

use std::time::Duration;

use http::header::{STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::call::{Reply, model_label};
use crate::dialect::Dialect;
use crate::instance::Instance;
use crate::text::{hex, mix};

const APIM_REQUEST_ID: HeaderName = HeaderName::from_static("apim-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REGION: HeaderName = HeaderName::from_static("x-ms-region");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const DEPLOYMENT_NAME: HeaderName = HeaderName::from_static("x-ms-deployment-name");
const RAI_INVOKED: HeaderName = HeaderName::from_static("x-ms-rai-invoked");
const SESSION: HeaderName = HeaderName::from_static("azureml-model-session");
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
const MODEL: HeaderName = HeaderName::from_static("openai-model");
const UPSTREAM_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");
const VERSION: HeaderName = HeaderName::from_static("openai-version");
const ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
const PROJECT: HeaderName = HeaderName::from_static("openai-project");

/// The headers of an answer; `timing` is the number drawn for this request and the time its model took.
pub(crate) fn of(
    instance: &Instance,
    head: &http::request::Parts,
    reply: &Reply,
    dialect: Dialect,
    timing: (u64, Duration),
) -> HeaderMap {
    let (draw, took) = timing;
    let took = HeaderValue::from(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let mut map = HeaderMap::with_capacity(24);
    map.insert(
        STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000; includeSubDomains; preload"),
    );
    map.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if dialect == Dialect::OpenAi {
        map.insert(REQUEST_ID, text(format!("req_{}", hex(mix(draw, 1), 32))));
        map.insert(VERSION, HeaderValue::from_static("2020-10-01"));
        map.insert(PROCESSING_MS, took);
        map.insert(
            ORGANIZATION,
            head.headers
                .get(ORGANIZATION)
                .cloned()
                .unwrap_or(HeaderValue::from_static("org-simulator")),
        );
        map.insert(
            PROJECT,
            head.headers
                .get(PROJECT)
                .cloned()
                .unwrap_or(HeaderValue::from_static("proj_simulator")),
        );
        return map;
    }
    map.insert(APIM_REQUEST_ID, uuid(mix(draw, 2)));
    map.insert(REQUEST_ID, uuid(mix(draw, 3)));
    map.insert(REGION, instance.region.clone());
    if let Some(id) = head.headers.get(CLIENT_REQUEST_ID) {
        map.insert(CLIENT_REQUEST_ID, id.clone());
    }
    if let Some(deployment) = &reply.model {
        map.insert(UPSTREAM_TIME, took.clone());
        map.insert(PROCESSING_MS, took);
        map.insert(MODEL, text(model_label(deployment)));
        map.insert(DEPLOYMENT_NAME, text(deployment.name.clone()));
        map.insert(RAI_INVOKED, HeaderValue::from_static("true"));
        map.insert(SESSION, text(format!("d{:03}-20240601000000", draw % 1000)));
    }
    map
}

/// The time until a limit is lifted, as each dialect writes it.
pub(crate) fn reset_text(dialect: Dialect, wait: Duration) -> String {
    if dialect.is_azure() {
        return wait.as_millis().div_ceil(1000).to_string();
    }
    let ms = wait.as_millis();
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{}s", ms.div_ceil(1000)),
        _ => format!("{}m{}s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// A header value from a configured text; what a header cannot carry becomes `?`.
fn text(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("?"))
}

/// Hyphenated lower-case UUID of version 4 from two draws.
fn uuid(draw: u64) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let low = mix(draw, 1);
    let bits = (u128::from(draw) << 64) | u128::from(low);
    let bits = bits & !(0xF << 76) | (4 << 76);
    let bits = bits & !(0b11 << 62) | (0b10 << 62);
    let mut out = [b'-'; 36];
    let mut digit = 0;
    for (place, byte) in out.iter_mut().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            continue;
        }
        *byte = DIGITS[(bits >> (124 - 4 * digit) & 0xF) as usize];
        digit += 1;
    }
    HeaderValue::from_bytes(&out).expect("hexadecimal digits are valid in a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_form_of_a_uuid() {
        let text = uuid(42);
        let text = text.to_str().unwrap();
        assert_eq!(text.len(), 36);
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }

    #[test]
    fn resets_read_as_durations() {
        assert_eq!(reset_text(Dialect::OpenAi, Duration::from_millis(120)), "120ms");
        assert_eq!(reset_text(Dialect::OpenAi, Duration::from_secs(360)), "6m0s");
        assert_eq!(reset_text(Dialect::AzureDated, Duration::from_millis(1500)), "2");
    }
}
