//! `gatehouse waf`: the rules of the web application firewall, and what they say of a request.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use gateway::{Waf, WafConfig};
use waf::{Body, Request, Verdict};

use crate::arguments::{WafArguments, WafCommand, WafTestArguments};
use crate::config::Config;
use crate::exit::{Exit, ExitWith};
use crate::terminal::{print, say};

/// Runs the command.
pub(crate) fn run(command: &WafCommand) -> anyhow::Result<()> {
    match command {
        WafCommand::Check(arguments) => check(arguments),
        WafCommand::Test(arguments) => test(arguments),
    }
}

fn check(arguments: &WafArguments) -> anyhow::Result<()> {
    let (_, waf) = rules(arguments)?;
    let rules = waf.rules();
    let mut text = String::new();
    for rule in rules.rules() {
        let (id, phase, file, line) = (rule.id, rule.phase, rule.file, rule.line);
        writeln!(text, "run {id} phase {phase} {file}:{line} {}", rule.message)?;
    }
    for one in rules.left_out() {
        writeln!(text, "left out {} {}:{} {}", one.rule_id, one.file, one.line, one.why)?;
    }
    print(&text);
    say(&format!("{} rules are run, {} left out", rules.rules().count(), rules.left_out().len()));
    Ok(())
}

fn test(arguments: &WafTestArguments) -> anyhow::Result<()> {
    let (config, waf) = rules(&arguments.rules)?;
    let mut body = Vec::new();
    if let Some(file) = &arguments.body_file {
        body = std::fs::read(file).with_context(|| file.display().to_string())?;
    }
    let looked_at = body.len().min(config.body_bytes_max as usize);
    let is_partial = looked_at < body.len();
    let headers: Vec<(&str, &[u8])> =
        arguments.header.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let request = Request {
        method: &arguments.method,
        uri: &arguments.path,
        protocol: "HTTP/1.1",
        headers: &headers,
        remote_address: Some(arguments.address),
        unique_id: "test",
        received_unix_micros: u64::try_from(now.as_micros()).unwrap_or(0),
        body: match arguments.body_file {
            Some(_) => Body::Read { bytes: &body[..looked_at], is_partial },
            None => Body::Unseen,
        },
    };
    show(&waf.rules().evaluate(&request, true))
}

fn show(verdict: &Verdict) -> anyhow::Result<()> {
    let mut text = String::new();
    for one in &verdict.matches {
        let severity = one.severity.map_or("-", |severity| severity.name());
        let value = one.value.as_deref().unwrap_or_default();
        writeln!(text, "{} {severity} {} {} = {value:?}", one.rule_id, one.message, one.variable)?;
    }
    print(&text);
    let Some(blocked) = &verdict.blocked else {
        say(&format!("it would pass, score {}", verdict.score));
        return Ok(());
    };
    let (rule, score) = (blocked.rule_id, verdict.score);
    Err(ExitWith::error(Exit::CheckFailed, format!("rule {rule} would refuse it, score {score}")))
}

/// The rules of a configuration, whatever its mode, or those of other files with its settings.
fn rules(arguments: &WafArguments) -> anyhow::Result<(WafConfig, Waf)> {
    let mut config = Config::load(&arguments.file.config)?.waf;
    if !arguments.rules.is_empty() {
        config.rules.clone_from(&arguments.rules);
    }
    let waf =
        Waf::read(&config).map_err(|error| ExitWith::error(Exit::BadConfig, error.to_string()))?;
    Ok((config, waf))
}
