//! The metrics table of the reference architecture, row by row: make the call, ask the record.
//!
//! The names follow the table's rows. Each asserts with KQL what must be on record, of unary and of
//! streamed calls.

use serde_json::{Value, json};

use crate::support::{Backend, Gateway, System, eventually};

const DATED: &str = "api-version=2025-04-01-preview";

fn chat(text: &str, is_stream: bool) -> Value {
    json!({
        "messages": [{ "role": "system", "content": "be brief" }, { "role": "user", "content": text }],
        "temperature": 0.25,
        "max_tokens": 64,
        "stream": is_stream,
    })
}

fn chat_target() -> String {
    format!("/openai/deployments/gpt-4o/chat/completions?{DATED}")
}

/// Makes a chat call and answers its row of `Interactions`.
fn chat_row(system: &System, text: &str, is_stream: bool) -> Value {
    system.post(&chat_target(), &chat(text, is_stream));
    interaction(system, text)
}

/// The interaction whose prompt holds this part.
fn interaction(system: &System, content: &str) -> Value {
    system.row(&format!(
        "Messages | where Content == '{content}' and Direction == 'prompt' | distinct CorrelationId \
         | join kind=inner Interactions on CorrelationId"
    ))
}

#[test]
fn request_count() {
    let system = System::demo();
    for number in 0..5 {
        system.post(&chat_target(), &chat(&format!("count me {}", number % 2), number > 2));
    }
    let refused = system.anonymous("POST", &chat_target(), &[("api-key", "wrong")], b"{}");
    assert_eq!(refused.status, 401);
    let rows = system.rows(
        "Messages | where Content startswith 'count me' | summarize Calls = dcount(CorrelationId) \
         | where Calls == 5",
        1,
    );
    assert_eq!(rows[0]["Calls"], 5);
    let all = system.rows("Interactions | count | where Count == 6", 1);
    assert_eq!(all[0]["Count"], 6, "the refused one counts");
}

#[test]
fn data_in_and_data_out() {
    let system = System::demo();
    for is_stream in [false, true] {
        let text = format!("measure my size {is_stream}");
        // What the gateway asks a stream for by itself is no part of what the caller gets.
        let mut body = chat(&text, is_stream);
        body["stream_options"] = json!({ "include_usage": true });
        let body = body.to_string();
        let response = system.call("POST", &chat_target(), &[], body.as_bytes());
        let row = interaction(&system, &text);
        assert_eq!(row["RequestBodyBytes"], body.len());
        assert_eq!(row["ResponseBodyBytes"], response.body.len());
        assert!(row["RequestSize"].as_i64() > row["RequestBodyBytes"].as_i64(), "the head counts");
        assert!(
            row["ResponseSize"].as_i64() > row["ResponseBodyBytes"].as_i64(),
            "the head counts"
        );
    }
}

#[test]
fn latency() {
    let system = System::demo();
    for is_stream in [false, true] {
        let row = chat_row(&system, &format!("how long {is_stream}"), is_stream);
        let ms = |name: &str| row[name].as_i64().expect("a number");
        assert_eq!(ms("TotalTime"), ms("BackendTime") + ms("ClientTime"));
        assert!(ms("TimeToFirstByte") <= ms("TotalTime"));
        if is_stream {
            let first_token = ms("TimeToFirstToken");
            assert!((ms("TimeToFirstByte")..=ms("TotalTime")).contains(&first_token));
        } else {
            assert!(row["TimeToFirstToken"].is_null());
        }
        assert!(row["GatewayOverhead"].as_f64().expect("a number") > 0.0);
    }
}

