//! Whether the queries of alert rules are KQL. Which tables and columns they name is told when they are looked at.

use policy::AlertRule;

use crate::error::Error;

/// Checks that every rule's query can be read, alone and with its aggregation behind it.
pub(crate) fn check_rules<'a>(rules: impl IntoIterator<Item = &'a AlertRule>) -> Result<(), Error> {
    for rule in rules.into_iter().filter(|rule| !rule.query.is_empty()) {
        check(rule).map_err(|why| Error::invalid(format!("alert rule `{}`: {why}", rule.id)))?;
    }
    Ok(())
}

fn check(rule: &AlertRule) -> Result<(), String> {
    let wrong = |text: &str| kql::check_syntax(text).into_iter().find(kql::Diagnostic::is_error);
    if let Some(found) = wrong(&rule.query) {
        let fix = found.fix.unwrap_or_else(|| "correct the query".to_owned());
        return Err(format!(
            "line {}, column {}: {}: {fix}",
            found.line, found.column, found.message
        ));
    }
    match wrong(&rule.aggregated()) {
        None => Ok(()),
        Some(found) => Err(format!(
            "`summarize` cannot follow its query: {}: end it with what gives the rows",
            found.message
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(query: &str) -> String {
        let rule = AlertRule { id: "a".into(), query: query.into(), ..AlertRule::default() };
        check_rules([&rule]).expect_err(query).to_string()
    }

    #[test]
    fn a_query_that_cannot_be_read_is_told_with_its_place() {
        let metric = "gatehouse_backend_up".into();
        let gauge = AlertRule { metric, ..AlertRule::default() };
        let query = "Nothing\n| where a > 1;".into();
        check_rules([&gauge, &AlertRule { query, ..AlertRule::default() }]).expect("both");
        let bad = said("Interactions\n| where (");
        assert!(bad.starts_with("alert rule `a`: line 2, column "), "{bad}");
        assert!(said("Interactions | wher x").contains("where"));
    }
}
