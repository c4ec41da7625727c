//! The errors a caller can get, in the words and shapes of Azure and OpenAI.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::dialect::Dialect;

/// An error answer.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    code: Option<&'static str>,
    message: String,
    kind: Option<&'static str>,
    param: Option<&'static str>,
    inner: Option<Box<Value>>,
    /// Azure's gateway names only code and message; its models name type and param too.
    short: bool,
    detail: bool,
    pub(crate) retry_after: Option<Duration>,
    /// The connection is closed instead of an answer.
    pub(crate) reset: bool,
}

impl Failure {
    fn new(status: StatusCode, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            kind: Some("invalid_request_error"),
            param: None,
            inner: None,
            short: false,
            detail: false,
            retry_after: None,
            reset: false,
        }
    }

    /// Code and message only, as Azure's front door answers.
    fn short(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { short: true, ..Self::new(status, Some(code), message) }
    }

    pub(crate) fn resource_not_found() -> Self {
        Self::short(StatusCode::NOT_FOUND, "404", "Resource not found")
    }

    pub(crate) fn unknown_url(method: &http::Method, path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, None, format!("Invalid URL ({method} {path})"))
    }

    pub(crate) fn deployment_not_found() -> Self {
        Self::short(
            StatusCode::NOT_FOUND,
            "DeploymentNotFound",
            "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.",
        )
    }

    pub(crate) fn model_not_found(model: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Some("model_not_found"),
            format!("The model '{model}' does not exist"),
        )
        .param("model")
    }

    pub(crate) fn bad_key(dialect: Dialect, key: &str) -> Self {
        if dialect == Dialect::OpenAi {
            let shown: String = key.chars().take(3).collect();
            let message = format!(
                "Incorrect API key provided: {shown}***. You can find your API key at https://platform.openai.com/account/api-keys."
            );
            return Self::new(StatusCode::UNAUTHORIZED, Some("invalid_api_key"), message);
        }
        Self::short(
            StatusCode::UNAUTHORIZED,
            "401",
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.",
        )
    }

    pub(crate) fn operation_not_supported(operation: &str, model: &str) -> Self {
        let message = format!(
            "The {operation} operation does not work with the specified model, {model}. Please choose different model and try again. You can learn more about which models can be used with each operation here: https://go.microsoft.com/fwlink/?linkid=2197993."
        );
        Self::short(StatusCode::BAD_REQUEST, "OperationNotSupported", message)
    }

    pub(crate) fn context_length(max: u64, tokens: u64) -> Self {
        let message = format!(
            "This model's maximum context length is {max} tokens. However, your messages resulted in {tokens} tokens. Please reduce the length of the messages."
        );
        Self::new(StatusCode::BAD_REQUEST, Some("context_length_exceeded"), message)
            .param("messages")
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, None, message)
    }

    /// A required field that is not there.
    pub(crate) fn missing(field: &'static str) -> Self {
        let message = format!("Missing required parameter: '{field}'.");
        Self::new(StatusCode::BAD_REQUEST, Some("missing_required_parameter"), message).param(field)
    }

    /// A field whose value makes no sense.
    pub(crate) fn invalid(field: &'static str, why: &str) -> Self {
        let message = format!("Invalid value for '{field}': {why}");
        Self::new(StatusCode::BAD_REQUEST, Some("invalid_value"), message).param(field)
    }

    pub(crate) fn unrecognised_argument(name: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            None,
            format!("Unrecognized request argument supplied: {name}"),
        )
    }

    pub(crate) fn too_large(max: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            None,
            format!("Request body is larger than {max} bytes"),
        )
    }

    pub(crate) fn content_filter(results: Value) -> Self {
        let message = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry. To learn more about our content filtering policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766";
        let inner =
            json!({"code": "ResponsibleAIPolicyViolation", "content_filter_result": results});
        let failure =
            Self::new(StatusCode::BAD_REQUEST, Some("content_filter"), message).param("prompt");
        Self { kind: None, inner: Some(Box::new(inner)), ..failure }
    }

    /// An id this instance did not mint, in the words of its kind.
    pub(crate) fn not_found(
        message: String,
        param: Option<&'static str>,
        code: Option<&'static str>,
    ) -> Self {
        let failure = Self::new(StatusCode::NOT_FOUND, code, message);
        Self { param, ..failure }
    }

    /// A missing file repeats its message under `detail`.
    pub(crate) fn file_not_found(id: &str) -> Self {
        let failure = Self::not_found(format!("No such File object: {id}"), Some("id"), None);
        Self { detail: true, ..failure }
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, None, message)
    }

    /// Over the limit on Azure's dated and v1 paths.
    pub(crate) fn azure_rate(operation: &str, version: &str, what: &str, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000);
        let message = format!(
            "Requests to the {operation} Operation under Azure OpenAI API version {version} have exceeded {what} rate limit of your current OpenAI S0 pricing tier. Please retry after {seconds} seconds. Please go here: https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."
        );
        let failure = Self::short(StatusCode::TOO_MANY_REQUESTS, "429", message);
        Self { retry_after: Some(wait), ..failure }
    }

    /// Over the limit on OpenAI's paths.
    pub(crate) fn openai_rate(model: &str, what: &'static str, limit: u64, wait: Duration) -> Self {
        let message = format!(
            "Rate limit reached for {model} in organization org-simulator on {what} per min. Limit: {limit} / min. Please try again in {}s.",
            wait.as_millis().div_ceil(1000)
        );
        let failure =
            Self::new(StatusCode::TOO_MANY_REQUESTS, Some("rate_limit_exceeded"), message);
        Self { kind: Some(what), retry_after: Some(wait), ..failure }
    }

    /// The error of a `status=` fault.
    pub(crate) fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (code, message) = match status.as_u16() {
            401 => (
                "401",
                "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.",
            ),
            403 => ("403", "Access denied due to Virtual Network/Firewall rules."),
            404 => ("404", "Resource not found"),
            408 => ("Timeout", "The operation was timeout."),
            429 => (
                "429",
                "Requests have exceeded call rate limit of your current OpenAI S0 pricing tier.",
            ),
            503 => (
                "ServiceUnavailable",
                "The service is temporarily unable to process your request. Please try again later.",
            ),
            400..500 => ("BadRequest", "The request was refused by a simulated fault."),
            _ => (
                "InternalServerError",
                "The server had an error while processing your request. Sorry about that!",
            ),
        };
        Self { retry_after, ..Self::short(status, code, message) }
    }

    /// No answer at all.
    pub(crate) fn reset() -> Self {
        Self { reset: true, ..Self::of_status(500, None) }
    }

    pub(crate) fn param(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The body in the dialect's envelope.
    pub(crate) fn body(&self, dialect: Dialect) -> Value {
        let mut error = Map::new();
        if dialect != Dialect::OpenAi && self.short {
            error.insert("code".into(), json!(self.code));
            error.insert("message".into(), json!(self.message));
            return json!({"error": error});
        }
        error.insert("message".into(), json!(self.message));
        let kind = if self.status.is_server_error() { Some("server_error") } else { self.kind };
        error.insert("type".into(), json!(kind));
        error.insert("param".into(), json!(self.param));
        error.insert("code".into(), json!(self.code));
        if let Some(inner) = &self.inner {
            error.insert("status".into(), json!(self.status.as_u16()));
            error.insert("innererror".into(), (**inner).clone());
        }
        let mut body = json!({"error": error});
        if self.detail {
            body["detail"] = json!(self.message);
        }
        body
    }
}
