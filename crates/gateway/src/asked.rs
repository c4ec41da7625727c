//! What a request asks for: operation, deployment, how its body is to be read, where it goes.

use event::Target;
use http::request::Parts;
use http::{Method, header};
use openai::{
    Catalogue, DeploymentSource, Family, Identified, Kind, ModelPlace, Multipart, Peek, Peeker,
    Splice, Statefulness, Streaming, Surface,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::config::{BackendKind, UnknownPaths};
use crate::named::Named;
use crate::refusal::{self, Refusal};
use crate::websocket::handshake;
use crate::{credential, doctor};

/// What stands in a path as it is (RFC 3986, section 2.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Azure's first version with `stream_options`: 2024-09-01-preview, and 2024-10-21 of the stable ones.
const STREAM_OPTIONS_SINCE: &str = "2024-09-01";
/// The operation whose WebSocket names model and objects in its messages.
const RESPONSES: &str = "Create_Response";

/// A request, identified.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) target: Target,
    pub(crate) family: Family,
    /// Below the family's prefix, as received.
    pub(crate) relative_path: String,
    /// The objects it names.
    pub(crate) named: Named,
    stateful: Statefulness,
    /// The operation is the dated Azure surface's own, with a path that Azure serves as it is.
    is_dated_path: bool,
    is_known: bool,
    has_path_deployment: bool,
    /// The body has a `model`.
    takes_model: bool,
    /// It is the deployment.
    wants_model: bool,
    multipart: Multipart,
    streams: bool,
    /// Its streams tell their usage if they are asked to.
    tells_usage: bool,
    /// The change to the body that asks for it.
    usage_splice: Option<Splice>,
    /// Most tokens of one answer, where the body states it.
    pub(crate) output_tokens_max: Option<u64>,
    /// Answers asked for, where the body states it.
    pub(crate) choices: Option<u64>,
    /// Where the body names its model.
    model_place: Option<ModelPlace>,
    /// A WebSocket whose messages name the model and objects.
    begins_with_message: bool,
    /// Why it will not be served, whoever asks.
    pub(crate) refusal: Option<Refusal>,
}

/// How a request body is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    /// It is read to its end and looked into before anything is sent.
    Whole,
    /// It is read until it named its model, then sent on as it comes.
    UntilModel,
    /// It is sent on as it comes.
    Through,
}

impl Asked {
    /// Identifies a request by its head.
    pub(crate) fn new(catalogue: &Catalogue, parts: &Parts, unknown: UnknownPaths) -> Self {
        let path = parts.uri.path();
        let query = parts.uri.query();
        if handshake::is_asked(&parts.method, &parts.headers, &parts.extensions) {
            return Self::of_websocket(catalogue, path, query, unknown);
        }
        let found = catalogue.identify(parts.method.as_str(), path, query);
        let mut asked = Self::from_identified(&found);
        // A response that is looked up can be streamed again.
        asked.target.is_stream = asked.streams && query.is_some_and(asks_for_stream);
        asked.refusal = doctor::path(&parts.method, &found, unknown);
        asked
    }

    fn of_websocket(
        catalogue: &Catalogue,
        path: &str,
        query: Option<&str>,
        unknown: UnknownPaths,
    ) -> Self {
        let found = catalogue.identify("GET", path, query);
        let mut asked = Self::from_identified(&found);
        asked.target.is_stream = true;
        let is_responses = found.log_operation_id() == RESPONSES;
        asked.begins_with_message = is_responses;
        asked.wants_model = is_responses && asked.deployment().is_empty();
        asked.refusal = doctor::path(&Method::GET, &found, unknown);
        let speaks = |operation: &openai::Operation| operation.streaming == Streaming::WebSocket;
        if asked.refusal.is_none() && found.operation.is_some_and(|operation| !speaks(operation)) {
            asked.refusal = Some(Refusal::new(refusal::Kind::WebSocket));
        }
        asked
    }

