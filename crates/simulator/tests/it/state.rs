//! Stateful objects: their lives, and that another instance knows none of them.

use serde_json::{Value, json};
use simulator::{Deployment, SimulatorConfig};

use crate::client::{DATED, NEWEST, delete, form, get, post, send, start, start_with};

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

#[tokio::test]
async fn files_are_kept_listed_read_and_deleted() {
    let simulator = start("a").await;
    let files = format!("/openai/files?{DATED}");
    let created = form(
        &simulator,
        &files,
        &[("purpose", None, b"batch"), ("file", Some("x.jsonl"), b"{}\n")],
    )
    .await;
    assert_eq!(created.status, 201);
    assert!(created.header("location").contains("/openai/files/file-"));
    let file = created.json();
    assert_eq!(
        (&file["bytes"], &file["filename"], &file["object"]),
        (&json!(3), &json!("x.jsonl"), &json!("file"))
    );
    form(&simulator, &files, &[("purpose", None, b"assistants"), ("file", Some("y"), b"y")]).await;
    let page = get(&simulator, &format!("{files}&limit=1")).await.json();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (1, &json!(true)));
    let next =
        get(&simulator, &format!("{files}&limit=1&after={}", page["last_id"].as_str().unwrap()))
            .await
            .json();
    assert_eq!((id(&next["data"][0]), &next["has_more"]), (id(&file), &json!(false)));
    assert_eq!(
        get(&simulator, &format!("{files}&purpose=batch")).await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let place = format!("/openai/files/{}", id(&file));
    assert_eq!(get(&simulator, &format!("{place}/content?{DATED}")).await.text(), "{}\n");
    assert_eq!(delete(&simulator, &format!("{place}?{DATED}")).await.json()["deleted"], true);
    let gone = get(&simulator, &format!("{place}?{DATED}")).await;
    assert_eq!(gone.status, 404);
    assert_eq!(gone.json()["detail"], gone.json()["error"]["message"]);
    let bad = form(&simulator, &files, &[("purpose", None, b"x"), ("file", Some("y"), b"y")]).await;
    assert_eq!(bad.json()["error"]["param"], "purpose");
    simulator.stop().await;
}

#[tokio::test]
async fn files_above_the_limit_keep_size_and_hash_only() {
    let simulator =
        start_with(SimulatorConfig { file_bytes_kept_max: 4, ..SimulatorConfig::default() }).await;
    let created = form(
        &simulator,
        "/v1/files",
        &[("purpose", None, b"batch"), ("file", Some("x"), b"12345")],
    )
    .await
    .json();
    assert_eq!(created["bytes"], 5);
    let content = get(&simulator, &format!("/v1/files/{}/content", id(&created))).await;
    assert_eq!(content.status, 400);
    assert_eq!(content.json()["error"]["code"], "sim_content_not_kept");
    simulator.stop().await;
}

#[tokio::test]
async fn uploads_join_their_parts() {
    let simulator = start("a").await;
    let upload = post(
        &simulator,
        "/v1/uploads",
        json!({"bytes": 6, "filename": "x", "mime_type": "text/plain", "purpose": "batch"}),
    )
    .await
    .json();
    let place = format!("/v1/uploads/{}", id(&upload));
    let mut parts = Vec::new();
    for data in [b"abc", b"def"] {
        let part = form(&simulator, &format!("{place}/parts"), &[("data", Some("upload"), data)])
            .await
            .json();
        parts.push(part["id"].clone());
    }
    let short =
        post(&simulator, &format!("{place}/complete"), json!({"part_ids": [parts[0]]})).await;
    assert_eq!(short.status, 400);
    let done =
        post(&simulator, &format!("{place}/complete"), json!({"part_ids": parts})).await.json();
    assert_eq!(done["status"], "completed");
    let content = get(&simulator, &format!("/v1/files/{}/content", id(&done["file"]))).await;
    assert_eq!(content.text(), "abcdef");
    assert_eq!(post(&simulator, &format!("{place}/cancel"), json!({})).await.status, 400);
    simulator.stop().await;
}

