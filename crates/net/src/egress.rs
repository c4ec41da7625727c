//! Which addresses may be dialled.
//!
//! An address is judged by where it leads: IPv4 inside IPv6, translated or tunnelled, counts as what
//! it carries. Addresses that open a machine's own doors (loopback, link-local, metadata services)
//! are dialled only if a network within them is declared: `0.0.0.0/0` does not declare them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::{EgressConfig, Error, ErrorKind, Proxy};

/// The rules, ready for use.
#[derive(Clone)]
pub struct EgressRules {
    allow: Vec<IpNet>,
    watch: Option<Watch>,
    proxy: Option<Proxy>,
}

type Watch = Arc<dyn Fn(&Denied) + Send + Sync>;

/// A dial that the rules forbade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Host that was to be reached.
    pub host: String,
    /// Its address.
    pub ip: IpAddr,
    /// Why, as a word: `never_dialled`, `not_declared` or `special_not_declared`.
    pub reason: &'static str,
    /// Why, with what mends it.
    pub message: String,
}

impl EgressRules {
    /// The rules of a configuration.
    pub fn new(config: &EgressConfig) -> Self {
        Self { allow: config.allow.clone(), watch: None, proxy: config.proxy.clone() }
    }

    /// The same rules; `watch` is told of every dial that they forbid. It must not wait.
    pub fn watched(mut self, watch: impl Fn(&Denied) + Send + Sync + 'static) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// The proxy that this host is reached through.
    pub(crate) fn proxy_for(&self, host: &str) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|proxy| proxy.is_for(host))
    }

    /// Refuses an address outside the rules; the text names the fix.
    pub fn check(&self, host: &str, ip: IpAddr) -> Result<(), Error> {
        let Err((reason, why)) = self.judge(ip) else { return Ok(()) };
        let denied =
            Denied { host: host.to_owned(), ip, reason, message: format!("{host} is at {why}") };
        if let Some(watch) = &self.watch {
            watch(&denied);
        }
        Err(Error::new(ErrorKind::Denied, denied.message))
    }

    fn judge(&self, ip: IpAddr) -> Result<(), (&'static str, String)> {
        match carrier(ip) {
            Carrier::None => self.judge_one(ip, ip),
            Carrier::Translated(inner) => self.judge_one(inner.into(), ip),
            Carrier::Tunnelled(inner) => {
                self.judge_one(ip, ip)?;
                // What begins with nothing was read by a layout that was not meant.
                let mut meant = inner.into_iter().filter(|inner| inner.octets()[0] != 0);
                meant.try_for_each(|inner| self.judge_one(inner.into(), ip))
            }
        }
    }

    /// `shown` is the address that was resolved, `ip` where it leads.
    fn judge_one(&self, ip: IpAddr, shown: IpAddr) -> Result<(), (&'static str, String)> {
        let named = if ip == shown { ip.to_string() } else { format!("{shown}, which is {ip}") };
        if is_nobodys(ip) {
            let why = "an address that no host can have: use another URL";
            return Err(("never_dialled", format!("{named}, {why}")));
        }
        let special = special_network(ip);
        let declares = |network: &&IpNet| {
            network.contains(&ip) && special.is_none_or(|special| special.contains(*network))
        };
        if self.allow.iter().any(|network| declares(&network)) {
            return Ok(());
        }
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let fix = format!("add {ip}/{width} or its network to egress.allow if it may be called");
        let (reason, what) = match special {
            None => ("not_declared", "outside the declared networks".to_owned()),
            Some(network) => (
                "special_not_declared",
                format!(
                    "a loopback, link-local or metadata address ({network}), which only a network within it declares"
                ),
            ),
        };
        Err((reason, format!("{named}, {what}: {fix}")))
    }
}

/// How an address leads to an IPv4 address.
enum Carrier {
    None,
    /// It stands for that address.
    Translated(Ipv4Addr),
    /// It is a relay of its own, which goes on to these: as many as there are layouts.
    Tunnelled(Vec<Ipv4Addr>),
}

