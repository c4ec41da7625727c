//! The web application firewall as an administrator meets it: rule files, the commands, what the tables say.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::support::{Backend, Gateway, eventually, gatehouse, run};

const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
const HELLO: &[u8] = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
const RULES: &str = "SecRule ARGS \"@pmFromFile words.data\" \\\n  \"id:1000,phase:2,deny,msg:'A word',severity:CRITICAL\"\n";

/// Appends settings to a configuration as `init` writes it.
fn with_waf(gateway: &Gateway, settings: &str) {
    let text = fs::read_to_string(&gateway.config).expect("readable");
    fs::write(&gateway.config, format!("{text}\n{settings}")).expect("writable");
}

fn waf(gateway: &Gateway, arguments: &[&str]) -> Output {
    let (verb, rest) = arguments.split_first().expect("a verb");
    let mut command = gatehouse();
    command.args(["waf", verb, "--config"]).arg(&gateway.config).args(rest);
    run(command.envs(gateway.environment()))
}

fn said(output: &Output) -> String {
    let (out, error) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(error))
}

fn write_rules(folder: &Path, rules: &str, words: &str) {
    fs::create_dir_all(folder.join("rules")).expect("writable");
    fs::write(folder.join("rules/words.data"), words).expect("writable");
    fs::write(folder.join("rules/10-own.conf"), rules).expect("writable");
}

#[test]
fn rules_in_files_are_watched_and_what_they_match_is_found_with_a_query() {
    let backend = Backend::start();
    let mut gateway = Gateway::new(&backend, &[]);
    write_rules(gateway.folder.path(), RULES, "evil\n");
    with_waf(&gateway, "waf:\n  mode: detection\n  rules: [rules/*.conf]\n");
    gateway.start();
    let call = |word: &str| gateway.call(&format!("{CHAT}&q={word}"), &[], HELLO).status;
    assert_eq!(call("evil"), 200);
    let rows = eventually("a row tells what would be refused", || {
        let rows = gateway.query("SecurityEvents | where Kind == 'waf_matched' | project Severity, Reason, Target, Message");
        (!rows.is_empty()).then_some(rows)
    });
    assert_eq!(rows[0]["Severity"], "warning");
    assert_eq!(rows[0]["Reason"], "1000");
    assert_eq!(rows[0]["Target"], "/openai/deployments/gpt-4o/chat/completions");
    let message = rows[0]["Message"].as_str().unwrap_or_default();
    assert!(message.contains("1000 A word (ARGS:q)") && !message.contains("evil"), "{message}");

    let text = fs::read_to_string(&gateway.config).expect("readable");
    let prevention = text.replace("mode: detection", "mode: prevention");
    fs::write(&gateway.config, prevention).expect("writable");
    eventually("the mode is prevention", || (call("evil") == 403).then_some(()));
    // A data file is watched too, and rules that cannot be read change nothing.
    fs::write(gateway.folder.path().join("rules/words.data"), "wicked\n").expect("writable");
    eventually("the words are others", || (call("wicked") == 403).then_some(()));
    assert_eq!(call("evil"), 200);
    fs::write(gateway.folder.path().join("rules/20-bad.conf"), "SecRul x\n").expect("writable");
    let mut reload = gatehouse();
    reload.args(["reload", "--config"]).arg(&gateway.config).envs(gateway.environment());
    let output = run(&mut reload);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(said(&output).contains("20-bad.conf:1: directive `SecRul`"), "{}", said(&output));
    assert_eq!(call("wicked"), 403);
    assert!(gateway.terminate());
}

#[test]
fn rules_are_listed_and_asked_about_a_request_without_a_gateway() {
    let gateway = Gateway::at(9, &[]);
    let late = "SecRule RESPONSE_BODY \"@rx x\" \"id:1001,phase:4,deny\"\n";
    write_rules(gateway.folder.path(), &format!("{RULES}{late}"), "evil\n");
    with_waf(
        &gateway,
        "waf:\n  rules: [rules/10-own.conf]\n  exclusions: [{rule_ids: [1000, 2000-3000], variable: 'ARGS:free'}]\n",
    );
    let output = waf(&gateway, &["check"]);
    assert!(output.status.success(), "{}", said(&output));
    for line in [
        "run 1000 phase 2 ",
        "10-own.conf:1 A word",
        "left out 1001 ",
        "phase 4 comes after",
        "1 rules are run, 1 left out",
    ] {
        assert!(said(&output).contains(line), "{line}: {}", said(&output));
    }
    let output = waf(&gateway, &["test", "--path", "/a?q=evil"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("1000 CRITICAL A word ARGS:q = \"evil\""), "{}", said(&output));
    let output = waf(&gateway, &["test", "--path", "/a?free=evil", "--header", "x: y"]);
    assert!(output.status.success() && said(&output).contains("would pass"), "{}", said(&output));
    let body = gateway.folder.path().join("body.json");
    fs::write(&body, "{\"a\":[\"evil\"]}").expect("writable");
    let body = body.to_str().expect("UTF-8");
    let json = [
        "test",
        "--method",
        "POST",
        "--header",
        "content-type: application/json",
        "--body-file",
        body,
    ];
    let output = waf(&gateway, &json);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("ARGS:json.a.0"), "{}", said(&output));

    let other = gateway.folder.path().join("other.conf");
    fs::write(&other, "\nSecRule ARGS \"@rx (\" \"id:5\"\n").expect("writable");
    let other = other.to_str().expect("UTF-8");
    let output = waf(&gateway, &["check", "--rules", other]);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(said(&output).contains("other.conf:2: rule 5: the pattern"), "{}", said(&output));
}
