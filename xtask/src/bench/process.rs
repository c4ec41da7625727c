//! A process under test: pinned to a core, measured through `/proc`, ended with the bench.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A running process.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts it on one core, with as many open files as are allowed.
    pub(crate) fn start(core: &str, command: &Command) -> anyhow::Result<Self> {
        let mut pinned = Command::new("sh");
        pinned.args(["-c", "ulimit -n 65536 || ulimit -n $(ulimit -H -n); exec \"$@\"", "sh"]);
        pinned.args(["taskset", "-c", core]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            pinned.env(name, value.unwrap_or_default());
        }
        pinned.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child: pinned.spawn().context("cannot start a process under test")? })
    }

    /// Waits until it listens.
    pub(crate) fn wait_for(&mut self, port: u16) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("a process under test ended with {status}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("a process under test does not listen on port {port}")
    }

    /// CPU time used so far by the threads whose names pass.
    pub(crate) fn cpu(&self, is_counted: impl Fn(&str) -> bool) -> anyhow::Result<Duration> {
        let mut ticks = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = fs::read_to_string(task?.path().join("stat"))?;
            let (name, fields) = stat.rsplit_once(')').context("stat has a name")?;
            let name = name.split_once('(').map_or("", |(_, name)| name);
            if is_counted(name) {
                // Fields 14 and 15 (utime, stime) count from behind the name, in 1/100 s.
                let fields: Vec<&str> = fields.split_whitespace().collect();
                ticks += fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
            }
        }
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory now, in bytes.
    pub(crate) fn memory_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
        Ok(kib * 1024)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args([&format!("-{name}"), &id]).status()?;
        Ok(())
    }

    /// Files, and so sockets, that it may have open.
    pub(crate) fn files_max(&self) -> anyhow::Result<usize> {
        let limits = fs::read_to_string(format!("/proc/{}/limits", self.child.id()))?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let soft =
            line.and_then(|line| line.split_whitespace().next()).context("Max open files")?;
        Ok(soft.parse().unwrap_or(usize::MAX))
    }

    /// Ends it in order and waits.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.signal("TERM")?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
