//! Which dialect a path speaks, and whether its operation exists in the version asked for.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::config::Strictness;
use crate::dialect::Dialect;
use crate::failure::Failure;

/// Where a request goes.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) dialect: Dialect,
    /// From the path, decoded.
    pub(crate) deployment: Option<String>,
    /// The path behind the family's prefix and the deployment, decoded.
    pub(crate) segments: Vec<String>,
    /// As asked for; empty where the family has none.
    pub(crate) version: String,
    /// Azure's name of the operation, for its error texts.
    pub(crate) operation_id: String,
}

impl Route {
    /// Whether the version is at least the day `since` (`YYYY-MM-DD`; previews of that day count).
    /// Families without dates know everything.
    pub(crate) fn since(&self, since: &str) -> bool {
        self.dialect != Dialect::AzureDated || self.version.as_str() >= since
    }
}

struct Row {
    inference: bool,
    method: Method,
    template: Vec<String>,
    versions: Vec<String>,
    operation_id: String,
}

/// The dated operations and their versions, from `data/operations.csv`.
pub(crate) struct Table {
    rows: Vec<Row>,
    strictness: Strictness,
}

impl Table {
    pub(crate) fn new(strictness: Strictness) -> Self {
        let rows = include_str!("../data/operations.csv").lines().skip(1).map(row).collect();
        Self { rows, strictness }
    }

    /// Finds the way, or says what Azure or OpenAI would say.
    pub(crate) fn route(
        &self,
        method: &Method,
        path: &str,
        query: &[(String, String)],
    ) -> Result<Route, Failure> {
        let segments: Vec<String> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let version = query
            .iter()
            .find(|(name, _)| name == "api-version")
            .map_or("", |(_, value)| value.as_str());
        let texts: Vec<&str> = segments.iter().map(String::as_str).collect();
        match texts.as_slice() {
            ["openai", "v1", rest @ ..] => v1(rest, version),
            ["openai", rest @ ..] => self.dated(method, &texts, rest, version),
            ["models", rest @ ..] => self.inference(method, &texts, rest, version),
            ["v1", rest @ ..] => Ok(plain(Dialect::OpenAi, rest, "")),
            ["subscriptions", rest @ ..] => Ok(plain(Dialect::Arm, rest, version)),
            _ => Err(Failure::resource_not_found()),
        }
    }

    /// The dialect an error about this path should be written in.
    pub(crate) fn dialect(path: &str) -> Dialect {
        if path.starts_with("/v1/") || path == "/v1" {
            Dialect::OpenAi
        } else {
            Dialect::AzureDated
        }
    }

    fn dated(
        &self,
        method: &Method,
        whole: &[&str],
        rest: &[&str],
        version: &str,
    ) -> Result<Route, Failure> {
        if !self
            .rows
            .iter()
            .any(|row| !row.inference && row.versions.iter().any(|known| known == version))
        {
            return Err(Failure::resource_not_found());
        }
        let row = self.rows.iter().find(|row| !row.inference && row.matches(method, whole));
        let exists = row.is_some_and(|row| row.versions.iter().any(|known| known == version));
        if !exists && self.strictness == Strictness::Faithful {
            return Err(Failure::resource_not_found());
        }
        let (deployment, rest) = match rest {
            ["deployments", deployment, rest @ ..] if !rest.is_empty() => {
                (Some((*deployment).to_owned()), rest)
            }
            _ => (None, rest),
        };
        let route = plain(Dialect::AzureDated, rest, version);
        let operation_id = row.map_or_else(|| rest.join("_"), |row| row.operation_id.clone());
        Ok(Route { deployment, operation_id, ..route })
    }

    fn inference(
        &self,
        method: &Method,
        whole: &[&str],
        rest: &[&str],
        version: &str,
    ) -> Result<Route, Failure> {
        let row = self.rows.iter().find(|row| row.inference && row.matches(method, whole));
        let row = row.filter(|row| row.versions.iter().any(|known| known == version));
        let row = row.ok_or_else(Failure::resource_not_found)?;
        Ok(Route {
            operation_id: row.operation_id.clone(),
            ..plain(Dialect::Inference, rest, version)
        })
    }
}

