//! Where listeners find the certificates that are ordered, and what proves control over a host meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The protocol in which an authority asks for a proof (RFC 8737).
pub(crate) const PROOF_PROTOCOL: &[u8] = b"acme-tls/1";

/// Certificates that come while the gateway runs; clones share them.
#[derive(Clone, Debug, Default)]
pub struct OrderedCertificates(Arc<RwLock<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// By the hosts that each is for.
    certificates: HashMap<Vec<String>, Arc<CertifiedKey>>,
    /// By host; there is one while its proof is due.
    proofs: HashMap<String, Arc<CertifiedKey>>,
}

/// Chooses for one listener.
#[derive(Debug)]
pub(crate) struct Resolver {
    pub(crate) hosts: Vec<String>,
    pub(crate) ordered: OrderedCertificates,
}

/// What proves control over a host; it is shown until this goes.
pub(super) struct Proof {
    host: String,
    ordered: OrderedCertificates,
}

impl OrderedCertificates {
    /// New connections for these hosts get this certificate.
    pub(super) fn serve(&self, hosts: &[String], certificate: Arc<CertifiedKey>) {
        self.change(|held| held.certificates.insert(hosts.to_vec(), certificate));
    }

    /// The certificate for these hosts, if there is one.
    pub(crate) fn certificate(&self, hosts: &[String]) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).certificates.get(hosts).cloned()
    }

    /// Shows a proof to who asks for it.
    pub(super) fn prove(&self, host: &str, certificate: Arc<CertifiedKey>) -> Proof {
        let host = host.to_ascii_lowercase();
        self.change(|held| held.proofs.insert(host.clone(), certificate));
        Proof { host, ordered: self.clone() }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Held) -> T) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Proof {
    fn drop(&mut self) {
        self.ordered.change(|held| held.proofs.remove(&self.host));
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_proof = hello.alpn().is_some_and(|mut offered| {
            offered.next() == Some(PROOF_PROTOCOL) && offered.next().is_none()
        });
        if !is_proof {
            return self.ordered.certificate(&self.hosts);
        }
        let held = self.ordered.0.read().unwrap_or_else(PoisonError::into_inner);
        held.proofs.get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }
}
