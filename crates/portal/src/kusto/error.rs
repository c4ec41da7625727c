//! Errors as Kusto's `OneApiError`.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use kql::{QueryError, QueryErrorKind};
use serde_json::{Value, json};

use crate::problem::Problem;

/// Status and body of a failed query.
pub(crate) fn error(error: &QueryError, client_request_id: &str) -> (u16, Value) {
    let (status, code, kind) = words(error.kind());
    let is_permanent = matches!(status, 400 | 403);
    let kind = format!("Kusto.Data.Exceptions.{kind}");
    (status, body(code, &kind, error.message(), is_permanent, client_request_id))
}

/// What is no matter of a query: who asks, or how.
pub(crate) fn denied(problem: &Problem, headers: &HeaderMap) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = match problem.status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        429 => "TooManyRequests",
        _ => "General_BadRequest",
    };
    let kind = "Kusto.Data.Exceptions.KustoBadRequestException";
    let id = headers.get("x-ms-client-request-id").and_then(|id| id.to_str().ok()).unwrap_or("");
    let is_permanent = status != StatusCode::TOO_MANY_REQUESTS;
    (status, Json(body(code, kind, &problem.detail, is_permanent, id))).into_response()
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
pub(super) fn body(code: &str, kind: &str, message: &str, is_permanent: bool, id: &str) -> Value {
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