#[test]
fn token_transactions() {
    let system = System::demo();
    for (text, is_stream) in [("tokens unary", false), ("tokens streamed", true)] {
        let mut body = chat(text, is_stream);
        if is_stream {
            body["stream_options"] = json!({ "include_usage": true });
        }
        system.post(&chat_target(), &body);
        let row = interaction(&system, text);
        let tokens = |name: &str| row[name].as_i64().expect("known");
        assert_eq!(tokens("TotalTokens"), tokens("PromptTokens") + tokens("CompletionTokens"));
        assert_eq!(row["UsageSource"], if is_stream { "final_chunk" } else { "reported" });
        assert!(row["CostUsd"].as_str().expect("gpt-4o has a price").starts_with("0.0"));
    }
    // The gateway asks where the caller does not, but for versions that do not know the question.
    assert_eq!(chat_row(&system, "not asked", true)["UsageSource"], "final_chunk");
    let old = chat_target().replace(DATED, "api-version=2024-06-01");
    system.post(&old, &chat("tokens not told", true));
    let estimated = interaction(&system, "tokens not told");
    assert_eq!(estimated["UsageSource"], "estimated");
    assert!(estimated["TotalTokens"].as_i64() > Some(10));
}

#[test]
fn caller_ip_address_in_full() {
    let system = System::demo();
    let headers = [("X-Forwarded-For", "203.0.113.77")];
    for is_stream in [false, true] {
        let text = format!("where am I {is_stream}");
        let body = chat(&text, is_stream).to_string();
        system.call("POST", &chat_target(), &headers, body.as_bytes());
        let row = interaction(&system, &text);
        assert_eq!(row["CallerIpAddress"], "127.0.0.1", "an untrusted peer's word does not count");
        assert_eq!(row["PeerIpAddress"], "127.0.0.1");
        assert_eq!(row["ForwardedFor"], "203.0.113.77");
        assert!(row["PeerPort"].as_i64() > Some(0));
    }
}

#[test]
fn caller_ip_address_from_a_trusted_proxy_in_full() {
    let backend = Backend::start();
    let trusted = ("GATEHOUSE__EDGE__TRUSTED_PROXIES", "[127.0.0.0/8]");
    let mut gateway = Gateway::new(&backend, &[trusted]);
    gateway.start();
    for (number, address) in ["203.0.113.77", "2001:db8:85a3::8a2e:370:7334"].iter().enumerate() {
        let text = format!("through a proxy {number}");
        let body = chat(&text, number == 1).to_string();
        let headers = [("X-Forwarded-For", *address)];
        assert_eq!(gateway.call(&chat_target(), &headers, body.as_bytes()).status, 200);
        let query = format!(
            "Messages | where Content == '{text}' | distinct CallerIpAddress \
             | where CallerIpAddress == '{address}'"
        );
        eventually(&query, || Some(gateway.query(&query)).filter(|rows| rows.len() == 1));
    }
}

#[test]
fn model_utilization() {
    let system = System::demo();
    for is_stream in [false, true] {
        let row = chat_row(&system, &format!("which model {is_stream}"), is_stream);
        assert!(row["ModelName"].as_str().expect("named").starts_with("gpt-4o"), "{row}");
        assert_eq!(row["DeploymentName"], "gpt-4o");
        assert!(!row["BackendId"].as_str().expect("text").is_empty());
        let headers = &row["BackendResponseHeaders"];
        assert!(headers["x-ratelimit-remaining-tokens"].is_string(), "{headers}");
    }
}

#[test]
fn token_utilization_prompt_and_completion() {
    let system = System::demo();
    for is_stream in [false, true] {
        let text = format!("split the tokens {is_stream}");
        let mut body = chat(&text, is_stream);
        if is_stream {
            body["stream_options"] = json!({ "include_usage": true });
        }
        system.post(&chat_target(), &body);
        let row = interaction(&system, &text);
        let body: Value =
            serde_json::from_str(row["ResponseBody"].as_str().expect("text")).expect("JSON");
        assert!(body["usage"]["prompt_tokens"].as_i64() > Some(0), "{body}");
        assert_eq!(row["PromptTokens"], body["usage"]["prompt_tokens"]);
        assert_eq!(row["CompletionTokens"], body["usage"]["completion_tokens"]);
    }
}

#[test]
fn input_prompt_details() {
    let system = System::demo();
    for length in [1_000, 8_193, 201_000, 2 << 20 | 1] {
        let prompt = format!("prompt of {length}: {}", "α–β ".repeat(length / 6));
        let body = chat(&prompt, length == 201_000).to_string();
        system.call("POST", &chat_target(), &[], body.as_bytes());
        let row = system.row(&format!(
            "Messages | where Content startswith 'prompt of {length}:' | distinct CorrelationId \
             | join kind=inner Interactions on CorrelationId | project RequestBody"
        ));
        assert!(row["RequestBody"] == body.as_str(), "byte-equal at {length}");
    }
}

