//! The command line over TLS: the listener must show the certificate that stands in the configuration.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use anyhow::Context;
use gateway::TlsConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::http::{self, Request, Response};

/// Sends a request and reads the whole answer.
pub(crate) fn send(
    address: SocketAddr,
    settings: &TlsConfig,
    request: &Request<'_>,
) -> anyhow::Result<Response> {
    http::converse(connect(address, settings)?, address, request)
}

/// Sends a request; the body of an answer 200 goes into `out`.
pub(crate) fn fetch(
    address: SocketAddr,
    settings: &TlsConfig,
    request: &Request<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<Response> {
    http::save(connect(address, settings)?, address, request, out)
}

fn connect(
    address: SocketAddr,
    settings: &TlsConfig,
) -> anyhow::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::from(address.ip());
    let connection = ClientConnection::new(pinned(settings)?, name)?;
    Ok(StreamOwned::new(connection, http::connect(address)?))
}

/// TLS that believes in the certificate of the configuration and in no other, whatever its name.
fn pinned(settings: &TlsConfig) -> anyhow::Result<Arc<ClientConfig>> {
    let chain = net::certificates(&settings.certificate_file);
    let chain = chain.map_err(|error| anyhow::anyhow!(error.story()))?;
    let leaf = chain.into_iter().next().context("the file holds a certificate")?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Pinned { leaf, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let key = || net::private_key(&settings.key_file).ok();
    // Whoever runs the command can read the listener's own files.
    let config = match (settings.client_certificates, key()) {
        (gateway::ClientCertificates::Required, Some(key)) => {
            let chain = net::certificates(&settings.certificate_file).unwrap_or_default();
            config.with_client_auth_cert(chain, key)?
        }
        _ => config.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// Compares the certificate shown with the one that is known; the handshake proves that its key is
/// there.
#[derive(Debug)]
struct Pinned {
    leaf: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.leaf {
            return Ok(ServerCertVerified::assertion());
        }
        let text = "the listener shows another certificate than the one in admin_tls";
        Err(rustls::Error::General(text.to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
