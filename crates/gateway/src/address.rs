//! Who calls: the peer, or the caller that a trusted proxy vouches for.

use std::net::{IpAddr, SocketAddr};

use event::CallerAddress;
use http::HeaderMap;
use ipnet::IpNet;

/// Most bytes of forwarding headers that are recorded and read.
const FORWARDED_BYTES_MAX: usize = 4096;

/// The caller's address; what an untrusted peer claims is recorded but changes nothing.
pub(crate) fn caller(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> CallerAddress {
    let peer_ip = peer.ip().to_canonical();
    let forwarded_for = forwarding_header(headers);
    let peer_text = peer_ip.to_string();
    let caller_ip = walk(peer_ip, forwarded_for.as_ref(), trusted);
    CallerAddress {
        caller_ip: if caller_ip == peer_ip { peer_text.clone() } else { caller_ip.to_string() },
        peer_ip: peer_text,
        peer_port: peer.port(),
        forwarded_for: forwarded_for.map(|(text, _)| text).unwrap_or_default(),
        certificate_subject: String::new(),
    }
}

/// The caller's address alone, for listeners of other crates.
pub fn caller_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer_ip = peer.to_canonical();
    if trusted.is_empty() {
        return peer_ip;
    }
    walk(peer_ip, forwarding_header(headers).as_ref(), trusted)
}

/// Walks the forwarding headers from the right for as long as the hop before is a trusted proxy.
fn walk(peer_ip: IpAddr, forwarded: Option<&(String, &str)>, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut caller_ip = peer_ip;
    if let Some((text, name)) = forwarded.filter(|_| is_trusted(&peer_ip)) {
        for hop in text.rsplit(',') {
            let hop = match *name {
                "forwarded" => forwarded_hop(hop),
                _ => parse_hop(hop),
            };
            let Some(ip) = hop else { break };
            caller_ip = ip;
            if !is_trusted(&ip) {
                break;
            }
        }
    }
    caller_ip
}

/// All lines of `X-Forwarded-For`, or else of `Forwarded`, as one list.
fn forwarding_header(headers: &HeaderMap) -> Option<(String, &'static str)> {
    for name in ["x-forwarded-for", "forwarded"] {
        let mut lines = headers.get_all(name).iter().peekable();
        if lines.peek().is_none() {
            continue;
        }
        let mut text = String::new();
        for line in lines {
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(&String::from_utf8_lossy(line.as_bytes()));
        }
        if text.len() > FORWARDED_BYTES_MAX {
            // The hops nearest to us stand at the end.
            let cut = text.ceil_char_boundary(text.len() - FORWARDED_BYTES_MAX);
            text.drain(..cut);
        }
        return Some((text, name));
    }
    None
}

/// The `for` of one element of RFC 7239.
fn forwarded_hop(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("for")
            .then(|| parse_hop(value.trim().trim_matches('"')))?
    })
}

/// An address with or without port; IPv6 with or without brackets.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    let inner = text.strip_prefix('[')?.split(']').next()?;
    inner.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn seen(peer: &str, headers: &[(&'static str, &'static str)], trusted: &[&str]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        caller(peer.parse().unwrap(), &map, &trusted).caller_ip
    }

    #[test]
    fn an_untrusted_peer_cannot_pretend() {
        let headers = [("x-forwarded-for", "1.2.3.4")];
        assert_eq!(seen("9.9.9.9:5", &headers, &[]), "9.9.9.9");
        assert_eq!(seen("9.9.9.9:5", &headers, &["10.0.0.0/8"]), "9.9.9.9");
    }

    #[test]
    fn the_rightmost_untrusted_hop_is_the_caller() {
        let trusted = ["10.0.0.0/8"];
        let check = |value, want| {
            assert_eq!(seen("10.0.0.1:5", &[("x-forwarded-for", value)], &trusted), want);
        };
        check("1.1.1.1, 2.2.2.2:4711, 10.0.0.7", "2.2.2.2");
        check("[2001:db8:0:0:0:0:0:17]:4711", "2001:db8::17");
        check("2001:db8::17", "2001:db8::17");
        check("1.1.1.1, nonsense", "10.0.0.1");
        check("10.0.0.9", "10.0.0.9");
        let two = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "3.3.3.3")];
        assert_eq!(seen("10.0.0.1:5", &two, &trusted), "3.3.3.3");
        let rfc = [("forwarded", "for=1.1.1.1, FOR=\"[2001:db8::9]:99\";proto=https")];
        assert_eq!(seen("10.0.0.1:5", &rfc, &trusted), "2001:db8::9");
    }
}
