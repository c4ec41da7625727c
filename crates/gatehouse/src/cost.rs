//! `gatehouse cost`: reports, the close of a month, estimates, and what a provider's bill says.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use monitor::{CostBy, Estimate, estimates, report_query};
use policy::DeploymentScope;

use crate::arguments::{
    CloseArguments, CostColumn, CostCommand, EstimateArguments, OutputFormat, ReconcileArguments,
    ReportArguments, RerateArguments,
};
use crate::client::Client;
use crate::config::Config;
use crate::exit::{Exit, ExitWith};
use crate::terminal::{Waiting, print, say};

/// Runs the command.
pub(crate) fn run(command: &CostCommand) -> anyhow::Result<()> {
    match command {
        CostCommand::Report(arguments) => report(arguments),
        CostCommand::Close(arguments) => close(arguments),
        CostCommand::Estimate(arguments) => estimate(arguments),
        CostCommand::Rerate(arguments) => rerate(arguments),
        CostCommand::Reconcile(arguments) => reconcile(arguments),
    }
}

fn report(arguments: &ReportArguments) -> anyhow::Result<()> {
    let from = instant(&arguments.from)?;
    let to = arguments.to.as_deref().map_or(Ok("now()".to_owned()), instant)?;
    let by: Vec<CostBy> = arguments.by.iter().map(|column| by(*column)).collect();
    let client = Client::open(&arguments.file.config)?;
    let answer = client.query(&report_query(&from, &to, &by))?;
    print(&answer.render(arguments.output)?);
    warn_of_unpriced(&answer.objects()?);
    Ok(())
}

/// The month's bill as CSV, whole or not at all: a month that is not over, or usage without a price, is
/// a finding.
fn close(arguments: &CloseArguments) -> anyhow::Result<()> {
    let (from, to) = month(&arguments.month)?;
    let client = Client::open(&arguments.file.config)?;
    let by = [
        CostBy::Subscription,
        CostBy::Product,
        CostBy::User,
        CostBy::Model,
        CostBy::Deployment,
        CostBy::PriceVersion,
    ];
    let answer = client.query(&report_query(&from, &to, &by))?;
    print(&answer.render(OutputFormat::Csv)?);
    if let Some(cut) = answer.cut() {
        bail!("the result is cut ({cut}): raise the limits under `query`");
    }
    let is_over = client.query(&format!("print Over = now() >= {to}"))?.objects()?;
    let is_over = is_over.first().is_some_and(|row| row["Over"] == true);
    let unpriced = warn_of_unpriced(&answer.objects()?);
    if !is_over {
        say(&format!("{} is not over: this is what it is so far", arguments.month));
    }
    if !is_over || unpriced > 0 {
        let fix =
            if is_over { "add the missing prices to prices_file" } else { "wait for its end" };
        let text = format!("the month cannot be closed: {fix}");
        return Err(ExitWith::error(Exit::CheckFailed, text));
    }
    Ok(())
}

fn estimate(arguments: &EstimateArguments) -> anyhow::Result<()> {
    if arguments.own {
        let query = "let days = toscalar(Interactions | where TimeGenerated > ago(30d) | summarize todouble(now() - min(TimeGenerated)) / todouble(1d));\nInteractions\n| where TimeGenerated > ago(30d)\n| summarize Calls = count(), Tokens = sum(TotalTokens), CostUsd = sum(CostUsd), UnpricedCalls = countif(isnull(CostUsd) and TotalTokens > 0) by ModelName\n| extend DaysSeen = days, CostUsdPerMonth = todouble(CostUsd) / max_of(days, 0.01) * 30\n| order by CostUsdPerMonth desc";
        let answer = Client::open(&arguments.file.config)?.query(query)?;
        print(&answer.render(arguments.output)?);
        return Ok(());
    }
    let prices = match arguments.file.config.exists() {
        true => Config::load(&arguments.file.config)?.prices()?,
        false => std::sync::Arc::new(policy::Prices::builtin()),
    };
    let mut all: Vec<Estimate> = Vec::new();
    for model in &arguments.model {
        let some = estimates(&prices, model, DeploymentScope::GlobalOrDefault);
        all.extend(some.with_context(|| format!("`{model}` has no price: add it to prices_file"))?);
    }
    if arguments.output != OutputFormat::Table {
        for estimate in &all {
            print(&format!("{}\n", serde_json::to_string(estimate)?));
        }
        return Ok(());
    }
    let mut table = format!(
        "{:8} {:50} {:16} {:>14} {:>16} {:>14}\n",
        "profile", "shape", "model", "conversations", "tokens", "USD a month"
    );
    for Estimate { profile, shape, model, conversations, tokens, cost_usd, .. } in &all {
        table.push_str(&format!(
            "{profile:8} {shape:50} {model:16} {conversations:>14} {tokens:>16} {cost_usd:>14.2}\n"
        ));
    }
    print(&table);
    Ok(())
}

