//! A running gateway takes a changed configuration: by command, by signal, by the file itself.

use std::process::Command;

use crate::support::{Backend, Gateway, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const BODY: &[u8] = br#"{"messages":[{"role":"user","content":"Hello"}]}"#;

fn rewrite(gateway: &Gateway, from: &str, to: &str) {
    let text = std::fs::read_to_string(&gateway.config).expect("the configuration");
    assert!(text.contains(from), "{text}");
    // As editors do it: a new file in place of the old one.
    let part = gateway.config.with_extension("part");
    std::fs::write(&part, text.replacen(from, to, 1)).expect("writes");
    std::fs::rename(&part, &gateway.config).expect("replaces");
}

fn reload(gateway: &Gateway) -> (Option<i32>, String) {
    let mut command = gatehouse();
    command.args(["reload", "--config"]).arg(&gateway.config).envs(gateway.environment());
    let output = run(&mut command);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_changed_configuration_takes_effect_without_a_restart_or_not_at_all() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[("GATEHOUSE__CONTROL__SOURCE", "file")]);
    gateway.start();
    let status = || gateway.call(CHAT, &[], BODY).status;
    assert_eq!(status(), 200);
    let line = "  - id: ";
    let suspended = "  - state: suspended\n    id: ";
    let text = std::fs::read_to_string(&gateway.config).expect("the configuration");
    let place = text.find("subscriptions:").expect("it has subscriptions");
    let (head, tail) = text.split_at(place);
    let changed = format!("{head}{}", tail.replacen(line, suspended, 1));

    // The file itself is watched.
    std::fs::write(&gateway.config, &changed).expect("writes");
    eventually("the subscription is suspended", || (status() == 401).then_some(()));

    // What is wrong changes nothing, and the command says what is wrong.
    rewrite(&gateway, "suspended", "suspendet");
    let (code, said) = reload(&gateway);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("suspendet"), "{said}");
    assert_eq!(status(), 401);

    // By command; what needs a restart is named.
    let slower = text.replacen("durability: strict", "durability: strict\n  compress: false", 1);
    std::fs::write(&gateway.config, slower).expect("writes");
    eventually("the subscription is active again", || {
        let (code, said) = reload(&gateway);
        assert_eq!(code, Some(0), "{said}");
        (status() == 200).then_some(())
    });

    // By signal.
    std::fs::write(&gateway.config, &changed).expect("writes");
    let hangup = Command::new("kill").args(["-HUP", &gateway.id().to_string()]).status();
    assert!(hangup.expect("kill").success());
    eventually("the subscription is suspended", || (status() == 401).then_some(()));
    assert!(gateway.terminate());
}

#[test]
fn what_the_database_overrules_in_the_file_is_named() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    gateway.start();
    assert_eq!(gateway.call(CHAT, &[], BODY).status, 200);
    rewrite(&gateway, "subscriptions:\n  - id: ", "subscriptions:\n  - state: suspended\n    id: ");
    let (code, said) = reload(&gateway);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("holds the desired state: subscriptions"), "{said}");
    assert_eq!(gateway.call(CHAT, &[], BODY).status, 200);
}
