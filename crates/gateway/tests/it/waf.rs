//! The web application firewall: what is refused, what is only told, and what is not looked at.

use bytes::Bytes;
use event::Outcome;
use gateway::{GatewayConfig, RuleIds, Settings, Waf, WafConfig, WafExclusionConfig, WafMode};
use http::Request;
use http_body_util::Full;

use crate::support::{CHAT, HELLO, KEY, Setup, World, post, simulator, with_header};

const RULES: &str = r#"
SecRule ARGS_GET:q "@rx evil" "id:1000,phase:1,deny,msg:'Evil query',severity:CRITICAL,tag:own,setvar:tx.anomaly_score=+5"
SecRule REQUEST_HEADERS:api-key "@contains a-key-of-a" "id:1001,phase:1,pass,msg:'A key of %{MATCHED_VAR}',logdata:'%{MATCHED_VAR}'"
SecRule ARGS_POST "@rx wicked" "id:1002,phase:2,deny,msg:'Wicked body',severity:ERROR"
SecRule &REQUEST_HEADERS:Host "@eq 0" "id:1003,phase:1,deny,msg:'No host'"
SecRule REQUEST_METHOD "!@within GET POST" "id:1004,phase:1,deny,msg:'Method'"
"#;

fn config(mode: WafMode) -> WafConfig {
    WafConfig { mode, inline_rules: RULES.to_owned(), ..WafConfig::default() }
}

fn with_bodies(mode: WafMode) -> WafConfig {
    WafConfig { inspect_bodies: true, body_bytes_max: 1_000, ..config(mode) }
}

fn form(body: &'static str) -> Request<Full<Bytes>> {
    let mut request = post("/openai/v1/unheard-of", body);
    let kind = "application/x-www-form-urlencoded".parse().unwrap();
    request.headers_mut().insert("content-type", kind);
    request
}

