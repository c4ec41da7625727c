//! A real Redis server.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::free_port;

/// A Redis server that keeps nothing over its end, and ends with the test.
pub struct RedisServer {
    child: Child,
    port: u16,
}

impl RedisServer {
    /// None if there is no `redis-server`, which is said.
    pub fn start() -> Option<Self> {
        let server = Self::start_on(free_port());
        if server.is_none() {
            #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
            {
                eprintln!("SKIPPED: there is no redis-server; install Debian's package");
            }
        }
        server
    }

    fn start_on(port: u16) -> Option<Self> {
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "no"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self { child: command.spawn().ok()?, port };
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.child.try_wait().expect("it is a child");
            assert!(ended.is_none(), "redis-server ended on port {port}: {ended:?}");
            assert!(Instant::now() < until, "redis-server does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(server)
    }

    /// Where it listens, or did.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL, at once.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again, empty, on the same port.
    pub fn restart(&mut self) {
        *self = Self::start_on(self.port).expect("it started before");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