fn carrier(ip: IpAddr) -> Carrier {
    let IpAddr::V6(ip) = ip else { return Carrier::None };
    let octets = ip.octets();
    let four = |at: [usize; 4]| Ipv4Addr::from(at.map(|index| octets[index]));
    let last = four([12, 13, 14, 15]);
    match ip.segments() {
        // RFC 4291: mapped and, long deprecated, compatible addresses; not `::` and `::1`.
        [0, 0, 0, 0, 0, 0xffff, ..] => Carrier::Translated(last),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Carrier::Translated(last),
        // RFC 2765: translated by SIIT.
        [0, 0, 0, 0, 0xffff, 0, ..] => Carrier::Translated(last),
        // RFC 6052: NAT64's well-known prefix.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Carrier::Translated(last),
        // RFC 8215: local-use prefixes, whose layout the address does not tell (RFC 6052, 2.2).
        [0x64, 0xff9b, 1, ..] => Carrier::Tunnelled(vec![
            last,
            four([6, 7, 9, 10]),
            four([7, 9, 10, 11]),
            four([9, 10, 11, 12]),
        ]),
        // RFC 3056: 6to4.
        [0x2002, ..] => Carrier::Tunnelled(vec![four([2, 3, 4, 5])]),
        // RFC 4380: Teredo, server and obscured client.
        [0x2001, 0, ..] => {
            Carrier::Tunnelled(vec![four([4, 5, 6, 7]), Ipv4Addr::from(!u32::from(last))])
        }
        // RFC 5214: ISATAP.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => Carrier::Tunnelled(vec![last]),
        _ => Carrier::None,
    }
}

fn is_nobodys(ip: IpAddr) -> bool {
    match ip {
        // 0.0.0.0/8 leads to the machine itself on Linux; 240.0.0.0/4 is reserved.
        IpAddr::V4(ip) => ip.is_multicast() || ip.octets()[0] == 0 || ip.octets()[0] >= 240,
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unspecified(),
    }
}

/// The smallest network of addresses that open a machine's own doors.
fn special_network(ip: IpAddr) -> Option<IpNet> {
    let found = match ip {
        IpAddr::V4(ip) => {
            let metadata = [
                // Azure's wire server, Alibaba's and Oracle's metadata services.
                Ipv4Addr::new(168, 63, 129, 16),
                Ipv4Addr::new(100, 100, 100, 200),
                Ipv4Addr::new(192, 0, 0, 192),
            ];
            match ip.octets() {
                [127, ..] => (Ipv4Addr::new(127, 0, 0, 0).into(), 8),
                [169, 254, ..] => (Ipv4Addr::new(169, 254, 0, 0).into(), 16),
                _ if metadata.contains(&ip) => (ip.into(), 32),
                _ => return None,
            }
        }
        IpAddr::V6(ip) => {
            let network = |first: u16| IpAddr::from(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0));
            match ip.segments() {
                _ if ip.is_loopback() => (ip.into(), 128),
                [0xfe80..=0xfebf, ..] => (network(0xfe80), 10),
                [0xfec0..=0xfeff, ..] => (network(0xfec0), 10),
                // Amazon's and Google's metadata services.
                [0xfd00, 0xec2, 0, 0, 0, 0, 0, _] => {
                    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0).into(), 112)
                }
                [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => (ip.into(), 128),
                _ => return None,
            }
        }
    };
    IpNet::new(found.0, found.1).ok()
}

