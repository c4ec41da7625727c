//! TLS of a listener: versions and ciphers, client certificates, and certificates that change while it
//! listens.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, cipher_suite, default_provider};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use tokio_rustls::TlsAcceptor;

use crate::config::{ClientCertificates, TlsConfig};
use crate::error::Error;

/// TLS of one listener; connections that have begun keep what they began with.
pub struct ServerTls {
    current: ArcSwap<Current>,
}

struct Current {
    server: Arc<ServerConfig>,
    /// What it was made of: the same again changes nothing.
    settings: TlsConfig,
    chain: Vec<CertificateDer<'static>>,
    authorities: Vec<CertificateDer<'static>>,
}

impl ServerTls {
    /// Reads the certificate and its key. The error names the file and the fix.
    pub fn new(settings: &TlsConfig) -> Result<Self, Error> {
        Ok(Self { current: ArcSwap::from_pointee(Current::read(settings)?) })
    }

    /// What the next connection is accepted with.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load().server.clone())
    }

    /// What [`take`](Self::take) would put in force; none if nothing changed.
    pub(crate) fn read_again(&self, settings: &TlsConfig) -> Result<Option<Next>, Error> {
        let next = Current::read(settings)?;
        let current = self.current.load();
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
    fn read(settings: &TlsConfig) -> Result<Self, Error> {
        let read = |file| net::certificates(file).map_err(|error| Error(error.story()));
        let chain = read(&settings.certificate_file)?;
        let wants_clients = settings.client_certificates != ClientCertificates::Ignored;
        let authorities = match wants_clients {
            true if settings.client_ca_file.as_os_str().is_empty() => {
                let text = "tls.client_certificates needs tls.client_ca_file: the authorities that issue them";
                return Err(Error(text.to_owned()));
            }
            true => read(&settings.client_ca_file)?,
            false => Vec::new(),
        };
        let server = Arc::new(server_config(settings, chain.clone(), &authorities)?);
        Ok(Self { server, settings: settings.clone(), chain, authorities })
    }
}

/// TLS as Azure's policy `AppGwSslPolicy20220101S` has it: versions 1.2 and 1.3, ECDHE with AES-GCM.
/// <https://learn.microsoft.com/azure/application-gateway/application-gateway-ssl-policy-overview>
fn server_config(
    settings: &TlsConfig,
    chain: Vec<CertificateDer<'static>>,
    authorities: &[CertificateDer<'static>],
) -> Result<ServerConfig, Error> {
    let key = net::private_key(&settings.key_file).map_err(|error| Error(error.story()))?;
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
    let mut server = builder.with_single_cert(chain, key).map_err(|error| {
        let file = settings.certificate_file.display();
        Error(format!("the certificate {file} and its key do not fit: {error}"))
    })?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Clients keep their sessions themselves, sealed: here none takes memory.
    server.ticketer =
        Ticketer::new().map_err(|error| Error(format!("no session keys: {error}")))?;
    Ok(server)
}
