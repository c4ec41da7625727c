//! Starting the binary, calling it, asking its record.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use testing::free_port;

use crate::http::{self, Request, Response};

/// Longest wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) fn gatehouse() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatehouse"));
    // A developer's own settings must not reach a test.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GATEHOUSE") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().expect("the binary starts")
}

/// A child that ends with the test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().expect("the binary starts"))
    }

    /// Starts it and waits until it listens.
    pub(crate) fn listening(command: &mut Command, port: u16) -> Self {
        let mut process = Self::start(command);
        eventually("it listens", || {
            let ended = process.0.try_wait().expect("it is a child");
            assert!(ended.is_none(), "it ended before it listened on port {port}: {ended:?}");
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        process
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }

    /// SIGTERM; answers whether it ended with status 0.
    pub(crate) fn terminate(&mut self) -> bool {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
        self.0.wait().expect("it ends").success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running gateway and what its callers need.
pub(crate) struct System {
    process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
    pub(crate) config: PathBuf,
    folder: TempDir,
}

impl System {
    /// `gatehouse demo`: a gateway with two simulated instances behind it.
    pub(crate) fn demo() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let environment = folder.path().join("env");
        let mut command = gatehouse();
        command.args(["demo", "--port", "0", "--data-dir"]).arg(folder.path().join("data"));
        command.arg("--write-env").arg(&environment);
        for listener in ["--admin-port", "--health-port"] {
            command.args([listener, &free_port().to_string()]);
        }
        command.stdout(Stdio::null());
        let process = Process::start(&mut command);
        let text = eventually("the demo comes up", || {
            std::fs::read_to_string(&environment).ok().filter(|text| text.ends_with('\n'))
        });
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
            line.expect("the demo writes every variable").trim_matches('\'').to_owned()
        };
        let endpoint = value("GATEHOUSE_ENDPOINT");
        let address = endpoint.trim_start_matches("http://").parse().expect("host and port");
        let (key, config) = (value("GATEHOUSE_KEY"), value("GATEHOUSE_CONFIG").into());
        Self { process, address, key, config, folder }
    }

    /// Ends the gateway in peace; its data folder, and what keeps that on disk.
    pub(crate) fn stop(mut self) -> (PathBuf, TempDir) {
        assert!(self.process.terminate(), "it ends in peace");
        (self.folder.path().join("data"), self.folder)
    }

    /// A call with the subscription key; JSON unless a header says otherwise.
    pub(crate) fn call(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut all = vec![("api-key", self.key.as_str())];
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            all.push(("Content-Type", "application/json"));
        }
        all.extend_from_slice(headers);
        let request = Request { method, target, headers: &all, body };
        http::send(self.address, &request).expect("the gateway answers")
    }

    /// A call without the subscription key.
    pub(crate) fn anonymous(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let request = Request { method, target, headers, body };
        http::send(self.address, &request).expect("the gateway answers")
    }

    /// `POST` of JSON; the status must be in 2xx.
    pub(crate) fn post(&self, target: &str, body: &Value) -> Response {
        let response = self.call("POST", target, &[], body.to_string().as_bytes());
        let text = String::from_utf8_lossy(&response.body);
        assert!(response.status < 300, "{target}: {} {text}", response.status);
        response
    }

    /// `gatehouse query`: the rows as objects.
    pub(crate) fn query(&self, query: &str) -> Vec<Value> {
        query_with(&self.config, query)
    }

    /// Asks until there are so many rows: a row may take a second to be queryable.
    pub(crate) fn rows(&self, query: &str, count: usize) -> Vec<Value> {
        eventually(query, || Some(self.query(query)).filter(|rows| rows.len() >= count))
    }

    /// The one row.
    pub(crate) fn row(&self, query: &str) -> Value {
        let mut rows = self.rows(query, 1);
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        rows.remove(0)
    }

    /// `gatehouse audit verify` on the running gateway's folder.
    pub(crate) fn verify(&self) -> Output {
        run(gatehouse().args(["audit", "verify", "--json", "--config"]).arg(&self.config))
    }
}

/// A query that may read content.
const QUERY: [&str; 6] = ["query", "--purpose", "test", "--output", "json", "--config"];

/// `gatehouse query` with a configuration file.
pub(crate) fn query_with(config: &Path, query: &str) -> Vec<Value> {
    let output = run(gatehouse().args(QUERY).arg(config).arg(query));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{query}: {errors}");
    serde_json::from_slice(&output.stdout).expect("query prints JSON")
}

