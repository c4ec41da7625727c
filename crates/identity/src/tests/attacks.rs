//! Every line of `testdata/attacks.json`: a token, and what must become of it.

use net::EgressRules;
use serde_json::Value;

use super::signer::{self, HEADER, JWKS, NOW, TENANT};
use crate::config::{IdentityConfig, ProviderConfig};
use crate::identity::Identity;
use crate::keys::KeySet;
use crate::rejection::Rejection;
use crate::settings::Settings;
use crate::token::{Purpose, Token, looks_like_jwt};

fn settings(provider: &str) -> Settings {
    let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
    let common = ProviderConfig {
        id: provider.into(),
        audiences: texts(&["api-1", "https://cognitiveservices.azure.com"]),
        algorithms: texts(&["RS256", "ES256"]),
        ..ProviderConfig::default()
    };
    let provider = match provider {
        "plain" => ProviderConfig { issuer: "https://id.example".into(), ..common },
        _ => ProviderConfig {
            entra_tenant: TENANT.into(),
            clients: texts(&["client-1"]),
            scopes: texts(&["Models.Use"]),
            ..common
        },
    };
    let config = IdentityConfig { providers: vec![provider], ..IdentityConfig::default() };
    config.resolve(EgressRules::new(&config.egress)).expect("valid").remove(0)
}

fn judge(token: &str, provider: &str) -> Result<Identity, Rejection> {
    let keys = KeySet::parse(JWKS.as_bytes()).expect("a JWKS");
    let token = Token::parse(token, IdentityConfig::default().token_bytes_max)?;
    token.verify(&settings(provider), &keys, Purpose::Access, NOW)
}

fn edited(token: &str, edit: &str) -> String {
    let (message, signature) = token.rsplit_once('.').expect("a token");
    let (header, payload) = message.split_once('.').expect("a token");
    let flip = |part: &str| {
        let other = if part[10..].starts_with('A') { 'B' } else { 'A' };
        format!("{}{other}{}", &part[..10], &part[11..])
    };
    match edit {
        "" => token.to_owned(),
        "no-signature-part" => message.to_owned(),
        "cut" => token[..token.len() - 4].to_owned(),
        "flip-signature" => format!("{message}.{}", flip(signature)),
        "flip-payload" => format!("{header}.{}.{signature}", flip(payload)),
        "swap-payload" => {
            let other = signer::merged(&serde_json::json!({"oid": "oid-admin"})).to_string();
            format!("{header}.{}.{signature}", signer::encode(other.as_bytes()))
        }
        "pad" => format!("{token}=="),
        "standard-base64" => format!("{message}.+/{}", &signature[2..]),
        "space" => format!("{header}. {payload}.{signature}"),
        "newline" => format!("{token}\n"),
        "fourth" => format!("{token}.{signature}"),
        "five" => format!("{token}.{signature}.{signature}"),
        "no-payload" => format!("{header}..{signature}"),
        "no-dots" => token.replace('.', ""),
        other => panic!("no such edit: {other}"),
    }
}

#[test]
fn no_attack_is_accepted_and_every_refusal_has_its_reason() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../testdata/attacks.json")).expect("JSON");
    let attacks = cases.iter().filter(|case| case["expect"] != "accepted").count();
    assert!(attacks >= 60, "{attacks}");
    let mut wrong = Vec::new();
    for case in &cases {
        let text = |name: &str| case[name].as_str();
        let payload = match text("payload") {
            Some(payload) => payload.to_owned(),
            None => signer::merged(&case["claims"]).to_string(),
        };
        let how = text("sign").unwrap_or("rs256");
        let token = signer::token(text("header").unwrap_or(HEADER), &payload, how);
        let token = match text("signature") {
            Some(given) => format!("{}.{given}", token.rsplit_once('.').expect("a token").0),
            None => token,
        };
        let token = edited(&token, text("edit").unwrap_or_default());
        let judged = judge(&token, text("provider").unwrap_or("entra"));
        let verdict = match &judged {
            Ok(_) => "accepted",
            Err(rejection) => rejection.reason.name(),
        };
        let is_expected = match &case["expect"] {
            Value::Array(several) => several.iter().any(|one| one == verdict),
            one => one == verdict,
        };
        if !is_expected {
            wrong.push(format!("{}: {verdict} ({judged:?})", case["name"]));
        }
        if let (Ok(identity), Some(id)) = (&judged, text("id")) {
            assert_eq!(identity.member.user_id, id, "{}", case["name"]);
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn no_byte_of_a_token_can_be_changed() {
    let token = signer::token(HEADER, &signer::claims().to_string(), "rs256");
    assert!(judge(&token, "entra").is_ok());
    for at in 0..token.len() {
        for other in [b'A', b'z', b'-', b'.'] {
            let mut bytes = token.clone().into_bytes();
            if bytes[at] != other {
                bytes[at] = other;
                let changed = String::from_utf8(bytes).expect("ASCII");
                assert!(judge(&changed, "entra").is_err(), "byte {at} as {other}");
            }
        }
    }
}

#[test]
fn a_token_says_who_it_is_about() {
    use policy::PrincipalKind;
    let of = |changes: Value| {
        let payload = signer::merged(&changes).to_string();
        judge(&signer::token(HEADER, &payload, "rs256"), "entra").expect("accepted")
    };
    let person = of(serde_json::json!({"groups": ["g1"], "roles": ["Models.Use"]}));
    assert_eq!((person.kind, person.name.as_str()), (PrincipalKind::User, "Ann"));
    assert_eq!((person.member.user_id.as_str(), person.tenant.as_str()), ("oid-1", TENANT));
    assert_eq!(person.member.groups, ["g1"]);
    assert_eq!(person.member.app_roles, ["Models.Use"]);
    assert!(!person.groups_missing);
    let program = of(serde_json::json!({"scp": null, "sub": "oid-1"}));
    assert_eq!(
        (program.kind, program.member.client_id.as_str()),
        (PrincipalKind::Application, "client-1")
    );
    let many = of(serde_json::json!({"_claim_names": {"groups": "src1"}}));
    assert!(many.groups_missing);
    assert!(of(serde_json::json!({"hasgroups": "true"})).groups_missing);
}

#[test]
fn subscription_keys_do_not_look_like_tokens() {
    assert!(looks_like_jwt(&signer::token(HEADER, "{}", "empty")));
    for key in ["0123456789abcdef", "ey", "sk-proj-1.2.3", "eyJ.a", ""] {
        assert!(!looks_like_jwt(key), "{key}");
    }
}
