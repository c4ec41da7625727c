//! Why a request is refused: one table gives status, code and message of every kind.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use event::ErrorDetail;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::ErrorShape;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    KeyMissing,
    KeyInvalid,
    OperationNotAllowed,
    DeploymentNotAllowed,
    UnknownPath,
    MethodNotAllowed,
    DeploymentNotFound,
    BodyMalformed,
    BodyTooLarge,
    BodyTimeout,
    HeadMalformed,
    HeadTooLarge,
    UrlTooLong,
    WebSocket,
    LedgerDown,
    BackendsDown,
    BackendFailed,
    BackendTimeout,
    AddressForbidden,
    ClientGone,
    GatewayFailed,
}

/// One line of the table: kind, status, code, step, seconds after which to come back (0 if the same
/// request will be refused again), message with the fix.
type Row = (Kind, u16, &'static str, &'static str, u64, &'static str);

/// The table, in the order of the kinds.
const TABLE: [Row; 21] = [
    (
        Kind::KeyMissing,
        401,
        "SubscriptionKeyNotFound",
        "authenticate",
        0,
        "Access denied due to missing subscription key. Make sure to include subscription key when making requests to this API.",
    ),
    (
        Kind::KeyInvalid,
        401,
        "SubscriptionKeyInvalid",
        "authenticate",
        0,
        "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription.",
    ),
    (
        Kind::OperationNotAllowed,
        403,
        "OperationNotAllowed",
        "admit",
        0,
        "The product of this subscription does not hold the operation. Ask the administrator to add it to the product's operations.",
    ),
    (
        Kind::DeploymentNotAllowed,
        403,
        "DeploymentNotAllowed",
        "admit",
        0,
        "The product of this subscription does not hold the deployment. Ask the administrator to add it to the product's deployments.",
    ),
    (
        Kind::UnknownPath,
        404,
        "OperationNotFound",
        "identify",
        0,
        "Unable to match incoming request to an operation. Check the base URL: Azure clients take the scheme and host alone, OpenAI clients the same followed by /openai/v1 or /v1.",
    ),
    (
        Kind::MethodNotAllowed,
        405,
        "MethodNotAllowed",
        "identify",
        0,
        "The operation at this path has another method; the Allow header names it.",
    ),
    (
        Kind::DeploymentNotFound,
        404,
        "DeploymentNotFound",
        "choose",
        0,
        "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again. Otherwise check the deployment's name in the URL or in `model`, or have it added to a backend's `deployments`.",
    ),
    (
        Kind::BodyMalformed,
        400,
        "BadRequest",
        "identify",
        0,
        "The request body could not be read as what its content type says.",
    ),
    (
        Kind::BodyTooLarge,
        413,
        "RequestBodyTooLarge",
        "edge",
        0,
        "The request body is longer than this gateway accepts (edge.body_bytes_max).",
    ),
    (
        Kind::BodyTimeout,
        408,
        "RequestTimeout",
        "edge",
        1,
        "The request body did not arrive in time.",
    ),
    (
        Kind::HeadMalformed,
        400,
        "BadRequest",
        "edge",
        0,
        "The request head is not well-formed HTTP: check the request line, the header lines and that Content-Length stands once.",
    ),
    (
        Kind::HeadTooLarge,
        431,
        "RequestHeaderFieldsTooLarge",
        "edge",
        0,
        "The request head is longer than this gateway accepts (edge.head_bytes_max, edge.header_count_max): send fewer or shorter headers.",
    ),
    (
        Kind::UrlTooLong,
        414,
        "UriTooLong",
        "edge",
        0,
        "The URL is longer than this gateway accepts: move data from the query to the body.",
    ),
    (
        Kind::WebSocket,
        501,
        "WebSocketNotSupported",
        "identify",
        0,
        "This gateway does not relay WebSockets yet: use the HTTP operations.",
    ),
    (
        Kind::LedgerDown,
        503,
        "AuditLogUnavailable",
        "record",
        2,
        "The audit log cannot be written, so nothing is served. It is tried again by itself; the operator finds the cause in the gateway's log and on /readyz.",
    ),
    (
        Kind::BackendsDown,
        503,
        "BackendsUnavailable",
        "choose",
        5,
        "No backend for this deployment is available at the moment. Try again later.",
    ),
    (
        Kind::BackendFailed,
        502,
        "BackendConnectionFailure",
        "forward-request",
        1,
        "The backend could not be reached or broke off before it answered. Try again.",
    ),
    (
        Kind::BackendTimeout,
        504,
        "Timeout",
        "forward-request",
        1,
        "The backend did not answer in time.",
    ),
    (
        Kind::AddressForbidden,
        502,
        "BackendAddressForbidden",
        "forward-request",
        0,
        "The backend's address is outside the networks that this gateway may call. The operator finds it in the gateway's log; the fix is egress.allow or base_url.",
    ),
    (Kind::ClientGone, 499, "ClientConnectionFailure", "edge", 0, "The client hung up."),
    (
        Kind::GatewayFailed,
        500,
        "InternalServerError",
        "gateway",
        1,
        "The gateway failed. Try again.",
    ),
];

impl Kind {
    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

/// A request is not served, or an exchange failed.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    /// Public text in place of the table's.
    message: Option<Cow<'static, str>>,
    /// For the record and the log only.
    detail: String,
    /// Methods of `Allow`.
    allow: Option<String>,
}

impl Refusal {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, message: None, detail: String::new(), allow: None }
    }

    pub(crate) fn say(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = Some(message.into());
        self
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    pub(crate) fn allow(mut self, methods: &[&str]) -> Self {
        self.allow = Some(methods.join(", "));
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.row().1).expect("the table holds statuses")
    }

    pub(crate) fn code(&self) -> &'static str {
        self.kind.row().2
    }

    pub(crate) fn message(&self) -> Cow<'_, str> {
        match &self.message {
            Some(message) => Cow::Borrowed(message),
            None => Cow::Borrowed(self.kind.row().5),
        }
    }

    /// As it stands in `Errors` and `LastError*`.
    pub(crate) fn record(&self, elapsed: Duration) -> ErrorDetail {
        let (_, _, code, source, ..) = *self.kind.row();
        let message = match self.detail.as_str() {
            "" => self.message().into_owned(),
            detail => format!("{} ({detail})", self.message()),
        };
        ErrorDetail {
            source: source.into(),
            reason: code.into(),
            message,
            scope: "api".into(),
            section: if source == "forward-request" { "backend" } else { "inbound" }.into(),
            elapsed_ms: i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Headers and body of the gateway's answer.
    pub(crate) fn answer(&self, shape: ErrorShape) -> (HeaderMap, Bytes) {
        let (_, status, code, _, retry_after, _) = *self.kind.row();
        let body = match shape {
            ErrorShape::Openai => json!({"error": {
                "code": code, "message": self.message(), "type": kind_name(status),
                "param": null,
            }}),
            ErrorShape::ApiManagement => {
                json!({"statusCode": status, "message": self.message()})
            }
        };
        let body = Bytes::from(body.to_string());
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, body.len().into());
        if status == 401 {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(
                    "AzureApiManagementKey realm=\"gatehouse\",name=\"api-key\",type=\"header\"",
                ),
            );
        }
        if let Some(Ok(methods)) = self.allow.as_deref().map(HeaderValue::from_str) {
            headers.insert(header::ALLOW, methods);
        }
        if retry_after > 0 {
            headers.insert(header::RETRY_AFTER, retry_after.into());
            headers.insert(HeaderName::from_static("retry-after-ms"), (retry_after * 1000).into());
        } else {
            let name = HeaderName::from_static("x-should-retry");
            headers.insert(name, HeaderValue::from_static("false"));
        }
        (headers, body)
    }
}

