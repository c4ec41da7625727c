//! `gatehouse apply`, `export`, `subscription`, `product`, `budget`, `dashboard`, `alert-rule`, `history` and `role`: the
//! desired state of a running gateway, through its admin API; and `approval`.

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use crate::arguments::ConfigFile;
use crate::arguments::state::{
    AlertRuleCommand, ApplyArguments, ApprovalCommand, BudgetCommand, BudgetSetArguments,
    DashboardCommand, Decision, HistoryCommand, ProductCommand, PutArguments, RoleCommand,
    SubscriptionCommand, SubscriptionCreateArguments,
};
use crate::client::Client;
use crate::exit::{Exit, ExitWith};
use crate::terminal::{print, say};

/// Runs `gatehouse apply`.
pub(crate) fn apply(arguments: &ApplyArguments) -> anyhow::Result<()> {
    let document = document(&arguments.document)?;
    let client = Client::open(&arguments.file.config)?;
    let target = match arguments.dry_run {
        true => "/admin/v1/state?dry_run=true".to_owned(),
        false => with_reason("/admin/v1/state", &arguments.reason),
    };
    let report = client.send("PUT", &target, &document)?;
    show_changes(&report)?;
    match arguments.dry_run {
        true => say("nothing was changed: leave out --dry-run to apply it"),
        false => say(&format!("version {} is in force", report["version"])),
    }
    Ok(())
}

/// Runs `gatehouse export`.
pub(crate) fn export(file: &ConfigFile) -> anyhow::Result<()> {
    let state = Client::open(&file.config)?.admin("GET", "/admin/v1/state")?;
    print(&serde_saphyr::to_string(&state)?);
    Ok(())
}

/// Runs `gatehouse subscription`.
pub(crate) fn subscription(command: &SubscriptionCommand) -> anyhow::Result<()> {
    match command {
        SubscriptionCommand::List(file) => list(&file.config, "/admin/v1/subscriptions"),
        SubscriptionCommand::Show(one) => {
            let target = format!("/admin/v1/subscriptions/{}", segment(&one.id));
            show(&Client::open(&one.file.config)?.admin("GET", &target)?)
        }
        SubscriptionCommand::Create(arguments) => create(arguments),
        SubscriptionCommand::Approve(one) => step(&one.file.config, &one.id, "approve"),
        SubscriptionCommand::Reject(one) => step(&one.file.config, &one.id, "reject"),
        SubscriptionCommand::Suspend(one) => step(&one.file.config, &one.id, "suspend"),
        SubscriptionCommand::Activate(one) => step(&one.file.config, &one.id, "activate"),
        SubscriptionCommand::Cancel(one) => step(&one.file.config, &one.id, "cancel"),
        SubscriptionCommand::Rotate(arguments) => {
            let slot = if arguments.secondary { "secondary" } else { "primary" };
            let body = json!({ "key": slot, "grace_s": arguments.grace_s });
            let id = segment(&arguments.one.id);
            let target = format!("/admin/v1/subscriptions/{id}/rotate");
            let client = Client::open(&arguments.one.file.config)?;
            let answer = client.send("POST", &target, &body)?;
            print(&format!("{}\n", text(&answer[format!("{slot}_key")])));
            say("that is the new key: it is shown once and kept nowhere");
            Ok(())
        }
    }
}

/// Runs `gatehouse product`.
pub(crate) fn product(command: &ProductCommand) -> anyhow::Result<()> {
    match command {
        ProductCommand::List(file) => list(&file.config, "/admin/v1/products"),
        ProductCommand::Put(arguments) => put("/admin/v1/products", arguments),
        ProductCommand::Delete(decision) => delete("/admin/v1/products", decision, "product"),
    }
}

