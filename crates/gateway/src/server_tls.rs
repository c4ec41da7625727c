//! TLS of a listener: versions and ciphers, client certificates, and certificates that change while it
//! listens.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, cipher_suite, default_provider};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use tokio_rustls::TlsAcceptor;

use crate::acme::{OrderedCertificates, PROOF_PROTOCOL, Resolver};
use crate::certificate;
use crate::config::{ClientCertificates, TlsConfig};
use crate::error::Error;

/// TLS of one listener; connections that have begun keep what they began with.
pub struct ServerTls {
    current: ArcSwap<Current>,
    ordered: OrderedCertificates,
}

struct Current {
    server: Arc<ServerConfig>,
    /// What it was made of: the same again changes nothing.
    settings: TlsConfig,
    chain: Vec<CertificateDer<'static>>,
    authorities: Vec<CertificateDer<'static>>,
}

impl ServerTls {
    /// Reads the certificate and its key, or takes it from those that are ordered. The error names the file
    /// and the fix.
    pub fn new(settings: &TlsConfig, ordered: &OrderedCertificates) -> Result<Self, Error> {
        let current = ArcSwap::from_pointee(Current::read(settings, ordered)?);
        Ok(Self { current, ordered: ordered.clone() })
    }

    /// What the next connection is accepted with.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load().server.clone())
    }

    /// When the certificate that is shown ends; none while there is none.
    pub fn ends_at(&self) -> Option<SystemTime> {
        let current = self.current.load();
        let ordered = self.ordered.certificate(&current.settings.acme_hosts);
        let leaf = match &ordered {
            Some(ordered) => ordered.cert.first(),
            None => current.chain.first(),
        };
        certificate::validity(leaf?).map(|(_, ends_at)| ends_at)
    }

    /// What [`take`](Self::take) would put in force; none if nothing changed.
    pub(crate) fn read_again(&self, settings: &TlsConfig) -> Result<Option<Next>, Error> {
        let current = self.current.load();
        if settings.acme_hosts != current.settings.acme_hosts {
            // What is ordered is settled at the start.
            return Ok(None);
        }
        let next = Current::read(settings, &self.ordered)?;
        let is_same = next.settings == current.settings
            && next.chain == current.chain
            && next.authorities == current.authorities;
        Ok((!is_same).then(|| Next(Arc::new(next))))
    }

    /// New connections get the new certificate.
    pub(crate) fn take(&self, next: Next) {
        self.current.store(next.0);
    }

    /// Reads the files again; true if something changed.
    pub fn reload(&self, settings: &TlsConfig) -> Result<bool, Error> {
        let next = self.read_again(settings)?;
        let is_new = next.is_some();
        next.into_iter().for_each(|next| self.take(next));
        Ok(is_new)
    }
}

/// A certificate that was read and fits its key.
pub(crate) struct Next(Arc<Current>);

impl Current {
    fn read(settings: &TlsConfig, ordered: &OrderedCertificates) -> Result<Self, Error> {
        settings.validate()?;
        let read = |file| net::certificates(file).map_err(|error| Error(error.story()));
        let chain = match settings.acme_hosts.is_empty() {
            true => read(&settings.certificate_file)?,
            false => Vec::new(),
        };
        let wants_clients = settings.client_certificates != ClientCertificates::Ignored;
        let authorities = match wants_clients {
            true => read(&settings.client_ca_file)?,
            false => Vec::new(),
        };
        let resolver = Resolver { hosts: settings.acme_hosts.clone(), ordered: ordered.clone() };
        let server = Arc::new(server_config(settings, chain.clone(), &authorities, resolver)?);
        Ok(Self { server, settings: settings.clone(), chain, authorities })
    }
}

/// TLS as Azure's policy `AppGwSslPolicy20220101S` has it: versions 1.2 and 1.3, ECDHE with AES-GCM.
/// <https://learn.microsoft.com/azure/application-gateway/application-gateway-ssl-policy-overview>
fn server_config(
    settings: &TlsConfig,
    chain: Vec<CertificateDer<'static>>,
    authorities: &[CertificateDer<'static>],
    resolver: Resolver,
) -> Result<ServerConfig, Error> {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        ..default_provider()
    });
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3");
    let builder = match settings.client_certificates {
        ClientCertificates::Ignored => builder.with_no_client_auth(),
        wanted => {
            let file = settings.client_ca_file.display();
            let unusable = |error: &dyn std::fmt::Display| {
                Error(format!("{file} holds no usable authority of client certificates: {error}"))
            };
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority.clone()).map_err(|error| unusable(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match wanted {
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(&error))?)
        }
    };
    let mut protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut server = if settings.acme_hosts.is_empty() {
        let key = net::private_key(&settings.key_file).map_err(|error| Error(error.story()))?;
        builder.with_single_cert(chain, key).map_err(|error| {
            let file = settings.certificate_file.display();
            Error(format!("the certificate {file} and its key do not fit: {error}"))
        })?
    } else {
        protocols.push(PROOF_PROTOCOL.to_vec());
        builder.with_cert_resolver(Arc::new(resolver))
    };
    server.alpn_protocols = protocols;
    // Clients keep their sessions themselves, sealed: here none takes memory.
    server.ticketer =
        Ticketer::new().map_err(|error| Error(format!("no session keys: {error}")))?;
    Ok(server)
}
