//! A gateway before one backend, for profiling the request path alone:
//! `proxy http://127.0.0.1:9000 127.0.0.1:9001 strict|overlap|relaxed [threads] [limits]`: backend, own address,
//! durability; with `limits`, calls and tokens are counted. The key is `bench-key`.

use std::net::SocketAddr;
use std::sync::Arc;

use gateway::{BackendConfig, BackendKeys, Gateway, GatewayConfig, Settings, Wiring};
use policy::{KeyHasher, KeyPart, LimitConfig, Rules, SubscriptionConfig};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let backend = arguments.next().ok_or("the URL of a backend is missing")?;
    let address = arguments.next().ok_or("the address to listen on is missing")?.parse()?;
    let durability = arguments.next().unwrap_or_else(|| "strict".into());
    let threads = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let is_limited = arguments.next().is_some_and(|text| text == "limits");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(serve(backend, address, &durability, is_limited))
}

async fn serve(
    backend: String,
    address: SocketAddr,
    durability: &str,
    is_limited: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut config =
        GatewayConfig { egress: net::EgressConfig::loopback(), ..GatewayConfig::default() };
    config.edge.listeners[0].address = address;
    // All load comes from one address.
    config.edge.connections_per_address_max = config.edge.connections_max;
    let mut entry =
        BackendConfig { id: "backend".into(), base_url: backend, ..BackendConfig::default() };
    entry.probe.enabled = false;
    config.backends.push(entry);
    let hasher = KeyHasher::new(b"an example");
    let subscription = SubscriptionConfig {
        id: "bench".into(),
        primary_key_hash: hasher.hash("bench-key").to_string(),
        limits: if is_limited { vec![never_reached()] } else { Vec::new() },
        ..SubscriptionConfig::default()
    };
    let rules = Rules::new(1, hasher, &[], &[subscription])?;
    let ledger_config = ledger::LedgerConfig {
        durability: match durability {
            "relaxed" => ledger::Durability::Relaxed,
            "overlap" => ledger::Durability::Overlap,
            _ => ledger::Durability::Strict,
        },
        ..ledger::LedgerConfig::default()
    };
    let dir = tempfile::tempdir()?;
    let now = || event::Timestamp::from(std::time::SystemTime::now());
    let (ledger, _) = ledger::Ledger::open(&dir.path().join("ledger"), ledger_config, now)?;
    let snapshot = Arc::new(shared::Snapshot::open(dir.path().join("shared.redb"))?);
    let objects = shared::Objects::new(snapshot.clone(), 100_000);
    let limits = Box::new(shared::LimitProjection::new());
    let follower = shared::Follower::start(&ledger, snapshot, vec![objects.projection(), limits])?;
    let gateway = Gateway::start(Wiring {
        settings: Settings { config, rules, keys: BackendKeys::new(), waf: None },
        catalogue: Arc::new(openai::Catalogue::builtin()),
        ledger: ledger.clone(),
        limiter: shared::Limiter::new(),
        identity: identity::Verifier::default(),
        objects,
        security: shared::SecurityLog::default(),
        spool_dir: dir.path().join("spool"),
        ordered: gateway::OrderedCertificates::default(),
    })
    .await?;
    tokio::signal::ctrl_c().await?;
    gateway.shutdown().await;
    follower.stop();
    ledger.close().await?;
    Ok(())
}

fn never_reached() -> LimitConfig {
    LimitConfig {
        counter_key: vec![KeyPart::Subscription],
        calls: Some(1_000_000_000),
        renewal_period_s: 60,
        tokens_per_minute: Some(1_000_000_000_000),
        concurrency: Some(100_000),
        ..LimitConfig::default()
    }
}