/// Runs `gatehouse budget`.
pub(crate) fn budget(command: &BudgetCommand) -> anyhow::Result<()> {
    match command {
        BudgetCommand::List(file) => {
            let answer = Client::open(&file.config)?.admin("GET", "/admin/v1/budgets")?;
            for budget in answer["budgets"].as_array().into_iter().flatten() {
                print(&format!("{budget}\n"));
            }
            Ok(())
        }
        BudgetCommand::Set(arguments) => {
            let BudgetSetArguments { decision, usd, period, .. } = arguments;
            let body = json!({
                "amount_usd": usd, "period": period, "subscription": arguments.subscription,
                "product": arguments.product, "user": arguments.user,
                "deployment": arguments.deployment, "model": arguments.model,
            });
            let target = of("/admin/v1/budgets", &decision.one.id, &decision.reason);
            show(&Client::open(&decision.one.file.config)?.send("PUT", &target, &body)?)
        }
        BudgetCommand::Remove(decision) => delete("/admin/v1/budgets", decision, "budget"),
    }
}

/// Runs `gatehouse dashboard`.
pub(crate) fn dashboard(command: &DashboardCommand) -> anyhow::Result<()> {
    match command {
        DashboardCommand::List(file) => list(&file.config, "/admin/v1/dashboards"),
        DashboardCommand::Put(arguments) => put("/admin/v1/dashboards", arguments),
        DashboardCommand::Delete(decision) => delete("/admin/v1/dashboards", decision, "dashboard"),
    }
}

/// Runs `gatehouse alert-rule`.
pub(crate) fn alert_rule(command: &AlertRuleCommand) -> anyhow::Result<()> {
    match command {
        AlertRuleCommand::List(file) => list(&file.config, "/admin/v1/alert-rules"),
        AlertRuleCommand::Put(arguments) => put("/admin/v1/alert-rules", arguments),
        AlertRuleCommand::Delete(decision) => {
            delete("/admin/v1/alert-rules", decision, "the desired state's alert rule")
        }
    }
}

/// Makes or replaces what a file holds, under the id that stands in it.
fn put(place: &str, arguments: &PutArguments) -> anyhow::Result<()> {
    let body = document(&arguments.document)?;
    let id = body["id"].as_str().context("the document has no `id`: give it one")?;
    let target = of(place, id, &arguments.reason);
    show(&Client::open(&arguments.file.config)?.send("PUT", &target, &body)?)
}

fn delete(place: &str, Decision { one, reason }: &Decision, what: &str) -> anyhow::Result<()> {
    Client::open(&one.file.config)?.admin("DELETE", &of(place, &one.id, reason))?;
    say(&format!("{what} {} is gone", one.id));
    Ok(())
}

/// The address of one of those at `place`.
fn of(place: &str, id: &str, reason: &str) -> String {
    with_reason(&format!("{place}/{}", segment(id)), reason)
}

/// Runs `gatehouse role`.
pub(crate) fn role(command: &RoleCommand) -> anyhow::Result<()> {
    match command {
        RoleCommand::List(file) => {
            let answer = Client::open(&file.config)?.admin("GET", "/admin/v1/roles")?;
            show(&answer["items"])
        }
        RoleCommand::Set(arguments) => {
            let body = json!({ "groups": arguments.groups, "users": arguments.users });
            let target = format!("/admin/v1/roles/{}", segment(&arguments.role));
            show(&Client::open(&arguments.file.config)?.send("PUT", &target, &body)?)
        }
    }
}

/// Runs `gatehouse approval`.
pub(crate) fn approval(command: &ApprovalCommand) -> anyhow::Result<()> {
    match command {
        ApprovalCommand::List(file) => list(&file.config, "/admin/v1/approvals"),
        ApprovalCommand::Request(arguments) => {
            let body = json!({ "purpose": arguments.purpose });
            let client = Client::open(&arguments.file.config)?;
            let approval = client.send("POST", "/admin/v1/approvals", &body)?;
            print(&format!("{}\n", text(&approval["id"])));
            say("it waits a day for another person: `gatehouse approval approve` or the portal");
            Ok(())
        }
        ApprovalCommand::Approve(decision) => decide(decision, "approve"),
        ApprovalCommand::Deny(decision) => decide(decision, "deny"),
    }
}

