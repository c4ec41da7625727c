//! A real PostgreSQL server.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::free_port;

/// A PostgreSQL server in a folder of its own, which goes with the test.
pub struct PostgresServer {
    process: Child,
    folder: TempDir,
    binaries: PathBuf,
    port: u16,
}

impl PostgresServer {
    /// None if there is no PostgreSQL here, which is said.
    pub fn start() -> Option<Self> {
        let binaries = binaries()?;
        let folder = TempDir::new().expect("a folder");
        let port = free_port();
        let data = folder.path().join("data");
        let mut init = command(&binaries.join("initdb"), folder.path());
        init.args(["--auth=trust", "--username=gatehouse", "--no-sync", "-D"]).arg(&data);
        let output = init.output().expect("initdb starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let process = serve(&binaries, folder.path(), port);
        let server = Self { process, folder, binaries, port };
        server.wait();
        Some(server)
    }

    /// Where it is found, without a password.
    pub fn url(&self) -> String {
        format!("postgres://gatehouse@127.0.0.1:{}/postgres", self.port)
    }

    /// What statements answer, a line for each row; none while it is down or refuses them.
    pub fn run(&self, statements: &str) -> Option<Vec<String>> {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["--no-psqlrc", "-qAt", &self.url(), "-c", statements]).stderr(Stdio::null());
        let output = psql.output().expect("psql starts");
        let text = String::from_utf8_lossy(&output.stdout);
        output.status.success().then(|| text.lines().map(str::to_owned).collect())
    }

    /// At once, as a crash is.
    pub fn kill(&mut self) {
        let id = self.process.id().to_string();
        let killed = Command::new("kill").args(["-QUIT", &id]).status().expect("kill");
        assert!(killed.success());
        self.process.wait().expect("ends");
    }

    /// Starts it again, with what it kept.
    pub fn restart(&mut self) {
        self.process = serve(&self.binaries, self.folder.path(), self.port);
        self.wait();
    }

    fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        let is_up = || {
            let mut ready = Command::new(self.binaries.join("pg_isready"));
            ready.args(["-h", "127.0.0.1", "-U", "gatehouse", "-p", &self.port.to_string()]);
            ready.stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        while !is_up() {
            assert!(Instant::now() < until, "PostgreSQL comes up");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.reverse();
    folders.extend(std::env::split_paths(&path));
    let found = folders.into_iter().find(|folder| folder.join("initdb").exists());
    if found.is_none() {
        eprintln!(
            "skipped: there is no PostgreSQL here (initdb on PATH or in /usr/lib/postgresql)"
        );
    }
    found
}

fn serve(binaries: &Path, folder: &Path, port: u16) -> Child {
    let mut command = command(&binaries.join("postgres"), folder);
    command.arg("-D").arg(folder.join("data")).args(["-h", "127.0.0.1", "-F"]);
    command.arg("-p").arg(port.to_string()).arg("-k").arg(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("postgres starts")
}

/// PostgreSQL refuses to run as root: then as the nobody of the machine.
fn command(program: &Path, folder: &Path) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !is_root {
        return Command::new(program);
    }
    let owned = Command::new("chown").arg("-R").arg("nobody").arg(folder).status();
    assert!(owned.is_ok_and(|status| status.success()), "the folder can be given away");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(program);
    command.current_dir(folder);
    command
}
