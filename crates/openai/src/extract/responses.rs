//! Responses and conversations: lists of typed items.

use crate::Tree;

use super::content::{Speaker, encoded, tool_definitions};
use super::{Direction, Extraction, Input};

pub(crate) fn read(input: &Input<'_>, out: &mut Extraction) {
    if let Some(request) = input.request.json() {
        request_parts(out, request);
    }
    let Some(response) = input.response.json() else { return };
    items(out, &response["data"], Direction::Prompt);
    answer_parts(out, response);
}

/// Conversations are written and read item by item.
pub(crate) fn read_conversation(input: &Input<'_>, out: &mut Extraction) {
    items(out, input.asked("items"), Direction::Prompt);
    let Some(response) = input.response.json() else { return };
    if input.request.json().is_some() {
        return;
    }
    items(out, &response["data"], Direction::Completion);
    if response.get("role").is_some() || response.get("content").is_some() {
        item(out, response, Direction::Completion);
    }
}

/// The prompt of a response.
pub(crate) fn request_parts(out: &mut Extraction, request: &Tree) {
    let instructions = Speaker::prompt("system").of_type("instructions");
    instructions.content(out, &request["instructions"]);
    if request["prompt"].is_object() {
        instructions.say(out, "instructions", request["prompt"].to_string());
    }
    match &request["input"] {
        Tree::String(text) => Speaker::prompt("user").text(out, text),
        list => items(out, list, Direction::Prompt),
    }
    tool_definitions(out, &request["tools"]);
}

/// The output of a response.
pub(crate) fn answer_parts(out: &mut Extraction, response: &Tree) {
    items(out, &response["output"], Direction::Completion);
    let reason = super::at(response, &["incomplete_details", "reason"]).and_then(Tree::as_str);
    let status = response["output"].is_array().then(|| response["status"].as_str()).flatten();
    out.finished(reason.or(status).unwrap_or_default());
}

fn items(out: &mut Extraction, list: &Tree, direction: Direction) {
    for entry in list.as_array().into_iter().flatten() {
        item(out, entry, direction);
    }
}

pub(crate) fn item(out: &mut Extraction, item: &Tree, direction: Direction) {
    let text = |key: &str| item.get(key).and_then(Tree::as_str).unwrap_or_default();
    let role = match (text("role"), direction) {
        ("", Direction::Prompt) => "user",
        ("", Direction::Completion) => "assistant",
        (role, _) => role,
    };
    let speaker = Speaker { direction, role, name: "", text_type: "text", choice_index: 0 };
    let caller = Speaker { role: "assistant", ..speaker };
    let result = Speaker { role: "tool", text_type: "tool_result", ..speaker };
    match text("type") {
        "" | "message" => speaker.content(out, &item["content"]),
        "function_call" | "mcp_call" | "custom_tool_call" => {
            let arguments = ["arguments", "input"].map(text).into_iter().find(|t| !t.is_empty());
            let content = arguments.unwrap_or("{}").to_owned();
            caller.named(text("name")).say(out, "tool_call", content);
            result.named(text("name")).text(out, text("output"));
        }
        "function_call_output" | "custom_tool_call_output" | "computer_call_output" => {
            result.named(text("call_id")).content(out, &item["output"]);
        }
        "reasoning" => {
            caller.of_type("reasoning").content(out, &item["summary"]);
            caller.of_type("reasoning").content(out, &item["content"]);
        }
        "image_generation_call" => {
            let content = encoded("image", text("result"));
            if !text("result").is_empty() {
                out.images = Some(out.images.unwrap_or(0).saturating_add(1));
                caller.say(out, "image", content);
            }
            caller.say(out, "revised_prompt", text("revised_prompt").to_owned());
        }
        "code_interpreter_call" => {
            caller.named("code_interpreter").say(out, "tool_call", text("code").to_owned());
            for output in item["outputs"].as_array().into_iter().flatten() {
                let logs = output["logs"].as_str().or_else(|| output["url"].as_str());
                result.named("code_interpreter").text(out, logs.unwrap_or_default());
            }
        }
        "item_reference" => {}
        "file_search_call" => call(out, caller, "file_search", &item["queries"]),
        "web_search_call" => call(out, caller, "web_search", &item["action"]),
        "computer_call" => call(out, caller, "computer", &item["action"]),
        kind if kind.ends_with("_output") => result.content(out, &item["output"]),
        kind => caller.named(kind).say(out, "tool_call", item.to_string()),
    }
}

fn call(out: &mut Extraction, caller: Speaker<'_>, name: &str, arguments: &Tree) {
    let content = if arguments.is_null() { "{}".to_owned() } else { arguments.to_string() };
    caller.named(name).say(out, "tool_call", content);
}