/// Asks again and again, with patience.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// `gatehouse simulate`: a simulated model instance in a process of its own.
pub(crate) struct Backend {
    _process: Process,
    pub(crate) port: u16,
}

impl Backend {
    pub(crate) const KEY: &str = "backend-key";

    pub(crate) fn start() -> Self {
        let port = free_port();
        let mut command = gatehouse();
        command.args(["simulate", "--key", Self::KEY, "--port", &port.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self { _process: Process::listening(&mut command, port), port }
    }
}

/// A gateway set up with `gatehouse init`, which a test starts, kills and starts again.
pub(crate) struct Gateway {
    process: Option<Process>,
    port: u16,
    admin_port: u16,
    health_port: u16,
    settings: Vec<(String, String)>,
    pub(crate) key: String,
    pub(crate) config: PathBuf,
    pub(crate) folder: TempDir,
}

impl Gateway {
    /// With further settings as `GATEHOUSE__A__B` variables.
    pub(crate) fn new(backend: &Backend, settings: &[(&str, &str)]) -> Self {
        Self::at(backend.port, settings)
    }

    /// With a backend on that port that takes [`Backend::KEY`].
    pub(crate) fn at(backend_port: u16, settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let config = folder.path().join("gatehouse.yaml");
        let port = free_port();
        let mut init = gatehouse();
        init.arg("init").arg("--config").arg(&config);
        init.args(["--listen", &format!("127.0.0.1:{port}")]);
        init.args(["--backend-url", &format!("http://127.0.0.1:{backend_port}")]);
        let output = run(&mut init);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let key = String::from_utf8(output.stdout).expect("a key").trim().to_owned();
        let settings =
            settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let (admin_port, health_port) = (free_port(), free_port());
        Self { process: None, port, admin_port, health_port, settings, key, config, folder }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(&mut self) {
        let mut command = gatehouse();
        command.args(["serve", "--config"]).arg(&self.config);
        command.envs(self.environment()).stdout(Stdio::null());
        self.process = Some(Process::listening(&mut command, self.port));
    }

    /// The settings as environment variables.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.settings.clone();
        let listen = |port| format!("127.0.0.1:{port}");
        environment.push(("AZURE_OPENAI_API_KEY".into(), Backend::KEY.into()));
        environment.push(("GATEHOUSE__ADMIN__LISTEN".into(), listen(self.admin_port)));
        environment.push(("GATEHOUSE__HEALTH__LISTEN".into(), listen(self.health_port)));
        environment
    }

    pub(crate) fn kill(&mut self) {
        self.process.take().expect("it was started").kill();
    }

    pub(crate) fn terminate(&mut self) -> bool {
        self.process.take().expect("it was started").terminate()
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.as_ref().expect("it was started").0.id()
    }

    pub(crate) fn query(&self, query: &str) -> Vec<Value> {
        let output =
            run(gatehouse().args(QUERY).arg(&self.config).arg(query).envs(self.environment()));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{query}: {errors}");
        serde_json::from_slice(&output.stdout).expect("query prints JSON")
    }

    /// A call with another key.
    pub(crate) fn call_with(&self, key: &str, target: &str, body: &[u8]) -> Response {
        let headers = [("api-key", key), ("Content-Type", "application/json")];
        let request = Request { method: "POST", target, headers: &headers, body };
        http::send(self.address(), &request).expect("the gateway answers")
    }

    pub(crate) fn call(&self, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let mut all = vec![("api-key", self.key.as_str()), ("Content-Type", "application/json")];
        all.extend_from_slice(headers);
        let request = Request { method: "POST", target, headers: &all, body };
        http::send(self.address(), &request).expect("the gateway answers")
    }

    /// Status, output and errors of a command line about this document; an empty one is none.
    pub(crate) fn command(
        &self,
        arguments: &[&str],
        document: &str,
    ) -> (Option<i32>, String, String) {
        let file = self.config.with_file_name("document.yaml");
        std::fs::write(&file, document).expect("writes");
        let mut command = gatehouse();
        command.args(arguments).arg("--config").arg(&self.config).envs(self.environment());
        if !document.is_empty() {
            command.arg("-f").arg(&file);
        }
        let output = run(&mut command);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// A call on the admin listener with the token of the data folder: status and JSON.
    pub(crate) fn administer(&self, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let token = std::fs::read_to_string(self.folder.path().join("data/admin-token"));
        let bearer = format!("Bearer {}", token.expect("a token").trim());
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request { method, target, headers: &headers, body: &body };
        let address = SocketAddr::from(([127, 0, 0, 1], self.admin_port));
        let answer = http::send(address, &request).expect("it answers");
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }
}
