//! Mistakes in clients' settings: each gets an answer that says what to change, in the SDKs' shape, and
//! a record with the mistake's name.

use bytes::Bytes;
use event::Outcome;
use http::{HeaderMap, Method, Request};
use http_body_util::Full;

use crate::support::{HELLO, KEY, NARROW_KEY, SUSPENDED_KEY, Setup, post, simulator};

/// What is wrong, the request (headers with `;` between them), and what comes of it.
struct Case {
    wrong: &'static str,
    call: &'static str,
    headers: &'static str,
    status: u16,
    code: &'static str,
    finding: &'static str,
    says: &'static str,
}

const CHAT: &str = "/openai/deployments/chat-prod/chat/completions";
const V: &str = "?api-version=2024-10-21";

#[rustfmt::skip]
const CASES: [Case; 35] = [
    // The base URL.
    case("an endpoint with /openai in it", "POST /openai/openai/deployments/chat-prod/chat/completions?api-version=2024-10-21", "api-key: KEY", 404, "OperationNotFound", "BaseUrlDoubled", "remove \"/openai\""),
    case("/v1 twice", "POST /v1/v1/chat/completions", "api-key: KEY", 404, "OperationNotFound", "BaseUrlDoubled", "becomes /v1/chat/completions"),
    case("/v1 behind /openai/v1", "POST /openai/v1/v1/chat/completions", "api-key: KEY", 404, "OperationNotFound", "BaseUrlDoubled", "becomes /openai/v1/chat/completions"),
    case("an endpoint with /v1 given to an Azure client", "POST /v1/openai/deployments/chat-prod/chat/completions?api-version=2024-10-21", "api-key: KEY", 404, "OperationNotFound", "BaseUrlDoubled", "remove \"/v1\""),
    case("a deployment's URL as endpoint", "POST /openai/deployments/chat-prod/openai/deployments/chat-prod/chat/completions?api-version=2024-10-21", "api-key: KEY", 404, "OperationNotFound", "BaseUrlDoubled", "becomes /openai/deployments/chat-prod/chat/completions"),
    case("an operation's URL as base URL", "POST /v1/chat/completions/chat/completions", "api-key: KEY", 404, "OperationNotFound", "OperationUrlAsBaseUrl", "remove \"/v1/chat/completions\""),
    case("an operation's URL as endpoint", "POST /openai/deployments/chat-prod/chat/completions/openai/deployments/chat-prod/chat/completions?api-version=2024-10-21", "api-key: KEY", 404, "OperationNotFound", "OperationUrlAsBaseUrl", "must end before it"),
    case("a path of another proxy", "POST /my/proxy/v1/chat/completions", "api-key: KEY", 404, "OperationNotFound", "BaseUrlHasForeignPath", "remove \"/my/proxy\""),
    case("a path that nobody knows", "POST /nowhere", "api-key: KEY", 404, "OperationNotFound", "OperationNotFound", "Check the base URL"),
    // Not mistakes: these work.
    case("a base URL without /openai/v1", "POST /chat/completions", "authorization: Bearer KEY", 200, "", "", ""),
    case("a base URL without /v1", "POST /openai/chat/completions", "authorization: Bearer KEY", 200, "", "", ""),
    // The version.
    case("no api-version", "POST /openai/deployments/chat-prod/chat/completions", "api-key: KEY", 404, "OperationNotFound", "ApiVersionMissing", "?api-version=2024-10-21"),
    case("an api-version that is a word", "POST /openai/deployments/chat-prod/chat/completions?api-version=latest", "api-key: KEY", 404, "OperationNotFound", "ApiVersionMalformed", "\"latest\" is no api-version"),
    case("an api-version with a slip", "POST /openai/deployments/chat-prod/chat/completions?api-version=2024-1-21", "api-key: KEY", 404, "OperationNotFound", "ApiVersionMalformed", "2024-10-21"),
    case("no api-version for inference", "POST /models/chat/completions", "api-key: KEY", 404, "OperationNotFound", "ApiVersionMissing", "api-version"),
    // The deployment.
    case("a slip in the deployment", "POST /openai/deployments/chat-prd/chat/completions?api-version=2024-10-21", "api-key: KEY", 404, "DeploymentNotFound", "DeploymentUnknown", "You may use \"chat-prod\""),
    case("a slip in `model`", "POST /v1/chat/completions chat_prod", "api-key: KEY", 404, "DeploymentNotFound", "DeploymentUnknown", "You may use \"chat-prod\""),
    case("the model's name as deployment", "POST /openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", "api-key: KEY", 404, "DeploymentNotFound", "ModelInsteadOfDeployment", "it must be the name of a deployment"),
    case("the model's name as `model`", "POST /openai/v1/chat/completions gpt-4o", "api-key: KEY", 404, "DeploymentNotFound", "ModelInsteadOfDeployment", "\"chat-prod\", \"text-embedding-3-small\""),
    case("capitals in the deployment", "POST /openai/deployments/Chat-Prod/chat/completions?api-version=2024-10-21", "api-key: KEY", 404, "DeploymentNotFound", "DeploymentNameCase", "is written \"chat-prod\" here"),
    case("a deployment of another team", "POST /openai/deployments/chat-prod/embeddings?api-version=2024-10-21", "api-key: NARROW", 403, "DeploymentNotAllowed", "DeploymentNotAllowed", "You may use \"text-embedding-3-small\"."),
    case("a name that only others may use", "POST /v1/embeddings other", "api-key: NARROW", 403, "DeploymentNotAllowed", "DeploymentNotAllowed", "You may use \"text-embedding-3-small\"."),
    // The method.
    case("GET for POST", "GET /openai/deployments/text-embedding-3-small/embeddings?api-version=2024-10-21", "api-key: KEY", 405, "MethodNotAllowed", "MethodWrong", "takes POST, not GET"),
    case("PUT for POST", "PUT /v1/embeddings", "api-key: KEY", 405, "MethodNotAllowed", "MethodWrong", "takes POST, not PUT"),
    // The key.
    case("no key", "POST CHAT", "", 401, "SubscriptionKeyNotFound", "SubscriptionKeyNotFound", "include subscription key"),
    case("a key without its scheme", "POST CHAT", "authorization: KEY", 401, "SubscriptionKeyNotFound", "KeyWithoutBearer", "Authorization: Bearer <key>"),
    case("a key as password", "POST CHAT", "authorization: Basic KEY", 401, "SubscriptionKeyNotFound", "KeyWithOtherScheme", "another scheme than Bearer"),
    case("another service's header", "POST CHAT", "x-api-key: KEY", 401, "SubscriptionKeyNotFound", "KeyInWrongHeader", "`x-api-key` is not read"),
    case("another service's parameter", "POST CHAT&key=KEY", "", 401, "SubscriptionKeyNotFound", "KeyInWrongParameter", "`key` is not read"),
    case("a scheme where none belongs", "POST CHAT", "api-key: Bearer KEY", 401, "SubscriptionKeyInvalid", "KeyWithScheme", "leave `Bearer` out"),
    case("a variable that is not set", "POST CHAT", "api-key: ", 401, "SubscriptionKeyInvalid", "KeyEmpty", "is not set"),
    case("a variable that is not filled in", "POST CHAT", "api-key: ${GATEHOUSE_KEY}", 401, "SubscriptionKeyInvalid", "KeyIsPlaceholder", "placeholder"),
    case("a key of OpenAI", "POST CHAT", "authorization: Bearer sk-abc", 401, "SubscriptionKeyInvalid", "OpenAiKey", "its own subscriptions"),
    case("a token of Entra", "POST CHAT", "authorization: Bearer eyJa.eyJb.c", 401, "SubscriptionKeyInvalid", "TokenInsteadOfKey", "token (JWT)"),
    case("a dummy in the header that counts", "POST CHAT", "api-key: dummy; authorization: Bearer KEY", 401, "SubscriptionKeyInvalid", "KeyInWrongHeader", "is read first"),
];