    fn from_identified(found: &Identified<'_>) -> Self {
        let operation = found.operation;
        let text = |value: &Option<std::borrow::Cow<'_, str>>| {
            value.as_deref().unwrap_or_default().to_owned()
        };
        let source = operation.map(|operation| &operation.deployment_source);
        let target = Target {
            operation_id: found.log_operation_id().to_owned(),
            surface_operation_id: operation.map_or("", |op| op.operation_id.as_str()).to_owned(),
            surface: found.surface.name().to_owned(),
            kind: operation.map_or("", |op| op.kind.name()).to_owned(),
            subkind: operation.map_or("", |op| op.subkind.as_str()).to_owned(),
            deployment: text(&found.deployment),
            model: text(&found.query_model),
            api_version: text(&found.api_version),
            is_stream: false,
        };
        let takes_model = matches!(
            source,
            Some(DeploymentSource::Body | DeploymentSource::Form | DeploymentSource::Path)
        );
        Self {
            target,
            family: found.family,
            relative_path: found.relative_path.to_owned(),
            named: Named::in_path(found),
            stateful: operation.map_or(Statefulness::None, |op| op.stateful),
            is_dated_path: operation.is_some_and(|op| {
                op.surface == Surface::AzureDated
                    && (found.deployment.is_some() || !op.path_template.contains("/deployments/{"))
            }),
            is_known: operation.is_some(),
            has_path_deployment: found.deployment.is_some(),
            takes_model,
            wants_model: takes_model && found.deployment.is_none(),
            multipart: operation.map_or(Multipart::Either, |op| op.multipart),
            streams: operation.is_none_or(openai::Operation::streams_events),
            tells_usage: operation.is_some_and(|op| {
                matches!(
                    (op.kind, op.subkind.as_str()),
                    (Kind::Chat, "chat") | (Kind::Completion, _)
                )
            }),
            usage_splice: None,
            output_tokens_max: None,
            choices: None,
            model_place: None,
            begins_with_message: false,
            refusal: None,
        }
    }

    /// How the body is taken in.
    pub(crate) fn intake(&self, parts: &Parts) -> Intake {
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_form =
            content_type.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
        if is_form && self.named.may_be_in_form() {
            return Intake::Whole;
        }
        if is_form {
            let wants_peek = self.takes_model || self.streams;
            return if wants_peek { Intake::UntilModel } else { Intake::Through };
        }
        let is_json = content_type.is_empty() || content_type.to_ascii_lowercase().contains("json");
        if is_json { Intake::Whole } else { Intake::Through }
    }

    /// A form has named what routing needs, and what the record wants if that is among the first
    /// bytes. `is_full` if no more of it is held in memory.
    pub(crate) fn is_satisfied(&self, peeker: &Peeker, is_full: bool) -> bool {
        let Some(peek) = peeker.so_far() else { return peeker.is_settled() };
        let names_model = peek.model.is_some() || !self.wants_model;
        peeker.is_settled() || (names_model && (is_full || peek.stream.is_some()))
    }

    /// Takes over what the body says. The URL's deployment beats the body's model.
    pub(crate) fn learn(&mut self, peek: &Peek) {
        if let Some(model) = &peek.model {
            self.target.model = model.clone();
        }
        self.target.is_stream |= peek.wants_stream();
        if self.takes_model {
            self.model_place = peek.model_place();
        }
        if self.tells_usage {
            self.usage_splice = peek.ask_for_usage();
        }
        self.output_tokens_max = peek.output_tokens_max();
        self.choices = peek.n;
        if !self.has_path_deployment && self.wants_model {
            self.target.deployment = self.target.model.clone();
        }
        self.named.learn(peek);
        if self.stateful == Statefulness::Conditional && !self.named.in_body.is_empty() {
            self.stateful = Statefulness::ById;
        }
    }

    /// The URL names the deployment, so the body can change nothing about it.
    pub(crate) fn has_path_deployment(&self) -> bool {
        self.has_path_deployment
    }

    /// What is asked for is known once the first message of the WebSocket is there.
    pub(crate) fn begins_with_message(&self) -> bool {
        self.begins_with_message
    }

    /// Azure would not know the path, because its `api-version` is missing or none.
    pub(crate) fn lacks_version(&self) -> bool {
        let version = self.target.api_version.as_str();
        match self.family {
            Family::AzureDeployment => !doctor::is_dated(version),
            Family::Inference => version.is_empty(),
            Family::Bare => self.has_path_deployment && !doctor::is_dated(version),
            _ => false,
        }
    }

    /// Whether a body that is no JSON is refused.
    pub(crate) fn demands_json(&self) -> bool {
        self.is_known && self.multipart != Multipart::Yes
    }

    /// A model does the work: it costs tokens.
    pub(crate) fn takes_model(&self) -> bool {
        self.wants_model || self.has_path_deployment || self.target.kind == "realtime"
    }

    /// It depends on what earlier calls left at one backend.
    pub(crate) fn is_stateful(&self) -> bool {
        !matches!(self.stateful, Statefulness::None | Statefulness::Conditional)
    }

    /// Sent twice, it does no more than sent once: it changes nothing, or only costs.
    pub(crate) fn is_repeatable(&self, method: &Method) -> bool {
        method.is_idempotent() || (self.is_known && !self.is_stateful())
    }

    /// The deployment or model that a backend must have; empty if any will do.
    pub(crate) fn deployment(&self) -> &str {
        match self.target.deployment.as_str() {
            "" => &self.target.model,
            deployment => deployment,
        }
    }

    /// The change to the body that makes its stream tell its usage, if the caller did not ask for that
    /// and the API at this path of a backend knows how.
    pub(crate) fn usage_splice(&self, upstream_path: &str) -> Option<&Splice> {
        let splice = self.usage_splice.as_ref()?;
        let is_versionless = ["/openai/v1/", "/v1/"].iter().any(|p| upstream_path.starts_with(p));
        let is_dated = upstream_path.starts_with("/openai/");
        let version = self.target.api_version.as_str();
        let is_late = version.starts_with('2') && version >= STREAM_OPTIONS_SINCE;
        (is_versionless || (is_dated && is_late)).then_some(splice)
    }

    /// The change to the body that makes it name the model as a backend knows it: where callers know
    /// it by another name, and where the deployment was in the path and OpenAI's path has no place for it.
    pub(crate) fn model_splice(&self, kind: BackendKind, own_name: &str) -> Option<Splice> {
        let place = self.model_place.as_ref()?;
        let is_due = match (self.has_path_deployment, kind) {
            (false, _) => own_name != self.deployment(),
            (true, BackendKind::Openai) => own_name != self.target.model,
            (true, BackendKind::Azure) => false,
        };
        is_due.then(|| place.put(own_name))
    }

    /// Path and query with a backend's own name of the deployment.
    pub(crate) fn renamed(&self, target: String, own_name: &str) -> String {
        let deployment = self.deployment();
        if own_name == deployment || !self.has_path_deployment {
            return target;
        }
        let own_name = utf8_percent_encode(own_name, PLAIN).to_string();
        let is_named = |text: &str| percent_decode_str(text).eq(deployment.bytes());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut full = String::with_capacity(target.len() + own_name.len());
        let mut former = "";
        for (place, segment) in path.split('/').enumerate() {
            if place > 0 {
                full.push('/');
            }
            let is_it = former == "deployments" && is_named(segment);
            full.push_str(if is_it { &own_name } else { segment });
            former = segment;
        }
        for (place, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            full.push(if place == 0 { '?' } else { '&' });
            match pair.split_once('=') {
                Some((name @ ("deployment" | "deployment_id" | "model"), value))
                    if is_named(value) =>
                {
                    full.push_str(name);
                    full.push('=');
                    full.push_str(&own_name);
                }
                _ => full.push_str(pair),
            }
        }
        full
    }

    /// Path and query as this kind of backend knows them. Within a family they stay as they are.
    pub(crate) fn upstream_path(&self, kind: BackendKind, path: &str, query: &str) -> String {
        let relative = &self.relative_path;
        let (path, keeps_version) = match (kind, self.family) {
            (_, Family::Arm | Family::Unknown) => (path.to_owned(), true),
            (BackendKind::Openai, _) => (format!("/v1/{relative}"), false),
            (_, Family::AzureDeployment | Family::AzureV1 | Family::Inference) => {
                (path.to_owned(), true)
            }
            (_, Family::AzureResource) if !self.is_known => (path.to_owned(), true),
            // Without a version there is no dated operation, but the same one of `v1`.
            (_, Family::AzureResource | Family::DeploymentPrefixed)
                if self.target.api_version.is_empty() =>
            {
                (format!("/openai/v1/{relative}"), false)
            }
            (_, Family::AzureResource) if self.is_dated_path => (path.to_owned(), true),
            (_, Family::DeploymentPrefixed) if self.is_dated_path => {
                (format!("/openai/{relative}"), true)
            }
            (_, Family::Bare) if self.has_path_deployment => (format!("/openai{path}"), true),
            (_, Family::Bare) if self.is_dated_path && !self.target.api_version.is_empty() => {
                (format!("/openai/{relative}"), true)
            }
            (_, Family::OpenAi) => (format!("/openai/v1/{relative}"), true),
            _ => (format!("/openai/v1/{relative}"), false),
        };
        let query = credential::strip_query(query);
        let mut pairs = query.split('&').filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !pair.is_empty() && (keeps_version || !name.eq_ignore_ascii_case("api-version"))
        });
        let mut full = path;
        if let Some(first) = pairs.next() {
            full.push('?');
            full.push_str(first);
            for pair in pairs {
                full.push('&');
                full.push_str(pair);
            }
        }
        full
    }
}

