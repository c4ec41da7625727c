//! Why a request is refused: one table gives status, code and message of every kind.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use event::ErrorDetail;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::config::ErrorShape;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    KeyMissing,
    KeyInvalid,
    TokenRejected,
    IdentityDown,
    ProductNotGranted,
    CallerAddress,
    WafBlocked,
    OperationNotAllowed,
    DeploymentNotAllowed,
    UnknownPath,
    MethodNotAllowed,
    DeploymentNotFound,
    ObjectMissing,
    ObjectsApart,
    RegistryDown,
    BodyMalformed,
    BodyTooLarge,
    BodyTimeout,
    HeadTimeout,
    HeadUnread,
    StreamsBusy,
    HeadMalformed,
    HeadTooLarge,
    UrlTooLong,
    WebSocket,
    HandshakeMalformed,
    SessionProtocol,
    SessionTooLong,
    SessionIdle,
    SessionStopped,
    LedgerDown,
    BackendsDown,
    BackendsBusy,
    BackendFailed,
    BackendTimeout,
    AddressForbidden,
    ClientGone,
    GatewayFailed,
    RateExceeded,
    TokenRateExceeded,
    QuotaExceeded,
    TokenQuotaExceeded,
    MaxTokens,
}

/// One line of the table.
#[derive(Debug)]
struct Row {
    kind: Kind,
    status: u16,
    /// What SDKs show as the error's code; in the record it is the reason.
    code: &'static str,
    /// The step that refuses.
    source: &'static str,
    /// Seconds after which to come back; 0 if the same request will be refused again.
    retry_after_s: u64,
    /// What is wrong and what to change, for the caller.
    message: &'static str,
}

const fn row(
    kind: Kind,
    status: u16,
    code: &'static str,
    source: &'static str,
    retry_after_s: u64,
    message: &'static str,
) -> Row {
    Row { kind, status, code, source, retry_after_s, message }
}

