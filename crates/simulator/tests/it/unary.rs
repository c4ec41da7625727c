//! Whole answers and errors of every kind.

use base64::Engine;
use serde_json::{Value, json};
use simulator::{Deployment, SimulatorConfig, Strictness};

use crate::client::{DATED, NEWEST, form, get, post, post_with, send, start, start_with};

fn chat(deployment: &str) -> String {
    format!("/openai/deployments/{deployment}/chat/completions?{DATED}")
}

fn hello() -> Value {
    json!({"messages": [{"role": "user", "content": "hello"}]})
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn azure_chat_has_azures_key_order_headers_and_line_end() {
    let simulator = start("a").await;
    let answer =
        post_with(&simulator, &chat("gpt-4o"), &[("x-ms-client-request-id", "abc")], hello()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().ends_with("}\n"));
    let value = answer.json();
    assert_eq!(
        keys(&value),
        [
            "choices",
            "created",
            "id",
            "model",
            "object",
            "prompt_filter_results",
            "system_fingerprint",
            "usage"
        ]
    );
    assert_eq!(
        keys(&value["choices"][0]),
        ["content_filter_results", "finish_reason", "index", "logprobs", "message"]
    );
    let usage = &value["usage"];
    assert_eq!(
        usage["total_tokens"].as_u64(),
        Some(
            usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap()
        )
    );
    for name in [
        "apim-request-id",
        "x-request-id",
        "x-ms-region",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-remaining-requests",
        "azureml-model-session",
        "openai-processing-ms",
        "x-ms-deployment-name",
    ] {
        assert_ne!(answer.header(name), "", "{name}");
    }
    assert_eq!(answer.header("x-ms-client-request-id"), "abc");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    simulator.stop().await;
}

#[tokio::test]
async fn openai_chat_has_openais_order_and_headers_and_no_annotations() {
    let simulator = start("a").await;
    let mut body = hello();
    body["model"] = json!("gpt-4o");
    let answer = post(&simulator, "/v1/chat/completions", body).await;
    let value = answer.json();
    assert_eq!(
        keys(&value),
        [
            "id",
            "object",
            "created",
            "model",
            "choices",
            "usage",
            "service_tier",
            "system_fingerprint"
        ]
    );
    assert!(answer.header("x-request-id").starts_with("req_"));
    assert_eq!(answer.header("openai-version"), "2020-10-01");
    assert_eq!(answer.header("apim-request-id"), "");
    assert!(!answer.text().contains("content_filter"));
    simulator.stop().await;
}

#[tokio::test]
async fn annotations_depend_on_the_version() {
    let simulator = start("a").await;
    let old = "/openai/deployments/gpt-4o/chat/completions?api-version=2023-05-15";
    assert!(!post(&simulator, old, hello()).await.text().contains("filter"));
    let early = "/openai/deployments/gpt-4o/chat/completions?api-version=2023-06-01-preview";
    assert!(post(&simulator, early, hello()).await.text().contains("prompt_filter_results"));
    let mut body = hello();
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let refused = post(
        &simulator,
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01",
        body,
    )
    .await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("Unrecognized request argument supplied: stream_options"));
    simulator.stop().await;
}

