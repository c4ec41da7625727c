//! Whether the queries of alert rules are KQL, and whether the tables and columns that they name are there.

use std::collections::BTreeMap;

use kql::Catalogue;
use policy::AlertRule;

use crate::error::Error;
use crate::queries::{mended, mistake};

/// Checks that every rule's query can be read, alone and with its aggregation behind it. With a catalogue, names are
/// looked up.
pub(crate) fn check_rules<'a>(
    rules: impl IntoIterator<Item = &'a AlertRule>,
    catalogue: Option<&dyn Catalogue>,
) -> Result<(), Error> {
    for rule in rules.into_iter().filter(|rule| !rule.query.is_empty()) {
        check(rule, catalogue)
            .map_err(|why| Error::invalid(format!("alert rule `{}`: {why}", rule.id)))?;
    }
    Ok(())
}

fn check(rule: &AlertRule, catalogue: Option<&dyn Catalogue>) -> Result<(), String> {
    let wrong = |text: &str| mistake(text, BTreeMap::new(), catalogue);
    if let Some(found) = wrong(&rule.query) {
        let (line, column) = (found.line, found.column);
        return Err(format!("line {line}, column {column}: {}", mended(&found)));
    }
    match (wrong(&rule.aggregated()), catalogue) {
        (None, _) => Ok(()),
        (Some(found), None) => Err(format!(
            "`summarize` cannot follow its query: {}: end it with what gives the rows",
            found.message
        )),
        (Some(found), Some(_)) => {
            Err(format!("its measure_column or dimensions: {}", mended(&found)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Calls;

    fn rule(query: &str) -> AlertRule {
        AlertRule { id: "a".into(), query: query.into(), ..AlertRule::default() }
    }

    fn said(rule: &AlertRule, catalogue: Option<&dyn Catalogue>) -> String {
        check_rules([rule], catalogue).expect_err(&rule.query).to_string()
    }

    #[test]
    fn a_query_that_cannot_be_read_is_told_with_its_place() {
        let metric = "gatehouse_backend_up".into();
        let gauge = AlertRule { metric, ..AlertRule::default() };
        check_rules([&gauge, &rule("Nothing\n| where a > 1;")], None).expect("both");
        let bad = said(&rule("Interactions\n| where ("), None);
        assert!(bad.starts_with("alert rule `a`: line 2, column "), "{bad}");
        assert!(said(&rule("Interactions | wher x"), None).contains("where"));
    }

    #[test]
    fn names_are_looked_up_where_there_is_a_catalogue() {
        let good = AlertRule {
            aggregation: policy::Aggregation::Total,
            measure_column: "Tokens".into(),
            dimensions: vec!["Region".into()],
            ..rule("Calls\n| where Tokens > 1;")
        };
        check_rules([&good], Some(&Calls)).expect("it binds");
        let bad = said(&rule("Calls\n| where Tokns > 1"), Some(&Calls));
        assert!(bad.starts_with("alert rule `a`: line 2, column 9: "), "{bad}");
        assert!(bad.contains("'Tokens'"), "{bad}");
        let measure_column = "Token".into();
        let bad = said(&AlertRule { measure_column, ..good.clone() }, Some(&Calls));
        assert!(bad.contains("its measure_column or dimensions: ") && bad.contains("'Tokens'"));
        let bad = said(&AlertRule { dimensions: vec!["Regions".into()], ..good }, Some(&Calls));
        assert!(bad.contains("its measure_column or dimensions: ") && bad.contains("'Region'"));
    }
}
