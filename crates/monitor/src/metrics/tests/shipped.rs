//! What ships for Grafana and Prometheus: it loads, and every metric it names is exported.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::metrics;
use crate::metrics::MetricKind;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn exported() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for family in metrics().families() {
        if matches!(family.definition.kind, MetricKind::Histogram(_)) {
            for suffix in ["bucket", "sum", "count"] {
                names.insert(format!("{}_{suffix}", family.name));
            }
        } else {
            names.insert(family.name);
        }
    }
    names
}

/// Every word of a text that is a name of ours.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("gatehouse_")).map(str::to_owned).collect()
}

#[test]
fn every_metric_that_dashboards_and_rules_name_is_exported() {
    let exported = exported();
    let mut files = Vec::new();
    for folder in ["grafana", "prometheus"] {
        let entries = std::fs::read_dir(deploy().join(folder)).expect("it ships");
        files.extend(entries.map(|entry| entry.expect("it can be read").path()));
    }
    assert!(files.len() >= 5, "{files:?}");
    let mut all = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("it can be read");
        for name in named(&text) {
            assert!(exported.contains(&name), "{} names {name}", file.display());
            all.insert(name);
        }
    }
    assert!(all.len() > 25, "only {} metrics are shown", all.len());
}

#[test]
fn dashboards_have_ids_and_panels_with_queries() {
    for name in ["overview", "backends", "cost"] {
        let file = deploy().join(format!("grafana/{name}.json"));
        let text = std::fs::read_to_string(&file).expect("it ships");
        let board: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert!(board["uid"].as_str().is_some_and(|uid| uid.starts_with("gatehouse-")));
        let panels = board["panels"].as_array().expect("it has panels");
        assert!(panels.len() >= 6, "{name}");
        for panel in panels {
            let targets = panel["targets"].as_array().expect("it asks something");
            assert!(targets.iter().all(|target| target["expr"].is_string()), "{name}");
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn skipped() {
    eprintln!("skipped: promtool is not on this machine (Debian's package `prometheus` has it)");
}

#[test]
fn prometheus_loads_the_rules_and_the_configuration() {
    for arguments in
        [["check", "rules", "gatehouse.rules.yml"], ["check", "config", "prometheus.yml"]]
    {
        let folder = deploy().join("prometheus");
        let run = Command::new("promtool").args(arguments).current_dir(folder).output();
        let Ok(run) = run else {
            return skipped();
        };
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{arguments:?}: {said}");
    }
}

#[test]
fn prometheus_reads_what_is_exported() {
    use std::io::Write;
    use std::process::Stdio;
    let metrics = metrics();
    metrics.add(crate::Metric::Unpriced, &["a"], 1.0);
    metrics.observe(crate::Metric::Overhead, &["chat"], 0.01);
    metrics.observe(crate::Metric::GenAiFirstToken, &["chat", "azure", "gpt", "gpt"], 0.4);
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        return skipped();
    };
    // It reads the older text format, which has no end mark.
    let text = metrics.text().replace("# EOF\n", "");
    child.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    let run = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!said.contains("error while linting"), "{said}");
}
