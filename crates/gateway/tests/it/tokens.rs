//! Callers with a token of their identity provider.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use event::Outcome;
use http::Request;
use http_body_util::Full;
use identity::{ClaimNames, IdentityConfig, ProviderConfig, Verifier};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use policy::{KeyHasher, KeyPart, LimitConfig, ProductConfig, Rules};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{CHAT, HELLO, KEY, Setup, World, post, scripted, simulator, with_header};

const KEYS: &str = include_str!("../../../identity/testdata/jwks.json");
const SIGNER: &str = include_str!("../../../identity/testdata/provider.pem");

/// A provider that answers with its discovery document and its keys.
async fn provider() -> String {
    scripted(|head, mut stream| async move {
        let host = head.split("host: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let url = format!("http://{}", host.unwrap_or_default());
        let body = match head.contains("/.well-known/openid-configuration") {
            true => json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }).to_string(),
            false => KEYS.to_owned(),
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    })
    .await
}

fn trusting(url: &str) -> Verifier {
    let provider = ProviderConfig {
        id: "local".into(),
        issuer: url.into(),
        audiences: vec!["api-1".into()],
        claims: ClaimNames { id: "oid".into(), ..ClaimNames::default() },
        ..ProviderConfig::default()
    };
    let mut config = IdentityConfig { providers: vec![provider], ..IdentityConfig::default() };
    config.egress.allow.push("127.0.0.0/8".parse().unwrap());
    Verifier::new(&config, None).unwrap()
}

fn rules() -> Rules {
    let limit = LimitConfig {
        counter_key: vec![KeyPart::User],
        calls: Some(2),
        renewal_period_s: 300,
        ..LimitConfig::default()
    };
    let products = [
        ProductConfig {
            id: "staff".into(),
            groups: vec!["g-staff".into()],
            deployments: vec!["gpt-4o".into()],
            limits: vec![limit],
            ..ProductConfig::default()
        },
        ProductConfig { id: "batch".into(), clients: vec!["app-1".into()], ..Default::default() },
    ];
    Rules::new(1, KeyHasher::new(b"secret"), &products, &[]).unwrap()
}

