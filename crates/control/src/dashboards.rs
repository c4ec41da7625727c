//! Whether the queries of dashboards are KQL. Which tables and columns they name is not looked at: that
//! depends on who asks.

use policy::{DashboardConfig, TileConfig};

use crate::error::Error;

/// Checks that every tile's query can be read, with the dashboard's parameters declared in front as the
/// portal does.
pub fn check_queries<'a>(
    dashboards: impl IntoIterator<Item = &'a DashboardConfig>,
) -> Result<(), Error> {
    for dashboard in dashboards {
        let declared = declared(dashboard);
        for tile in &dashboard.tiles {
            check(&declared, tile).map_err(|why| {
                let DashboardConfig { id, .. } = dashboard;
                Error::invalid(format!("dashboard `{id}`, tile `{}`: {why}", tile.title))
            })?;
        }
    }
    Ok(())
}

/// The line that declares the parameters; empty where there are none.
fn declared(DashboardConfig { parameters, .. }: &DashboardConfig) -> String {
    if parameters.is_empty() {
        return String::new();
    }
    let one = |it: &policy::ParameterConfig| format!("{}:{}", it.name, it.value_type.name());
    let list: Vec<String> = parameters.iter().map(one).collect();
    format!("declare query_parameters({});\n", list.join(", "))
}

fn check(declared: &str, TileConfig { query, .. }: &TileConfig) -> Result<(), String> {
    let findings = kql::check_syntax(&format!("{declared}{query}"));
    let Some(found) = findings.iter().find(|finding| finding.is_error()) else { return Ok(()) };
    // Places are told as they are in the query itself.
    let line = found.line.saturating_sub(declared.lines().count() as u32).max(1);
    let fix = found.fix.as_ref().map_or_else(|| "correct the query".to_owned(), String::clone);
    Err(format!("line {line}, column {}: {}: {fix}", found.column, found.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard(parameters: &str, query: &str) -> DashboardConfig {
        let text =
            serde_json::json!({ "id": "d", "tiles": [{ "title": "Calls", "query": query }] });
        let mut dashboard: DashboardConfig = serde_json::from_value(text).expect("a dashboard");
        dashboard.parameters = serde_json::from_str(parameters).expect("parameters");
        dashboard
    }

    #[test]
    fn a_query_that_cannot_be_read_is_told_with_its_place() {
        let span = r#"[{"name":"Span","type":"timespan"},{"name":"Of","type":"string"}]"#;
        for parameters in ["[]", span] {
            let good = dashboard(parameters, "Interactions\n| where a > ago(Span)\n| count");
            check_queries([&good]).expect("tables and columns are not looked up");
            let bad = dashboard(parameters, "Interactions\n| where (");
            let said = check_queries([&good, &bad]).expect_err("no KQL").to_string();
            assert!(said.starts_with("dashboard `d`, tile `Calls`: line 2, column "), "{said}");
        }
        let said = check_queries([&dashboard("[]", "Interactions | wher x")]).expect_err("no KQL");
        assert!(said.to_string().contains("where"), "{said}");
    }
}
