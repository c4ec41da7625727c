//! Name resolution, egress rules, TCP and TLS: from an origin to an open stream.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{ClientConfig, EgressRules, Error, ErrorKind, Http2Mode, tls};

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// How a name becomes addresses. Tests have one of their own.
type Lookup = Arc<dyn Fn(String, u16) -> Found + Send + Sync>;
type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Opens connections to one origin.
#[derive(Clone)]
pub struct Connector {
    host: Arc<str>,
    port: u16,
    lookup: Lookup,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    http2: Http2Mode,
    rules: EgressRules,
}

/// An open stream and the protocol agreed on.
pub(crate) struct Connected {
    pub(crate) stream: Stream,
    pub(crate) is_http2: bool,
}

/// An open stream to an allowed address.
pub struct Dialled(Stream);

/// Plain or TLS.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connector {
    /// A connector for the origin of `base` (`https://host:port`).
    pub fn new(base: &Uri, config: &ClientConfig, rules: EgressRules) -> Result<Self, Error> {
        let wrong = |what: &str| {
            let text = format!("`{base}` {what}: give a URL such as https://host:443");
            Error::new(ErrorKind::Config, text)
        };
        let host = base.host().ok_or_else(|| wrong("has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let (tls, default_port) = match base.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_| wrong("has a host that is no name or address"))?;
                (Some((TlsConnector::from(tls::client_config(config)?), name)), 443)
            }
            _ => return Err(wrong("is neither http nor https")),
        };
        let port = base.port_u16().unwrap_or(default_port);
        let lookup: Lookup = Arc::new(|host, port| Box::pin(look_up(host, port)));
        Ok(Self { host: host.into(), port, lookup, tls, http2: config.http2, rules })
    }

    /// The same origin, asked for HTTP/1.1 alone.
    pub(crate) fn over_http1(&self) -> Self {
        let mut connector = self.clone();
        connector.http2 = Http2Mode::Never;
        if let Some((tls, _)) = &mut connector.tls {
            let mut config = rustls::ClientConfig::clone(tls.config());
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            *tls = TlsConnector::from(Arc::new(config));
        }
        connector
    }

    /// The same origin, for a protocol that knows no ALPN, such as SMTP.
    pub fn without_alpn(&self) -> Self {
        let mut connector = self.clone();
        connector.http2 = Http2Mode::Never;
        if let Some((tls, _)) = &mut connector.tls {
            let mut config = rustls::ClientConfig::clone(tls.config());
            config.alpn_protocols.clear();
            *tls = TlsConnector::from(Arc::new(config));
        }
        connector
    }

    /// An open stream without TLS, whatever the origin's scheme; [`secure`](Self::secure) may follow.
    pub async fn open_plain(&self) -> Result<Dialled, Error> {
        self.dial(&self.host, self.port).await.map(|tcp| Dialled(Stream::Plain(tcp)))
    }

    /// Begins TLS on a plain stream, as STARTTLS does (RFC 3207). The origin must be an `https` one.
    pub async fn secure(&self, dialled: Dialled) -> Result<Dialled, Error> {
        let (Stream::Plain(tcp), Some((connector, name))) = (dialled.0, &self.tls) else {
            return Err(Error::new(ErrorKind::Config, "there is no plain stream to secure"));
        };
        let stream = connector.connect(name.clone(), tcp).await.map_err(|source| {
            let text = format!("TLS with {}:{} failed", self.host, self.port);
            Error::caused(ErrorKind::Connect, text, source)
        })?;
        Ok(Dialled(Stream::Tls(Box::new(stream))))
    }

    /// An open stream, for a protocol of the caller's; never through a proxy, which is for HTTP.
    pub async fn open(&self) -> Result<Dialled, Error> {
        let tcp = self.dial(&self.host, self.port).await?;
        self.agree(tcp).await.map(|connected| Dialled(connected.stream))
    }

    pub(crate) async fn connect(&self) -> Result<Connected, Error> {
        let tcp = match self.rules.proxy_for(&self.host) {
            None => self.dial(&self.host, self.port).await?,
            Some(proxy) => {
                self.judge_number().await?;
                let tcp = self.dial(proxy.host(), proxy.port()).await?;
                proxy.tunnel(tcp, (&self.host, self.port)).await?
            }
        };
        self.agree(tcp).await
    }

    /// TLS, if the origin speaks it, and the protocol.
    async fn agree(&self, tcp: TcpStream) -> Result<Connected, Error> {
        let Some((connector, name)) = &self.tls else {
            let is_http2 = self.http2 == Http2Mode::PriorKnowledge;
            return Ok(Connected { stream: Stream::Plain(tcp), is_http2 });
        };
        let stream = connector.connect(name.clone(), tcp).await.map_err(|source| {
            let text = format!("TLS with {}:{} failed", self.host, self.port);
            Error::caused(ErrorKind::Connect, text, source)
        })?;
        let agreed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let is_http2 = agreed || self.http2 == Http2Mode::PriorKnowledge;
        Ok(Connected { stream: Stream::Tls(Box::new(stream)), is_http2 })
    }

    /// A host that a proxy is asked for is judged here if it is an address, however it is spelt.
    async fn judge_number(&self) -> Result<(), Error> {
        let last = self.host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        let is_number = self.host.contains(':') || last.starts_with(|c: char| c.is_ascii_digit());
        if is_number { self.resolve(&self.host, self.port).await.map(drop) } else { Ok(()) }
    }

    /// The addresses of a host, every one within the rules.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => (self.lookup)(host.to_owned(), port).await.map_err(|source| {
                Error::caused(ErrorKind::Connect, format!("cannot resolve {host}"), source)
            })?,
        };
        for address in &addresses {
            self.rules.check(host, address.ip())?;
        }
        Ok(addresses)
    }

    /// Connects to one of the addresses that were judged: there is no second look-up.
    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        let mut last = None;
        for address in self.resolve(host, port).await?.iter().take(ADDRESSES_MAX) {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A small piece of a request must not wait for the acknowledgement of another.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%address, %error, "TCP_NODELAY was refused");
                    }
                    return Ok(stream);
                }
                Err(error) => last = Some(error),
            }
        }
        let text = format!("cannot connect to {host}:{port}");
        let cause = last.unwrap_or_else(|| io::Error::other("the name has no address"));
        Err(Error::caused(ErrorKind::Connect, text, cause))
    }
}

/// Asks the system's resolver.
async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, data),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Dialled {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
