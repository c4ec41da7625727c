//! Starting, watching and stopping the gateway.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ledger::Ledger;
use openai::Catalogue;
use policy::Rules;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{BackendKeys, GatewayConfig};

/// What the gateway is made of.
pub struct Wiring {
    /// Settings.
    pub config: GatewayConfig,
    /// The decree; swapping it takes effect with the next request.
    pub rules: Arc<ArcSwap<Rules>>,
    /// The operations of the API.
    pub catalogue: Arc<Catalogue>,
    /// Where everything is recorded.
    pub ledger: Ledger,
    /// Keys of the backends.
    pub keys: BackendKeys,
    /// Folder for request bodies too long for memory; emptied at start.
    pub spool_dir: PathBuf,
}

/// Why the gateway cannot start; the text names the fix.
#[derive(Debug)]
pub struct Error(pub(crate) String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// The state of one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendStatus {
    /// Its id.
    pub id: String,
    /// Calls are sent to it.
    pub is_up: bool,
    /// Calls in flight.
    pub in_flight: u32,
    /// Failures since the last success.
    pub failures: u32,
    /// The last failure; empty if there was none since the last success.
    pub last_failure: String,
}

/// The state of the gateway at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Connections open.
    pub connections: u64,
    /// Exchanges in flight.
    pub in_flight: u64,
    /// Requests received since the start.
    pub received: u64,
    /// Requests refused since the start.
    pub refused: u64,
    /// The ledger takes records.
    pub ledger_serves: bool,
    /// Why it does not; empty if it does.
    pub ledger_reason: String,
    /// The backends.
    pub backends: Vec<BackendStatus>,
}

/// A running gateway.
pub struct Gateway {
    _a: (),
}

impl Gateway {
    /// Binds the listeners and begins to serve.
    pub async fn start(wiring: Wiring) -> Result<Self, Error> {
        let _ = wiring;
        todo!()
    }

    /// The addresses listened on, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        todo!()
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        todo!()
    }

    /// Answers health questions on another listener.
    pub fn health(&self) -> Health {
        todo!()
    }

    /// Accepts nothing new, lets what is in flight finish within the drain time, then ends.
    pub async fn shutdown(self) {
        todo!()
    }
}

/// Answers `/healthz` (the process lives) and `/readyz` (it can serve) on a listener of its own.
#[derive(Clone)]
pub struct Health;

impl Health {
    /// Serves until stopped.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let _ = (listener, stop);
        todo!()
    }
}
