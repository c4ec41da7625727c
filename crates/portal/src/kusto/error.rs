//! Errors as Kusto's `OneApiError`.

use kql::{QueryError, QueryErrorKind};
use serde_json::{Value as Json, json};

/// Status and body of a failed query.
pub(crate) fn error(error: &QueryError, client_request_id: &str) -> (u16, Json) {
    let (status, code, kind) = words(error.kind());
    let is_permanent = matches!(status, 400 | 403);
    let kind = format!("Kusto.Data.Exceptions.{kind}");
    (status, body(code, &kind, error.message(), is_permanent, client_request_id))
}

fn words(kind: QueryErrorKind) -> (u16, &'static str, &'static str) {
    match kind {
        QueryErrorKind::Syntax => (400, "General_BadRequest", "SyntaxException"),
        QueryErrorKind::Semantic | QueryErrorKind::Unsupported => {
            (400, "General_BadRequest", "SemanticException")
        }
        QueryErrorKind::Evaluation => (400, "General_BadRequest", "KustoBadRequestException"),
        QueryErrorKind::Forbidden => (403, "Forbidden", "KustoRequestDeniedException"),
        QueryErrorKind::Throttled => (429, "TooManyRequests", "KustoRequestThrottledException"),
        QueryErrorKind::LimitExceeded => {
            (400, "LimitsExceeded", "KustoServicePartialQueryFailureLimitsExceededException")
        }
        QueryErrorKind::Timeout => (504, "Request_Timeout", "KustoServiceTimeoutException"),
        QueryErrorKind::Cancelled => (499, "Request_Cancelled", "KustoRequestCancelledException"),
        QueryErrorKind::Internal => (500, "Internal_Service_Error", "KustoServiceException"),
    }
}

/// A `OneApiError`.
pub(crate) fn body(code: &str, kind: &str, message: &str, is_permanent: bool, id: &str) -> Json {
    json!({
        "error": {
            "code": code,
            "message": message,
            "@type": kind,
            "@message": message,
            "@context": { "clientRequestId": id, "serviceAlias": "gatehouse" },
            "@permanent": is_permanent,
        }
    })
}
