//! Connections to one origin: idle HTTP/1.1 ones, and shared HTTP/2 ones.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::{Duration, Instant};

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::connector::Connected;
use crate::http1::{BUFFER_BYTES_MAX, Http1};
use crate::{Body, ClientConfig, Connector, Error, ErrorKind};

/// Window of one HTTP/2 stream: what an unread answer may hold in memory.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
/// Window of one HTTP/2 connection.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// All connections to one origin.
pub(crate) struct Pool {
    connector: Connector,
    config: ClientConfig,
    permits: Arc<Semaphore>,
    /// Held while the protocol of the origin is unknown or a shared connection is being opened.
    connecting: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct State {
    is_http2: Option<bool>,
    idle: VecDeque<Idle>,
    shared: Vec<Shared>,
    is_closing: bool,
}

struct Idle {
    connection: Http1,
    since: Instant,
    permit: OwnedSemaphorePermit,
}

struct Shared {
    sender: http2::SendRequest<Body>,
    in_flight: Arc<AtomicU32>,
    _permit: OwnedSemaphorePermit,
}

/// A connection on which one request may be sent now.
pub(crate) struct Checkout {
    pub(crate) sender: Sender,
    /// It has carried a request before, so it may have been closed unnoticed.
    pub(crate) is_reused: bool,
    permit: Option<OwnedSemaphorePermit>,
}

pub(crate) enum Sender {
    Http1(Http1),
    Http2 { sender: http2::SendRequest<Body>, _in_flight: InFlight },
}

/// Counts one request on a shared connection.
pub(crate) struct InFlight(Arc<AtomicU32>);

/// What an answer holds on to until it was read: its connection, or its place on a shared one.
pub(crate) struct Lease {
    sender: Sender,
    permit: Option<OwnedSemaphorePermit>,
    pool: Arc<Pool>,
}

impl Pool {
    pub(crate) fn new(connector: Connector, config: ClientConfig) -> Self {
        let permits = config.connections_max.max(1) as usize;
        Self {
            connector,
            config,
            permits: Arc::new(Semaphore::new(permits)),
            connecting: tokio::sync::Mutex::new(()),
            state: Mutex::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// A connection at hand, or a new one.
    pub(crate) async fn checkout(&self) -> Result<Checkout, Error> {
        if let Some(found) = self.take().await {
            return Ok(found);
        }
        let limit = Duration::from_millis(self.config.connect_timeout_ms);
        // Seldom needed and large: kept out of the future of every request.
        match tokio::time::timeout(limit, Box::pin(self.open())).await {
            Ok(opened) => opened,
            Err(_) => Err(too_slow(limit)),
        }
    }

    /// A new HTTP/1.1 connection that may be handed over to another protocol.
    pub(crate) async fn connect_alone(&self) -> Result<Checkout, Error> {
        let limit = Duration::from_millis(self.config.connect_timeout_ms);
        let connecting = async {
            let permit = self.permit().await?;
            let stream = self.connector.over_http1().connect().await?.stream;
            let mut connection = Http1::new(stream).await.map_err(no_handshake)?;
            connection.spawn(&self.tasks);
            Ok(Checkout::new(connection, permit))
        };
        tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| Err(too_slow(limit)))
    }

    /// Waits for the connections in use once nobody can start another request.
    pub(crate) async fn close(&self) {
        {
            let mut state = self.lock();
            state.is_closing = true;
            state.idle.clear();
            state.shared.clear();
        }
        // Whoever waits for a connection from now on stands behind this, and then finds none.
        let all = self.config.connections_max.max(1);
        drop(self.permits.acquire_many(all).await);
        self.permits.close();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Lets a task drive a connection.
    pub(crate) fn spawn(&self, connection: &mut Http1) {
        connection.spawn(&self.tasks);
    }

    async fn take(&self) -> Option<Checkout> {
        if let Some(found) = self.take_shared() {
            return Some(found);
        }
        while let Some(mut idle) = self.take_idle() {
            // It was given back when its answer had been read, which it may not have noticed yet.
            if idle.connection.is_ready().await {
                let checkout = Checkout::new(idle.connection, idle.permit);
                return Some(Checkout { is_reused: true, ..checkout });
            }
        }
        None
    }

    fn take_idle(&self) -> Option<Idle> {
        let limit = Duration::from_millis(self.config.idle_timeout_ms);
        let mut state = self.lock();
        while let Some(oldest) = state.idle.front() {
            if oldest.since.elapsed() < limit && !oldest.connection.is_closed() {
                break;
            }
            state.idle.pop_front();
        }
        state.idle.pop_back()
    }

    fn take_shared(&self) -> Option<Checkout> {
        let mut state = self.lock();
        if state.shared.is_empty() {
            return None;
        }
        state.shared.retain(|shared| !shared.sender.is_closed());
        let count = |shared: &Shared| shared.in_flight.load(Ordering::Relaxed);
        let least = state.shared.iter().min_by_key(|shared| count(shared))?;
        let has_room = count(least) < self.config.streams_per_connection_max.max(1);
        has_room.then(|| least.checkout(true))
    }

    async fn open(&self) -> Result<Checkout, Error> {
        if self.lock().is_http2 == Some(false) {
            return self.connect().await;
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(found) = self.take_shared() {
            return Ok(found);
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<Checkout, Error> {
        let permit = self.permit().await?;
        let Connected { stream, is_http2 } = self.connector.connect().await?;
        self.lock().is_http2 = Some(is_http2);
        if !is_http2 {
            let connection = Http1::new(stream).await.map_err(no_handshake)?;
            return Ok(Checkout::new(connection, permit));
        }
        let io = TokioIo::new(stream);
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(BUFFER_BYTES_MAX)
            .keep_alive_interval(Duration::from_secs(20))
            .handshake(io)
            .await
            .map_err(no_handshake)?;
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a backend ended");
            }
        });
        let shared = Shared { sender, in_flight: Arc::default(), _permit: permit };
        let checkout = shared.checkout(false);
        self.lock().shared.push(shared);
        Ok(checkout)
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.permits.clone().acquire_owned().await.map_err(|_| {
            Error::new(ErrorKind::Busy, "the connection pool is closed: the gateway is stopping")
        })
    }

    fn give_back(&self, mut connection: Http1, permit: OwnedSemaphorePermit) {
        connection.rest();
        let mut state = self.lock();
        if connection.is_closed() || state.is_closing {
            return;
        }
        if state.idle.len() >= self.config.idle_connections_max as usize {
            state.idle.pop_front();
        }
        state.idle.push_back(Idle { connection, since: Instant::now(), permit });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the lists half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_handshake(source: hyper::Error) -> Error {
    Error::caused(ErrorKind::Connect, "the HTTP handshake failed", source)
}

fn too_slow(limit: Duration) -> Error {
    Error::new(ErrorKind::Connect, format!("no connection within {} ms", limit.as_millis()))
}

impl Shared {
    fn checkout(&self, is_reused: bool) -> Checkout {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let _in_flight = InFlight(self.in_flight.clone());
        let sender = Sender::Http2 { sender: self.sender.clone(), _in_flight };
        Checkout { sender, is_reused, permit: None }
    }
}

impl Checkout {
    fn new(connection: Http1, permit: OwnedSemaphorePermit) -> Self {
        Self { sender: Sender::Http1(connection), is_reused: false, permit: Some(permit) }
    }

    pub(crate) fn into_lease(self, pool: &Arc<Pool>) -> Lease {
        Lease { sender: self.sender, permit: self.permit, pool: pool.clone() }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lease {
    /// Moves the connection on, where nobody else does.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Sender::Http1(connection) = &mut self.sender {
            connection.drive(cx);
        }
    }

    /// The answer was read whole: the connection may carry another request.
    pub(crate) fn give_back(self) {
        if let (Sender::Http1(connection), Some(permit)) = (self.sender, self.permit) {
            self.pool.give_back(connection, permit);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}
