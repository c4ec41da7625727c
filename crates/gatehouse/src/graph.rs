//! The gateway's own credential for Microsoft Graph, where groups are looked up that do not fit into a
//! token.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use identity::GraphAccess;
use vault::{Carrier, Credential, CredentialSource, Vault};

use crate::config::GraphCredentialConfig;

/// How long a look-up waits for the first token after a start.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two looks at whether it is there.
const PAUSE: Duration = Duration::from_millis(50);

/// A credential for the Graph of each provider that has one.
pub(crate) struct GraphCredentials(HashMap<String, Arc<Credential>>);

impl GraphCredentials {
    /// Fetches tokens from now on, ahead of their end. Call it within a runtime.
    pub(crate) fn new(
        configs: &[GraphCredentialConfig],
        vault: &Vault,
    ) -> Result<Self, vault::Error> {
        let mut all = HashMap::new();
        for config in configs {
            let source = CredentialSource::Token(config.auth.clone(), config.scope.clone());
            let owner = format!("graph of {}", config.provider);
            let credential = vault.credential(&owner, &source, Carrier::Bearer)?;
            all.insert(config.provider.clone(), credential);
        }
        Ok(Self(all))
    }
}

#[async_trait]
impl GraphAccess for GraphCredentials {
    async fn token(&self, provider: &str) -> Result<String, String> {
        let credential = self.0.get(provider);
        let credential = credential
            .ok_or_else(|| format!("`graph` in the configuration has no entry for `{provider}`"))?;
        let header = tokio::time::timeout(PATIENCE, async {
            loop {
                match credential.header() {
                    Some(header) => break header,
                    None => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        let header = header.await.map_err(|_| match credential.trouble() {
            trouble if trouble.is_empty() => "there is no token for Graph yet".to_owned(),
            trouble => trouble,
        })?;
        let text = header.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
        text.map(str::to_owned).ok_or_else(|| "the token for Graph is none".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use identity::{GraphConfig, IdentityConfig, ProviderConfig, Verifier};
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use vault::{ClientSecretConfig, SecretRef, VaultConfig};

    use super::*;

    const KEYS: &str = include_str!("../../identity/testdata/jwks.json");
    const SIGNER: &str = include_str!("../../identity/testdata/provider.pem");
    const NOW: i64 = 1_800_000_000;

    /// Entra ID's token endpoint, the provider's keys and Graph, in one.
    struct Server {
        url: String,
        /// Requests for tokens and groups, as they came.
        asked: Arc<Mutex<Vec<String>>>,
        is_down: Arc<Mutex<bool>>,
    }

    impl Server {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
            let url = format!("http://{}", listener.local_addr().expect("bound"));
            let (asked, is_down) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<bool>>::default());
            let (seen, own, down) = (asked.clone(), url.clone(), is_down.clone());
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut request = Vec::new();
                    let mut piece = [0; 4_096];
                    loop {
                        let read = stream.read(&mut piece).await.unwrap_or(0);
                        request.extend_from_slice(&piece[..read]);
                        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
                        let length = text.split("content-length: ").nth(1);
                        let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
                        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
                        if read == 0 || body.is_some_and(|body| body >= length.unwrap_or(0)) {
                            break;
                        }
                    }
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let is_down = *down.lock().expect("no panic");
                    let (status, body) = answer(&text, &own, is_down);
                    if text.starts_with("POST") {
                        seen.lock().expect("no panic").push(text);
                    }
                    let head = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                }
            });
            Self { url, asked, is_down }
        }

        fn verifier(&self, has_credential: bool) -> Verifier {
            let provider = ProviderConfig {
                id: "entra".into(),
                issuer: self.url.clone(),
                audiences: vec!["api-1".into()],
                tenants: vec!["tenant-1".into()],
                graph: GraphConfig { url: format!("{}/v1.0", self.url) },
                ..ProviderConfig::default()
            };
            let mut config = IdentityConfig { providers: vec![provider], ..Default::default() };
            config.egress.allow.push("127.0.0.0/8".parse().expect("a network"));
            let mut homes = VaultConfig::default();
            homes.egress.allow.push("127.0.0.0/8".parse().expect("a network"));
            let vault = Vault::new(&homes, |_| {}).expect("valid");
            let folder = tempfile::TempDir::new().expect("a folder");
            let secret = folder.keep().join("secret");
            std::fs::write(&secret, "graph-secret").expect("writes");
            let auth = vault::Identity::ClientSecret(ClientSecretConfig {
                tenant: "tenant-1".into(),
                client_id: "gatehouse".into(),
                secret: SecretRef::File(secret),
                authority: self.url.clone(),
            });
            let scope = "https://graph.microsoft.com/.default".to_owned();
            let entry = GraphCredentialConfig { provider: "entra".into(), auth, scope };
            let entries = if has_credential { vec![entry] } else { Vec::new() };
            let graph = GraphCredentials::new(&entries, &vault).expect("valid");
            Verifier::new(&config, Some(Arc::new(graph))).expect("valid")
        }

        /// A person's token with the overage claim, which points elsewhere.
        fn token(&self, oid: &str) -> String {
            let claims = json!({
                "iss": self.url, "aud": "api-1", "tid": "tenant-1", "oid": oid, "sub": oid,
                "iat": NOW, "exp": NOW + 3_600, "scp": "Models.Use",
                "_claim_names": {"groups": "src1"},
                "_claim_sources": {"src1": {"endpoint": "https://evil.example/groups"}},
            });
            let header = Header { kid: Some("key-1".into()), ..Header::new(Algorithm::RS256) };
            let key = EncodingKey::from_rsa_pem(SIGNER.as_bytes()).expect("a key");
            jsonwebtoken::encode(&header, &claims, &key).expect("signs")
        }

        fn asked(&self) -> Vec<String> {
            std::mem::take(&mut *self.asked.lock().expect("no panic"))
        }
    }

    fn answer(request: &str, url: &str, is_down: bool) -> (&'static str, String) {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let no = |status| (status, json!({"error": {"code": "Request_Denied"}}).to_string());
        match path {
            "/keys" => ("200 OK", KEYS.to_owned()),
            "/tenant-1/oauth2/v2.0/token" => {
                let token = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "graph-token"});
                ("200 OK", token.to_string())
            }
            path if path.starts_with("/v1.0/users/") => {
                let is_ours = request.to_lowercase().contains("authorization: bearer graph-token");
                let ids: Vec<Value> = (0..300).map(|id| json!(format!("group-{id}"))).collect();
                let found = json!({
                    "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#Collection(Edm.String)",
                    "value": ids,
                });
                match (is_ours, is_down) {
                    (true, false) => ("200 OK", found.to_string()),
                    (true, true) => no("503 Service Unavailable"),
                    (false, _) => no("401 Unauthorized"),
                }
            }
            _ => ("200 OK", json!({"issuer": url, "jwks_uri": format!("{url}/keys")}).to_string()),
        }
    }

    #[tokio::test]
    async fn groups_beyond_the_token_are_looked_up_with_the_gateways_own_credential() {
        let server = Server::start().await;
        let verifier = server.verifier(true);
        let identity = verifier.verify(&server.token("oid-1"), NOW).await.expect("accepted");
        assert_eq!(identity.member.groups.len(), 300);
        assert!(!identity.groups_missing);
        let asked = server.asked();
        assert!(
            asked[0].contains("client_secret=graph-secret")
                && asked[0].contains("graph.microsoft.com")
        );
        assert!(asked[1].starts_with("POST /v1.0/users/oid-1/getMemberObjects "), "{}", asked[1]);
        assert!(asked[1].contains(r#"{"securityEnabledOnly":false}"#));
    }

    #[tokio::test]
    async fn without_graph_or_a_credential_such_groups_grant_nothing() {
        let server = Server::start().await;
        *server.is_down.lock().expect("no panic") = true;
        let verifier = server.verifier(true);
        let identity = verifier.verify(&server.token("oid-1"), NOW).await.expect("accepted");
        assert!(identity.groups_missing && identity.member.groups.is_empty());
        // A failure is believed for seconds only.
        *server.is_down.lock().expect("no panic") = false;
        let identity = verifier.verify(&server.token("oid-1"), NOW + 11).await.expect("accepted");
        assert_eq!(identity.member.groups.len(), 300);
        let without = server.verifier(false);
        let identity = without.verify(&server.token("oid-1"), NOW).await.expect("accepted");
        assert!(identity.groups_missing && identity.member.groups.is_empty());
    }
}