#[test]
fn output_completion_details() {
    let system = System::demo();
    let unary = system.post(&chat_target(), &chat("say it", false));
    let unary: Value = serde_json::from_slice(&unary.body).expect("JSON");
    let stream = system.post(&chat_target(), &chat("stream it", true));
    let deltas: String = String::from_utf8(stream.body)
        .expect("UTF-8")
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect();
    for (prompt, answer) in [
        ("say it", unary["choices"][0]["message"]["content"].as_str().expect("text")),
        ("stream it", &deltas),
    ] {
        let row = interaction(&system, prompt);
        let id = row["CorrelationId"].as_str().expect("text");
        let part = system.row(&format!(
            "Messages | where CorrelationId == '{id}' and Direction == 'completion'"
        ));
        assert_eq!(part["Content"], answer);
        assert_eq!(part["Role"], "assistant");
        let body: Value =
            serde_json::from_str(row["ResponseBody"].as_str().expect("text")).expect("JSON");
        assert_eq!(body["choices"][0]["message"]["content"], answer);
        assert!(!row["FinishReason"].as_str().expect("text").is_empty());
    }
}

#[test]
fn request_parameters() {
    let system = System::demo();
    for is_stream in [false, true] {
        let row = chat_row(&system, &format!("with parameters {is_stream}"), is_stream);
        assert_eq!(row["RequestParameters"]["temperature"], 0.25);
        assert_eq!(row["RequestParameters"]["max_tokens"], 64);
        assert_eq!(row["ApiVersion"], "2025-04-01-preview");
        assert_eq!(row["RequestHeaders"]["content-type"], "application/json");
        let text = row.to_string();
        assert!(!text.contains(&system.key), "the key is on record: {text}");
    }
}

#[test]
fn deployment_operations() {
    let system = System::demo();
    let response = system.call("GET", "/openai/deployments?api-version=2022-12-01", &[], b"");
    assert_eq!(response.status, 200);
    let row = system.rows("Interactions | where OperationId == 'Deployments_List'", 1).remove(0);
    assert_eq!(row["Kind"], "deployments/management");
    assert_eq!(row["ResponseCode"], 200);
    // What is asked for, and by whom, of those that change something: on the data plane, and on the management host.
    let old = "/openai/deployments";
    let arm = "/subscriptions/s/resourceGroups/r/providers/Microsoft.CognitiveServices/accounts/a/deployments/gpt-4o";
    let made = json!({ "sku": { "name": "Standard", "capacity": 7 }, "properties": { "model": { "name": "gpt-4o" } } });
    for (operation, method, target, body) in [
        (
            "Deployments_Create",
            "POST",
            format!("{old}?api-version=2022-12-01"),
            json!({ "model": "gpt-4o" }),
        ),
        (
            "Deployments_Update",
            "PATCH",
            format!("{old}/gpt-4o?api-version=2022-12-01"),
            json!({ "model": "gpt-4o" }),
        ),
        (
            "Deployments_Delete",
            "DELETE",
            format!("{old}/dall-e-3?api-version=2022-12-01"),
            json!({}),
        ),
        ("Deployments_CreateOrUpdate", "PUT", format!("{arm}?api-version=2024-10-01"), made),
    ] {
        let body = body.to_string();
        let response = system.call(method, &target, &[], body.as_bytes());
        // The management host takes no key, only a token: what it refuses is on record too.
        let is_done = (200..300).contains(&response.status);
        assert!(is_done || response.status == 401, "{operation}: {}", response.status);
        let row = system.row(&format!("Interactions | where OperationId == '{operation}'"));
        assert_eq!(row["Kind"], "deployments/management", "{operation}");
        assert_eq!(row["RequestBody"], body, "{operation}");
        assert_eq!(row["ApimSubscriptionId"], "demo", "{operation}");
        assert_eq!(row["ResponseCode"], response.status, "{operation}");
    }
}

