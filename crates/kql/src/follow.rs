//! Queries that follow a table: each row of the result comes from one row of the table, and carries the
//! column along by which its place is known.

use crate::Diagnostic;
use crate::parser;
use crate::syntax::{
    Body, Expression, ExpressionKind, Item, Operator, Pipeline, Source, Statement,
};

/// Operators of which each row comes from one row before them, in the same order.
const ROW_BY_ROW: [&str; 14] = [
    "extend",
    "filter",
    "mv-expand",
    "mvexpand",
    "parse",
    "parse-kv",
    "parse-where",
    "project",
    "project-away",
    "project-keep",
    "project-rename",
    "project-reorder",
    "serialize",
    "where",
];

/// The query so that its result has `column` of its table, wherever it chooses columns. The text of an error
/// names what no such query may hold.
pub fn keep_column(query: &str, column: &str) -> Result<String, String> {
    let parsed = parser::parse(query);
    if let Some(error) =
        parsed.diagnostics.iter().find(|diagnostic| Diagnostic::is_error(diagnostic))
    {
        return Err(error.to_string());
    }
    let [Statement::Query(Pipeline { source: Source::Expression(_), operators, .. })] =
        &parsed.statements[..]
    else {
        return Err("it is more than one query: leave the operators that follow the table".into());
    };
    let mut kept = query.to_owned();
    // From the end, so that places before it stay.
    for operator in operators.iter().rev() {
        let name = operator.name.text.as_str();
        if !ROW_BY_ROW.contains(&name) {
            let why = "its result depends on which rows are asked for at once";
            return Err(format!("`{name}` cannot follow a table, as {why}"));
        }
        if sets(operator, column) {
            return Err(format!(
                "`{name}` sets {column}, by which rows are known: name it otherwise"
            ));
        }
        if chooses_without(operator, column) {
            kept.insert_str(operator.span.end as usize, &format!(", {column}"));
        }
    }
    Ok(kept)
}

/// It gives another value that name, or the column another name.
fn sets(operator: &Operator, column: &str) -> bool {
    let Body::Items(items) = &operator.body else { return false };
    let is_rename = operator.name.text == "project-rename";
    items.iter().any(|item| {
        item.names.iter().any(|name| name.text == column)
            || (is_rename && is_column(&item.expression, column))
    })
}

/// It keeps the columns that it names, and this one not.
fn chooses_without(operator: &Operator, column: &str) -> bool {
    match (operator.name.text.as_str(), &operator.body) {
        ("project", Body::Items(items)) => !items.iter().any(|item| names(item, column)),
        ("project-keep", Body::Columns(columns)) => {
            !columns.iter().any(|ordered| names(&ordered.item, column))
        }
        _ => false,
    }
}

fn names(item: &Item, column: &str) -> bool {
    item.names.is_empty() && is_column(&item.expression, column)
}

fn is_column(expression: &Expression, column: &str) -> bool {
    matches!(&expression.kind, ExpressionKind::Name(name) if name == column)
}

#[cfg(test)]
mod tests {
    use super::keep_column;

    fn kept(operators: &str) -> Result<String, String> {
        keep_column(&format!("T\n{operators}"), "Seq").map(|text| text[2..].to_owned())
    }

    #[test]
    fn the_column_is_kept_wherever_columns_are_chosen() {
        for (query, expected) in [
            ("", ""),
            ("| where A > 1 // why", "| where A > 1 // why"),
            ("| project A, B", "| project A, B, Seq"),
            ("| project A // why\n| where A > 1", "| project A, Seq // why\n| where A > 1"),
            ("| project Seq, A", "| project Seq, A"),
            ("| project-keep A*", "| project-keep A*, Seq"),
            ("| project Other = Seq", "| project Other = Seq, Seq"),
            (
                "| extend C = A | project C, D = A + 1 | mv-expand D | project D",
                "| extend C = A | project C, D = A + 1, Seq | mv-expand D | project D, Seq",
            ),
        ] {
            assert_eq!(kept(query).as_deref(), Ok(expected), "{query}");
        }
    }

    #[test]
    fn what_cannot_follow_a_table_is_named() {
        for (query, named) in [
            ("| summarize count() by A", "`summarize`"),
            ("| take 5", "`take`"),
            ("| join U on A", "`join`"),
            ("| extend Seq = 1", "`extend` sets Seq"),
            ("| project-rename Other = Seq", "`project-rename` sets Seq"),
            ("; U", "more than one query"),
            ("| where (", "Expected"),
        ] {
            let error = kept(query).expect_err(query);
            assert!(error.contains(named), "{query}: {error}");
        }
    }
}
