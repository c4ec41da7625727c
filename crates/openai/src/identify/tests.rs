//! Cases of `identify`.

use serde_json::Value;

use super::*;
use crate::{Catalogue, Kind};

/// The clients' captures: method, path and mode of every request that SDKs send.
const MATRIX: &str = include_str!("../../testdata/matrix.json");

fn filled(template: &str) -> String {
    let mut path = String::new();
    for segment in template.split('/').skip(1) {
        path.push('/');
        match segment.strip_prefix('{') {
            Some(name) => path.push_str(&format!("{}_1", name.trim_end_matches('}'))),
            None => path.push_str(segment),
        }
    }
    path
}

#[test]
fn every_operation_identifies_to_itself() {
    let catalogue = Catalogue::builtin();
    for operation in catalogue.operations() {
        let path = filled(&operation.path_template);
        let version = operation.api_versions.first().expect("every operation has a version");
        let query = format!("api-version={version}");
        let query = (version != "v1").then_some(query.as_str());
        let identified = catalogue.identify(&operation.method, &path, query);
        assert_eq!(identified.operation, Some(operation), "{} {path}", operation.method);
        assert_eq!(identified.finding, Finding::Known);
        assert_eq!(identified.surface, operation.surface, "{path}");
        assert_eq!(identified.api_version.is_some(), query.is_some());
        assert!(identified.version_is_known(), "{path}");
        let parameters = operation.path_template.matches('{').count();
        let deployment = usize::from(identified.deployment.is_some());
        assert_eq!(identified.ids.iter().count() + deployment, parameters, "{path}");
    }
}

fn kind_of(path: &str) -> Kind {
    let has = |word: &str| path.split('/').any(|segment| segment == word);
    let kinds = [
        ("assistants", Kind::Assistants),
        ("threads", Kind::Assistants),
        ("vector_stores", Kind::Assistants),
        ("batches", Kind::Batch),
        ("evals", Kind::Other),
        ("moderations", Kind::Other),
        ("videos", Kind::Other),
        ("fine_tuning", Kind::FineTune),
        ("realtime", Kind::Realtime),
        ("chat", Kind::Chat),
        ("responses", Kind::Chat),
        ("conversations", Kind::Chat),
        ("embeddings", Kind::Embedding),
        ("images", Kind::Image),
        ("speech", Kind::TextToSpeech),
        ("transcriptions", Kind::SpeechToText),
        ("translations", Kind::SpeechToText),
        ("files", Kind::Files),
        ("uploads", Kind::Files),
        ("containers", Kind::Files),
        ("completions", Kind::Completion),
        ("models", Kind::Management),
    ];
    kinds.into_iter().find(|(word, _)| has(word)).map(|(_, kind)| kind).expect("a known word")
}

