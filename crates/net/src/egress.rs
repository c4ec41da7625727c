//! Which addresses may be dialled.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{EgressConfig, Error, ErrorKind};

/// The rules, ready for use.
#[derive(Clone, Debug)]
pub struct EgressRules {
    allow: Vec<IpNet>,
}

impl EgressRules {
    /// The rules of a configuration.
    pub fn new(config: &EgressConfig) -> Self {
        Self { allow: config.allow.clone() }
    }

    /// Refuses an address outside the rules; the text names the fix.
    pub fn check(&self, host: &str, ip: IpAddr) -> Result<(), Error> {
        let ip = ip.to_canonical();
        if is_never_dialled(ip) {
            let text = format!(
                "{host} is at {ip}, a link-local, metadata, multicast or unspecified address: these are never dialled, use another base_url"
            );
            return Err(Error::new(ErrorKind::Denied, text));
        }
        if self.allow.iter().any(|network| network.contains(&ip)) {
            return Ok(());
        }
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let text = format!(
            "{host} is at {ip}, outside the declared networks: add {ip}/{width} or its network to egress.allow if it may be called"
        );
        Err(Error::new(ErrorKind::Denied, text))
    }
}

/// Addresses where clouds keep machine credentials, and those that no backend can have.
fn is_never_dialled(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            // 168.63.129.16 is Azure's wire server, 100.100.100.200 Alibaba's metadata service.
            ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.is_unspecified()
                || [[168, 63, 129, 16], [100, 100, 100, 200]].contains(&ip.octets())
        }
        IpAddr::V6(ip) => {
            // fd00:ec2::254 is Amazon's metadata service.
            let metadata = [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254];
            ip.is_unicast_link_local()
                || ip.is_multicast()
                || ip.is_unspecified()
                || ip.segments() == metadata
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(rules: &EgressRules, ip: &str) -> Result<(), String> {
        rules.check("host", ip.parse().expect("an address")).map_err(|error| error.to_string())
    }

    #[test]
    fn private_addresses_are_allowed_and_public_ones_named_with_the_fix() {
        let rules = EgressRules::new(&EgressConfig::default());
        for ip in ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "fd12::1", "::ffff:10.0.0.1"] {
            assert_eq!(verdict(&rules, ip), Ok(()), "{ip}");
        }
        let refused = verdict(&rules, "20.1.2.3").expect_err("public");
        assert!(refused.contains("add 20.1.2.3/32"), "{refused}");
    }

    #[test]
    fn metadata_addresses_are_refused_even_if_everything_is_allowed() {
        let everything = ["0.0.0.0/0", "::/0"].map(|net| net.parse().expect("a network"));
        let rules = EgressRules::new(&EgressConfig { allow: everything.to_vec() });
        assert_eq!(verdict(&rules, "20.1.2.3"), Ok(()));
        for ip in [
            "169.254.169.254",
            "168.63.129.16",
            "fe80::1",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "0.0.0.0",
        ] {
            assert!(verdict(&rules, ip).is_err(), "{ip}");
        }
    }
}
