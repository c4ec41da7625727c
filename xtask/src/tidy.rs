//! The rules of the house that a machine can check.
//!
//! Arrows between crates, who may name what, sizes of files, how files begin, names that say
//! nothing. Each finding names the rule and the reason.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::{shell, web};

/// Every crate's floor; arrows point down. The arrows sideways are listed below.
const FLOORS: [(&str, u8); 22] = [
    ("testing", 0),
    ("event", 0),
    ("openai", 1),
    ("policy", 1),
    ("kql", 1),
    ("waf", 1),
    ("ledger", 2),
    ("net", 2),
    ("vault", 2),
    ("identity", 2),
    ("store", 2),
    ("query", 2),
    ("shared", 2),
    ("gateway", 3),
    ("pipeline", 3),
    ("control", 3),
    ("monitor", 3),
    ("sinks", 3),
    ("simulator", 3),
    ("portal", 4),
    ("gatehouse", 5),
    ("xtask", 6),
];
/// `query` reads what `store` keeps: both are the walled-off home of DataFusion. `shared` follows the
/// ledger and dials other nodes.
const SIDEWAYS: [(&str, &str); 5] = [
    ("identity", "net"),
    ("vault", "net"),
    ("query", "store"),
    ("shared", "ledger"),
    ("shared", "net"),
];
/// No I/O, no clock, no runtime.
const PURE: [&str; 5] = ["event", "openai", "policy", "kql", "waf"];
const NOT_IN_PURE: [&str; 6] = ["tokio", "hyper", "rustls", "redb", "tempfile", "rustix"];
const ONLY_STORE_AND_QUERY: [&str; 3] = ["datafusion", "arrow", "parquet"];
/// What stands in code only where it may: the text, the files that may hold it, and why.
const PLACES: [(&str, &[&str], &str); 4] = [
    (
        "TcpStream::connect",
        // The command line asks the admin listener of its own machine.
        &[
            "crates/net/",
            "crates/gatehouse/src/http.rs",
            "crates/gatehouse/src/doctor.rs",
            "crates/testing/",
            "xtask/",
        ],
        "sockets leave only through net, where the egress rules are",
    ),
    ("TcpSocket::new", &["crates/net/"], "sockets leave only through net"),
    ("UdpSocket", &["crates/net/"], "sockets leave only through net"),
    (
        "event::Sink",
        // What counts rows lets them through as they are.
        &["crates/event/", "crates/pipeline/", "crates/store/", "crates/monitor/src/observe.rs"],
        "only the pipeline feeds the store",
    ),
];
const LINES_MAX: usize = 800;
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "manager"];

/// Checks every rule; the findings are the error.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut findings = Vec::new();
    check_crates(&mut findings)?;
    for file in sources()? {
        check_file(&file, &mut findings)?;
    }
    web::check(&mut findings)?;
    for finding in &findings {
        shell::say(finding);
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings, listed above", findings.len());
    }
    shell::say("tidy: clean");
    Ok(())
}

fn check_crates(findings: &mut Vec<String>) -> anyhow::Result<()> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1"];
    let metadata: Value = serde_json::from_str(&shell::output(&mut shell::cargo(&arguments))?)?;
    for package in metadata["packages"].as_array().context("metadata lists packages")? {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(floor) = floor(name) else {
            findings
                .push(format!("crate {name} stands on no floor: give it one in xtask/src/tidy.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // A test may use a crate of its own floor as its counterpart.
            let is_test = dependency["kind"] == "dev";
            let target = dependency["name"].as_str().unwrap_or_default();
            check_arrow(name, floor, target, is_test, findings);
        }
    }
    Ok(())
}

fn check_arrow(name: &str, at: u8, target: &str, is_test: bool, findings: &mut Vec<String>) {
    if let Some(below) = floor(target) {
        let is_down = below < at || (is_test && below == at) || SIDEWAYS.contains(&(name, target));
        if !is_down {
            findings.push(format!("{name} names {target}: arrows point down only"));
        }
    }
    if !is_test && PURE.contains(&name) && NOT_IN_PURE.contains(&target) {
        findings.push(format!("{name} is pure and may not name {target}"));
    }
    let is_wall = ONLY_STORE_AND_QUERY.contains(&target) && !["store", "query"].contains(&name);
    if is_wall {
        findings.push(format!(
            "{name} names {target}: only store and query may, others would wait for its build"
        ));
    }
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

fn sources() -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let root = shell::root();
    let mut folders = vec![root.join("crates"), root.join("xtask")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let is_target = path.file_name().is_some_and(|name| name == "target");
            if path.is_dir() && !is_target {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn check_file(path: &Path, findings: &mut Vec<String>) -> anyhow::Result<()> {
    let text = fs::read_to_string(path)?;
    let shown = path.strip_prefix(shell::root()).unwrap_or(path).display().to_string();
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let code = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    if code.lines().count() > LINES_MAX && !is_test_file(&shown) {
        findings
            .push(format!("{shown}: more than {LINES_MAX} lines without tests: split the room"));
    }
    if !text.starts_with("//!") {
        findings.push(format!("{shown}: begins without `//!`: say what it is for"));
    }
    let holds_static = code.lines().any(|line| {
        let line = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        line.starts_with("static ") && !line.starts_with("static ALLOCATOR")
    });
    if holds_static && !is_test_file(&shown) {
        findings.push(format!(
            "{shown}: nothing lives in a `static`: pass it, so that one snapshot serves a request"
        ));
    }
    if !is_test_file(&shown) {
        findings.extend(out_of_place(&shown, code));
    }
    if stem == "mod" {
        findings.push(format!("{shown}: `foo.rs` beside `foo/`, no mod.rs"));
    }
    if EMPTY_NAMES.contains(&stem) {
        findings.push(format!("{shown}: the name says nothing: name the idea"));
    }
    if !is_test_file(&shown) && code.contains(".unwrap()") {
        findings.push(format!(
            "{shown}: `unwrap` is not allowed: `expect(\"why this holds\")` or an error"
        ));
    }
    Ok(())
}

fn out_of_place(shown: &str, code: &str) -> Vec<String> {
    // `use event::{Batch, Sink}` names it as well.
    let imports = code.split("use event::{").nth(1).and_then(|rest| rest.split('}').next());
    let imports_sink =
        imports.is_some_and(|list| list.split(',').any(|name| name.trim() == "Sink"));
    let holds = |text: &str| code.contains(text) || (text == "event::Sink" && imports_sink);
    let misplaced = PLACES.iter().filter(|(text, places, _)| {
        holds(text) && !places.iter().any(|place| shown.starts_with(place))
    });
    misplaced.map(|(text, _, why)| format!("{shown}: `{text}` may not stand here: {why}")).collect()
}

fn is_test_file(shown: &str) -> bool {
    ["/tests/", "/benches/", "/examples/"].iter().any(|part| shown.contains(part))
        || shown.ends_with("tests.rs")
        || shown.starts_with("xtask/src/tidy")
}
