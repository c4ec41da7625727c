//! The rows of the stored tables.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;
use crate::table::{Cell, ColumnType, Value, table_row};

/// US dollars, in units of 10⁻¹². In JSON it is a string of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub i128);

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'a> Deserialize<'a> for Money {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A body or a text: inline, or by the hash of a blob stored beside the tables.
///
/// In the table both are one string: a reference is `\0blob:` + SHA-256 in hexadecimal + `:` + bytes.
/// KQL always sees the text itself; the reference never leaves store and query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyText {
    /// The text.
    Inline(String),
    /// The text is the blob with this hash.
    Blob {
        /// SHA-256 of the content, in hexadecimal.
        sha256: String,
        /// Size of the content.
        bytes: u64,
    },
}

/// JSON text; empty for no value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(pub String);

const BLOB_PREFIX: &str = "\0blob:";

impl BodyText {
    /// Reads a stored cell back.
    pub fn from_stored(cell: &str) -> Self {
        Self::reference(cell).unwrap_or_else(|| Self::Inline(cell.to_owned()))
    }

    /// The cell as it is stored.
    pub fn stored(&self) -> Cow<'_, str> {
        match self {
            Self::Inline(text) => text.into(),
            Self::Blob { sha256, bytes } => format!("{BLOB_PREFIX}{sha256}:{bytes}").into(),
        }
    }

    /// True for an inline text that would read back as a reference: store it as a blob instead.
    pub fn is_ambiguous(text: &str) -> bool {
        text.starts_with(BLOB_PREFIX)
    }

    fn reference(cell: &str) -> Option<Self> {
        let (sha256, bytes) = cell.strip_prefix(BLOB_PREFIX)?.split_once(':')?;
        let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bytes = bytes.parse().ok()?;
        is_hash.then(|| Self::Blob { sha256: sha256.to_owned(), bytes })
    }
}

impl Default for BodyText {
    fn default() -> Self {
        Self::Inline(String::new())
    }
}

impl Cell for BodyText {
    const TYPE: ColumnType = ColumnType::String;
    fn value(&self) -> Value<'_> {
        Value::String(self.stored())
    }
}

impl Cell for Json {
    const TYPE: ColumnType = ColumnType::Dynamic;
    fn value(&self) -> Value<'_> {
        if self.0.is_empty() { Value::Null } else { Value::String(self.0.as_str().into()) }
    }
}

impl Cell for Money {
    const TYPE: ColumnType = ColumnType::Decimal;
    fn value(&self) -> Value<'_> {
        Value::Decimal(self.0)
    }
}

