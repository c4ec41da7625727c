//! Tokens of Microsoft Entra ID: by client secret, client certificate, managed identity (the machine's
//! metadata service, or the endpoint of App Service), and workload identity.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaEncoding};
use aws_lc_rs::{digest, rand::SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::{HeaderValue, Request};
use net::{Body, ClientConfig, EgressConfig, EgressRules};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::call::{Answer, Caller, encoded, form};
use crate::config::{
    CertificateConfig, ClientSecretConfig, Identity, ManagedIdentityConfig, public_authority,
};
use crate::secret::Hidden;
use crate::vault::Inner;
use crate::{Error, ErrorKind, Secret, SecretRef};

/// The machine's metadata service.
const METADATA: &str = "http://169.254.169.254";
const METADATA_PATH: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01";
/// How long a signed assertion holds.
const ASSERTION_S: u64 = 600;
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// A token that is said to hold longer is asked for again after this.
const LIFE_MAX: Duration = Duration::from_secs(86_400);

/// A token, and how long it holds.
pub(crate) struct Token {
    pub(crate) secret: Secret,
    pub(crate) life: Duration,
}

/// Where tokens of one identity for one scope come from.
pub(crate) struct TokenSource {
    identity: Identity,
    scope: String,
    caller: Caller,
    /// Path of the token endpoint.
    path: String,
    /// What App Service wants to be shown.
    endpoint_key: Option<Secret>,
}

/// A number, or a text that holds one: managed identities answer with texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
struct Issued {
    access_token: Hidden,
    #[serde(default)]
    expires_in: Option<Seconds>,
    #[serde(default)]
    expires_on: Option<Seconds>,
}

impl Seconds {
    fn value(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl TokenSource {
    pub(crate) fn new(identity: &Identity, scope: &str, rules: EgressRules) -> Result<Self, Error> {
        let connection = ClientConfig::default();
        let mut endpoint_key = None;
        let (base, path, rules) = match identity {
            Identity::ClientSecret(ClientSecretConfig { tenant, authority, .. })
            | Identity::ClientCertificate(CertificateConfig { tenant, authority, .. }) => {
                (authority.clone(), token_path(tenant), rules)
            }
            Identity::WorkloadIdentity(config) => {
                let authority = given(&config.authority, "AZURE_AUTHORITY_HOST")
                    .unwrap_or_else(|_| public_authority());
                let tenant = given(&config.tenant, "AZURE_TENANT_ID")?;
                (authority, token_path(&tenant), rules)
            }
            Identity::ManagedIdentity(config) => {
                let (base, path, key) = managed_endpoint(config, scope)?;
                endpoint_key = key;
                let rules = if base == METADATA { metadata_only() } else { rules };
                (base, path, rules)
            }
        };
        let base = base.trim_end_matches('/');
        let is_metadata = endpoint_key.is_some() || base == METADATA;
        if base.starts_with("http://") && !is_metadata && !is_loopback(base) {
            let text = format!("token endpoint `{base}` is not encrypted: use https");
            return Err(Error::new(ErrorKind::Config, text));
        }
        let caller = Caller::new(base, &connection, rules, identity.endpoint_name())?;
        let (identity, scope) = (identity.clone(), scope.to_owned());
        Ok(Self { identity, scope, caller, path, endpoint_key })
    }

    /// What it is, for people.
    pub(crate) fn name(&self) -> String {
        format!("token for {} from {}", self.scope, self.identity.endpoint_name())
    }

    /// A new token. What proves the identity comes from its home.
    pub(crate) async fn fetch(
        &self,
        homes: &Inner,
        now: SystemTime,
    ) -> Result<Token, (Error, Option<Duration>)> {
        let request = self.request(homes, now).await;
        let request = request.map_err(|error| (error.of(&self.name()), None))?;
        let sent = self.caller.send(request).await;
        let answer = sent.map_err(|error| (error.of(&self.name()), None))?;
        self.issued(&answer, now).map_err(|error| (error, answer.pause))
    }

    fn issued(&self, answer: &Answer, now: SystemTime) -> Result<Token, Error> {
        let issued: Issued = answer.read(&self.name())?;
        let now_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let until = issued.expires_on.as_ref().and_then(Seconds::value);
        let life = issued.expires_in.as_ref().and_then(Seconds::value);
        let life = life.or_else(|| until.map(|until| until.saturating_sub(now_s)));
        let life = life.filter(|life| *life > 0).ok_or_else(|| {
            let text = format!("{} does not say how long it holds", self.name());
            Error::new(ErrorKind::Unavailable, text)
        })?;
        Ok(Token { secret: issued.access_token.0, life: Duration::from_secs(life).min(LIFE_MAX) })
    }

    async fn request(&self, homes: &Inner, now: SystemTime) -> Result<Request<Body>, Error> {
        match &self.identity {
            Identity::ManagedIdentity(_) => {
                let mut request = Request::get(self.path.as_str());
                request = match &self.endpoint_key {
                    Some(key) => {
                        let mut value = HeaderValue::from_str(key.expose()).map_err(|_| {
                            Error::new(ErrorKind::Config, "IDENTITY_HEADER fits in no header")
                        })?;
                        value.set_sensitive(true);
                        request.header("x-identity-header", value)
                    }
                    None => request.header("metadata", "true"),
                };
                Ok(request.body(Body::empty()).expect("path and headers were checked"))
            }
            Identity::ClientSecret(config) => {
                let secret = homes.login(&config.secret).await?;
                Ok(self.post(&config.client_id, &[("client_secret", secret.expose())]))
            }
            Identity::ClientCertificate(config) => {
                let pem = homes.login(&config.certificate).await?;
                let audience = format!("{}{}", config.authority.trim_end_matches('/'), self.path);
                let assertion = assertion(&pem, &config.client_id, &audience, now)
                    .map_err(|error| error.of(&config.certificate))?;
                Ok(self.post_assertion(&config.client_id, &assertion))
            }
            Identity::WorkloadIdentity(config) => {
                let client_id = given(&config.client_id, "AZURE_CLIENT_ID")?;
                let file = match config.token_file.as_os_str().is_empty() {
                    true => PathBuf::from(given("", "AZURE_FEDERATED_TOKEN_FILE")?),
                    false => config.token_file.clone(),
                };
                // The platform replaces it: it is read anew each time.
                let token = homes.login(&SecretRef::File(file)).await?;
                Ok(self.post_assertion(&client_id, token.expose()))
            }
        }
    }

    fn post_assertion(&self, client_id: &str, assertion: &str) -> Request<Body> {
        let fields = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)];
        self.post(client_id, &fields)
    }

    fn post(&self, client_id: &str, proof: &[(&str, &str)]) -> Request<Body> {
        let mut fields = vec![
            ("client_id", client_id),
            ("scope", self.scope.as_str()),
            ("grant_type", "client_credentials"),
        ];
        fields.extend_from_slice(proof);
        Request::post(self.path.as_str())
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form(&fields))
            .expect("the path was encoded")
    }
}

