//! Tokens of Entra ID, by every way to get one.

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use serde_json::{Value, json};
use vault::{
    Carrier, CertificateConfig, ClientSecretConfig, Credential, CredentialSource, Identity,
    ManagedIdentityConfig, SecretRef, Vault, WorkloadIdentityConfig,
};

use crate::{Desk, eventually, serve, shown, vault};

const SCOPE: &str = "https://cognitiveservices.azure.com/.default";

/// Entra ID's token endpoint and the machine's metadata service. `life` is how long tokens hold,
/// `failing` a status to fail with.
async fn endpoint(desk: &Desk) -> String {
    desk.set("life", "3600");
    let answer = |State(desk): State<Desk>, request: Request| async move {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let asked = desk.note(&parts, &body);
        if let Ok(status) = desk.get("failing").parse::<u16>() {
            let body = json!({"error": "invalid_client", "error_codes": [7_000_215],
                "error_description": "AADSTS7000215: canary in a foreign text"});
            let status = StatusCode::from_u16(status).unwrap();
            return (status, axum::Json(body)).into_response();
        }
        let number = desk.asked("/").len();
        let life = desk.get("life");
        let token = format!("token-{number}");
        let body = if asked.target.starts_with("/metadata") {
            // Numbers are texts here.
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            let until = now.as_secs() + life.parse::<u64>().unwrap();
            json!({"access_token": token, "expires_in": life, "expires_on": until.to_string(),
                "not_before": "0", "resource": "r", "token_type": "Bearer"})
        } else {
            json!({"token_type": "Bearer", "expires_in": life.parse::<u64>().unwrap(),
                "ext_expires_in": 3_599, "access_token": token})
        };
        axum::Json(body).into_response() as Response
    };
    serve(Router::new().fallback(answer).with_state(desk.clone())).await
}

fn credential(vault: &Vault, identity: &Identity) -> Arc<Credential> {
    let source = CredentialSource::Token(identity.clone(), SCOPE.into());
    vault.credential("east", &source, Carrier::Bearer).unwrap()
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn by_secret(authority: String, path: PathBuf) -> Identity {
    Identity::ClientSecret(ClientSecretConfig {
        tenant: "a-tenant".into(),
        client_id: "a-client".into(),
        secret: SecretRef::File(path),
        authority,
    })
}

#[tokio::test]
async fn a_client_secret_gets_a_token_which_is_replaced_ahead_of_its_end() {
    let (desk, folder) = (Desk::default(), tempfile::tempdir().unwrap());
    let authority = endpoint(&desk).await;
    desk.set("life", "2");
    let (vault, _) = vault(|_| {});
    let identity = by_secret(authority, file(&folder, "secret", "s&cret=1\n"));
    let credential = credential(&vault, &identity);
    let first = eventually("a token", || shown(&credential)).await;
    assert_eq!(first, "Bearer token-1");
    let asked = desk.asked("/a-tenant/oauth2/v2.0/token").remove(0);
    assert_eq!(asked.field("grant_type"), "client_credentials");
    assert_eq!((&*asked.field("client_id"), &*asked.field("scope")), ("a-client", SCOPE));
    assert_eq!(asked.field("client_secret"), "s&cret=1");
    let is_next = || {
        let now = shown(&credential).expect("there is a token at every moment");
        (now != first).then_some(now)
    };
    assert_eq!(eventually("the next", is_next).await, "Bearer token-2");
}

#[tokio::test]
async fn while_the_endpoint_fails_the_old_token_is_served_until_its_end() {
    let (desk, folder) = (Desk::default(), tempfile::tempdir().unwrap());
    let authority = endpoint(&desk).await;
    desk.set("life", "2");
    let (vault, told) = vault(|_| {});
    let credential = credential(&vault, &by_secret(authority, file(&folder, "secret", "canary")));
    eventually("a token", || shown(&credential)).await;
    desk.set("failing", "503");
    let trouble = eventually("it fails", || Some(credential.trouble()).filter(|t| !t.is_empty()));
    let trouble = trouble.await;
    assert!(trouble.contains("status 503") && trouble.contains("AADSTS7000215"), "{trouble}");
    assert!(trouble.contains("Entra ID (client secret)"), "it names what is missing: {trouble}");
    assert!(!trouble.contains("canary"), "{trouble}");
    eventually("the token ends", || credential.header().is_none().then_some(())).await;
    assert!(!vault.status()[0].is_ready);
    desk.set("failing", "");
    eventually("it is there again", || shown(&credential)).await;
    assert!(credential.trouble().is_empty());
    let told = told.lock().unwrap();
    assert_eq!((&*told[0].kind, &*told[0].backend_id), ("secret_unavailable", "east"));
}

#[tokio::test]
async fn a_certificate_signs_an_assertion_that_names_it() {
    let (desk, folder) = (Desk::default(), tempfile::tempdir().unwrap());
    let authority = endpoint(&desk).await;
    let pair = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
        .unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["a-client".into()]).unwrap();
    let certificate = certificate.self_signed(&pair).unwrap();
    let pem = format!("{}{}", certificate.pem(), pair.serialize_pem());
    let (vault, _) = vault(|_| {});
    let identity = Identity::ClientCertificate(CertificateConfig {
        tenant: "a-tenant".into(),
        client_id: "a-client".into(),
        certificate: SecretRef::File(file(&folder, "pem", &pem)),
        authority: authority.clone(),
    });
    let credential = credential(&vault, &identity);
    eventually("a token", || shown(&credential)).await;
    let asked = desk.asked("/a-tenant/oauth2/v2.0/token").remove(0);
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    assert_eq!(asked.field("client_assertion_type"), kind);
    let assertion = asked.field("client_assertion");
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode =
        |text: &str| -> Value { serde_json::from_slice(&BASE64.decode(text).unwrap()).unwrap() };
    let (header, claims) = (decode(header), decode(claims));
    let thumbprint = BASE64.encode(digest::digest(&digest::SHA256, certificate.der()));
    assert_eq!(header["x5t#S256"], thumbprint);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("JWT")));
    assert_eq!(claims["aud"], format!("{authority}/a-tenant/oauth2/v2.0/token"));
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("a-client"), &json!("a-client")));
    assert!(claims["exp"].as_u64().unwrap() > claims["nbf"].as_u64().unwrap());
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key_raw())
        .verify(signed.as_bytes(), &BASE64.decode(signature).unwrap())
        .expect("the signature holds");
}

