//! Own rules over own requests: `testdata/cases.txt` holds rules, requests and what comes of them.
//!
//! A case begins with `=== `; its parts are apart by `----`: the rules, then requests and verdicts in
//! turn. Rules that cannot be read have their problems as the only verdict. `UPDATE_EXPECT=1` writes
//! the verdicts.

use std::fmt::Write as _;

use waf::{Exclusion, RuleFile, Ruleset, Verdict};

use crate::support::ask;

const CASES: &str = include_str!("../../testdata/cases.txt");

#[test]
fn rules_say_of_requests_what_the_cases_expect() {
    let mut actual = String::new();
    let (comment, cases) = CASES.split_once("=== ").unwrap();
    actual += comment;
    let mut count = 0;
    for case in cases.split("\n=== ") {
        count += 1;
        let mut parts = case.trim_end().split("\n----\n");
        let head = parts.next().unwrap();
        let (title, text) = head.split_once('\n').unwrap();
        write!(actual, "=== {title}\n{text}").unwrap();
        match parsed(text) {
            Err(problems) => write!(actual, "\n----\n{problems}").unwrap(),
            Ok(rules) => {
                let parts: Vec<&str> = parts.collect();
                for pair in parts.chunks(2) {
                    let verdict = shown(&ask(&rules, pair[0], true));
                    write!(actual, "\n----\n{}\n----\n{verdict}", pair[0]).unwrap();
                }
            }
        }
        actual += "\n\n";
    }
    let actual = actual.trim_end().to_owned() + "\n";
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/cases.txt");
        std::fs::write(path, &actual).unwrap();
    }
    for (line, (was, is)) in CASES.lines().zip(actual.lines()).enumerate() {
        assert_eq!(was, is, "testdata/cases.txt:{}", line + 1);
    }
    assert_eq!(CASES.lines().count(), actual.lines().count());
    assert!(count >= 25);
}

/// Rules; a line `exclude IDS VARIABLE PATHS` is an exclusion, with `-` for what it leaves open.
fn parsed(text: &str) -> Result<Ruleset, String> {
    let mut exclusions = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("#exclude ")) {
        let words: Vec<&str> =
            line.split(' ').map(|word| if word == "-" { "" } else { word }).collect();
        let (tags, ids): (Vec<&str>, Vec<&str>) =
            words[0].split(',').partition(|word| word.starts_with(char::is_alphabetic));
        let paths = words[2].split(',').filter(|path| !path.is_empty()).map(str::to_owned);
        exclusions.push(Exclusion::new(&ids, &tags, words[1], paths.collect())?);
    }
    let files = [RuleFile { name: "rules.conf".to_owned(), text: text.to_owned() }];
    let read = |_: &str, name: &str| match name {
        "words.data" => Ok("# words\nalpha\nbeta gamma\n".to_owned()),
        "networks.data" => Ok("192.0.2.0/24\n".to_owned()),
        name => Err(format!("cannot read {name}")),
    };
    Ruleset::parse(&files, exclusions, &read).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

fn shown(verdict: &Verdict) -> String {
    let mut text = match &verdict.blocked {
        Some(blocked) => {
            format!("blocked by {} with {}: {}", blocked.rule_id, blocked.status, blocked.message)
        }
        None => "passed".to_owned(),
    };
    if verdict.score != 0 {
        write!(text, ", score {}", verdict.score).unwrap();
    }
    for one in &verdict.matches {
        write!(
            text,
            "\n  {} {} = {:?}",
            one.rule_id,
            one.variable,
            one.value.as_deref().unwrap_or("")
        )
        .unwrap();
        if let Some(severity) = one.severity {
            write!(text, " {}", severity.name()).unwrap();
        }
        write!(text, " {}", one.message).unwrap();
    }
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
