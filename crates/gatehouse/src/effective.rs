//! The configuration in force, told value by value: what holds, and who said so.

use std::path::Path;

use portal::{Origin, Setting, SettingList};
use serde_json::{Map, Value, json};

use crate::config::{Config, Override};

/// Parts that the desired state decrees where it lies in a database.
const DECREED: [&str; 5] = ["products", "subscriptions", "limits", "cost.budgets", "dashboards"];
/// Members whose values may be secrets, wherever they stand: what refers to a secret has other names.
const SECRET: [&str; 4] = ["headers", "primary_key_hash", "secondary_key_hash", "retired_keys"];
/// Stands in the place of what may be a secret.
const COVERED: &str = "(not shown)";

/// What the file and the environment said when they were read last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    file: Value,
    overrides: Vec<Override>,
}

impl Sources {
    /// Reads them again. A file that cannot be read says nothing; whoever loads it has said why.
    pub(crate) fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        Self { file: serde_saphyr::from_str(&text).unwrap_or_default(), overrides: Override::all() }
    }

    /// Where the value at a path comes from, and the variable if it is one.
    fn origin(&self, path: &[String]) -> (Origin, Option<String>) {
        let sets = |wanted: &&Override| path.starts_with(&wanted.path);
        if let Some(found) = self.overrides.iter().find(sets) {
            return (Origin::Environment, Some(found.variable()));
        }
        let mut place = &self.file;
        for name in path {
            match place.get(name) {
                Some(inner) => place = inner,
                None => return (Origin::Default, None),
            }
        }
        (Origin::File, None)
    }
}

/// Every value of a configuration, by its path.
pub(crate) fn settings(
    config: &Config,
    sources: &Sources,
    (file, is_decreed): (&Path, bool),
    restart: &[&str],
) -> SettingList {
    let value = serde_json::to_value(config).unwrap_or_default();
    let mut list = SettingList { file: file.display().to_string(), settings: Vec::new() };
    let mut teller = Teller { sources, is_decreed, restart, list: &mut list.settings };
    teller.tell(&mut Vec::new(), &value);
    list
}

struct Teller<'a> {
    sources: &'a Sources,
    is_decreed: bool,
    restart: &'a [&'a str],
    list: &'a mut Vec<Setting>,
}

impl Teller<'_> {
    fn tell(&mut self, path: &mut Vec<String>, value: &Value) {
        let dotted = path.join(".");
        let is_decreed = self.is_decreed && DECREED.contains(&dotted.as_str());
        match value {
            Value::Object(members) if !members.is_empty() => {
                for (name, member) in members {
                    path.push(name.clone());
                    self.tell(path, member);
                    path.pop();
                }
            }
            // Thousands of them are no setting: their own screens list them.
            Value::Array(items) if is_decreed => {
                let told = json!(format!("{} of them", items.len()));
                self.push(path, told, (Origin::Database, None));
            }
            value => {
                let origin = self.sources.origin(path);
                self.push(path, covered(value), origin);
            }
        }
    }

    fn push(&mut self, path: &[String], value: Value, origin: (Origin, Option<String>)) {
        let pointer = format!("/{}", path.join("/"));
        let is_below = |known: &&&str| {
            pointer
                .strip_prefix(**known)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (origin, variable) = origin;
        self.list.push(Setting {
            path: path.join("."),
            value,
            origin,
            variable,
            needs_restart: self.restart.iter().any(|known| is_below(&known)),
        });
    }
}

/// A value without what may be a secret: headers of webhooks, hashes of keys, queries and users in URLs.
fn covered(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let cover = |(name, member): (&String, &Value)| {
                let is_secret = SECRET.contains(&name.as_str());
                let is_told = !is_secret || is_empty(member);
                (name.clone(), if is_told { covered(member) } else { COVERED.into() })
            };
            Value::Object(members.iter().map(cover).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(covered).collect(),
        Value::String(text) if text.contains("://") => plain_url(text).into(),
        value => value.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// A URL without user, password and query.
fn plain_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = rest.split_once(['?', '#']).map_or(rest.to_owned(), |(rest, _)| format!("{rest}?…"));
    let end = rest.find('/').unwrap_or(rest.len());
    let host = rest[..end].rsplit_once('@').map_or(&rest[..end], |(_, host)| host);
    format!("{scheme}://{host}{}", &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sources: &Sources, config: &Config, is_decreed: bool) -> Vec<Setting> {
        settings(config, sources, (Path::new("g.yaml"), is_decreed), &["/ledger"]).settings
    }

    fn one(list: &[Setting], path: &str) -> Setting {
        list.iter().find(|setting| setting.path == path).expect("it is told").clone()
    }

    #[test]
    fn each_value_has_its_origin_and_secrets_are_covered() {
        let text = "region: west\nalerts:\n  sinks:\n    - id: hook\n      url: \"https://user:pw@hooks.example/a/b?sig=abc\"\n      headers: { authorization: Bearer abc }\n";
        let config: Config = serde_saphyr::from_str(text).expect("valid");
        let path = ["ledger", "segment_bytes"].map(str::to_owned).to_vec();
        let sources = Sources {
            file: serde_saphyr::from_str(text).expect("YAML"),
            overrides: vec![Override { path, value: "65536".into() }],
        };
        let list = told(&sources, &config, true);
        assert_eq!(one(&list, "region").origin, Origin::File);
        assert_eq!(one(&list, "log.level").origin, Origin::Default);
        let segment = one(&list, "ledger.segment_bytes");
        assert_eq!(segment.origin, Origin::Environment);
        assert_eq!(segment.variable.as_deref(), Some("GATEHOUSE__LEDGER__SEGMENT_BYTES"));
        assert!(segment.needs_restart && !one(&list, "region").needs_restart);
        assert_eq!(one(&list, "products").origin, Origin::Database);
        let shown = one(&list, "alerts.sinks").value.to_string();
        assert!(shown.contains("https://hooks.example/a/b?…"), "{shown}");
        assert!(!shown.contains("abc") && !shown.contains("pw"), "{shown}");
        assert!(told(&sources, &config, false).iter().all(|one| one.origin != Origin::Database));
    }
}
