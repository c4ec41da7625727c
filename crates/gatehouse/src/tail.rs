//! `gatehouse tail`: interactions as they end.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::arguments::TailArguments;
use crate::client::Client;
use crate::terminal::{plain, print};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// Rows of one look; more come with the next.
const ROWS_MAX: u32 = 1_000;
const COLUMNS: &str = "LedgerSequence, ClosedAt, CallerIpAddress, ApimSubscriptionId, \
    OperationId, DeploymentName, ResponseCode, TotalTokens, TotalTime, Outcome, CorrelationId";

/// Runs the command until it is interrupted.
pub(crate) fn run(arguments: &TailArguments) -> anyhow::Result<()> {
    let client = Client::open(&arguments.file.config)?;
    let condition = match &arguments.condition {
        Some(condition) => format!("| where {condition}"),
        None => String::new(),
    };
    let first = format!(
        "Interactions {condition} | top {} by LedgerSequence desc | project {COLUMNS} \
         | sort by LedgerSequence asc",
        arguments.lines
    );
    let mut last = show(&client, &first)?.unwrap_or(0);
    if arguments.no_follow {
        return Ok(());
    }
    loop {
        std::thread::sleep(INTERVAL);
        let next = format!(
            "Interactions {condition} | where LedgerSequence > {last} \
             | top {ROWS_MAX} by LedgerSequence asc | project {COLUMNS}"
        );
        last = show(&client, &next)?.unwrap_or(last);
    }
}

/// Prints the rows; answers the highest sequence among them.
fn show(client: &Client, query: &str) -> anyhow::Result<Option<i64>> {
    let rows = client.query(query)?.objects()?;
    let lines: String = rows.iter().map(line).collect();
    print(&lines);
    Ok(rows.iter().filter_map(|row| row["LedgerSequence"].as_i64()).max())
}

fn line(row: &Map<String, Value>) -> String {
    let text = |name: &str| match &row[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => plain(text),
        other => other.to_string(),
    };
    format!(
        "{} {} {} {} {} {} {} {} {} ms {} {}\n",
        text("ClosedAt"),
        text("CallerIpAddress"),
        text("ApimSubscriptionId"),
        text("OperationId"),
        text("DeploymentName"),
        text("ResponseCode"),
        text("TotalTokens"),
        if row["TotalTokens"] == 1 { "token" } else { "tokens" },
        text("TotalTime"),
        text("Outcome"),
        text("CorrelationId"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_somebody_made_up_drives_no_terminal() {
        let nothing = COLUMNS.split(", ").map(|name| (name.trim().to_owned(), Value::Null));
        let mut row: Map<String, Value> = nothing.collect();
        row["DeploymentName"] = "gpt\u{1b}]0;owned\u{7}\n200 forged".into();
        row["TotalTokens"] = 1.into();
        let line = line(&row);
        assert!(line.contains(" 1 token - ms"), "{line:?}");
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(line.contains("gpt‹U+001B›]0;owned‹U+0007› 200 forged"), "{line:?}");
    }
}
