//! Graders of fine-tuning: checked and run alone. Comparisons of texts are done as they say; of graders that ask a model or
//! run a program the mark is drawn.

use http::Method;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::failure::Failure;
use crate::text::hash;

/// `fine_tuning/alpha/graders/run` and `.../validate`.
pub(crate) fn perform(call: &Call<'_>, work: &str) -> Result<Reply, Failure> {
    if call.method != Method::POST {
        return Err(call.unknown());
    }
    let grader = call.field("grader").ok_or_else(|| Failure::missing("grader"))?;
    let sort = grader["type"].as_str().ok_or_else(|| Failure::missing("grader.type"))?;
    if !["string_check", "text_similarity", "python", "score_model", "multi"].contains(&sort) {
        return Err(Failure::invalid("grader.type", "no such grader"));
    }
    match work {
        "validate" => Ok(Reply::json(&json!({"grader": grader}))),
        "run" => {
            let sample = call.need_text("model_sample")?;
            let (reward, parts) = mark(call, grader, sample);
            Ok(Reply::json(&marked(grader, reward, &parts)))
        }
        _ => Err(call.unknown()),
    }
}

/// The mark, and for several graders in one the mark of each.
fn mark(call: &Call<'_>, grader: &Value, sample: &str) -> (f64, Value) {
    let text = |name: &str| filled(grader[name].as_str().unwrap_or_default(), call, sample);
    let (input, reference) = (text("input"), text("reference"));
    let reward = match grader["type"].as_str().unwrap_or_default() {
        "string_check" => {
            let lower = |text: &str| text.to_lowercase();
            let passes = match grader["operation"].as_str().unwrap_or_default() {
                "ne" => input != reference,
                "like" => input.contains(&reference),
                "ilike" => lower(&input).contains(&lower(&reference)),
                _ => input == reference,
            };
            f64::from(u8::from(passes))
        }
        "text_similarity" => similarity(&input, &reference),
        "multi" => {
            let graders = grader["graders"].as_object().into_iter().flatten();
            let parts: serde_json::Map<_, _> = graders
                .map(|(name, part)| (name.clone(), json!(mark(call, part, sample).0)))
                .collect();
            let sum: f64 = parts.values().filter_map(Value::as_f64).sum();
            return (sum / parts.len().max(1) as f64, Value::Object(parts));
        }
        _ => (hash(call.instance.config.seed, sample.as_bytes()) % 101) as f64 / 100.0,
    };
    (reward, json!({}))
}

/// A template with the sample and the item's fields in their places.
fn filled(template: &str, call: &Call<'_>, sample: &str) -> String {
    let mut text = template.replace("{{sample.output_text}}", sample);
    for (name, value) in call.body()["item"].as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text = text.replace(&format!("{{{{item.{name}}}}}"), &value);
    }
    text
}

/// The share of words that two texts have in common.
fn similarity(left: &str, right: &str) -> f64 {
    let words = |text: &str| -> std::collections::BTreeSet<String> {
        text.split_whitespace().map(str::to_lowercase).collect()
    };
    let (left, right) = (words(left), words(right));
    let all = left.union(&right).count().max(1);
    left.intersection(&right).count() as f64 / all as f64
}

fn marked(grader: &Value, reward: f64, parts: &Value) -> Value {
    json!({
        "reward": reward,
        "sub_rewards": parts,
        "model_grader_token_usage_per_model": {},
        "metadata": {
            "name": grader["name"],
            "type": grader["type"],
            "execution_time": 0.01,
            "scores": {},
            "token_usage": null,
            "sampled_model_name": null,
            "errors": {
                "formula_parse_error": false,
                "sample_parse_error": false,
                "truncated_observation_error": false,
                "unresponsive_reward_error": false,
                "invalid_variable_error": false,
                "other_error": false,
                "python_grader_server_error": false,
                "python_grader_server_error_type": null,
                "python_grader_runtime_error": false,
                "python_grader_runtime_error_details": null,
                "model_grader_server_error": false,
                "model_grader_refusal_error": false,
                "model_grader_parse_error": false,
                "model_grader_server_error_details": null,
            },
        },
    })
}
