//! Azure's tables: names, types and order as in its reference; what each column is made from.

use std::fmt;

use datafusion::logical_expr::{Expr, cast, lit};
use kql::Type;

use crate::Identity;
use crate::cell::arrow_type;
use crate::columns::{literal, stored};

/// A view of `Interactions`.
#[derive(Debug)]
pub(super) struct View {
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    pub(super) columns: &'static [ViewColumn],
    /// Only calls of a model.
    is_model_calls: bool,
}

/// A column of a view.
#[derive(Debug)]
pub(super) struct ViewColumn {
    pub(super) name: &'static str,
    pub(super) column_type: Type,
    pub(super) meaning: &'static str,
    pub(super) source: Source,
}

/// What a column is made from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// A stored column.
    Stored(&'static str),
    /// A stored long as an int; null where it does not fit.
    Narrowed(&'static str),
    /// A stored body, read whole.
    Body(&'static str),
    /// Always this text.
    Text(&'static str),
    /// Always this number.
    Long(i64),
    /// Always false.
    False,
    /// Always null.
    Nothing,
    /// The view's name.
    TableName,
    /// A setting.
    Identity(fn(&Identity) -> &str),
    /// Bytes of request and response.
    Size,
    /// Messages extracted from the request body.
    RequestMessages,
    /// Messages extracted from the response body.
    ResponseMessages,
}

impl Source {
    /// It shows a stored column with content.
    pub(super) fn is_content(&self) -> bool {
        match self {
            Self::Stored(name) | Self::Narrowed(name) | Self::Body(name) => {
                event::table("Interactions").is_none_or(|table| {
                    table.columns.iter().any(|column| column.name == *name && column.is_content)
                })
            }
            Self::RequestMessages | Self::ResponseMessages => true,
            Self::Text(_)
            | Self::Long(_)
            | Self::False
            | Self::Nothing
            | Self::TableName
            | Self::Identity(_)
            | Self::Size => false,
        }
    }
}

/// For the reference page.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(name) | Self::Narrowed(name) | Self::Body(name) => {
                write!(f, "Interactions.{name}")
            }
            Self::Text(text) => write!(f, "constant {text}"),
            Self::Long(number) => write!(f, "constant {number}"),
            Self::False => f.write_str("constant false"),
            Self::Nothing => f.write_str("always null"),
            Self::TableName => f.write_str("the table's name"),
            Self::Identity(_) => f.write_str("settings"),
            Self::Size => f.write_str("Interactions.RequestSize + Interactions.ResponseSize"),
            Self::RequestMessages => f.write_str("extracted from Interactions.RequestBody"),
            Self::ResponseMessages => f.write_str("extracted from Interactions.ResponseBody"),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Kinds that are calls of a model.
const MODEL_KINDS: [&str; 7] =
    ["chat", "completion", "embedding", "image", "speech-to-text", "text-to-speech", "realtime"];

impl View {
    /// Which rows of `Interactions` it shows; all of them if none.
    pub(super) fn filter(&self) -> Option<Expr> {
        if !self.is_model_calls {
            return None;
        }
        let text = |text: &str| {
            literal(&crate::cell::Cell::text(text.to_owned()), Type::String)
                .unwrap_or_else(|_| lit(text.to_owned()))
        };
        let is_model =
            stored("Kind").in_list(MODEL_KINDS.iter().map(|kind| text(kind)).collect(), false);
        let is_run = stored("Kind").eq(text("assistants")).and(stored("Subkind").eq(text("run")));
        Some(is_model.or(is_run))
    }
}

/// Bytes of request and response.
pub(super) fn row_bytes() -> Expr {
    cast(stored("RequestSize") + stored("ResponseSize"), arrow_type(Type::Real))
}

/// Every view.
pub(super) const VIEWS: &[View] = &[
    View {
        name: "ApiManagementGatewayLogs",
        meaning: "One row per request, with Azure's columns.",
        columns: GATEWAY_LOGS,
        is_model_calls: false,
    },
    View {
        name: "ApiManagementGatewayLlmLog",
        meaning: "One row per call of a model, with Azure's columns.",
        columns: LLM_LOG,
        is_model_calls: true,
    },
];

const GATEWAY_LOGS: &[ViewColumn] = &[
    ViewColumn {
        name: "TimeGenerated",
        column_type: Type::Datetime,
        meaning: "UTC instant the gateway began handling the request",
        source: Source::Stored("TimeGenerated"),
    },
    ViewColumn {
        name: "Timestamp",
        column_type: Type::Datetime,
        meaning: "same instant as TimeGenerated",
        source: Source::Stored("TimeGenerated"),
    },
    ViewColumn {
        name: "CorrelationId",
        column_type: Type::String,
        meaning: "unique id of the HTTP request given by the gateway; joins all gateway tables",
        source: Source::Stored("CorrelationId"),
    },
    ViewColumn {
        name: "OperationId",
        column_type: Type::String,
        meaning: "canonical dated Azure operation id, such as ChatCompletions_Create",
        source: Source::Stored("OperationId"),
    },
    ViewColumn {
        name: "OperationName",
        column_type: Type::String,
        meaning: "constant Microsoft.ApiManagement/GatewayLogs",
        source: Source::Text("Microsoft.ApiManagement/GatewayLogs"),
    },
    ViewColumn {
        name: "Category",
        column_type: Type::String,
        meaning: "constant GatewayLogs",
        source: Source::Text("GatewayLogs"),
    },
    ViewColumn {
        name: "Region",
        column_type: Type::String,
        meaning: "region of the gateway that answered",
        source: Source::Stored("Region"),
    },
    ViewColumn {
        name: "ApiId",
        column_type: Type::String,
        meaning: "API entity",
        source: Source::Identity(|i| &i.api_id),
    },
    ViewColumn {
        name: "ApiRevision",
        column_type: Type::String,
        meaning: "revision of that API",
        source: Source::Identity(|i| &i.api_revision),
    },
    ViewColumn {
        name: "ProductId",
        column_type: Type::String,
        meaning: "product through which access was granted; empty for API- or all-API-scoped subscriptions",
        source: Source::Stored("ProductId"),
    },
    ViewColumn {
        name: "UserId",
        column_type: Type::String,
        meaning: "owner of the subscription (developer account)",
        source: Source::Stored("UserId"),
    },
    ViewColumn {
        name: "ApimSubscriptionId",
        column_type: Type::String,
        meaning: "subscription entity whose key was used (never the key)",
        source: Source::Stored("ApimSubscriptionId"),
    },
    ViewColumn {
        name: "WorkspaceId",
        column_type: Type::String,
        meaning: "gateway workspace owning the API",
        source: Source::Identity(|i| &i.gateway_workspace_id),
    },
    ViewColumn {
        name: "Method",
        column_type: Type::String,
        meaning: "HTTP method from the client",
        source: Source::Stored("Method"),
    },
    ViewColumn {
        name: "Url",
        column_type: Type::String,
        meaning: "URL from the client with its query, keys redacted",
        source: Source::Stored("Url"),
    },
    ViewColumn {
        name: "ClientProtocol",
        column_type: Type::String,
        meaning: "HTTP version of the client side, e.g. HTTP/1.1",
        source: Source::Stored("ClientProtocol"),
    },
    ViewColumn {
        name: "ClientTlsVersion",
        column_type: Type::String,
        meaning: "TLS version of the client side, e.g. 1.3",
        source: Source::Stored("ClientTlsVersion"),
    },
    ViewColumn {
        name: "CallerIpAddress",
        column_type: Type::String,
        meaning: "full address of the caller",
        source: Source::Stored("CallerIpAddress"),
    },
    ViewColumn {
        name: "RequestHeaders",
        column_type: Type::Dynamic,
        meaning: "client request headers, secrets redacted",
        source: Source::Stored("RequestHeaders"),
    },
    ViewColumn {
        name: "RequestBody",
        column_type: Type::String,
        meaning: "client request body, whole",
        source: Source::Body("RequestBody"),
    },
    ViewColumn {
        name: "RequestSize",
        column_type: Type::Int,
        meaning: "bytes read from the client, headers included",
        source: Source::Narrowed("RequestSize"),
    },
    ViewColumn {
        name: "ResponseCode",
        column_type: Type::Int,
        meaning: "status sent to the client",
        source: Source::Stored("ResponseCode"),
    },
    ViewColumn {
        name: "ResponseHeaders",
        column_type: Type::Dynamic,
        meaning: "response headers to the client",
        source: Source::Stored("ResponseHeaders"),
    },
    ViewColumn {
        name: "ResponseBody",
        column_type: Type::String,
        meaning: "body sent to the client, whole; of a stream the joined answer",
        source: Source::Body("ResponseBody"),
    },
    ViewColumn {
        name: "ResponseSize",
        column_type: Type::Int,
        meaning: "bytes written to the client, headers included",
        source: Source::Narrowed("ResponseSize"),
    },
    ViewColumn {
        name: "BackendId",
        column_type: Type::String,
        meaning: "backend (pool member) used",
        source: Source::Stored("BackendId"),
    },
    ViewColumn {
        name: "BackendMethod",
        column_type: Type::String,
        meaning: "HTTP method to the backend",
        source: Source::Stored("BackendMethod"),
    },
    ViewColumn {
        name: "BackendProtocol",
        column_type: Type::String,
        meaning: "HTTP version to the backend",
        source: Source::Stored("BackendProtocol"),
    },
    ViewColumn {
        name: "BackendUrl",
        column_type: Type::String,
        meaning: "URL sent to the backend",
        source: Source::Stored("BackendUrl"),
    },
    ViewColumn {
        name: "BackendRequestHeaders",
        column_type: Type::Dynamic,
        meaning: "headers to the backend, secrets redacted",
        source: Source::Stored("BackendRequestHeaders"),
    },
    ViewColumn {
        name: "BackendRequestBody",
        column_type: Type::String,
        meaning: "body sent to the backend, whole",
        source: Source::Body("RequestBody"),
    },
    ViewColumn {
        name: "BackendResponseCode",
        column_type: Type::Int,
        meaning: "status from the backend",
        source: Source::Stored("BackendResponseCode"),
    },
    ViewColumn {
        name: "BackendResponseHeaders",
        column_type: Type::Dynamic,
        meaning: "headers from the backend",
        source: Source::Stored("BackendResponseHeaders"),
    },
    ViewColumn {
        name: "BackendResponseBody",
        column_type: Type::String,
        meaning: "body from the backend, whole; of a stream the joined answer",
        source: Source::Body("ResponseBody"),
    },
    ViewColumn {
        name: "TotalTime",
        column_type: Type::Long,
        meaning: "first byte in to last byte out; sum of client, cache and backend time, in ms",
        source: Source::Stored("TotalTime"),
    },
    ViewColumn {
        name: "BackendTime",
        column_type: Type::Long,
        meaning: "time in backend I/O, in ms",
        source: Source::Stored("BackendTime"),
    },
    ViewColumn {
        name: "ClientTime",
        column_type: Type::Long,
        meaning: "time in client I/O and in the gateway itself, in ms",
        source: Source::Stored("ClientTime"),
    },
    ViewColumn {
        name: "CacheTime",
        column_type: Type::Long,
        meaning: "time in cache I/O: always 0, in ms",
        source: Source::Long(0),
    },
    ViewColumn {
        name: "Cache",
        column_type: Type::String,
        meaning: "always none: there is no cache",
        source: Source::Text("none"),
    },
    ViewColumn {
        name: "IsRequestSuccess",
        column_type: Type::Bool,
        meaning: "status in 2xx or 3xx",
        source: Source::Stored("IsRequestSuccess"),
    },
    ViewColumn {
        name: "LastErrorSource",
        column_type: Type::String,
        meaning: "policy or pipeline step that raised the last error",
        source: Source::Stored("LastErrorSource"),
    },
    ViewColumn {
        name: "LastErrorReason",
        column_type: Type::String,
        meaning: "error code, e.g. RateLimitExceeded",
        source: Source::Stored("LastErrorReason"),
    },
    ViewColumn {
        name: "LastErrorMessage",
        column_type: Type::String,
        meaning: "error text",
        source: Source::Stored("LastErrorMessage"),
    },
    ViewColumn {
        name: "LastErrorScope",
        column_type: Type::String,
        meaning: "global, product, api or operation",
        source: Source::Stored("LastErrorScope"),
    },
    ViewColumn {
        name: "LastErrorSection",
        column_type: Type::String,
        meaning: "inbound, backend, outbound or on-error",
        source: Source::Stored("LastErrorSection"),
    },
    ViewColumn {
        name: "LastErrorElapsed",
        column_type: Type::Long,
        meaning: "time from start to the error, in ms",
        source: Source::Stored("LastErrorElapsed"),
    },
    ViewColumn {
        name: "Errors",
        column_type: Type::Dynamic,
        meaning: "array of all errors with elapsed, source, scope, section, reason, message",
        source: Source::Stored("Errors"),
    },
    ViewColumn {
        name: "TraceRecords",
        column_type: Type::Dynamic,
        meaning: "always null: there are no trace policies",
        source: Source::Nothing,
    },
    ViewColumn {
        name: "IsTraceRequested",
        column_type: Type::Bool,
        meaning: "always false: there is no request tracing",
        source: Source::False,
    },
    ViewColumn {
        name: "IsTraceAllowed",
        column_type: Type::Bool,
        meaning: "always false",
        source: Source::False,
    },
    ViewColumn {
        name: "IsTraceExpired",
        column_type: Type::Bool,
        meaning: "always false",
        source: Source::False,
    },
    ViewColumn {
        name: "IsMasterTrace",
        column_type: Type::Bool,
        meaning: "always false",
        source: Source::False,
    },
    ViewColumn {
        name: "TenantId",
        column_type: Type::String,
        meaning: "log workspace id (not the Entra tenant)",
        source: Source::Identity(|i| &i.workspace_id),
    },
    ViewColumn {
        name: "SourceSystem",
        column_type: Type::String,
        meaning: "collector kind, Azure",
        source: Source::Text("Azure"),
    },
    ViewColumn {
        name: "Type",
        column_type: Type::String,
        meaning: "name of this table",
        source: Source::TableName,
    },
    ViewColumn {
        name: "_ResourceId",
        column_type: Type::String,
        meaning: "resource path of the gateway",
        source: Source::Identity(|i| &i.resource_id),
    },
    ViewColumn {
        name: "_SubscriptionId",
        column_type: Type::String,
        meaning: "cloud subscription of that resource",
        source: Source::Identity(|i| &i.subscription_id),
    },
    ViewColumn {
        name: "_BilledSize",
        column_type: Type::Real,
        meaning: "size of request and response, in bytes",
        source: Source::Size,
    },
    ViewColumn {
        name: "_IsBillable",
        column_type: Type::String,
        meaning: "always \"false\"",
        source: Source::Text("false"),
    },
];

const LLM_LOG: &[ViewColumn] = &[
    ViewColumn {
        name: "TimeGenerated",
        column_type: Type::Datetime,
        meaning: "UTC instant the gateway began handling the request",
        source: Source::Stored("TimeGenerated"),
    },
    ViewColumn {
        name: "CorrelationId",
        column_type: Type::String,
        meaning: "same id as in ApiManagementGatewayLogs",
        source: Source::Stored("CorrelationId"),
    },
    ViewColumn {
        name: "SequenceNumber",
        column_type: Type::Int,
        meaning: "always 0: one row per call, however long",
        source: Source::Long(0),
    },
    ViewColumn {
        name: "RequestId",
        column_type: Type::String,
        meaning: "id given by the model service (chatcmpl-..., resp_...)",
        source: Source::Stored("RequestId"),
    },
    ViewColumn {
        name: "ModelName",
        column_type: Type::String,
        meaning: "model named by the response",
        source: Source::Stored("ModelName"),
    },
    ViewColumn {
        name: "DeploymentName",
        column_type: Type::String,
        meaning: "deployment called",
        source: Source::Stored("DeploymentName"),
    },
    ViewColumn {
        name: "ApiVersion",
        column_type: Type::String,
        meaning: "api-version the client used",
        source: Source::Stored("ApiVersion"),
    },
    ViewColumn {
        name: "OperationName",
        column_type: Type::String,
        meaning: "operation",
        source: Source::Stored("OperationId"),
    },
    ViewColumn {
        name: "Region",
        column_type: Type::String,
        meaning: "gateway region",
        source: Source::Stored("Region"),
    },
    ViewColumn {
        name: "IsStreamCompletion",
        column_type: Type::Bool,
        meaning: "answer was streamed",
        source: Source::Stored("IsStreamCompletion"),
    },
    ViewColumn {
        name: "PromptTokens",
        column_type: Type::Int,
        meaning: "input tokens",
        source: Source::Narrowed("PromptTokens"),
    },
    ViewColumn {
        name: "CompletionTokens",
        column_type: Type::Int,
        meaning: "output tokens",
        source: Source::Narrowed("CompletionTokens"),
    },
    ViewColumn {
        name: "TotalTokens",
        column_type: Type::Int,
        meaning: "sum",
        source: Source::Narrowed("TotalTokens"),
    },
    ViewColumn {
        name: "RequestMessages",
        column_type: Type::Dynamic,
        meaning: "JSON array of messages {role, content} sent",
        source: Source::RequestMessages,
    },
    ViewColumn {
        name: "ResponseMessages",
        column_type: Type::Dynamic,
        meaning: "JSON array of messages {role, content} received; streamed deltas already joined",
        source: Source::ResponseMessages,
    },
    ViewColumn {
        name: "TenantId",
        column_type: Type::String,
        meaning: "log workspace id",
        source: Source::Identity(|i| &i.workspace_id),
    },
    ViewColumn {
        name: "SourceSystem",
        column_type: Type::String,
        meaning: "Azure",
        source: Source::Text("Azure"),
    },
    ViewColumn {
        name: "Type",
        column_type: Type::String,
        meaning: "name of this table",
        source: Source::TableName,
    },
    ViewColumn {
        name: "_ResourceId",
        column_type: Type::String,
        meaning: "resource path",
        source: Source::Identity(|i| &i.resource_id),
    },
    ViewColumn {
        name: "_SubscriptionId",
        column_type: Type::String,
        meaning: "cloud subscription",
        source: Source::Identity(|i| &i.subscription_id),
    },
    ViewColumn {
        name: "_BilledSize",
        column_type: Type::Real,
        meaning: "size of request and response, in bytes",
        source: Source::Size,
    },
    ViewColumn {
        name: "_IsBillable",
        column_type: Type::String,
        meaning: "always \"false\"",
        source: Source::Text("false"),
    },
];
