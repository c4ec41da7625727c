//! The one rule of delivery, and what it is followed with.

use async_trait::async_trait;
use net::EgressRules;
use vault::Vault;

use crate::batch::{Batch, Failure};

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