#[tokio::test]
async fn a_batch_moves_on_with_each_look_and_answers_every_line() {
    let simulator = start("a").await;
    let line = |id: &str, model: &str| {
        json!({"custom_id": id, "method": "POST", "url": "/chat/completions", "body": {"model": model, "messages": [{"role": "user", "content": "hello"}]}}).to_string()
    };
    let input = format!(
        "{}\n{}\n{}\n",
        line("one", "gpt-4o"),
        line("two", "gpt-4o"),
        line("three", "nope")
    );
    let file = form(
        &simulator,
        &format!("/openai/files?{DATED}"),
        &[("purpose", None, b"batch"), ("file", Some("x.jsonl"), input.as_bytes())],
    )
    .await
    .json();
    let batch = post(&simulator, &format!("/openai/batches?{DATED}"), json!({"input_file_id": file["id"], "endpoint": "/chat/completions", "completion_window": "24h"})).await.json();
    assert_eq!(batch["status"], "validating");
    let place = format!("/openai/batches/{}?{DATED}", id(&batch));
    let mut last = Value::Null;
    for status in ["in_progress", "finalizing", "completed", "completed"] {
        last = get(&simulator, &place).await.json();
        assert_eq!(last["status"], status);
    }
    assert_eq!(last["request_counts"], json!({"total": 3, "completed": 2, "failed": 1}));
    let output = get(
        &simulator,
        &format!("/openai/files/{}/content?{DATED}", last["output_file_id"].as_str().unwrap()),
    )
    .await
    .text();
    let lines: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[1]["custom_id"]), (2, &json!("two")));
    assert!(lines[0]["response"]["body"]["usage"]["total_tokens"].is_u64());
    let errors = get(
        &simulator,
        &format!("/openai/files/{}/content?{DATED}", last["error_file_id"].as_str().unwrap()),
    )
    .await;
    assert!(errors.text().contains("DeploymentNotFound"));
    let listed = get(&simulator, &format!("/openai/batches?{DATED}")).await;
    assert_ne!(listed.header("deployment-maximum-enqueued-tokens"), "");
    simulator.stop().await;
}

