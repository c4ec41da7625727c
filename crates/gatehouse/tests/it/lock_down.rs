//! What a serving process gives up: others do not look into it, and other paths are out of its reach.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Backend, Gateway, Process, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const HELLO: &[u8] = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
/// Somebody who is not root, for whom alone the test means something.
const NOBODY: u32 = 65_534;

/// Gives a folder and all in it to somebody.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).expect("root may");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("readable") {
            give(&entry.expect("readable").path(), user);
        }
    }
}

#[test]
fn programs_of_the_same_user_read_neither_memory_nor_environment_of_a_serving_process() {
    let backend = Backend::start();
    let gateway = Gateway::new(&backend, &[]);
    let folder = gateway.folder.path();
    let is_root = fs::metadata("/proc/self").expect("Linux").uid() == 0;
    // Folders above the binary may be closed to others.
    let binary = folder.join("gatehouse");
    if fs::hard_link(env!("CARGO_BIN_EXE_gatehouse"), &binary).is_err() {
        fs::copy(env!("CARGO_BIN_EXE_gatehouse"), &binary).expect("there is room");
    }
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if is_root && path != binary {
            give(&path, NOBODY);
        }
    }
    let as_user = |program: &Path| {
        let mut command = Command::new(program);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.current_dir("/");
        command
    };
    if is_root {
        chown(folder, Some(NOBODY), Some(NOBODY)).expect("root may");
    }
    let reads = |id: u32, name: &str| {
        let mut command = as_user(Path::new("head"));
        command.args(["-c", "1", &format!("/proc/{id}/{name}")]).stdin(Stdio::null());
        run(&mut command)
    };
    let other = Process::start(as_user(Path::new("sleep")).arg("600"));
    assert!(reads(other.0.id(), "environ").status.success(), "of others it may be read");
    let mut serve = as_user(&binary);
    serve.args(["serve", "--config"]).arg(&gateway.config).envs(gateway.environment());
    serve.stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process::listening(&mut serve, gateway.address().port());
    assert_eq!(gateway.call(CHAT, &[], HELLO).status, 200, "it serves all the same");
    for name in ["environ", "mem", "maps", "auxv"] {
        let tried = reads(process.0.id(), name);
        let errors = String::from_utf8_lossy(&tried.stderr);
        assert!(!tried.status.success() && errors.contains("ermission denied"), "{name}: {errors}");
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.0.id())).expect("it runs");
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let core: Vec<_> = core.expect("a limit").split_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"], "no core dump is written");
    assert!(process.terminate());
}

#[test]
fn locked_down_it_serves_and_reaches_no_other_path() {
    let backend = Backend::start();
    let gateway = Gateway::new(&backend, &[("GATEHOUSE__PROCESS__LOCK_DOWN", "true")]);
    let elsewhere = tempfile::TempDir::new().expect("a folder");
    let key = elsewhere.path().join("key");
    fs::write(&key, Backend::KEY).expect("writable");
    let log = gateway.folder.path().join("log");
    let serve = |more: &[(&str, &str)]| {
        let mut serve = gatehouse();
        serve.args(["serve", "--config"]).arg(&gateway.config).envs(gateway.environment());
        serve.envs(more.iter().copied()).stdout(Stdio::null());
        serve.stderr(fs::File::create(&log).expect("writable"));
        Process::listening(&mut serve, gateway.address().port())
    };
    let command = |arguments: &[&str]| {
        let mut command = gatehouse();
        command.args(arguments).arg("--config").arg(&gateway.config);
        run(command.envs(gateway.environment()))
    };
    let mut process = serve(&[]);
    let said = fs::read_to_string(&log).expect("a log");
    assert!(said.contains("locked down"), "{said}");
    let is_locked = said.contains("locked down: other paths are out of reach");
    assert_eq!(gateway.call(CHAT, &[], HELLO).status, 200);
    eventually("the tables are written and read", || {
        (gateway.query("Interactions").len() == 1).then_some(())
    });
    let reload = command(&["reload"]);
    assert!(reload.status.success(), "{}", String::from_utf8_lossy(&reload.stderr));
    if !is_locked {
        #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
        {
            eprintln!("skipped: this kernel lacks landlock: {said}");
        }
        assert!(process.terminate());
        return;
    }
    let text = fs::read_to_string(&gateway.config).expect("a configuration");
    let moved = text.replace("env: AZURE_OPENAI_API_KEY", &format!("file: {}", key.display()));
    fs::write(&gateway.config, moved).expect("writable");
    let reload = command(&["reload"]);
    let errors = String::from_utf8_lossy(&reload.stderr);
    assert!(!reload.status.success() && errors.contains("ermission denied"), "{errors}");
    assert_eq!(gateway.call(CHAT, &[], HELLO).status, 200, "what was in force stays");
    assert!(process.terminate(), "all was written down");
    // At a start the folders of all files are known.
    let mut process = serve(&[]);
    assert_eq!(gateway.call(CHAT, &[], HELLO).status, 200);
    assert!(process.terminate());
}
