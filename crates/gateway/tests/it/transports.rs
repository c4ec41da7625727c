//! HTTP/1.1 and HTTP/2, plain and over TLS, on both sides.

use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use net::Http2Mode;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use simulator::{Simulator, SimulatorConfig, TlsIdentity};
use tokio::net::TcpStream;

use crate::support::{CHAT, HELLO, HELLO_STREAM, Setup, World, post, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_meet_on_either_side() {
    let backend = simulator().await;
    for http2 in [Http2Mode::Never, Http2Mode::PriorKnowledge] {
        let world = Setup::before(&[backend.url()])
            .with(|config| config.backends[0].connection.http2 = http2)
            .start()
            .await;
        for body in [HELLO, HELLO_STREAM, HELLO] {
            let one = world.post(CHAT, body).await;
            let two = world.call_http2(post(CHAT, body)).await;
            assert_eq!((one.status, two.status), (200, 200), "{http2:?} {}", two.text());
            assert_eq!(one.body.is_empty(), two.body.is_empty());
        }
        let stories = world.stories();
        assert_eq!(stories.len(), 6);
        let protocols: Vec<_> = stories.iter().map(|s| s.start().protocol.clone()).collect();
        assert!(protocols.contains(&"HTTP/1.1".into()) && protocols.contains(&"HTTP/2".into()));
        assert!(stories.iter().all(|story| story.start().url.starts_with("http://")));
    }
    let versions: Vec<_> = backend.received().iter().map(|request| request.version).collect();
    assert!(versions[..6].iter().all(|version| *version == http::Version::HTTP_11));
    assert!(versions[6..].iter().all(|version| *version == http::Version::HTTP_2));
}

/// A certificate for localhost, in files.
pub(crate) fn certificate(dir: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let made =
        rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]).unwrap();
    let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_to_clients_and_to_backends_with_either_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate_file, key_file) = certificate(dir.path());
    let identity = TlsIdentity {
        chain: vec![CertificateDer::from_pem_file(&certificate_file).unwrap()],
        key: PrivateKeyDer::from_pem_file(&key_file).unwrap(),
    };
    let config = SimulatorConfig { tls: Some(Arc::new(identity)), ..SimulatorConfig::default() };
    let backend = Simulator::start(config).await.unwrap();
    for http2 in [Http2Mode::Auto, Http2Mode::Never] {
        let world = Setup::before(&[backend.url()])
            .with(|config| {
                config.backends[0].connection.http2 = http2;
                config.backends[0].connection.ca_file.clone_from(&certificate_file);
                config.edge.listeners[0].tls = Some(gateway::TlsConfig {
                    certificate_file: certificate_file.clone(),
                    key_file: key_file.clone(),
                    ..gateway::TlsConfig::default()
                });
            })
            .start()
            .await;
        for alpn in ["h2", "http/1.1"] {
            let body = over_tls(&world, &certificate_file, alpn).await;
            assert!(body.contains("choices"), "{body}");
        }
        let stories = world.stories();
        assert!(stories.iter().all(|story| story.start().tls_version == "1.3"));
        assert!(stories.iter().all(|story| story.start().url.starts_with("https://")));
        assert_eq!(stories[0].start().protocol, "HTTP/2");
        assert_eq!(stories[1].start().protocol, "HTTP/1.1");
    }
    let received = backend.received();
    assert_eq!(received[0].version, http::Version::HTTP_2);
    assert_eq!(received[3].version, http::Version::HTTP_11);
}

async fn over_tls(world: &World, authority: &Path, alpn: &str) -> String {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let tcp = TcpStream::connect(world.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let io = TokioIo::new(connector.connect(name, tcp).await.unwrap());
    let mut request = post(CHAT, HELLO);
    let answer = if alpn == "h2" {
        let uri = format!("https://localhost:{}{CHAT}", world.address().port());
        *request.uri_mut() = uri.parse().unwrap();
        request.headers_mut().remove("host");
        let (mut sender, connection) = hyper::client::conn::http2::handshake::<
            _,
            _,
            Full<bytes::Bytes>,
        >(TokioExecutor::new(), io)
        .await
        .unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    assert_eq!(answer.status(), 200);
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_azures_strict_policy_and_sessions_are_resumed_from_the_clients_ticket() {
    use rustls::crypto::aws_lc_rs::{cipher_suite as suite, default_provider};
    use rustls::{ClientConfig, HandshakeKind, version};
    let backend = simulator().await;
    let dir = tempfile::tempdir().unwrap();
    let (certificate_file, key_file) = certificate(dir.path());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate_file).unwrap()).unwrap();
    let world = Setup::before(&[backend.url()])
        .with(|config| {
            config.edge.listeners[0].tls = Some(gateway::TlsConfig {
                certificate_file,
                key_file,
                ..gateway::TlsConfig::default()
            });
        })
        .start()
        .await;
    let cases: [(_, &[&rustls::SupportedProtocolVersion], bool); 6] = [
        (suite::TLS13_AES_256_GCM_SHA384, &[&version::TLS13], true),
        (suite::TLS13_AES_128_GCM_SHA256, &[&version::TLS13], true),
        (suite::TLS13_CHACHA20_POLY1305_SHA256, &[&version::TLS13], false),
        (suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, &[&version::TLS12], true),
        (suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, &[&version::TLS12], true),
        (suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, &[&version::TLS12], false),
    ];
    for (only, versions, is_spoken) in cases {
        let provider =
            rustls::crypto::CryptoProvider { cipher_suites: vec![only], ..default_provider() };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let tcp = TcpStream::connect(world.address()).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let connected = connector.connect(name, tcp).await;
            assert_eq!(connected.is_ok(), is_spoken, "{only:?}");
            let Ok(stream) = connected else { break };
            let seen = stream.get_ref().1.handshake_kind();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            // A ticket comes with the first answer.
            assert_eq!(sender.send_request(post(CHAT, HELLO)).await.unwrap().status(), 200);
            assert!(
                matches!(
                    (seen, kind),
                    (Some(HandshakeKind::Resumed), HandshakeKind::Resumed)
                        | (
                            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest),
                            HandshakeKind::Full
                        )
                ),
                "{only:?}: {seen:?}, not {kind:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_share_http2_connections() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()])
        .with(|config| {
            config.backends[0].connection.http2 = Http2Mode::PriorKnowledge;
            config.backends[0].connection.streams_per_connection_max = 8;
        })
        .start()
        .await;
    let world = Arc::new(world);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let world = world.clone();
        calls.spawn(async move { world.post(CHAT, HELLO).await.status });
    }
    let statuses = calls.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(world.stories().len(), 64);
}