#[tokio::test]
async fn a_managed_identity_is_asked_as_the_metadata_service_wants_it() {
    let desk = Desk::default();
    let url = endpoint(&desk).await;
    let (vault, _) = vault(|_| {});
    let identity = Identity::ManagedIdentity(ManagedIdentityConfig {
        client_id: "of-a-user".into(),
        endpoint: url,
    });
    let credential = credential(&vault, &identity);
    let token = eventually("a token", || shown(&credential)).await;
    assert_eq!(token, "Bearer token-1");
    let asked = desk.asked("/metadata/identity/oauth2/token").remove(0);
    assert_eq!(asked.header("metadata"), "true");
    for part in [
        "api-version=2018-02-01",
        "resource=https%3A%2F%2Fcognitiveservices.azure.com",
        "client_id=of-a-user",
    ] {
        assert!(asked.target.contains(part), "{part}: {}", asked.target);
    }
    assert!(!asked.target.contains("default"), "{}", asked.target);
}

#[tokio::test]
async fn a_federated_token_is_read_anew_each_time() {
    let (desk, folder) = (Desk::default(), tempfile::tempdir().unwrap());
    let authority = endpoint(&desk).await;
    desk.set("life", "1");
    let (vault, _) = vault(|_| {});
    let token_file = file(&folder, "token", "federated-1");
    let identity = Identity::WorkloadIdentity(WorkloadIdentityConfig {
        tenant: "a-tenant".into(),
        client_id: "a-client".into(),
        token_file: token_file.clone(),
        authority,
    });
    let credential = credential(&vault, &identity);
    eventually("a token", || shown(&credential)).await;
    std::fs::write(&token_file, "federated-2").unwrap();
    let asked = || Some(desk.asked("/a-tenant/")).filter(|asked| asked.len() > 2);
    let asked = eventually("further tokens", asked).await;
    assert_eq!(asked[0].field("client_assertion"), "federated-1");
    assert_eq!(asked.last().unwrap().field("client_assertion"), "federated-2");
}

#[tokio::test]
async fn settings_that_would_leak_or_cannot_work_are_refused() {
    let (vault, _) = vault(|_| {});
    let refused = |identity: Identity| {
        let source = CredentialSource::Token(identity, SCOPE.into());
        vault.credential("east", &source, Carrier::Bearer).unwrap_err().story()
    };
    let open = refused(by_secret("http://login.example".into(), "x".into()));
    assert!(open.contains("use https"), "{open}");
    let workload = WorkloadIdentityConfig::default();
    let unset = refused(Identity::WorkloadIdentity(workload));
    assert!(unset.contains("AZURE_TENANT_ID"), "{unset}");
}