table_row! {
    /// One row per interaction of any kind, refused and interrupted ones too: the native table.
    Interaction in "Interactions" {
        /// UTC instant the gateway began handling the request.
        time_generated: Timestamp => "TimeGenerated",
        /// Unique id of the interaction, given by the gateway; joins all tables.
        correlation_id: String => "CorrelationId",
        /// UTC instant the interaction ended.
        closed_at: Timestamp => "ClosedAt",
        /// How it ended: complete, refused, client_gone, backend_failed, gateway_failed or interrupted.
        outcome: String => "Outcome",
        /// Canonical dated Azure operation id, such as ChatCompletions_Create, on every surface; empty if the path is unknown.
        operation_id: String => "OperationId",
        /// Operation id of the surface that was called, such as createChatCompletion.
        surface_operation_id: String => "SurfaceOperationId",
        /// Surface called: azure-dated, azure-v1, azure-ai-inference, openai or arm.
        surface: String => "Surface",
        /// Kind of operation: chat, completion, embedding, image, speech-to-text, text-to-speech, assistants, files, batch, fine-tune, realtime, deployments/management or other.
        kind: String => "Kind",
        /// Finer kind of operation, such as responses, run or vector-store.
        subkind: String => "Subkind",
        /// api-version the client used; empty if none.
        api_version: String => "ApiVersion",
        /// HTTP method from the client.
        method: String => "Method",
        /// URL from the client with its query, keys redacted.
        url: String => "Url",
        /// HTTP version of the client side.
        client_protocol: String => "ClientProtocol",
        /// TLS version of the client side; empty on plain text.
        client_tls_version: String => "ClientTlsVersion",
        /// Subject of the client's certificate (RFC 4514), as the gateway's own TLS saw it; empty without one.
        client_certificate_subject: String => "ClientCertificateSubject",
        /// Full address of the caller; a trusted proxy's word counts, another's does not.
        caller_ip_address: String => "CallerIpAddress",
        /// Address of the immediate peer.
        peer_ip_address: String => "PeerIpAddress",
        /// Port of the immediate peer.
        peer_port: i32 => "PeerPort",
        /// X-Forwarded-For or Forwarded as received, trusted or not.
        forwarded_for: String => "ForwardedFor",
        /// User-Agent of the client.
        user_agent: String => "UserAgent",
        /// Region of the gateway.
        region: String => "Region",
        /// Product through which access was granted.
        product_id: String => "ProductId",
        /// Subscription whose key was used, never the key.
        apim_subscription_id: String => "ApimSubscriptionId",
        /// Owner of the subscription, or the caller's identity.
        user_id: String => "UserId",
        /// Client application that the caller's token was issued to (azp, appid or client_id); empty without a token.
        caller_application_id: String => "CallerApplicationId",
        /// Tenant of the caller's token (tid); empty without one.
        caller_tenant_id: String => "CallerTenantId",
        /// Groups of the caller, as its token or the directory named them, as an array; the first 100; null without a token.
        caller_groups: Json => "CallerGroups",
        /// Client request headers, secrets redacted.
        request_headers: Json => content "RequestHeaders",
        /// Request body, whole: the text as sent; of multipart a JSON list of its parts with text parts in full; of other binary bodies a JSON object with size and SHA-256; of a WebSocket session a JSON list of the client's messages.
        request_body: BodyText => content "RequestBody",
        /// SHA-256 of the request body's bytes, in hexadecimal; empty without a body.
        request_body_sha256: String => content "RequestBodySha256",
        /// Bytes of the request body.
        request_body_bytes: i64 => "RequestBodyBytes",
        /// Bytes read from the client, headers included.
        request_size: i64 => "RequestSize",
        /// Status sent to the client; 0 if none was.
        response_code: i32 => "ResponseCode",
        /// Response headers sent to the client.
        response_headers: Json => content "ResponseHeaders",
        /// Answer, whole: a stream joined into the equivalent JSON; binary answers as a JSON object with size and SHA-256; of a WebSocket session a JSON list of the backend's messages.
        response_body: BodyText => content "ResponseBody",
        /// SHA-256 of the answer's bytes as they passed, in hexadecimal; empty without a body.
        response_body_sha256: String => content "ResponseBodySha256",
        /// Bytes of the answer's body as they passed.
        response_body_bytes: i64 => "ResponseBodyBytes",
        /// Bytes written to the client, headers included.
        response_size: i64 => "ResponseSize",
        /// Backend used last; empty if none.
        backend_id: String => "BackendId",
        /// HTTP method to the backend.
        backend_method: String => "BackendMethod",
        /// HTTP version to the backend.
        backend_protocol: String => "BackendProtocol",
        /// URL sent to the backend.
        backend_url: String => "BackendUrl",
        /// Headers to the backend, secrets redacted.
        backend_request_headers: Json => content "BackendRequestHeaders",
        /// Members of the body that the gateway changed for the backend, with spaces between them, such as stream_options.include_usage.
        backend_request_changes: String => "BackendRequestChanges",
        /// Status from the backend; null if it did not answer.
        backend_response_code: Option<i32> => "BackendResponseCode",
        /// Headers from the backend.
        backend_response_headers: Json => content "BackendResponseHeaders",
        /// Attempts made at backends.
        attempts: i32 => "Attempts",
        /// Those attempts where there was more than one, as an array of objects, the last 16: Attempt, BackendId, SentAfter (milliseconds from the first byte in), and Status if it was answered; null otherwise.
        backend_attempts: Json => "BackendAttempts",
        /// Milliseconds from the first byte in to the last byte out.
        total_time: i64 => "TotalTime",
        /// Milliseconds in backend I/O.
        backend_time: i64 => "BackendTime",
        /// Milliseconds in client I/O and in the gateway itself: what is not backend time.
        client_time: i64 => "ClientTime",
        /// Milliseconds from the first byte in to the first byte of the answer; null if there was none.
        time_to_first_byte: Option<i64> => "TimeToFirstByte",
        /// Milliseconds from the first byte in to the first output of the model in a streamed answer: what says who answers, or judges the prompt, comes before it. As the ledger dates the piece, a few milliseconds late; null if nothing was streamed, no output came, or it was a WebSocket session.
        time_to_first_token: Option<i64> => "TimeToFirstToken",
        /// Milliseconds spent in the gateway itself, the wait for the disk included.
        gateway_overhead: f64 => "GatewayOverhead",
        /// Longest gap between two pieces of the answer, in milliseconds.
        chunk_gap_max: i64 => "ChunkGapMax",
        /// Pieces of the answer.
        chunks: i64 => "Chunks",
        /// The status is in 2xx or 3xx, or 101 where a WebSocket session began.
        is_request_success: bool => "IsRequestSuccess",
        /// The answer was streamed.
        is_stream_completion: bool => "IsStreamCompletion",
        /// How the stream ended: complete, client_abort, backend_abort or gateway_abort; empty if it was none.
        stream_outcome: String => "StreamOutcome",
        /// Step that raised the last error.
        last_error_source: String => "LastErrorSource",
        /// Code of the last error, such as SubscriptionKeyNotFound.
        last_error_reason: String => "LastErrorReason",
        /// Text of the last error.
        last_error_message: String => "LastErrorMessage",
        /// Scope of the last error: global, product, api or operation.
        last_error_scope: String => "LastErrorScope",
        /// Section of the last error: inbound, backend, outbound or on-error.
        last_error_section: String => "LastErrorSection",
        /// Milliseconds from the start to the last error; null without one.
        last_error_elapsed: Option<i64> => "LastErrorElapsed",
        /// All errors on the way, in order.
        errors: Json => "Errors",
        /// Id given by the model service, such as chatcmpl-… or resp_….
        request_id: String => "RequestId",
        /// Model named by the answer, or else by the request.
        model_name: String => "ModelName",
        /// Deployment called.
        deployment_name: String => "DeploymentName",
        /// Input tokens; null where none are known.
        prompt_tokens: Option<i64> => "PromptTokens",
        /// Output tokens; null where none are known.
        completion_tokens: Option<i64> => "CompletionTokens",
        /// All tokens; null where none are known.
        total_tokens: Option<i64> => "TotalTokens",
        /// Input tokens the provider had cached.
        cached_tokens: Option<i64> => "CachedTokens",
        /// Output tokens spent on reasoning.
        reasoning_tokens: Option<i64> => "ReasoningTokens",
        /// Audio input tokens.
        audio_prompt_tokens: Option<i64> => "AudioPromptTokens",
        /// Audio output tokens.
        audio_completion_tokens: Option<i64> => "AudioCompletionTokens",
        /// Seconds of audio, where the provider tells.
        audio_seconds: Option<f64> => "AudioSeconds",
        /// Images in the answer.
        images: Option<i32> => "Images",
        /// Where the tokens come from: reported, final_chunk or estimated; empty where none are known.
        usage_source: String => "UsageSource",
        /// Cost in US dollars at the prices in force; null if unpriced.
        cost_usd: Option<Money> => "CostUsd",
        /// Version of the prices applied; empty if unpriced.
        price_version: String => "PriceVersion",
        /// Why the answer ended, such as stop or length; several are joined by commas.
        finish_reason: String => "FinishReason",
        /// Request parameters other than the prompt: temperature, top_p, n, max_tokens, stop, tools, dimensions, size and so on; of a WebSocket session its settings, close code and counts.
        request_parameters: Json => content "RequestParameters",
        /// Content filter verdicts of prompt and answer.
        content_filter: Json => "ContentFilter",
        /// Thread the interaction belongs to.
        thread_id: String => "ThreadId",
        /// Run the interaction belongs to.
        run_id: String => "RunId",
        /// Assistant the interaction belongs to.
        assistant_id: String => "AssistantId",
        /// Its content was erased: what both sides said, their headers, and all that cites them. Its messages are gone.
        is_content_erased: bool => "IsContentErased",
        /// Sequence number of its last frame in the ledger.
        ledger_sequence: i64 => "LedgerSequence",
    }
}