fn token(url: &str, changes: Value) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({
        "iss": url, "aud": "api-1", "oid": "ann", "sub": "s", "azp": "app-0", "scp": "x", "tid": "tenant-1",
        "groups": ["g-staff"], "nbf": now - 10, "exp": now + 600,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let header = Header { kid: Some("key-1".into()), ..Header::new(Algorithm::RS256) };
    let key = EncodingKey::from_rsa_pem(SIGNER.as_bytes()).unwrap();
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}

fn with_token(target: &str, token: &str) -> Request<Full<Bytes>> {
    let mut request = post(target, HELLO);
    request.headers_mut().remove("api-key");
    with_header(request, "authorization", &format!("Bearer {token}"))
}

async fn world(backend: &str, provider: &str) -> World {
    let mut setup = Setup { rules: Some(rules()), ..Setup::before(&[backend.to_owned()]) };
    setup.identity = trusting(provider);
    setup.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_admits_its_holder_and_stands_neither_in_the_record_nor_upstream() {
    let (backend, provider) = (simulator().await, provider().await);
    let world = world(&backend.url(), &provider).await;
    let ann = token(&provider, json!({}));
    let secret = ann.rsplit('.').next().unwrap().to_owned();
    let answer = world.call(with_token(CHAT, &ann)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let in_query = format!("{CHAT}&authorization=Bearer%20{ann}");
    let mut request = post(&in_query, HELLO);
    request.headers_mut().remove("api-key");
    assert_eq!(world.call(request).await.status, 200);
    let program =
        token(&provider, json!({"groups": [], "azp": "app-1", "oid": "robot", "scp": null}));
    assert_eq!(world.call(with_token(CHAT, &program)).await.status, 200);
    let stories = world.ended(3).await;
    let accounts: Vec<_> = stories
        .iter()
        .map(|story| {
            let opened = &story.opened[0];
            (opened.user_id.as_str(), opened.product_id.as_str(), opened.subscription_id.as_str())
        })
        .collect();
    let anns = ("ann", "staff", "user:ann");
    assert_eq!(accounts, [anns, anns, ("robot", "batch", "user:robot")]);
    let programs = stories
        .iter()
        .map(|story| (story.opened[0].application_id.as_str(), story.opened[0].tenant_id.as_str()));
    let of_ann = ("app-0", "tenant-1");
    assert!(programs.eq([of_ann, of_ann, ("app-1", "tenant-1")]));
    let groups: Vec<_> = stories.iter().map(|story| story.opened[0].groups.join(" ")).collect();
    assert_eq!(groups, ["g-staff", "g-staff", ""]);
    let mut reader = world.ledger.reader(1).unwrap();
    while let Some(entry) = reader.next(Duration::ZERO).unwrap() {
        let text = String::from_utf8_lossy(&entry.frame.payload).into_owned();
        assert!(!text.contains(&secret), "{text}");
    }
    for received in backend.received() {
        assert!(!format!("{received:?}").contains(&secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_do_not_hold_are_refused_with_the_reason_and_recorded() {
    let (backend, provider) = (simulator().await, provider().await);
    let world = world(&backend.url(), &provider).await;
    let cases = [
        (token(&provider, json!({"exp": 1})), 401, "TokenRejected", "TokenExpired"),
        (
            token(&provider, json!({"aud": "other"})),
            401,
            "TokenRejected",
            "TokenAudienceNotAllowed",
        ),
        (token("http://else", json!({})), 401, "TokenRejected", "TokenIssuerNotAllowed"),
        (token(&provider, json!({"groups": []})), 403, "ProductNotGranted", "ProductNotGranted"),
        (
            token(&provider, json!({"groups": [], "_claim_names": {"groups": "src1"}})),
            403,
            "ProductNotGranted",
            "GroupsUnresolved",
        ),
    ];
    for (token, status, code, reason) in &cases {
        let answer = world.call(with_token(CHAT, token)).await;
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{reason}");
        let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
        let is_bearer = challenges.iter().any(|it| it.to_str().unwrap().contains("invalid_token"));
        assert_eq!(is_bearer, *status == 401, "{challenges:?}");
        assert!(!answer.text().contains(&token[..40]));
    }
    let other = "/openai/deployments/o3/chat/completions?api-version=2024-10-21";
    let denied = world.call(with_token(other, &token(&provider, json!({})))).await;
    assert_eq!((denied.status, denied.code().as_str()), (403, "DeploymentNotAllowed"));
    let stories = world.ended(cases.len() + 1).await;
    for (story, (_, _, _, reason)) in stories.iter().zip(&cases) {
        assert_eq!(story.end().outcome, Outcome::Refused);
        assert_eq!(story.end().errors[0].reason, *reason);
    }
    assert_eq!(backend.requests(), 0);
    let event = world.first_security_event().await;
    assert_eq!((event.kind.as_str(), event.reason.as_str()), ("token_rejected", "TokenExpired"));
    assert_eq!(event.caller_ip_address, "127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_by_user_count_each_holder_of_a_token_apart() {
    let (backend, provider) = (simulator().await, provider().await);
    let world = world(&backend.url(), &provider).await;
    let (ann, bob) = (token(&provider, json!({})), token(&provider, json!({"oid": "bob"})));
    let again = token(&provider, json!({"jti": "another token of ann's"}));
    for (token, status) in [(&ann, 200), (&again, 200), (&ann, 429), (&bob, 200), (&again, 429)] {
        assert_eq!(world.call(with_token(CHAT, token)).await.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_closes_its_own_callers_out_and_nobody_else() {
    let backend = simulator().await;
    let bound = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", bound.local_addr().unwrap());
    drop(bound);
    let mut setup = Setup::before(&[backend.url()]);
    setup.identity = trusting(&nobody);
    let world = setup.start().await;
    let answer = world.call(with_token(CHAT, &token(&nobody, json!({})))).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "IdentityProviderUnavailable"));
    assert!(answer.headers.contains_key("retry-after"));
    assert!(answer.text().contains("`local`"), "it says which part is missing: {}", answer.text());
    assert_eq!(world.call(with_header(post(CHAT, HELLO), "api-key", KEY)).await.status, 200);
    let (status, body) = world.gateway.health().answer("/readyz").unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(body["identity_providers"][0]["state"], "closed");
    assert!(!body["identity_providers"][0]["error"].as_str().unwrap().is_empty());
}
