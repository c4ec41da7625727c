//! Every kind of operation of the reference solution's table: what its rows say.

use event::Interaction;
use serde_json::Value;

use crate::tests::story::{Story, one, told};

const DATED: &str = "https://gw.example/openai/deployments/d";

fn check(story: &Story, expected: &[&str]) -> Interaction {
    let (row, messages, sink) = one(story);
    assert_eq!(told(&sink, &messages), expected);
    row
}

fn parameters(row: &Interaction) -> Value {
    serde_json::from_str(&row.request_parameters.0).expect("parameters are JSON")
}

#[test]
fn completions() {
    let url = format!("{DATED}/completions?api-version=2024-10-21");
    let story = Story::of("completion", "completion", "Completions_Create", &url)
        .asks(r#"{"prompt":["Once","Twice"],"max_tokens":5}"#)
        .answers(
            "application/json",
            r#"{"id":"cmpl-1","model":"gpt-35-turbo-instruct","choices":[{"index":0,"text":" upon","finish_reason":"length"},{"index":1,"text":" more","finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":4,"total_tokens":6}}"#,
        );
    let row = check(
        &story,
        &[
            "prompt  text: Once",
            "prompt  text: Twice",
            "completion  text:  upon",
            "completion  text:  more",
        ],
    );
    assert_eq!(row.finish_reason, "length,stop");
    assert_eq!(parameters(&row)["max_tokens"], 5);
}

#[test]
fn responses() {
    let url = "https://gw.example/openai/v1/responses";
    let story = Story::of("chat", "responses", "Create_Response", url)
        .asks(r#"{"model":"gpt-4o","instructions":"Be brief","input":"Why?"}"#)
        .answers(
            "application/json",
            r#"{"id":"resp_1","object":"response","status":"completed","model":"gpt-4o-2024-08-06","output":[{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"Because."}]}],"usage":{"input_tokens":8,"output_tokens":2,"total_tokens":10,"output_tokens_details":{"reasoning_tokens":1},"input_tokens_details":{"cached_tokens":4}}}"#,
        );
    let (row, messages, sink) = one(&story);
    let said = told(&sink, &messages);
    assert!(said.iter().any(|text| text.ends_with("instructions: Be brief")), "{said:?}");
    assert!(said.contains(&"prompt user text: Why?".to_owned()), "{said:?}");
    assert!(said.contains(&"completion assistant text: Because.".to_owned()), "{said:?}");
    assert_eq!(row.request_id, "resp_1");
    assert_eq!((row.prompt_tokens, row.completion_tokens), (Some(8), Some(2)));
    assert_eq!((row.cached_tokens, row.reasoning_tokens), (Some(4), Some(1)));
}

#[test]
fn embeddings_of_text_and_of_token_ids() {
    let url = format!("{DATED}/embeddings?api-version=2024-10-21");
    let answer = r#"{"object":"list","model":"text-embedding-3-small","data":[{"index":0,"object":"embedding","embedding":"AACAPw=="}],"usage":{"prompt_tokens":6,"total_tokens":6}}"#;
    let story = Story::of("embedding", "embedding", "Embeddings_Create", &url)
        .asks(r#"{"input":["tiktoken is great!"],"dimensions":256,"encoding_format":"base64"}"#)
        .answers("application/json", answer);
    let row = check(&story, &["prompt  embedding_input: tiktoken is great!"]);
    assert_eq!(parameters(&row)["dimensions"], 256);
    assert_eq!(row.prompt_tokens, Some(6));
    // 6 tokens at 0.022 dollars per million
    assert_eq!(row.cost_usd.map(|cost| cost.0), Some(132_000));
    let ids = story.asks(r#"{"model":"text-embedding-3-small","input":[83,1609,5963,374,2294,0]}"#);
    check(&ids, &["prompt  embedding_input: tiktoken is great!"]);
}

#[test]
fn images() {
    let url = format!("{DATED}/images/generations?api-version=2024-10-21");
    let story = Story::of("image", "generation", "ImageGenerations_Create", &url)
        .asks(r#"{"model":"dall-e-3","prompt":"A red cat","size":"1024x1024","n":1}"#)
        .answers(
            "application/json",
            r#"{"created":1,"data":[{"revised_prompt":"A cat that is red","url":"https://x/1.png"}]}"#,
        );
    let (row, messages, sink) = one(&story);
    let said = told(&sink, &messages);
    assert!(said.iter().any(|text| text.ends_with("image_prompt: A red cat")), "{said:?}");
    assert!(
        said.iter().any(|text| text.ends_with("revised_prompt: A cat that is red")),
        "{said:?}"
    );
    assert_eq!(row.images, Some(1));
    assert_eq!(row.cost_usd.map(|cost| cost.0), Some(44_000_000_000), "{}", row.model_name);
}

#[test]
fn assistants_runs_and_their_messages_are_joined_by_thread_and_run() {
    let url = "https://gw.example/openai/threads/thread_1/runs?api-version=2024-05-01-preview";
    let run = r#"{"id":"run_1","object":"thread.run","thread_id":"thread_1","assistant_id":"asst_1","model":"gpt-4o","status":"queued"}"#;
    let story = Story::of("assistants", "run", "Create_Run", url)
        .asks(r#"{"assistant_id":"asst_1","additional_instructions":"Answer in verse"}"#)
        .answers("application/json", run);
    let (row, messages, sink) = one(&story);
    assert_eq!((row.thread_id.as_str(), row.run_id.as_str()), ("thread_1", "run_1"));
    assert_eq!(row.assistant_id, "asst_1");
    let said = told(&sink, &messages);
    assert!(said[0].ends_with("instructions: Answer in verse"), "{said:?}");
    assert_eq!(messages[0].thread_id, "thread_1");

    let url = "https://gw.example/openai/threads/thread_1/messages?api-version=2024-05-01-preview";
    let list = r#"{"object":"list","data":[{"id":"msg_1","object":"thread.message","thread_id":"thread_1","run_id":"run_1","assistant_id":"asst_1","role":"assistant","content":[{"type":"text","text":{"value":"A verse","annotations":[]}}]}]}"#;
    let mut story =
        Story::of("assistants", "message", "List_Messages", url).answers("application/json", list);
    story.opened.method = "GET".into();
    let (row, messages, sink) = one(&story);
    assert_eq!(row.thread_id, "thread_1");
    let said = told(&sink, &messages);
    assert_eq!(said, ["completion assistant text: A verse"]);
    assert_eq!(messages[0].thread_id, "thread_1");
}

#[test]
fn a_streamed_run_has_its_ids_and_its_text() {
    let url = "https://gw.example/openai/threads/thread_1/runs?api-version=2024-05-01-preview";
    let event = |name: &str, data: &str| format!("event: {name}\ndata: {data}\n\n");
    let run = |status: &str, usage: &str| {
        format!(
            r#"{{"id":"run_1","object":"thread.run","thread_id":"thread_1","assistant_id":"asst_1","model":"gpt-4o","status":"{status}","usage":{usage}}}"#
        )
    };
    let message = r#"{"id":"msg_1","object":"thread.message","thread_id":"thread_1","run_id":"run_1","role":"assistant","content":[{"type":"text","text":{"value":"A verse","annotations":[]}}]}"#;
    let stream = [
        event("thread.run.created", &run("queued", "null")),
        event("thread.message.delta", r#"{"id":"msg_1","object":"thread.message.delta","delta":{"content":[{"index":0,"type":"text","text":{"value":"A verse"}}]}}"#),
        event("thread.message.completed", message),
        event("thread.run.completed", &run("completed", r#"{"prompt_tokens":20,"completion_tokens":2,"total_tokens":22}"#)),
        event("done", "[DONE]"),
    ]
    .concat();
    let story = Story::of("assistants", "run", "Create_Run", url)
        .asks(r#"{"assistant_id":"asst_1","stream":true}"#)
        .answers("text/event-stream", stream)
        .in_pieces(31);
    let (row, messages, sink) = one(&story);
    assert_eq!((row.thread_id.as_str(), row.run_id.as_str()), ("thread_1", "run_1"));
    assert_eq!(row.total_tokens, Some(22));
    let said = told(&sink, &messages);
    assert!(said.contains(&"completion assistant text: A verse".to_owned()), "{said:?}");
}

#[test]
fn deployments_and_files_are_rows_without_messages() {
    let url = "https://gw.example/openai/deployments?api-version=2022-12-01";
    let mut story = Story::of("deployments/management", "deployments", "Deployments_List", url)
        .answers("application/json", r#"{"data":[{"id":"d1","model":"gpt-4o"}],"object":"list"}"#);
    story.opened.method = "GET".into();
    let row = check(&story, &[]);
    assert_eq!(row.operation_id, "Deployments_List");
    assert_eq!((row.cost_usd, row.total_tokens), (None, None));
    assert_eq!((row.request_body_sha256.as_str(), row.request_body_bytes), ("", 0));
    assert_eq!(row.request_parameters.0, "");
}

#[test]
fn tokens_are_estimated_where_the_provider_tells_none() {
    let stream = crate::tests::story::chat_stream();
    let usage = stream.find("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-2024-08-06\",\"choices\":[],").expect("usage is a chunk of its own");
    let (row, ..) = one(&Story::chat(1).answers("text/event-stream", &stream[..usage]));
    assert_eq!(row.usage_source, "estimated");
    assert_eq!(row.completion_tokens, Some(2), "\"Hi there\" is two tokens");
    assert!(row.prompt_tokens.is_some_and(|tokens| (5..15).contains(&tokens)));
    assert!(row.cost_usd.is_some());
}