#[expect(clippy::too_many_arguments, reason = "a line of a table")]
const fn case(
    wrong: &'static str,
    call: &'static str,
    headers: &'static str,
    status: u16,
    code: &'static str,
    finding: &'static str,
    says: &'static str,
) -> Case {
    Case { wrong, call, headers, status, code, finding, says }
}

impl Case {
    fn request(&self) -> Request<Full<Bytes>> {
        let call = self.call.replace("CHAT", &format!("{CHAT}{V}")).replace("KEY", KEY);
        let mut words = call.split(' ');
        let method: Method = words.next().unwrap().parse().unwrap();
        let target = words.next().unwrap();
        let model = words.next().unwrap_or("chat-prod");
        let body = match method == Method::GET {
            true => String::new(),
            false => HELLO.replacen('{', &format!("{{\"input\":\"x\",\"model\":\"{model}\","), 1),
        };
        let mut request = post(target, &body);
        *request.method_mut() = method;
        request.headers_mut().remove("api-key");
        let headers = self.headers.replace("NARROW", NARROW_KEY).replace("KEY", KEY);
        let mut added = HeaderMap::new();
        for line in headers.split(';').filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap();
            let name: http::HeaderName = name.trim().parse().unwrap();
            added.insert(name, value.trim().parse().unwrap());
        }
        request.headers_mut().extend(added);
        request
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_told_with_what_to_change_and_recorded_by_its_name() {
    let backend = simulator().await;
    for case in &CASES {
        let world = Setup::before(&[backend.url()])
            .with(|config| {
                config.backends[0].deployments =
                    vec!["chat-prod".into(), "text-embedding-3-small".into()];
                config.backends[0].names.insert("chat-prod".into(), "gpt-4o".into());
            })
            .start()
            .await;
        let answer = world.call(case.request()).await;
        let wrong = case.wrong;
        assert_eq!(answer.status, case.status, "{wrong}: {}", answer.text());
        let story = world.story();
        assert!(!format!("{story:?}").contains(KEY), "{wrong}: the key is in the record");
        if case.status == 200 {
            assert_eq!(story.end().outcome, Outcome::Complete, "{wrong}");
            continue;
        }
        assert_eq!(answer.code(), case.code, "{wrong}");
        let error = &answer.json()["error"];
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(case.says), "{wrong}: {message}");
        assert!(!message.contains(KEY), "{wrong}: {message}");
        let inner = error["innererror"]["code"].as_str().unwrap_or(case.code);
        assert_eq!(inner, case.finding, "{wrong}");
        assert_eq!(answer.headers["x-should-retry"], "false", "{wrong}");
        assert_eq!(story.end().outcome, Outcome::Refused, "{wrong}");
        assert_eq!(story.end().errors[0].reason, case.finding, "{wrong}");
        assert!(story.dispatched.is_empty(), "{wrong}");
        if case.status != 401 {
            assert!(!story.start().subscription_id.is_empty(), "{wrong}: whose mistake it is");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_subscription_is_told_from_a_wrong_key() {
    let backend = simulator().await;
    let world = Setup::before(&[backend.url()]).start().await;
    let mut request = post(&format!("/openai/deployments/gpt-4o/chat/completions{V}"), HELLO);
    request.headers_mut().insert("api-key", SUSPENDED_KEY.parse().unwrap());
    let answer = world.call(request).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "SubscriptionKeyInvalid"));
    assert_eq!(world.story().end().errors[0].reason, "SubscriptionInactive");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_finding_stands_in_the_clients_page() {
    let page = include_str!("../../../../docs/clients.md");
    for case in CASES.iter().filter(|case| case.status != 200) {
        for name in [case.code, case.finding] {
            assert!(page.contains(&format!("`{name}`")), "{name} is missing in docs/clients.md");
        }
    }
}