/// Has a running gateway rate days anew; prints the difference by subscription and model.
fn rerate(arguments: &RerateArguments) -> anyhow::Result<()> {
    let body = serde_json::json!({
        "from": arguments.from,
        "to": arguments.to,
        "dry_run": arguments.dry_run,
        "reason": arguments.reason,
    });
    let client = Client::open(&arguments.file.config)?;
    let waiting = Waiting::begin("rating past days");
    let answer = client.send("POST", "/admin/v1/cost/rerate", &body)?;
    drop(waiting);
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut table =
        String::from("Subscription,Model,Calls,UnpricedCalls,BeforeUsd,AfterUsd,DifferenceUsd\n");
    for row in answer["differences"].as_array().into_iter().flatten() {
        let columns = [
            "subscription",
            "model",
            "calls",
            "unpriced_calls",
            "before_usd",
            "after_usd",
            "difference_usd",
        ];
        let cells: Vec<String> = columns.iter().map(|name| text(&row[*name])).collect();
        table.push_str(&format!("{}\n", cells.join(",")));
    }
    print(&table);
    let (before, after) = (text(&answer["before_usd"]), text(&answer["after_usd"]));
    let prices = text(&answer["price_version"]);
    say(&format!("{before} USD becomes {after} USD by prices {prices}"));
    match arguments.dry_run {
        true => say("nothing was changed: leave out --dry-run to have reports show it"),
        false => say(&format!("{} adjustments are on record", answer["adjustments"])),
    }
    Ok(())
}

/// Day by day, our sum beside the provider's. The file is read first: nobody is asked for nothing.
fn reconcile(arguments: &ReconcileArguments) -> anyhow::Result<()> {
    let (from, to) = month(&arguments.month)?;
    let mut days: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (day, cost) in exported(arguments)? {
        days.entry(day).or_default().1 += cost;
    }
    let answer =
        Client::open(&arguments.file.config)?.query(&report_query(&from, &to, &[CostBy::Day]))?;
    for row in answer.objects()? {
        let day = row["Day"].as_str().unwrap_or_default().chars().take(10).collect();
        let cost = &row["CostUsd"];
        let cost = cost.as_f64().or_else(|| cost.as_str()?.parse().ok()).unwrap_or(0.0);
        days.entry(day).or_default().0 += cost;
    }
    let mut table = String::from("Day,GatehouseUsd,ProviderUsd,DifferenceUsd\n");
    let (mut ours, mut theirs) = (0.0, 0.0);
    for (day, (own, told)) in &days {
        table.push_str(&format!("{day},{own:.6},{told:.6},{:.6}\n", own - told));
        ours += own;
        theirs += told;
    }
    table.push_str(&format!("total,{ours:.6},{theirs:.6},{:.6}\n", ours - theirs));
    print(&table);
    let most = arguments.tolerance_percent / 100.0 * theirs.abs();
    if (ours - theirs).abs() > most {
        let text = format!("the sums differ by more than {} percent", arguments.tolerance_percent);
        return Err(ExitWith::error(Exit::CheckFailed, text));
    }
    Ok(())
}

/// Day and cost of each line of the provider's file that is of the month.
fn exported(arguments: &ReconcileArguments) -> anyhow::Result<Vec<(String, f64)>> {
    let file = arguments.export.display();
    let mut reader = csv::Reader::from_path(&arguments.export).with_context(|| {
        format!("cannot read {file}: give the CSV file that the provider exported")
    })?;
    let headers = reader.headers()?.clone();
    let column = |name: &str| {
        headers.iter().position(|known| known.eq_ignore_ascii_case(name)).with_context(|| {
            format!("{file} has no column `{name}`: name it by --date-column or --cost-column")
        })
    };
    let (date, cost) = (column(&arguments.date_column)?, column(&arguments.cost_column)?);
    let mut lines = Vec::new();
    for (line, row) in reader.records().enumerate() {
        let row = row.with_context(|| format!("{file} is no CSV with a header line"))?;
        let wrong = |what: &str, cell: &str, fix: &str| {
            format!("{file}, line {}: `{cell}` is no {what}: {fix}", line + 2)
        };
        let day = day(&row[date]).with_context(|| {
            let fix = "it is read as 2026-11-28 or 11/28/2026, or name another by --date-column";
            wrong("date", &row[date], fix)
        })?;
        let cost: f64 = row[cost].trim().parse().map_err(|_| {
            let fix = "it is read as 1234.56, or name another column by --cost-column";
            anyhow::anyhow!(wrong("cost", &row[cost], fix))
        })?;
        if day.starts_with(&arguments.month) {
            lines.push((day, cost));
        }
    }
    Ok(lines)
}

