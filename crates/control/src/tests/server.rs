//! A real PostgreSQL, which a test starts for itself; without one it says that it was skipped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server of its own, on loopback.
pub(crate) struct Server {
    process: Child,
    folder: TempDir,
    binaries: PathBuf,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Option<Self> {
        let binaries = binaries()?;
        let folder = TempDir::new().expect("a folder");
        let port = testing::free_port();
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

    pub(crate) fn url(&self) -> String {
        format!("postgres://gatehouse@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) fn kill(&mut self) {
        // At once, as a crash is.
        let id = self.process.id().to_string();
        let killed = Command::new("kill").args(["-QUIT", &id]).status().expect("kill");
        assert!(killed.success());
        self.process.wait().expect("ends");
    }

    pub(crate) fn restart(&mut self) {
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

impl Drop for Server {
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
