//! The OWASP Core Rule Set as Debian installs it (`apt-get install modsecurity-crs`): all of it is read, the
//! usual attacks are refused, and nothing that a client of the API was ever seen to send.

use std::path::Path;

use serde_json::Value;
use waf::Ruleset;

use crate::support::{OWN_SETTINGS, ask, core_rule_set};

const ATTACKS: &str = include_str!("../../testdata/attacks.txt");
/// What every client sends, unless a case says otherwise.
const USUAL: [(&str, &str); 3] =
    [("host", "gateway.example"), ("user-agent", "OpenAI/Python 2.54.0"), ("accept", "*/*")];

/// The rules, or a word that there are none.
#[expect(clippy::print_stdout, reason = "a test that lacks what it needs says so")]
fn installed() -> Option<Ruleset> {
    let rules = core_rule_set(OWN_SETTINGS);
    if rules.is_none() {
        println!("SKIPPED: the package modsecurity-crs is not installed");
    }
    rules
}

#[test]
fn all_rules_for_requests_are_read_but_those_that_ask_other_services() {
    let Some(rules) = installed() else { return };
    let left_out = rules.left_out().iter();
    let early: Vec<&str> =
        left_out.map(|one| one.why.as_str()).filter(|why| !why.starts_with("phase ")).collect();
    assert!(
        early
            .iter()
            .all(|why| ["@rbl is not supported", "@geoLookup is not supported"].contains(why)),
        "{early:?}"
    );
    assert!(rules.rules().count() >= 350, "{}", rules.rules().count());
}

#[test]
fn the_usual_attacks_are_refused_by_the_rules_for_them() {
    let Some(rules) = installed() else { return };
    let (mut family, mut count, mut missed) = ("", 0, Vec::new());
    for line in ATTACKS.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            family = heading.rsplit(' ').next().unwrap();
            continue;
        }
        count += 1;
        let verdict = ask(&rules, &wire(line), false);
        let ids: Vec<u32> = verdict.matches.iter().map(|one| one.rule_id).collect();
        let is_right = ids.iter().any(|id| id.to_string().starts_with(family));
        if verdict.blocked.is_none() || !is_right {
            missed.push(format!("{line}: {ids:?}, score {}", verdict.score));
        }
    }
    assert!(missed.is_empty(), "{} of {count} passed:\n{}", missed.len(), missed.join("\n"));
    assert!(count >= 40);
}

/// A case as on the wire.
fn wire(line: &str) -> String {
    let (head, body) = match line.split_once(" || ") {
        Some((head, body)) => (head, Some(body)),
        None => (line, None),
    };
    let mut parts = head.split(" | ");
    let mut text = format!("{} HTTP/1.1", parts.next().unwrap());
    let own: Vec<&str> = parts.collect();
    for (name, value) in USUAL {
        if !own.iter().any(|header| header.starts_with(name)) {
            text += &format!("\n{name}: {value}");
        }
    }
    for header in own {
        text += &format!("\n{header}");
    }
    match body {
        Some(body) => format!("{text}\ncontent-length: {}\n\n{body}", body.len()),
        None => text,
    }
}

#[test]
fn nothing_that_clients_were_seen_to_send_is_refused_by_its_head() {
    let Some(rules) = installed() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/captures");
    let (mut count, mut refused) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let capture: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for request in capture["requests"].as_array().unwrap() {
            count += 1;
            let text = captured(request);
            let verdict = ask(&rules, &text, true);
            if let Some(blocked) = verdict.blocked {
                refused.push(format!("{text}\n{blocked:?}\n{:?}", verdict.matches));
            }
        }
    }
    assert!(count >= 300, "{count}");
    assert!(refused.is_empty(), "{} of {count}:\n{}", refused.len(), refused.join("\n\n"));
}

#[test]
fn what_the_api_takes_besides_passes_and_bodies_in_plain_words_do() {
    let Some(rules) = installed() else { return };
    let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"How do the tides follow the moon?"}]}"#;
    for line in [
        "DELETE /openai/v1/files/file-abc123",
        "PATCH /v1/conversations/conv_123",
        "POST /v1/realtime/calls?model=gpt-realtime | content-type: application/sdp | content-length: 1500",
        "GET /v1/realtime?model=gpt-realtime | upgrade: websocket | connection: Upgrade | sec-websocket-version: 13 | sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "GET /v1/responses/resp_1?stream=true&starting_after=3 | traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "POST /v1/chat/completions | authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl_-x | content-type: application/json; charset=utf-8 | content-length: 900",
        &format!("POST /v1/chat/completions | content-type: application/json || {body}"),
    ] {
        let verdict = ask(&rules, &wire(line), true);
        assert!(verdict.blocked.is_none(), "{line}: {verdict:?}");
    }
}

/// The head of a captured request.
fn captured(request: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pairs = |value: &Value| -> Vec<(String, String)> {
        let list = value.as_array().into_iter().flatten();
        list.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
    };
    let query: Vec<String> =
        pairs(&request["query"]).iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let mut head = format!(
        "{} {}{mark}{} {}",
        text(&request["method"]),
        text(&request["path"]),
        query.join("&"),
        text(&request["http_version"]),
    );
    for (name, value) in pairs(&request["headers"]) {
        let value =
            value.replace("<gateway-host>", "gateway.example").replace("<secret>", "c2VjcmV0");
        head += &format!("\n{name}: {value}");
    }
    head
}
