//! Where nodes share what they know.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{Redis, RedisPassword, RedisSettings, SecurityLog};
use vault::SecretRef;

use super::Config;
use crate::exit::{Exit, ExitWith};

/// Redis or Valkey, through which several nodes share limits and objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RedisConfig {
    /// `redis://host:port/database`, or `rediss://` over TLS; empty for a node of its own. Its address
    /// must be among those of `egress`.
    pub(crate) url: String,
    /// User name; empty for the default user.
    pub(crate) username: String,
    /// Where its password is found.
    pub(crate) password: Option<SecretRef>,
    /// File of PEM certificates to trust instead of the public authorities; empty for those.
    pub(crate) ca_file: PathBuf,
    /// Longest wait for a connection or an answer, in milliseconds.
    pub(crate) timeout_ms: u64,
    /// Seconds for which a node may go on with its share of a rate while Redis does not answer, 10 to
    /// 86,400. Shares of quotas hold until their period ends.
    pub(crate) lease_s: u64,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            username: String::new(),
            password: None,
            ca_file: PathBuf::new(),
            timeout_ms: 250,
            lease_s: 300,
        }
    }
}

impl Config {
    /// Redis, if nodes share limits.
    pub(crate) fn redis(&self, security: &SecurityLog) -> anyhow::Result<Option<Redis>> {
        let RedisConfig { url, username, password, ca_file, timeout_ms, lease_s } = &self.redis;
        if url.is_empty() {
            return Ok(None);
        }
        let bad = |message: String| ExitWith::error(Exit::BadConfig, format!("redis: {message}"));
        if !(10..=86_400).contains(lease_s) || *timeout_ms == 0 {
            let text = format!("lease_s is {lease_s}, timeout_ms {timeout_ms}");
            return Err(bad(format!("{text}: use 10 to 86400 seconds and at least 1 millisecond")));
        }
        let password = password.as_ref().map(|reference| self.secret(reference)).transpose();
        let password = password.map_err(|error| bad(format!("password: {}", error.story())))?;
        let settings = RedisSettings {
            url: url.clone(),
            username: username.clone(),
            password: RedisPassword(
                password.map(|secret| secret.expose().to_owned()).unwrap_or_default(),
            ),
            ca_file: ca_file.clone(),
            timeout: Duration::from_millis(*timeout_ms),
        };
        let redis = Redis::new(&settings, security.egress(&self.egress, &self.region));
        redis.map(Some).map_err(|error| bad(error.story()))
    }
}
