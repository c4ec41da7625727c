//! One client connection: what stands before HTTP, TLS, the protocol, and the loop of requests.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::acme::PROOF_PROTOCOL;
use crate::config::ListenerConfig;
use crate::edge_io::EdgeIo;
use crate::exchange::Exchange;
use crate::facts::ConnectionFacts;
use crate::inner::{Counted, Inner};
use crate::prefixed::Prefixed;
use crate::proxy_protocol::{self, Parsed};
use crate::refusal::{Kind, Refusal};
use crate::reply::{Aborted, Reply, ReplyBody};
use crate::server_tls::ServerTls;
use crate::watch::Watch;
use crate::{certificate, gate, head};

/// How an HTTP/2 connection begins (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How connections of one listener are served.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) gateway: Arc<Inner>,
    pub(crate) tls: Option<Arc<ServerTls>>,
    pub(crate) listener: Arc<ListenerConfig>,
}

impl Door {
    /// Serves a connection to its end.
    pub(crate) async fn serve(self, stream: TcpStream, peer: SocketAddr) {
        let stop = self.gateway.stop.child_token();
        let halt = self.gateway.halt.child_token();
        // Each step is boxed, so that a connection takes no more memory than the step it is at.
        let served = async {
            // Nothing is lost if the gateway stops before there is a request.
            let begun = tokio::select! {
                begun = Box::pin(self.begin(stream, peer)) => begun?,
                () = stop.cancelled() => return Ok(()),
            };
            match begun {
                (Begun::Plain(stream), facts) => self.converse(stream, facts, &stop).await,
                (Begun::Tls(stream), facts) => Box::pin(self.converse(stream, facts, &stop)).await,
            }
        };
        tokio::select! {
            result = served => if let Err(error) = result {
                tracing::debug!(%peer, %error, "connection ended");
            },
            () = halt.cancelled() => tracing::debug!(%peer, "connection cut at shutdown"),
        }
    }

    /// What comes before HTTP: the PROXY header, and TLS.
    async fn begin(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<(Begun, ConnectionFacts)> {
        let limit = Duration::from_millis(self.gateway.live.load().config.edge.head_timeout_ms);
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let greeted = tokio::time::timeout(limit, self.greet(stream, peer));
        let (stream, mut facts) = greeted.await.map_err(late)??;
        let Some(tls) = &self.tls else { return Ok((Begun::Plain(stream), facts)) };
        let mut stream =
            tokio::time::timeout(limit, tls.acceptor().accept(stream)).await.map_err(late)??;
        if stream.get_ref().1.alpn_protocol() == Some(PROOF_PROTOCOL) {
            // The handshake was all that was asked for (RFC 8737, section 3).
            tokio::time::timeout(limit, stream.shutdown()).await.map_err(late)??;
            return Err(invalid("an authority has had its proof"));
        }
        let session = stream.get_ref().1;
        if let Some(certificate) = session.peer_certificates().and_then(|chain| chain.first()) {
            facts.certificate_subject = certificate::subject(certificate).into();
        }
        facts.tls_version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
            _ => "1.3",
        };
        Ok((Begun::Tls(Box::new(stream)), facts))
    }