/// Columns that are no content themselves but may cite it: an erasure empties them too.
pub const CITING_COLUMNS: [&str; 3] = ["ContentFilter", "Errors", "LastErrorMessage"];

/// Columns with a URL, whose query may say anything: an erasure leaves what stands before it.
pub const URL_COLUMNS: [&str; 2] = ["Url", "BackendUrl"];

/// A URL without its query and its fragment.
pub fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

impl Interaction {
    /// Takes out its content: the columns that are marked so, [`CITING_COLUMNS`], and the query of
    /// [`URL_COLUMNS`].
    pub fn erase_content(&mut self) {
        self.is_content_erased = true;
        for text in [&mut self.request_body, &mut self.response_body] {
            *text = BodyText::default();
        }
        for hash in [&mut self.request_body_sha256, &mut self.response_body_sha256] {
            hash.clear();
        }
        for json in [
            &mut self.request_headers,
            &mut self.response_headers,
            &mut self.backend_request_headers,
            &mut self.backend_response_headers,
            &mut self.request_parameters,
            &mut self.content_filter,
            &mut self.errors,
        ] {
            *json = Json::default();
        }
        self.last_error_message.clear();
        for url in [&mut self.url, &mut self.backend_url] {
            url.truncate(without_query(url).len());
        }
    }
}

