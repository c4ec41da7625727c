//! Tests of the engine as its callers see it.

mod conformance;
mod data;
mod export;
mod limits;
mod masking;
mod reference;
mod saving;
mod seed;

use std::path::PathBuf;
use std::sync::Arc;

use event::Timestamp;
use kql::{Access, Engine as _, Frame, Options, QueryError};
use query::{Engine, QueryConfig};

/// An engine over a store in a folder of its own.
struct Fixture {
    engine: Engine,
    store: Arc<store::Store>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(QueryConfig::default())
    }

    fn with(config: QueryConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let now = Timestamp::from_unix_micros(1_760_000_000_000_000);
        let store =
            store::Store::open(folder.path(), store::StoreConfig::default(), now).expect("opens");
        let engine = Engine::new(Arc::clone(&store), config).expect("starts");
        Self { engine, store, _folder: folder }
    }

    fn run(&self, query: &str) -> Result<Frame, QueryError> {
        self.run_with(query, &options())
    }

    fn run_with(&self, query: &str, options: &Options) -> Result<Frame, QueryError> {
        block_on(self.engine.run(query, options))
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// 2025-10-09T08:53:20Z as now.
fn options() -> Options {
    let now = kql::parse_datetime("2025-10-09T08:53:20Z");
    Options { now_ticks: now, access: Access::everything(), ..Options::default() }
}

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}
