//! The record is signed, and whoever kept a key and a checkpoint elsewhere can tell what was done to it.

use std::path::Path;

use serde_json::Value;

use crate::support::{Backend, Gateway, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const BODY: &[u8] = br#"{"messages":[{"role":"user","content":"hello"}]}"#;

/// Exit status and both outputs of `gatehouse audit …`.
fn audit(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = gatehouse();
    command.arg("audit").args(arguments).envs(gateway.environment());
    if arguments[0] != "key" {
        command.arg("--config").arg(&gateway.config);
    }
    let output = run(&mut command);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("UTF-8"))
}

fn verify(gateway: &Gateway, known: &[(&str, &Path)]) -> (Option<i32>, String) {
    let known = known.iter().flat_map(|(option, file)| [*option, file.to_str().expect("UTF-8")]);
    audit(gateway, &["verify"].into_iter().chain(known).collect::<Vec<_>>())
}

#[test]
fn the_record_is_signed_and_a_copy_of_a_checkpoint_proves_what_came_before_it() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[("GATEHOUSE__CHECKPOINTS__INTERVAL_S", "1")]);
    let folder = gateway.config.parent().expect("a folder").to_owned();
    let (public, kept) = (folder.join("public.pem"), folder.join("kept.txt"));
    gateway.start();
    assert_eq!(gateway.call(CHAT, &[], BODY).status, 200);
    let rows = eventually("a signature is in the tables", || {
        let rows = gateway.query("LedgerCheckpoints | project SignedSequence, PublicKey");
        Some(rows).filter(|rows| !rows.is_empty())
    });
    let (_, pem) = audit(&gateway, &["public-key"]);
    let key = rows[0]["PublicKey"].as_str().expect("text");
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----"), "{pem}");
    std::fs::write(&public, pem).expect("writes");
    std::fs::copy(folder.join("data/checkpoint.txt"), &kept).expect("copies");

    // What comes later does not matter, and the end is signed too.
    assert_eq!(gateway.call(CHAT, &[], BODY).status, 200);
    assert!(gateway.terminate());
    let (code, said) = verify(&gateway, &[("--public-key", &public), ("--checkpoint", &kept)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("by {key}\n")), "{said}");
    let (code, json) = audit(&gateway, &["verify", "--json"]);
    let report: Value = serde_json::from_str(&json).expect("JSON");
    let (last, signed) = (report["last_sequence"].as_u64(), report["signed_sequence"].as_u64());
    assert_eq!((code, signed), (Some(0), last.map(|last| last - 1)), "but for its own frame");

    // Another key has not signed it, nor the note; and the note is useless without one.
    let (_, other) = audit(&gateway, &["key"]);
    let named = [("GATEHOUSE__CHECKPOINTS__SIGNING_KEY__FILE", "other-private.pem")];
    let mut thief = Gateway::new(&backend, &named);
    std::fs::write(thief.config.parent().expect("a folder").join("other-private.pem"), other)
        .expect("writes");
    let (_, pem) = audit(&thief, &["public-key"]);
    let stranger = folder.join("stranger.pem");
    std::fs::write(&stranger, pem).expect("writes");
    let (code, said) = verify(&gateway, &[("--public-key", &stranger)]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("which is none of the public keys given"), "{said}");
    let known = [("--public-key", stranger.as_path()), ("--checkpoint", &kept)];
    let (code, said) = verify(&gateway, &known);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("kept.txt: none of the public keys has signed it"), "{said}");
    let (code, said) = verify(&gateway, &[("--checkpoint", &kept)]);
    assert_eq!(code, Some(2), "{said}");

    // A whole ledger of somebody else's in its place: clean in itself, but not the one of the checkpoint.
    thief.start();
    assert_eq!(thief.call(CHAT, &[], BODY).status, 200);
    assert!(thief.terminate());
    let ledger = folder.join("data/ledger");
    std::fs::remove_dir_all(&ledger).expect("removes");
    let theirs = thief.config.parent().expect("a folder").join("data/ledger");
    std::fs::rename(theirs, &ledger).expect("moves");
    assert_eq!(verify(&gateway, &[]).0, Some(0));
    let (code, said) = verify(&gateway, &[("--public-key", &public), ("--checkpoint", &kept)]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("FOUND"), "{said}");
}

#[test]
fn another_signing_key_takes_over_without_a_restart() {
    let backend = Backend::start();
    let settings = [
        ("GATEHOUSE__CHECKPOINTS__INTERVAL_S", "1"),
        ("GATEHOUSE__CHECKPOINTS__SIGNING_KEY__FILE", "signing.pem"),
    ];
    let mut gateway = Gateway::new(&backend, &settings);
    let file = gateway.config.parent().expect("a folder").join("signing.pem");
    let (code, said) = audit(&gateway, &["public-key"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("checkpoints.signing_key"), "{said}");
    std::fs::write(&file, "not a key").expect("writes");
    let (code, said) = audit(&gateway, &["public-key"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("`gatehouse audit key`"), "{said}");

    std::fs::write(&file, audit(&gateway, &["key"]).1).expect("writes");
    gateway.start();
    let signers = |count: usize| {
        eventually("it is signed", || {
            assert_eq!(gateway.call(CHAT, &[], BODY).status, 200);
            let rows = gateway.query("LedgerCheckpoints | summarize by PublicKey");
            Some(rows).filter(|rows| rows.len() == count)
        })
    };
    signers(1);
    std::fs::write(&file, audit(&gateway, &["key"]).1).expect("writes");
    signers(2);
    assert!(gateway.terminate());
    let (code, said) = verify(&gateway, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!file.with_file_name("data").join("checkpoint-key.pem").exists());
}
