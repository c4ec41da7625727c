//! The one rule of delivery, and who follows it.

use async_trait::async_trait;
use net::EgressRules;
use vault::Vault;

use crate::azure_blob::AzureBlob;
use crate::azure_data_explorer::AzureDataExplorer;
use crate::batch::{Batch, Failure};
use crate::clickhouse::Clickhouse;
use crate::config::{SinkConfig, SinkKind};
use crate::event_hubs::EventHubs;
use crate::postgres::Postgres;

/// A place that batches are delivered to, one at a time.
#[async_trait]
pub(crate) trait Sink: Send + Sync {
    /// Delivers a batch. On return it is durable there, all of it; after an error some of it may be, and it comes
    /// again. Rows that are there already, by their key, are not doubled where the sink can tell.
    async fn write(&mut self, batch: &Batch) -> Result<(), Failure>;
}

/// What sinks dial within, and where their secrets are found.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) egress: EgressRules,
    pub(crate) vault: Vault,
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
