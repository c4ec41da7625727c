//! Settings, pauses, what is shown to whom, what is kept. Orders at a real authority are in `conformance/acme`.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use vault::{EmbeddedConfig, MasterKey, VaultConfig};

use super::issued::IssuedText;
use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn hosts() -> Vec<String> {
    vec!["a.internal".to_owned(), "b.internal".to_owned()]
}

fn shelf(folder: &Path) -> Embedded {
    let file = folder.join("acme.sealed");
    Embedded::new(&EmbeddedConfig { file, master_key: MasterKey::File(folder.join("key")) })
}

/// A certificate for the hosts that began and ends so many days from now.
fn issued(begins: i64, ends: i64) -> Issued {
    let mut params = CertificateParams::new(hosts()).unwrap();
    let now = SystemTime::now();
    let at = |days: i64| match u32::try_from(days) {
        Ok(days) => (now + DAY * days).into(),
        Err(_) => (now - DAY * u32::try_from(-days).unwrap()).into(),
    };
    (params.not_before, params.not_after) = (at(begins), at(ends));
    let key = KeyPair::generate().unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    Issued::read(IssuedText { chain, key: key.serialize_pem() }, &hosts()).unwrap()
}

/// Nobody listens at its authority.
async fn unheard(folder: &Path, ordered: &OrderedCertificates) -> Acme {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = AcmeConfig {
        directory_url: format!("https://{nobody}/directory"),
        accepts_terms: true,
        ..AcmeConfig::default()
    };
    let wiring = AcmeWiring {
        rules: EgressRules::new(&net::EgressConfig {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            ..net::EgressConfig::default()
        }),
        vault: Vault::new(&VaultConfig::default(), |_| {}).unwrap(),
        kept: shelf(folder),
        ordered: ordered.clone(),
        security: SecurityLog::default(),
        region: String::new(),
    };
    Acme::new(&config, &[hosts()], wiring).unwrap()
}

/// The certificate that a client gets who offers these protocols, and the protocol that is chosen.
fn shown(
    ordered: &OrderedCertificates,
    host: &str,
    offered: &[&[u8]],
) -> Option<(CertificateDer<'static>, Vec<u8>)> {
    let resolver = Resolver { hosts: hosts(), ordered: ordered.clone() };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone());
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut server = server.with_cert_resolver(Arc::new(resolver));
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), PROOF_PROTOCOL.to_vec()];
    let client = ClientConfig::builder_with_provider(provider.clone());
    let client = client.with_safe_default_protocol_versions().unwrap().dangerous();
    let client = client.with_custom_certificate_verifier(Arc::new(Anything(provider)));
    let mut client = client.with_no_client_auth();
    client.alpn_protocols = offered.iter().map(|one| one.to_vec()).collect();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut &*wire).unwrap();
        server.process_new_packets().ok()?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut &*wire).unwrap();
        client.process_new_packets().ok()?;
    }
    let leaf = client.peer_certificates()?.first()?.clone().into_owned();
    Some((leaf, client.alpn_protocol().unwrap_or_default().to_vec()))
}