table_row! {
    /// One row per part of a prompt or an answer.
    Message in "Messages" {
        /// UTC instant the gateway began handling the request.
        time_generated: Timestamp => "TimeGenerated",
        /// Id of the interaction.
        correlation_id: String => "CorrelationId",
        /// Position among the parts of the interaction, from 0: prompts first; in a WebSocket session as they were said.
        sequence_number: i32 => "SequenceNumber",
        /// prompt or completion.
        direction: String => "Direction",
        /// system, developer, user, assistant, tool or function; empty where there are no roles.
        role: String => "Role",
        /// text, image, audio, file, tool_call, tool_result, tool_definition, refusal, reasoning, instructions, embedding_input, transcript, image_prompt, revised_prompt or speech_input.
        content_type: String => "ContentType",
        /// The text; of images and audio their URL or a reference.
        content: BodyText => content "Content",
        /// Name of the tool called or of the participant.
        name: String => content "Name",
        /// Choice or input the part belongs to, from 0.
        choice_index: i32 => "ChoiceIndex",
        /// Operation kind of the interaction.
        kind: String => "Kind",
        /// Model of the interaction.
        model_name: String => "ModelName",
        /// Deployment of the interaction.
        deployment_name: String => "DeploymentName",
        /// Subscription of the interaction.
        apim_subscription_id: String => "ApimSubscriptionId",
        /// Full address of the caller.
        caller_ip_address: String => "CallerIpAddress",
        /// Thread the part belongs to.
        thread_id: String => "ThreadId",
        /// Run the part belongs to.
        run_id: String => "RunId",
    }
}

