//! One running simulator: its listener, its connections and its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::SimulatorConfig;
use crate::fault::Fault;
use crate::instance::Instance;
use crate::record::ReceivedRequest;
use crate::server;
use crate::usage::Used;

/// Time a connection gets to finish its answer when the simulator stops.
const STOP_GRACE: Duration = Duration::from_millis(500);
/// How often a refused port is tried again when it is to come back, and a first byte is waited for.
const RETRY: Duration = Duration::from_millis(1);

/// A running simulated resource. Stop it with [`stop`](Self::stop); dropping it ends it without waiting.
pub struct Simulator {
    instance: Arc<Instance>,
    addr: SocketAddr,
    stopping: CancellationToken,
    connections: TaskTracker,
    acceptor: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Listens and answers until [`stop`](Self::stop).
    pub async fn start(config: SimulatorConfig) -> io::Result<Self> {
        let tls = acceptor(&config)?;
        let listener = TcpListener::bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let instance = Arc::new(Instance::new(config));
        let stopping = instance.stopping.clone();
        let connections = TaskTracker::new();
        let accepting = Accepting {
            instance: Arc::clone(&instance),
            addr,
            tls,
            stopping: stopping.clone(),
            connections: connections.clone(),
            fault: instance.fault.subscribe(),
        };
        let acceptor = Some(tokio::spawn(accepting.run(listener)));
        tracing::info!(name = %instance.config.name, %addr, "simulator listens");
        Ok(Self { instance, addr, stopping, connections, acceptor })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://` or `https://` and the address.
    pub fn url(&self) -> String {
        let scheme = if self.instance.config.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// How it was set up.
    pub fn config(&self) -> &SimulatorConfig {
        &self.instance.config
    }

    /// Makes every request (or the whole instance) go wrong, or right again with `None`.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.instance.fault.send_replace(fault);
    }

    /// Requests whose heads arrived since the start.
    pub fn requests(&self) -> u64 {
        self.instance.journal.count()
    }

    /// The last requests that were read to their end or to their break, in order of arrival; at most
    /// [`requests_kept_max`](SimulatorConfig::requests_kept_max).
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.instance.journal.list()
    }

    /// What the last calls used, as they were answered; at most
    /// [`usage_kept_max`](SimulatorConfig::usage_kept_max).
    pub fn used(&self) -> Vec<Used> {
        self.instance.book.list()
    }

    /// Stateful objects held now.
    pub fn objects(&self) -> usize {
        self.instance.store.count()
    }

    /// Ends all connections, after half a second's grace for running answers, and waits for them.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if let Some(acceptor) = self.acceptor.take()
            && let Err(error) = acceptor.await
        {
            tracing::error!(%error, "simulator's accept loop failed");
        }
        self.connections.close();
        self.connections.wait().await;
        self.instance.sessions.close();
        self.instance.sessions.wait().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

fn acceptor(config: &SimulatorConfig) -> io::Result<Option<TlsAcceptor>> {
    let Some(identity) = &config.tls else { return Ok(None) };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        })
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(tls))))
}

/// The task that takes connections.
struct Accepting {
    instance: Arc<Instance>,
    addr: SocketAddr,
    tls: Option<TlsAcceptor>,
    stopping: CancellationToken,
    connections: TaskTracker,
    fault: watch::Receiver<Option<Fault>>,
}

impl Accepting {
    async fn run(mut self, listener: TcpListener) {
        let mut listener = Some(listener);
        loop {
            let fault = self.fault.borrow_and_update().clone();
            if fault == Some(Fault::Refuse) {
                listener = None;
            } else if listener.is_none() {
                listener = self.listen_again().await;
            }
            tokio::select! {
                () = self.stopping.cancelled() => return,
                changed = self.fault.changed() => if changed.is_err() { return },
                accepted = accept(listener.as_ref()) => match accepted {
                    Ok(stream) if fault == Some(Fault::Reset) => drop(stream),
                    Ok(stream) => self.serve(stream),
                    // Out of descriptors or the peer is gone already: the next may work.
                    Err(error) => {
                        tracing::warn!(%error, "simulator could not accept");
                        tokio::time::sleep(RETRY).await;
                    }
                },
            }
        }
    }

    async fn listen_again(&self) -> Option<TcpListener> {
        match TcpListener::bind(self.addr).await {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::error!(%error, addr = %self.addr, "simulator could not listen again");
                None
            }
        }
    }

    fn serve(&self, stream: TcpStream) {
        let connection = Connection {
            instance: Arc::clone(&self.instance),
            stopping: self.stopping.clone(),
            fault: self.fault.clone(),
        };
        let tls = self.tls.clone();
        self.connections.spawn(async move {
            if let Err(error) = connection.run(stream, tls).await {
                tracing::debug!(%error, "simulator's connection ended");
            }
        });
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// The task of one connection.
struct Connection {
    instance: Arc<Instance>,
    stopping: CancellationToken,
    fault: watch::Receiver<Option<Fault>>,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) -> Result<(), BoxError> {
        stream.set_nodelay(true)?;
        let Some(tls) = tls else {
            let two = tokio::select! {
                () = self.stopping.cancelled() => return Ok(()),
                two = speaks_http2(&stream) => two?,
            };
            return self.talk(stream, two).await;
        };
        let stream = tokio::select! {
            () = self.stopping.cancelled() => return Ok(()),
            stream = tls.accept(stream) => stream?,
        };
        let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.talk(stream, two).await
    }

    async fn talk<S>(self, stream: S, two: bool) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let instance = Arc::clone(&self.instance);
        let service = service_fn(move |request| server::answer(Arc::clone(&instance), request));
        let io = TokioIo::new(stream);
        let stopped = self.ended();
        tokio::pin!(stopped);
        if two {
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).adaptive_window(true).max_send_buf_size(1 << 20);
            let connection = builder.serve_connection(io, service);
            tokio::pin!(connection);
            let grace = tokio::select! {
                done = connection.as_mut() => return Ok(done?),
                grace = &mut stopped => grace,
            };
            connection.as_mut().graceful_shutdown();
            finish(connection, grace).await
        } else {
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new());
            let connection = builder.serve_connection(io, service).with_upgrades();
            tokio::pin!(connection);
            let grace = tokio::select! {
                done = connection.as_mut() => return Ok(done?),
                grace = &mut stopped => grace,
            };
            connection.as_mut().graceful_shutdown();
            finish(connection, grace).await
        }
    }

    /// Waits for the reason to end the connection: the grace it gets.
    async fn ended(&self) -> Duration {
        let mut fault = self.fault.clone();
        let broken = fault.wait_for(|fault| matches!(fault, Some(Fault::Refuse | Fault::Reset)));
        tokio::select! {
            () = self.stopping.cancelled() => STOP_GRACE,
            _ = broken => Duration::ZERO,
        }
    }
}

async fn finish(
    connection: impl Future<Output = Result<(), hyper::Error>>,
    grace: Duration,
) -> Result<(), BoxError> {
    match tokio::time::timeout(grace, connection).await {
        Ok(done) => Ok(done?),
        Err(_) => Err("closed while it was answering".into()),
    }
}

/// Looks at the first two bytes: only HTTP/2's preface starts with `PR`.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0u8; 2];
    loop {
        match stream.peek(&mut first).await? {
            0 => return Ok(false),
            1 if first[0] == b'P' => tokio::time::sleep(RETRY).await,
            1 => return Ok(false),
            _ => return Ok(&first == b"PR"),
        }
    }
}
