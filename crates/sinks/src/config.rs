//! Sinks and stream jobs, as an administrator writes them.

use std::path::Path;

use net::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::{CredentialSource, Identity, SecretRef};

/// The column by which rows are followed.
pub(crate) const SEQUENCE: &str = "LedgerSequence";
/// What the ids of jobs begin with where they stand among users.
const IDENTITY: &str = "job:";
/// Least and greatest limit of an event hub.
pub(crate) const MESSAGE_BYTES: [u32; 2] = [64 << 10, 1 << 20];

/// What kind of sink it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// A database of PostgreSQL 12 or later.
    #[default]
    Postgres,
    /// A database of ClickHouse, over its HTTP interface.
    Clickhouse,
    /// A namespace of Azure Event Hubs.
    EventHubs,
    /// A storage account of Azure: a blob for each batch, with a JSON object a line.
    AzureBlob,
    /// A database of Azure Data Explorer, or an event house of Fabric, by streaming ingestion.
    AzureDataExplorer,
}

/// A place outside that rows are delivered to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SinkConfig {
    /// Its id.
    pub id: String,
    /// What kind of sink it is.
    pub kind: SinkKind,
    /// Of PostgreSQL `postgres://user@host:5432/database`, where `sslmode=verify-full` and `sslrootcert=FILE` ask for
    /// TLS as libpq has them; of the others `https://host`, which must be among the addresses of `egress`.
    pub url: String,
    /// Database, of ClickHouse and Azure Data Explorer.
    pub database: String,
    /// User, of ClickHouse; the name of a shared access policy, of Event Hubs.
    pub user: String,
    /// Where the user's password is found, of PostgreSQL and ClickHouse; the policy's key, of Event Hubs; a shared
    /// access signature, of Blob Storage.
    pub password: Option<SecretRef>,
    /// An identity at Microsoft Entra ID, in place of keys and signatures of Azure.
    pub auth: Option<Identity>,
    /// Largest request that the event hub takes, 64 KiB to 1 MiB; 256 KiB in the tier Basic.
    pub message_bytes_max: u32,
    /// How it is connected to; not of PostgreSQL, whose URL says so.
    pub connection: ClientConfig,
}

/// Where a new job begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Beginning {
    /// With the rows that come from now on.
    #[default]
    Now,
    /// With the first row that the tables still hold.
    Beginning,
}

/// Follows a table and delivers its new rows to a sink, as a query shapes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StreamJobConfig {
    /// Id. How far the job has come is kept under it, and is part of each row's `_Key`. The job asks as `job:` and
    /// this id: give that the role `content_reader`, and it reads prompts and answers.
    pub id: String,
    /// Do it.
    pub enabled: bool,
    /// The table whose new rows it delivers: `Interactions`, or another one with `LedgerSequence`.
    pub table: String,
    /// KQL operators that follow the table, such as `| where ModelName == 'gpt-4o'`; empty for all columns of all
    /// rows. Without a `window`, each row must come from one row of the table.
    pub query: String,
    /// Id of the sink.
    pub sink: String,
    /// Where to in the sink: a table, `schema.table`, an event hub, or `container/folder`.
    pub into: String,
    /// Where it begins when it is new.
    pub from: Beginning,
    /// What content is read for, which is put on record; needed to read any.
    pub purpose: String,
    /// Ask the query once for each window of time instead, so that it may count and sum.
    pub window: Option<WindowConfig>,
    /// Most rows of the table that are delivered at once, 1 to 100,000.
    pub rows_max: u32,
    /// Most bytes that are delivered at once, values as text, 64 KiB to 64 MiB. A single row may have 64 MiB.
    pub bytes_max: u64,
}

/// Windows of time that follow each other without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WindowConfig {
    /// How long each is, in seconds, counted from 1970 in UTC; at most 7 days.
    pub every_s: u32,
    /// How long after its end it is waited for rows that begin in it and are recorded later, in seconds. A call has its
    /// row when it ends.
    pub late_s: u32,
}

impl Default for SinkConfig {
    fn default() -> Self {
        Self {
            id: String::new(),
            kind: SinkKind::default(),
            url: String::new(),
            database: String::new(),
            user: String::new(),
            password: None,
            auth: None,
            message_bytes_max: MESSAGE_BYTES[1],
            connection: ClientConfig::default(),
        }
    }
}

impl Default for StreamJobConfig {
    fn default() -> Self {
        Self {
            id: String::new(),
            enabled: true,
            table: String::new(),
            query: String::new(),
            sink: String::new(),
            into: String::new(),
            from: Beginning::default(),
            purpose: String::new(),
            window: None,
            rows_max: 1_000,
            bytes_max: 4 << 20,
        }
    }
}

impl Default for WindowConfig {
    fn default() -> Self {
        Self { every_s: 300, late_s: 60 }
    }
}

impl SinkConfig {
    /// Where its tokens come from, if it shows any.
    pub fn token_source(&self) -> Option<CredentialSource> {
        let scope = match self.kind {
            SinkKind::Postgres | SinkKind::Clickhouse => return None,
            SinkKind::EventHubs => "https://eventhubs.azure.net/.default".to_owned(),
            SinkKind::AzureBlob => "https://storage.azure.com/.default".to_owned(),
            SinkKind::AzureDataExplorer => {
                format!("{}/.default", self.url.trim_end_matches('/'))
            }
        };
        Some(CredentialSource::Token(self.auth.clone()?, scope))
    }

    /// The secrets it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.password.iter().chain(self.auth.as_ref().and_then(Identity::secret))
    }

    /// Makes paths relative to the folder of the configuration.
    pub fn resolve_paths(&mut self, folder: &Path) {
        self.password.iter_mut().for_each(|reference| reference.resolve_path(folder));
        self.auth.iter_mut().for_each(|identity| identity.resolve_paths(folder));
        self.connection.resolve_paths(folder);
    }
}

impl StreamJobConfig {
    /// As whom it asks.
    pub(crate) fn identity(&self) -> String {
        format!("{IDENTITY}{}", self.id)
    }
}

impl WindowConfig {
    /// How long a window is, in microseconds.
    pub(crate) fn every_us(&self) -> i64 {
        i64::from(self.every_s) * 1_000_000
    }

    /// From the start of a window until it is asked for, in microseconds.
    pub(crate) fn whole_us(&self) -> i64 {
        self.every_us() + i64::from(self.late_s) * 1_000_000
    }
}
