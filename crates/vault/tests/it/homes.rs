//! Azure Key Vault and OpenBao: what they are asked, what comes of their answers, rotation.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use vault::{
    AppRoleConfig, Carrier, ClientSecretConfig, CredentialSource, ErrorKind, Identity,
    ManagedIdentityConfig, SecretRef, Vault, VaultConfig,
};

use crate::{Desk, eventually, serve, shown, vault};

fn answered(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

/// Key Vault, with the metadata service and Entra ID on the same port. `token` is the one it takes, `value`
/// what the secret holds.
async fn key_vault(desk: &Desk) -> String {
    let answer = |State(desk): State<Desk>, request: Request| async move {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let asked = desk.note(&parts, &body);
        if asked.target.starts_with("/metadata") || asked.target.contains("/oauth2/") {
            return answered(200, json!({"access_token": desk.get("token"), "expires_in": "3600"}));
        }
        if asked.header("authorization") != format!("Bearer {}", desk.get("token")) {
            return answered(401, json!({"error": {"code": "Unauthorized", "message": "m"}}));
        }
        let attributes = json!({"enabled": true, "created": 1, "updated": 1, "exp": 5,
            "recoveryLevel": "Recoverable+Purgeable"});
        let (path, query) = asked.target.split_once('?').unwrap();
        assert_eq!(query, "api-version=7.4");
        match path {
            "/secrets/backend" => answered(
                200,
                json!({"value": desk.get("value"),
                "id": "https://v.vault.azure.net/secrets/backend/2", "attributes": attributes}),
            ),
            "/secrets/backend/1" => answered(
                200,
                json!({"value": "the-first",
                "id": "https://v.vault.azure.net/secrets/backend/1", "attributes": attributes}),
            ),
            "/secrets/disabled" => answered(
                403,
                json!({"error": {"code": "Forbidden",
                "message": "canary", "innererror": {"code": "SecretDisabled"}}}),
            ),
            _ => answered(404, json!({"error": {"code": "SecretNotFound", "message": "canary"}})),
        }
    };
    serve(Router::new().fallback(answer).with_state(desk.clone())).await
}

fn of_key_vault(url: &str, name: &str, version: &str) -> SecretRef {
    SecretRef::KeyVault { vault: url.into(), name: name.into(), version: version.into() }
}

#[tokio::test]
async fn key_vault_gives_the_latest_or_a_version_and_its_refusals_are_named() {
    let desk = Desk::default();
    desk.set("token", "t1");
    desk.set("value", "the-second");
    let url = key_vault(&desk).await;
    let (vault, _) = vault(|config| {
        config.key_vault.auth = Some(Identity::ManagedIdentity(ManagedIdentityConfig {
            endpoint: url.clone(),
            ..ManagedIdentityConfig::default()
        }));
    });
    let get = |name: &'static str, version: &'static str| {
        let (vault, reference) = (vault.clone(), of_key_vault(&url, name, version));
        async move { vault.get(&reference).await }
    };
    assert_eq!(get("backend", "").await.unwrap().expose(), "the-second");
    assert_eq!(get("backend", "1").await.unwrap().expose(), "the-first");
    assert_eq!(desk.asked("/metadata").len(), 1, "one token serves both");
    assert!(desk.asked("/metadata")[0].target.contains("resource=https%3A%2F%2Fvault.azure.net"));
    desk.set("token", "t2");
    assert_eq!(
        get("backend", "").await.unwrap().expose(),
        "the-second",
        "a revoked token is replaced"
    );
    for (name, kind, word) in [
        ("disabled", ErrorKind::Denied, "SecretDisabled"),
        ("absent", ErrorKind::Missing, "SecretNotFound"),
    ] {
        let error = get(name, "").await.unwrap_err();
        let story = error.story();
        assert_eq!(error.kind(), kind, "{story}");
        assert!(story.contains(word) && story.contains(name) && story.contains(&url), "{story}");
        assert!(!story.contains("canary"), "{story}");
    }
}

#[tokio::test]
async fn a_new_version_becomes_a_candidate_without_a_restart() {
    let desk = Desk::default();
    desk.set("token", "t1");
    desk.set("value", "one");
    let url = key_vault(&desk).await;
    let (vault, _) = vault(|config| {
        config.key_vault.auth = Some(Identity::ManagedIdentity(ManagedIdentityConfig {
            endpoint: url.clone(),
            ..ManagedIdentityConfig::default()
        }));
    });
    let source = CredentialSource::Secret(of_key_vault(&url, "backend", ""));
    let credential = vault.credential("east", &source, Carrier::ApiKey).unwrap();
    let again = vault.credential("east", &source, Carrier::ApiKey).unwrap();
    assert!(std::sync::Arc::ptr_eq(&credential, &again), "the same wish, the same credential");
    assert_eq!(eventually("the key", || shown(&credential)).await, "one");
    desk.set("value", "two");
    let candidate = credential.candidate(None).await;
    assert_eq!(candidate.header.to_str().unwrap(), "two");
    assert_eq!(shown(&credential).unwrap(), "one");
    credential.proved(&candidate, true);
    assert_eq!(shown(&credential).unwrap(), "two");
}

/// OpenBao with one AppRole. `life` is how long tokens hold, `token` the number of the one it takes.
async fn openbao(desk: &Desk) -> String {
    desk.set("life", "3600");
    let answer = |State(desk): State<Desk>, request: Request| async move {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let asked = desk.note(&parts, &body);
        let grant = |token: String| {
            json!({"auth": {"client_token": token, "renewable": true, "token_type": "service",
                "lease_duration": desk.get("life").parse::<u64>().unwrap()}})
        };
        if asked.target == "/v1/auth/approle/login" {
            let wanted = json!({"role_id": "a-role", "secret_id": "a-secret-id"});
            if serde_json::from_slice::<Value>(&body).unwrap() != wanted {
                return answered(400, json!({"errors": ["invalid role or secret ID: canary"]}));
            }
            let token = format!("hvs.{}", desk.asked("/v1/auth/approle").len());
            desk.set("token", token.clone());
            return answered(200, grant(token));
        }
        if asked.header("x-vault-token") != desk.get("token") {
            return answered(403, json!({"errors": ["permission denied"]}));
        }
        match asked.target.as_str() {
            "/v1/auth/token/renew-self" => answered(200, grant(desk.get("token"))),
            "/v1/auth/token/lookup-self" => {
                answered(200, json!({"data": {"ttl": 0, "renewable": false}}))
            }
            "/v1/secret/data/gatehouse/east" => answered(
                200,
                json!({"data": {
                "data": {"value": desk.get("value"), "number": 5},
                "metadata": {"version": 3, "deletion_time": "", "destroyed": false}}}),
            ),
            "/v1/secret/data/deleted" => answered(
                200,
                json!({"data": {"data": null,
                "metadata": {"version": 3, "deletion_time": "2026-01-01T00:00:00Z"}}}),
            ),
            _ => answered(404, json!({"errors": []})),
        }
    };
    serve(Router::new().fallback(answer).with_state(desk.clone())).await
}

fn of_openbao(path: &str, field: &str) -> SecretRef {
    SecretRef::Openbao { mount: "secret".into(), path: path.into(), field: field.into() }
}

#[tokio::test]
async fn openbao_is_read_after_a_login_whose_token_is_renewed_and_replaced() {
    let (desk, folder) = (Desk::default(), tempfile::tempdir().unwrap());
    let url = openbao(&desk).await;
    desk.set("value", "of-openbao");
    let secret_id = folder.path().join("secret-id");
    std::fs::write(&secret_id, "a-secret-id\n").unwrap();
    let (vault, _) = vault(|config| {
        config.openbao.address = url;
        config.openbao.namespace = "team".into();
        config.openbao.app_role = Some(AppRoleConfig {
            role_id: "a-role".into(),
            secret_id: SecretRef::File(secret_id),
            mount: "approle".into(),
        });
    });
    let found = vault.get(&of_openbao("gatehouse/east", "value")).await.unwrap();
    assert_eq!(found.expose(), "of-openbao");
    assert_eq!(desk.asked("/v1/secret")[0].header("x-vault-namespace"), "team");
    for (path, field, words) in [
        ("deleted", "value", "deleted"),
        ("gatehouse/east", "absent", "no such field"),
        ("gatehouse/east", "number", "no text"),
        ("nowhere", "value", "status 404"),
    ] {
        let error = vault.get(&of_openbao(path, field)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing);
        let story = error.story();
        assert!(story.contains(words) && story.contains(path), "{story}");
    }
    // The token is revoked; then those that follow live for a second.
    desk.set("token", "another");
    desk.set("life", "1");
    assert!(vault.get(&of_openbao("gatehouse/east", "value")).await.is_ok(), "it logs in again");
    let logins = desk.asked("/v1/auth/approle").len();
    let renewed = || {
        let due = !desk.asked("/v1/auth/token/renew-self").is_empty();
        due.then_some(())
    };
    eventually("the token is renewed by itself", renewed).await;
    assert_eq!(desk.asked("/v1/auth/approle").len(), logins);
}

#[tokio::test]
async fn a_home_that_is_not_set_up_or_may_not_be_dialled_is_named_with_the_fix() {
    let (vault, told) = vault(|config| {
        config.egress = net::EgressConfig::default();
        config.openbao.address = "http://127.0.0.1:9".into();
        config.openbao.token = Some(SecretRef::Env("PATH".into()));
    });
    let error = vault.get(&of_key_vault("v", "n", "")).await.unwrap_err().story();
    assert!(error.contains("vault.key_vault.auth"), "{error}");
    let error = vault.get(&of_openbao("p", "f")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.story().contains("vault.egress.allow"), "{}", error.story());
    assert!(!error.story().contains(&std::env::var("PATH").unwrap()));
    assert_eq!(told.lock().unwrap()[0].kind, "egress_denied");
}

fn application(authority: &str, secret: SecretRef) -> Identity {
    Identity::ClientSecret(ClientSecretConfig {
        tenant: "a-tenant".into(),
        client_id: "a-client".into(),
        secret,
        authority: authority.into(),
    })
}

#[tokio::test]
async fn what_proves_an_identity_may_lie_in_a_home_on_another_machine() {
    let (desk, bao, folder) = (Desk::default(), Desk::default(), tempfile::tempdir().unwrap());
    let (url, address) = (key_vault(&desk).await, openbao(&bao).await);
    desk.set("token", "t1");
    desk.set("value", "of-key-vault");
    bao.set("value", "of-openbao");
    let secret_id = folder.path().join("secret-id");
    std::fs::write(&secret_id, "a-secret-id\n").unwrap();
    let (vault, _) = vault(|config| {
        config.openbao.address = address;
        config.openbao.app_role = Some(AppRoleConfig {
            role_id: "a-role".into(),
            secret_id: SecretRef::File(secret_id),
            mount: "approle".into(),
        });
        config.key_vault.auth = Some(application(&url, of_openbao("gatehouse/east", "value")));
    });
    let identity = application(&url, of_key_vault(&url, "backend", ""));
    let source = CredentialSource::Token(identity, "https://models.example/.default".into());
    let credential = vault.credential("east", &source, Carrier::Bearer).unwrap();
    assert_eq!(eventually("a token", || shown(&credential)).await, "Bearer t1");
    let secrets: Vec<_> =
        desk.asked("/a-tenant/").iter().map(|asked| asked.field("client_secret")).collect();
    assert_eq!(
        secrets,
        ["of-openbao", "of-key-vault"],
        "of Key Vault's login, then of the backend's"
    );
}

#[test]
fn a_home_whose_login_leads_back_to_it_is_refused_with_the_fix() {
    let in_key_vault = || of_key_vault("v", "login", "");
    let in_openbao = || of_openbao("login", "value");
    let story = |key_vault: Option<SecretRef>, token: Option<SecretRef>, address: &str| {
        let mut config = VaultConfig::default();
        config.key_vault.auth =
            key_vault.map(|secret| application("https://login.example", secret));
        config.openbao.address = address.to_owned();
        config.openbao.token = token;
        Vault::new(&config, |_| {}).map(drop).map_err(|error| error.story())
    };
    let (bao, local) = ("https://bao.example", || SecretRef::Env("PATH".into()));
    let here = "put it where no login is needed: env, file or vault";
    for (key_vault, token, address, words) in [
        (Some(in_key_vault()), None, "", ["vault.key_vault.auth: its secret is in", here]),
        (Some(local()), Some(in_openbao()), bao, ["vault.openbao: its login is in OpenBao", here]),
        (Some(in_openbao()), Some(in_key_vault()), bao, ["each has its secret in the other", here]),
        (Some(in_openbao()), None, "", ["OpenBao is not set up", "give vault.openbao.address"]),
        (
            None,
            Some(in_key_vault()),
            bao,
            ["Azure Key Vault is not set up", "vault.key_vault.auth"],
        ),
    ] {
        let story = story(key_vault, token, address).unwrap_err();
        assert!(words.iter().all(|word| story.contains(word)), "{story}");
    }
    assert_eq!(story(Some(in_openbao()), Some(local()), bao), Ok(()));
    assert_eq!(story(Some(local()), Some(in_key_vault()), bao), Ok(()));
}
