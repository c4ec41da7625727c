//! Real servers as backends: Debian's nginx and Node's HTTP server, each keeping a log of what it saw.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::LIMIT;

/// What a backend saw of one request.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) url: String,
    /// 200, or what it found wrong.
    pub(crate) status: String,
    /// Lines of these names in the head.
    pub(crate) lengths: String,
    pub(crate) encodings: String,
    pub(crate) host: String,
}

/// A running server.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    child: Child,
    log: Log,
}

enum Log {
    File(std::path::PathBuf),
    Output(Option<BufReader<ChildStdout>>),
}

/// It answers each request with what `good` says in its query, and writes a line about it. It reads
/// heads leniently, so that it falls for what a strict one would refuse.
const NODE: &str = r#"
const http = require('http');
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const server = http.createServer({ insecureHTTPParser: true, maxHeaderSize: 1 << 20 }, (request, response) => {
  const lines = (name) => request.rawHeaders.filter((text, at) => at % 2 === 1 && request.rawHeaders[at - 1].toLowerCase() === name).join('|');
  const note = (status) => say({ method: request.method, url: request.url, status: String(status), lengths: lines('content-length'), encodings: lines('transfer-encoding'), host: lines('host') });
  request.on('error', () => note(499));
  request.on('end', () => {
    note(200);
    response.end('seen ' + (/good=(\w+)/.exec(request.url) || ['', ''])[1]);
  });
  request.resume();
});
server.on('clientError', (error, socket) => {
  if (error.code !== 'ECONNRESET') say({ method: '', url: '', status: "400", lengths: '', encodings: '', host: String(error.code) });
  socket.destroy();
});
server.keepAliveTimeout = 60000;
server.listen(0, '127.0.0.1', () => say(server.address().port));
"#;

/// Whether a program is there; a missing one is named, loudly.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what they do not show")]
pub(crate) fn has(program: &str, package: &str) -> bool {
    let found =
        Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        eprintln!("SKIPPED: {program} is not installed; `apt-get install {package}` brings it");
    }
    found.is_ok()
}

impl Backend {
    pub(crate) fn node() -> Self {
        let mut child = Command::new("node")
            .args(["-e", NODE])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        output.read_line(&mut port).unwrap();
        let port: u16 = port.trim().parse().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { name: "node", address, child, log: Log::Output(Some(output)) }
    }

    pub(crate) async fn nginx(folder: &Path) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], testing::free_port()));
        let log = folder.join("access.log");
        let config = folder.join("nginx.conf");
        std::fs::write(&config, nginx_config(folder, address)).unwrap();
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        let listening = async {
            while TcpStream::connect(address).await.is_err() {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(LIMIT, listening).await.expect("nginx listens");
        Self { name: "nginx", address, child, log: Log::File(log) }
    }

    /// All that it saw. A last request of ours marks the end.
    pub(crate) async fn seen(mut self) -> Vec<Seen> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let last = b"GET /last HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        stream.write_all(last).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let mut seen = Vec::new();
        match &mut self.log {
            Log::Output(output) => {
                let mut output = output.take().unwrap();
                let reading = tokio::task::spawn_blocking(move || {
                    let mut lines = Vec::new();
                    while !lines.last().is_some_and(|line: &String| line.contains("\"/last\"")) {
                        lines.push(String::new());
                        assert!(output.read_line(lines.last_mut().unwrap()).unwrap() > 0);
                    }
                    lines
                });
                let lines = tokio::time::timeout(LIMIT, reading).await.unwrap().unwrap();
                seen.extend(lines.iter().map(|line| serde_json::from_str(line).unwrap()));
            }
            Log::File(path) => {
                let mut ticks = tokio::time::interval(Duration::from_millis(10));
                let reading = async {
                    loop {
                        let text = std::fs::read_to_string(&*path).unwrap();
                        if text.contains("\"/last\"") {
                            return text;
                        }
                        ticks.tick().await;
                    }
                };
                let text = tokio::time::timeout(LIMIT, reading).await.expect("nginx logs");
                seen.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
            }
        }
        seen.retain(|seen: &Seen| seen.url != "/last");
        seen
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nginx_config(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        r#"
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  log_format seen escape=json '{{"method":"$request_method","url":"$request_uri","status":"$status",'
    '"lengths":"$http_content_length","encodings":"$http_transfer_encoding","host":"$http_host"}}';
  access_log {folder}/access.log seen;
  underscores_in_headers on;
  merge_slashes off;
  large_client_header_buffers 4 128k;
  keepalive_requests 100000;
  server {{
    listen {address};
    location / {{ return 200 "seen $arg_good"; }}
  }}
}}
"#
    )
}
