//! A disk that cannot record means 503 with the reason, and recovery without restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Backend, Gateway, eventually};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const BODY: &[u8] = br#"{"messages":[{"role":"user","content":"is there room?"}]}"#;

/// A file system of 32 MiB, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None if this machine does not let us mount.
    fn mount(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(folder);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the gateway may still hold files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn a_full_disk_refuses_with_the_reason_and_recovers_without_restart() {
    let backend = Backend::start();
    let settings = [
        ("GATEHOUSE__LEDGER__SEGMENT_BYTES", "1048576"),
        ("GATEHOUSE__LEDGER__SPARE_SEGMENTS", "0"),
    ];
    let mut gateway = Gateway::new(&backend, &settings);
    let Some(disk) = SmallDisk::mount(&gateway.folder.path().join("data")) else {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    };
    gateway.start();
    assert_eq!(gateway.call(CHAT, &[], BODY).status, 200);
    let filler = disk.0.join("filler");
    fill(&filler);
    let refused = eventually("a call is refused", || {
        let response = gateway.call(CHAT, &[], BODY);
        assert!([200, 503].contains(&response.status), "{}", response.status);
        (response.status == 503).then_some(response)
    });
    let text = String::from_utf8_lossy(&refused.body);
    assert!(text.contains("audit log cannot be written"), "the reason is named: {text}");
    fs::remove_file(&filler).expect("the filler is ours");
    eventually("service resumes", || (gateway.call(CHAT, &[], BODY).status == 200).then_some(()));
    let rows = eventually("the refusal is on record", || {
        let rows = gateway.query("Interactions | where ResponseCode == 200 | count");
        (rows[0]["Count"].as_i64() >= Some(2)).then_some(rows)
    });
    assert!(rows[0]["Count"].as_i64() >= Some(2));
    gateway.kill();
}

/// Takes all the room there is.
fn fill(filler: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(filler).expect("there is room for a name");
    let piece = vec![1; 64 << 10];
    while file.write_all(&piece).is_ok() {}
}
