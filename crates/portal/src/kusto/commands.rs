//! The `.show` commands that clients send, also with a query behind a pipe, and `.cancel query`. Nothing
//! that is kept is changed by a command here; others are refused by name.

use kql::{Frame, Options, QueryError, QueryErrorKind, Type, Value};
use policy::Role;

use super::cells::columns;
use super::request::Asked;
use super::schema::{self, Catalogued};
use crate::access::Caller;
use crate::inner::Portal;
use crate::reading::{self, access};

/// Words of a command that are looked at.
const WORDS_MAX: usize = 8;

/// A command begins with a dot.
pub(crate) fn is_command(text: &str) -> bool {
    text.trim_start().starts_with('.')
}

/// Runs a command for what its caller may see.
pub(crate) async fn run(
    portal: &Portal,
    caller: &Caller,
    asked: &Asked,
) -> Result<Frame, QueryError> {
    let (command, rest) = parted(&asked.csl);
    if let Some(cancelled) = cancel(portal, caller, command) {
        return Ok(cancelled);
    }
    let shown = access(&caller.principal, &asked.purpose);
    let catalogued = Catalogued::new(&*portal.engine, &shown);
    let frame = show(command, &catalogued, caller)?;
    let Some(rest) = rest else { return Ok(frame) };
    let query = format!("{} {rest}", literal(&frame));
    let over = reading::Asked { caller, query: &query, purpose: "", via: None };
    portal
        .ask(&over, Options { parameters: asked.options.parameters.clone(), ..Options::default() })
        .await
}

/// `.cancel query ID`: ends a running query; none if the command is another one.
fn cancel(portal: &Portal, caller: &Caller, command: &str) -> Option<Frame> {
    let words = words(command);
    let [verb, query, id, ..] = &words[..] else { return None };
    if verb != ".cancel" || query != "query" {
        return None;
    }
    let is_cancelled = portal.queries.cancel(&caller.principal, id);
    let named = [
        ("ClientRequestId", Type::String),
        ("ReasonPhrase", Type::String),
        ("RunningQueryCanceled", Type::Bool),
    ];
    let row = vec![text(id.clone()), text(""), Value::Bool(is_cancelled)];
    Some(Frame { columns: columns(&named), rows: vec![row], ..Frame::default() })
}

