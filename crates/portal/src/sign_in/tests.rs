//! Signing in, against a provider that listens.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{Request, header};
use identity::{IdentityConfig, ProviderConfig};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use policy::Role;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const KEYS: &str = include_str!("../../../identity/testdata/jwks.json");
const SIGNER: &str = include_str!("../../../identity/testdata/provider.pem");

/// A provider that gives out the ID token it holds, and remembers what it was asked for it.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) url: String,
    id_token: Arc<Mutex<String>>,
    asked: Arc<Mutex<String>>,
    /// Holds the secret of its client.
    secret: Arc<TempDir>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let secret = Arc::new(TempDir::new().expect("a folder"));
        std::fs::write(secret.path().join("secret"), "s3cret&more\n").expect("writes");
        let provider = Self { url, id_token: Arc::default(), asked: Arc::default(), secret };
        let serving = provider.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                let mut piece = [0; 4_096];
                while !is_whole(&request) {
                    let read = stream.read(&mut piece).await.unwrap_or(0);
                    request.extend_from_slice(&piece[..read]);
                    if read == 0 {
                        break;
                    }
                }
                let body = serving.answer(&String::from_utf8_lossy(&request));
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        provider
    }

    fn answer(&self, request: &str) -> String {
        let url = &self.url;
        match request.split(' ').nth(1).unwrap_or_default() {
            "/keys" => KEYS.to_owned(),
            "/token" => {
                *self.asked.lock().expect("no panic") = request.to_owned();
                json!({"id_token": *self.id_token.lock().expect("no panic")}).to_string()
            }
            _ => json!({
                "issuer": url, "jwks_uri": format!("{url}/keys"),
                "authorization_endpoint": format!("{url}/authorize"),
                "token_endpoint": format!("{url}/token"),
                "end_session_endpoint": format!("{url}/end"),
            })
            .to_string(),
        }
    }

    /// The next ID token, with these claims beside the usual ones.
    pub(crate) fn gives(&self, changes: Value) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let mut claims = json!({
            "iss": self.url, "aud": "app-1", "sub": "ann", "name": "Ann", "groups": ["g-admins"],
            "iat": now, "exp": now + 300,
        });
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let header = Header { kid: Some("key-1".into()), ..Header::new(Algorithm::RS256) };
        let key = EncodingKey::from_rsa_pem(SIGNER.as_bytes()).expect("a key");
        *self.id_token.lock().expect("no panic") =
            jsonwebtoken::encode(&header, &claims, &key).expect("signs");
    }

    fn sign_in(&self) -> SignIn {
        let wiring = self.wiring(Arc::new(|_| {}));
        SignIn::new(self.settings(), wiring).expect("valid")
    }

    pub(crate) fn wiring(&self, watch: Watch) -> SignInWiring {
        let provider = ProviderConfig {
            id: "local".into(),
            issuer: self.url.clone(),
            audiences: vec!["api-1".into()],
            ..ProviderConfig::default()
        };
        let mut config = IdentityConfig { providers: vec![provider], ..IdentityConfig::default() };
        config.egress.allow.push("127.0.0.0/8".parse().expect("a network"));
        let verifier = Verifier::new(&config, None).expect("valid");
        SignInWiring { verifier, watch, ..SignInWiring::default() }
    }

    pub(crate) fn settings(&self) -> SignInSettings {
        SignInSettings {
            public_url: "https://gate.example".into(),
            clients: vec![SignInClient {
                provider: "local".into(),
                client_id: "app-1".into(),
                client_secret: Some(SecretRef::File(self.secret.path().join("secret"))),
                scopes: "openid profile".into(),
            }],
            roles: vec![RoleConfig {
                role: Role::Operator,
                groups: vec!["g-admins".into()],
                app_roles: Vec::new(),
                users: Vec::new(),
            }],
            idle_s: 60,
            lasting_s: 600,
            ..SignInSettings::default()
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.to_ascii_lowercase();
    let length = length.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

pub(crate) fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').expect("a query").1;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(named, _)| *named == name).expect("the parameter");
    percent_encoding::percent_decode_str(value).decode_utf8().expect("text").into_owned()
}

/// The cookies as a browser sends them.
fn with(cookies: &[String]) -> HeaderMap {
    let pairs = cookies.iter().map(|cookie| cookie.split(';').next().unwrap_or_default());
    let line = pairs.filter(|pair| !pair.ends_with('=')).collect::<Vec<_>>().join("; ");
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, line.parse().expect("a header"));
    headers
}

fn returned(location: &str) -> Returned {
    Returned { code: "c0de".into(), state: parameter(location, "state"), ..Returned::default() }
}

fn head(method: &str, headers: HeaderMap) -> Parts {
    let mut parts = Request::builder().method(method).body(()).expect("a request").into_parts().0;
    parts.headers = headers;
    parts
}

