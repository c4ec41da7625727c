//! Which callers may come, by their address.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which callers may come, by their address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Networks whose callers may come, as `10.0.0.0/8`; empty for all.
    #[schemars(with = "Vec<String>")]
    pub allow: Vec<IpNet>,
    /// Networks whose callers may not, whatever `allow` says.
    #[schemars(with = "Vec<String>")]
    pub deny: Vec<IpNet>,
}

impl NetworkConfig {
    /// Everybody may come.
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a caller may come. Who has no address may come only where everybody may.
    pub fn admits(&self, ip: Option<IpAddr>) -> bool {
        let Some(ip) = ip.map(|ip| ip.to_canonical()) else { return self.is_open() };
        let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&ip));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deny_goes_before_allow_and_both_spellings_are_one_address() {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let config =
            NetworkConfig { allow: networks(&["10.0.0.0/8"]), deny: networks(&["10.1.0.0/16"]) };
        let admits = |ip: &str| config.admits(ip.parse().ok());
        assert!(admits("10.2.0.1") && admits("::ffff:10.2.0.1"));
        assert!(!admits("10.1.0.1") && !admits("::ffff:10.1.0.1") && !admits("11.0.0.1"));
        assert!(!admits("no address"));
        assert!(NetworkConfig::default().admits(None));
    }
}