impl fmt::Debug for EgressRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressRules").field("allow", &self.allow).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn rules(allow: &[&str]) -> EgressRules {
        let allow = allow.iter().map(|network| network.parse().expect("a network")).collect();
        EgressRules::new(&EgressConfig::only(allow))
    }

    fn verdict(rules: &EgressRules, ip: &str) -> Result<(), String> {
        rules.check("host", ip.parse().expect("an address")).map_err(|error| error.to_string())
    }

    #[test]
    fn private_addresses_are_allowed_and_public_ones_named_with_the_fix() {
        let rules = EgressRules::new(&EgressConfig::default());
        for ip in ["10.1.2.3", "192.168.1.1", "172.16.0.1", "fd12::1", "::ffff:10.0.0.1"] {
            assert_eq!(verdict(&rules, ip), Ok(()), "{ip}");
        }
        let refused = verdict(&rules, "20.1.2.3").expect_err("public");
        assert!(refused.contains("add 20.1.2.3/32"), "{refused}");
        let refused = verdict(&rules, "127.0.0.1").expect_err("loopback");
        assert!(refused.contains("add 127.0.0.1/32"), "{refused}");
        assert_eq!(verdict(&EgressRules::new(&EgressConfig::loopback()), "127.0.0.1"), Ok(()));
    }

    #[test]
    fn what_opens_the_machines_own_doors_is_refused_unless_it_is_declared_itself() {
        let everything = rules(&["0.0.0.0/0", "::/0"]);
        assert_eq!(verdict(&everything, "20.1.2.3"), Ok(()));
        let doors = [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fe80::1",
            "fec0::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
        ];
        for ip in doors {
            assert!(verdict(&everything, ip).is_err(), "{ip}");
            let width = if ip.contains(':') { 128 } else { 32 };
            assert_eq!(verdict(&rules(&[&format!("{ip}/{width}")]), ip), Ok(()), "{ip}");
        }
        for ip in
            ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "ff02::1"]
        {
            let declared = rules(&["0.0.0.0/0", "::/0", "0.0.0.0/8", "ff00::/8", "240.0.0.0/4"]);
            assert!(verdict(&declared, ip).is_err(), "{ip}");
        }
    }

    #[test]
    fn ipv4_inside_ipv6_is_judged_by_where_it_leads() {
        let everything = rules(&["0.0.0.0/0", "::/0"]);
        let disguised = [
            "::ffff:169.254.169.254",
            "::ffff:127.0.0.1",
            "::169.254.169.254",
            "::127.0.0.1",
            "::ffff:0:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
            // Local-use NAT64 in each layout: /96, /48, /56, /64.
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1:a9:fe:a9fe::",
            "64:ff9b:1:0:a9:fea9:fe00:0",
            "2002:a9fe:a9fe::1",
            "2002:7f00:1::",
            // Teredo: the server, and the client with its bits turned.
            "2001:0:a9fe:a9fe::1",
            "2001:0:1414:1414:0:0:5601:5601",
            "2a00::5efe:169.254.169.254",
            "2a00::200:5efe:169.254.169.254",
        ];
        for ip in disguised {
            assert!(verdict(&everything, ip).is_err(), "{ip}");
        }
        let private = EgressRules::new(&EgressConfig::default());
        assert_eq!(verdict(&private, "64:ff9b::10.1.2.3"), Ok(()), "as if 10.1.2.3 were dialled");
        assert!(verdict(&private, "64:ff9b::20.1.2.3").is_err());
        assert!(verdict(&private, "2002:a01:203::1").is_err(), "the relay is not declared");
        assert_eq!(verdict(&rules(&["10.0.0.0/8", "2002::/16"]), "2002:a01:203::1"), Ok(()));
        assert_eq!(verdict(&everything, "64:ff9b:1::1414:1414"), Ok(()));
        assert_eq!(verdict(&everything, "2a00:1450::1"), Ok(()));
    }

    #[test]
    fn a_denied_dial_is_told_to_whoever_watches() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = told.clone();
        let rules = EgressRules::new(&EgressConfig::default())
            .watched(move |denied| list.lock().unwrap().push(denied.clone()));
        assert_eq!(verdict(&rules, "10.0.0.1"), Ok(()));
        assert!(verdict(&rules, "20.1.2.3").is_err());
        let told = told.lock().unwrap();
        assert_eq!((told.len(), told[0].reason, &*told[0].host), (1, "not_declared", "host"));
    }
}
