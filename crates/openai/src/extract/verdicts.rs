//! Verdicts of the content filter.

use crate::Tree;
use serde::Serialize;

use super::{Input, at};

/// What was found in the prompt and in the answer.
#[derive(Serialize)]
struct Verdicts<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a Tree>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    completion: Vec<Verdict<'a>>,
    /// Of Azure's responses.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a Tree>,
    /// Of moderation, whose very answer is a verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    moderation: Option<&'a Tree>,
}

#[derive(Serialize)]
struct Verdict<'a> {
    index: u64,
    content_filter_results: &'a Tree,
}

/// An object with what was found in the prompt and in the answer, as text; empty if nothing was told.
pub(crate) fn read(input: &Input<'_>) -> String {
    let Some(response) = input.response.json() else { return String::new() };
    let told = |key| response.get(key).filter(|found: &&Tree| found.is_array());
    let verdicts = Verdicts {
        prompt: prompt(response),
        completion: ["choices", "data"]
            .into_iter()
            .flat_map(|key| answers(response, key))
            .collect(),
        response: told("content_filters"),
        moderation: told("results"),
    };
    if let Verdicts { prompt: None, response: None, moderation: None, completion } = &verdicts
        && completion.is_empty()
    {
        return String::new();
    }
    serde_json::to_string(&verdicts).expect("JSON has string keys and no failing serialisers")
}

fn answers<'a>(response: &'a Tree, list: &str) -> impl Iterator<Item = Verdict<'a>> {
    let entries = response.get(list).and_then(Tree::as_array).into_iter().flatten();
    entries.enumerate().filter_map(|(at, entry)| {
        let results = entry.get("content_filter_results").filter(|results| !results.is_null())?;
        let index = entry.get("index").and_then(Tree::as_u64).unwrap_or(at as u64);
        Some(Verdict { index, content_filter_results: results })
    })
}

fn prompt(response: &Tree) -> Option<&Tree> {
    let told = [&["prompt_filter_results"][..], &["prompt_annotations"]];
    let told = told.into_iter().find_map(|path| at(response, path));
    let first = || response.get("data")?.as_array()?.first()?.get("prompt_filter_results");
    // The wire and the description spell the inner error differently.
    let refused = || {
        let inner = at(response, &["error", "innererror"])
            .or_else(|| at(response, &["error", "inner_error"]))?;
        inner.get("content_filter_result").or_else(|| inner.get("content_filter_results"))
    };
    told.or_else(first).or_else(refused).filter(|found| !found.is_null())
}
