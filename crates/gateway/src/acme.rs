//! Certificates of listeners that an authority issues by ACME (RFC 8555): ordered at the start, renewed when two
//! thirds of their life are over, kept sealed on this disk. The authority proves control over a host by a
//! handshake with the listener itself (`tls-alpn-01`, RFC 8737).
//!
//! While an order fails, the certificate at hand is served on.

mod authority;
mod http;
mod issued;
mod ordered;
mod shelf;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event::{SecurityEvent, Timestamp};
use net::EgressRules;
use serde::Serialize;
use shared::SecurityLog;
use tokio_util::sync::CancellationToken;
use vault::{Embedded, Vault};

use self::authority::Authority;
use self::issued::Issued;
pub use self::ordered::OrderedCertificates;
pub(crate) use self::ordered::{PROOF_PROTOCOL, Resolver};
use self::shelf::Shelf;
use crate::config::AcmeConfig;
use crate::error::Error;

/// Longest time for one order.
const ORDER_TIME_MAX: Duration = Duration::from_secs(300);
/// Longest sleep: a clock that jumps is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Pause after the first failure; it doubles with each.
const PAUSE: Duration = Duration::from_secs(60);
const PAUSE_MAX: Duration = Duration::from_secs(6 * 3_600);
/// Least time between two orders, however short a certificate holds.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);

/// What ordering needs of the rest.
pub struct AcmeWiring {
    /// Which addresses the authority may have.
    pub rules: EgressRules,
    /// Holds the key of the external account.
    pub vault: Vault,
    /// Keeps the account's key and the certificates, sealed.
    pub kept: Embedded,
    /// Where listeners find what is ordered.
    pub ordered: OrderedCertificates,
    /// Where it is noted what became of orders.
    pub security: SecurityLog,
    /// Region this gateway is in.
    pub region: String,
}

/// Orders certificates; clones are the same.
#[derive(Clone)]
pub struct Acme(Arc<Inner>);

struct Inner {
    authority: Authority,
    shelf: Shelf,
    ordered: OrderedCertificates,
    security: SecurityLog,
    region: String,
    wanted: Vec<Vec<String>>,
    standing: Mutex<Vec<CertificateStatus>>,
}

/// How the certificate of a listener stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateStatus {
    /// The hosts that it is for.
    pub hosts: Vec<String>,
    /// When it ends, in seconds since 1970; none while there is none.
    pub ends_at_s: Option<u64>,
    /// When the next order is due, in seconds since 1970.
    pub next_order_at_s: u64,
    /// Why the last order failed; empty if it did not.
    pub trouble: String,
}

/// The certificate of some hosts, and when to order the next.
struct Wanted {
    at: usize,
    due_at: SystemTime,
    failures: u32,
}

impl Acme {
    /// For these hosts, of one listener each.
    pub fn new(
        config: &AcmeConfig,
        hosts: &[Vec<String>],
        wiring: AcmeWiring,
    ) -> Result<Self, Error> {
        config.validate(hosts).map_err(|why| Error(format!("acme: {why}")))?;
        let AcmeWiring { rules, vault, kept, ordered, security, region } = wiring;
        let shelf = Shelf::new(kept);
        let authority = Authority::new(config, rules, vault);
        let mut wanted = hosts.to_vec();
        wanted.sort();
        wanted.dedup();
        let status = |hosts: &Vec<String>| CertificateStatus {
            hosts: hosts.clone(),
            ends_at_s: None,
            next_order_at_s: seconds(SystemTime::now()),
            trouble: String::new(),
        };
        let standing = Mutex::new(wanted.iter().map(status).collect());
        let inner = Inner { authority, shelf, ordered, security, region, wanted, standing };
        Ok(Self(Arc::new(inner)))
    }

