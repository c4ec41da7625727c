//! Is this token genuine, for us, and of now? Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use policy::{Member, PrincipalKind};
use serde_json::{Map, Value};

use crate::identity::Identity;
use crate::json;
use crate::keys::{KEY_ID_BYTES_MAX, KeySet};
use crate::rejection::{Reason, Rejection};
use crate::settings::Settings;

/// Header members that say where a key is or what it is: a token must not choose its own key.
const KEY_MEMBERS: [&str; 3] = ["jwk", "jku", "x5u"];
/// Groups and roles of one token that are looked at; a token with more is refused.
const LIST_MAX: usize = 2_000;
/// Longest id of whoever a token is about.
const ID_BYTES_MAX: usize = 512;

/// What is compared with what the token must be for, beside the provider's settings.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'a> {
    /// To call this gateway.
    Access,
    /// To sign in: an ID token for this client that answers this nonce.
    SignIn { client_id: &'a str, nonce: &'a str },
}

/// A token taken apart; nothing in it is proven.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    /// What is signed.
    message: &'a str,
    signature: &'a str,
    algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    claims: Map<String, Value>,
}

/// The text has the shape of a token, which no subscription key has.
pub fn looks_like_jwt(text: &str) -> bool {
    text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl<'a> Token<'a> {
    /// Takes a token apart, strictly.
    pub(crate) fn parse(text: &'a str, bytes_max: usize) -> Result<Self, Rejection> {
        if text.len() > bytes_max {
            let message = format!("The token is longer than {bytes_max} bytes.");
            return Err(Rejection::invalid(message));
        }
        let shape = || Rejection::invalid("The token is not three parts with dots between them.");
        let (message, signature) = text.rsplit_once('.').ok_or_else(shape)?;
        let (header, claims) = message.split_once('.').ok_or_else(shape)?;
        if claims.contains('.') || header.is_empty() || claims.is_empty() {
            return Err(shape());
        }
        if signature.is_empty() {
            return Err(Rejection::invalid("The token is not signed."));
        }
        let header = part(header, "header")?;
        let claims = part(claims, "payload")?;
        let (algorithm, key_id) = read_header(&header)?;
        Ok(Self { message, signature, algorithm, key_id, claims })
    }

    /// The issuer it claims.
    pub(crate) fn issuer(&self) -> Result<&str, Rejection> {
        text(&self.claims, "iss")
    }

    /// The member's groups stand elsewhere, because they are too many.
    fn has_overage(&self, groups: &str) -> bool {
        let named = self.claims.get("_claim_names").and_then(Value::as_object);
        let flag = self.claims.get("hasgroups");
        named.is_some_and(|named| named.contains_key(groups))
            || flag.is_some_and(|flag| *flag != Value::Bool(false) && *flag != Value::Null)
    }

    /// Accepts it or says why not. The signature comes first: nothing that is not signed is looked at.
    pub(crate) fn verify(
        &self,
        provider: &Settings,
        keys: &KeySet,
        purpose: Purpose<'_>,
        now: i64,
    ) -> Result<Identity, Rejection> {
        self.check_signature(provider, keys)?;
        let expires_at = self.check_times(provider, now)?;
        let tenant = self.check_tenant(provider)?;
        self.check_audience(provider, purpose)?;
        let client_id = match purpose {
            Purpose::Access => self.check_client(provider)?,
            // Its audience is the client.
            Purpose::SignIn { .. } => String::new(),
        };
        if matches!(purpose, Purpose::Access) && self.claims.contains_key("nonce") {
            return Err(Rejection::invalid("An ID token is for signing in, not for calling."));
        }
        let id = self.id(provider)?;
        let roles = self.list(&provider.claims.roles)?;
        let scopes = self.scopes();
        let kind = self.kind(&id, &client_id, &scopes);
        if let Purpose::Access = purpose
            && kind == PrincipalKind::User
            && !provider.scopes.is_empty()
            && !scopes.iter().any(|scope| provider.scopes.contains(scope))
        {
            return Err(not_allowed("scp"));
        }
        let name = [provider.claims.name.as_str(), "preferred_username", "app_displayname"];
        let name = name.iter().find_map(|name| self.claims.get(*name)?.as_str());
        Ok(Identity {
            provider: provider.id.clone(),
            name: name.unwrap_or(&id).chars().take(256).collect(),
            member: Member {
                user_id: id,
                client_id,
                groups: self.list(&provider.claims.groups)?,
                app_roles: roles,
            },
            kind,
            tenant,
            scopes,
            expires_at,
            is_provisioned: false,
            groups_missing: self.has_overage(&provider.claims.groups),
        })
    }

    fn check_signature(&self, provider: &Settings, keys: &KeySet) -> Result<(), Rejection> {
        if !provider.algorithms.contains(&self.algorithm) {
            return Err(Rejection::invalid(
                "The token is signed with an algorithm that is not allowed.",
            ));
        }
        let candidates = keys.find(self.key_id.as_deref(), self.algorithm);
        if candidates.is_empty() {
            let message = "No key of the provider may have signed the token.";
            return Err(Rejection::new(Reason::TokenSignatureKeyNotFound, message));
        }
        let is_signed_by = |key: &&jsonwebtoken::DecodingKey| {
            let message = self.message.as_bytes();
            let verified =
                jsonwebtoken::crypto::verify(self.signature, message, key, self.algorithm);
            verified.unwrap_or(false)
        };
        match candidates.iter().any(is_signed_by) {
            true => Ok(()),
            false => {
                let message = "The signature of the token is wrong.";
                Err(Rejection::new(Reason::TokenSignatureInvalid, message))
            }
        }
    }

    fn check_times(&self, provider: &Settings, now: i64) -> Result<i64, Rejection> {
        let expires_at = self.time("exp")?.ok_or_else(|| missing("exp"))?;
        if expires_at.saturating_add(provider.clock_skew_s) <= now {
            return Err(Rejection::new(
                Reason::TokenExpired,
                "The token has expired: get a new one.",
            ));
        }
        for name in ["nbf", "iat"] {
            if self.time(name)?.is_some_and(|at| at.saturating_sub(provider.clock_skew_s) > now) {
                return Err(Rejection::invalid("The token is not valid yet: compare the clocks."));
            }
        }
        Ok(expires_at)
    }

    /// Seconds since 1970 (RFC 7519, section 2: a fraction is allowed).
    fn time(&self, name: &str) -> Result<Option<i64>, Rejection> {
        let wrong = || Rejection::invalid(format!("Claim {name} is no time."));
        match self.claims.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => {
                let seconds = number.as_f64().filter(|seconds| (0.0..1e12).contains(seconds));
                #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
                seconds.map(|seconds| Some(seconds as i64)).ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    fn check_tenant(&self, provider: &Settings) -> Result<String, Rejection> {
        let issuer = self.issuer()?;
        let trusted = provider.issuers.iter().find(|(trusted, _)| trusted == issuer);
        let (_, implied) = trusted.ok_or_else(|| {
            Rejection::new(Reason::TokenIssuerNotAllowed, "The issuer of the token is not trusted.")
        })?;
        if provider.tenants.is_empty() {
            return Ok(self.optional("tid")?.unwrap_or_default().to_owned());
        }
        let tenant = text(&self.claims, "tid")?;
        let is_known = provider.tenants.iter().any(|known| known == tenant);
        if !is_known || implied.as_ref().is_some_and(|implied| implied != tenant) {
            return Err(not_allowed("tid"));
        }
        Ok(tenant.to_owned())
    }

    fn check_audience(&self, provider: &Settings, purpose: Purpose<'_>) -> Result<(), Rejection> {
        let wrong = || {
            let message = "The audience of the token is not this gateway.";
            Rejection::new(Reason::TokenAudienceNotAllowed, message)
        };
        let audiences: Vec<&str> = match self.claims.get("aud") {
            None => return Err(missing("aud")),
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several
                .iter()
                .map(Value::as_str)
                .collect::<Option<_>>()
                .ok_or_else(|| Rejection::invalid("Claim aud is no list of texts."))?,
            Some(_) => return Err(Rejection::invalid("Claim aud is no text.")),
        };
        match purpose {
            Purpose::Access => {
                let is_ours =
                    |audience: &&str| provider.audiences.iter().any(|own| own == audience);
                audiences.iter().any(is_ours).then_some(()).ok_or_else(wrong)
            }
            // An ID token is for one client, and answers what was asked (OpenID Connect Core, 3.1.3.7).
            Purpose::SignIn { client_id, nonce } => {
                if audiences != [client_id] {
                    return Err(wrong());
                }
                if text(&self.claims, "nonce")? != nonce {
                    return Err(not_allowed("nonce"));
                }
                Ok(())
            }
        }
    }

    /// The client application that got the token; empty if it names none.
    fn check_client(&self, provider: &Settings) -> Result<String, Rejection> {
        let mut client = None;
        for name in ["azp", "appid", "client_id"] {
            let named = self.optional(name)?;
            if client.is_none() {
                client = named;
            }
        }
        if provider.clients.is_empty() {
            return Ok(client.unwrap_or_default().to_owned());
        }
        let client = client.ok_or_else(|| missing("azp"))?;
        match provider.clients.iter().any(|known| known == client) {
            true => Ok(client.to_owned()),
            false => Err(not_allowed("azp")),
        }
    }

    /// An id that no other provider can claim: `oid` counts only where the tenant was checked.
    fn id(&self, provider: &Settings) -> Result<String, Rejection> {
        let id = match provider.claims.id.as_str() {
            "" if provider.tenants.is_empty() => {
                format!("{}|{}", self.issuer()?, text(&self.claims, "sub")?)
            }
            "" => text(&self.claims, "oid")?.to_owned(),
            claim => text(&self.claims, claim)?.to_owned(),
        };
        match id.len() {
            0..=ID_BYTES_MAX => Ok(id),
            _ => Err(Rejection::invalid("The id in the token is too long.")),
        }
    }

    /// Programs have no scopes, and are about themselves.
    fn kind(&self, id: &str, client_id: &str, scopes: &[String]) -> PrincipalKind {
        let subject = self.claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        let is_about_itself = subject == id || (!client_id.is_empty() && subject == client_id);
        match self.claims.get("idtyp").and_then(Value::as_str) {
            Some("app") => PrincipalKind::Application,
            Some("user") => PrincipalKind::User,
            _ if is_about_itself && (scopes.is_empty() || subject == client_id) => {
                PrincipalKind::Application
            }
            _ => PrincipalKind::User,
        }
    }

    fn scopes(&self) -> Vec<String> {
        let scopes = self.claims.get("scp").or_else(|| self.claims.get("scope"));
        match scopes {
            Some(Value::String(scopes)) => {
                scopes.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
            }
            Some(Value::Array(scopes)) => {
                scopes.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    fn optional(&self, name: &str) -> Result<Option<&str>, Rejection> {
        match self.claims.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(value)) => Ok(Some(value)),
            Some(_) => Err(Rejection::invalid(format!("Claim {name} is no text."))),
        }
    }

    /// A list of texts; a single text is a list of one.
    fn list(&self, name: &str) -> Result<Vec<String>, Rejection> {
        let wrong =
            || Rejection::invalid(format!("Claim {name} is no list of at most {LIST_MAX} texts."));
        match self.claims.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one.clone()]),
            Some(Value::Array(all)) if all.len() <= LIST_MAX => {
                let texts = all.iter().map(|item| item.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }
}

fn part(encoded: &str, what: &str) -> Result<Map<String, Value>, Rejection> {
    let wrong = || Rejection::invalid(format!("The {what} of the token cannot be read."));
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| wrong())?;
    json::object(&bytes).map_err(|_| wrong())
}

/// Algorithm and key id of a header that asks for nothing that we would not do.
fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), Rejection> {
    if let Some(member) = KEY_MEMBERS.iter().find(|member| header.contains_key(**member)) {
        return Err(Rejection::invalid(format!("The token brings its own key ({member}).")));
    }
    for member in ["crit", "b64", "enc", "zip"] {
        if header.contains_key(member) {
            return Err(Rejection::invalid(format!("The token's header holds {member}.")));
        }
    }
    let kind = match header.get("typ") {
        None => "jwt".to_owned(),
        Some(kind) => kind.as_str().unwrap_or_default().to_ascii_lowercase(),
    };
    if !["jwt", "at+jwt", "application/at+jwt", "application/jwt"].contains(&kind.as_str()) {
        return Err(Rejection::invalid("The token's header names another type than JWT."));
    }
    let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let algorithm = algorithm.parse().map_err(|_| {
        Rejection::invalid("The token is signed with an algorithm that is not allowed.")
    })?;
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) if id.len() <= KEY_ID_BYTES_MAX => Some(id.clone()),
        Some(_) => return Err(Rejection::invalid("The token's key id is no short text.")),
    };
    Ok((algorithm, key_id))
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<&'a str, Rejection> {
    match claims.get(name) {
        None => Err(missing(name)),
        Some(Value::String(value)) if !value.is_empty() => Ok(value),
        Some(_) => Err(Rejection::invalid(format!("Claim {name} is no text."))),
    }
}

fn missing(name: &str) -> Rejection {
    let message = format!("JWT token is missing the following claims: {name}. Access denied.");
    Rejection::new(Reason::TokenClaimNotFound, message)
}

fn not_allowed(name: &str) -> Rejection {
    let message = format!("The value of claim {name} is not allowed. Access denied.");
    Rejection::new(Reason::TokenClaimValueNotAllowed, message)
}