#[test]
fn embedding_operations_and_their_text() {
    let system = System::demo();
    let target = format!("/openai/deployments/text-embedding-3-small/embeddings?{DATED}");
    let tokens: Value = json!([[9906, 1917]]); // "Hello world" in cl100k_base
    for (input, encoding, text) in [
        (json!("one text"), "float", "one text"),
        (json!(["first of two", "second of two"]), "base64", "second of two"),
        (tokens, "float", "Hello world"),
    ] {
        system.post(&target, &json!({ "input": input, "encoding_format": encoding }));
        let part = system.rows(
            &format!("Messages | where Content == '{text}' and ContentType == 'embedding_input'"),
            1,
        );
        let id = part[0]["CorrelationId"].as_str().expect("text").to_owned();
        let row = system.row(&format!("Interactions | where CorrelationId == '{id}'"));
        assert_eq!(
            row["OperationId"].as_str().map(str::to_lowercase).as_deref(),
            Some("embeddings_create")
        );
        assert!(row["PromptTokens"].as_i64() > Some(0));
        assert_eq!(row["RequestParameters"]["encoding_format"], encoding);
    }
}

#[test]
fn image_generation_and_its_prompt() {
    let system = System::demo();
    let target = format!("/openai/deployments/dall-e-3/images/generations?{DATED}");
    system.post(&target, &json!({ "prompt": "a seed table in oil", "n": 1, "size": "1024x1024" }));
    let row = system.row(
        "Messages | where Content == 'a seed table in oil' and ContentType == 'image_prompt' \
         | join kind=inner Interactions on CorrelationId",
    );
    assert_eq!(row["OperationId"], "ImageGenerations_Create");
    assert_eq!(row["Images"], 1);
    assert!(row["CostUsd"].is_string(), "dall-e-3 has a price per image");
    let target = format!("/openai/deployments/gpt-image-1/images/generations?{DATED}");
    let body = json!({ "prompt": "a streamed table", "stream": true, "partial_images": 1 });
    system.post(&target, &body);
    let row = system.row(
        "Messages | where Content == 'a streamed table' and ContentType == 'image_prompt' \
         | join kind=inner Interactions on CorrelationId",
    );
    assert_eq!(row["IsStreamCompletion"], true);
    assert!(row["TotalTokens"].as_i64() > Some(0), "{row}");
}

#[test]
fn speech_to_text_operations() {
    let system = System::demo();
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\0\0\r\n\
                --b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nspell Gatehouse\r\n--b--\r\n";
    let headers = [("Content-Type", "multipart/form-data; boundary=b")];
    for deployment in ["whisper", "gpt-4o-transcribe"] {
        let is_stream = deployment != "whisper";
        let form = if is_stream {
            form.replace(
                "--b--",
                "--b\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n--b--",
            )
        } else {
            form.to_owned()
        };
        let target = format!("/openai/deployments/{deployment}/audio/transcriptions?{DATED}");
        let response = system.call("POST", &target, &headers, form.as_bytes());
        assert_eq!(response.status, 200);
        let row = system.row(&format!(
            "Interactions | where OperationId == 'Transcriptions_Create' and DeploymentName == '{deployment}'"
        ));
        assert_eq!(row["IsStreamCompletion"], is_stream);
        let id = row["CorrelationId"].as_str().expect("text");
        let parts = system.query(&format!("Messages | where CorrelationId == '{id}'"));
        assert!(parts.iter().any(|part| part["Content"] == "spell Gatehouse"), "{parts:?}");
        assert!(parts.iter().any(|part| part["ContentType"] == "transcript"), "{parts:?}");
        assert!(row["RequestBody"].as_str().expect("text").contains("a.wav"));
    }
}