fn show(command: &str, of: &Catalogued, caller: &Caller) -> Result<Frame, QueryError> {
    let words = words(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_json = words.ends_with(&["as", "json"]);
    let named = |name: &str| {
        let found = of.table(name);
        found.ok_or_else(|| {
            let text = format!("there is no table '{name}': .show tables lists them");
            QueryError::new(QueryErrorKind::Semantic, text)
        })
    };
    Ok(match words[..] {
        [".show", "version"] => version(),
        [".show", "databases"] | [".show", "database"] | [".show", "databases", "details"] => {
            databases(of)
        }
        [".show", "tables"] => tables(of),
        [".show", "table", name, "schema", "as", "json"] => {
            let (name, columns) = named(name)?;
            table_schema(of, name, schema::table(name, columns).to_string())
        }
        [".show", "table", name, "cslschema"] | [".show", "table", name, "schema"] => {
            let (name, columns) = named(name)?;
            table_schema(of, name, schema::csl(columns))
        }
        [".show", "table", name] => table_columns(&named(name)?.1),
        [".show", "schema", ..]
        | [".show", "databases" | "database" | "cluster", "schema", ..]
        | [".show", "database", _, "schema", ..]
            if is_json =>
        {
            one("DatabaseSchema", of.json().to_string())
        }
        [".show", "schema"]
        | [".show", "databases" | "database" | "cluster", "schema"]
        | [".show", "database", _, "schema"] => database_schema(of),
        [".show", "functions"] => empty(&["Name", "Parameters", "Body", "Folder", "DocString"]),
        [".show", "materialized-views"] => {
            empty(&["Name", "SourceTable", "Query", "Folder", "DocString"])
        }
        [".show", "external", "tables"] => empty(&[
            "TableName",
            "TableType",
            "Folder",
            "DocString",
            "Properties",
            "ConnectionStrings",
            "Partitions",
            "PathFormat",
        ]),
        [".show", "principal", "access", ..] | [".show", "principal", "roles", ..] => {
            principal_access(of, caller)
        }
        [".show", "database", "principals"] | [".show", "database", _, "principals"] => {
            principals(caller)
        }
        _ => {
            let text = format!(
                "{} is not supported by this engine: it knows .cancel query ID and .show version, databases, tables, \
                 table NAME (schema as json, cslschema), database schema (as json), functions, \
                 materialized-views, external tables, principal access, database principals",
                words
                    .first()
                    .map_or_else(String::new, |_| format!("the command {}", words.join(" ")))
            );
            return Err(QueryError::new(QueryErrorKind::Unsupported, text));
        }
    })
}

fn version() -> Frame {
    let named = ["BuildVersion", "BuildTime", "ServiceType", "ProductVersion", "ServiceOffering"];
    let kinds =
        named.map(|name| (name, if name == "BuildTime" { Type::Datetime } else { Type::String }));
    let version = env!("CARGO_PKG_VERSION");
    let offering = r#"{"Type":"Gatehouse"}"#;
    let row = vec![
        text(version),
        Value::Null,
        text("Engine"),
        text(format!("Gatehouse {version}")),
        text(offering),
    ];
    Frame { columns: columns(&kinds), rows: vec![row], ..Frame::default() }
}

fn databases(of: &Catalogued) -> Frame {
    let named = [
        ("DatabaseName", Type::String),
        ("PersistentStorage", Type::String),
        ("Version", Type::String),
        ("IsCurrent", Type::Bool),
        ("DatabaseAccessMode", Type::String),
        ("PrettyName", Type::String),
        ("ReservedSlot1", Type::Bool),
        ("DatabaseId", Type::Guid),
        ("InTransitionTo", Type::String),
    ];
    let row = vec![
        text(of.database.clone()),
        text(""),
        text("v1.0"),
        Value::Bool(true),
        text("ReadOnly"),
        text(""),
        Value::Null,
        Value::Guid(0),
        text(""),
    ];
    Frame { columns: columns(&named), rows: vec![row], ..Frame::default() }
}

fn tables(of: &Catalogued) -> Frame {
    let rows = of.tables.iter().map(|(name, _)| texts(&[name, &of.database, "", ""])).collect();
    Frame { rows, ..empty(&["TableName", "DatabaseName", "Folder", "DocString"]) }
}

fn table_schema(of: &Catalogued, name: &str, schema: String) -> Frame {
    let row = texts(&[name, &schema, &of.database, "", ""]);
    Frame {
        rows: vec![row],
        ..empty(&["TableName", "Schema", "DatabaseName", "Folder", "DocString"])
    }
}

fn table_columns(schema: &kql::Schema) -> Frame {
    let rows = schema.columns.iter().map(|column| {
        texts(&[&column.name, column.column_type.dotnet_name(), column.column_type.name()])
    });
    Frame { rows: rows.collect(), ..empty(&["AttributeName", "AttributeType", "CslType"]) }
}

fn database_schema(of: &Catalogued) -> Frame {
    let named = [
        ("DatabaseName", Type::String),
        ("TableName", Type::String),
        ("ColumnName", Type::String),
        ("ColumnType", Type::String),
        ("IsDefaultTable", Type::Bool),
        ("IsDefaultColumn", Type::Bool),
        ("PrettyName", Type::String),
        ("Version", Type::String),
        ("Folder", Type::String),
        ("DocString", Type::String),
    ];
    let row = |table: &str, column: &str, kusto: &str, version: &str| {
        let mut row = texts(&[&of.database, table, column, kusto]);
        row.extend([Value::Bool(false), Value::Bool(false)]);
        row.extend(texts(&["", version, "", ""]));
        row
    };
    let mut rows = vec![row("", "", "", "v1.0")];
    for (table, schema) in &of.tables {
        rows.push(row(table, "", "", ""));
        let columns = schema.columns.iter();
        rows.extend(
            columns.map(|column| row(table, &column.name, column.column_type.dotnet_name(), "")),
        );
    }
    Frame { columns: columns(&named), rows, ..Frame::default() }
}

fn principal_access(of: &Catalogued, caller: &Caller) -> Frame {
    let named = empty(&["Scope", "DisplayName", "AADObjectID", "Role"]);
    let principal = &caller.principal;
    let row = |role: &Role| texts(&[&of.database, &principal.name, &principal.id, role.name()]);
    Frame { rows: principal.roles.iter().map(row).collect(), ..named }
}

fn principals(caller: &Caller) -> Frame {
    let named = empty(&[
        "Role",
        "PrincipalType",
        "PrincipalDisplayName",
        "PrincipalObjectId",
        "PrincipalFQN",
        "Notes",
    ]);
    let principal = &caller.principal;
    let row = |role: &Role| {
        texts(&[
            role.name(),
            principal.kind.name(),
            &principal.name,
            &principal.id,
            &principal.id,
            "",
        ])
    };
    Frame { rows: principal.roles.iter().map(row).collect(), ..named }
}

fn one(name: &str, value: String) -> Frame {
    Frame { rows: vec![vec![Value::String(value)]], ..empty(&[name]) }
}

fn empty(names: &[&str]) -> Frame {
    let named: Vec<_> = names.iter().map(|name| (*name, Type::String)).collect();
    Frame { columns: columns(&named), ..Frame::default() }
}

fn text(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

fn texts(all: &[&str]) -> Vec<Value> {
    all.iter().map(|one| text(*one)).collect()
}

/// A command and what follows behind its first pipe outside of quotes, the pipe included.
fn parted(csl: &str) -> (&str, Option<&str>) {
    let mut quote = None;
    for (at, char) in csl.char_indices() {
        match (quote, char) {
            (None, '\'' | '"') => quote = Some(char),
            (Some(open), char) if open == char => quote = None,
            (None, '|') => return (&csl[..at], Some(&csl[at..])),
            _ => {}
        }
    }
    (csl, None)
}

/// The words of a command: keywords in lower case, names as they are, quotes and brackets taken off,
/// `with (…)` and `database('…')` left out.
fn words(command: &str) -> Vec<String> {
    let command = command.trim().trim_end_matches(';');
    let command = command.split_once(" with ").map_or(command, |(before, _)| before);
    let words = command.split_whitespace().take(WORDS_MAX);
    let bare = words.map(|word| {
        let name = word.trim_start_matches(['[', '\'', '"']).trim_end_matches([']', '\'', '"']);
        let is_name = name.len() != word.len() || name.chars().any(char::is_uppercase);
        let keyword = name.to_lowercase();
        if is_name && !KEYWORDS.contains(&&*keyword) { name.to_owned() } else { keyword }
    });
    bare.collect()
}

/// Words that mean the same in whatever case.
const KEYWORDS: [&str; 20] = [
    ".show",
    "version",
    "databases",
    "database",
    "details",
    "tables",
    "table",
    "schema",
    "as",
    "json",
    "cslschema",
    "cluster",
    "functions",
    "materialized-views",
    "external",
    "principal",
    "access",
    "roles",
    "principals",
    "with",
];

/// The rows as a `datatable`.
fn literal(frame: &Frame) -> String {
    let head: Vec<String> = frame
        .columns
        .iter()
        .map(|column| format!("{}:{}", column.name, column.column_type.name()))
        .collect();
    let cells: Vec<String> = frame
        .rows
        .iter()
        .flatten()
        .zip(frame.columns.iter().cycle())
        .map(|(value, column)| match value {
            Value::String(text) => serde_json::Value::from(text.as_str()).to_string(),
            Value::Null => format!("{}(null)", column.column_type.name()),
            other => format!("{}({other})", column.column_type.name()),
        })
        .collect();
    format!("datatable({})[{}]", head.join(", "), cells.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_parts_a_command_from_its_query_but_not_within_quotes() {
        assert_eq!(parted(".show tables | count"), (".show tables ", Some("| count")));
        assert_eq!(parted(".show table ['a|b']"), (".show table ['a|b']", None));
    }

    #[test]
    fn words_of_commands_are_read_in_any_case_and_names_keep_theirs() {
        assert_eq!(
            words(".SHOW Table ['Messages'] SCHEMA as JSON;"),
            [".show", "table", "Messages", "schema", "as", "json"]
        );
        assert_eq!(words(".show databases schema with (x=1)"), [".show", "databases", "schema"]);
    }

    #[test]
    fn rows_of_a_command_are_a_table_for_a_query() {
        let frame = Frame {
            columns: columns(&[("Name", Type::String), ("Is", Type::Bool)]),
            rows: vec![vec![text("a\"b\\"), Value::Null]],
            ..Frame::default()
        };
        assert_eq!(literal(&frame), r#"datatable(Name:string, Is:bool)["a\"b\\", bool(null)]"#);
    }
}