/// The table, in the order of the kinds.
const TABLE: &[Row] = &[
    row(
        Kind::KeyMissing,
        401,
        "SubscriptionKeyNotFound",
        "authenticate",
        0,
        "Access denied due to missing subscription key. Make sure to include subscription key when making requests to this API. Send it in the header api-key; if you have none, ask the administrator of this gateway for one, or call with a token of your organisation's sign-in if the gateway takes those.",
    ),
    row(
        Kind::KeyInvalid,
        401,
        "SubscriptionKeyInvalid",
        "authenticate",
        0,
        "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription. If yours is lost, ended or was replaced, ask the administrator of this gateway for a new one.",
    ),
    row(Kind::TokenRejected, 401, "TokenRejected", "authenticate", 0, "The token is not accepted."),
    row(
        Kind::IdentityDown,
        503,
        "IdentityProviderUnavailable",
        "authenticate",
        5,
        "The identity provider cannot be reached, and its keys are not known, too old or lack the token's. Try again.",
    ),
    row(
        Kind::ProductNotGranted,
        403,
        "ProductNotGranted",
        "admit",
        0,
        "The token is good, but none of its groups, app roles or its application gives access to a product. Ask the administrator to name one under `groups`, `app_roles`, `clients` or `users` of a product.",
    ),
    row(
        Kind::CallerAddress,
        403,
        "CallerAddressForbidden",
        "edge",
        0,
        "Calls from this address are not allowed. Call from an allowed network, or ask the administrator to add it (edge.listeners[].networks, products[].networks).",
    ),
    row(
        Kind::WafBlocked,
        403,
        "RequestBlockedByWaf",
        "waf",
        0,
        "The request was refused by this gateway's web application firewall. If it is no attack, ask the administrator to exclude what matched (waf.exclusions).",
    ),
    row(
        Kind::OperationNotAllowed,
        403,
        "OperationNotAllowed",
        "admit",
        0,
        "The product of this subscription does not hold the operation. Ask the administrator to add it to the product's operations.",
    ),
    row(
        Kind::DeploymentNotAllowed,
        403,
        "DeploymentNotAllowed",
        "admit",
        0,
        "The product of this subscription does not hold the deployment. Ask the administrator to add it to the product's deployments.",
    ),
    row(
        Kind::UnknownPath,
        404,
        "OperationNotFound",
        "identify",
        0,
        "Unable to match incoming request to an operation. Check the base URL: Azure clients take the scheme and host alone, OpenAI clients the same followed by /openai/v1 or /v1.",
    ),
    row(
        Kind::MethodNotAllowed,
        405,
        "MethodNotAllowed",
        "identify",
        0,
        "The operation at this path has another method; the Allow header names it.",
    ),
    row(
        Kind::DeploymentNotFound,
        404,
        "DeploymentNotFound",
        "choose",
        0,
        "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again. Otherwise check the deployment's name in the URL or in `model`, or have it added to a backend's `deployments`.",
    ),
    row(
        Kind::ObjectMissing,
        404,
        "ObjectNotFound",
        "find-home",
        0,
        "There is no such object, or it belongs to another subscription.",
    ),
    row(
        Kind::ObjectsApart,
        400,
        "ObjectsOnDifferentBackends",
        "find-home",
        0,
        "The request names objects that are kept by different model instances.",
    ),
    row(
        Kind::RegistryDown,
        503,
        "ObjectRegistryUnavailable",
        "find-home",
        2,
        "It cannot be told at this moment where the object is. Try again.",
    ),
    row(
        Kind::BodyMalformed,
        400,
        "BadRequest",
        "identify",
        0,
        "The request body could not be read as what its content type says.",
    ),
    row(
        Kind::BodyTooLarge,
        413,
        "RequestBodyTooLarge",
        "edge",
        0,
        "The request body is longer than this gateway accepts (edge.body_bytes_max).",
    ),
    row(
        Kind::BodyTimeout,
        408,
        "RequestTimeout",
        "edge",
        1,
        "The request body did not arrive in time.",
    ),
    row(
        Kind::HeadTimeout,
        408,
        "RequestTimeout",
        "edge",
        1,
        "The request head did not arrive in time (edge.head_timeout_ms).",
    ),
    row(
        Kind::HeadUnread,
        400,
        "RequestNotRead",
        "edge",
        0,
        "A request was malformed, too long, one too many or reset before it could be read.",
    ),
    row(
        Kind::StreamsBusy,
        429,
        "TooManyRequests",
        "edge",
        1,
        "Too many requests of this HTTP/2 connection are under way, those that were reset included (edge.streams_max).",
    ),
    row(
        Kind::HeadMalformed,
        400,
        "BadRequest",
        "edge",
        0,
        "The request head is not well-formed HTTP: check the request line, the header lines and that Content-Length stands once.",
    ),
    row(
        Kind::HeadTooLarge,
        431,
        "RequestHeaderFieldsTooLarge",
        "edge",
        0,
        "The request head is longer than this gateway accepts (edge.head_bytes_max, edge.header_count_max): send fewer or shorter headers.",
    ),
    row(
        Kind::UrlTooLong,
        414,
        "UriTooLong",
        "edge",
        0,
        "The URL is longer than this gateway accepts: move data from the query to the body.",
    ),
    row(
        Kind::WebSocket,
        400,
        "WebSocketNotSupported",
        "identify",
        0,
        "The operation at this path does not speak WebSocket: call it over HTTP. Realtime sessions are at /openai/realtime, /openai/v1/realtime and /v1/realtime, responses at /openai/v1/responses and /v1/responses.",
    ),
    row(
        Kind::HandshakeMalformed,
        400,
        "BadRequest",
        "edge",
        0,
        "The WebSocket handshake is not well-formed.",
    ),
    row(
        Kind::SessionProtocol,
        400,
        "WebSocketProtocolError",
        "edge",
        0,
        "A WebSocket frame breaks the protocol.",
    ),
    row(
        Kind::SessionTooLong,
        413,
        "WebSocketMessageTooLarge",
        "edge",
        0,
        "A WebSocket message is longer than this gateway accepts (edge.websocket.message_bytes_max).",
    ),
    row(Kind::SessionIdle, 408, "WebSocketIdle", "edge", 1, "Nothing passed for too long."),
    row(
        Kind::SessionStopped,
        503,
        "GatewayStopping",
        "gateway",
        1,
        "The gateway is stopping: connect again.",
    ),
    row(
        Kind::LedgerDown,
        503,
        "AuditLogUnavailable",
        "record",
        2,
        "The audit log cannot be written, so nothing is served. It is tried again by itself; the operator finds the cause in the gateway's log and on /readyz.",
    ),
    row(
        Kind::BackendsDown,
        503,
        "BackendsUnavailable",
        "choose",
        5,
        "No backend for this deployment is available at the moment. Try again later.",
    ),
    row(
        Kind::BackendsBusy,
        429,
        "BackendsThrottled",
        "choose",
        1,
        "Every backend for this deployment is at its rate limit at the moment. Try again later.",
    ),
    row(
        Kind::BackendFailed,
        502,
        "BackendConnectionFailure",
        "forward-request",
        1,
        "The backend could not be reached or broke off before it answered. Try again.",
    ),
    row(
        Kind::BackendTimeout,
        504,
        "Timeout",
        "forward-request",
        1,
        "The backend did not answer in time.",
    ),
    row(
        Kind::AddressForbidden,
        502,
        "BackendAddressForbidden",
        "forward-request",
        0,
        "The backend's address is outside the networks that this gateway may call. The operator finds it in the gateway's log; the fix is egress.allow or base_url.",
    ),
    row(Kind::ClientGone, 499, "ClientConnectionFailure", "edge", 0, "The client hung up."),
    row(
        Kind::GatewayFailed,
        500,
        "InternalServerError",
        "gateway",
        1,
        "The gateway failed. Try again.",
    ),
    row(Kind::RateExceeded, 429, "RateLimitExceeded", "limits", 1, "Rate limit is exceeded."),
    row(
        Kind::TokenRateExceeded,
        429,
        "OpenAITokenLimitExceeded",
        "limits",
        1,
        "Token limit is exceeded.",
    ),
    row(Kind::QuotaExceeded, 403, "QuotaExceeded", "limits", 0, "Quota is exceeded."),
    row(
        Kind::TokenQuotaExceeded,
        403,
        "OpenAITokenLimitExceeded",
        "limits",
        0,
        "Token quota is exceeded.",
    ),
    row(
        Kind::MaxTokens,
        400,
        "MaxTokensTooLarge",
        "limits",
        0,
        "The call asks for more answer tokens than its subscription may have at once.",
    ),
];

