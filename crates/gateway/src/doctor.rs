//! What is wrong with a client's settings, and what to change: the words of refusals that a person can
//! act on. Not here: whether a request is refused.

use std::fmt::Write;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use openai::{Finding, Identified};

use crate::config::UnknownPaths;
use crate::credential;
use crate::refusal::{Kind, Refusal};

/// Deployments that one message lists.
const LISTED_MAX: usize = 5;
/// Longest name that a message repeats, in characters.
const NAME_MAX: usize = 64;
/// How near a name must be to count as meant; 1 is the same.
const NEAR: f64 = 0.75;
/// How names of models begin, as their makers give them.
const MODEL_STARTS: [&str; 20] = [
    "gpt-",
    "chatgpt-",
    "o1",
    "o3",
    "o4",
    "text-embedding",
    "text-davinci",
    "davinci",
    "babbage",
    "dall-e",
    "whisper",
    "tts-",
    "sora",
    "codex",
    "omni-moderation",
    "claude",
    "gemini",
    "llama",
    "mistral",
    "deepseek",
];

/// Why a URL matches no operation; none if it does, or is to be passed on.
pub(crate) fn path(
    method: &Method,
    found: &Identified<'_>,
    unknown: UnknownPaths,
) -> Option<Refusal> {
    let hint = found.hint.as_ref();
    match &found.finding {
        Finding::Known => None,
        Finding::MethodNotAllowed(methods) => {
            let takes = methods.join(" or ");
            let refusal =
                Refusal::new(Kind::MethodNotAllowed).finding("MethodWrong").allow(methods);
            Some(refusal.say(format!(
                "The operation at this path takes {takes}, not {method}. Call it with {takes}; if your client does, a redirect on the way has changed the method: give it the final URL, with https."
            )))
        }
        // A path that looks like a mistake is never passed on: no backend would know it either.
        Finding::UnknownPath if unknown == UnknownPaths::Proxy && hint.is_none() => None,
        Finding::UnknownPath | Finding::UnknownFamily => {
            let refusal = Refusal::new(Kind::UnknownPath);
            Some(match hint {
                Some(hint) => refusal
                    .finding(hint.problem.name())
                    .say(format!("Unable to match incoming request to an operation: {hint}.")),
                None => refusal,
            })
        }
    }
}

/// A dated path without a usable `api-version`.
pub(crate) fn api_version(given: &str) -> Refusal {
    let refusal = Refusal::new(Kind::UnknownPath);
    if given.is_empty() {
        return refusal.finding("ApiVersionMissing").say(
            "Resource not found: a URL with /openai/deployments/ needs an api-version. Add ?api-version=2024-10-21 (`api_version` of Azure's clients), or give an OpenAI client the base URL that ends in /openai/v1 and the deployment's name as `model`.",
        );
    }
    refusal.finding("ApiVersionMalformed").say(format!(
        "Resource not found: \"{}\" is no api-version. Use one as 2024-10-21 or 2025-04-01-preview.",
        shortened(given)
    ))
}

