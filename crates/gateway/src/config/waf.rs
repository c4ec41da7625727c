//! Settings of the web application firewall.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// Longest part of a body that may be looked at.
const BODY_BYTES_MAX: u32 = 1 << 20;
/// Rule files of one configuration.
const FILES_MAX: usize = 1_000;

/// The web application firewall: rules in SecLang over every request, before anybody is asked who they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WafConfig {
    /// What becomes of requests that rules refuse.
    pub mode: WafMode,
    /// Rule files in their order, such as those of the OWASP Core Rule Set. Relative to this file; `*` in the
    /// last part of a path stands for any letters.
    pub rules: Vec<PathBuf>,
    /// A few rules of your own. They come before those of files: settings of a rule set stand here.
    pub inline_rules: String,
    /// Whether bodies are looked at too. Prompts are prose and code: they hold much that rules take for an
    /// attack.
    pub inspect_bodies: bool,
    /// Bytes of a body that are looked at, up to 1,048,576; of a longer body, its beginning. So much is taken
    /// in before anything is sent on.
    pub body_bytes_max: u32,
    /// What rules are not to look at.
    pub exclusions: Vec<WafExclusionConfig>,
}

impl Default for WafConfig {
    fn default() -> Self {
        Self {
            mode: WafMode::default(),
            rules: Vec::new(),
            inline_rules: String::new(),
            inspect_bodies: false,
            body_bytes_max: 128 << 10,
            exclusions: Vec::new(),
        }
    }
}

/// What becomes of requests that rules refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WafMode {
    /// No rule is read.
    #[default]
    Off,
    /// They pass, and `SecurityEvents` tells what would have been refused.
    Detection,
    /// They get 403.
    Prevention,
}

/// What rules are not to look at. It names rules, by id or by tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WafExclusionConfig {
    /// Rules by id, or ranges such as `942000-942999`.
    pub rule_ids: Vec<RuleIds>,
    /// Rules by tag, such as `attack-sqli`.
    pub tags: Vec<String>,
    /// The variable that they pass over, such as `REQUEST_HEADERS:user-agent` or `ARGS:q`; empty turns them
    /// off.
    pub variable: String,
    /// Paths it holds for: those that begin with one of these. Empty for all.
    pub paths: Vec<String>,
}

/// A rule's id, or a range of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("type" = ["string", "integer"]))]
pub struct RuleIds(pub String);

impl<'de> Deserialize<'de> for RuleIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;
        impl Visitor<'_> for Ids {
            type Value = RuleIds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule id, or a range such as 942000-942999")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RuleIds, E> {
                Ok(RuleIds(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<RuleIds, E> {
                Ok(RuleIds(id.to_string()))
            }

            fn visit_i64<E: de::Error>(self, id: i64) -> Result<RuleIds, E> {
                Ok(RuleIds(id.to_string()))
            }
        }
        deserializer.deserialize_any(Ids)
    }
}

impl WafConfig {
    /// Makes paths relative to the folder of the configuration.
    pub fn resolve_paths(&mut self, folder: &Path) {
        for path in &mut self.rules {
            *path = folder.join(&path).components().collect();
        }
    }

    /// The rule files, patterns spelt out; the text names the fix.
    pub fn files(&self) -> Result<Vec<PathBuf>, String> {
        let mut files = Vec::new();
        for pattern in &self.rules {
            files.extend(matching(pattern)?);
        }
        match files.len() {
            count if count > FILES_MAX => {
                Err(format!("waf.rules: {count} files, more than {FILES_MAX}: name fewer"))
            }
            _ => Ok(files),
        }
    }

    /// Checks what no single field can tell; the text names the fix.
    pub(crate) fn validate(&self) -> Result<(), String> {
        if self.body_bytes_max == 0 || self.body_bytes_max > BODY_BYTES_MAX {
            return Err(format!("waf.body_bytes_max: choose 1 to {BODY_BYTES_MAX}"));
        }
        if self.rules.is_empty() && self.inline_rules.trim().is_empty() {
            return Err(
                "waf: there are no rules: name files under `waf.rules`, or write some under \
                        `waf.inline_rules`"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// The files that a path stands for, in the order of their names.
fn matching(path: &Path) -> Result<Vec<PathBuf>, String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.contains('*') {
        return Ok(vec![path.to_owned()]);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let entries = fs::read_dir(folder).map_err(|error| {
        format!("waf.rules: {}: {error}: name a folder that is there", folder.display())
    })?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|one| fits(one, name)).collect();
    if names.is_empty() {
        return Err(format!("waf.rules: no file is called {}", path.display()));
    }
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Whether a name fits a pattern in which `*` stands for any letters.
fn fits(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_letters() {
        for (name, pattern, fit) in [
            ("a.conf", "*.conf", true),
            ("REQUEST-901-X.conf", "REQUEST-*-*.conf", true),
            ("REQUEST-901.conf", "REQUEST-*-*.conf", false),
            ("a.conf.bak", "*.conf", false),
            ("a", "a*a", false),
            ("aba", "a*a", true),
            ("x", "*", true),
        ] {
            assert_eq!(fits(name, pattern), fit, "{name} {pattern}");
        }
    }
}