#[test]
fn assistants_operations_and_their_prompts() {
    let system = System::demo();
    let id = |response: &crate::http::Response| {
        let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
        answer["id"].as_str().expect("an id").to_owned()
    };
    let assistant = system.post(
        &format!("/openai/assistants?{DATED}"),
        &json!({ "model": "gpt-4o", "instructions": "seed table tutor" }),
    );
    let thread = id(&system.post(&format!("/openai/threads?{DATED}"), &json!({})));
    system.post(
        &format!("/openai/threads/{thread}/messages?{DATED}"),
        &json!({ "role": "user", "content": "seed table question" }),
    );
    let run = json!({ "assistant_id": id(&assistant) });
    let runs = format!("/openai/threads/{thread}/runs?{DATED}");
    let run = id(&system.post(&runs, &run));
    let target = format!("/openai/threads/{thread}/runs/{run}?{DATED}");
    for _ in 0..5 {
        system.call("GET", &target, &[], b"");
    }
    let target = format!("/openai/threads/{thread}/messages?{DATED}");
    system.call("GET", &target, &[], b"");
    system.rows(
        "Messages | where Content == 'seed table tutor' and ContentType == 'instructions'",
        1,
    );
    let parts = system
        .rows(&format!("Messages | where ThreadId == '{thread}' | where ContentType == 'text'"), 2);
    assert!(parts.iter().any(|part| part["Content"] == "seed table question"));
    // The answer of a run that was not streamed came in the later GET and is found by its thread.
    assert!(parts.iter().any(|part| part["Direction"] == "completion"), "{parts:?}");
    let operations = system
        .rows(&format!("Interactions | where ThreadId == '{thread}' | distinct OperationId"), 4);
    assert!(operations.iter().any(|row| row["OperationId"] == "Create_Run"), "{operations:?}");
}

#[test]
fn assistants_operations_and_their_prompts_streamed() {
    let system = System::demo();
    let id = |response: &crate::http::Response| {
        let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
        answer["id"].as_str().expect("an id").to_owned()
    };
    let made = json!({ "model": "gpt-4o", "instructions": "streamed tutor" });
    let assistant = id(&system.post(&format!("/openai/assistants?{DATED}"), &made));
    let question = json!({ "messages": [{ "role": "user", "content": "streamed question" }] });
    let thread = id(&system.post(&format!("/openai/threads?{DATED}"), &question));
    let run =
        json!({ "assistant_id": assistant, "stream": true, "additional_instructions": "be brief" });
    let target = format!("/openai/threads/{thread}/runs?{DATED}");
    let stream = String::from_utf8(system.post(&target, &run).body).expect("UTF-8");
    let deltas: String = stream
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|event| {
            Some(event["delta"]["content"][0]["text"]["value"].as_str()?.to_owned())
        })
        .collect();
    let row = system.row(&format!(
        "Interactions | where OperationId == 'Create_Run' and ThreadId == '{thread}'"
    ));
    assert_eq!(row["IsStreamCompletion"], true);
    assert_eq!(row["AssistantId"], assistant);
    assert!(row["RunId"].as_str().is_some_and(|run| run.starts_with("run_")), "{row}");
    assert!(row["TotalTokens"].as_i64() > Some(0), "the run's usage: {row}");
    let said = system.rows(&format!("Messages | where ThreadId == '{thread}'"), 3);
    for text in ["streamed question", "be brief", &deltas] {
        assert!(said.iter().any(|part| part["Content"] == text), "{text}: {said:?}");
    }
}

#[test]
fn both_sample_queries_return_streamed_calls_too() {
    let system = System::demo();
    let usage = include_str!("../../src/demo/usage_by_ip_and_model.kql");
    let prompts = include_str!("../../src/demo/prompt_usage.kql");
    for (prompt, asks_usage) in [("sampled stream", true), ("sampled without usage", false)] {
        let mut body = chat(prompt, true);
        body["stream_options"] = json!({ "include_usage": asks_usage });
        system.post(&chat_target(), &body);
        let row = interaction(&system, prompt);
        let id = row["CorrelationId"].as_str().expect("text");
        let row = system.row(&format!("{prompts}\n| where CorrelationId == '{id}'"));
        assert!(row["prompttext"].as_str().expect("text").starts_with('{'), "{row}");
        assert!(row["prompttokens"].as_i64() > Some(0), "{row}");
        assert!(row["model"].as_str().expect("text").starts_with("gpt-4o"));
    }
    let rows = system.query(usage);
    let columns: Vec<&str> =
        rows[0].as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(
        columns,
        [
            "ip",
            "model",
            "sum_prompttokens",
            "sum_completiontokens",
            "sum_totaltokens",
            "avg_totaltokens"
        ]
    );
    assert!(rows.iter().all(|row| row["ip"] == "127.0.0.1"));
}