#[tokio::test]
async fn errors_have_the_documented_codes_and_words() {
    let config = SimulatorConfig { api_keys: vec!["k1".into()], ..SimulatorConfig::default() };
    let simulator = start_with(config).await;
    let key = [("api-key", "k1")];
    let cases = [
        ("/openai/deployments/gpt-4o/chat/completions", 404, "404"),
        ("/openai/deployments/gpt-4o/chat/completions?api-version=2020-01-01", 404, "404"),
        (
            "/openai/deployments/nope/chat/completions?api-version=2024-10-21",
            404,
            "DeploymentNotFound",
        ),
        (
            "/openai/deployments/text-embedding-3-small/chat/completions?api-version=2024-10-21",
            400,
            "OperationNotSupported",
        ),
        ("/openai/nonsense?api-version=2024-10-21", 404, "404"),
    ];
    for (target, status, code) in cases {
        let answer = post_with(&simulator, target, &key, hello()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["error"]["code"].as_str().unwrap()),
            (status, code),
            "{target}"
        );
        assert_ne!(answer.header("apim-request-id"), "", "errors have ids too");
    }
    let denied = post(&simulator, &chat("gpt-4o"), hello()).await;
    assert_eq!(denied.status, 401);
    assert!(
        denied.json()["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("Access denied due to invalid subscription key")
    );
    assert_eq!(keys(&denied.json()["error"]), ["code", "message"]);
    let denied =
        post_with(&simulator, "/v1/chat/completions", &[("authorization", "Bearer bad")], hello())
            .await;
    assert_eq!(denied.json()["error"]["code"], "invalid_api_key");
    let jwt = [("authorization", "Bearer eyJh.eyJi.c2ln")];
    assert_eq!(post_with(&simulator, &chat("gpt-4o"), &jwt, hello()).await.status, 200);
    let missing = post_with(
        &simulator,
        "/v1/chat/completions",
        &[("authorization", "Bearer k1")],
        json!({"model": "x", "messages": []}),
    )
    .await;
    assert_eq!(missing.json()["error"]["message"], "The model 'x' does not exist");
    let bad = send(
        &simulator,
        "POST",
        &chat("gpt-4o"),
        &[("api-key", "k1"), ("content-type", "application/json")],
        "{oops",
    )
    .await
    .unwrap();
    assert_eq!(bad.status, 400);
    simulator.stop().await;
}

