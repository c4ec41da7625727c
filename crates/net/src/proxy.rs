//! An HTTP proxy that connections go out through, each in a tunnel of its own (CONNECT, RFC 9110 section
//! 9.3.6). The proxy's address is judged as any other. A name is resolved by the proxy; what it may reach is
//! for the proxy to judge.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Error, ErrorKind};

/// Longest head of the proxy's answer.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A proxy, and which hosts are reached without it; clones are the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Arc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    host: String,
    port: u16,
    authorization: Option<HeaderValue>,
    direct: Vec<Direct>,
}

/// Hosts that are reached without the proxy.
#[derive(Debug, PartialEq, Eq)]
enum Direct {
    All,
    Network(IpNet),
    /// It and what is below it.
    Domain(String),
}

impl Proxy {
    /// A proxy at `http://host:port`. `direct` holds names (with what is below them), addresses and
    /// networks that are reached without it, or `*`.
    pub fn new(
        url: &str,
        credentials: Option<(&str, &str)>,
        direct: &[String],
    ) -> Result<Self, Error> {
        let wrong = |what: &str| {
            Error::new(ErrorKind::Config, format!("{what}: give it as http://host:3128"))
        };
        let uri: Uri = url.parse().map_err(|_| wrong("the proxy's address is no URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("the proxy's address is no http URL"));
        }
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !is_bare || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("the proxy's address holds more than host and port"));
        }
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        if credentials.is_some_and(|(name, _)| name.contains(':')) {
            let text = "the proxy's user name holds a colon, which Basic cannot carry";
            return Err(Error::new(ErrorKind::Config, text));
        }
        let authorization = credentials.map(|(name, password)| {
            let mut value = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
                .parse::<HeaderValue>()
                .expect("base64 is a header value");
            value.set_sensitive(true);
            value
        });
        Ok(Self(Arc::new(Inner {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(80),
            authorization,
            direct: direct.iter().map(|text| Direct::read(text)).collect(),
        })))
    }

    pub(crate) fn host(&self) -> &str {
        &self.0.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }

    /// This host is reached through it. The machine itself and its metadata services never are.
    pub(crate) fn is_for(&self, host: &str) -> bool {
        let ip: Option<IpAddr> = host.parse().ok();
        let is_own = match ip {
            Some(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local(),
            Some(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unicast_link_local(),
            None => host.eq_ignore_ascii_case("localhost"),
        };
        !is_own && !self.0.direct.iter().any(|direct| direct.holds(host, ip))
    }

    /// The origin of this URL is reached through it.
    pub fn leads_to(&self, url: &str) -> bool {
        let uri: Option<Uri> = url.parse().ok();
        uri.as_ref().and_then(Uri::host).is_some_and(|host| self.is_for(host))
    }

    /// Has the proxy connect a stream to a host.
    pub(crate) async fn tunnel(
        &self,
        mut stream: TcpStream,
        (host, port): (&str, u16),
    ) -> Result<TcpStream, Error> {
        let broken = |source| {
            let text = format!("the proxy {}:{} broke off", self.0.host, self.0.port);
            Error::caused(ErrorKind::Connect, text, source)
        };
        let target =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut head = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n").into_bytes();
        if let Some(authorization) = &self.0.authorization {
            head.extend_from_slice(b"proxy-authorization: ");
            head.extend_from_slice(authorization.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        stream.write_all(&head).await.map_err(broken)?;
        let status = read_status(&mut stream).await.map_err(broken)?;
        if status.is_some_and(|status| status / 100 == 2) {
            return Ok(stream);
        }
        let said = status.map_or_else(|| "no HTTP".to_owned(), |status| status.to_string());
        let fix = match status {
            Some(407) => ": give proxy.username and proxy.password",
            _ => ": have it allow that, or name the host in proxy.no_proxy",
        };
        let (proxy, at) = (&self.0.host, self.0.port);
        let text = format!("the proxy {proxy}:{at} answered {said} when asked for {target}{fix}");
        Err(Error::new(ErrorKind::Connect, text))
    }
}

/// The status of an answer whose head is read to its end and no further; none if it is not HTTP/1.
async fn read_status(stream: &mut TcpStream) -> std::io::Result<Option<u16>> {
    let mut head = Vec::with_capacity(128);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Ok(None);
        }
        // What follows the head belongs to the origin.
        head.push(stream.read_u8().await?);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).unwrap_or_default();
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    Ok(words.next().and_then(|word| word.parse().ok()).filter(|_| is_http))
}

impl Direct {
    fn read(text: &str) -> Self {
        let text = text.trim();
        if text == "*" {
            return Self::All;
        }
        let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let domain = || text.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
        network.map_or_else(|| Self::Domain(domain()), Self::Network)
    }

    fn holds(&self, host: &str, ip: Option<IpAddr>) -> bool {
        match self {
            Self::All => true,
            Self::Network(network) => ip.is_some_and(|ip| network.contains(&ip)),
            Self::Domain(domain) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let above = host.strip_suffix(domain.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.0.host, self.0.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(direct: &[&str]) -> Proxy {
        let direct: Vec<String> = direct.iter().map(|text| (*text).to_owned()).collect();
        Proxy::new("http://proxy.internal:3128", Some(("gate", "canary")), &direct).expect("good")
    }

    #[test]
    fn hosts_of_the_list_and_the_machine_itself_are_reached_without_it() {
        let proxy =
            proxy(&["corp.example", ".lan", "*.west", "10.0.0.0/8", "fd00::/8", "20.1.2.3"]);
        for direct in [
            "localhost",
            "127.0.0.1",
            "::1",
            "169.254.169.254",
            "corp.example",
            "a.CORP.example",
            "a.corp.example.",
            "x.lan",
            "x.west",
            "10.1.2.3",
            "fd00::1",
            "20.1.2.3",
        ] {
            assert!(!proxy.is_for(direct), "{direct}");
        }
        for through in ["notcorp.example", "example", "openai.azure.com", "20.1.2.4", "11.0.0.1"] {
            assert!(proxy.is_for(through), "{through}");
        }
        assert!(!self::proxy(&["*"]).is_for("openai.azure.com"));
    }

    #[test]
    fn what_is_wrong_with_its_address_is_said_and_no_password_is_shown() {
        for wrong in ["https://p:1", "p:3128", "http://u:canary@p:1", "http://p/path", "socks5://p"]
        {
            let error = Proxy::new(wrong, None, &[]).expect_err(wrong).to_string();
            assert!(error.contains("http://host:3128") && !error.contains("canary"), "{error}");
        }
        assert!(Proxy::new("http://p", Some(("a:b", "c")), &[]).is_err());
        assert_eq!(format!("{:?}", proxy(&[])), "Proxy(proxy.internal:3128)");
    }
}