    /// How the certificates stand.
    pub fn status(&self) -> Vec<CertificateStatus> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves what is kept, and orders what is missing or old, until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let inner = &*self.0;
        let mut wanted = Vec::new();
        for at in 0..inner.wanted.len() {
            wanted.push(inner.recall(at).await);
        }
        while let Some(next) = wanted.iter_mut().min_by_key(|wanted| wanted.due_at) {
            let wait = next.due_at.duration_since(SystemTime::now()).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(wait.min(SLEEP_MAX)) => {}
                () = stop.cancelled() => return,
            }
            if SystemTime::now() < next.due_at {
                continue;
            }
            tokio::select! {
                () = inner.renew(next) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

impl Inner {
    /// Serves the certificate that is kept.
    async fn recall(&self, at: usize) -> Wanted {
        let hosts = &self.wanted[at];
        let mut wanted = Wanted { at, due_at: SystemTime::now(), failures: 0 };
        match self.shelf.certificate(hosts).await {
            Ok(Some(issued)) => {
                wanted.due_at = issued.renewal_at(rand::random_range(0.95..=1.0));
                self.ordered.serve(hosts, issued.certified.clone());
                self.stand(&wanted, Some(issued.ends_at), String::new());
            }
            Ok(None) => {}
            Err(why) => tracing::warn!(hosts = hosts.join(","), why, "no kept certificate"),
        }
        wanted
    }

    async fn renew(&self, wanted: &mut Wanted) {
        let hosts = &self.wanted[wanted.at];
        let order = tokio::time::timeout(ORDER_TIME_MAX, self.order(hosts)).await;
        let ordered = order.unwrap_or_else(|_| Err("the authority took too long".to_owned()));
        let name = hosts.join(",");
        match ordered {
            Ok((issued, trouble)) => {
                wanted.failures = 0;
                let due_at = issued.renewal_at(rand::random_range(0.95..=1.0));
                wanted.due_at = due_at.max(SystemTime::now() + RENEWAL_PAUSE);
                tracing::info!(hosts = name, "a new certificate is in use");
                self.note("informational", "ordered", &name, "a new certificate is in use");
                self.stand(wanted, Some(issued.ends_at), trouble);
            }
            Err(why) => {
                wanted.failures += 1;
                wanted.due_at = SystemTime::now() + pause(wanted.failures);
                tracing::warn!(hosts = name, why, "a certificate could not be ordered");
                self.note("warning", "not_ordered", &name, &why);
                self.stand(wanted, None, why);
            }
        }
    }

    /// A new certificate, served; with it why it could not be kept, if it could not.
    async fn order(&self, hosts: &[String]) -> Result<(Issued, String), String> {
        let issued = self.authority.order(hosts, &self.ordered, &self.shelf).await?;
        if issued.ends_at <= SystemTime::now() {
            let fix = "compare this machine's clock with the authority's";
            return Err(format!("the new certificate has ended already: {fix}"));
        }
        self.ordered.serve(hosts, issued.certified.clone());
        let kept = self.shelf.keep_certificate(hosts, &issued).await;
        Ok((issued, kept.err().unwrap_or_default()))
    }

    fn stand(&self, wanted: &Wanted, ends_at: Option<SystemTime>, trouble: String) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let status = &mut standing[wanted.at];
        status.next_order_at_s = seconds(wanted.due_at);
        status.ends_at_s = ends_at.map(seconds).or(status.ends_at_s);
        status.trouble = trouble;
    }

    fn note(&self, severity: &str, reason: &str, hosts: &str, message: &str) {
        self.security.note(SecurityEvent {
            time_generated: Timestamp::from(SystemTime::now()),
            kind: "certificate_ordered".to_owned(),
            severity: severity.to_owned(),
            target: hosts.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            region: self.region.clone(),
            ..SecurityEvent::default()
        });
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn pause(failures: u32) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(PAUSE_MAX);
    doubled.mul_f64(rand::random_range(0.8..=1.0))
}

#[cfg(test)]
mod tests;