#[tokio::test]
async fn a_batch_with_a_bad_line_fails_and_one_can_be_cancelled() {
    let simulator = start("a").await;
    let file = form(
        &simulator,
        "/v1/files",
        &[("purpose", None, b"batch"), ("file", Some("x"), b"{oops")],
    )
    .await
    .json();
    let body = json!({"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let batch = post(&simulator, "/v1/batches", body.clone()).await.json();
    let failed = get(&simulator, &format!("/v1/batches/{}", id(&batch))).await.json();
    assert_eq!(
        (&failed["status"], &failed["errors"]["data"][0]["line"]),
        (&json!("failed"), &json!(1))
    );
    let batch = post(&simulator, "/v1/batches", body).await.json();
    let place = format!("/v1/batches/{}", id(&batch));
    assert_eq!(
        post(&simulator, &format!("{place}/cancel"), json!({})).await.json()["status"],
        "cancelling"
    );
    assert_eq!(get(&simulator, &place).await.json()["status"], "cancelled");
    simulator.stop().await;
}

#[tokio::test]
async fn a_fine_tuned_model_serves_here_only() {
    let (simulator, other) = (start("a").await, start("b").await);
    let file = form(
        &simulator,
        "/v1/files",
        &[("purpose", None, b"fine-tune"), ("file", Some("x"), b"{}")],
    )
    .await
    .json();
    let job = post(
        &simulator,
        "/v1/fine_tuning/jobs",
        json!({"model": "gpt-4o-mini", "training_file": file["id"]}),
    )
    .await
    .json();
    let place = format!("/v1/fine_tuning/jobs/{}", id(&job));
    for status in ["queued", "running", "succeeded"] {
        assert_eq!(get(&simulator, &place).await.json()["status"], status);
    }
    let done = get(&simulator, &place).await.json();
    let model = done["fine_tuned_model"].as_str().unwrap();
    assert!(model.starts_with("ft:gpt-4o-mini:"));
    assert_eq!(
        get(&simulator, &format!("{place}/events")).await.json()["data"].as_array().unwrap().len(),
        4
    );
    assert_eq!(
        get(&simulator, &format!("{place}/checkpoints")).await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let ask = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(post(&simulator, "/v1/chat/completions", ask.clone()).await.status, 200);
    assert_eq!(
        post(&other, "/v1/chat/completions", ask).await.json()["error"]["code"],
        "model_not_found"
    );
    assert_eq!(post(&simulator, &format!("{place}/cancel"), json!({})).await.status, 400);
    let second = post(
        &simulator,
        "/v1/fine_tuning/jobs",
        json!({"model": "gpt-4o-mini", "training_file": file["id"]}),
    )
    .await
    .json();
    let place = format!("/v1/fine_tuning/jobs/{}", id(&second));
    get(&simulator, &place).await;
    get(&simulator, &place).await;
    assert_eq!(
        post(&simulator, &format!("{place}/pause"), json!({})).await.json()["status"],
        "paused"
    );
    assert_eq!(
        post(&simulator, &format!("{place}/resume"), json!({})).await.json()["status"],
        "running"
    );
    simulator.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn responses_are_chained_polled_cancelled_and_unknown_elsewhere() {
    let (simulator, other) = (start("a").await, start("b").await);
    let first = post(&simulator, "/openai/v1/responses", json!({"model": "gpt-4o", "input": "hi"}))
        .await
        .json();
    let chained = json!({"model": "gpt-4o", "input": "more", "previous_response_id": first["id"]});
    let second = post(&simulator, "/openai/v1/responses", chained.clone()).await.json();
    assert!(second["usage"]["input_tokens"].as_u64() > first["usage"]["total_tokens"].as_u64());
    let lost = post(&other, "/openai/v1/responses", chained).await;
    assert_eq!(lost.status, 404);
    assert_eq!(
        lost.json()["error"]["message"],
        format!("Response with id '{}' not found.", id(&first))
    );
    let place = format!("/openai/v1/responses/{}", id(&first));
    assert_eq!(get(&simulator, &place).await.json(), first);
    assert_eq!(get(&other, &place).await.status, 404);
    let items = get(&simulator, &format!("{place}/input_items")).await.json();
    assert_eq!(items["data"][0]["content"][0]["text"], "hi");
    assert_eq!(delete(&simulator, &place).await.json()["deleted"], true);
    assert_eq!(get(&simulator, &place).await.status, 404);

    let background = post(
        &simulator,
        "/openai/v1/responses",
        json!({"model": "gpt-4o", "input": "hi", "background": true}),
    )
    .await
    .json();
    assert_eq!(background["status"], "queued");
    let place = format!("/openai/v1/responses/{}", id(&background));
    assert_eq!(get(&simulator, &place).await.json()["status"], "in_progress");
    assert_eq!(get(&simulator, &place).await.json()["status"], "completed");
    let cancelled = post(
        &simulator,
        "/openai/v1/responses",
        json!({"model": "gpt-4o", "input": "hi", "background": true}),
    )
    .await
    .json();
    let place = format!("/openai/v1/responses/{}/cancel", id(&cancelled));
    assert_eq!(post(&simulator, &place, json!({})).await.json()["status"], "cancelled");
    let counted = post(
        &simulator,
        "/openai/v1/responses/input_tokens",
        json!({"model": "gpt-4o", "input": "hi"}),
    )
    .await
    .json();
    assert_eq!(counted["input_tokens"], first["usage"]["input_tokens"]);
    simulator.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn conversations_collect_what_is_said() {
    let simulator = start("a").await;
    let conversation = post(
        &simulator,
        "/v1/conversations",
        json!({"items": [{"role": "user", "content": "one"}]}),
    )
    .await
    .json();
    let body = json!({"model": "gpt-4o", "input": "two", "conversation": conversation["id"]});
    assert_eq!(
        post(&simulator, "/v1/responses", body).await.json()["conversation"]["id"],
        conversation["id"]
    );
    let place = format!("/v1/conversations/{}", id(&conversation));
    let items = get(&simulator, &format!("{place}/items?order=asc")).await.json();
    let roles: Vec<&str> = items["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "user", "assistant"]);
    let item = format!("{place}/items/{}", id(&items["data"][0]));
    assert_eq!(get(&simulator, &item).await.json()["content"][0]["text"], "one");
    assert_eq!(delete(&simulator, &item).await.json()["object"], "conversation");
    assert_eq!(get(&simulator, &item).await.status, 404);
    simulator.stop().await;
}

#[tokio::test]
async fn a_run_is_polled_through_a_tool_to_its_answer() {
    let (simulator, other) = (start("a").await, start("b").await);
    let at = |path: &str| format!("/openai/{path}?{NEWEST}");
    let function = json!({"type": "function", "function": {"name": "get_weather"}});
    let assistant =
        post(&simulator, &at("assistants"), json!({"model": "gpt-4o", "tools": [function]}))
            .await
            .json();
    let thread = post(
        &simulator,
        &at("threads"),
        json!({"messages": [{"role": "user", "content": "the weather"}]}),
    )
    .await
    .json();
    let runs = format!("threads/{}/runs", id(&thread));
    let run = post(&simulator, &at(&runs), json!({"assistant_id": assistant["id"]})).await.json();
    assert_eq!(run["status"], "queued");
    let again = post(&simulator, &at(&runs), json!({"assistant_id": assistant["id"]})).await;
    assert!(again.text().contains("already has an active run"));
    let place = format!("{runs}/{}", id(&run));
    assert_eq!(get(&simulator, &at(&place)).await.json()["status"], "in_progress");
    let waiting = get(&simulator, &at(&place)).await.json();
    assert_eq!(waiting["status"], "requires_action");
    let call = waiting["required_action"]["submit_tool_outputs"]["tool_calls"][0]["id"].clone();
    let submit = at(&format!("{place}/submit_tool_outputs"));
    assert_eq!(
        post(&simulator, &submit, json!({"tool_outputs": [{"tool_call_id": "x", "output": ""}]}))
            .await
            .status,
        400
    );
    let outputs = json!({"tool_outputs": [{"tool_call_id": call, "output": "sun"}]});
    assert_eq!(post(&simulator, &submit, outputs).await.json()["status"], "queued");
    get(&simulator, &at(&place)).await;
    assert_eq!(get(&simulator, &at(&place)).await.json()["status"], "completed");
    let messages = get(&simulator, &at(&format!("threads/{}/messages", id(&thread)))).await.json();
    assert_eq!(
        (messages["data"].as_array().unwrap().len(), &messages["data"][0]["run_id"]),
        (2, &run["id"])
    );
    let steps = get(&simulator, &at(&format!("{place}/steps"))).await.json();
    assert_eq!(steps["data"][1]["step_details"]["tool_calls"][0]["function"]["output"], "sun");
    let step = format!("{place}/steps/{}", id(&steps["data"][0]));
    assert_eq!(get(&simulator, &at(&step)).await.json()["type"], "message_creation");
    for path in
        [format!("assistants/{}", id(&assistant)), format!("threads/{}", id(&thread)), place]
    {
        assert_eq!(get(&other, &at(&path)).await.status, 404, "{path}");
    }
    assert!(simulator.objects() >= 6);
    assert_eq!(other.objects(), 0);
    simulator.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_run_that_is_throttled_leaves_nothing_behind() {
    let deployment = Deployment { tpm: 1_000, ..Deployment::new("gpt-4o", "gpt-4o") };
    let simulator = start_with(SimulatorConfig {
        deployments: vec![deployment],
        rate_limits: true,
        ..SimulatorConfig::default()
    })
    .await;
    let assistant = post(&simulator, "/v1/assistants", json!({"model": "gpt-4o"})).await.json();
    let thread = post(&simulator, "/v1/threads", json!({})).await.json();
    let hello = json!({"model": "gpt-4o", "input": "hi"});
    assert_eq!(post(&simulator, "/v1/responses", hello).await.status, 200);
    let runs = format!("/v1/threads/{}/runs", id(&thread));
    let run = json!({"assistant_id": id(&assistant)});
    let objects = simulator.objects();
    for _ in 0..2 {
        assert_eq!(post(&simulator, &runs, run.clone()).await.status, 429);
    }
    assert_eq!(simulator.objects(), objects);
    simulator.stop().await;
}

#[tokio::test]
async fn vector_stores_hold_files_and_find_them() {
    let simulator = start("a").await;
    let file = form(
        &simulator,
        "/v1/files",
        &[("purpose", None, b"assistants"), ("file", Some("a.txt"), b"about gates")],
    )
    .await
    .json();
    let store =
        post(&simulator, "/v1/vector_stores", json!({"name": "x", "file_ids": [file["id"]]}))
            .await
            .json();
    assert_eq!(store["file_counts"]["completed"], 1);
    let place = format!("/v1/vector_stores/{}", id(&store));
    let found =
        post(&simulator, &format!("{place}/search"), json!({"query": "gates"})).await.json();
    assert_eq!(found["data"][0]["content"][0]["text"], "about gates");
    let batch =
        post(&simulator, &format!("{place}/file_batches"), json!({"file_ids": [file["id"]]}))
            .await
            .json();
    assert_eq!(batch["status"], "in_progress");
    let done = format!("{place}/file_batches/{}", id(&batch));
    assert_eq!(get(&simulator, &done).await.json()["file_counts"]["completed"], 1);
    assert_eq!(
        get(&simulator, &format!("{done}/files")).await.json()["data"].as_array().unwrap().len(),
        1
    );
    let in_store = format!("{place}/files/{}", id(&file));
    assert_eq!(
        get(&simulator, &format!("{in_store}/content")).await.json()["data"][0]["text"],
        "about gates"
    );
    assert_eq!(delete(&simulator, &in_store).await.json()["object"], "vector_store.file.deleted");
    assert_eq!(get(&simulator, &in_store).await.status, 404);
    simulator.stop().await;
}

#[tokio::test]
async fn stored_completions_containers_evals_and_videos() {
    let simulator = start("a").await;
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "store": true, "metadata": {"a": "b"}});
    let stored = post(&simulator, "/v1/chat/completions", body).await.json();
    let place = format!("/v1/chat/completions/{}", id(&stored));
    assert_eq!(get(&simulator, &place).await.json()["metadata"]["a"], "b");
    assert_eq!(
        get(&simulator, &format!("{place}/messages")).await.json()["data"][0]["content"],
        "hi"
    );
    assert_eq!(
        get(&simulator, "/v1/chat/completions").await.json()["data"].as_array().unwrap().len(),
        1
    );
    delete(&simulator, &place).await;
    let gone = get(&simulator, &place).await.json();
    assert_eq!(
        (&gone["error"]["code"], &gone["error"]["param"]),
        (&json!("not_found"), &json!("completion_id"))
    );

    let container = post(&simulator, "/v1/containers", json!({"name": "c"})).await.json();
    let files = format!("/v1/containers/{}/files", id(&container));
    let file = form(&simulator, &files, &[("file", Some("a"), b"data")]).await.json();
    assert_eq!(get(&simulator, &format!("{files}/{}/content", id(&file))).await.text(), "data");

    let eval = post(
        &simulator,
        "/v1/evals",
        json!({"data_source_config": {"type": "custom"}, "testing_criteria": []}),
    )
    .await
    .json();
    let runs = format!("/v1/evals/{}/runs", id(&eval));
    let lines = json!([{"item": {"question": "2+2?"}}, {"item": {"question": "3+3?"}}]);
    let source = json!({"type": "jsonl", "source": {"type": "file_content", "content": lines}});
    let run = post(&simulator, &runs, json!({"data_source": source})).await.json();
    let place = format!("{runs}/{}", id(&run));
    get(&simulator, &place).await;
    let ended = get(&simulator, &place).await.json();
    assert_eq!(
        (&ended["status"], &ended["result_counts"]["total"]),
        (&json!("completed"), &json!(2))
    );
    let items = get(&simulator, &format!("{place}/output_items?order=asc")).await.json();
    let item = get(&simulator, &format!("{place}/output_items/{}", id(&items["data"][1]))).await;
    assert_eq!(item.json()["datasource_item"]["question"], "3+3?");

    let video =
        form(&simulator, "/v1/videos", &[("prompt", None, b"cat"), ("model", None, b"sora-2")])
            .await
            .json();
    let place = format!("/v1/videos/{}", id(&video));
    assert_eq!(get(&simulator, &format!("{place}/content")).await.status, 400);
    get(&simulator, &place).await;
    get(&simulator, &place).await;
    assert!(get(&simulator, &format!("{place}/content")).await.body.len() > 20);
    simulator.stop().await;
}

#[tokio::test]
async fn videos_are_made_of_videos_and_have_characters() {
    let simulator = start("a").await;
    let first = post(&simulator, "/v1/videos", json!({"prompt": "cat", "seconds": "8"})).await;
    let first = first.json();
    let remix = format!("/v1/videos/{}/remix", id(&first));
    let made = post(&simulator, &remix, json!({"prompt": "dog"})).await.json();
    assert_eq!(made["remixed_from_video_id"], first["id"]);
    assert_eq!((&made["seconds"], &made["prompt"]), (&json!("8"), &json!("dog")));
    for kind in ["edits", "extensions"] {
        let of = json!({"prompt": "more", "video": {"id": first["id"]}});
        let made = post(&simulator, &format!("/v1/videos/{kind}"), of).await.json();
        assert_eq!(made["status"], "queued");
        let of = json!({"prompt": "more", "video": {"id": "video_none"}});
        assert_eq!(post(&simulator, &format!("/v1/videos/{kind}"), of).await.status, 404);
    }
    let fields: [(&str, Option<&str>, &[u8]); 2] =
        [("name", None, b"Tom"), ("video", Some("a.mp4"), b"mp4")];
    let made = form(&simulator, "/v1/videos/characters", &fields).await.json();
    let place = format!("/v1/videos/characters/{}", id(&made));
    assert_eq!(get(&simulator, &place).await.json()["name"], "Tom");
    let job = json!({"prompt": "cat", "model": "sora"});
    let job = post(&simulator, "/openai/v1/video/generations/jobs?api-version=preview", job).await;
    assert_eq!(job.json()["object"], "video.generation.job");
    simulator.stop().await;
}

#[tokio::test]
async fn skills_have_versions_and_voices_need_a_consent() {
    let simulator = start("a").await;
    let skill = form(&simulator, "/v1/skills", &[("files", Some("pdf.zip"), b"one")]).await.json();
    let place = format!("/v1/skills/{}", id(&skill));
    let versions = format!("{place}/versions");
    let second = form(&simulator, &versions, &[("files", Some("pdf.zip"), b"two")]).await.json();
    assert_eq!((&second["version"], &second["name"]), (&json!("2"), &json!("pdf")));
    assert_eq!(get(&simulator, &format!("{place}/content")).await.text(), "one");
    let changed = post(&simulator, &place, json!({"default_version": "2"})).await.json();
    assert_eq!(
        (&changed["default_version"], &changed["latest_version"]),
        (&json!("2"), &json!("2"))
    );
    assert_eq!(get(&simulator, &format!("{place}/content")).await.text(), "two");
    delete(&simulator, &format!("{versions}/1")).await;
    assert_eq!(get(&simulator, &format!("{versions}/1/content")).await.status, 404);
    assert_eq!(get(&simulator, &versions).await.json()["data"].as_array().unwrap().len(), 1);

    let consents = "/v1/audio/voice_consents";
    let voice = |consent: String| {
        let simulator = &simulator;
        async move {
            let fields: [(&str, Option<&str>, &[u8]); 3] = [
                ("name", None, b"Ada"),
                ("consent", None, consent.as_bytes()),
                ("audio_sample", Some("a.wav"), b"wav"),
            ];
            form(simulator, "/v1/audio/voices", &fields).await
        }
    };
    assert_eq!(voice("cons_none".into()).await.status, 404);
    let fields: [(&str, Option<&str>, &[u8]); 3] =
        [("name", None, b"Ada"), ("language", None, b"en"), ("recording", Some("a.wav"), b"wav")];
    let consent = form(&simulator, consents, &fields).await.json();
    assert_eq!(voice(id(&consent).to_owned()).await.json()["object"], "audio.voice");
    let place = format!("{consents}/{}", id(&consent));
    let renamed = post(&simulator, &place, json!({"name": "Ada L."})).await.json();
    assert_eq!(get(&simulator, &place).await.json()["name"], renamed["name"]);
    delete(&simulator, &place).await;
    assert_eq!(get(&simulator, &place).await.status, 404);
    simulator.stop().await;
}

#[tokio::test]
async fn received_requests_are_remembered_with_their_hash_up_to_the_limit() {
    use sha2::{Digest, Sha256};
    let simulator =
        start_with(SimulatorConfig { requests_kept_max: 2, ..SimulatorConfig::default() }).await;
    for body in ["one", "two", "three"] {
        send(&simulator, "POST", "/v1/x?y=1", &[("x-mine", body)], body).await.unwrap();
    }
    let received = simulator.received();
    assert_eq!((received.len(), simulator.requests()), (2, 3));
    let last = &received[1];
    assert_eq!((last.sequence, last.body_bytes, last.target.as_str()), (2, 5, "/v1/x?y=1"));
    assert_eq!(last.headers["x-mine"], "three");
    assert_eq!(&last.body_start[..], b"three");
    let digest: [u8; 32] = Sha256::digest(b"three").into();
    assert_eq!(last.body_sha256, digest);
    assert!(last.complete);
    simulator.stop().await;
}

#[tokio::test]
async fn deployments_are_made_changed_serve_and_are_removed() {
    let simulator = start("a").await;
    let chat = json!({"messages": [{"role": "user", "content": "hi"}]});
    let serves = async |name: &str| {
        let target = format!("/openai/deployments/{name}/chat/completions?{DATED}");
        post(&simulator, &target, chat.clone()).await.status == 200
    };
    let old = "/openai/deployments?api-version=2022-12-01";
    let made = post(&simulator, old, json!({"model": "gpt-4o"})).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    assert!(serves(id(&made)).await, "{made}");
    let place = format!("/openai/deployments/{}?api-version=2022-12-01", id(&made));
    let json = [("content-type", "application/json")];
    let change = json!({"model": "gpt-4o-mini"}).to_string();
    let changed = send(&simulator, "PATCH", &place, &json, change).await.unwrap();
    assert_eq!(changed.json()["model"], "gpt-4o-mini");
    assert_eq!(delete(&simulator, &place).await.status, 204);
    assert!(!serves(id(&made)).await);

    let arm = "/subscriptions/s/resourceGroups/r/providers/Microsoft.CognitiveServices/accounts/a/deployments";
    let place = format!("{arm}/mine?api-version=2024-10-01");
    let body = json!({"sku": {"name": "GlobalStandard", "capacity": 7}, "properties": {"model": {"format": "OpenAI", "name": "gpt-4o", "version": "2024-08-06"}}});
    for status in [201, 200] {
        let put = send(&simulator, "PUT", &place, &json, body.to_string()).await.unwrap();
        assert_eq!(put.status, status);
        assert_eq!(put.json()["sku"], body["sku"]);
    }
    assert!(serves("mine").await);
    let more = json!({"sku": {"name": "Standard", "capacity": 9}}).to_string();
    send(&simulator, "PATCH", &place, &json, more).await.unwrap();
    let got = get(&simulator, &place).await.json();
    assert_eq!(got["sku"], json!({"name": "Standard", "capacity": 9}));
    assert_eq!(got["properties"]["model"]["version"], "2024-08-06");
    assert_eq!(delete(&simulator, &place).await.status, 200);
    assert_eq!(delete(&simulator, &place).await.status, 204);
    assert!(!serves("mine").await);
    simulator.stop().await;
}

#[tokio::test]
async fn graders_compare_texts_and_checkpoints_are_shared_and_copied() {
    let simulator = start("a").await;
    let grade = async |operation: &str, sample: &str| {
        let grader = json!({"type": "string_check", "name": "g", "operation": operation, "input": "{{sample.output_text}}", "reference": "{{item.label}}"});
        let body = json!({"grader": grader, "item": {"label": "Yes"}, "model_sample": sample});
        post(&simulator, "/v1/fine_tuning/alpha/graders/run", body).await.json()["reward"].clone()
    };
    assert_eq!(grade("eq", "Yes").await, 1.0);
    assert_eq!(grade("eq", "no").await, 0.0);
    assert_eq!(grade("ilike", "oh yes!").await, 1.0);
    let wrong = json!({"grader": {"type": "nonsense"}});
    let wrong = post(&simulator, "/openai/v1/fine_tuning/alpha/graders/validate", wrong).await;
    assert_eq!(
        (wrong.status.as_u16(), &wrong.json()["error"]["param"]),
        (400, &json!("grader.type"))
    );

    let file = [("purpose", None, &b"fine-tune"[..]), ("file", Some("x"), &b"{}"[..])];
    let file = form(&simulator, "/v1/files", &file).await.json();
    let job = json!({"model": "gpt-4o-mini", "training_file": file["id"]});
    let job = post(&simulator, "/v1/fine_tuning/jobs", job).await.json();
    let place = format!("/openai/v1/fine_tuning/jobs/{}", id(&job));
    for _ in 0..3 {
        get(&simulator, &place).await;
    }
    let checkpoint =
        get(&simulator, &format!("{place}/checkpoints")).await.json()["data"][0].clone();
    let copy = format!("{place}/checkpoints/{}/copy", id(&checkpoint));
    let wanted = json!({"destinationResourceId": "/subscriptions/s", "region": "eastus"});
    assert_eq!(post(&simulator, &copy, wanted.clone()).await.status, 400, "without its header");
    let preview = [("aoai-copy-ft-checkpoints", "preview"), ("content-type", "application/json")];
    for (method, status) in [("POST", "InProgress"), ("GET", "InProgress"), ("GET", "Completed")] {
        let answer = send(&simulator, method, &copy, &preview, wanted.to_string()).await.unwrap();
        assert_eq!(answer.json()["status"], status);
    }
    let name = checkpoint["fine_tuned_model_checkpoint"].as_str().unwrap();
    let permissions = format!("/v1/fine_tuning/checkpoints/{name}/permissions");
    let granted = post(&simulator, &permissions, json!({"project_ids": ["p1", "p2"]})).await.json();
    let one = format!("{permissions}/{}", id(&granted["data"][0]));
    assert_eq!(delete(&simulator, &one).await.json()["deleted"], true);
    let left = get(&simulator, &permissions).await.json();
    assert_eq!(
        (left["data"].as_array().unwrap().len(), &left["data"][0]["project_id"]),
        (1, &json!("p2"))
    );

    let legacy = "api-version=2023-05-15";
    let body = json!({"model": "gpt-4o-mini", "training_file": file["id"]});
    let job = post(&simulator, &format!("/openai/fine-tunes?{legacy}"), body).await;
    assert_eq!(job.status, 201);
    let job = job.json();
    assert_eq!(
        (&job["object"], &job["training_files"][0]["id"]),
        (&json!("fine-tune"), &file["id"])
    );
    let events = format!("/openai/fine-tunes/{}/events?{legacy}&stream=true", id(&job));
    assert_eq!(get(&simulator, &events).await.events().last().unwrap().1, "[DONE]");
    let cancel = format!("/openai/fine-tunes/{}/cancel?{legacy}", id(&job));
    assert_eq!(post(&simulator, &cancel, json!({})).await.json()["status"], "cancelled");
    simulator.stop().await;
}

#[tokio::test]
async fn calls_chats_ingestion_and_attached_files_have_their_lives() {
    let (simulator, other) = (start("a").await, start("b").await);
    let offer = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n";
    let session = br#"{"type": "realtime", "model": "gpt-realtime"}"#;
    let parts = [("sdp", None, &offer[..]), ("session", None, &session[..])];
    let answer = form(&simulator, "/v1/realtime/calls", &parts).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (201, "application/sdp"));
    assert!(answer.text().starts_with("v=0"));
    let call = answer.header("location").to_owned();
    assert!(call.contains("/realtime/calls/rtc_"), "{call}");
    let call = format!("/v1/realtime/calls/{}", call.rsplit('/').next().unwrap());
    let session = json!({"type": "realtime", "model": "gpt-realtime"});
    assert_eq!(post(&simulator, &format!("{call}/accept"), session.clone()).await.status, 200);
    assert_eq!(post(&other, &format!("{call}/accept"), session).await.status, 404);
    assert_eq!(post(&simulator, &format!("{call}/hangup"), json!({})).await.status, 200);
    assert_eq!(post(&simulator, &format!("{call}/hangup"), json!({})).await.status, 404);
    let bare = [("content-type", "application/sdp")];
    let bare = send(&simulator, "POST", "/v1/realtime/calls", &bare, &offer[..]).await.unwrap();
    assert_eq!(bare.status, 201);

    let session =
        json!({"user": "ada", "workflow": {"id": "wf_1"}, "expires_after": {"seconds": 60}});
    let session = post(&simulator, "/v1/chatkit/sessions", session).await.json();
    assert_eq!(session["expires_at"], 1_700_000_060);
    let cancel = format!("/v1/chatkit/sessions/{}/cancel", id(&session));
    assert_eq!(post(&simulator, &cancel, json!({})).await.json()["status"], "cancelled");
    let threads = get(&simulator, "/v1/chatkit/threads?user=ada").await.json();
    let thread = format!("/v1/chatkit/threads/{}", id(&threads["data"][0]));
    let items = get(&simulator, &format!("{thread}/items?order=asc")).await.json();
    assert_eq!(items["data"][1]["type"], "chatkit.assistant_message");
    assert_eq!(delete(&simulator, &thread).await.json()["deleted"], true);
    assert_eq!(get(&simulator, &thread).await.status, 404);

    let job = format!("/openai/ingestion/jobs/nightly?{NEWEST}");
    let json = [("content-type", "application/json")];
    let body = json!({"kind": "SystemCompute"}).to_string();
    send(&simulator, "PUT", &job, &json, body).await.unwrap();
    let runs =
        get(&simulator, &format!("/openai/ingestion/jobs/nightly/runs?{NEWEST}")).await.json();
    let run = runs["value"][0]["runId"].as_str().unwrap();
    for status in ["running", "succeeded"] {
        let run =
            get(&simulator, &format!("/openai/ingestion/jobs/nightly/runs/{run}?{NEWEST}")).await;
        assert_eq!(run.json()["status"], status);
    }

    let first = "api-version=2024-02-15-preview";
    let file = [("purpose", None, &b"assistants"[..]), ("file", Some("x"), &b"c2pa"[..])];
    let file = form(&simulator, &format!("/openai/files?{first}"), &file).await.json();
    let assistant =
        post(&simulator, &format!("/openai/assistants?{first}"), json!({"model": "gpt-4o"}))
            .await
            .json();
    let files = format!("/openai/assistants/{}/files", id(&assistant));
    post(&simulator, &format!("{files}?{first}"), json!({"file_id": file["id"]})).await;
    let place = format!("{files}/{}?{first}", id(&file));
    assert_eq!(get(&simulator, &place).await.json()["object"], "assistant.file");
    assert_eq!(delete(&simulator, &place).await.json()["deleted"], true);
    assert_eq!(get(&simulator, &place).await.status, 404);
    for (content, outcome) in [(&b"jumb c2pa"[..], "detected"), (b"plain", "not_detected")] {
        let parts = [("file", Some("a.png"), content)];
        let check = form(&simulator, "/v1/content_provenance_checks", &parts).await.json();
        assert_eq!(check["results"][0]["outcome"], outcome);
    }
    simulator.stop().await;
    other.stop().await;
}
