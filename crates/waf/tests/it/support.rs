//! Requests as text, and the Core Rule Set as Debian installs it.

use std::fs;
use std::path::{Path, PathBuf};

use waf::{Body, Exclusion, Request, RuleFile, Ruleset, Verdict};

/// Where Debian's package `modsecurity-crs` puts the rules, and its settings.
const FOLDER: &str = "/usr/share/modsecurity-crs/rules";
const SETTINGS: &str = "/etc/modsecurity/crs/crs-setup.conf";

/// What a model gateway allows beyond what the rule set does by itself.
pub(crate) const OWN_SETTINGS: &str = r#"
SecAction "id:100000,phase:1,pass,nolog,\
  setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE',\
  setvar:'tx.allowed_request_content_type=|application/json| |multipart/form-data| |application/x-www-form-urlencoded| |application/sdp|'"
"#;

/// The Core Rule Set; none where it is not installed.
pub(crate) fn core_rule_set(own: &str) -> Option<Ruleset> {
    let mut names: Vec<PathBuf> = fs::read_dir(FOLDER).ok()?.map(|e| e.unwrap().path()).collect();
    names.retain(|name| name.extension().is_some_and(|extension| extension == "conf"));
    names.sort();
    names.insert(0, SETTINGS.into());
    let mut files = vec![RuleFile { name: "own".to_owned(), text: own.to_owned() }];
    files.extend(names.iter().map(|name| RuleFile {
        name: name.display().to_string(),
        text: String::from_utf8_lossy(&fs::read(name).unwrap()).into_owned(),
    }));
    let parsed = Ruleset::parse(&files, Vec::new(), &|file, name| {
        let path = Path::new(file).parent().unwrap().join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    });
    Some(parsed.unwrap_or_else(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", told.join("\n"))
    }))
}

/// Rules without data files and exclusions.
pub(crate) fn rules(text: &str) -> Ruleset {
    let files = [RuleFile { name: "rules".to_owned(), text: text.to_owned() }];
    Ruleset::parse(&files, Vec::<Exclusion>::new(), &|_, name| Err(format!("{name} is missing")))
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// What rules say of a request that is written as on the wire, with a body after an empty line.
pub(crate) fn ask(rules: &Ruleset, text: &str, shows_values: bool) -> Verdict {
    let (head, body) = match text.split_once("\n\n") {
        Some((head, body)) => (head, Body::Read { bytes: body.as_bytes(), is_partial: false }),
        None => (text, Body::Unseen),
    };
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().splitn(2, ' ');
    let method = first.next().unwrap();
    let (uri, protocol) = first.next().unwrap().rsplit_once(' ').unwrap();
    let headers: Vec<(String, &str)> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let headers: Vec<(&str, &[u8])> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let request = Request {
        method,
        uri,
        protocol,
        headers: &headers,
        remote_address: Some([192, 0, 2, 7].into()),
        unique_id: "0194",
        received_unix_micros: 1_796_000_000_123_456,
        body,
    };
    rules.evaluate(&request, shows_values)
}
