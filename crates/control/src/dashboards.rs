//! Whether the queries of dashboards are KQL, and whether the tables and columns that they name are there.

use std::collections::BTreeMap;

use kql::Catalogue;
use policy::{DashboardConfig, ParameterConfig, ParameterType, TileConfig};

use crate::error::Error;
use crate::queries::{mended, mistake};

/// Checks that every tile's query can be read, with the dashboard's parameters declared in front as the
/// portal does. With a catalogue, names are looked up: all that there are, since what is seen depends on who asks.
pub fn check_queries<'a>(
    dashboards: impl IntoIterator<Item = &'a DashboardConfig>,
    catalogue: Option<&dyn Catalogue>,
) -> Result<(), Error> {
    for dashboard in dashboards {
        let declared = declared(dashboard);
        for tile in &dashboard.tiles {
            let values = dashboard.parameters.iter().map(|it| (it.name.clone(), value(it)));
            check(&declared, values.collect(), tile, catalogue).map_err(|why| {
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
    let one = |it: &ParameterConfig| format!("{}:{}", it.name, it.value_type.name());
    let list: Vec<String> = parameters.iter().map(one).collect();
    format!("declare query_parameters({});\n", list.join(", "))
}

/// A value of a parameter, as KQL writes it. Text is what it is at first, since names may be in it; of the others any
/// will do: the first one may be missing.
fn value(ParameterConfig { value_type, first, .. }: &ParameterConfig) -> String {
    match value_type {
        ParameterType::String => serde_json::Value::from(first.as_str()).to_string(),
        ParameterType::Timespan => "1h".to_owned(),
        ParameterType::Datetime => "datetime(2026-01-01)".to_owned(),
        ParameterType::Long => "1".to_owned(),
        ParameterType::Real => "1.0".to_owned(),
    }
}

fn check(
    declared: &str,
    values: BTreeMap<String, String>,
    TileConfig { query, .. }: &TileConfig,
    catalogue: Option<&dyn Catalogue>,
) -> Result<(), String> {
    let found = mistake(&format!("{declared}{query}"), values, catalogue);
    let Some(found) = found else { return Ok(()) };
    // Places are told as they are in the query itself.
    let line = found.line.saturating_sub(declared.lines().count() as u32).max(1);
    Err(format!("line {line}, column {}: {}", found.column, mended(&found)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Calls;

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
            check_queries([&good], None).expect("tables and columns are not looked up");
            let bad = dashboard(parameters, "Interactions\n| where (");
            let said = check_queries([&good, &bad], None).expect_err("no KQL").to_string();
            assert!(said.starts_with("dashboard `d`, tile `Calls`: line 2, column "), "{said}");
        }
        let bad = dashboard("[]", "Interactions | wher x");
        let said = check_queries([&bad], None).expect_err("no KQL");
        assert!(said.to_string().contains("where"), "{said}");
    }

    #[test]
    fn names_are_looked_up_where_there_is_a_catalogue_and_each_parameter_has_a_value() {
        let parameters = r#"[
            {"name":"Span","type":"timespan"}, {"name":"Since","type":"datetime"},
            {"name":"Most","type":"long"}, {"name":"Part","type":"real","first":"a tenth"},
            {"name":"Of","type":"string","first":"a\"b\\"}, {"name":"Unit","type":"string","first":"day"}
        ]"#;
        let query = "Calls\n| where At > ago(Span / 2) and At > Since and Region != Of\n\
                     | where Tokens > Part and datetime_part(Unit, At) > 1\n| take Most";
        let good = dashboard(parameters, query);
        check_queries([&good], Some(&Calls)).expect("it binds");
        let open = dashboard("[]", "Calls | evaluate bag_unpack(More) | where Anything > 1");
        check_queries([&open], Some(&Calls)).expect("only the data tell its columns");
        for (before, after, place, why) in [
            ("Calls", "Cals", "line 1, column 1: ", "'Calls'"),
            ("Region", "Regon", "line 2, column ", "'Region'"),
            ("!= Of", "!= Off", "line 2, column ", "Off"),
            ("take Most", "take Unit", "line 4, column ", ""),
        ] {
            let bad = dashboard(parameters, &query.replace(before, after));
            check_queries([&bad], None).expect("it can be read");
            let said = check_queries([&good, &bad], Some(&Calls)).expect_err(after).to_string();
            assert!(said.starts_with(&format!("dashboard `d`, tile `Calls`: {place}")), "{said}");
            assert!(said.contains(why), "{said}");
        }
    }
}