async fn world(backend: &str, waf: WafConfig) -> World {
    let mut setup = Setup::before(&[backend.to_owned()]);
    setup.waf = waf;
    setup.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn in_prevention_an_attack_is_refused_recorded_and_told_without_what_was_sent() {
    let backend = simulator().await;
    let world = world(&backend.url(), config(WafMode::Prevention)).await;
    let answer = world.post(&format!("{CHAT}&q=evil-secret"), HELLO).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "RequestBlockedByWaf"));
    assert_eq!(answer.json()["error"]["type"], "permission_error");
    assert_eq!(answer.headers["x-should-retry"], "false");
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("1000") && message.contains("waf.exclusions"), "{message}");
    assert!(backend.received().is_empty());
    let story = world.story();
    assert_eq!(story.end().outcome, Outcome::Refused);
    let error = &story.end().errors[0];
    assert_eq!((error.source.as_str(), error.reason.as_str()), ("waf", "RequestBlockedByWaf"));
    assert_eq!(story.start().target.operation_id, "ChatCompletions_Create");
    let event = world.first_security_event().await;
    assert_eq!((event.kind.as_str(), event.reason.as_str()), ("waf_blocked", "1000"));
    assert_eq!(event.severity, "warning");
    assert_eq!(event.target, "/openai/deployments/gpt-4o/chat/completions");
    assert!(event.message.contains("score 5: 1000 Evil query (ARGS_GET:q)"), "{}", event.message);
    for text in [&answer.text(), &error.message, &event.message] {
        assert!(!text.contains("secret") && !text.contains(KEY), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_detection_the_call_goes_on_and_is_told() {
    let backend = simulator().await;
    let world = world(&backend.url(), config(WafMode::Detection)).await;
    assert_eq!(world.post(&format!("{CHAT}&q=evil"), HELLO).await.status, 200);
    let event = world.first_security_event().await;
    assert_eq!((event.kind.as_str(), event.severity.as_str()), ("waf_matched", "warning"));
    assert!(event.message.starts_with("would be refused by rule 1000, score 5"), "{event:?}");
    assert_eq!(world.story().end().outcome, Outcome::Complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_that_refuses_nothing_passes_and_its_message_holds_no_key() {
    let backend = simulator().await;
    let world = world(&backend.url(), config(WafMode::Prevention)).await;
    assert_eq!(world.post(CHAT, HELLO).await.status, 200);
    let event = world.first_security_event().await;
    assert_eq!((event.kind.as_str(), event.severity.as_str()), ("waf_matched", "informational"));
    assert_eq!(event.message, "not refused: 1001 A key of * (REQUEST_HEADERS:api-key)");
    assert_eq!(world.call_http2(post(CHAT, HELLO)).await.status, 200, "its authority is its host");
    assert_eq!(world.call_http2(post(&format!("{CHAT}&q=evil"), HELLO)).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_looked_at_where_that_is_asked_for_whatever_their_kind() {
    let backend = simulator().await;
    let wicked = r#"{"messages":[{"role":"user","content":"wicked"}]}"#;
    let blind = world(&backend.url(), config(WafMode::Prevention)).await;
    assert_eq!(blind.post(CHAT, wicked).await.status, 200);
    let world = world(&backend.url(), with_bodies(WafMode::Prevention)).await;
    let before = backend.received().len();
    assert_eq!(world.post(CHAT, HELLO).await.status, 200);
    let answer = world.post(CHAT, wicked).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "RequestBlockedByWaf"));
    assert_eq!(world.call(form("a=wicked&b=c")).await.status, 403);
    assert_eq!(backend.received().len(), before + 1);
    let stories = world.stories();
    let refused: Vec<_> = stories
        .iter()
        .filter(|story| !story.refused.is_empty() || story.dispatched.is_empty())
        .collect();
    assert_eq!(refused.len(), 2);
    assert_eq!(refused[0].request, wicked.as_bytes(), "it is recorded as it was sent");
    assert!(refused[1].request.starts_with(b"a=wicked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_announced_and_empty_spares_no_rule() {
    let backend = simulator().await;
    let mut waf = with_bodies(WafMode::Prevention);
    waf.inline_rules = r#"SecRule ARGS:q "@rx evil" "id:1,phase:2,deny""#.to_owned();
    let world = world(&backend.url(), waf).await;
    for body in ["0\r\n\r\n", "1\r\nx\r\n0\r\n\r\n"] {
        let request = format!(
            "POST /openai/v1/unheard-of?q=evil HTTP/1.1\r\nhost: h\r\napi-key: {KEY}\r\ncontent-type: text/plain\r\n\
             connection: close\r\ntransfer-encoding: chunked\r\n\r\n{body}"
        );
        let answer = world.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let mut get = post(&format!("{CHAT}&q=evil"), "");
    get.headers_mut().remove("content-length");
    assert_eq!(world.call(get).await.status, 403, "and one without a body is looked at whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_long_body_the_beginning_is_looked_at_and_all_of_it_passes_unchanged() {
    let backend = simulator().await;
    let world = world(&backend.url(), with_bodies(WafMode::Prevention)).await;
    let padding = "x".repeat(200_000);
    let late = format!(r#"{{"a":"{padding}","messages":[{{"role":"user","content":"wicked"}}]}}"#);
    assert_eq!(world.post(CHAT, &late).await.status, 200);
    let early = format!(r#"{{"b":"wicked","a":"{padding}","messages":[]}}"#);
    assert_eq!(world.post(CHAT, &early).await.status, 403);
    let stories = world.ended(2).await;
    assert!(stories.iter().any(|story| story.request == late.as_bytes()));
    assert!(stories.iter().any(|story| story.request == early.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn exclusions_take_a_variable_or_a_path_from_a_rule() {
    let backend = simulator().await;
    let mut waf = config(WafMode::Prevention);
    waf.exclusions = vec![WafExclusionConfig {
        rule_ids: vec![RuleIds("1000-1000".into())],
        variable: "ARGS_GET:q".into(),
        paths: vec!["/openai/deployments/gpt-4o/".into()],
        ..WafExclusionConfig::default()
    }];
    let world = world(&backend.url(), waf).await;
    assert_eq!(world.post(&format!("{CHAT}&q=evil"), HELLO).await.status, 200);
    let other = CHAT.replace("gpt-4o", "gpt-4o-mini");
    assert_eq!(world.post(&format!("{other}&q=evil"), HELLO).await.status, 403);
    let many = "&a=1".repeat(50);
    assert_eq!(world.post(&format!("{other}{many}&q=evil"), HELLO).await.status, 403);
    assert_eq!(world.post(&format!("{CHAT}{many}&q=evil"), HELLO).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_turns_it_on_changes_its_rules_and_turns_it_off() {
    let backend = simulator().await;
    let setup = Setup::before(&[backend.url()]);
    let (config_of_gateway, keys) = (setup.config.clone(), setup.keys.clone());
    let world = setup.start().await;
    let settings = |config: &GatewayConfig, waf: &WafConfig| Settings {
        config: config.clone(),
        rules: crate::support::rules(),
        keys: keys.clone(),
        waf: Waf::load(waf).unwrap(),
    };
    let attack = format!("{CHAT}&q=evil");
    let mut other = config(WafMode::Prevention);
    other.inline_rules = r#"SecRule ARGS:q "@rx other" "id:1,deny""#.to_owned();
    for (waf, status) in [
        (WafConfig::default(), 200),
        (config(WafMode::Prevention), 403),
        (other, 200),
        (config(WafMode::Detection), 200),
        (config(WafMode::Prevention), 403),
        (config(WafMode::Off), 200),
    ] {
        world.gateway.reload(settings(&config_of_gateway, &waf)).unwrap();
        assert_eq!(world.post(&attack, HELLO).await.status, status, "{waf:?}");
    }
}

#[test]
fn rules_are_read_from_files_and_all_problems_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("10-words.data"), "evil\n").unwrap();
    std::fs::write(path("10-good.conf"), "SecRule ARGS \"@pmFromFile 10-words.data\" \"id:1\"\n")
        .unwrap();
    let mut waf =
        WafConfig { mode: WafMode::Detection, rules: vec![path("*.conf")], ..WafConfig::default() };
    let good = Waf::read(&waf).unwrap();
    assert_eq!(good.rules().rules().count(), 1);
    assert_eq!(good.files(), [path("10-good.conf"), path("10-words.data")]);
    std::fs::write(path("20-bad.conf"), "\nSecRule ARGS \"@rx (\" \"id:2\"\nSecRul x\n").unwrap();
    let error = Waf::load(&waf).err().unwrap().to_string();
    for words in ["20-bad.conf:2: rule 2: the pattern", "20-bad.conf:3: directive `SecRul`"] {
        assert!(error.contains(words), "{error}");
    }
    waf.mode = WafMode::Off;
    assert!(Waf::load(&waf).unwrap().is_none(), "no rule is read");
    waf.mode = WafMode::Detection;
    for (rules, words) in [
        (vec![path("none-*.conf")], "no file is called"),
        (vec![path("none.conf")], "none.conf: No such file"),
        (vec![], "there are no rules"),
    ] {
        waf.rules = rules;
        let error = Waf::load(&waf).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    }
    waf.inline_rules = r#"SecRule ARGS "@pmFromFile words.data" "id:1""#.to_owned();
    let error = Waf::load(&waf).err().unwrap().to_string();
    assert!(error.contains("waf.inline_rules:1: rule 1: words.data: give its whole"), "{error}");
    waf.inline_rules = "SecAction \"id:1\"".to_owned();
    waf.exclusions = vec![WafExclusionConfig::default()];
    let error = Waf::load(&waf).err().unwrap().to_string();
    assert!(error.contains("waf.exclusions: an exclusion names neither"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_claims_another_address_does_not_change_where_a_request_comes_from() {
    let backend = simulator().await;
    let mut waf = config(WafMode::Prevention);
    waf.inline_rules =
        r#"SecRule REMOTE_ADDR "!@ipMatch 127.0.0.0/8,::1" "id:1,phase:1,deny""#.to_owned();
    let world = world(&backend.url(), waf).await;
    let claimed = with_header(post(CHAT, HELLO), "x-forwarded-for", "203.0.113.9");
    assert_eq!(world.call(claimed).await.status, 200);
}
