//! PostgreSQL: a table that is made and widened as the job's columns say, and rows that are never doubled.

use std::time::Duration;

use async_trait::async_trait;
use kql::{Column, TICKS_PER_DAY, TICKS_PER_SECOND, Type, Value};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use vault::{SecretRef, Vault};

use crate::batch::{Batch, Failure, KEY};
use crate::config::SinkConfig;
use crate::sink::{Sink, Surroundings};

/// Longest time for a connection and a batch.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest name that PostgreSQL does not cut.
const NAME_BYTES_MAX: usize = 63;
/// What stands for a character NUL, which PostgreSQL keeps in no text.
const REPLACEMENT: &str = "\u{fffd}";

/// A table, and the connection to it.
pub(crate) struct Postgres {
    options: PgConnectOptions,
    password: Option<SecretRef>,
    vault: Vault,
    place: Place,
    open: Option<Open>,
}

struct Open {
    connection: PgConnection,
    /// Columns that the table is known to have.
    columns: Vec<Column>,
}

/// A table, `schema.table` or `table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    schema: String,
    table: String,
}

/// Reads the URL of a server; a password in it has a field of its own.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, String> {
    let fix = "write it like postgres://user@host:5432/database";
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    let rest = rest.ok_or_else(|| format!("url: it is no URL of a PostgreSQL server: {fix}"))?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    if user.contains(':') || rest.to_ascii_lowercase().contains("password=") {
        return Err("url: it holds a password, which has a field of its own: `password`".into());
    }
    let options =
        url.parse::<PgConnectOptions>().map_err(|error| format!("url: {error}: {fix}"))?;
    Ok(options.application_name("gatehouse").disable_statement_logging())
}

impl Place {
    /// From what the job says.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (schema, table) = text.split_once('.').unwrap_or(("", text));
        let is_name = |name: &str| {
            name.len() <= NAME_BYTES_MAX
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if table.is_empty() || !is_name(table) || !is_name(schema) {
            let fix = "name a table as `table` or `schema.table`, of letters, digits and `_`";
            return Err(format!("`{text}` is no table: {fix}"));
        }
        Ok(Self { schema: schema.into(), table: table.into() })
    }

    fn quoted(&self) -> String {
        match self.schema.as_str() {
            "" => quoted(&self.table),
            schema => format!("{}.{}", quoted(schema), quoted(&self.table)),
        }
    }
}

impl Postgres {
    pub(crate) fn new(
        config: &SinkConfig,
        into: &str,
        around: &Surroundings,
    ) -> Result<Self, Failure> {
        Ok(Self {
            options: options(&config.url).map_err(Failure::refused)?,
            password: config.password.clone(),
            vault: around.vault.clone(),
            place: Place::parse(into).map_err(Failure::refused)?,
            open: None,
        })
    }

    async fn connect(&self) -> Result<Open, Failure> {
        let mut options = self.options.clone();
        if let Some(reference) = &self.password {
            let password = self.vault.current(reference).await;
            let password = password.map_err(|error| Failure::again(error.story()))?;
            options = options.password(password.expose());
        }
        let connection = options.connect().await.map_err(|error| failure(&error))?;
        Ok(Open { connection, columns: Vec::new() })
    }

    async fn deliver(&self, open: Option<Open>, batch: &Batch) -> Result<Open, Failure> {
        let mut open = match open {
            Some(open) => open,
            None => self.connect().await?,
        };
        if open.columns != batch.columns {
            self.prepare(&mut open.connection, &batch.columns).await?;
            open.columns.clone_from(&batch.columns);
        }
        let mut insert = sqlx::query(AssertSqlSafe(self.insert(&batch.columns)));
        for place in 0..batch.columns.len() {
            let cells = batch.rows.iter().map(|row| row.get(place).and_then(text));
            insert = insert.bind(cells.collect::<Vec<Option<String>>>());
        }
        // One statement: all rows or none.
        insert.execute(&mut open.connection).await.map_err(|error| failure(&error))?;
        Ok(open)
    }