/// A client that takes any certificate: what it got is looked at.
#[derive(Debug)]
struct Anything(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[test]
fn failures_are_followed_by_longer_and_longer_pauses() {
    for (failures, low, high) in
        [(1, 48, 60), (2, 96, 120), (9, 12_288, 15_360), (40, 17_280, 21_600)]
    {
        let wait = pause(failures).as_secs();
        assert!((low..=high).contains(&wait), "{failures}: {wait}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_with_the_fix() {
    let hosts = |names: &[&str]| vec![names.iter().map(|&name| name.to_owned()).collect()];
    let refused = |config: &AcmeConfig, names: &[&str]| config.validate(&hosts(names)).unwrap_err();
    let mut config = AcmeConfig::default();
    assert_eq!(config.validate(&[]), Ok(()));
    let text = refused(&config, &["a.example"]);
    assert!(text.contains("`directory_url`"), "{text}");
    config.directory_url = "https://acme.example/directory".into();
    let text = refused(&config, &["a.example"]);
    assert!(text.contains("`accepts_terms`"), "{text}");
    config.accepts_terms = true;
    assert_eq!(config.validate(&hosts(&["a.example", "b.example"])), Ok(()));
    for wrong in
        ["10.0.0.1", "::1", "*.example", "a.example:443", "a.example.", "", "ä.example", "a b"]
    {
        let text = refused(&config, &[wrong]);
        assert!(text.contains(&format!("`{wrong}` cannot be ordered")), "{text}");
    }
    let text = refused(&config, &["a.example", "A.example"]);
    assert!(text.contains("`A.example` is named twice"), "{text}");
    let many: Vec<_> = (0..101).map(|at| format!("h{at}.example")).collect();
    let text = config.validate(&[many]).unwrap_err();
    assert!(text.contains("up to 100"), "{text}");
}

#[test]
fn a_proof_is_shown_to_an_authority_alone_and_only_while_it_is_due() {
    let ordered = OrderedCertificates::default();
    let http: &[&[u8]] = &[b"h2", b"http/1.1"];
    assert_eq!(shown(&ordered, "a.internal", http), None, "there is no certificate yet");
    let (current, proof) = (issued(-1, 9), authority::proof("a.internal", &[7; 32]).unwrap());
    ordered.serve(&hosts(), current.certified.clone());
    let leaf = |issued: &Issued| issued.certified.cert[0].clone();
    let due = ordered.prove("A.internal", proof.clone());
    let authority: &[&[u8]] = &[PROOF_PROTOCOL];
    let proven = shown(&ordered, "a.internal", authority);
    assert_eq!(proven, Some((proof.cert[0].clone(), PROOF_PROTOCOL.to_vec())));
    assert_eq!(shown(&ordered, "b.internal", authority), None, "no proof of that host is due");
    let both: &[&[u8]] = &[PROOF_PROTOCOL, b"http/1.1"];
    for (offered, chosen) in [(http, "h2"), (both, "http/1.1"), (&[], "")] {
        let client = shown(&ordered, "a.internal", offered);
        assert_eq!(client, Some((leaf(&current), chosen.as_bytes().to_vec())), "{offered:?}");
    }
    drop(due);
    assert_eq!(shown(&ordered, "a.internal", authority), None, "the order is over");
    assert!(shown(&ordered, "a.internal", http).is_some());
}

#[tokio::test]
async fn an_order_that_fails_keeps_the_certificate_and_is_told() {
    let (folder, ordered) = (tempfile::tempdir().unwrap(), OrderedCertificates::default());
    let kept = issued(-80, 10);
    Shelf::new(shelf(folder.path())).keep_certificate(&hosts(), &kept).await.unwrap();
    let acme = unheard(folder.path(), &ordered).await;
    let mut wanted = acme.0.recall(0).await;
    assert!(wanted.due_at <= SystemTime::now(), "two thirds of its life are over");
    let before = acme.status().remove(0);
    assert_eq!(before.ends_at_s, Some(seconds(kept.ends_at)));
    acme.0.renew(&mut wanted).await;
    let served = ordered.certificate(&hosts()).expect("it is served on");
    assert_eq!(served.cert, kept.certified.cert);
    let after = acme.status().remove(0);
    assert_eq!(after.ends_at_s, before.ends_at_s);
    assert!(after.trouble.contains("127.0.0.1"), "{}", after.trouble);
    assert!(after.next_order_at_s >= seconds(SystemTime::now()) + 40, "it waits");
}

#[tokio::test]
async fn what_is_kept_is_sealed_and_served_after_a_restart() {
    let (folder, ordered) = (tempfile::tempdir().unwrap(), OrderedCertificates::default());
    let acme = unheard(folder.path(), &ordered).await;
    assert!(
        acme.0.recall(0).await.due_at <= SystemTime::now(),
        "nothing is kept: it is ordered now"
    );
    let kept = issued(-10, 80);
    acme.0.shelf.keep_certificate(&hosts(), &kept).await.unwrap();
    let text = std::fs::read_to_string(folder.path().join("acme.sealed")).unwrap();
    for open in ["PRIVATE KEY", "CERTIFICATE", "a.internal", "chain"] {
        assert!(!text.contains(open), "{open} lies open in {text}");
    }
    let ordered = OrderedCertificates::default();
    let acme = unheard(folder.path(), &ordered).await;
    let wanted = acme.0.recall(0).await;
    let served = ordered.certificate(&hosts()).expect("it is served at once");
    assert_eq!(served.cert, kept.certified.cert);
    let until_due = wanted.due_at.duration_since(SystemTime::now()).unwrap();
    assert!(
        (DAY * 46..=DAY * 50).contains(&until_due),
        "after two thirds of its 90 days: {until_due:?}"
    );
    std::fs::write(folder.path().join("acme.sealed"), "damaged").unwrap();
    let why = acme.0.shelf.certificate(&hosts()).await.err().unwrap();
    assert!(why.contains("acme.sealed") && why.contains("remove the file"), "{why}");
}
