//! What each model can do, and the list of models.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply, model_label};
use crate::config::{Deployment, Strictness};
use crate::dialect::Dialect;
use crate::failure::Failure;
use crate::limits::{self, Allowance};
use crate::store::Kind;

/// A sort of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Chat,
    Completion,
    Embedding,
    Image,
    Transcription,
    Speech,
    Moderation,
    Video,
    Realtime,
}

impl Task {
    /// As Azure's error names it.
    fn operation(self) -> &'static str {
        match self {
            Self::Chat => "chatCompletion",
            Self::Completion => "completions",
            Self::Embedding => "embeddings",
            Self::Image => "imageGenerations",
            Self::Transcription => "transcriptions",
            Self::Speech => "speech",
            Self::Moderation => "moderations",
            Self::Video => "videos",
            Self::Realtime => "realtime",
        }
    }

    fn of(model: &str) -> Self {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| model.starts_with(prefix));
        if model.contains("realtime") {
            Self::Realtime
        } else if model.contains("embedding") || starts(&["embed", "cohere-embed"]) {
            Self::Embedding
        } else if starts(&["dall-e", "gpt-image"]) {
            Self::Image
        } else if starts(&["whisper"]) || model.contains("transcribe") {
            Self::Transcription
        } else if starts(&["tts"]) || model.contains("-tts") {
            Self::Speech
        } else if model.contains("moderation") {
            Self::Moderation
        } else if starts(&["sora"]) {
            Self::Video
        } else if model.contains("instruct")
            || starts(&["davinci", "babbage", "text-davinci", "curie", "ada"])
        {
            Self::Completion
        } else {
            Self::Chat
        }
    }
}

/// Finds the deployment and makes sure that its model does this work.
pub(crate) fn serve(
    call: &Call<'_>,
    model: Option<&str>,
    task: Task,
) -> Result<Arc<Deployment>, Failure> {
    let deployment = call.deployment(model)?;
    let is_lenient = call.instance.config.strictness == Strictness::Lenient;
    if is_lenient || Task::of(&deployment.model) == task {
        return Ok(deployment);
    }
    Err(Failure::operation_not_supported(task.operation(), &deployment.model))
}

/// Whether a model thinks before it answers.
pub(crate) fn reasons(model: &str) -> bool {
    ["o1", "o3", "o4", "gpt-5"].iter().any(|prefix| model.starts_with(prefix))
}

/// Counts a call against its deployment's limits and tells what is left in headers.
pub(crate) fn charge(
    call: &Call<'_>,
    deployment: &Arc<Deployment>,
    tokens: u64,
    reply: Reply,
) -> Result<Reply, Failure> {
    let left = admit(call, deployment, tokens)?;
    Ok(allowed(call, left, reply.by(deployment)))
}

/// Counts a call before anything is made that a refusal would leave behind.
pub(crate) fn admit(
    call: &Call<'_>,
    deployment: &Deployment,
    tokens: u64,
) -> Result<Allowance, Failure> {
    if !call.instance.config.rate_limits {
        let requests_limit = limits::requests_limit(deployment.tpm);
        return Ok(Allowance {
            tokens_limit: deployment.tpm,
            tokens_left: deployment.tpm.saturating_sub(tokens),
            requests_limit,
            requests_left: requests_limit - 1,
        });
    }
    match call.instance.limits.take(deployment, tokens, tokio::time::Instant::now()) {
        Ok(left) => Ok(left),
        Err(over) if call.dialect() == Dialect::OpenAi => {
            let what = if over.tokens { "tokens" } else { "requests" };
            Err(Failure::openai_rate(&deployment.model, what, over.limit, over.wait))
        }
        Err(over) => {
            let what = if over.tokens { "token" } else { "call" };
            let route = &call.route;
            Err(Failure::azure_rate(&route.operation_id, &route.version, what, over.wait))
        }
    }
}

/// Tells what is left in headers.
pub(crate) fn allowed(call: &Call<'_>, left: Allowance, reply: Reply) -> Reply {
    let reply = reply
        .count("x-ratelimit-limit-requests", left.requests_limit)
        .count("x-ratelimit-limit-tokens", left.tokens_limit)
        .count("x-ratelimit-remaining-requests", left.requests_left)
        .count("x-ratelimit-remaining-tokens", left.tokens_left);
    if call.dialect() != Dialect::OpenAi {
        return reply;
    }
    reply.header("x-ratelimit-reset-requests", "1ms").header("x-ratelimit-reset-tokens", "0ms")
}

/// `models`, `models/{id}` and `info`.
pub(crate) fn models(call: &Call<'_>, rest: &[&str]) -> Result<Reply, Failure> {
    match (&call.method, rest) {
        (&Method::GET, []) => {
            let mut seen = Vec::new();
            let mut data = Vec::new();
            for deployment in call.instance.deployments().iter() {
                let id = model_id(call, deployment);
                if !seen.contains(&id) {
                    data.push(model(call, deployment));
                    seen.push(id);
                }
            }
            data.extend(
                call.instance
                    .store
                    .list(Kind::FineTunedModel, None)
                    .into_iter()
                    .map(|object| object.value["model"].clone()),
            );
            Ok(Reply::json(&json!({"object": "list", "data": data})))
        }
        (&Method::GET, [id]) => {
            let deployments = call.instance.deployments();
            let found = deployments
                .iter()
                .find(|deployment| deployment.model == *id || deployment.name == *id);
            if let Some(found) = found {
                return Ok(Reply::json(&model(call, found)));
            }
            let tuned = call.instance.store.get(Kind::FineTunedModel, id)?;
            Ok(Reply::json(&tuned.value["model"]))
        }
        (&Method::DELETE, [id]) => {
            call.instance.store.remove(Kind::FineTunedModel, id)?;
            Ok(Reply::deleted(id, "model"))
        }
        _ => Err(Failure::resource_not_found()),
    }
}

/// On Azure's v1 paths `model` names a deployment, elsewhere a model.
fn model_id(call: &Call<'_>, deployment: &Deployment) -> String {
    if call.dialect() == Dialect::AzureV1 {
        deployment.name.clone()
    } else {
        model_label(deployment)
    }
}

fn model(call: &Call<'_>, deployment: &Deployment) -> Value {
    let id = model_id(call, deployment);
    let created = 1_715_367_049;
    if call.dialect() == Dialect::OpenAi {
        return json!({"id": id, "object": "model", "created": created, "owned_by": "system"});
    }
    let task = Task::of(&deployment.model);
    json!({
        "status": "succeeded",
        "capabilities": {
            "fine_tune": task == Task::Chat,
            "inference": true,
            "completion": task == Task::Completion,
            "chat_completion": task == Task::Chat,
            "embeddings": task == Task::Embedding,
        },
        "lifecycle_status": "generally-available",
        "deprecation": {"fine_tune": 1_924_905_600, "inference": 1_924_905_600},
        "id": id,
        "created_at": created,
        "created": created,
        "owned_by": "system",
        "object": "model",
    })
}

/// `GET /models/info` of Azure AI inference, for the first deployment.
pub(crate) fn info(call: &Call<'_>) -> Result<Reply, Failure> {
    let deployments = call.instance.deployments();
    let deployment = deployments.first().ok_or_else(Failure::deployment_not_found)?;
    let kind = match Task::of(&deployment.model) {
        Task::Embedding => "embeddings",
        Task::Image => "image-generation",
        _ => "chat-completion",
    };
    let value = json!({"model_name": model_label(deployment), "model_type": kind, "model_provider_name": "OpenAI"});
    Ok(Reply::json(&value))
}