#[tokio::test]
async fn a_person_signs_in_by_code_and_pkce_and_out_again() {
    let provider = Provider::start().await;
    let sign_in = provider.sign_in();
    let begun = sign_in.begin("", ("/alerts?x=1", "")).await.expect("begins");
    assert!(begun.location.starts_with(&format!("{}/authorize?", provider.url)));
    assert_eq!(parameter(&begun.location, "redirect_uri"), "https://gate.example/auth/callback");
    assert_eq!(parameter(&begun.location, "code_challenge_method"), "S256");
    provider.gives(json!({"nonce": parameter(&begun.location, "nonce")}));
    let done = sign_in.complete(&with(&begun.cookies), &returned(&begun.location)).await;
    let done = sign_in.begin_session(done.expect("signed in"));
    assert_eq!(done.location, "/alerts?x=1");
    for attribute in ["__Host-gatehouse-session=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(done.cookies[0].contains(attribute), "{}", done.cookies[0]);
    }
    let asked = provider.asked.lock().expect("no panic").clone();
    assert!(asked.contains("client_secret=s3cret%26more"), "{asked}");
    let verifier = asked.split("code_verifier=").nth(1).expect("sent");
    let verifier = verifier.split('&').next().expect("a value");
    let verifier = percent_encoding::percent_decode_str(verifier).decode_utf8().expect("text");
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    assert_eq!(challenge, parameter(&begun.location, "code_challenge"));
    let mut headers = with(&done.cookies);
    let principal = sign_in.authenticate(&head("GET", headers.clone())).await.expect("no attack");
    let principal = principal.expect("signed in");
    assert_eq!((principal.name.as_str(), principal.has(Role::Operator)), ("Ann", true));
    assert_eq!(principal.id, format!("{}|ann", provider.url));
    // What changes something needs the session's own token, and no other site's page.
    assert_eq!(
        sign_in.authenticate(&head("POST", headers.clone())).await.expect_err("refused").status,
        403
    );
    let token = sign_in.session(&headers).expect("alive").csrf_token;
    headers.insert(CSRF_HEADER, token.parse().expect("a header"));
    assert!(sign_in.authenticate(&head("POST", headers.clone())).await.expect("ours").is_some());
    headers.insert(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
    assert_eq!(
        sign_in.authenticate(&head("POST", headers.clone())).await.expect_err("refused").status,
        403
    );
    let (url, cookie) = sign_in.end(&headers);
    assert!(url.starts_with(&format!("{}/end?", provider.url)) && cookie.contains("Max-Age=0"));
    assert!(sign_in.authenticate(&head("GET", headers)).await.expect("no attack").is_none());
}

#[tokio::test]
async fn what_does_not_belong_to_this_browsers_sign_in_is_refused() {
    let provider = Provider::start().await;
    let sign_in = provider.sign_in();
    let begun = sign_in.begin("local", ("//evil.example", "")).await.expect("begins");
    let (cookies, good) = (with(&begun.cookies), returned(&begun.location));
    let nonce = parameter(&begun.location, "nonce");
    provider.gives(json!({"nonce": nonce}));
    let status = async |cookies: &HeaderMap, returned: &Returned| {
        sign_in.complete(cookies, returned).await.map_or_else(|why| why.0.problem.status, |_| 303)
    };
    assert_eq!(status(&HeaderMap::new(), &good).await, 400, "no cookie");
    let other = sign_in.begin("local", ("/", "")).await.expect("begins");
    assert_eq!(status(&with(&other.cookies), &good).await, 400, "another sign-in's cookie");
    let stranger = provider.sign_in();
    assert_eq!(
        stranger.complete(&cookies, &good).await.expect_err("refused").0.problem.status,
        400,
        "another seal"
    );
    let denied = Returned { error: "access_denied".into(), ..returned(&begun.location) };
    assert_eq!(status(&cookies, &denied).await, 400);
    let mixed = Returned { iss: "https://evil.example".into(), ..returned(&begun.location) };
    assert_eq!(status(&cookies, &mixed).await, 400, "another provider answers");
    for (changes, expected) in [
        (json!({"nonce": "another"}), 401),
        (json!({"nonce": nonce, "aud": "app-2"}), 401),
        (json!({"nonce": nonce, "aud": ["app-1", "app-2"]}), 401),
        (json!({"nonce": nonce, "iss": "https://evil.example"}), 401),
        (json!({"nonce": nonce, "exp": 1}), 401),
    ] {
        provider.gives(changes.clone());
        assert_eq!(status(&cookies, &good).await, expected, "{changes}");
    }
    provider.gives(json!({"nonce": nonce}));
    let done = sign_in.begin_session(sign_in.complete(&cookies, &good).await.expect("signed in"));
    assert_eq!(done.location, "/", "and it leads to no other site");
    assert!(sign_in.begin("nobody", ("/", "")).await.is_err());
}

#[test]
fn a_public_url_is_asked_for_and_has_tls() {
    let with_url = |url: &str| {
        let client = SignInClient {
            provider: "local".into(),
            client_id: "app".into(),
            client_secret: None,
            scopes: "openid".into(),
        };
        let public_url = url.to_owned();
        let settings = SignInSettings { public_url, clients: vec![client], ..Default::default() };
        settings.check().err().unwrap_or_default()
    };
    assert!(with_url("").contains("public_url"));
    assert!(with_url("http://gate.example").contains("https://"));
    assert_eq!(with_url("http://127.0.0.1:8081"), "");
    assert_eq!(with_url("https://gate.example"), "");
    assert!(SignInSettings::default().check().is_ok());
}

#[test]
fn only_paths_of_our_own_are_returned_to() {
    for (path, kept) in [
        ("/a?b=c", "/a?b=c"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\nSet-Cookie: x", "/"),
    ] {
        assert_eq!(own_path(path), kept);
    }
}
