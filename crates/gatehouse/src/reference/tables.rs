//! The page of tables: every column with its type, meaning and origin.

use std::fmt::Write;

use query::TableInfo;

use super::{cell, title};

const INTRODUCTION: &str = "\
`Interactions`, `Messages` and `BackendHealth` are stored. `ApiManagementGatewayLogs` and `ApiManagementGatewayLlmLog`
are views of `Interactions` with the columns, types and order that Azure Monitor documents, so that
queries written for Azure run unchanged. Times are UTC.

Columns marked **content** hold what callers and models said to each other, or tell of it. Whoever lacks
the right to read content sees them empty (strings) or null, whatever a query does with them; whoever
has it states a purpose, and the look becomes a row of `ContentReads`. Subscribers see the rows of
their own subscriptions, in the tables that have a column `ApimSubscriptionId`; the other tables are
not there for them.

";

/// Where Azure describes the table that a view copies.
const SOURCES: [(&str, &str); 2] = [
    (
        "ApiManagementGatewayLogs",
        "https://learn.microsoft.com/en-us/azure/azure-monitor/reference/tables/apimanagementgatewaylogs",
    ),
    (
        "ApiManagementGatewayLlmLog",
        "https://learn.microsoft.com/en-us/azure/azure-monitor/reference/tables/apimanagementgatewayllmlog",
    ),
];

pub(super) fn render() -> String {
    let mut page = title("Tables", "tables");
    page.push_str(INTRODUCTION);
    let tables: Vec<String> = query::tables().iter().map(table).collect();
    page.push_str(&tables.join("\n"));
    page
}

fn table(table: &TableInfo) -> String {
    let mut out = format!("## {}\n\n{}\n", table.name, table.meaning);
    let source = SOURCES.iter().find(|(name, _)| *name == table.name);
    if let Some((_, link)) = source {
        let _ = writeln!(out, "Azure's description: <{link}>.");
    }
    out.push_str(if source.is_some() {
        "\n| column | type | meaning | made from |\n|---|---|---|---|\n"
    } else {
        "\n| column | type | meaning |\n|---|---|---|\n"
    });
    for column in &table.columns {
        let mark = if column.is_content { "**content** " } else { "" };
        let meaning = format!("{mark}{}", cell(column.meaning));
        let _ = write!(out, "| `{}` | {} | {meaning} |", column.name, column.column_type);
        if source.is_some() {
            let _ = write!(out, " {} |", cell(&column.source));
        }
        out.push('\n');
    }
    out
}
