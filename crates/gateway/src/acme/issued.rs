//! A certificate as it was issued: it fits its key and the hosts it was ordered for.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::certificate;

/// A certificate, its key and its life.
pub(super) struct Issued {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) begins_at: SystemTime,
    pub(super) ends_at: SystemTime,
    pub(super) text: IssuedText,
}

/// The same as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct IssuedText {
    /// The chain in PEM, leaf first.
    pub(super) chain: String,
    /// The key in PEM.
    pub(super) key: String,
}

/// The key does not stay in memory.
impl Drop for IssuedText {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Issued {
    /// Reads it; the error says what does not fit.
    pub(super) fn read(text: IssuedText, hosts: &[String]) -> Result<Self, String> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(text.chain.as_bytes()).collect();
        let chain = chain.map_err(|_| "the certificate is no PEM".to_owned())?;
        let leaf = chain.first().ok_or("there is no certificate")?;
        let parsed = ParsedCertificate::try_from(leaf).map_err(|error| error.to_string())?;
        for host in hosts {
            let name = ServerName::try_from(host.as_str())
                .map_err(|_| format!("`{host}` is no name of a host"))?;
            verify_server_name(&parsed, &name)
                .map_err(|_| format!("the certificate is not for {host}"))?;
        }
        let (begins_at, ends_at) =
            certificate::validity(leaf).ok_or("the certificate does not say how long it holds")?;
        let key = PrivateKeyDer::from_pem_slice(text.key.as_bytes())
            .map_err(|_| "the key is no PEM".to_owned())?;
        let certified = CertifiedKey::from_der(chain, key, &default_provider())
            .map_err(|error| format!("the certificate does not fit its key: {error}"))?;
        Ok(Self { certified: Arc::new(certified), begins_at, ends_at, text })
    }

    /// When to order the next: after two thirds of its life, a little earlier by chance.
    pub(super) fn renewal_at(&self, chance: f64) -> SystemTime {
        let life = self.ends_at.duration_since(self.begins_at).unwrap_or_default();
        self.begins_at + life.mul_f64(2.0 / 3.0 * chance)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn hosts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn made(names: &[&str]) -> (IssuedText, KeyPair) {
        let mut params = CertificateParams::new(hosts(names)).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 11, 1);
        params.not_after = rcgen::date_time_ymd(2026, 12, 1);
        let key = KeyPair::generate().unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        (IssuedText { chain, key: key.serialize_pem() }, key)
    }

    #[test]
    fn a_certificate_is_for_its_hosts_and_renewed_when_two_thirds_are_over() {
        let issued = Issued::read(made(&["a.internal", "b.internal"]).0, &hosts(&["b.internal"]));
        let issued = issued.expect("it fits");
        let day = Duration::from_secs(86_400);
        assert_eq!(issued.ends_at, issued.begins_at + 30 * day);
        assert_eq!(issued.renewal_at(1.0), issued.begins_at + 20 * day);
        assert!(issued.renewal_at(0.95) < issued.begins_at + 20 * day);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let wanted = hosts(&["a.internal"]);
        let refused = |text: IssuedText| Issued::read(text, &wanted).err().expect("refused");
        let other = refused(made(&["b.internal"]).0);
        assert!(other.contains("not for a.internal"), "{other}");
        let (mut text, _) = made(&["a.internal"]);
        text.key = KeyPair::generate().unwrap().serialize_pem();
        let stolen = refused(text);
        assert!(stolen.contains("does not fit its key"), "{stolen}");
        let none = refused(IssuedText { chain: String::new(), key: String::new() });
        assert!(none.contains("no certificate"), "{none}");
        assert!(!none.contains("PRIVATE"), "{none}");
    }
}
