//! One order at the authority: account, proofs, request, certificate.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, ExternalAccountKey, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use net::EgressRules;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;
use vault::Vault;

use super::http::Http;
use super::issued::{Issued, IssuedText};
use super::ordered::{OrderedCertificates, Proof};
use super::shelf::{KeptAccount, Shelf};
use crate::config::AcmeConfig;

/// How long and how often it is asked whether it has looked at the proofs, or made the certificate.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(90)).backoff(1.5);

/// The authority, as one account of it.
pub(super) struct Authority {
    config: AcmeConfig,
    rules: EgressRules,
    vault: Vault,
    account: tokio::sync::Mutex<Option<Account>>,
}

impl Authority {
    pub(super) fn new(config: &AcmeConfig, rules: EgressRules, vault: Vault) -> Self {
        Self { config: config.clone(), rules, vault, account: tokio::sync::Mutex::default() }
    }

    /// A certificate for these hosts. The proofs are shown while it is ordered.
    pub(super) async fn order(
        &self,
        hosts: &[String],
        ordered: &OrderedCertificates,
        shelf: &Shelf,
    ) -> Result<Issued, String> {
        let account = self.account(shelf).await?;
        let names: Vec<_> = hosts.iter().map(|host| Identifier::Dns(host.clone())).collect();
        let mut order = match account.new_order(&NewOrder::new(&names)).await {
            Err(instant_acme::Error::Api(problem)) if is_unknown_account(&problem) => {
                *self.account.lock().await = None;
                shelf.forget_account().await?;
                let text =
                    "the authority does not know the account: the next order makes a new one";
                return Err(text.to_owned());
            }
            order => order.map_err(told)?,
        };
        let proofs = prove(&mut order, ordered).await?;
        let status = match order.state().status {
            // Proofs of before still hold.
            OrderStatus::Ready => OrderStatus::Ready,
            _ => order.poll_ready(&PATIENCE).await.map_err(told)?,
        };
        if status != OrderStatus::Ready {
            return Err(refusal(&mut order).await);
        }
        drop(proofs);
        let mut params = CertificateParams::new(hosts).map_err(unmade)?;
        params.distinguished_name = DistinguishedName::new();
        let key = KeyPair::generate().map_err(unmade)?;
        let request = params.serialize_request(&key).map_err(unmade)?;
        order.finalize_csr(request.der()).await.map_err(told)?;
        let chain = order.poll_certificate(&PATIENCE).await.map_err(told)?;
        Issued::read(IssuedText { chain, key: key.serialize_pem() }, hosts)
    }

    /// The account: the one at hand, the one that is kept, or a new one, which is kept first.
    async fn account(&self, shelf: &Shelf) -> Result<Account, String> {
        let mut held = self.account.lock().await;
        if let Some(account) = &*held {
            return Ok(account.clone());
        }
        let url = &self.config.directory_url;
        let builder = || {
            let http = Http::new(&self.config.connection, self.rules.clone());
            Account::builder_with_http(Box::new(http))
        };
        let kept = shelf.account().await?.filter(|kept| kept.directory_url == *url);
        let account = match kept {
            Some(kept) => builder().from_credentials(kept.credentials).await.map_err(told)?,
            None => {
                let contacts: Vec<_> = self.config.contacts.iter().map(String::as_str).collect();
                let new = NewAccount {
                    contact: &contacts,
                    terms_of_service_agreed: self.config.accepts_terms,
                    only_return_existing: false,
                };
                let external = self.external_account().await?;
                let made = builder().create(&new, url.clone(), external.as_ref()).await;
                let (account, credentials) = made.map_err(told)?;
                let kept = KeptAccount { directory_url: url.clone(), credentials };
                shelf.keep_account(&kept).await?;
                account
            }
        };
        Ok(held.insert(account).clone())
    }

    async fn external_account(&self) -> Result<Option<ExternalAccountKey>, String> {
        let Some(config) = &self.config.external_account else { return Ok(None) };
        let key = self.vault.get(&config.key).await.map_err(|error| error.story())?;
        let key = BASE64
            .decode(key.expose().trim_end_matches('='))
            .map_err(|_| format!("acme.external_account.key: {} is no base64url", config.key))?;
        Ok(Some(ExternalAccountKey::new(config.key_id.clone(), &key)))
    }
}

/// Shows the proofs that are due, and tells the authority so.
async fn prove(order: &mut Order, ordered: &OrderedCertificates) -> Result<Vec<Proof>, String> {
    let mut proofs = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(next) = authorizations.next().await {
        let mut authorization = next.map_err(told)?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status => return Err(format!("an authorization is {status:?} already")),
        }
        let mut challenge = authorization.challenge(ChallengeType::TlsAlpn01).ok_or(
            "the authority takes no proof by tls-alpn-01, which is the only one given here",
        )?;
        let host = challenge.identifier().to_string();
        let digest = challenge.key_authorization().digest();
        proofs.push(ordered.prove(&host, proof(&host, digest.as_ref())?));
        challenge.set_ready().await.map_err(told)?;
    }
    Ok(proofs)
}

/// The certificate that proves control over a host (RFC 8737, section 3).
pub(super) fn proof(host: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, String> {
    let mut params = CertificateParams::new([host.to_owned()]).map_err(unmade)?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let pair = KeyPair::generate().map_err(unmade)?;
    let certificate = params.self_signed(&pair).map_err(unmade)?;
    let key = PrivateKeyDer::try_from(pair.serialize_der()).map_err(str::to_owned)?;
    let key = default_provider().key_provider.load_private_key(key);
    let key = key.map_err(|error| error.to_string())?;
    // Whether they fit is not asked: what reads certificates takes none with the extension of a proof.
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}

/// Why the authority did not take the proofs.
async fn refusal(order: &mut Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let host = state.identifier().to_string();
        let errors = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(errors.map(|error| format!("{host}: {error}")));
    }
    let fix = "its connection to port 443 of the host must reach this listener";
    format!("the authority did not take the proof ({fix}): {}", reasons.join("; "))
}

/// The authority has lost it, or another one stands behind the same URL.
fn is_unknown_account(problem: &Problem) -> bool {
    problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
}

fn told(error: instant_acme::Error) -> String {
    match error {
        instant_acme::Error::Json(error) => {
            format!("what answers is no ACME server: check acme.directory_url: {error}")
        }
        error => format!("the authority: {error}"),
    }
}

fn unmade(error: rcgen::Error) -> String {
    format!("no certificate can be made: {error}")
}