/// `2026-11-28`, also from `11/28/2026` and from an instant.
fn day(text: &str) -> Option<String> {
    let text = text.trim();
    if let Some((month, rest)) = text.split_once('/') {
        let (day, year) = rest.split_once('/')?;
        let number = |text: &str| text.parse::<u32>().ok();
        return Some(format!("{:04}-{:02}-{:02}", number(year)?, number(month)?, number(day)?));
    }
    let day = text.get(..10)?;
    day.parse::<jiff::civil::Date>().ok().map(|date| date.to_string())
}

/// First instants of a month and of the next, in KQL.
fn month(text: &str) -> anyhow::Result<(String, String)> {
    let first = format!("{text}-01").parse::<jiff::civil::Date>();
    let first = first
        .ok()
        .filter(|_| text.len() == 7)
        .with_context(|| format!("`{text}` is no month: write it as 2026-11"))?;
    let next = first.checked_add(jiff::Span::new().months(1)).context("there is no next month")?;
    Ok((format!("datetime({first})"), format!("datetime({next})")))
}

/// A day, an instant, or a time ago, in KQL.
fn instant(text: &str) -> anyhow::Result<String> {
    let is_span =
        text.strip_suffix(['d', 'h', 'm']).is_some_and(|number| number.parse::<u32>().is_ok());
    if is_span {
        return Ok(format!("ago({text})"));
    }
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.TZ".contains(&byte));
    let is_time = match text.ends_with('Z') {
        true => text.parse::<jiff::Timestamp>().is_ok(),
        false => text.parse::<jiff::civil::DateTime>().is_ok(),
    };
    if is_plain && is_time && text.get(4..5) == Some("-") {
        return Ok(format!("datetime({text})"));
    }
    bail!("`{text}` is no time: write 2026-11-01, 2026-11-01T12:00:00Z, or 30d for a time ago")
}

fn by(column: CostColumn) -> CostBy {
    match column {
        CostColumn::Subscription => CostBy::Subscription,
        CostColumn::Product => CostBy::Product,
        CostColumn::User => CostBy::User,
        CostColumn::Group => CostBy::Group,
        CostColumn::Model => CostBy::Model,
        CostColumn::Deployment => CostBy::Deployment,
        CostColumn::Day => CostBy::Day,
    }
}

/// Usage without a price is missing from every sum, so it is said.
fn warn_of_unpriced(rows: &[serde_json::Map<String, serde_json::Value>]) -> i64 {
    let unpriced = rows.iter().filter_map(|row| row["UnpricedCalls"].as_i64()).sum();
    if unpriced > 0 {
        say(&format!(
            "{unpriced} calls used tokens that have no price: add their models to prices_file"
        ));
    }
    unpriced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_days_and_times_are_read_and_nothing_else() {
        let (from, to) = month("2026-12").expect("a month");
        assert_eq!((from.as_str(), to.as_str()), ("datetime(2026-12-01)", "datetime(2027-01-01)"));
        month("2026-13").expect_err("no month");
        month("2026-1-1").expect_err("no month");
        assert_eq!(day("11/28/2026").as_deref(), Some("2026-11-28"));
        assert_eq!(day("2026-11-28T00:00:00Z").as_deref(), Some("2026-11-28"));
        assert_eq!(day("yesterday"), None);
        assert_eq!(instant("30d").expect("a time"), "ago(30d)");
        assert_eq!(instant("2026-11-01").expect("a day"), "datetime(2026-11-01)");
        assert_eq!(
            instant("2026-11-01T12:30:00Z").expect("an instant"),
            "datetime(2026-11-01T12:30:00Z)"
        );
        for wrong in
            ["now()); drop", "2026-13-01", "2026-11-31", "yesterday", "2026-11-01Z", "20261101"]
        {
            instant(wrong).expect_err(wrong);
        }
    }
}
