//! Streams: their order, names, line ends, and that their pieces join to the whole answer.

use serde_json::{Value, json};
use simulator::{Deployment, SimulatorConfig};

use crate::client::{DATED, NEWEST, events, folded, form, get, post, post_with, start, start_with};

fn chat() -> String {
    format!("/openai/deployments/gpt-4o/chat/completions?{DATED}")
}

fn joined(events: &[(String, Value)], index: u64) -> String {
    let choices = events
        .iter()
        .filter_map(|(_, data)| data.get("choices")?.get(0))
        .filter(|choice| choice["index"] == index);
    choices.filter_map(|choice| choice["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn a_chat_stream_has_azures_order_and_joins_to_the_whole() {
    let simulator = start("a").await;
    let body = |stream: bool| {
        let mut body =
            json!({"messages": [{"role": "user", "content": "hello"}], "n": 2, "stream": stream});
        if stream {
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    };
    let whole = post(&simulator, &chat(), body(false)).await.json();
    let events = post(&simulator, &chat(), body(true)).await.events();
    let first = &events[0].1;
    assert_eq!(
        (&first["choices"], &first["id"], &first["created"]),
        (&json!([]), &json!(""), &json!(0))
    );
    assert!(first["prompt_filter_results"].is_array());
    assert_eq!(events[1].1["choices"][0]["delta"]["role"], "assistant");
    for index in 0..2 {
        assert_eq!(
            joined(&events, index),
            whole["choices"][index as usize]["message"]["content"].as_str().unwrap()
        );
    }
    let [.., usage, done] = events.as_slice() else { panic!("too short") };
    assert_eq!(done.1, "[DONE]");
    assert_eq!((&usage.1["choices"], &usage.1["usage"]), (&json!([]), &whole["usage"]));
    assert!(
        events[1..events.len() - 2]
            .iter()
            .all(|(_, data)| data["usage"].is_null() && data.get("usage").is_some())
    );
    assert_eq!(events[events.len() - 3].1["choices"][0]["finish_reason"], "stop");
    simulator.stop().await;
}

#[tokio::test]
async fn openai_streams_have_no_annotation_and_no_usage_unless_asked() {
    let simulator = start("a").await;
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], "stream": true});
    let answer = post(&simulator, "/v1/chat/completions", body).await;
    let events = answer.events();
    assert_eq!(events[0].1["choices"][0]["delta"]["role"], "assistant");
    assert!(!answer.text().contains("usage") && !answer.text().contains("filter"));
    assert!(events[0].1["obfuscation"].is_string());
    simulator.stop().await;
}

#[tokio::test]
async fn the_asynchronous_filter_annotates_by_offset_at_the_end() {
    let deployments = vec![Deployment { async_filter: true, ..Deployment::default() }];
    let simulator = start_with(SimulatorConfig { deployments, ..SimulatorConfig::default() }).await;
    let answer = post(
        &simulator,
        &chat(),
        json!({"messages": [{"role": "user", "content": "x"}], "stream": true}),
    )
    .await;
    let events = answer.events();
    let [.., offsets, done] = events.as_slice() else { panic!("too short") };
    assert_eq!(done.1, "[DONE]");
    assert!(offsets.1["choices"][0]["content_filter_offsets"]["check_offset"].is_u64());
    assert_eq!(offsets.1["id"], "");
    assert!(events[2].1["choices"][0].get("content_filter_results").is_none());
    simulator.stop().await;
}

