//! Azure Data Explorer and Fabric's event houses, by streaming ingestion over their REST interface.
//! <https://learn.microsoft.com/kusto/api/rest/streaming-ingest>

use async_trait::async_trait;
use http::{Request, header};
use kql::Column;
use serde_json::{Value, json};

use crate::batch::{Batch, Failure};
use crate::config::SinkConfig;
use crate::http::{Caller, encoded};
use crate::json;
use crate::sink::{Sink, Surroundings};

/// Name of the mapping from members of an object to columns.
const MAPPING: &str = "gatehouse";
/// Most bytes of one request; the service takes 4 MiB before it is said to be too large.
const BYTES_MAX: usize = 4 << 20;

/// A table.
pub(crate) struct AzureDataExplorer {
    caller: Caller,
    database: String,
    table: String,
    /// Columns that the table is known to have.
    known: Vec<Column>,
}

impl AzureDataExplorer {
    pub(crate) fn new(
        config: &SinkConfig,
        into: &str,
        around: &Surroundings,
    ) -> Result<Self, Failure> {
        Ok(Self {
            caller: Caller::new(config, "Azure Data Explorer", around)?,
            database: config.database.clone(),
            table: into.to_owned(),
            known: Vec::new(),
        })
    }

    /// Makes the table or widens it, lets it take streams, and says which member is which column.
    async fn prepare(&self, columns: &[Column]) -> Result<(), Failure> {
        let table = format!("['{}']", self.table);
        let name = |column: &Column| column.name.replace('\\', "\\\\").replace('\'', "\\'");
        let listed =
            columns.iter().map(|column| format!("['{}']:{}", name(column), column.column_type));
        let listed = listed.collect::<Vec<_>>().join(", ");
        let mapped: Vec<Value> = columns
            .iter()
            .map(|column| {
                let path = format!("$['{}']", name(column));
                json!({ "column": &*column.name, "Properties": { "path": path } })
            })
            .collect();
        let mapped = Value::from(mapped).to_string().replace('\\', "\\\\").replace('\'', "\\'");
        for statement in [
            format!(".create-merge table {table} ({listed})"),
            format!(".alter table {table} policy streamingingestion enable"),
            format!(".create-or-alter table {table} ingestion json mapping '{MAPPING}' '{mapped}'"),
        ] {
            let request = Request::post("/v1/rest/mgmt")
                .header(header::CONTENT_TYPE, "application/json; charset=utf-8");
            let body = json!({ "db": self.database, "csl": statement }).to_string();
            self.caller.send(request, body).await?;
        }
        Ok(())
    }

    async fn ingest(&self, rows: &str) -> Result<(), Failure> {
        let (database, table) = (encoded(&self.database), encoded(&self.table));
        let path = format!(
            "/v1/rest/ingest/{database}/{table}?streamFormat=MultiJSON&mappingName={MAPPING}"
        );
        let request =
            Request::post(path).header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        self.caller.send(request, rows.to_owned()).await.map(drop)
    }
}

#[async_trait]
impl Sink for AzureDataExplorer {
    async fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        if self.known != batch.columns {
            self.prepare(&batch.columns).await?;
            self.known.clone_from(&batch.columns);
        }
        let mut rows = String::new();
        for row in &batch.rows {
            let object = json::object(&batch.columns, row, json::cell);
            if object.len() > BYTES_MAX {
                let key = row.first().map(kql::Value::to_string).unwrap_or_default();
                let why = format!("the row {key} has more than {} MiB", BYTES_MAX >> 20);
                return Err(Failure::refused(format!(
                    "{why}, which the service does not take: project less"
                )));
            }
            if rows.len() + object.len() >= BYTES_MAX {
                self.ingest(&rows).await?;
                rows.clear();
            }
            rows.push_str(&object);
            rows.push('\n');
        }
        let sent = self.ingest(&rows).await;
        if sent.is_err() {
            self.known.clear();
        }
        sent
    }
}