impl Identity {
    const fn endpoint_name(&self) -> &'static str {
        match self {
            Self::ClientSecret(_) => "Entra ID (client secret)",
            Self::ClientCertificate(_) => "Entra ID (client certificate)",
            Self::WorkloadIdentity(_) => "Entra ID (workload identity)",
            Self::ManagedIdentity(_) => "the managed identity's endpoint",
        }
    }
}

fn token_path(tenant: &str) -> String {
    format!("/{}/oauth2/v2.0/token", &*encoded(tenant))
}

/// Origin, path and key of the endpoint that hands out tokens of the machine's identity.
fn managed_endpoint(
    config: &ManagedIdentityConfig,
    scope: &str,
) -> Result<(String, String, Option<Secret>), Error> {
    let resource = encoded(scope.strip_suffix("/.default").unwrap_or(scope));
    let client = match config.client_id.as_str() {
        "" => String::new(),
        id => format!("&client_id={}", &*encoded(id)),
    };
    let endpoint = given(&config.endpoint, "IDENTITY_ENDPOINT").ok();
    let key = std::env::var("IDENTITY_HEADER").ok().map(Secret::new);
    if let (Some(endpoint), Some(key)) = (&endpoint, key) {
        // https://learn.microsoft.com/azure/app-service/overview-managed-identity
        let (base, path) = split(endpoint)?;
        let path = format!("{path}?api-version=2019-08-01&resource={}{client}", &*resource);
        return Ok((base, path, Some(key)));
    }
    let base = match config.endpoint.as_str() {
        "" => METADATA.to_owned(),
        given => given.trim_end_matches('/').to_owned(),
    };
    Ok((base, format!("{METADATA_PATH}&resource={}{client}", &*resource), None))
}

