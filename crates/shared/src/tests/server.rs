//! A node's connection to a real Redis server.

use std::sync::Arc;
use std::time::Duration;

use net::{EgressConfig, EgressRules};

use crate::{Redis, RedisSettings};

/// The connection of one node to it.
pub(crate) fn redis(port: u16, timeout: Duration) -> Arc<Redis> {
    let settings = RedisSettings {
        url: format!("redis://127.0.0.1:{port}/0"),
        timeout,
        ..RedisSettings::default()
    };
    Arc::new(Redis::new(&settings, EgressRules::new(&EgressConfig::loopback())).unwrap())
}
