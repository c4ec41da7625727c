//! Calls of every kind, as a caller's program would make them.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::http::{self, Request, Response};
use crate::terminal::print;

const VERSION: &str = "api-version=2025-04-01-preview";
const BOUNDARY: &str = "gatehouse-demo-boundary";

/// A caller with an endpoint and a key.
pub(crate) struct Caller<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) key: &'a str,
}

/// Makes the calls; answers how many were made.
pub(crate) fn run(caller: &Caller<'_>) -> anyhow::Result<u32> {
    let mut calls = Calls { caller, made: 0 };
    calls.models()?;
    calls.media()?;
    let file = calls.file("batch", &batch_line())?;
    calls.batch(&file)?;
    let training = calls.file("fine-tune", &training_lines())?;
    calls.post(
        "fine-tuning",
        "/openai/fine_tuning/jobs",
        &json!({ "model": "gpt-4o-mini", "training_file": training }),
    )?;
    calls.assistants()?;
    calls.refused()?;
    Ok(calls.made)
}

struct Calls<'a> {
    caller: &'a Caller<'a>,
    made: u32,
}

impl Calls<'_> {
    fn models(&mut self) -> anyhow::Result<()> {
        let chat = |question: &str, stream: bool| {
            json!({
                "messages": [
                    { "role": "system", "content": "You are a terse travel guide." },
                    { "role": "user", "content": question },
                ],
                "temperature": 0.2,
                "stream": stream,
            })
        };
        let gpt = "/openai/deployments/gpt-4o";
        let mini = "/openai/deployments/gpt-4o-mini";
        self.post(
            "chat",
            &format!("{gpt}/chat/completions"),
            &chat("Which islands are warm in May?", false),
        )?;
        self.post(
            "chat, streamed",
            &format!("{gpt}/chat/completions"),
            &chat("And in June?", true),
        )?;
        self.post(
            "chat, streamed",
            &format!("{mini}/chat/completions"),
            &chat("Where is the Maldives?", true),
        )?;
        self.post(
            "completions",
            "/openai/deployments/gpt-35-turbo-instruct/completions",
            &json!({ "prompt": "List three beaches", "max_tokens": 60 }),
        )?;
        self.post(
            "responses",
            "/openai/responses",
            &json!({ "model": "gpt-4o", "input": "A haiku about audit" }),
        )?;
        self.post(
            "responses, streamed",
            "/openai/responses",
            &json!({ "model": "gpt-4o", "input": "Another one", "stream": true }),
        )?;
        self.post(
            "embeddings",
            "/openai/deployments/text-embedding-3-small/embeddings",
            &json!({ "input": ["the quick brown fox", "jumps over"] }),
        )?;
        Ok(())
    }

    fn media(&mut self) -> anyhow::Result<()> {
        self.post(
            "image",
            "/openai/deployments/dall-e-3/images/generations",
            &json!({ "prompt": "a lighthouse in fog", "n": 1, "size": "1024x1024" }),
        )?;
        let speech = json!({ "model": "tts-1", "input": "Mind the gap", "voice": "alloy" });
        self.post("text-to-speech", "/openai/deployments/tts-1/audio/speech", &speech)?;
        let body = form(&[("response_format", "json")], "speech.wav", &[0; 3200]);
        self.send(
            "speech-to-text",
            "POST",
            "/openai/deployments/whisper/audio/transcriptions",
            &multipart(),
            &body,
        )?;
        Ok(())
    }

    fn file(&mut self, purpose: &str, content: &str) -> anyhow::Result<String> {
        let body = form(&[("purpose", purpose)], "data.jsonl", content.as_bytes());
        let answer = self.send("file upload", "POST", "/openai/files", &multipart(), &body)?;
        id(&answer)
    }

    fn batch(&mut self, file: &str) -> anyhow::Result<()> {
        let batch = self.post(
            "batch",
            "/openai/batches",
            &json!({ "input_file_id": file, "endpoint": "/chat/completions", "completion_window": "24h" }),
        )?;
        let path = format!("/openai/batches/{}", id(&batch)?);
        self.send("batch status", "GET", &path, "", &[])?;
        Ok(())
    }

    fn assistants(&mut self) -> anyhow::Result<()> {
        let assistant = self.post(
            "assistant",
            "/openai/assistants",
            &json!({ "model": "gpt-4o", "instructions": "You are a maths tutor." }),
        )?;
        let thread = id(&self.post("thread", "/openai/threads", &json!({}))?)?;
        self.post(
            "thread message",
            &format!("/openai/threads/{thread}/messages"),
            &json!({ "role": "user", "content": "What is 12 times 12?" }),
        )?;
        self.post(
            "run, streamed",
            &format!("/openai/threads/{thread}/runs"),
            &json!({ "assistant_id": id(&assistant)?, "stream": true }),
        )?;
        self.send(
            "thread messages",
            "GET",
            &format!("/openai/threads/{thread}/messages"),
            "",
            &[],
        )?;
        self.send("deployments", "GET", "/openai/deployments?api-version=2022-12-01", "", &[])?;
        Ok(())
    }

    /// Refused calls are recorded too.
    fn refused(&mut self) -> anyhow::Result<()> {
        let stranger = Caller { address: self.caller.address, key: "not-a-key" };
        let target = format!("/openai/deployments/gpt-4o/chat/completions?{VERSION}");
        let response = exchange(&stranger, "POST", &target, "application/json", b"{}")?;
        self.note("chat, wrong key", "POST", &target, &response);
        ensure!(response.status == 401, "a wrong key got {}", response.status);
        Ok(())
    }

    fn post(&mut self, what: &str, path: &str, body: &Value) -> anyhow::Result<Response> {
        self.send(what, "POST", path, "application/json", body.to_string().as_bytes())
    }

    fn send(
        &mut self,
        what: &str,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> anyhow::Result<Response> {
        let target = if path.contains('?') { path.to_owned() } else { format!("{path}?{VERSION}") };
        let response = exchange(self.caller, method, &target, content_type, body)?;
        self.note(what, method, &target, &response);
        let text = String::from_utf8_lossy(&response.body);
        ensure!(response.status < 300, "{what}: {method} {target} got {}: {text}", response.status);
        Ok(response)
    }

    fn note(&mut self, what: &str, method: &str, target: &str, response: &Response) {
        self.made += 1;
        let path = target.split('?').next().unwrap_or(target);
        print(&format!(
            "{:3}  {what:20} {method:4} {path}  ({} bytes)\n",
            response.status,
            response.body.len()
        ));
    }
}

fn exchange(
    caller: &Caller<'_>,
    method: &str,
    target: &str,
    content_type: &str,
    body: &[u8],
) -> anyhow::Result<Response> {
    let mut headers = vec![("api-key", caller.key)];
    if !content_type.is_empty() {
        headers.push(("Content-Type", content_type));
    }
    http::send(caller.address, &Request { method, target, headers: &headers, body })
        .with_context(|| format!("{method} {target}"))
}

fn id(response: &Response) -> anyhow::Result<String> {
    let answer: Value = serde_json::from_slice(&response.body).context("the answer is no JSON")?;
    answer["id"].as_str().map(str::to_owned).context("the answer has no id")
}

fn multipart() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

fn form(fields: &[(&str, &str)], file_name: &str, content: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(content);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn batch_line() -> String {
    let body =
        json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "Hello batch" }] });
    let line =
        json!({ "custom_id": "one", "method": "POST", "url": "/chat/completions", "body": body });
    format!("{line}\n")
}

fn training_lines() -> String {
    let line = json!({ "messages": [
        { "role": "user", "content": "Capital of Crete?" },
        { "role": "assistant", "content": "Heraklion" },
    ] });
    format!("{line}\n").repeat(10)
}
