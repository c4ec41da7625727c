//! Mutual TLS and authorities of one's own towards a backend.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Uri;
use net::{Client, ClientConfig, EgressConfig, EgressRules, ErrorKind};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{ANSWER, get, read_head, text};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A folder of one's own.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("gatehouse-net-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A certificate and its key, by this authority, as files.
fn issue(authority: &Authority, folder: &Path) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let (certificate_file, key_file) = (folder.join("leaf.pem"), folder.join("leaf.key"));
    std::fs::write(&certificate_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    (certificate_file, key_file)
}

/// A backend that speaks to holders of a certificate by `clients` only.
async fn demanding(server: &Authority, clients: &Authority, folder: &Path) -> Uri {
    let (certificate, key) = issue(server, folder);
    let mut roots = RootCertStore::empty();
    roots.add(clients.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(net::certificates(&certificate).unwrap(), net::private_key(&key).unwrap())
        .unwrap();
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let uri = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                while read_head(&mut stream).await {
                    stream.write_all(ANSWER).await.unwrap();
                }
            });
        }
    });
    uri.parse().unwrap()
}

fn client(uri: &Uri, config: &ClientConfig) -> Result<Client, net::Error> {
    Client::new(uri, config, EgressRules::new(&EgressConfig::loopback()))
}

#[tokio::test]
async fn a_backend_that_demands_a_certificate_gets_the_one_of_the_settings() {
    let (servers, clients, strangers) = (authority(), authority(), authority());
    let (here, own, other) = (folder("server"), folder("own"), folder("other"));
    let uri = demanding(&servers, &clients, &here).await;
    let ca_file = here.join("ca.pem");
    std::fs::write(&ca_file, servers.pem()).unwrap();
    let trusting = ClientConfig { ca_file, ..ClientConfig::default() };

    let (certificate_file, key_file) = issue(&clients, &own);
    let known = ClientConfig {
        certificate_file: certificate_file.clone(),
        key_file: key_file.clone(),
        ..trusting.clone()
    };
    assert_eq!(text(&client(&uri, &known).unwrap(), get()).await, "ok");

    let (certificate_file, foreign_key) = issue(&strangers, &other);
    let foreign =
        ClientConfig { certificate_file, key_file: foreign_key.clone(), ..trusting.clone() };
    for refused in [&trusting, &foreign] {
        let error = client(&uri, refused).unwrap().send(get()).await.map(drop).unwrap_err();
        let kinds = [ErrorKind::Connect, ErrorKind::Broken];
        assert!(kinds.contains(&error.kind()), "{}", error.story());
    }
    // The public authorities did not issue the server's certificate.
    let unknown = ClientConfig { ca_file: PathBuf::new(), ..known.clone() };
    let error = client(&uri, &unknown).unwrap().send(get()).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{}", error.story());
    assert!(error.story().contains("certificate"), "{}", error.story());

    let mixed = ClientConfig { key_file: foreign_key, ..known.clone() };
    let half = ClientConfig { key_file: PathBuf::new(), ..known.clone() };
    for (wrong, word) in [(mixed, "do not fit"), (half, "both")] {
        let error = client(&uri, &wrong).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(word), "{error}");
    }
    // A certificate that is replaced makes another stamp, so that a reload notices it.
    let before = known.stamp();
    assert_eq!(known.stamp(), before);
    issue(&clients, &own);
    assert_ne!(known.stamp(), before);
    for folder in [here, own, other] {
        std::fs::remove_dir_all(folder).unwrap();
    }
}