    /// Makes the table, or the columns that it lacks.
    async fn prepare(
        &self,
        connection: &mut PgConnection,
        columns: &[Column],
    ) -> Result<(), Failure> {
        let known = sqlx::query(
            "SELECT column_name::text, udt_name::text FROM information_schema.columns \
             WHERE table_schema = COALESCE(NULLIF($1, ''), current_schema()) AND table_name = $2",
        );
        let known = known.bind(&self.place.schema).bind(&self.place.table);
        let known = known.fetch_all(&mut *connection).await.map_err(|error| failure(&error))?;
        let known = known.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        let known: Result<Vec<(String, String)>, sqlx::Error> = known.collect();
        let known = known.map_err(|error| failure(&error))?;
        let mut lacking = Vec::new();
        for column in columns {
            if column.name.len() > NAME_BYTES_MAX {
                let why =
                    format!("the name of column `{}` is too long for PostgreSQL", column.name);
                return Err(Failure::refused(format!("{why}: rename it in the query")));
            }
            let (sql, internal) = type_of(column.column_type);
            match known.iter().find(|(name, _)| **name == *column.name) {
                Some((_, there)) if there == internal => {}
                Some((name, there)) => {
                    let why = format!("column `{name}` of {} is {there}", self.place.quoted());
                    let fix = "rename it in the query, or change the table";
                    return Err(Failure::refused(format!("{why} and would be {sql}: {fix}")));
                }
                None => lacking.push(format!("{} {sql}", quoted(&column.name))),
            }
        }
        let table = self.place.quoted();
        let statement = match (lacking.is_empty(), known.is_empty()) {
            (true, _) => return Ok(()),
            (false, true) => {
                let columns = lacking.join(", ");
                format!(
                    "CREATE TABLE IF NOT EXISTS {table} ({columns}, PRIMARY KEY ({}))",
                    quoted(KEY)
                )
            }
            (false, false) => {
                let added =
                    lacking.iter().map(|column| format!("ADD COLUMN IF NOT EXISTS {column}"));
                format!("ALTER TABLE {table} {}", added.collect::<Vec<_>>().join(", "))
            }
        };
        let made = sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await;
        made.map(drop).map_err(|error| failure(&error))
    }

    /// Every value goes as text, which the server reads as what it is.
    fn insert(&self, columns: &[Column]) -> String {
        let each = |of: &dyn Fn(usize, &Column) -> String| {
            let parts = columns.iter().enumerate().map(|(place, column)| of(place, column));
            parts.collect::<Vec<_>>().join(", ")
        };
        let names = each(&|_, column| quoted(&column.name));
        let values = each(&|place, column| format!("c{place}::{}", type_of(column.column_type).0));
        let arrays = each(&|place, _| format!("${}::text[]", place + 1));
        let cells = each(&|place, _| format!("c{place}"));
        let table = self.place.quoted();
        let key = quoted(KEY);
        format!(
            "INSERT INTO {table} ({names}) SELECT {values} FROM UNNEST({arrays}) AS u({cells}) \
             ON CONFLICT ({key}) DO NOTHING"
        )
    }
}

#[async_trait]
impl Sink for Postgres {
    async fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        // After an error a connection is not used again.
        let open = self.open.take();
        let delivered = tokio::time::timeout(TIMEOUT, self.deliver(open, batch)).await;
        let late = |_| Failure::again(format!("no answer within {} s", TIMEOUT.as_secs()));
        self.open = Some(delivered.map_err(late)??);
        Ok(())
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The type as SQL writes it, and as the catalogue of the database does.
fn type_of(column_type: Type) -> (&'static str, &'static str) {
    match column_type {
        Type::Bool => ("boolean", "bool"),
        Type::Int => ("integer", "int4"),
        Type::Long => ("bigint", "int8"),
        Type::Real => ("double precision", "float8"),
        Type::Decimal => ("numeric", "numeric"),
        Type::Datetime => ("timestamptz", "timestamptz"),
        Type::Timespan => ("interval", "interval"),
        Type::Guid => ("uuid", "uuid"),
        Type::String => ("text", "text"),
        Type::Dynamic => ("jsonb", "jsonb"),
    }
}

/// A value as PostgreSQL reads it; none for null.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Timespan(ticks) => Some(interval(*ticks)),
        Value::String(text) => Some(text.replace('\0', REPLACEMENT)),
        Value::Dynamic(json) => Some(storable(json)),
        value => Some(value.to_string()),
    }
}