fn asks_for_stream(query: &str) -> bool {
    query.split('&').any(|pair| pair == "stream=true")
}

/// Identifies a request given as raw bytes, as the gateway would; the entry for fuzzing. The answer
/// is what would be recorded, or the code of the refusal.
pub fn examine(catalogue: &Catalogue, head: &[u8], body: &[u8]) -> Result<Target, &'static str> {
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut lines);
    if !matches!(parsed.parse(head), Ok(httparse::Status::Complete(_))) {
        return Err(Refusal::new(refusal::Kind::HeadMalformed).code());
    }
    let mut builder = http::Request::builder()
        .method(parsed.method.unwrap_or_default())
        .uri(parsed.path.unwrap_or_default());
    for line in parsed.headers.iter() {
        builder = builder.header(line.name, line.value);
    }
    let request =
        builder.body(()).map_err(|_| Refusal::new(refusal::Kind::HeadMalformed).code())?;
    let (parts, ()) = request.into_parts();
    let mut asked = Asked::new(catalogue, &parts, UnknownPaths::Proxy);
    if let Some(refusal) = &asked.refusal {
        return Err(refusal.code());
    }
    let query = parts.uri.query().unwrap_or_default();
    let _ = (credential::find(&parts.headers, parts.uri.query()), credential::redact_query(query));
    if asked.intake(&parts) != Intake::Through {
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        let mut peeker = Peeker::new(content_type.and_then(|value| value.to_str().ok()));
        for piece in body.chunks(7) {
            peeker.push(piece);
        }
        let peek = peeker.finish();
        if asked.demands_json() && peek.malformed().is_some() {
            return Err(Refusal::new(refusal::Kind::BodyMalformed).code());
        }
        asked.learn(&peek);
    }
    for kind in [BackendKind::Azure, BackendKind::Openai] {
        let _ = asked.upstream_path(kind, parts.uri.path(), query);
    }
    Ok(asked.target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websockets_are_told_from_calls() {
        let catalogue = Catalogue::builtin();
        let check = |uri: &str| {
            let request = http::Request::get(uri).header("upgrade", "websocket");
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let asked = Asked::new(&catalogue, &parts, UnknownPaths::Proxy);
            let code = asked.refusal.as_ref().map(Refusal::code);
            (asked.target.operation_id.clone(), asked.begins_with_message(), code)
        };
        for path in [
            "/openai/v1/responses",
            "/v1/responses",
            "/openai/responses?api-version=2025-04-01-preview",
        ] {
            assert_eq!(check(path), ("Create_Response".to_owned(), true, None), "{path}");
        }
        let of_path = "/openai/deployments/gpt-4o/responses?api-version=2024-10-21";
        assert_eq!(check(of_path), ("Create_Response".to_owned(), true, None));
        for path in [
            "/v1/realtime?model=m",
            "/openai/v1/realtime?model=m",
            "/openai/realtime?api-version=2024-10-01-preview&deployment=m",
        ] {
            assert_eq!(check(path), ("onHandshake".to_owned(), false, None), "{path}");
        }
        assert_eq!(check("/v1/models").2, Some("WebSocketNotSupported"));
        assert_eq!(check("/v1/something/new").2, None, "unknown paths are passed on");
    }

    fn asked(catalogue: &Catalogue, method: &str, uri: &str) -> Asked {
        let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
        Asked::new(catalogue, &request.into_parts().0, UnknownPaths::Proxy)
    }

    #[test]
    fn paths_are_rewritten_only_where_the_backend_speaks_another_dialect() {
        let catalogue = Catalogue::builtin();
        let check = |uri: &str, kind, want: &str| {
            let asked = asked(&catalogue, "POST", uri);
            let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
            assert_eq!(asked.upstream_path(kind, path, query), want, "{asked:?}");
        };
        let dated = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
        check(dated, BackendKind::Azure, dated);
        check("/v1/chat/completions", BackendKind::Openai, "/v1/chat/completions");
        check("/v1/chat/completions", BackendKind::Azure, "/openai/v1/chat/completions");
        check("/chat/completions", BackendKind::Azure, "/openai/v1/chat/completions");
        check("/openai/v1/responses", BackendKind::Openai, "/v1/responses");
        check("/openai/v1/responses?api-key=s3cret", BackendKind::Azure, "/openai/v1/responses");
        check(
            "/openai/files?api-version=2024-10-21",
            BackendKind::Azure,
            "/openai/files?api-version=2024-10-21",
        );
        check("/openai/responses", BackendKind::Azure, "/openai/v1/responses");
        check("/openai/deployments/d/threads", BackendKind::Azure, "/openai/v1/threads");
        check(
            "/openai/deployments/gpt-4o/threads?api-version=2024-05-01-preview",
            BackendKind::Azure,
            "/openai/threads?api-version=2024-05-01-preview",
        );
        check(
            "/openai/chat/completions?api-version=2024-10-21",
            BackendKind::Azure,
            "/openai/v1/chat/completions",
        );
        check(
            "/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            BackendKind::Azure,
            "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        );
    }

    #[test]
    fn names_are_exchanged_where_a_backend_has_its_own() {
        let catalogue = Catalogue::builtin();
        let check = |uri: &str, want: &str| {
            let asked = asked(&catalogue, "POST", uri);
            assert_eq!(asked.renamed(uri.to_owned(), "own/1"), want);
            assert_eq!(asked.renamed(uri.to_owned(), asked.deployment()), uri);
        };
        check(
            "/openai/deployments/gpt%2D4o/chat/completions?api-version=2024-10-21",
            "/openai/deployments/own%2F1/chat/completions?api-version=2024-10-21",
        );
        check("/openai/v1/responses?x=1", "/openai/v1/responses?x=1");
        let body = |uri: &str, kind, body: &str, own: &str| {
            let mut asked = asked(&catalogue, "POST", uri);
            let mut peeker = Peeker::new(Some("application/json"));
            peeker.push(body.as_bytes());
            asked.learn(&peeker.finish());
            asked.model_splice(kind, own).map(|splice| splice.text.into_owned())
        };
        let (azure, openai) = (BackendKind::Azure, BackendKind::Openai);
        let dated = "/openai/deployments/d/chat/completions?api-version=2024-10-21";
        assert_eq!(body(dated, azure, r#"{"model":"x"}"#, "own"), None, "the path tells it");
        assert_eq!(body(dated, openai, r#"{"model":"d"}"#, "d"), None);
        assert_eq!(body(dated, openai, r#"{"model":"x"}"#, "d").as_deref(), Some("\"d\""));
        assert_eq!(body(dated, openai, r#"{"n":1}"#, "d").as_deref(), Some(r#""model":"d","#));
        for kind in [azure, openai] {
            let chat = "/v1/chat/completions";
            assert_eq!(body(chat, kind, r#"{"model":"m"}"#, "m"), None);
            assert_eq!(body(chat, kind, r#"{"model":"m"}"#, "o").as_deref(), Some("\"o\""));
        }
        let threads = "/openai/deployments/d/threads?api-version=2024-05-01-preview";
        assert_eq!(body(threads, openai, "{}", "own"), None, "it has no model");
    }

    #[test]
    fn usage_is_asked_for_where_the_api_knows_it() {
        let catalogue = Catalogue::builtin();
        let asks = |uri: &str, kind| {
            let mut asked = asked(&catalogue, "POST", uri);
            let mut peeker = Peeker::new(Some("application/json"));
            peeker.push(br#"{"stream":true}"#);
            asked.learn(&peeker.finish());
            let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
            asked.usage_splice(&asked.upstream_path(kind, path, query)).is_some()
        };
        let dated =
            |version| format!("/openai/deployments/d/chat/completions?api-version={version}");
        for (version, knows) in [
            ("2023-05-15", false),
            ("2024-02-01", false),
            ("2024-06-01", false),
            ("2024-08-01-preview", false),
            ("2024-09-01-preview", true),
            ("2024-10-21", true),
            ("2025-04-01-preview", true),
            ("", false),
            ("latest", false),
        ] {
            assert_eq!(asks(&dated(version), BackendKind::Azure), knows, "{version}");
            // There the path has no version.
            assert!(asks(&dated(version), BackendKind::Openai), "{version}");
        }
        for (uri, knows) in [
            ("/openai/v1/chat/completions", true),
            ("/openai/v1/completions?api-version=preview", true),
            ("/v1/chat/completions", true),
            ("/chat/completions", true),
            ("/openai/deployments/d/completions?api-version=2024-10-21", true),
            ("/models/chat/completions?api-version=2024-05-01-preview", false),
            ("/v1/responses", false),
            ("/v1/threads/t/runs", false),
            ("/v1/images/generations", false),
        ] {
            assert_eq!(asks(uri, BackendKind::Azure), knows, "{uri}");
        }
    }

    #[test]
    fn nonsense_is_refused_and_never_panics() {
        let catalogue = Catalogue::builtin();
        assert_eq!(examine(&catalogue, b"\xff\xfe", b""), Err("BadRequest"));
        let wrong = b"POST /nowhere HTTP/1.1\r\n\r\n";
        assert_eq!(examine(&catalogue, wrong, b""), Err("OperationNotFound"));
        let chat = b"POST /v1/chat/completions HTTP/1.1\r\n\r\n";
        assert_eq!(examine(&catalogue, chat, b"{\"model\":"), Err("BadRequest"));
        let target = examine(&catalogue, chat, br#"{"messages":[],"stream":true,"model":"m"}"#);
        let target = target.expect("identified");
        assert_eq!((target.deployment.as_str(), target.is_stream), ("m", true));
    }
}
