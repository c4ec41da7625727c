//! TLS towards origins, and reading of certificates and keys.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig as TlsConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{ClientConfig, Error, ErrorKind, Http2Mode};

/// The certificates of a PEM file, leaf first.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |source| {
        let text =
            format!("cannot read certificates from {}, which must be a PEM file", path.display());
        Error::caused(ErrorKind::Config, text, source)
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect();
    let found = found.map_err(wrong)?;
    if found.is_empty() {
        let text = format!("{} holds no certificate: give a PEM file", path.display());
        return Err(Error::new(ErrorKind::Config, text));
    }
    Ok(found)
}

/// The private key of a PEM file.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| {
        let text = format!("cannot read a private key from {}", path.display());
        Error::caused(ErrorKind::Config, text, source)
    })
}

fn is_given(file: &Path) -> bool {
    !file.as_os_str().is_empty()
}

/// The client's side of TLS: at least 1.2, the public authorities or those of `ca_file`, and the
/// certificate of the settings for who asks for one.
pub(crate) fn client_config(config: &ClientConfig) -> Result<Arc<TlsConfig>, Error> {
    let mut roots = RootCertStore::empty();
    if config.ca_file.as_os_str().is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    } else {
        for certificate in certificates(&config.ca_file)? {
            roots.add(certificate).map_err(|source| {
                let text = format!("{} holds no usable authority", config.ca_file.display());
                Error::caused(ErrorKind::Config, text, source)
            })?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = TlsConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let mut tls = match (is_given(&config.certificate_file), is_given(&config.key_file)) {
        (false, false) => builder.with_no_client_auth(),
        (true, true) => {
            let chain = certificates(&config.certificate_file)?;
            let key = private_key(&config.key_file)?;
            builder.with_client_auth_cert(chain, key).map_err(|source| {
                let file = config.certificate_file.display();
                let text = format!("the certificate {file} and its key do not fit");
                Error::caused(ErrorKind::Config, text, source)
            })?
        }
        _ => {
            let text = "a client certificate needs both `certificate_file` and `key_file`";
            return Err(Error::new(ErrorKind::Config, text));
        }
    };
    tls.alpn_protocols = match config.http2 {
        Http2Mode::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Http2Mode::Never => vec![b"http/1.1".to_vec()],
        Http2Mode::PriorKnowledge => vec![b"h2".to_vec()],
    };
    Ok(Arc::new(tls))
}
