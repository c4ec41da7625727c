//! The cache of keys and groups, against a provider that listens, changes its keys and dies.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::signer::{self, HEADER, JWKS, NOW};
use crate::{
    GraphAccess, GraphConfig, IdentityConfig, ProviderConfig, ProviderState, Reason, Verifier,
};

/// Bodies by path.
type Answers = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// Answers paths with bodies; a body of none means that nobody answers.
struct Server {
    url: String,
    answers: Answers,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let answers: Answers = Arc::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let (of, count) = (answers.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4_096];
                let read = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                count.fetch_add(1, Ordering::SeqCst);
                let found =
                    of.lock().expect("no panic").iter().find(|(at, _)| *at == path).cloned();
                let answer = match found {
                    Some((_, Some(body))) => format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    ),
                    Some((_, None)) => continue,
                    None => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
                };
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let server = Self { url, answers, asked };
        server.discovery();
        server.set("/keys", Some(JWKS.into()));
        server
    }

    fn discovery(&self) {
        let document = json!({
            "issuer": self.url, "jwks_uri": format!("{}/keys", self.url),
            "authorization_endpoint": format!("{}/authorize", self.url),
            "token_endpoint": format!("{}/token", self.url),
        });
        self.set("/.well-known/openid-configuration", Some(document.to_string()));
    }

    fn set(&self, path: &str, body: Option<String>) {
        let mut answers = self.answers.lock().expect("no panic");
        answers.retain(|(at, _)| at != path);
        answers.push((path.to_owned(), body));
    }

    fn config(&self) -> IdentityConfig {
        let provider = ProviderConfig {
            id: "local".into(),
            issuer: self.url.clone(),
            audiences: vec!["api-1".into()],
            claims: crate::ClaimNames { id: "oid".into(), ..crate::ClaimNames::default() },
            graph: GraphConfig { url: format!("{}/graph", self.url) },
            ..ProviderConfig::default()
        };
        let mut config = IdentityConfig { providers: vec![provider], ..IdentityConfig::default() };
        config.egress.allow.push("127.0.0.0/8".parse().expect("a network"));
        config
    }

    fn token(&self, header: &str, how: &str, exp: i64) -> String {
        let changes = json!({"iss": self.url, "exp": exp, "jti": exp});
        signer::token(header, &signer::merged(&changes).to_string(), how)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_the_provider_once_and_a_new_key_is_found() {
    let server = Server::start().await;
    let verifier = Verifier::new(&server.config(), None).expect("valid");
    let good = server.token(HEADER, "rs256", NOW + 3_600);
    verifier.verify(&good, NOW).await.expect("accepted");
    let asked = server.asked();
    assert_eq!(asked, 2, "the discovery document and the keys");
    for number in 0..1_000 {
        let header = format!(r#"{{"alg":"RS256","kid":"unknown-{number}"}}"#);
        let token = server.token(&header, "stranger", NOW + 3_600);
        let refused = verifier.verify(&token, NOW + 61).await.expect_err("refused");
        assert_eq!(refused.reason, Reason::TokenSignatureKeyNotFound);
    }
    assert_eq!(server.asked(), asked + 2, "one look for the whole flood");
    // The provider changes its key; once the pace allows it, its tokens are accepted.
    let rotated = JWKS.replace("\"key-1\"", "\"key-next\"");
    server.set("/keys", Some(rotated));
    let next = server.token(r#"{"alg":"RS256","kid":"key-next"}"#, "rs256", NOW + 3_600);
    let early = verifier.verify(&next, NOW + 62).await.expect_err("too early to look");
    assert_eq!(early.reason, Reason::TokenSignatureKeyNotFound);
    verifier.verify(&next, NOW + 130).await.expect("found");
    // What the key signed that is gone is refused, though it had been accepted.
    let gone = verifier.verify(&good, NOW + 131).await.expect_err("the key is gone");
    assert_eq!(gone.reason, Reason::TokenSignatureKeyNotFound);
}

#[tokio::test]
async fn a_key_that_is_new_right_after_a_regular_fetch_is_found_at_once() {
    let server = Server::start().await;
    let verifier = Verifier::new(&server.config(), None).expect("valid");
    let stop = CancellationToken::new();
    tokio::spawn(verifier.clone().run(|| NOW, stop.clone()));
    while verifier.status(NOW)[0].state != ProviderState::Up {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    server.set("/keys", Some(JWKS.replace("\"key-1\"", "\"key-next\"")));
    let next = server.token(r#"{"alg":"RS256","kid":"key-next"}"#, "rs256", NOW + 3_600);
    verifier.verify(&next, NOW).await.expect("found in the same second");
}

#[tokio::test]
async fn a_token_of_an_unknown_key_is_not_refused_for_it_while_nobody_can_be_asked() {
    let server = Server::start().await;
    let verifier = Verifier::new(&server.config(), None).expect("valid");
    let good = server.token(HEADER, "rs256", NOW + 3_600);
    verifier.verify(&good, NOW).await.expect("accepted");
    server.set("/keys", None);
    let next = server.token(r#"{"alg":"RS256","kid":"key-next"}"#, "rs256", NOW + 3_600);
    for now in [NOW + 61, NOW + 62] {
        let refused = verifier.verify(&next, now).await.expect_err("nobody knows");
        assert_eq!(refused.reason, Reason::IdentityProviderUnavailable);
    }
    verifier.verify(&good, NOW + 62).await.expect("known keys go on");
    server.set("/keys", Some(JWKS.to_owned()));
    let refused =
        verifier.verify(&next, NOW + 130).await.expect_err("the provider has no such key");
    assert_eq!(refused.reason, Reason::TokenSignatureKeyNotFound);
}

#[tokio::test]
async fn keys_are_trusted_for_a_while_when_the_provider_is_down_and_then_no_more() {
    let server = Server::start().await;
    let config = IdentityConfig { stale_keys_max_s: 7_200, ..server.config() };
    let verifier = Verifier::new(&config, None).expect("valid");
    let long = NOW + 100_000;
    let token = server.token(HEADER, "rs256", long);
    verifier.verify(&token, NOW).await.expect("accepted");
    assert_eq!(verifier.status(NOW)[0].state, ProviderState::Up);
    server.set("/.well-known/openid-configuration", None);
    let other = server.token(HEADER, "rs256", long + 1);
    let late = NOW + 3_600 + 7_200;
    verifier.verify(&other, late).await.expect("stale keys serve");
    assert_eq!(verifier.status(late)[0].state, ProviderState::Stale);
    for token in [&token, &other] {
        let closed = verifier.verify(token, late + 1).await.expect_err("closed");
        assert_eq!(closed.reason, Reason::IdentityProviderUnavailable);
    }
    assert!(verifier.cached(&other, late + 1).is_none());
    let status = &verifier.status(late + 1)[0];
    assert_eq!(status.state, ProviderState::Closed);
    assert!(!status.error.is_empty());
    server.discovery();
    verifier.verify(&token, late + 120).await.expect("the provider is back");
}

#[tokio::test]
async fn a_verified_token_is_remembered_until_it_ends() {
    let server = Server::start().await;
    let verifier = Verifier::new(&server.config(), None).expect("valid");
    let token = server.token(HEADER, "rs256", NOW + 100);
    assert!(verifier.cached(&token, NOW).is_none());
    let identity = verifier.verify(&token, NOW).await.expect("accepted");
    assert_eq!(verifier.cached(&token, NOW + 99).as_ref(), Some(&identity));
    assert!(verifier.cached(&token, NOW + 100).is_none());
    let ended = verifier.verify(&token, NOW + 161).await.expect_err("ended");
    assert_eq!(ended.reason, Reason::TokenExpired);
    let changed = IdentityConfig { providers: Vec::new(), ..server.config() };
    verifier.reconfigure(&changed).expect("valid");
    assert!(verifier.cached(&token, NOW).is_none(), "its provider is no longer trusted");
}

#[tokio::test]
async fn a_provider_that_states_another_issuer_is_not_believed() {
    let server = Server::start().await;
    let document =
        json!({"issuer": "https://evil.example", "jwks_uri": format!("{}/keys", server.url)});
    server.set("/.well-known/openid-configuration", Some(document.to_string()));
    let verifier = Verifier::new(&server.config(), None).expect("valid");
    let token = server.token(HEADER, "rs256", NOW + 100);
    let refused = verifier.verify(&token, NOW).await.expect_err("refused");
    assert_eq!(refused.reason, Reason::IdentityProviderUnavailable);
    assert!(verifier.status(NOW)[0].error.contains("correct `issuer`"));
}

struct Graph;

#[async_trait]
impl GraphAccess for Graph {
    async fn token(&self, _: &str) -> Result<String, String> {
        Ok("graph-token".into())
    }
}

#[tokio::test]
async fn groups_that_do_not_fit_are_looked_up_and_grant_nothing_while_that_fails() {
    let server = Server::start().await;
    let verifier = Verifier::new(&server.config(), Some(Arc::new(Graph))).expect("valid");
    let many = json!({
        "iss": server.url, "groups": ["g0"], "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": format!("{}/evil", server.url)}},
    });
    let token = signer::token(HEADER, &signer::merged(&many).to_string(), "rs256");
    let without = verifier.verify(&token, NOW).await.expect("accepted");
    assert!(without.groups_missing && without.member.groups.is_empty());
    let path = "/graph/users/oid-1/getMemberObjects";
    server.set(path, Some(json!({"value": ["g1", "g2"]}).to_string()));
    let soon = verifier.verify(&token, NOW + 1).await.expect("accepted");
    assert!(soon.groups_missing, "a failure is remembered for a moment");
    let with = verifier.verify(&token, NOW + 11).await.expect("accepted");
    assert_eq!(with.member.groups, ["g1", "g2"]);
    let asked = server.asked();
    verifier.verify(&token, NOW + 12).await.expect("accepted");
    assert_eq!(server.asked(), asked);
    server.set(path, Some(json!({"value": ["g1"], "@odata.nextLink": "x"}).to_string()));
    let part = verifier.verify(&token, NOW + 400).await.expect("accepted");
    assert!(
        part.groups_missing && part.member.groups.is_empty(),
        "a part of the groups is no answer"
    );
}

#[test]
fn settings_that_cannot_be_are_refused_with_the_fix() {
    let provider = |change: fn(&mut ProviderConfig)| {
        let mut provider = ProviderConfig {
            id: "a".into(),
            issuer: "https://id.example".into(),
            audiences: vec!["api".into()],
            ..ProviderConfig::default()
        };
        change(&mut provider);
        let config = IdentityConfig { providers: vec![provider], ..IdentityConfig::default() };
        config.validate().expect_err("refused").to_string()
    };
    assert!(provider(|it| it.audiences.clear()).contains("name the application id"));
    assert!(provider(|it| it.issuer.clear()).contains("entra_tenant"));
    assert!(provider(|it| it.issuer = "http://id.example".into()).contains("https://"));
    assert!(provider(|it| it.issuer = "https://a/{tenant}".into()).contains("fill `tenants`"));
    assert!(provider(|it| it.algorithms = vec!["HS256".into()]).contains("use RS256"));
    assert!(provider(|it| it.algorithms = vec!["none".into()]).contains("none that is known"));
}