fn decide(decision: &Decision, verb: &str) -> anyhow::Result<()> {
    let id = &decision.one.id;
    let target = format!("/admin/v1/approvals/{}/{verb}", segment(id));
    let client = Client::open(&decision.one.file.config)?;
    let answer = client.admin("POST", &with_reason(&target, &decision.reason))?;
    say(&format!("{id} is {}", text(&answer["state"])));
    Ok(())
}

/// Runs `gatehouse history`.
pub(crate) fn history(command: &HistoryCommand) -> anyhow::Result<()> {
    match command {
        HistoryCommand::List(file) => list(&file.config, "/admin/v1/versions"),
        HistoryCommand::Diff(one) => {
            let target = format!("/admin/v1/versions/{}/diff", segment(&one.id));
            show_changes(&Client::open(&one.file.config)?.admin("GET", &target)?)
        }
        HistoryCommand::Rollback(one) => {
            let target = format!("/admin/v1/versions/{}/rollback", segment(&one.id));
            let report = Client::open(&one.file.config)?.admin("POST", &target)?;
            show_changes(&report)?;
            say(&format!("version {} is in force", report["version"]));
            Ok(())
        }
    }
}

fn create(arguments: &SubscriptionCreateArguments) -> anyhow::Result<()> {
    let body = json!({
        "id": arguments.one.id, "product": arguments.product, "owner": arguments.owner,
        "submitted": arguments.submitted, "expires_at": arguments.expires_at,
    });
    let client = Client::open(&arguments.one.file.config)?;
    let answer = client.send("POST", "/admin/v1/subscriptions", &body)?;
    print(&format!("{}\n{}\n", text(&answer["primary_key"]), text(&answer["secondary_key"])));
    say("those are the first and the second key: they are shown once and kept nowhere");
    Ok(())
}

fn step(config: &Path, id: &str, verb: &str) -> anyhow::Result<()> {
    let target = format!("/admin/v1/subscriptions/{}/{verb}", segment(id));
    let answer = Client::open(config)?.admin("POST", &target)?;
    say(&format!("subscription {id} is {}", text(&answer["state"])));
    Ok(())
}

/// Every page of a list, an object a line.
fn list(config: &Path, target: &str) -> anyhow::Result<()> {
    let client = Client::open(config)?;
    let mut after: Option<String> = None;
    loop {
        let page = match &after {
            None => target.to_owned(),
            Some(after) => format!("{target}?after={}", segment(after)),
        };
        let answer = client.admin("GET", &page)?;
        for item in answer["items"].as_array().into_iter().flatten() {
            print(&format!("{item}\n"));
        }
        match answer["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok(()),
        }
    }
}

fn show(value: &Value) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?));
    Ok(())
}

fn show_changes(report: &Value) -> anyhow::Result<()> {
    for change in report["changes"].as_array().into_iter().flatten() {
        let (kind, id) = (text(&change["kind"]), text(&change["id"]));
        print(&format!("{} {kind} {id}\n", text(&change["change"])));
        for (sign, side) in [("-", &change["before"]), ("+", &change["after"])] {
            if !side.is_null() {
                print(&format!("  {sign} {side}\n"));
            }
        }
    }
    Ok(())
}

/// A document in YAML or JSON.
fn document(file: &Path) -> anyhow::Result<Value> {
    let bad =
        |error: String| ExitWith::error(Exit::BadConfig, format!("{}: {error}", file.display()));
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    let text =
        text.map_err(|error| bad(format!("{error}: name a file, or - for standard input")))?;
    let document: Value = serde_saphyr::from_str(&text).map_err(|error| bad(error.to_string()))?;
    if !document.is_object() {
        return Err(bad("it holds no fields: give them as `gatehouse export` prints them".into()));
    }
    Ok(document)
}

fn with_reason(target: &str, reason: &str) -> String {
    match reason {
        "" => target.to_owned(),
        reason => format!("{target}?reason={}", segment(reason)),
    }
}

/// Text that can stand in a path or a query string.
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
