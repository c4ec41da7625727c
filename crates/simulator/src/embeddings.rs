//! Embeddings: unit vectors drawn from each input, as numbers or as base64 of little-endian `f32`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::call::{Call, Reply, model_label};
use crate::failure::Failure;
use crate::fault::Fault;
use crate::models::{self, Task};
use crate::text::mix;
use crate::tokens::Prompt;
use crate::usage::Used;

/// Most inputs in one request.
const INPUTS_MAX: usize = 2048;

/// `POST embeddings`.
pub(crate) fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    let deployment = models::serve(call, call.text("model"), Task::Embedding)?;
    let inputs = inputs(call)?;
    let natural = match deployment.model.as_str() {
        model if model.contains("3-large") => 3072,
        _ => 1536,
    };
    let dimensions = call.number("dimensions", 1, natural)?;
    if dimensions.is_some() && deployment.model.contains("ada-002") {
        return Err(Failure::bad_request("This model does not support specifying dimensions.")
            .param("dimensions"));
    }
    let dimensions = dimensions.unwrap_or(natural);
    let base64 = match call.text("encoding_format").unwrap_or("float") {
        "float" => false,
        "base64" => true,
        _ => return Err(Failure::invalid("encoding_format", "expected 'float' or 'base64'")),
    };
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, prompt)| {
            let vector = vector(prompt.hash, dimensions);
            let embedding = if base64 { json!(encode(&vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens: u64 = inputs.iter().map(|prompt| prompt.tokens).sum();
    let mut value = json!({"object": "list", "data": data, "model": model_label(&deployment)});
    if !call.faults.has(&Fault::NoUsage) {
        value["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    }
    let cost = inputs.iter().map(|prompt| prompt.chars.div_ceil(4)).sum();
    let used = Used {
        cached_tokens: 0,
        service_tier: "",
        ..call.tokens_used(&model_label(&deployment), tokens, 0)
    };
    models::charge(call, &deployment, cost, Reply::json_line(call.dialect(), &value).using(used))
}

fn inputs(call: &Call<'_>) -> Result<Vec<Prompt>, Failure> {
    let value = call.field("input").ok_or_else(|| Failure::missing("input"))?;
    let bad = || {
        Failure::invalid(
            "input",
            "expected a string, a list of up to 2048 strings, token ids or a list of them",
        )
    };
    let text = |text: &str| {
        let mut prompt = call.prompt();
        prompt.add(text);
        prompt
    };
    let ids = |ids: &[Value]| {
        let mut prompt = call.prompt();
        prompt.add_ids(ids);
        prompt
    };
    match value {
        Value::String(input) => Ok(vec![text(input)]),
        Value::Array(items) if items.is_empty() => Err(bad()),
        Value::Array(items) if items.iter().all(Value::is_u64) => Ok(vec![ids(items)]),
        Value::Array(items) if items.len() <= INPUTS_MAX => items
            .iter()
            .map(|item| match item {
                Value::String(input) => Ok(text(input)),
                Value::Array(list) if !list.is_empty() && list.iter().all(Value::is_u64) => {
                    Ok(ids(list))
                }
                _ => Err(bad()),
            })
            .collect(),
        _ => Err(bad()),
    }
}

/// A unit vector from a seed.
pub(crate) fn vector(seed: u64, dimensions: u64) -> Vec<f32> {
    let mut vector: Vec<f32> = (0..dimensions)
        .map(|index| (mix(seed, index) >> 40) as f32 / (1u32 << 23) as f32 - 1.0)
        .collect();
    let length = vector.iter().map(|part| part * part).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|part| *part /= length);
    }
    vector
}

fn encode(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|part| part.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
