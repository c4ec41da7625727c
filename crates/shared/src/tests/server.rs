//! A real Redis server for tests.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use net::{EgressConfig, EgressRules};

use crate::{Redis, RedisSettings};

/// A Redis server that keeps nothing over its end.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// None if there is no `redis-server`, which is said.
    pub(crate) fn start(port: Option<u16>) -> Option<Self> {
        let free = || {
            let bound = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            bound.local_addr().unwrap().port()
        };
        let port = port.unwrap_or_else(free);
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "no"]).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
            {
                eprintln!("SKIPPED: there is no redis-server; install Debian's package");
            }
            return None;
        };
        let server = Self { child, port };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Some(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn kill(mut self) -> u16 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The connection of one node to it.
pub(crate) fn redis(port: u16, timeout: Duration) -> Arc<Redis> {
    let settings = RedisSettings {
        url: format!("redis://127.0.0.1:{port}/0"),
        timeout,
        ..RedisSettings::default()
    };
    Arc::new(Redis::new(&settings, EgressRules::new(&EgressConfig::loopback())).unwrap())
}
