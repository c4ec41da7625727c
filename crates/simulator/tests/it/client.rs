//! A bare client: what it sends is exactly what the test says.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use simulator::{Simulator, SimulatorConfig};
use tokio::net::TcpStream;

pub(crate) const DATED: &str = "api-version=2024-10-21";
pub(crate) const NEWEST: &str = "api-version=2025-04-01-preview";

/// A simulator with a fixed clock.
pub(crate) async fn start(name: &str) -> Simulator {
    start_with(SimulatorConfig {
        name: name.into(),
        created_at_unix_s: Some(1_700_000_000),
        ..SimulatorConfig::default()
    })
    .await
}

pub(crate) async fn start_with(config: SimulatorConfig) -> Simulator {
    Simulator::start(config).await.unwrap()
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body broke off.
    pub(crate) broken: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The events of a stream with LF line ends: name and data.
    pub(crate) fn events(&self) -> Vec<(String, Value)> {
        assert_eq!(self.header("content-type"), "text/event-stream; charset=utf-8");
        assert!(!self.text().contains('\r'), "these streams end lines with LF");
        events(&self.text())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.events().into_iter().map(|(name, _)| name).collect()
    }
}

/// Reads a stream; `[DONE]` becomes a string.
pub(crate) fn events(text: &str) -> Vec<(String, Value)> {
    let parts = text.split("\n\n").filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let name =
                part.lines().find_map(|line| line.strip_prefix("event: ")).unwrap_or_default();
            let data =
                part.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
            let value = if data == "[DONE]" {
                Value::from(data)
            } else {
                serde_json::from_str(data).unwrap()
            };
            (name.to_owned(), value)
        })
        .collect()
}

/// Names in a row that repeat become one with a star.
pub(crate) fn folded(names: &[String]) -> Vec<String> {
    let mut folded: Vec<String> = Vec::new();
    for name in names {
        match folded.last_mut() {
            Some(last) if last.trim_end_matches('*') == name => *last = format!("{name}*"),
            _ => folded.push(name.clone()),
        }
    }
    folded
}

pub(crate) async fn send(
    simulator: &Simulator,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, hyper::Error> {
    let stream = TcpStream::connect(simulator.addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request =
        Request::builder().method(method).uri(target).header("host", "sim.openai.azure.com");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(body.into())).unwrap()).await?;
    let (head, mut incoming) = response.into_parts();
    let (mut body, mut broken) = (Vec::new(), false);
    while let Some(frame) = incoming.frame().await {
        match frame {
            Ok(frame) => body.extend_from_slice(frame.data_ref().unwrap()),
            Err(_) => {
                broken = true;
                break;
            }
        }
    }
    driver.abort();
    Ok(Answer { status: head.status, headers: head.headers, body: body.into(), broken })
}

pub(crate) async fn post(simulator: &Simulator, target: &str, body: Value) -> Answer {
    post_with(simulator, target, &[], body).await
}

pub(crate) async fn post_with(
    simulator: &Simulator,
    target: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Answer {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    send(simulator, "POST", target, &all, body.to_string()).await.unwrap()
}

pub(crate) async fn get(simulator: &Simulator, target: &str) -> Answer {
    send(simulator, "GET", target, &[], Bytes::new()).await.unwrap()
}

pub(crate) async fn delete(simulator: &Simulator, target: &str) -> Answer {
    send(simulator, "DELETE", target, &[], Bytes::new()).await.unwrap()
}

/// Sends a form; a part with a file name is a file.
pub(crate) async fn form(
    simulator: &Simulator,
    target: &str,
    parts: &[(&str, Option<&str>, &[u8])],
) -> Answer {
    let mut body = Vec::new();
    for (name, file, data) in parts {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        body.extend_from_slice(
            format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(data);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XX--\r\n");
    send(simulator, "POST", target, &[("content-type", "multipart/form-data; boundary=XX")], body)
        .await
        .unwrap()
}
