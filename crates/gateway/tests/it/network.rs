//! Who may connect: client certificates, networks of listeners and products; certificates that change.

use std::path::Path;
use std::sync::Arc;

use gateway::{ClientCertificates, TlsConfig};
use http::Response;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use policy::{KeyHasher, NetworkConfig, ProductConfig, Rules, SubscriptionConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;

use crate::support::{CHAT, HELLO, KEY, Setup, World, post, simulator};
use crate::transports::certificate;

type Identity<'a> = Option<(&'a Path, &'a Path)>;

/// A call over TLS, and the certificate that the gateway showed.
async fn call(
    world: &World,
    authority: &Path,
    client: Identity<'_>,
) -> Result<(Response<Incoming>, Vec<u8>), String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
            let key = PrivateKeyDer::from_pem_file(key).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let tcp = TcpStream::connect(world.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, tcp).await.map_err(|error| error.to_string())?;
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(post(CHAT, HELLO)).await.map_err(|e| e.to_string())?;
    Ok((answer, shown))
}

/// An authority, and a certificate of it for a client: files of authority, certificate and key.
fn client(dir: &Path, name: &str) -> [std::path::PathBuf; 3] {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::from_params(&authority, &authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let files = ["ca", "certificate", "key"].map(|kind| dir.join(format!("{name}-{kind}.pem")));
    std::fs::write(&files[0], authority_certificate.pem()).unwrap();
    std::fs::write(&files[1], certificate.pem()).unwrap();
    std::fs::write(&files[2], key.serialize_pem()).unwrap();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_are_wanted_as_set_and_their_subject_is_recorded() {
    let (dir, backend) = (tempfile::tempdir().unwrap(), simulator().await);
    let (certificate_file, key_file) = certificate(dir.path());
    let known = client(dir.path(), "known");
    let stranger = client(dir.path(), "stranger");
    let known_identity = Some((&*known[1], &*known[2]));
    let stranger_identity = Some((&*stranger[1], &*stranger[2]));
    for (wanted, without) in
        [(ClientCertificates::Optional, true), (ClientCertificates::Required, false)]
    {
        let tls = TlsConfig {
            certificate_file: certificate_file.clone(),
            key_file: key_file.clone(),
            client_certificates: wanted,
            client_ca_file: known[0].clone(),
            ..TlsConfig::default()
        };
        let world = Setup::before(&[backend.url()])
            .with(|config| config.edge.listeners[0].tls = Some(tls))
            .start()
            .await;
        let (answer, _) = call(&world, &certificate_file, known_identity).await.unwrap();
        assert_eq!(answer.status(), 200);
        let subject = world.stories()[0].start().caller.certificate_subject.clone();
        assert_eq!(subject, "CN=known");
        let refused = call(&world, &certificate_file, stranger_identity).await;
        assert!(refused.is_err(), "{wanted:?}: a certificate of another authority");
        let answered = call(&world, &certificate_file, None).await;
        assert_eq!(answered.is_ok(), without, "{wanted:?}: without a certificate");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_without_a_restart_and_a_wrong_one_changes_nothing() {
    let (dir, backend) = (tempfile::tempdir().unwrap(), simulator().await);
    let (certificate_file, key_file) = certificate(dir.path());
    let tls = TlsConfig {
        certificate_file: certificate_file.clone(),
        key_file: key_file.clone(),
        ..TlsConfig::default()
    };
    let setup =
        Setup::before(&[backend.url()]).with(|config| config.edge.listeners[0].tls = Some(tls));
    let (config, keys) = (setup.config.clone(), setup.keys.clone());
    let world = setup.start().await;
    let settings = || gateway::Settings {
        config: config.clone(),
        rules: crate::support::rules(),
        keys: keys.clone(),
        waf: None,
    };
    let (_, first) = call(&world, &certificate_file, None).await.unwrap();
    let old_key = std::fs::read(&key_file).unwrap();
    certificate(dir.path());
    let new_key = std::fs::read(&key_file).unwrap();
    std::fs::write(&key_file, old_key).unwrap();
    let error = world.gateway.reload(settings()).unwrap_err().to_string();
    assert!(error.contains("do not fit"), "{error}");
    std::fs::write(&key_file, new_key).unwrap();
    world.gateway.reload(settings()).unwrap();
    let (answer, second) = call(&world, &certificate_file, None).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_ne!(first, second);
    assert_eq!(world.first_security_event().await.kind, "certificate_reloaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_outside_the_networks_of_a_listener_or_product_are_refused_and_recorded() {
    let backend = simulator().await;
    let networks = |allow: &str, deny: &str| {
        let list = |text: &str| text.split_whitespace().map(|net| net.parse().unwrap()).collect();
        NetworkConfig { allow: list(allow), deny: list(deny) }
    };
    let rules = |networks: NetworkConfig| {
        let hasher = KeyHasher::new(b"a secret");
        let product = ProductConfig { id: "inside".into(), networks, ..ProductConfig::default() };
        let subscription = SubscriptionConfig {
            id: "one".into(),
            product: "inside".into(),
            primary_key_hash: hasher.hash(KEY).to_string(),
            ..SubscriptionConfig::default()
        };
        Rules::new(1, hasher, &[product], &[subscription]).unwrap()
    };
    let open = NetworkConfig::default;
    for (listener, product, reason) in [
        (open(), open(), ""),
        (networks("127.0.0.0/8", ""), networks("127.0.0.1/32", "10.0.0.0/8"), ""),
        (networks("10.0.0.0/8", ""), open(), "listener"),
        (networks("", "127.0.0.0/8"), open(), "listener"),
        (open(), networks("10.0.0.0/8", ""), "product"),
    ] {
        let mut setup = Setup::before(&[backend.url()])
            .with(|config| config.edge.listeners[0].networks = listener);
        setup.rules = Some(rules(product));
        let world = setup.start().await;
        let answer = world.post(CHAT, HELLO).await;
        if reason.is_empty() {
            assert_eq!(answer.status, 200);
            continue;
        }
        assert_eq!((answer.status, &*answer.code()), (403, "CallerAddressForbidden"));
        assert_eq!(world.story().refused.len(), 1, "it is a record");
        let event = world.first_security_event().await;
        assert_eq!((&*event.kind, &*event.reason), ("address_denied", reason));
        assert_eq!(event.caller_ip_address, "127.0.0.1");
    }
}