table_row! {
    /// One row per change of a backend's state or of one of its circuits, and one per backend from time to time.
    BackendHealth in "BackendHealth" {
        /// UTC instant of the change, or of the look.
        time_generated: Timestamp => "TimeGenerated",
        /// Backend.
        backend_id: String => "BackendId",
        /// Its base URL.
        backend_url: String => "BackendUrl",
        /// What stands so: probe (what probes say of the backend), drain, connections (the circuit of all connections to it) or deployment (the circuit of one deployment).
        scope: String => "Scope",
        /// Deployment, where the scope is one; empty for calls that name none.
        deployment_name: String => "DeploymentName",
        /// Of a probe: healthy or unhealthy. Of a drain: undrained, balanced or everything. Of a circuit: closed, open, half_open or throttled.
        state: String => "State",
        /// State before; the same where nothing changed.
        former_state: String => "FormerState",
        /// Why: probe_failed, probe_succeeded, connection_failed, address_forbidden, timeout, connection_broke, answer_broke_off, server_error, throttled, retry_after, rate_limit_used_up, answered, time_passed, operator or periodic.
        reason: String => "Reason",
        /// What was said of it, such as the text of the failure.
        message: String => "Message",
        /// Status of the answer that told it; null if none did.
        response_code: Option<i32> => "ResponseCode",
        /// Failures in a row.
        failures: i64 => "Failures",
        /// Calls in flight at the backend.
        in_flight: i64 => "InFlight",
        /// UTC instant until which it gets no calls; null if it gets them.
        until: Option<Timestamp> => "Until",
        /// The row tells how things stand and no change.
        is_periodic: bool => "IsPeriodic",
        /// Changes since the row before that have no rows of their own, because they came too fast.
        unnoted_changes: i64 => "UnnotedChanges",
        /// Region the gateway is in.
        region: String => "Region",
        /// Sequence number of its frame in the ledger.
        ledger_sequence: i64 => "LedgerSequence",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TableRow;

    #[test]
    fn an_erased_interaction_has_nothing_in_any_column_of_content() {
        let json = || Json("[\"said\"]".into());
        let text = || BodyText::Inline("said".into());
        let mut row = Interaction {
            url: "https://h/openai?said=1".into(),
            backend_url: "https://b/openai#said".into(),
            request_headers: json(),
            request_body: text(),
            request_body_sha256: "said".into(),
            response_headers: json(),
            response_body: text(),
            response_body_sha256: "said".into(),
            backend_request_headers: json(),
            backend_response_headers: json(),
            last_error_message: "said".into(),
            errors: json(),
            request_parameters: json(),
            content_filter: json(),
            user_id: "ann".into(),
            ..Interaction::default()
        };
        row.erase_content();
        let mut cells = Vec::new();
        row.each_cell(|cell| cells.push(format!("{cell:?}")));
        for (column, cell) in Interaction::TABLE.columns.iter().zip(&cells) {
            assert!(!cell.contains("said"), "{}: {cell}", column.name);
            if column.is_content || CITING_COLUMNS.contains(&column.name) {
                assert!(["Null", "String(\"\")"].contains(&cell.as_str()), "{}", column.name);
            }
        }
        assert_eq!(
            (row.url.as_str(), row.backend_url.as_str()),
            ("https://h/openai", "https://b/openai")
        );
        assert!(row.is_content_erased && row.user_id == "ann");
    }

    #[test]
    fn a_blob_reference_survives_its_cell_and_text_is_never_taken_for_one() {
        let blob = BodyText::Blob { sha256: "a".repeat(64), bytes: 7 };
        assert_eq!(BodyText::from_stored(&blob.stored()), blob);
        let text = "\0blob:not a reference";
        assert_eq!(BodyText::from_stored(text), BodyText::Inline(text.into()));
        assert!(BodyText::is_ambiguous(text));
    }
}