#[tokio::test]
async fn streamed_tool_calls_functions_and_audio_join_too() {
    let simulator = start("a").await;
    let function = json!({"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}});
    let ask = json!([{"role": "user", "content": "weather?"}]);
    let stream = post(&simulator, &chat(), json!({"messages": ask, "stream": true, "tools": [{"type": "function", "function": function}]})).await;
    let mut arguments = String::new();
    for (_, data) in stream.events() {
        let piece = data.pointer("/choices/0/delta/tool_calls/0/function/arguments");
        arguments.push_str(piece.and_then(Value::as_str).unwrap_or_default());
    }
    assert!(serde_json::from_str::<Value>(&arguments).unwrap()["city"].is_string());
    let audio = json!({"model": "gpt-4o-audio-preview", "messages": ask, "stream": true, "modalities": ["text", "audio"], "stream_options": {"include_usage": true}});
    let events = post(&simulator, "/v1/chat/completions", audio).await.events();
    let [.., usage, trailing, done] = events.as_slice() else { panic!("too short") };
    assert!(usage.1["usage"]["total_tokens"].is_u64());
    assert!(trailing.1["choices"][0]["delta"]["audio"]["expires_at"].is_i64());
    assert_eq!(done.1, "[DONE]");
    simulator.stop().await;
}

#[tokio::test]
async fn a_completions_stream_joins() {
    let simulator = start("a").await;
    let target = format!("/openai/deployments/gpt-35-turbo-instruct/completions?{DATED}");
    let whole = post(&simulator, &target, json!({"prompt": "hi"})).await.json();
    let events = post(&simulator, &target, json!({"prompt": "hi", "stream": true})).await.events();
    let text: String =
        events.iter().filter_map(|(_, data)| data.pointer("/choices/0/text")?.as_str()).collect();
    assert_eq!(text, whole["choices"][0]["text"].as_str().unwrap());
    assert_eq!(events.last().unwrap().1, "[DONE]");
    simulator.stop().await;
}

const PLAIN: [&str; 9] = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta*",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
];

/// A streamed response with fields of its own.
fn stream(extra: Value) -> Value {
    let mut body = json!({"model": "gpt-4o", "input": "What is the weather?", "stream": true});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn plain_responses_streams_follow_the_measured_sequence() {
    let simulator = start("a").await;
    let plain = post(&simulator, "/openai/v1/responses", stream(json!({}))).await;
    assert_eq!(folded(&plain.names()), PLAIN);
    for (index, (name, data)) in plain.events().iter().enumerate() {
        assert_eq!(
            (data["type"].as_str().unwrap(), data["sequence_number"].as_u64().unwrap()),
            (name.as_str(), index as u64)
        );
    }
    let events = plain.events();
    let text: String = events
        .iter()
        .filter(|(name, _)| name == "response.output_text.delta")
        .map(|(_, data)| data["delta"].as_str().unwrap())
        .collect();
    let done = &events.last().unwrap().1["response"];
    assert_eq!(done["output"][0]["content"][0]["text"], text);
    assert!(done["usage"]["total_tokens"].is_u64());

    let background =
        post(&simulator, "/openai/v1/responses", stream(json!({"background": true}))).await;
    assert_eq!(
        background.names()[..3],
        ["response.created", "response.queued", "response.in_progress"]
    );

    let short = post(
        &simulator,
        "/openai/v1/responses",
        stream(json!({"max_output_tokens": 16, "x_sim_tokens": 50})),
    )
    .await;
    assert_eq!(short.names().last().unwrap(), "response.incomplete");
    assert!(!plain.text().contains("[DONE]"));
    simulator.stop().await;
}

#[tokio::test]
async fn responses_streams_with_tools_and_reasoning_follow_the_measured_sequences() {
    let simulator = start("a").await;
    let function = json!({"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}});
    let called =
        post(&simulator, "/openai/v1/responses", stream(json!({"tools": [function]}))).await;
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta*",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(folded(&called.names()), expected);

    let reasoned = post(
        &simulator,
        "/openai/v1/responses",
        stream(json!({"model": "o4-mini", "reasoning": {"summary": "auto"}})),
    )
    .await;
    let expected = [
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta*",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
    ];
    assert_eq!(folded(&reasoned.names())[2..8], expected);
    assert_eq!(folded(&reasoned.names())[8..], PLAIN[2..]);

    let searched = post(
        &simulator,
        "/openai/v1/responses",
        stream(json!({"input": "search it", "tools": [{"type": "file_search"}]})),
    )
    .await;
    let expected = [
        "response.output_item.added",
        "response.file_search_call.in_progress",
        "response.file_search_call.searching",
        "response.file_search_call.completed",
        "response.output_item.done",
    ];
    assert_eq!(folded(&searched.names())[2..7], expected);
    assert!(searched.names().contains(&"response.output_text.annotation.added".to_owned()));
    simulator.stop().await;
}

#[tokio::test]
async fn a_responses_stream_resumes_behind_any_event() {
    let simulator = start("a").await;
    let target = format!("/openai/responses?{NEWEST}");
    let stream =
        post(&simulator, &target, json!({"model": "gpt-4o", "input": "hi", "stream": true}))
            .await
            .events();
    let id = stream[0].1["response"]["id"].as_str().unwrap();
    for after in [0, 3, 7, stream.len() as u64 - 2] {
        let resumed = get(
            &simulator,
            &format!("/openai/responses/{id}?{NEWEST}&stream=true&starting_after={after}"),
        )
        .await
        .events();
        assert_eq!(resumed, stream[after as usize + 1..], "after {after}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn audio_streams_end_lines_with_crlf() {
    let simulator = start("a").await;
    let target = "/openai/v1/audio/transcriptions";
    let parts: [(&str, Option<&str>, &[u8]); 3] = [
        ("model", None, b"gpt-4o-transcribe"),
        ("stream", None, b"true"),
        ("file", Some("a.wav"), b"RIFF"),
    ];
    let text = form(&simulator, target, &parts).await.text();
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    let heard = events(&text.replace("\r\n", "\n"));
    let [.., done, end] = heard.as_slice() else { panic!("too short") };
    assert_eq!(end.1, "[DONE]");
    assert_eq!(done.1["type"], "transcript.text.done");
    let joined: String = heard.iter().filter_map(|(_, data)| data["delta"].as_str()).collect();
    assert_eq!(done.1["text"], joined);
    assert!(done.1["usage"]["output_tokens"].is_u64());
    let speech = post(&simulator, "/v1/audio/speech", json!({"model": "gpt-4o-mini-tts", "input": "hi", "voice": "alloy", "stream_format": "sse"})).await.text();
    let spoken = events(&speech.replace("\r\n", "\n"));
    let kinds: Vec<String> =
        spoken.iter().map(|(_, data)| data["type"].as_str().unwrap_or("done").to_owned()).collect();
    assert_eq!(folded(&kinds), ["speech.audio.delta", "speech.audio.done", "done"]);
    simulator.stop().await;
}

#[tokio::test]
async fn image_streams_end_with_usage() {
    let simulator = start("a").await;
    let body =
        json!({"model": "gpt-image-1", "prompt": "cat", "stream": true, "partial_images": 2});
    let answer = post(&simulator, "/v1/images/generations", body).await;
    assert_eq!(
        answer.names(),
        [
            "image_generation.partial_image",
            "image_generation.partial_image",
            "image_generation.completed"
        ]
    );
    assert!(answer.events()[2].1["usage"]["total_tokens"].is_u64());
    simulator.stop().await;
}

#[tokio::test]
async fn assistant_runs_stream_the_measured_sequences() {
    let simulator = start("a").await;
    let at = |path: &str| format!("/openai/{path}?{NEWEST}");
    let function = json!({"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}});
    let assistant =
        post(&simulator, &at("assistants"), json!({"model": "gpt-4o", "tools": [function]}))
            .await
            .json();
    let run = |text: &str| json!({"assistant_id": assistant["id"], "stream": true, "thread": {"messages": [{"role": "user", "content": text}]}});
    let told = [
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.message.created",
        "thread.message.in_progress",
        "thread.message.delta*",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
        "done",
    ];
    let plain = post(&simulator, &at("threads/runs"), run("hello")).await;
    let names = folded(&plain.names());
    assert_eq!(
        names[..4],
        ["thread.created", "thread.run.created", "thread.run.queued", "thread.run.in_progress"]
    );
    assert_eq!(names[4..], told);

    let needs = post(&simulator, &at("threads/runs"), run("the weather?")).await;
    let names = folded(&needs.names());
    assert_eq!(
        names[4..],
        [
            "thread.run.step.created",
            "thread.run.step.in_progress",
            "thread.run.step.delta*",
            "thread.run.requires_action",
            "done"
        ]
    );
    let events = needs.events();
    let waiting = &events[events.len() - 2].1;
    let call = &waiting["required_action"]["submit_tool_outputs"]["tool_calls"][0]["id"];
    let place = format!(
        "threads/{}/runs/{}/submit_tool_outputs",
        waiting["thread_id"].as_str().unwrap(),
        waiting["id"].as_str().unwrap()
    );
    let submitted = post(
        &simulator,
        &at(&place),
        json!({"stream": true, "tool_outputs": [{"tool_call_id": call, "output": "sun"}]}),
    )
    .await;
    let names = folded(&submitted.names());
    assert_eq!(
        names[..3],
        ["thread.run.step.completed", "thread.run.queued", "thread.run.in_progress"]
    );
    assert_eq!(names[3..], told);
    let completed =
        submitted.events().into_iter().find(|(name, _)| name == "thread.run.completed").unwrap().1;
    assert!(
        completed["usage"]["prompt_token_details"].is_object(),
        "singular, as runs really have it"
    );
    simulator.stop().await;
}

#[tokio::test]
async fn long_streams_are_generated_not_held() {
    let simulator = start("a").await;
    let body = json!({"messages": [{"role": "user", "content": "x"}], "stream": true});
    let answer = post_with(&simulator, &chat(), &[("x-sim-tokens", "20000")], body).await;
    assert_eq!(answer.events().len(), 20_000 + 4);
    assert_eq!(answer.header("transfer-encoding"), "chunked");
    simulator.stop().await;
}