#[test]
fn every_request_that_a_client_was_seen_to_send_is_a_known_operation() {
    let matrix: Value = serde_json::from_str(MATRIX).expect("the captures are JSON");
    let rows = matrix["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 239);
    let catalogue = Catalogue::builtin();
    for row in rows {
        let method = row["method"].as_str().expect("method");
        let template = row["path"].as_str().expect("path");
        let path = filled(template);
        let identified = catalogue.identify(method, &path, None);
        let operation = identified.operation.unwrap_or_else(|| panic!("{method} {path}"));
        assert_eq!(operation.kind, kind_of(template), "{method} {path}");
        let mode = row["mode"].as_str().expect("mode");
        let web_socket = operation.streaming == crate::Streaming::WebSocket;
        assert_eq!(mode == "websocket", web_socket, "{method} {path}");
        if mode == "sse" && method == "POST" {
            assert!(operation.streams_events(), "{method} {path}");
        }
        let deployment = template.contains("{deployment}").then_some("deployment_1");
        assert_eq!(identified.deployment.as_deref(), deployment);
        let ids = template.matches('{').count() - usize::from(deployment.is_some());
        assert_eq!(identified.ids.iter().count(), ids);
    }
}

#[test]
fn each_family_is_told_from_the_others() {
    let catalogue = Catalogue::builtin();
    for (method, path, family, surface, id) in [
        (
            "POST",
            "/openai/deployments/d/chat/completions",
            Family::AzureDeployment,
            Surface::AzureDated,
            "ChatCompletions_Create",
        ),
        (
            "POST",
            "/openai/deployments/d/threads/t/runs",
            Family::DeploymentPrefixed,
            Surface::AzureDated,
            "Create_Run",
        ),
        (
            "GET",
            "/openai/deployments/d",
            Family::AzureResource,
            Surface::AzureDated,
            "Deployments_Get",
        ),
        (
            "POST",
            "/openai/chat/completions",
            Family::AzureResource,
            Surface::AzureDated,
            "ChatCompletions_Create",
        ),
        (
            "POST",
            "/openai/v1/chat/completions",
            Family::AzureV1,
            Surface::AzureV1,
            "ChatCompletions_Create",
        ),
        ("POST", "/openai/v1/threads", Family::AzureV1, Surface::AzureV1, "Create_Thread"),
        ("POST", "/v1/chat/completions", Family::OpenAi, Surface::OpenAi, "ChatCompletions_Create"),
        ("POST", "/chat/completions", Family::Bare, Surface::OpenAi, "ChatCompletions_Create"),
        (
            "POST",
            "/deployments/d/embeddings",
            Family::Bare,
            Surface::AzureDated,
            "Embeddings_Create",
        ),
        ("GET", "/models", Family::Bare, Surface::OpenAi, "Models_List"),
        ("GET", "/models/gpt-4o", Family::Bare, Surface::OpenAi, "Models_Get"),
        (
            "POST",
            "/models/chat/completions",
            Family::Inference,
            Surface::AzureAiInference,
            "ChatCompletions_Create",
        ),
        ("GET", "/models/info", Family::Inference, Surface::AzureAiInference, "getModelInfo"),
    ] {
        let identified = catalogue.identify(method, path, None);
        assert_eq!(identified.family, family, "{path}");
        assert_eq!(identified.surface, surface, "{path}");
        assert_eq!(identified.log_operation_id(), id, "{path}");
    }
}

#[test]
fn slashes_case_and_encoding_are_forgiven() {
    let catalogue = Catalogue::builtin();
    let path = "//OpenAI/Deployments/gpt%2D4o%20mini/chat//Completions/";
    let identified = catalogue.identify("POST", path, Some("x=1&API-Version=2024-10-21"));
    assert_eq!(identified.log_operation_id(), "ChatCompletions_Create");
    assert_eq!(identified.deployment.as_deref(), Some("gpt-4o mini"));
    assert_eq!(identified.api_version.as_deref(), Some("2024-10-21"));
    let identified = catalogue.identify("POST", "/v1/%63hat/completions", None);
    assert_eq!(identified.log_operation_id(), "ChatCompletions_Create");
}

#[test]
fn words_win_over_ids_but_do_not_hide_them() {
    let catalogue = Catalogue::builtin();
    let identified = catalogue.identify("POST", "/v1/threads/runs", None);
    assert_eq!(identified.log_operation_id(), "Create_Thread_And_Run");
    let identified = catalogue.identify("GET", "/v1/threads/runs", None);
    assert_eq!(identified.log_operation_id(), "Get_Thread");
    assert_eq!(identified.ids.get("thread_id"), Some("runs"));
    assert_eq!(identified.pin_id(), Some("runs"));
}

#[test]
fn realtime_has_its_deployment_in_the_query() {
    let catalogue = Catalogue::builtin();
    let query = Some("api-version=2024-10-01-preview&deployment=my%20rt");
    let identified = catalogue.identify("GET", "/openai/realtime", query);
    assert_eq!(identified.deployment.as_deref(), Some("my rt"));
    let identified = catalogue.identify("GET", "/v1/realtime", Some("model=gpt-realtime"));
    assert_eq!(identified.deployment.as_deref(), Some("gpt-realtime"));
    assert_eq!(identified.query_model.as_deref(), Some("gpt-realtime"));
}

#[test]
fn what_is_unknown_is_told_apart() {
    let catalogue = Catalogue::builtin();
    let identified = catalogue.identify("PATCH", "/v1/files/file_1", None);
    assert_eq!(identified.finding, Finding::MethodNotAllowed(vec!["DELETE", "GET"]));
    assert_eq!(identified.hint, None);
    let identified = catalogue.identify("POST", "/openai/deployments/d/telepathy", None);
    assert_eq!(identified.finding, Finding::UnknownPath);
    assert_eq!(identified.deployment.as_deref(), Some("d"));
    assert_eq!(identified.relative_path, "telepathy");
    let identified = catalogue.identify("GET", "/favicon.ico", None);
    assert_eq!(identified.finding, Finding::UnknownFamily);
    assert_eq!(identified.family, Family::Unknown);
    let long = "/v1".to_owned() + &"/x".repeat(1000);
    assert_eq!(catalogue.identify("GET", &long, None).finding, Finding::UnknownPath);
    for path in ["", "/", "///", "/openai", "/openai/v1", "/v1/", "*", "%", "/%ff/%"] {
        assert_eq!(catalogue.identify("GET", path, Some("&&=&%&api-version")).operation, None);
    }
}

#[test]
fn wrong_base_urls_get_a_hint() {
    let catalogue = Catalogue::builtin();
    for (path, problem, suggested) in [
        (
            "/openai/openai/deployments/d/chat/completions",
            Problem::DoubledPrefix,
            "/openai/deployments/d/chat/completions",
        ),
        ("/v1/v1/chat/completions", Problem::DoubledPrefix, "/v1/chat/completions"),
        ("/openai/v1/v1/chat/completions", Problem::DoubledPrefix, "/openai/v1/chat/completions"),
        (
            "/openai/v1/openai/deployments/d/chat/completions",
            Problem::DoubledPrefix,
            "/openai/deployments/d/chat/completions",
        ),
        (
            "/openai/deployments/d/openai/deployments/d/chat/completions",
            Problem::DoubledPrefix,
            "/openai/deployments/d/chat/completions",
        ),
        ("/chat/completions/chat/completions", Problem::OperationAsBase, "/chat/completions"),
        (
            "/openai/deployments/d/chat/completions/openai/deployments/d/chat/completions",
            Problem::OperationAsBase,
            "/openai/deployments/d/chat/completions",
        ),
        (
            "/v1/chat/completions/v1/chat/completions",
            Problem::OperationAsBase,
            "/v1/chat/completions",
        ),
        ("/my/proxy/v1/chat/completions", Problem::ForeignPrefix, "/v1/chat/completions"),
    ] {
        let identified = catalogue.identify("POST", path, None);
        assert_eq!(identified.operation, None, "{path}");
        let hint = identified.hint.unwrap_or_else(|| panic!("no hint for {path}"));
        assert_eq!((hint.problem, hint.suggested_path.as_str()), (problem, suggested), "{path}");
        assert!(hint.to_string().contains(suggested));
    }
}
