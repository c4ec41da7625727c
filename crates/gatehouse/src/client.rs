//! The command line as a client of a running gateway's admin listener.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use gateway::TlsConfig;
use kql::FileFormat;
use serde_json::{Value, json};

use crate::config::Config;
use crate::exit::{Exit, ExitWith};
use crate::output::Answer;
use crate::{http, pinned};

/// Where the admin listener is and what opens it.
pub(crate) struct Client {
    address: SocketAddr,
    tls: Option<TlsConfig>,
    token: String,
    /// What content is read for; empty if nothing was stated.
    purpose: String,
}

impl Client {
    /// For the gateway that runs with this configuration file.
    pub(crate) fn open(config: &Path) -> anyhow::Result<Self> {
        let config = Config::load(config)?;
        Self::for_config(&config)
    }

    /// For the gateway that runs with this configuration.
    pub(crate) fn for_config(config: &Config) -> anyhow::Result<Self> {
        let file = config.admin_token_file();
        let token = std::fs::read_to_string(&file).map_err(|error| {
            ExitWith::error(
                Exit::Unreachable,
                format!(
                    "cannot read the admin token {}: {error}; start the gateway with `gatehouse serve`, \
                     and run this command as the same user",
                    file.display()
                ),
            )
        })?;
        let address = config.admin.listen;
        let tls = config.admin_tls.clone();
        Ok(Self { address, tls, token: token.trim().to_owned(), purpose: String::new() })
    }

    /// The same for somebody who says what content is read for.
    pub(crate) fn with_purpose(self, purpose: &str) -> Self {
        Self { purpose: purpose.to_owned(), ..self }
    }

    /// Runs a query.
    pub(crate) fn query(&self, query: &str) -> anyhow::Result<Answer> {
        self.ask("POST", "/v1/rest/query", self.body(query).as_bytes()).map(Answer)
    }

    /// Writes the result of a query into `out`, as a file of this format.
    pub(crate) fn save(
        &self,
        query: &str,
        format: FileFormat,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let target = format!("/admin/v1/query/export?format={}", format.name());
        let body = self.body(query);
        let response =
            self.exchange("POST", &target, body.as_bytes(), |address, tls, request| match tls {
                None => http::fetch(address, request, out),
                Some(tls) => pinned::fetch(address, tls, request, out),
            })?;
        if response.status == 200 {
            return Ok(());
        }
        self.read(&response).map(drop)
    }

    fn body(&self, query: &str) -> String {
        let mut body = json!({ "db": "gatehouse", "csl": query });
        if !self.purpose.is_empty() {
            body["properties"] = json!({ "Options": { "x-gatehouse-purpose": self.purpose } });
        }
        body.to_string()
    }

    /// Asks something of the administration.
    pub(crate) fn admin(&self, method: &str, target: &str) -> anyhow::Result<Value> {
        self.ask(method, target, b"")
    }

    /// Sends a document to the administration.
    pub(crate) fn send(&self, method: &str, target: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(method, target, body.to_string().as_bytes())
    }

    fn ask(&self, method: &str, target: &str, body: &[u8]) -> anyhow::Result<Value> {
        let response = self.exchange(method, target, body, |address, tls, request| match tls {
            None => http::send(address, request),
            Some(tls) => pinned::send(address, tls, request),
        })?;
        self.read(&response)
    }

    fn exchange(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
        send: impl FnOnce(
            SocketAddr,
            Option<&TlsConfig>,
            &http::Request<'_>,
        ) -> anyhow::Result<http::Response>,
    ) -> anyhow::Result<http::Response> {
        let authorization = format!("Bearer {}", self.token);
        let headers = [
            ("Authorization", &*authorization),
            ("Content-Type", "application/json"),
            ("User-Agent", concat!("gatehouse/", env!("CARGO_PKG_VERSION"))),
        ];
        let request = http::Request { method, target, headers: &headers, body };
        send(self.address, self.tls.as_ref(), &request).map_err(|error| {
            ExitWith::error(
                Exit::Unreachable,
                format!(
                    "no gateway answers on {}: {error:#}; start it with `gatehouse serve`",
                    self.address
                ),
            )
        })
    }

    fn read(&self, response: &http::Response) -> anyhow::Result<Value> {
        let answer: Value = serde_json::from_slice(&response.body).with_context(|| {
            let address = self.address;
            format!("what listens on {address} is no gateway: check `admin.listen`")
        })?;
        match response.status {
            200 => Ok(answer),
            401 | 403 => Err(ExitWith::error(Exit::Denied, message(&answer))),
            422 => Err(ExitWith::error(Exit::BadConfig, message(&answer))),
            _ => Err(anyhow::anyhow!(message(&answer))),
        }
    }
}

/// The reason in a Kusto error or in problem details (RFC 9457).
fn message(answer: &Value) -> String {
    let kusto = answer["error"]["@message"].as_str();
    kusto.or(answer["detail"].as_str()).unwrap_or("the gateway refused without a reason").to_owned()
}