    /// Reads the PROXY header, where one is due.
    async fn greet(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<(Prefixed<TcpStream>, ConnectionFacts)> {
        let mut facts = ConnectionFacts {
            peer,
            tls_version: "",
            certificate_subject: "".into(),
            listener: self.listener.clone(),
        };
        let mut prefix = BytesMut::new();
        let live = self.gateway.live.load_full();
        let edge = &live.config.edge;
        let ip = peer.ip().to_canonical();
        if self.listener.proxy_protocol
            && edge.trusted_proxies.iter().any(|network| network.contains(&ip))
        {
            loop {
                match proxy_protocol::parse(&prefix) {
                    Parsed::Header(length, address) => {
                        facts.peer = address.unwrap_or(peer);
                        drop(prefix.split_to(length));
                        break;
                    }
                    Parsed::Partial if prefix.len() < proxy_protocol::HEADER_BYTES_MAX => {}
                    _ => return Err(invalid("no PROXY protocol header from a trusted proxy")),
                }
                // Never read beyond what may still belong to the header: TLS comes next.
                let room = proxy_protocol::HEADER_BYTES_MAX - prefix.len();
                if (&mut stream).take(room as u64).read_buf(&mut prefix).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        Ok((Prefixed::new(stream, prefix.freeze()), facts))
    }

    /// HTTP: the first bytes tell the version.
    async fn converse<S>(
        &self,
        mut stream: S,
        facts: ConnectionFacts,
        stop: &CancellationToken,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limit = Duration::from_millis(self.gateway.live.load().config.edge.head_timeout_ms);
        let deadline = tokio::time::Instant::now() + limit;
        let mut prefix = BytesMut::new();
        let is_http2 = loop {
            let seen = prefix.len().min(HTTP2_PREFACE.len());
            if prefix[..seen] != HTTP2_PREFACE[..seen] {
                break false;
            }
            if seen == HTTP2_PREFACE.len() {
                break true;
            }
            let read = tokio::select! {
                read = tokio::time::timeout_at(deadline, stream.read_buf(&mut prefix)) => read,
                () = stop.cancelled() => return Ok(()),
            };
            match read {
                Ok(Ok(0)) | Err(_) => return Ok(()),
                Ok(read) => read?,
            };
        };
        let stream = Prefixed::new(stream, prefix.freeze());
        let facts = Arc::new(facts);
        if is_http2 {
            Box::pin(self.http2(stream, facts, stop)).await
        } else {
            let watch = Arc::new(Watch::default());
            let io = EdgeIo::new(stream, self.gateway.clone(), facts.clone(), watch.clone());
            Box::pin(self.http1(io, facts, watch, stop)).await
        }
    }

    async fn http1<S>(
        &self,
        io: EdgeIo<S>,
        facts: Arc<ConnectionFacts>,
        watch: Arc<Watch>,
        stop: &CancellationToken,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let live = self.gateway.live.load_full();
        let edge = &live.config.edge;
        let head_bytes_max = edge.head_bytes_max as usize;
        let mut builder = http1::Builder::new();
        // The stream below holds heads to their time and their limits.
        builder.header_read_timeout(None).max_buf_size(head_bytes_max.max(16 << 10));
        if edge.header_count_max as usize > gate::HEADER_COUNT {
            // Only another number than the library's own costs an allocation for each request.
            builder.max_headers(edge.header_count_max as usize);
        }
        drop(live);
        let service = service_fn(|request| {
            let is_whole = watch.exchange_began();
            let exchange =
                is_whole.then(|| self.exchange(&facts, request, Turn::Http1(watch.clone())));
            async {
                match exchange {
                    Some(exchange) => exchange.await,
                    // The two readers of heads disagree: nothing is served.
                    None => Err(Aborted),
                }
            }
        });
        let served = builder.serve_connection(TokioIo::new(io), service).with_upgrades();
        let mut connection = pin!(served);
        let mut stopped = pin!(stop.cancelled());
        let result = tokio::select! {
            biased;
            result = connection.as_mut() => result,
            () = &mut stopped => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if watch.is_upgraded() {
            watch.session_over().await;
        }
        result.map_err(io::Error::other)
    }

    /// Starts an exchange in a task of its own and waits for the head of its answer.
    pub(crate) fn exchange(
        &self,
        facts: &ConnectionFacts,
        request: Request<Incoming>,
        turn: Turn,
    ) -> impl Future<Output = Result<Response<ReplyBody>, Aborted>> + Send + use<> {
        let gateway = &self.gateway;
        let stall = gateway.live.load().config.edge.answer_stall_timeout_ms;
        let (reply, answer) = Reply::new(Duration::from_millis(stall));
        gateway.counters.received();
        let (parts, body) = request.into_parts();
        let mut exchange = Exchange::new(gateway.clone(), facts, &parts, reply);
        let mut checked = head::check(&exchange.live.config.edge, &parts);
        let (watch, stream) = match turn {
            Turn::Http1(watch) => (Some(watch), None),
            Turn::Http2 { counted, is_over } => {
                if is_over {
                    checked = Err(Refusal::new(Kind::StreamsBusy));
                }
                (None, Some(counted))
            }
        };
        let counted = gateway.counters.in_flight();
        let session = if parts.headers.contains_key(UPGRADE) { watch.clone() } else { None };
        // Boxed at once: it is large, and would else be copied several times. What is given to a future
        // that is awaited takes its room twice, so the exchange is lent to it and the request boxed.
        let exchange: Pin<Box<dyn Future<Output = ()> + Send>> = match checked {
            Ok(()) => {
                let request = Box::new(Request::from_parts(parts, body));
                Box::pin(async move { exchange.run(request).await })
            }
            Err(refusal) => Box::pin(async move { exchange.decline(refusal).await }),
        };
        gateway.tasks.spawn(async move {
            exchange.await;
            if let Some(watch) = session {
                watch.session_ended();
            }
            drop((counted, stream));
        });
        async move {
            let answer = answer.await.map_err(|_| Aborted)?;
            if let Some(watch) =
                watch.as_ref().filter(|_| answer.status() == StatusCode::SWITCHING_PROTOCOLS)
            {
                watch.upgraded();
            }
            Ok(answer.map(|body| body.watched(watch)))
        }
    }
}

/// Whose turn it is on a connection.
pub(crate) enum Turn {
    /// The one request's.
    Http1(Arc<Watch>),
    /// One of several; `is_over` if it is one too many.
    Http2 { counted: Counted, is_over: bool },
}

/// A connection on which HTTP begins.
enum Begun {
    Plain(Prefixed<TcpStream>),
    Tls(Box<TlsStream<Prefixed<TcpStream>>>),
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