impl Kind {
    const fn row(self) -> &'static Row {
        let row = &TABLE[self as usize];
        debug_assert!(row.kind as usize == self as usize);
        row
    }
}

/// A request is not served, or an exchange failed.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    /// A closer name for what is wrong than the kind's code.
    finding: Option<&'static str>,
    /// Public text in place of the table's.
    message: Option<Cow<'static, str>>,
    /// For the record and the log only.
    detail: Box<str>,
    /// When to come back, in place of the table's.
    retry_after: Option<Duration>,
    /// More headers of the answer.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// How the caller is told, in place of the table's code.
    shown: Option<&'static Shown>,
}

/// What a backend says besides its message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) code: Option<&'static str>,
    pub(crate) param: Option<&'static str>,
    /// The message stands under `detail` too.
    pub(crate) repeats_message: bool,
}

impl Refusal {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            finding: None,
            message: None,
            detail: Box::default(),
            retry_after: None,
            headers: Vec::new(),
            shown: None,
        }
    }

    /// Tells the caller with a backend's own code and parameter.
    pub(crate) fn shown(mut self, shown: &'static Shown) -> Self {
        self.shown = Some(shown);
        self
    }

    /// Says more closely what is wrong: the reason in the record, `innererror.code` for the caller.
    pub(crate) fn finding(mut self, name: &'static str) -> Self {
        self.finding = Some(name);
        self
    }

    /// A backend's answer that gave way to another backend's. It goes into the record only.
    pub(crate) fn discarded(detail: String) -> Self {
        Self::new(Kind::BackendFailed)
            .finding("BackendAnswerDiscarded")
            .say("The backend answered, but its answer gave way to another backend's.")
            .detail(detail)
    }

    pub(crate) fn say(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = Some(message.into());
        self
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into().into_boxed_str();
        self
    }

    /// The same request may succeed after this time.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds a header to the answer; one that cannot be written is left out.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    pub(crate) fn allow(self, methods: &[&str]) -> Self {
        self.header(header::ALLOW, &methods.join(", "))
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.row().status).expect("the table holds statuses")
    }

    pub(crate) fn code(&self) -> &'static str {
        self.kind.row().code
    }

    /// The reason in the record.
    pub(crate) fn reason(&self) -> &'static str {
        self.finding.unwrap_or(self.code())
    }

    pub(crate) fn message(&self) -> Cow<'_, str> {
        match &self.message {
            Some(message) => Cow::Borrowed(message),
            None => Cow::Borrowed(self.kind.row().message),
        }
    }

    /// As it stands in `Errors` and `LastError*`.
    pub(crate) fn record(&self, elapsed: Duration) -> ErrorDetail {
        let source = self.kind.row().source;
        let message = match &*self.detail {
            "" => self.message().into_owned(),
            detail => format!("{} ({detail})", self.message()),
        };
        ErrorDetail {
            source: source.into(),
            reason: self.reason().into(),
            message,
            scope: "api".into(),
            section: if source == "forward-request" { "backend" } else { "inbound" }.into(),
            elapsed_ms: i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// The error as SDKs read it: what stands under `error`.
    pub(crate) fn error(&self) -> serde_json::Value {
        let mut error = json!({
            "code": self.code(), "message": self.message(),
            "type": kind_name(self.kind.row().status), "param": null,
        });
        if let Some(finding) = self.finding {
            error["innererror"] = json!({ "code": finding });
        }
        if let Some(Shown { code, param, .. }) = self.shown {
            (error["code"], error["param"]) = (json!(code), json!(param));
        }
        error
    }

    /// Headers and body of the gateway's answer.
    pub(crate) fn answer(&self, shape: ErrorShape) -> (HeaderMap, Bytes) {
        let status = self.kind.row().status;
        let body = match shape {
            ErrorShape::Openai if self.shown.is_some_and(|shown| shown.repeats_message) => {
                json!({ "error": self.error(), "detail": self.message() })
            }
            ErrorShape::Openai => json!({ "error": self.error() }),
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
        self.say_when(&mut headers);
        headers.extend(self.headers.iter().cloned());
        (headers, body)
    }

    /// Tells when to come back. SDKs repeat a call after 408, 429 and from 500 on, however long the
    /// wait; where that is in vain they are told not to.
    fn say_when(&self, headers: &mut HeaderMap) {
        let row = self.kind.row();
        let usual = (row.retry_after_s > 0).then(|| Duration::from_secs(row.retry_after_s));
        let wait = self.retry_after.or(usual);
        if let Some(wait) = wait {
            let millis = wait.as_millis().min(u128::from(u64::MAX)) as u64;
            headers.insert(header::RETRY_AFTER, millis.div_ceil(1000).max(1).into());
            headers.insert(HeaderName::from_static("retry-after-ms"), millis.into());
        }
        if wait.is_none() || !matches!(row.status, 408 | 429 | 500..) {
            let name = HeaderName::from_static("x-should-retry");
            headers.insert(name, HeaderValue::from_static("false"));
        }
    }
}

/// The `type` that OpenAI's SDKs show.
const fn kind_name(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
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
            assert_eq!(row.kind as usize, place, "{row:?}");
            assert!(StatusCode::from_u16(row.status).is_ok() && !row.message.is_empty());
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
        let late = Refusal::new(Kind::BackendsDown).retry_after(Duration::from_millis(1_200));
        let (headers, _) = late.answer(ErrorShape::Openai);
        assert_eq!(
            (&headers["retry-after"], &headers["retry-after-ms"]),
            (&"2".parse().unwrap(), &"1200".parse().unwrap())
        );
        assert!(!headers.contains_key("x-should-retry"));
        // A quota comes back, but nobody is to wait for it with the call in hand.
        let spent = Refusal::new(Kind::OperationNotAllowed).retry_after(Duration::from_secs(3_600));
        let (headers, _) = spent.answer(ErrorShape::Openai);
        assert_eq!(
            (&headers["retry-after"], &headers["x-should-retry"]),
            (&"3600".parse().unwrap(), &"false".parse().unwrap())
        );
        let (_, body) = Refusal::new(Kind::KeyInvalid).answer(ErrorShape::ApiManagement);
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["statusCode"], 401);
    }

    #[test]
    fn a_finding_is_the_reason_in_the_record_and_the_inner_code_for_the_caller() {
        let refusal = Refusal::new(Kind::UnknownPath).finding("PathDoubled");
        let (_, body) = refusal.answer(ErrorShape::Openai);
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["error"]["code"], "OperationNotFound");
        assert_eq!(json["error"]["innererror"]["code"], "PathDoubled");
        assert_eq!(refusal.record(Duration::ZERO).reason, "PathDoubled");
    }

    #[test]
    fn what_is_for_the_record_is_not_told_to_the_caller() {
        let refusal = Refusal::new(Kind::BackendFailed).detail("10.1.2.3 refused");
        let (_, body) = refusal.answer(ErrorShape::Openai);
        assert!(!String::from_utf8_lossy(&body).contains("10.1.2.3"));
        assert!(refusal.record(Duration::ZERO).message.contains("10.1.2.3"));
    }
}