/// `-1 days -02:03:04.500000`
fn interval(ticks: i64) -> String {
    let sign = if ticks < 0 { "-" } else { "" };
    let (ticks, day, second) =
        (ticks.unsigned_abs(), TICKS_PER_DAY.unsigned_abs(), TICKS_PER_SECOND.unsigned_abs());
    let (days, seconds, micros) = (ticks / day, ticks % day / second, ticks % second / 10);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{sign}{days} days {sign}{hour:02}:{minute:02}:{second:02}.{micros:06}")
}

/// JSON that `jsonb` takes: no character NUL, no half of a surrogate pair; what is no JSON is a string.
fn storable(json: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(json) else {
        return serde_json::Value::String(json.replace('\0', REPLACEMENT)).to_string();
    };
    if !json.contains("\\u0000") {
        return json.to_owned();
    }
    replace_nul(&mut value);
    value.to_string()
}

fn replace_nul(value: &mut serde_json::Value) {
    use serde_json::Value::{Array, Object, String};
    match value {
        String(text) => *text = text.replace('\0', REPLACEMENT),
        Array(items) => items.iter_mut().for_each(replace_nul),
        Object(members) => {
            let mut replaced = serde_json::Map::with_capacity(members.len());
            for (name, mut member) in std::mem::take(members) {
                replace_nul(&mut member);
                replaced.insert(name.replace('\0', REPLACEMENT), member);
            }
            *members = replaced;
        }
        _ => {}
    }
}

/// What the server says, but for the values it may cite.
fn failure(error: &sqlx::Error) -> Failure {
    let Some(database) = error.as_database_error() else {
        return Failure::again(format!("PostgreSQL: {error}"));
    };
    let code = database.code().unwrap_or_default().into_owned();
    match code.get(..2) {
        // Data exceptions, integrity: the text may hold what does not fit.
        Some("22" | "23") => Failure::refused(format!(
            "PostgreSQL refuses a value (SQLSTATE {code}): leave its column out, or change the table"
        )),
        // What does not exist, or may not be done: the text names the place.
        Some("0A" | "28" | "3D" | "3F" | "42") => {
            Failure::refused(format!("PostgreSQL: {} (SQLSTATE {code})", database.message()))
        }
        _ => Failure::again(format!("PostgreSQL: {} (SQLSTATE {code})", database.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_server_reads_them() {
        for (value, expected) in [
            (Value::Null, None),
            (
                Value::Timespan(-(TICKS_PER_DAY + 3 * 36_000_000_000 + 5)),
                Some("-1 days -03:00:00.000000"),
            ),
            (Value::String("a\0b".into()), Some("a\u{fffd}b")),
            (
                Value::Dynamic(r#"{"a":"\u0000","b":[1]}"#.into()),
                Some("{\"a\":\"\u{fffd}\",\"b\":[1]}"),
            ),
            (Value::Dynamic(r#"{"a":"\\u0000"}"#.into()), Some(r#"{"a":"\\u0000"}"#)),
            (Value::Dynamic(r#""\ud800""#.into()), Some(r#""\"\\ud800\"""#)),
            (Value::Real(f64::NAN), Some("NaN")),
        ] {
            assert_eq!(text(&value).as_deref(), expected, "{value:?}");
        }
    }

    #[test]
    fn urls_and_tables_that_cannot_be_are_refused_with_the_fix() {
        for (url, named) in [
            ("mysql://h/d", "postgres://user@host"),
            ("postgres://u:secret@h/d", "`password`"),
            ("postgres://h/d?password=secret", "`password`"),
        ] {
            let error = options(url).expect_err(url);
            assert!(error.contains(named) && !error.contains("secret"), "{error}");
        }
        for table in ["", "a.", "a b", "a.b.c", "a\"b"] {
            assert!(Place::parse(table).is_err(), "{table}");
        }
        assert_eq!(Place::parse("s.t").map(|place| place.quoted()), Ok("\"s\".\"t\"".into()));
    }
}
