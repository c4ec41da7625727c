//! One request, understood: what the operations work from, and what they hand back.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use crate::config::Deployment;
use crate::dialect::Dialect;
use crate::failure::Failure;
use crate::fault::{Fault, Faults};
use crate::instance::Instance;
use crate::payload::{Form, Payload};
use crate::route::Route;
use crate::script::Script;
use crate::store::{Kind, Object};
use crate::text::TOKENS_MAX;
use crate::tokens::Prompt;
use crate::usage::Used;

/// A request on its way to an operation.
pub(crate) struct Call<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) method: Method,
    pub(crate) route: Route,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) host: String,
    pub(crate) payload: Payload,
    pub(crate) faults: &'a Faults,
    /// A filter trigger may stand in the body.
    pub(crate) triggers: bool,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

impl Call<'_> {
    /// What is said about a path or method that leads nowhere.
    pub(crate) fn unknown(&self) -> Failure {
        if self.dialect() == Dialect::OpenAi {
            let path = format!("/v1/{}", self.route.segments.join("/"));
            return Failure::unknown_url(&self.method, &path);
        }
        Failure::resource_not_found()
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.route.dialect
    }

    /// The JSON body; null if there is none.
    pub(crate) fn body(&self) -> &Value {
        match &self.payload {
            Payload::Json(value) => value,
            _ => &Value::Null,
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        self.body().get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.field(name).and_then(Value::as_str)
    }

    /// A text that must be there.
    pub(crate) fn need_text(&self, name: &'static str) -> Result<&str, Failure> {
        match self.field(name) {
            None => Err(Failure::missing(name)),
            Some(value) => {
                value.as_str().ok_or_else(|| Failure::invalid(name, "expected a string"))
            }
        }
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.field(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A whole number within limits, if it is given.
    pub(crate) fn number(
        &self,
        name: &'static str,
        min: u64,
        max: u64,
    ) -> Result<Option<u64>, Failure> {
        let Some(value) = self.field(name) else { return Ok(None) };
        let number = value.as_u64().filter(|number| (min..=max).contains(number));
        number.map(Some).ok_or_else(|| {
            Failure::invalid(name, &format!("expected a whole number from {min} to {max}"))
        })
    }

    pub(crate) fn form(&self) -> Result<&Form, Failure> {
        match &self.payload {
            Payload::Form(form) => Ok(form),
            _ => Err(Failure::bad_request("Expected a multipart/form-data body")),
        }
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn wants_stream_by_query(&self) -> bool {
        self.query("stream") == Some("true")
    }

    /// A prompt to count into.
    pub(crate) fn prompt(&self) -> Prompt {
        Prompt::new(self.instance.config.tokenizer, self.instance.config.seed)
    }

    /// The length asked for by the header or field `x-sim-tokens`.
    pub(crate) fn sim_tokens(&self) -> Option<u64> {
        let header =
            self.headers.get("x-sim-tokens").and_then(|value| value.to_str().ok()?.parse().ok());
        let tokens: Option<u64> =
            header.or_else(|| self.field("x_sim_tokens").and_then(Value::as_u64));
        tokens.map(|tokens| tokens.min(TOKENS_MAX))
    }

    /// Tokens of a prompt that the header `x-sim-cached-tokens` says were cached.
    pub(crate) fn cached_tokens(&self, prompt_tokens: u64) -> u64 {
        let asked = self.headers.get("x-sim-cached-tokens");
        let asked = asked.and_then(|value| value.to_str().ok()?.parse().ok());
        asked.unwrap_or(0).min(prompt_tokens)
    }

    /// The caller asked for priority.
    pub(crate) fn is_priority(&self) -> bool {
        self.text("service_tier") == Some("priority")
    }

    /// What tokens of text are billed with.
    pub(crate) fn tokens_used(&self, model: &str, prompt: u64, completion: u64) -> Used {
        Used {
            model: model.to_owned(),
            prompt_tokens: prompt,
            cached_tokens: self.cached_tokens(prompt),
            completion_tokens: completion,
            service_tier: if self.is_priority() { "priority" } else { "" },
            is_told: !self.faults.has(&Fault::NoUsage),
            ..Used::default()
        }
    }

    /// The deployment that serves this call, from the path or else from `model`.
    pub(crate) fn deployment(&self, model: Option<&str>) -> Result<Arc<Deployment>, Failure> {
        let all = self.instance.deployments();
        if let Some(name) = &self.route.deployment {
            let found = all.iter().find(|deployment| deployment.name == *name);
            return found.cloned().ok_or_else(Failure::deployment_not_found);
        }
        let Some(model) = model.filter(|model| !model.is_empty()) else {
            return Err(Failure::bad_request("you must provide a model parameter").param("model"));
        };
        let by_name = all.iter().find(|deployment| deployment.name == model);
        let by_model = || all.iter().find(|deployment| deployment.model == model);
        let found = match self.dialect() {
            Dialect::OpenAi | Dialect::Inference => by_name.or_else(by_model),
            _ => by_name,
        };
        if let Some(found) = found {
            return Ok(Arc::clone(found));
        }
        if let Ok(tuned) = self.instance.store.get(Kind::FineTunedModel, model) {
            let base = tuned.value["base"].as_str().unwrap_or_default();
            return Ok(Arc::new(Deployment::new(model, base)));
        }
        Err(match self.dialect() {
            Dialect::OpenAi => Failure::model_not_found(model),
            Dialect::Inference => {
                Failure::bad_request(format!("Unknown model: {model}")).with_code("unknown_model")
            }
            _ => Failure::deployment_not_found(),
        })
    }

    /// A new id of a kind.
    pub(crate) fn id(&self, kind: Kind) -> String {
        self.instance.id(kind.prefix())
    }

    pub(crate) fn keep(&self, kind: Kind, id: &str, object: Object) {
        self.instance.store.put(kind, id, object);
    }
}

/// What an operation answers.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) script: Script,
    /// Tokens that had to be made before the first byte.
    pub(crate) tokens_before: u64,
    /// Name of the model that worked.
    pub(crate) model: Option<Arc<Deployment>>,
    /// What is billed.
    pub(crate) used: Option<Used>,
}

impl Reply {
    pub(crate) fn new(content_type: &'static str, script: Script) -> Self {
        let status = StatusCode::OK;
        Self {
            status,
            content_type,
            headers: Vec::new(),
            script,
            tokens_before: 0,
            model: None,
            used: None,
        }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::new("application/json", Script::json(value, ""))
    }

    /// As Azure's models answer: a line end behind the text.
    pub(crate) fn json_line(dialect: Dialect, value: &Value) -> Self {
        Self::new(
            "application/json",
            Script::json(value, if dialect.is_azure() { "\n" } else { "" }),
        )
    }

    pub(crate) fn stream(script: Script) -> Self {
        let mut reply = Self::new("text/event-stream; charset=utf-8", script);
        reply
            .headers
            .push((HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")));
        reply.headers.push((http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache")));
        reply
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// A header whose value is a number.
    pub(crate) fn count(mut self, name: &'static str, number: u64) -> Self {
        self.headers.push((HeaderName::from_static(name), HeaderValue::from(number)));
        self
    }

    pub(crate) fn by(mut self, deployment: &Arc<Deployment>) -> Self {
        self.model = Some(Arc::clone(deployment));
        self
    }

    pub(crate) fn after(mut self, tokens: u64) -> Self {
        self.tokens_before = tokens;
        self
    }

    /// What it is billed for.
    pub(crate) fn using(mut self, used: Used) -> Self {
        self.used = Some(used);
        self
    }

    pub(crate) fn deleted(id: &str, object: &str) -> Self {
        Self::json(&json!({"id": id, "object": object, "deleted": true}))
    }
}

/// How a model calls itself in answers.
pub(crate) fn model_label(deployment: &Deployment) -> String {
    if deployment.version.is_empty() {
        deployment.model.clone()
    } else {
        format!("{}-{}", deployment.model, deployment.version)
    }
}