/// Whether an `api-version` is written as Azure writes them.
pub(crate) fn is_dated(version: &str) -> bool {
    let date = version.strip_suffix("-preview").unwrap_or(version);
    date.len() == 10
        && date.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// Says more closely why no subscription was found. `is_known` tells of a key whether it belongs to one.
pub(crate) fn key(
    refusal: Refusal,
    headers: &HeaderMap,
    query: Option<&str>,
    is_known: &dyn Fn(&str) -> bool,
) -> Refusal {
    let told = match credential::find(headers, query) {
        None => missing_key(headers, query),
        Some(key) => wrong_key(&key, headers, is_known),
    };
    let Some((finding, advice)) = told else { return refusal };
    let message = format!("{} {advice}", refusal.message());
    refusal.finding(finding).say(message)
}

type Told = Option<(&'static str, String)>;

fn missing_key(headers: &HeaderMap, query: Option<&str>) -> Told {
    const WHERE: &str =
        "send the key in the header `api-key`, or as `Authorization: Bearer <key>`.";
    if let Some(value) = headers.get(AUTHORIZATION) {
        let scheme = value.to_str().unwrap_or_default().split_once(' ').map(|(scheme, _)| scheme);
        return Some(match scheme {
            None => ("KeyWithoutBearer", format!("`Authorization` names no scheme: {WHERE}")),
            Some(_) => (
                "KeyWithOtherScheme",
                format!("`Authorization` has another scheme than Bearer: {WHERE}"),
            ),
        });
    }
    if let Some(name) = credential::misplaced_header(headers) {
        return Some(("KeyInWrongHeader", format!("The header `{name}` is not read: {WHERE}")));
    }
    credential::misplaced_parameter(query?)
        .map(|name| ("KeyInWrongParameter", format!("The parameter `{name}` is not read: {WHERE}")))
}

fn wrong_key(key: &str, headers: &HeaderMap, is_known: &dyn Fn(&str) -> bool) -> Told {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
    let other = bearer.map(|(_, token)| token.trim()).filter(|token| *token != key);
    let (finding, advice) = if other.is_some_and(is_known) {
        (
            "KeyInWrongHeader",
            "The header `api-key` is read first and holds another key than `Authorization`, whose key is good: send that one in both, or leave `api-key` out.",
        )
    } else if key.is_empty() {
        ("KeyEmpty", "The key is empty: the variable or setting that should hold it is not set.")
    } else if key.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        ("KeyWithScheme", "The header `api-key` takes the key alone: leave `Bearer` out.")
    } else if key.starts_with(['<', '$', '{', '"', '\'']) {
        ("KeyIsPlaceholder", "What was sent is no key but its placeholder, or a key in quotes.")
    } else if key.starts_with("eyJ") && key.matches('.').count() == 2 {
        (
            "TokenInsteadOfKey",
            "What was sent is a token (JWT): this gateway takes the keys of its subscriptions.",
        )
    } else if key.starts_with("sk-") {
        (
            "OpenAiKey",
            "What was sent is a key of OpenAI: this gateway takes the keys of its own subscriptions.",
        )
    } else {
        return None;
    };
    Some((finding, advice.to_owned()))
}

/// No backend serves the deployment. `usable` are the names that the caller may use.
pub(crate) fn unknown_deployment(name: &str, usable: &[&str]) -> Refusal {
    let near = nearest(name, usable);
    let is_model = MODEL_STARTS.iter().any(|start| name.to_ascii_lowercase().starts_with(start));
    let same = usable.iter().find(|known| known.eq_ignore_ascii_case(name));
    let shown = shortened(name);
    let mut advice = match same {
        Some(same) => format!("\"{shown}\" is written \"{same}\" here."),
        None if is_model => {
            format!("\"{shown}\" is the name of a model; here it must be the name of a deployment.")
        }
        None => format!("There is no \"{shown}\" here."),
    };
    let finding = match same {
        Some(_) => "DeploymentNameCase",
        None if is_model => "ModelInsteadOfDeployment",
        None => "DeploymentUnknown",
    };
    if same.is_none() {
        list(&mut advice, &near, usable.len());
    }
    let message = format!(
        "The API deployment for this resource does not exist. {advice} Change the deployment in the URL (`azure_deployment` of Azure's clients) or `model`."
    );
    Refusal::new(Kind::DeploymentNotFound).finding(finding).say(message)
}

/// The caller may not use the deployment.
pub(crate) fn forbidden_deployment(name: &str, usable: &[&str]) -> Refusal {
    let refusal = Refusal::new(Kind::DeploymentNotAllowed);
    let mut message = refusal.message().into_owned();
    list(&mut message, &nearest(name, usable), usable.len());
    refusal.say(message)
}

/// The nearest first.
fn nearest<'a>(name: &str, usable: &[&'a str]) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let mut rated: Vec<(f64, &str)> = usable
        .iter()
        .map(|known| (strsim::jaro_winkler(&name, &known.to_lowercase()), *known))
        .collect();
    rated.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let near = rated.iter().take_while(|(rating, _)| *rating >= NEAR).count();
    let count = if near == 0 { LISTED_MAX } else { near.min(LISTED_MAX) };
    rated.into_iter().take(count).map(|(_, known)| known).collect()
}

fn list(text: &mut String, names: &[&str], all: usize) {
    if names.is_empty() {
        return;
    }
    text.push_str(" You may use ");
    for (place, name) in names.iter().enumerate() {
        let gap = if place == 0 { "" } else { ", " };
        let _ = write!(text, "{gap}\"{name}\"");
    }
    if all > names.len() {
        let _ = write!(text, " and {} more", all - names.len());
    }
    text.push('.');
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_MAX).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_deployment_is_named_first() {
        let usable = ["chat-prod", "chat-test", "embeddings"];
        let message = |name: &str| unknown_deployment(name, &usable).message().into_owned();
        assert!(
            message("chat-prd").contains("You may use \"chat-prod\", \"chat-test\" and 1 more.")
        );
        assert!(message("CHAT-PROD").contains("\"CHAT-PROD\" is written \"chat-prod\" here."));
        assert!(message("gpt-4o").contains("is the name of a model"));
        assert!(message("zzz").contains("\"chat-prod\", \"chat-test\", \"embeddings\"."));
        assert!(!unknown_deployment("x", &[]).message().contains("You may use"));
        assert!(message(&"é".repeat(5000)).len() < 600);
    }

    #[test]
    fn versions_are_dates() {
        for version in ["2024-10-21", "2025-04-01-preview", "2099-99-99"] {
            assert!(is_dated(version), "{version}");
        }
        for version in ["", "latest", "2024-10", "2024_10_21", "v2024-10-21", "2024-10-21-beta"] {
            assert!(!is_dated(version), "{version}");
        }
    }
}
