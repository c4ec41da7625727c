//! Assistants, threads, messages, runs and steps; chat kits share their words.

use crate::Tree;

use super::content::{Speaker, tool_calls, tool_definitions};
use super::{Direction, Extraction, Input, at, chat};

pub(crate) fn read(input: &Input<'_>, out: &mut Extraction) {
    ids(input, out);
    if let Some(request) = input.request.json() {
        request_parts(input, out, request);
    }
    if let Some(response) = input.response.json() {
        answer_parts(input, out, response);
    }
}

fn ids(input: &Input<'_>, out: &mut Extraction) {
    let response = input.response.json();
    let told = |key: &str| response.and_then(|response| response.get(key)?.as_str());
    let object = told("object").unwrap_or_default();
    let own = |kinds: &[&str]| kinds.contains(&object).then(|| told("id")).flatten();
    let run_ids = response.and_then(|response| response.get("run"));
    let of_run = |key: &str| run_ids.and_then(|run| run.get(key)?.as_str());
    // Lists tell the ids in their entries.
    let first = response.and_then(|response| response.get("data")?.as_array()?.first());
    let of_first = |key: &str| first.and_then(|first| first.get(key)?.as_str());
    let asked = |key: &str| input.asked(key).as_str();
    let thread = input.path_ids.get("thread_id").or_else(|| told("thread_id"));
    let thread = thread.or_else(|| own(&["thread"])).or_else(|| of_run("thread_id"));
    out.thread_id = thread.or_else(|| of_first("thread_id")).unwrap_or_default().to_owned();
    let run = input.path_ids.get("run_id").or_else(|| told("run_id"));
    let run = run.or_else(|| own(&["thread.run", "thread.run.stream"])).or_else(|| of_run("id"));
    out.run_id = run.unwrap_or_default().to_owned();
    let assistant = input.path_ids.get("assistant_id").or_else(|| asked("assistant_id"));
    let assistant = assistant.or_else(|| told("assistant_id")).or_else(|| own(&["assistant"]));
    let assistant =
        assistant.or_else(|| of_run("assistant_id")).or_else(|| of_first("assistant_id"));
    out.assistant_id = assistant.unwrap_or_default().to_owned();
}

fn request_parts(input: &Input<'_>, out: &mut Extraction, request: &Tree) {
    let instructions = Speaker::prompt("system").of_type("instructions");
    instructions.content(out, &request["instructions"]);
    instructions.named("additional").content(out, &request["additional_instructions"]);
    chat::messages(out, &request["messages"], 0);
    chat::messages(out, &request["thread"]["messages"], 0);
    chat::messages(out, &request["additional_messages"], 0);
    if input.subkind == "message" {
        let role = request["role"].as_str().unwrap_or("user");
        Speaker::prompt(role).content(out, &request["content"]);
    }
    for output in request["tool_outputs"].as_array().into_iter().flatten() {
        let name = output["tool_call_id"].as_str().unwrap_or_default();
        Speaker::prompt("tool").named(name).of_type("tool_result").content(out, &output["output"]);
    }
    tool_definitions(out, &request["tools"]);
}

fn answer_parts(input: &Input<'_>, out: &mut Extraction, response: &Tree) {
    match input.subkind {
        // A message that was just created is the prompt already read from the request.
        "message" if input.request.json().is_none() => {
            message(out, response);
            list(&response["data"]).for_each(|entry| message(out, entry));
        }
        "run" => {
            run(out, response);
            run(out, &response["run"]);
            list(&response["steps"]).for_each(|step| self::step(out, step));
            list(&response["messages"]).for_each(|entry| message(out, entry));
        }
        "run-step" => {
            step(out, response);
            list(&response["data"]).for_each(|entry| step(out, entry));
        }
        "chatkit" => list(&response["data"]).for_each(|entry| message(out, entry)),
        _ => {}
    }
}

fn list(value: &Tree) -> impl Iterator<Item = &Tree> {
    value.as_array().into_iter().flatten()
}

/// A message of a thread: the user's is a prompt, the assistant's an answer.
fn message(out: &mut Extraction, message: &Tree) {
    let role = message["role"].as_str().unwrap_or_default();
    let direction = match role {
        "assistant" => Direction::Completion,
        "" if message.get("content").is_none() => return,
        // A message that the stream had no head of can only come from the run.
        "" => Direction::Completion,
        _ => Direction::Prompt,
    };
    let role = if role.is_empty() { "assistant" } else { role };
    let speaker = Speaker { direction, role, name: "", text_type: "text", choice_index: 0 };
    speaker.content(out, &message["content"]);
}

fn run(out: &mut Extraction, run: &Tree) {
    let Some(status) = run["status"].as_str() else { return };
    let reason = at(run, &["incomplete_details", "reason"]).and_then(Tree::as_str);
    out.finished(reason.unwrap_or(status));
    if let Some(action) = at(run, &["required_action", "submit_tool_outputs"]) {
        tool_calls(out, Speaker::completion("assistant", 0), action);
    }
}

fn step(out: &mut Extraction, step: &Tree) {
    tool_calls(out, Speaker::completion("assistant", 0), &step["step_details"]);
}