/// The `type` that OpenAI's SDKs show.
const fn kind_name(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_kinds() {
        for (place, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, place, "{row:?}");
            assert!(StatusCode::from_u16(row.1).is_ok() && !row.5.is_empty());
        }
    }

    #[test]
    fn permanent_refusals_say_so_and_passing_ones_tell_when_to_come_back() {
        let (headers, body) = Refusal::new(Kind::KeyMissing).answer(ErrorShape::Openai);
        assert_eq!(headers["x-should-retry"], "false");
        assert!(headers.contains_key("www-authenticate"));
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["error"]["code"], "SubscriptionKeyNotFound");
        let (headers, _) = Refusal::new(Kind::LedgerDown).answer(ErrorShape::Openai);
        assert_eq!(
            (&headers["retry-after"], &headers["retry-after-ms"]),
            (&HeaderValue::from_static("2"), &HeaderValue::from_static("2000"))
        );
        let (_, body) = Refusal::new(Kind::KeyInvalid).answer(ErrorShape::ApiManagement);
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["statusCode"], 401);
    }

    #[test]
    fn what_is_for_the_record_is_not_told_to_the_caller() {
        let refusal = Refusal::new(Kind::BackendFailed).detail("10.1.2.3 refused");
        let (_, body) = refusal.answer(ErrorShape::Openai);
        assert!(!String::from_utf8_lossy(&body).contains("10.1.2.3"));
        assert!(refusal.record(Duration::ZERO).message.contains("10.1.2.3"));
    }
}
