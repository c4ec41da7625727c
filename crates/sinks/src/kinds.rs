//! The kinds of sinks: what each takes, and how it is opened.

use crate::azure_blob::{self, AzureBlob};
use crate::azure_data_explorer::AzureDataExplorer;
use crate::batch::Failure;
use crate::clickhouse::{self, Clickhouse};
use crate::config::{MESSAGE_BYTES, SinkConfig, SinkKind};
use crate::event_hubs::EventHubs;
use crate::http;
use crate::postgres::{self, Postgres};
use crate::sink::{Sink, Surroundings};

/// Refuses settings that contradict themselves; the text names the fix.
pub(crate) fn check(sink: &SinkConfig) -> Result<(), String> {
    if sink.kind == SinkKind::Postgres {
        postgres::options(&sink.url)?;
    } else {
        http::origin(&sink.url)?;
    }
    if matches!(sink.kind, SinkKind::Clickhouse | SinkKind::AzureDataExplorer) {
        clickhouse::check_name(&sink.database).map_err(|why| format!("database: {why}"))?;
    }
    if !(MESSAGE_BYTES[0]..=MESSAGE_BYTES[1]).contains(&sink.message_bytes_max) {
        let [least, most] = MESSAGE_BYTES;
        return Err(format!("message_bytes_max may be {least} to {most}"));
    }
    let is_azure = !matches!(sink.kind, SinkKind::Postgres | SinkKind::Clickhouse);
    match (is_azure, &sink.auth, &sink.password) {
        (false, Some(_), _) => Err("auth: only sinks of Azure take an identity".into()),
        (true, Some(_), Some(_)) => Err("give it `auth` or `password`, not both".into()),
        (true, None, None) => Err("give it `auth`, or `password` for a key or signature".into()),
        (true, None, _) if sink.kind == SinkKind::AzureDataExplorer => {
            Err("password: Azure Data Explorer takes identities only: give it `auth`".into())
        }
        (true, None, _) if sink.kind == SinkKind::EventHubs && sink.user.is_empty() => {
            Err("user: name the shared access policy of the key".into())
        }
        _ => Ok(()),
    }
}

/// There can be a place of that name in the sink.
pub(crate) fn check_place(sink: &SinkConfig, into: &str) -> Result<(), String> {
    match sink.kind {
        SinkKind::Postgres => postgres::Place::parse(into).map(drop),
        SinkKind::Clickhouse | SinkKind::AzureDataExplorer => clickhouse::check_name(into),
        SinkKind::AzureBlob => azure_blob::check_place(into),
        SinkKind::EventHubs if into.contains('/') => {
            Err(format!("`{into}` is no event hub: name one without `/`"))
        }
        SinkKind::EventHubs => azure_blob::check_place(into),
    }
}

/// A sink for one job. Nothing is dialled before the first batch.
pub(crate) fn open(
    config: &SinkConfig,
    into: &str,
    around: &Surroundings,
) -> Result<Box<dyn Sink>, Failure> {
    match config.kind {
        SinkKind::Postgres => Ok(Box::new(Postgres::new(config, into, around)?)),
        SinkKind::Clickhouse => Ok(Box::new(Clickhouse::new(config, into, around)?)),
        SinkKind::EventHubs => Ok(Box::new(EventHubs::new(config, into, around)?)),
        SinkKind::AzureBlob => Ok(Box::new(AzureBlob::new(config, into, around)?)),
        SinkKind::AzureDataExplorer => Ok(Box::new(AzureDataExplorer::new(config, into, around)?)),
    }
}