/// The v1 paths take no version, `v1` or `preview`.
fn v1(rest: &[&str], version: &str) -> Result<Route, Failure> {
    if !matches!(version, "" | "v1" | "preview") {
        return Err(Failure::resource_not_found());
    }
    let version = if version.is_empty() { "v1" } else { version };
    Ok(plain(Dialect::AzureV1, rest, version))
}

fn plain(dialect: Dialect, rest: &[&str], version: &str) -> Route {
    Route {
        dialect,
        deployment: None,
        segments: rest.iter().map(|segment| (*segment).to_owned()).collect(),
        version: version.to_owned(),
        operation_id: match rest {
            ["chat", "completions"] => "ChatCompletions_Create".to_owned(),
            ["completions"] => "Completions_Create".to_owned(),
            ["embeddings"] => "Embeddings_Create".to_owned(),
            _ => rest.join("_"),
        },
    }
}

impl Row {
    fn matches(&self, method: &Method, path: &[&str]) -> bool {
        self.template.len() == path.len()
            && self.method == *method
            && self
                .template
                .iter()
                .zip(path)
                .all(|(template, segment)| template.starts_with('{') || template == segment)
    }
}

fn row(line: &str) -> Row {
    let mut fields = line.split(',');
    let mut next = || fields.next().unwrap_or_default();
    let inference = next() == "azure-ai-inference";
    let operation_id = next().to_owned();
    let method = Method::from_bytes(next().as_bytes()).unwrap_or_default();
    let template =
        next().split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
    let versions = next().split('|').map(str::to_owned).collect();
    Row { inference, method, template, versions, operation_id }
}

/// Reads a query; a parameter that comes twice is listed twice.
pub(crate) fn query(text: &str) -> Vec<(String, String)> {
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(strictness: Strictness, method: &str, target: &str) -> Option<Route> {
        let (path, text) = target.split_once('?').unwrap_or((target, ""));
        Table::new(strictness).route(&method.parse().unwrap(), path, &query(text)).ok()
    }

    #[test]
    fn a_dated_operation_exists_only_in_its_versions() {
        let chat = "/openai/deployments/my%20gpt/chat/completions?api-version=";
        let found = route(Strictness::Faithful, "POST", &format!("{chat}2024-10-21")).unwrap();
        assert_eq!(found.deployment.as_deref(), Some("my gpt"));
        assert_eq!(found.segments, ["chat", "completions"]);
        assert_eq!(found.operation_id, "ChatCompletions_Create");
        assert!(route(Strictness::Faithful, "POST", chat).is_none());
        assert!(route(Strictness::Faithful, "POST", &format!("{chat}2099-01-01")).is_none());
        assert!(route(Strictness::Faithful, "POST", &format!("{chat}2022-12-01")).is_none());
        assert!(
            route(Strictness::Faithful, "POST", "/openai/responses?api-version=2024-10-21")
                .is_none()
        );
        assert!(
            route(Strictness::Lenient, "POST", "/openai/responses?api-version=2024-10-21")
                .is_some()
        );
        assert!(
            route(Strictness::Faithful, "POST", "/openai/responses?api-version=2025-03-01-preview")
                .is_some()
        );
    }

    #[test]
    fn the_families_are_told_apart() {
        let dialect =
            |target| route(Strictness::Faithful, "POST", target).map(|route| route.dialect);
        assert_eq!(dialect("/openai/v1/responses"), Some(Dialect::AzureV1));
        assert_eq!(dialect("/openai/v1/responses?api-version=2024-10-21"), None);
        assert_eq!(dialect("/v1/chat/completions"), Some(Dialect::OpenAi));
        assert_eq!(
            dialect("/models/chat/completions?api-version=2024-05-01-preview"),
            Some(Dialect::Inference)
        );
        assert_eq!(dialect("/models/chat/completions"), None);
        assert_eq!(dialect("/elsewhere"), None);
    }

    #[test]
    fn versions_compare_by_day() {
        let at = |version: &str| {
            let target = format!("/openai/deployments/d/chat/completions?api-version={version}");
            route(Strictness::Faithful, "POST", &target).unwrap()
        };
        assert!(!at("2024-06-01").since("2024-09-01"));
        assert!(at("2024-09-01-preview").since("2024-09-01"));
        assert!(at("2024-10-21").since("2024-09-01"));
    }
}
