//! ClickHouse, over its HTTP interface: a table whose merges leave one row of each key.

use async_trait::async_trait;
use http::Request;
use http::request::Builder;
use kql::{Column, Type, Value};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use vault::{SecretRef, Vault};

use crate::batch::{Batch, Failure, KEY};
use crate::config::SinkConfig;
use crate::http::{Caller, encoded};
use crate::json;
use crate::sink::{Sink, Surroundings};

/// Batches whose tokens a table remembers, so that one that comes again is not inserted twice.
const TOKENS_KEPT: u32 = 1_000;
/// How rows are read: times in ISO 8601, columns that are not there are an error, and answered when it is done.
const SETTINGS: &str = "date_time_input_format=best_effort&input_format_skip_unknown_fields=0\
                        &async_insert=0&wait_end_of_query=1";

/// A table, and where it is reached.
pub(crate) struct Clickhouse {
    caller: Caller,
    user: String,
    password: Option<SecretRef>,
    vault: Vault,
    database: String,
    table: String,
    /// Columns that the table is known to have.
    known: Vec<Column>,
}

#[derive(Deserialize)]
struct Known {
    name: String,
    #[serde(rename = "type")]
    column_type: String,
}

impl Clickhouse {
    pub(crate) fn new(
        config: &SinkConfig,
        into: &str,
        around: &Surroundings,
    ) -> Result<Self, Failure> {
        Ok(Self {
            caller: Caller::new(config, "ClickHouse", around)?,
            user: config.user.clone(),
            password: config.password.clone(),
            vault: around.vault.clone(),
            database: config.database.clone(),
            table: into.to_owned(),
            known: Vec::new(),
        })
    }

    fn place(&self) -> String {
        format!("{}.{}", quoted(&self.database), quoted(&self.table))
    }

    async fn request(&self, query: &str, settings: &str) -> Result<Builder, Failure> {
        let mut request = Request::post(format!("/?query={}&{settings}", encoded(query)));
        if !self.user.is_empty() {
            request = request.header("x-clickhouse-user", &self.user);
        }
        if let Some(reference) = &self.password {
            let password = self.vault.current(reference).await;
            let password = password.map_err(|error| Failure::again(error.story()))?;
            request = request.header("x-clickhouse-key", password.expose());
        }
        Ok(request)
    }

    /// Makes the table, or the columns that it lacks.
    async fn prepare(&self, columns: &[Column]) -> Result<(), Failure> {
        let query = format!(
            "SELECT name, type FROM system.columns WHERE database = {} AND table = {} FORMAT JSONEachRow",
            literal(&self.database),
            literal(&self.table)
        );
        let answer = self.caller.send(self.request(&query, "").await?, String::new()).await?;
        let known: Result<Vec<Known>, _> =
            serde_json::Deserializer::from_slice(&answer).into_iter().collect();
        let known = known.map_err(|_| Failure::again("ClickHouse answered in an unknown shape"))?;
        let mut lacking = Vec::new();
        for column in columns {
            let wanted = type_of(column);
            match known.iter().find(|there| *there.name == *column.name) {
                Some(there) if there.column_type == wanted => {}
                Some(Known { name, column_type }) => {
                    let why = format!("column `{name}` of {} is {column_type}", self.place());
                    let fix = "rename it in the query, or change the table";
                    return Err(Failure::refused(format!("{why} and would be {wanted}: {fix}")));
                }
                None => lacking.push(format!("{} {wanted}", quoted(&column.name))),
            }
        }
        let place = self.place();
        let statement = match (lacking.is_empty(), known.is_empty()) {
            (true, _) => return Ok(()),
            (false, true) => format!(
                "CREATE TABLE IF NOT EXISTS {place} ({}) ENGINE = ReplacingMergeTree ORDER BY {} \
                 SETTINGS non_replicated_deduplication_window = {TOKENS_KEPT}",
                lacking.join(", "),
                quoted(KEY)
            ),
            (false, false) => {
                let added =
                    lacking.iter().map(|column| format!("ADD COLUMN IF NOT EXISTS {column}"));
                format!("ALTER TABLE {place} {}", added.collect::<Vec<_>>().join(", "))
            }
        };
        self.caller.send(self.request(&statement, "").await?, String::new()).await.map(drop)
    }
}

#[async_trait]
impl Sink for Clickhouse {
    async fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        if self.known != batch.columns {
            self.prepare(&batch.columns).await?;
            self.known.clone_from(&batch.columns);
        }
        let query = format!("INSERT INTO {} FORMAT JSONEachRow", self.place());
        let rows = batch.rows.iter().map(|row| json::object(&batch.columns, row, cell));
        let rows = rows.collect::<Vec<_>>().join("\n");
        // A window that is asked again may say something else.
        let token = encoded(&format!("{}:{:x}", batch.name, Sha256::digest(&rows)));
        let settings = format!("{SETTINGS}&insert_deduplication_token={token}");
        let request = self.request(&query, &settings).await?;
        let sent = self.caller.send(request, rows).await;
        if sent.is_err() {
            // The table may be another one by now.
            self.known.clear();
        }
        sent.map(drop)
    }
}

/// What a name of a table or database may be.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.len() > 200 || !name.bytes().all(is_plain) {
        return Err(format!("`{name}` is no name: use letters, digits and `_`"));
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// As ClickHouse itself writes the type.
fn type_of(column: &Column) -> &'static str {
    match column.column_type {
        Type::String => "String",
        Type::Bool => "Nullable(Bool)",
        Type::Int => "Nullable(Int32)",
        Type::Long | Type::Timespan => "Nullable(Int64)",
        Type::Real => "Nullable(Float64)",
        Type::Decimal => "Nullable(Decimal(38, 12))",
        Type::Datetime => "Nullable(DateTime64(6, 'UTC'))",
        Type::Guid => "Nullable(UUID)",
        Type::Dynamic => "Nullable(String)",
    }
}

/// Durations are whole microseconds; JSON is its text.
fn cell(value: &Value) -> String {
    match value {
        Value::Timespan(ticks) => (ticks / 10).to_string(),
        Value::Dynamic(text) => json::quoted(text),
        value => json::cell(value),
    }
}
