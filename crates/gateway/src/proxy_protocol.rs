//! The PROXY protocol: how a load balancer tells the address of its client.
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest header accepted: version 2 with its extensions.
pub(crate) const HEADER_BYTES_MAX: usize = 1024;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1.
const LINE_BYTES_MAX: usize = 107;

/// What stands at the start of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// More bytes are needed.
    Partial,
    /// A header of this length; the address of the client, or none if the proxy speaks for itself.
    Header(usize, Option<SocketAddr>),
    /// No PROXY header.
    Malformed,
}

/// Reads a header of version 1 or 2.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let signature = &SIGNATURE[..bytes.len().min(SIGNATURE.len())];
    if bytes.starts_with(signature) {
        return parse_binary(bytes);
    }
    parse_line(bytes)
}

fn parse_binary(bytes: &[u8]) -> Parsed {
    let Some((head, rest)) = bytes.split_at_checked(16) else { return Parsed::Partial };
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    let end = 16 + length;
    if head[12] >> 4 != 2 || end > HEADER_BYTES_MAX {
        return Parsed::Malformed;
    }
    let Some(body) = rest.get(..length) else { return Parsed::Partial };
    match head[12] & 0xf {
        0 => return Parsed::Header(end, None),
        1 => {}
        _ => return Parsed::Malformed,
    }
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    match head[13] >> 4 {
        1 if length >= 12 => {
            let ip = <[u8; 4]>::try_from(&body[..4]).expect("four bytes");
            Parsed::Header(end, Some(SocketAddr::new(Ipv4Addr::from(ip).into(), port(8))))
        }
        2 if length >= 36 => {
            let ip = <[u8; 16]>::try_from(&body[..16]).expect("sixteen bytes");
            Parsed::Header(end, Some(SocketAddr::new(Ipv6Addr::from(ip).into(), port(32))))
        }
        1 | 2 => Parsed::Malformed,
        _ => Parsed::Header(end, None),
    }
}

fn parse_line(bytes: &[u8]) -> Parsed {
    let prefix = b"PROXY ";
    if !bytes.starts_with(&prefix[..bytes.len().min(prefix.len())]) {
        return Parsed::Malformed;
    }
    let line = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE_BYTES_MAX { Parsed::Partial } else { Parsed::Malformed };
    };
    let Ok(text) = std::str::from_utf8(&line[..end]) else { return Parsed::Malformed };
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Parsed::Header(end + 2, None),
        ["PROXY", "TCP4" | "TCP6", source, _, port, _] => {
            match (source.parse::<IpAddr>(), port.parse()) {
                (Ok(ip), Ok(port)) => Parsed::Header(end + 2, Some(SocketAddr::new(ip, port))),
                _ => Parsed::Malformed,
            }
        }
        _ => Parsed::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn both_versions_tell_the_client_and_every_prefix_is_partial() {
        let v4 = version_2(1, 0x11, &[1, 2, 3, 4, 10, 0, 0, 1, 0x12, 0x34, 0, 80, 9, 9]);
        let line = b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n".to_vec();
        let v6: Vec<u8> = [[0x20; 16].as_slice(), &[0; 16], &[0, 7, 0, 8]].concat();
        let v6 = version_2(1, 0x21, &v6);
        for (bytes, want) in [
            (v4, "1.2.3.4:4660"),
            (line, "[2001:db8::1]:4711"),
            (v6, "[2020:2020:2020:2020:2020:2020:2020:2020]:7"),
        ] {
            for length in 0..bytes.len() {
                assert_eq!(parse(&bytes[..length]), Parsed::Partial, "{want} {length}");
            }
            let mut more = bytes.clone();
            more.extend(b"GET / HTTP/1.1");
            assert_eq!(parse(&more), Parsed::Header(bytes.len(), Some(want.parse().unwrap())));
        }
    }

    #[test]
    fn local_connections_keep_the_peer_and_anything_else_is_malformed() {
        let local = version_2(0, 0, &[]);
        assert_eq!(parse(&local), Parsed::Header(local.len(), None));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Parsed::Header(15, None));
        for wrong in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 x y 1 2\r\n",
            &[b'P'; 2],
            &version_2(1, 0x11, &[1, 2]),
            &version_2(3, 0, &[]),
            &[&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat(),
        ] {
            assert_eq!(parse(wrong), Parsed::Malformed, "{wrong:?}");
        }
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        assert_eq!(parse(&endless), Parsed::Malformed);
    }
}
