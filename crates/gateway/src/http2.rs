//! One HTTP/2 connection: its limits, and a record of what the HTTP library refuses by itself. The
//! library does so before a request is one: a head that is no HTTP, or far too long, or reset at once.

mod frames;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use crate::config::EdgeConfig;
use crate::connection::{Door, Turn};
use crate::facts::ConnectionFacts;
use crate::inner::Counted;
use crate::prefixed::Prefixed;
use crate::refusal::{Kind, Refusal};
use crate::unread;
use frames::{FloodLimits, Frames};

/// Window of one stream: what an upload may hold in memory.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
/// Window of one connection.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// What is buffered for one stream towards the client.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// How many times the longest head is still taken in, so that it can be refused in the gateway's own
/// words. The library answers longer ones, and ends the connection of those much longer.
const HEAD_SLACK: u32 = 4;
/// Streams reset before they were looked at, at once; one more ends the connection. The library's own
/// default (CVE-2023-44487).
const RESETS_UNSEEN_MAX: usize = 20;
/// Streams with an error of the client's, at once; one more ends the connection.
const ERRORS_MAX: usize = 256;
/// How long a connection that floods has to take in that it is ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// What one connection has asked for.
struct Streams {
    seen: Mutex<Seen>,
    /// Exchanges under way, those that the client gave up included.
    in_flight: Arc<AtomicU64>,
    in_flight_max: u64,
    head_bytes_max: usize,
}

struct Seen {
    frames: Frames,
    /// The library has taken in all that came.
    is_drained: bool,
    begun: u64,
    /// Heads that became no exchange, and are recorded.
    noted: u64,
    /// Resets up to then.
    resets: u64,
}

/// The stream under an HTTP/2 connection.
struct Http2Io<S> {
    stream: Prefixed<S>,
    streams: Arc<Streams>,
}

impl Door {
    /// Serves a connection to its end.
    pub(crate) async fn http2<S>(
        &self,
        stream: Prefixed<S>,
        facts: Arc<ConnectionFacts>,
        stop: &CancellationToken,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let live = self.gateway.live.load_full();
        let (builder, streams) = prepare(&live.config.edge);
        let idle = Duration::from_millis(live.config.edge.idle_timeout_ms);
        drop(live);
        let io = Http2Io { stream, streams: streams.clone() };
        let service = service_fn(|request| self.exchange(&facts, request, streams.begin()));
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
        let mut rest = pin!(tokio::time::sleep(idle));
        let (mut is_ending, mut begun) = (false, 0);
        let ended = loop {
            let served = poll_fn(|cx| {
                let polled = connection.as_mut().poll(cx);
                self.note_unread(&streams, &facts, polled.is_ready());
                if streams.flood().is_some() { Poll::Ready(Ok(())) } else { polled }
            });
            tokio::select! {
                biased;
                ended = served => break ended,
                () = stop.cancelled(), if !is_ending => is_ending = true,
                () = rest.as_mut(), if !is_ending => {
                    is_ending = streams.is_resting(&mut begun);
                    rest.as_mut().reset(tokio::time::Instant::now() + idle);
                }
            }
            if is_ending {
                connection.as_mut().graceful_shutdown();
            }
        };
        if let Some(flood) = streams.flood() {
            tracing::warn!(peer = %facts.peer, flood, "an HTTP/2 connection is ended");
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(FAREWELL, connection).await;
            self.note_unread(&streams, &facts, true);
        }
        ended.map_err(io::Error::other)
    }

    /// Records heads that became no exchange.
    fn note_unread(&self, streams: &Streams, facts: &Arc<ConnectionFacts>, has_ended: bool) {
        let Some(refusal) = streams.unread(has_ended) else { return };
        tracing::debug!(peer = %facts.peer, code = refusal.code(), "request heads refused");
        let work = unread::refuse_streams(self.gateway.clone(), facts.clone(), refusal);
        self.gateway.tasks.spawn(work);
    }
}

fn prepare(edge: &EdgeConfig) -> (http2::Builder<TokioExecutor>, Arc<Streams>) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(edge.streams_max)
        .max_header_list_size(edge.head_bytes_max.saturating_mul(HEAD_SLACK))
        .max_pending_accept_reset_streams(RESETS_UNSEEN_MAX)
        .max_local_error_reset_streams(ERRORS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .enable_connect_protocol();
    let limits =
        FloodLimits { resets_max: edge.stream_resets_max, controls_max: edge.control_frames_max };
    let seen =
        Seen { frames: Frames::new(limits), is_drained: false, begun: 0, noted: 0, resets: 0 };
    let streams = Streams {
        seen: Mutex::new(seen),
        in_flight: Arc::default(),
        in_flight_max: 2 * u64::from(edge.streams_max),
        head_bytes_max: edge.head_bytes_max as usize,
    };
    (builder, Arc::new(streams))
}

impl Streams {
    fn with<T>(&self, work: impl FnOnce(&mut Seen) -> T) -> T {
        // Counts hold whatever panicked.
        work(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A request was read. One that the client resets goes on, so that its cost is known; a client
    /// that opens and resets without end is therefore refused, however few streams are open.
    fn begin(&self) -> Turn {
        self.with(|seen| seen.begun += 1);
        let counted = Counted::new(&self.in_flight);
        let is_over = self.in_flight.load(Ordering::Relaxed) > self.in_flight_max;
        Turn::Http2 { counted, is_over }
    }

    /// Nothing is under way, and nothing began since the last time this was asked.
    fn is_resting(&self, begun: &mut u64) -> bool {
        let now = self.with(|seen| seen.begun);
        std::mem::replace(begun, now) == now && self.in_flight.load(Ordering::Relaxed) == 0
    }

    fn flood(&self) -> Option<&'static str> {
        self.with(|seen| seen.frames.flood())
    }

    /// Heads that the library has taken in and made no request of, since the last time.
    fn unread(&self, has_ended: bool) -> Option<Refusal> {
        self.with(|seen| {
            let heads = seen.frames.heads(has_ended);
            if heads <= seen.begun + seen.noted || !(seen.is_drained || has_ended) {
                return None;
            }
            let count = heads - seen.begun - seen.noted;
            let resets = seen.frames.resets() - seen.resets;
            seen.noted += count;
            seen.resets += resets;
            let longest = seen.frames.block_bytes_max();
            let is_long = resets == 0 && longest > self.head_bytes_max;
            let kind = if is_long { Kind::HeadTooLarge } else { Kind::HeadUnread };
            Some(Refusal::new(kind).detail(format!(
                "{count} HTTP/2 requests; streams reset by the client meanwhile: {resets}; longest header block of the connection: {longest} bytes"
            )))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Http2Io<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.streams.flood().is_some() {
            // Nothing more is taken in; the connection is about to be ended.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.streams.with(|seen| {
            seen.is_drained = polled.is_pending();
            seen.frames.read(&buf.filled()[before..], Instant::now());
        });
        ready!(polled)?;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Http2Io<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