/// Origin and path of a URL.
fn split(url: &str) -> Result<(String, String), Error> {
    let uri: Result<http::Uri, _> = url.parse();
    let parts = uri.ok().and_then(|uri| {
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        Some((format!("{scheme}://{authority}"), uri.path().to_owned()))
    });
    parts.ok_or_else(|| Error::new(ErrorKind::Config, "IDENTITY_ENDPOINT is no URL"))
}

/// What the setting says, or else the environment.
fn given(setting: &str, variable: &str) -> Result<String, Error> {
    if !setting.is_empty() {
        return Ok(setting.to_owned());
    }
    std::env::var(variable).ok().filter(|text| !text.is_empty()).ok_or_else(|| {
        let text = format!("neither set in the configuration nor as {variable} in the environment");
        Error::new(ErrorKind::Config, text)
    })
}

/// The metadata service and nothing else.
fn metadata_only() -> EgressRules {
    let network = "169.254.169.254/32".parse().expect("the network is well formed");
    EgressRules::new(&EgressConfig::only(vec![network]))
}

fn is_loopback(base: &str) -> bool {
    let host = base.trim_start_matches("http://");
    ["127.", "localhost", "[::1]"].iter().any(|start| host.starts_with(start))
}

/// What proves that the application holds the key of its certificate, as Entra ID reads it.
/// <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>
fn assertion(
    pem: &Secret,
    client_id: &str,
    audience: &str,
    now: SystemTime,
) -> Result<Zeroizing<String>, Error> {
    let wrong = |what: &str| Error::new(ErrorKind::Config, what);
    let text = pem.expose().as_bytes();
    let certificate = CertificateDer::from_pem_slice(text)
        .map_err(|_| wrong("holds no PEM certificate: put certificate and key in one text"))?;
    let key = PrivateKeyDer::from_pem_slice(text)
        .map_err(|_| wrong("holds no PEM key: put certificate and key in one text"))?;
    let pair = match &key {
        PrivateKeyDer::Pkcs8(key) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => KeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err(wrong("holds a key that is not RSA: Entra ID takes RSA keys only")),
    };
    let pair = pair.map_err(|_| wrong("holds a key that is not RSA: Entra ID takes RSA only"))?;
    let thumbprint = BASE64.encode(digest::digest(&digest::SHA256, &certificate));
    let now_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|_| Error::new(ErrorKind::Unavailable, "the system gives no random bytes"))?;
    let header = json!({"alg": "RS256", "typ": "JWT", "x5t#S256": thumbprint});
    let claims = json!({
        "aud": audience, "iss": client_id, "sub": client_id, "jti": BASE64.encode(id),
        "iat": now_s, "nbf": now_s, "exp": now_s + ASSERTION_S,
    });
    let encode = |value: serde_json::Value| BASE64.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mut signature = vec![0; pair.public_modulus_len()];
    let padding: &'static dyn RsaEncoding = &RSA_PKCS1_SHA256;
    pair.sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| wrong("holds a key that does not sign"))?;
    Ok(Zeroizing::new(format!("{signed}.{}", BASE64.encode(signature))))
}
