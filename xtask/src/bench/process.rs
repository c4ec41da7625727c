//! A process under test: pinned to a core, measured through `/proc`, ended with the bench.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How often it is looked whether a process rests, and for how long at most.
const SETTLE_LOOK: Duration = Duration::from_millis(500);
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a process to listen: some have much to load.
const LISTEN_MAX: Duration = Duration::from_secs(120);

/// CPU time of a process.
#[derive(Clone, Copy, Default)]
pub(crate) struct Times {
    /// Everything it does, the tables included.
    pub(crate) all: Duration,
    /// Without the threads that work behind the ledger.
    pub(crate) path: Duration,
}

/// CPU time of one request, or of one piece of a stream.
pub(crate) type Cost = Times;

impl Times {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            all: self.all.saturating_sub(before.all),
            path: self.path.saturating_sub(before.path),
        }
    }

    /// The part of each of so many.
    pub(crate) fn each(self, count: u64) -> Cost {
        let count = count.max(1) as f64;
        Self { all: self.all.div_f64(count), path: self.path.div_f64(count) }
    }
}

/// A thread between the caller and the model, not one that works behind the ledger.
fn is_on_path(thread: &str) -> bool {
    !["pipeline", "store", "query", "vocabulary"].iter().any(|behind| thread.starts_with(behind))
}

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
        let until = Instant::now() + LISTEN_MAX;
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

    /// CPU time used so far.
    pub(crate) fn times(&self) -> anyhow::Result<Times> {
        let mut times = Times::default();
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?.path();
            // A thread may have ended since it was listed.
            let (Ok(name), Ok(used)) =
                (fs::read_to_string(task.join("comm")), fs::read_to_string(task.join("schedstat")))
            else {
                continue;
            };
            let used = used.split(' ').next().context("schedstat has fields")?.parse()?;
            let used = Duration::from_nanos(used);
            times.all += used;
            if is_on_path(&name) {
                times.path += used;
            }
        }
        Ok(times)
    }

    /// Waits until it has done what was left of earlier load; goes on after a while if there is no end of it.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        let until = Instant::now() + SETTLE_MAX;
        let mut before = self.times()?;
        while Instant::now() < until {
            std::thread::sleep(SETTLE_LOOK);
            let now = self.times()?;
            if now.since(before).all < SETTLE_LOOK / 20 {
                break;
            }
            before = now;
        }
        Ok(())
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