#[tokio::test]
async fn the_content_filter_stops_prompts_and_cuts_answers() {
    let simulator = start("a").await;
    let blocked = post(
        &simulator,
        &chat("gpt-4o"),
        json!({"messages": [{"role": "user", "content": "SIM-FILTER-PROMPT"}]}),
    )
    .await;
    assert_eq!(blocked.status, 400);
    let error = &blocked.json()["error"];
    assert_eq!(keys(error), ["message", "type", "param", "code", "status", "innererror"]);
    assert_eq!(error["code"], "content_filter");
    assert_eq!(error["innererror"]["code"], "ResponsibleAIPolicyViolation");
    assert_eq!(error["innererror"]["content_filter_result"]["violence"]["filtered"], true);
    let cut = post(
        &simulator,
        &chat("gpt-4o"),
        json!({"messages": [{"role": "user", "content": "SIM-FILTER-COMPLETION"}]}),
    )
    .await;
    assert_eq!(cut.status, 200);
    assert_eq!(cut.json()["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(cut.json()["choices"][0]["content_filter_results"]["violence"]["filtered"], true);
    simulator.stop().await;
}

#[tokio::test]
async fn the_same_seed_and_request_give_the_same_bytes() {
    let (one, two) = (start("a").await, start("a").await);
    let other = start_with(SimulatorConfig { seed: 2, ..SimulatorConfig::default() }).await;
    let body = json!({"messages": [{"role": "user", "content": "hello"}], "n": 2});
    let first = post(&one, &chat("gpt-4o"), body.clone()).await;
    assert_eq!(first.body, post(&two, &chat("gpt-4o"), body.clone()).await.body);
    assert_ne!(
        first.json()["choices"],
        post(&other, &chat("gpt-4o"), body).await.json()["choices"]
    );
    for simulator in [one, two, other] {
        simulator.stop().await;
    }
}

#[tokio::test]
async fn limits_and_lengths_are_kept_and_counted() {
    let simulator = start("a").await;
    let mut body = hello();
    body["max_tokens"] = json!(5);
    let cut = post(&simulator, &chat("gpt-4o"), body).await.json();
    assert_eq!(
        (&cut["choices"][0]["finish_reason"], &cut["usage"]["completion_tokens"]),
        (&json!("length"), &json!(5))
    );
    let long = post_with(&simulator, &chat("gpt-4o"), &[("x-sim-tokens", "3000")], hello()).await;
    assert_eq!(long.json()["usage"]["completion_tokens"], 3000);
    let words = long.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert_eq!(words.split(' ').count() + words.matches('.').count(), 3000);
    let short = SimulatorConfig {
        deployments: vec![Deployment { context_tokens_max: 8, ..Deployment::default() }],
        ..SimulatorConfig::default()
    };
    let short = start_with(short).await;
    let over = post(
        &short,
        &chat("gpt-4o"),
        json!({"messages": [{"role": "user", "content": "one two three four five six seven"}]}),
    )
    .await;
    assert_eq!(over.json()["error"]["code"], "context_length_exceeded");
    simulator.stop().await;
    short.stop().await;
}

#[tokio::test]
async fn tools_functions_schemas_and_audio() {
    let simulator = start("a").await;
    let parameters =
        json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let function = json!({"name": "get_weather", "parameters": parameters});
    let ask = json!([{"role": "user", "content": "What is the weather?"}]);
    let tools = json!({"messages": ask, "tools": [{"type": "function", "function": function}]});
    let choice = post(&simulator, &chat("gpt-4o"), tools).await.json()["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "tool_calls");
    let arguments: Value = serde_json::from_str(
        choice["message"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap(),
    )
    .unwrap();
    assert!(arguments["city"].is_string());
    let old = json!({"messages": ask, "functions": [function]});
    assert_eq!(
        post(&simulator, &chat("gpt-4o"), old).await.json()["choices"][0]["finish_reason"],
        "function_call"
    );
    let schema = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}});
    let mut body = hello();
    body["response_format"] = schema;
    let content =
        post(&simulator, &chat("gpt-4o"), body).await.json()["choices"][0]["message"]["content"]
            .clone();
    assert!(serde_json::from_str::<Value>(content.as_str().unwrap()).unwrap()["a"].is_i64());
    let mut body = hello();
    body["modalities"] = json!(["text", "audio"]);
    body["logprobs"] = json!(true);
    let spoken = post(&simulator, &chat("gpt-4o-audio-preview"), body).await.json();
    let wav = base64::engine::general_purpose::STANDARD
        .decode(spoken["choices"][0]["message"]["audio"]["data"].as_str().unwrap())
        .unwrap();
    assert_eq!(&wav[..4], b"RIFF");
    assert!(spoken["choices"][0]["logprobs"]["content"][0]["token"].is_string());
    simulator.stop().await;
}

#[tokio::test]
async fn legacy_completions_take_every_form_of_prompt() {
    let simulator = start("a").await;
    let target = format!("/openai/deployments/gpt-35-turbo-instruct/completions?{DATED}");
    for (prompt, choices) in
        [(json!("hi"), 1), (json!(["a", "b"]), 2), (json!([1, 2, 3]), 1), (json!([[1], [2, 3]]), 2)]
    {
        let value = post(&simulator, &target, json!({"prompt": prompt})).await.json();
        assert_eq!(value["choices"].as_array().unwrap().len(), choices);
        assert_eq!(value["object"], "text_completion");
    }
    let echoed =
        post(&simulator, &target, json!({"prompt": "Say:", "echo": true, "n": 2})).await.json();
    assert!(echoed["choices"][1]["text"].as_str().unwrap().starts_with("Say:"));
    assert_eq!(post(&simulator, &target, json!({"prompt": [1, "x"]})).await.status, 400);
    simulator.stop().await;
}

#[tokio::test]
async fn embeddings_are_unit_vectors_in_either_encoding() {
    let simulator = start("a").await;
    let target = format!("/openai/deployments/text-embedding-3-large/embeddings?{DATED}");
    let floats =
        post(&simulator, &target, json!({"input": ["a", "b"], "dimensions": 8})).await.json();
    let vector: Vec<f32> = serde_json::from_value(floats["data"][0]["embedding"].clone()).unwrap();
    assert_eq!(vector.len(), 8);
    assert!((vector.iter().map(|part| part * part).sum::<f32>() - 1.0).abs() < 1e-5);
    assert_ne!(floats["data"][0]["embedding"], floats["data"][1]["embedding"]);
    let coded = post(
        &simulator,
        &target,
        json!({"input": "a", "dimensions": 8, "encoding_format": "base64"}),
    )
    .await
    .json();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(coded["data"][0]["embedding"].as_str().unwrap())
        .unwrap();
    let decoded: Vec<f32> =
        bytes.chunks(4).map(|part| f32::from_le_bytes(part.try_into().unwrap())).collect();
    assert_eq!(decoded, vector);
    let ids = post(&simulator, &target, json!({"input": [[1, 2], [3]]})).await.json();
    assert_eq!(ids["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    assert_eq!(ids["data"][1]["embedding"].as_array().unwrap().len(), 3072);
    simulator.stop().await;
}

#[tokio::test]
async fn images_come_by_link_or_inline() {
    let simulator = start("a").await;
    let dalle = format!("/openai/deployments/dall-e-3/images/generations?{DATED}");
    let linked = post(&simulator, &dalle, json!({"prompt": "cat"})).await.json();
    assert!(linked["data"][0]["url"].as_str().unwrap().starts_with("https://"));
    assert!(linked["data"][0]["revised_prompt"].is_string());
    assert!(linked["data"][0]["prompt_filter_results"].is_object());
    let gpt = format!("/openai/deployments/gpt-image-1/images/generations?{NEWEST}");
    let inline = post(&simulator, &gpt, json!({"prompt": "cat"})).await.json();
    let png = base64::engine::general_purpose::STANDARD
        .decode(inline["data"][0]["b64_json"].as_str().unwrap())
        .unwrap();
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    assert!(inline["usage"]["total_tokens"].as_u64().unwrap() > 0);
    let edits = format!("/openai/deployments/gpt-image-1/images/edits?{NEWEST}");
    let edited =
        form(&simulator, &edits, &[("prompt", None, b"hat"), ("image[]", Some("a.png"), &png)])
            .await;
    assert_eq!(edited.status, 200);
    assert!(edited.json()["usage"]["input_tokens_details"]["image_tokens"].as_u64().unwrap() > 0);
    let submit = "/openai/images/generations:submit?api-version=2023-06-01-preview";
    let submitted = post(&simulator, submit, json!({"prompt": "cat"})).await;
    assert_eq!(submitted.status, 202);
    let place = submitted
        .header("operation-location")
        .split_once("sim.openai.azure.com")
        .unwrap()
        .1
        .to_owned();
    assert_eq!(get(&simulator, &place).await.json()["status"], "running");
    assert!(get(&simulator, &place).await.json()["result"]["data"][0]["url"].is_string());
    simulator.stop().await;
}

#[tokio::test]
async fn transcripts_come_in_every_format_and_speech_sounds() {
    let simulator = start("a").await;
    let target = format!("/openai/deployments/whisper-1/audio/transcriptions?{DATED}");
    for (format, start) in [
        ("json", "{\"text\":"),
        ("text", ""),
        ("srt", "1\n00:00:00,000 --> "),
        ("vtt", "WEBVTT\n\n00:"),
        ("verbose_json", "{\"task\":\"transcribe\""),
    ] {
        let answer = form(
            &simulator,
            &target,
            &[("file", Some("a.wav"), b"RIFF----"), ("response_format", None, format.as_bytes())],
        )
        .await;
        assert_eq!(answer.status, 200, "{format}");
        assert!(answer.text().starts_with(start), "{format}: {}", answer.text());
    }
    let missing = form(&simulator, &target, &[("language", None, b"en")]).await;
    assert_eq!(missing.json()["error"]["param"], "file");
    let speech = "/openai/deployments/tts-1/audio/speech?api-version=2025-03-01-preview";
    for (format, start) in [("mp3", &b"\xFF\xFB"[..]), ("wav", b"RIFF"), ("flac", b"fLaC")] {
        let answer = post(
            &simulator,
            speech,
            json!({"input": "hi", "voice": "alloy", "response_format": format}),
        )
        .await;
        assert!(answer.body.starts_with(start), "{format}");
        assert_eq!(answer.header("transfer-encoding"), "chunked");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn inference_models_moderations_and_management() {
    let simulator = start("a").await;
    let mut body = hello();
    body["model"] = json!("gpt-4o");
    assert_eq!(
        post(&simulator, "/models/chat/completions?api-version=2024-05-01-preview", body)
            .await
            .status,
        200
    );
    assert_eq!(
        get(&simulator, "/models/info?api-version=2024-05-01-preview").await.json()["model_name"],
        "gpt-4o"
    );
    for target in ["/openai/models?api-version=2024-10-21", "/openai/v1/models", "/v1/models"] {
        assert!(
            get(&simulator, target).await.json()["data"].as_array().unwrap().len() > 10,
            "{target}"
        );
    }
    assert_eq!(get(&simulator, "/v1/models/gpt-4o").await.json()["id"], "gpt-4o");
    assert_eq!(get(&simulator, "/status").await.status, 200);
    let moderated =
        post(&simulator, "/v1/moderations", json!({"input": ["fine", "SIM-FILTER-PROMPT"]}))
            .await
            .json();
    assert_eq!(
        (&moderated["results"][0]["flagged"], &moderated["results"][1]["flagged"]),
        (&json!(false), &json!(true))
    );
    let arm = "/subscriptions/s/resourceGroups/r/providers/Microsoft.CognitiveServices/accounts/a/deployments?api-version=2023-05-01";
    assert_eq!(
        get(&simulator, arm).await.json()["value"][0]["properties"]["model"]["name"],
        "gpt-4o"
    );
    assert_eq!(
        get(&simulator, "/openai/deployments?api-version=2022-12-01").await.json()["data"][0]["id"],
        "gpt-4o"
    );
    let unknown = get(&simulator, "/v1/nonsense").await;
    assert_eq!(unknown.json()["error"]["message"], "Invalid URL (GET /v1/nonsense)");
    simulator.stop().await;
}

#[tokio::test]
async fn rate_limits_answer_429_with_both_waits() {
    let deployments = vec![Deployment { tpm: 1000, ..Deployment::default() }];
    let simulator = start_with(SimulatorConfig {
        rate_limits: true,
        deployments,
        ..SimulatorConfig::default()
    })
    .await;
    let mut body = hello();
    body["max_tokens"] = json!(900);
    let first = post(&simulator, &chat("gpt-4o"), body.clone()).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("x-ratelimit-limit-tokens"), "1000");
    let over = post(&simulator, &chat("gpt-4o"), body).await;
    assert_eq!(over.status, 429);
    let seconds: u64 = over.header("retry-after").parse().unwrap();
    let ms: u64 = over.header("retry-after-ms").parse().unwrap();
    assert_eq!(ms.div_ceil(1000), seconds);
    let message = over.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded token rate limit"), "{message}");
    assert_ne!(over.header("x-ratelimit-reset-tokens"), "");
    simulator.stop().await;
}

#[tokio::test]
async fn lenient_instances_serve_misplaced_paths() {
    let simulator = start_with(SimulatorConfig {
        strictness: Strictness::Lenient,
        ..SimulatorConfig::default()
    })
    .await;
    let created =
        post(&simulator, &format!("/openai/deployments/gpt-4o/threads?{DATED}"), json!({})).await;
    assert_eq!(created.json()["object"], "thread");
    let answered = post(
        &simulator,
        &format!("/openai/responses?{DATED}"),
        json!({"model": "gpt-4o", "input": "hi"}),
    )
    .await;
    assert_eq!(answered.json()["status"], "completed");
    simulator.stop().await;
}
