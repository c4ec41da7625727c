//! `gatehouse audit erase`: has a running gateway erase what interactions said.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, bail};
use event::InteractionId;
use serde_json::{Value, json};

use crate::arguments::EraseArguments;
use crate::client::Client;
use crate::exit::{Exit, ExitWith};
use crate::terminal::{Waiting, say};

/// Interactions of one order.
const ORDER: usize = 10_000;

/// Runs the command.
pub(super) fn run(arguments: &EraseArguments) -> anyhow::Result<()> {
    let mut ids = match arguments.ids.is_empty() {
        true => piped()?,
        false => arguments.ids.clone(),
    };
    ids.sort();
    ids.dedup();
    if ids.is_empty() {
        bail!("no interaction is named: give the values of CorrelationId, or pipe them in");
    }
    for id in &ids {
        id.parse::<InteractionId>().map_err(|_| {
            let text = format!("`{id}` is no id of an interaction: see the column CorrelationId");
            ExitWith::error(Exit::Failed, format!("{text}; nothing was erased"))
        })?;
    }
    let client = Client::open(&arguments.file.config)?;
    let is_meant = arguments.dry_run || arguments.yes || confirmed(ids.len(), arguments)?;
    if !is_meant {
        say("nothing was erased");
        return Ok(());
    }
    let (mut found, mut unknown, mut is_done) = (0, Vec::new(), true);
    for (number, some) in ids.chunks(ORDER).enumerate() {
        let purpose = &arguments.purpose;
        let body =
            json!({ "correlation_ids": some, "purpose": purpose, "dry_run": arguments.dry_run });
        let waiting = Waiting::begin("erasing");
        let answer = client.send("POST", "/admin/v1/erasures", &body);
        drop(waiting);
        let answer = answer.map_err(|error| match number * ORDER {
            0 => error,
            done => error.context(format!("{done} of {} interactions were ordered", ids.len())),
        })?;
        found += answer["found"].as_u64().unwrap_or(0);
        let named = answer["unknown"].as_array().into_iter().flatten();
        unknown.extend(named.filter_map(Value::as_str).map(str::to_owned));
        is_done &= tell(&answer, arguments.dry_run);
    }
    if arguments.dry_run {
        say(&format!("{found} of {} interactions would be erased: leave out --dry-run", ids.len()));
    }
    let missing = ids.len() as u64 - found;
    if missing == 0 && (is_done || arguments.dry_run) {
        return Ok(());
    }
    if missing == 0 {
        let text =
            "the order is recorded and not carried out yet: `audit verify` counts what is erased";
        return Err(ExitWith::error(Exit::CheckFailed, text));
    }
    let named = unknown.join(", ");
    let more = match missing - unknown.len() as u64 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = format!("not in the tables, so check the ids: {named}{more}");
    Err(ExitWith::error(Exit::CheckFailed, text))
}

/// Says what became of an order; answers whether it is carried out.
fn tell(answer: &Value, is_dry_run: bool) -> bool {
    if is_dry_run {
        return true;
    }
    let id = answer["erasure_id"].as_str().unwrap_or_default();
    let said = match &answer["interactions"] {
        one if *one == 1 => "what 1 interaction said".to_owned(),
        count => format!("what {count} interactions said"),
    };
    let is_done = answer["is_done"] == true;
    if is_done {
        say(&format!("order {id}: {said} is erased"));
        return true;
    }
    let state = &answer["state"];
    let why = match (state["failure"].as_str().unwrap_or_default(), &state["open"]) {
        ("", open) if *open != 0 => format!("{open} have not ended, and are erased once they have"),
        ("", _) => "it takes longer".to_owned(),
        (failure, _) => format!("it is tried again: {failure}"),
    };
    say(&format!("order {id}: {said} is to be erased; {why}"));
    false
}

/// Ids from standard input, one a line, as a query prints them.
fn piped() -> anyhow::Result<Vec<String>> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    for line in input.lock().lines() {
        let line = line.context("standard input cannot be read")?;
        let id = line.trim().trim_matches('"');
        if !id.is_empty() && id != "CorrelationId" {
            ids.push(id.to_owned());
        }
    }
    Ok(ids)
}

fn confirmed(count: usize, arguments: &EraseArguments) -> anyhow::Result<bool> {
    if arguments.ids.is_empty() || !std::io::stdin().is_terminal() {
        bail!(
            "erasing is for good: add --yes where nobody can be asked, or --dry-run to see what it would do"
        );
    }
    let mut error = std::io::stderr();
    write!(error, "Erase what {count} interactions said, for good? [y/N] ")?;
    error.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
