//! Sinks and stream jobs, as an administrator writes them.

use std::collections::HashSet;
use std::path::Path;

use net::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::{CredentialSource, Identity, SecretRef};

use crate::{azure_blob, clickhouse};

/// Most sinks, and most jobs.
const MOST: usize = 100;
/// The column by which rows are followed.
pub(crate) const SEQUENCE: &str = "LedgerSequence";
/// What the ids of jobs begin with where they stand among users.
const IDENTITY: &str = "job:";
/// Most rows that a batch may be set to have.
const ROWS_MAX: u32 = 100_000;
/// Least and most bytes that a batch may be set to have.
const BYTES: [u64; 2] = [64 << 10, 64 << 20];
/// Least and greatest limit of an event hub.
const MESSAGE_BYTES: [u32; 2] = [64 << 10, 1 << 20];
/// Longest window, and longest wait for late rows, in seconds.
const WINDOW_S_MAX: u32 = 7 * 86_400;

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

/// Refuses what contradicts itself; the text names the place and the fix.
pub fn validate_sinks(sinks: &[SinkConfig], jobs: &[StreamJobConfig]) -> Result<(), String> {
    if sinks.len().max(jobs.len()) > MOST {
        return Err(format!("sinks or stream_jobs: there are more than {MOST}: remove some"));
    }
    let mut ids = HashSet::new();
    for sink in sinks {
        let of = |why: String| format!("sinks: `{}`: {why}", sink.id);
        check_id(&sink.id).map_err(of)?;
        sink.validate().map_err(of)?;
        if !ids.insert(&sink.id) {
            return Err(of("it stands twice: rename one".into()));
        }
    }
    let mut ids = HashSet::new();
    for job in jobs {
        let of = |why: String| format!("stream_jobs: `{}`: {why}", job.id);
        check_id(&job.id).map_err(of)?;
        job.validate().map_err(of)?;
        if !ids.insert(&job.id) {
            return Err(of("it stands twice: rename one".into()));
        }
        let Some(sink) = sinks.iter().find(|sink| sink.id == job.sink) else {
            let fix = "name one of `sinks`";
            return Err(of(format!("sink: there is no `{}`: {fix}", job.sink)));
        };
        sink.check_place(&job.into).map_err(|why| of(format!("into: {why}")))?;
    }
    Ok(())
}

fn check_id(id: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if id.is_empty() || id.len() > 60 || !id.bytes().all(is_plain) {
        return Err("give it an id of at most 60 letters, digits, `-` and `_`".into());
    }
    Ok(())
}

impl SinkConfig {
    fn validate(&self) -> Result<(), String> {
        if self.kind == SinkKind::Postgres {
            crate::postgres::options(&self.url)?;
        } else {
            crate::http::origin(&self.url)?;
        }
        if matches!(self.kind, SinkKind::Clickhouse | SinkKind::AzureDataExplorer) {
            clickhouse::check_name(&self.database).map_err(|why| format!("database: {why}"))?;
        }
        if !(MESSAGE_BYTES[0]..=MESSAGE_BYTES[1]).contains(&self.message_bytes_max) {
            let [least, most] = MESSAGE_BYTES;
            return Err(format!("message_bytes_max may be {least} to {most}"));
        }
        let is_azure = !matches!(self.kind, SinkKind::Postgres | SinkKind::Clickhouse);
        match (is_azure, &self.auth, &self.password) {
            (false, Some(_), _) => Err("auth: only sinks of Azure take an identity".into()),
            (true, Some(_), Some(_)) => Err("give it `auth` or `password`, not both".into()),
            (true, None, None) => {
                Err("give it `auth`, or `password` for a key or signature".into())
            }
            (true, None, _) if self.kind == SinkKind::AzureDataExplorer => {
                Err("password: Azure Data Explorer takes identities only: give it `auth`".into())
            }
            (true, None, _) if self.kind == SinkKind::EventHubs && self.user.is_empty() => {
                Err("user: name the shared access policy of the key".into())
            }
            _ => Ok(()),
        }
    }

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

    /// There can be a place of that name in it.
    fn check_place(&self, into: &str) -> Result<(), String> {
        match self.kind {
            SinkKind::Postgres => crate::postgres::Place::parse(into).map(drop),
            SinkKind::Clickhouse | SinkKind::AzureDataExplorer => clickhouse::check_name(into),
            SinkKind::AzureBlob => azure_blob::check_place(into),
            SinkKind::EventHubs if into.contains('/') => {
                Err(format!("`{into}` is no event hub: name one without `/`"))
            }
            SinkKind::EventHubs => azure_blob::check_place(into),
        }
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
    fn validate(&self) -> Result<(), String> {
        let followed = || event::tables().into_iter().filter(is_followed).map(|table| table.name);
        if !followed().any(|name| name == self.table) {
            let names = followed().collect::<Vec<_>>().join(", ");
            let why = format!(
                "table: `{}` cannot be followed, since its rows have no {SEQUENCE}",
                self.table
            );
            return Err(format!("{why}: name one of {names}"));
        }
        if !(1..=ROWS_MAX).contains(&self.rows_max) {
            return Err(format!("rows_max may be 1 to {ROWS_MAX}"));
        }
        if !(BYTES[0]..=BYTES[1]).contains(&self.bytes_max) {
            return Err(format!("bytes_max may be {} to {}", BYTES[0], BYTES[1]));
        }
        let text = format!("{}\n{}", self.table, self.query);
        let Some(window) = &self.window else {
            let kept = kql::keep_column(&text, SEQUENCE);
            return kept.map(drop).map_err(|why| {
                let fix = "correct it, or give the job a `window` to ask for whole spans of time";
                format!("query: {why}: {fix}")
            });
        };
        if !(1..=WINDOW_S_MAX).contains(&window.every_s) || window.late_s > WINDOW_S_MAX {
            return Err(format!("window: every_s may be 1 to {WINDOW_S_MAX}, late_s no more"));
        }
        let error = kql::check_syntax(&text).into_iter().find(kql::Diagnostic::is_error);
        error.map_or(Ok(()), |error| Err(format!("query: {error}")))
    }

    /// As whom it asks.
    pub(crate) fn identity(&self) -> String {
        format!("{IDENTITY}{}", self.id)
    }
}

fn is_followed(table: &event::Table) -> bool {
    table.columns.iter().any(|column| column.name == SEQUENCE)
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
