//! The stream under an HTTP/1.1 connection. It shows the library one request at a time, and only what
//! the gate lets pass; what the gate refuses, and heads that come too slowly, it answers in the
//! gateway's own words, once that is recorded.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

use crate::facts::ConnectionFacts;
use crate::gate::{Gate, HeadLimits};
use crate::inner::Inner;
use crate::prefixed::Prefixed;
use crate::refusal::{Kind, Refusal};
use crate::unread;
use crate::watch::Watch;

/// How long a client is listened to whose request was not read to its end, so that it can read why
/// before the connection closes.
const LINGER: Duration = Duration::from_secs(1);

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For a head, from its first byte, and for the first byte of a connection.
    head: Duration,
    /// Between two requests.
    idle: Duration,
    /// To take more of what is written to it.
    stall: Duration,
}

/// The stream under an HTTP/1.1 connection.
pub(crate) struct EdgeIo<S> {
    stream: Prefixed<S>,
    gateway: Arc<Inner>,
    facts: Arc<ConnectionFacts>,
    watch: Arc<Watch>,
    gate: Gate,
    /// What came in and may not pass yet: at most a head, and what one read brought behind it.
    held: BytesMut,
    /// So much of it was looked at, and is no whole head.
    known: usize,
    head_bytes_max: usize,
    patience: Patience,
    timer: Pin<Box<Sleep>>,
    waiting: Waiting,
    has_served: bool,
    /// The library was told to wait for the end of the exchange.
    must_wake: bool,
    /// The client sends nothing more.
    has_ended: bool,
    own: Own,
}

/// What the timer is set for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Nothing,
    Idle,
    Head,
    Write,
    Linger,
}

/// The gateway's own answer.
enum Own {
    None,
    Due(Refusal),
    Recording(JoinHandle<Bytes>),
    Writing(Bytes),
    Lingering,
}

impl<S> EdgeIo<S> {
    pub(crate) fn new(
        stream: Prefixed<S>,
        gateway: Arc<Inner>,
        facts: Arc<ConnectionFacts>,
        watch: Arc<Watch>,
    ) -> Self {
        let live = gateway.live.load();
        let edge = &live.config.edge;
        let head_bytes_max = edge.head_bytes_max as usize;
        let limits =
            HeadLimits { bytes_max: head_bytes_max, count_max: edge.header_count_max as usize };
        let patience = Patience {
            head: Duration::from_millis(edge.head_timeout_ms),
            idle: Duration::from_millis(edge.idle_timeout_ms),
            stall: Duration::from_millis(edge.answer_stall_timeout_ms),
        };
        drop(live);
        Self {
            stream,
            gateway,
            facts,
            watch,
            gate: Gate::new(limits),
            held: BytesMut::new(),
            known: 0,
            head_bytes_max,
            patience,
            timer: Box::pin(tokio::time::sleep(patience.head)),
            waiting: Waiting::Nothing,
            has_served: false,
            must_wake: false,
            has_ended: false,
            own: Own::None,
        }
    }

    /// Sets the timer, unless it is set for this already; ready once it is over.
    fn poll_timer(&mut self, waiting: Waiting, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting != waiting {
            self.waiting = waiting;
            let time = match waiting {
                Waiting::Idle => self.patience.idle,
                Waiting::Write => self.patience.stall,
                Waiting::Linger => LINGER,
                Waiting::Head | Waiting::Nothing => self.patience.head,
            };
            self.timer.as_mut().reset(Instant::now() + time);
        }
        self.timer.as_mut().poll(cx)
    }

    /// A head is whole and good.
    fn note_passed(&mut self) {
        self.known = 0;
        self.must_wake = false;
        self.waiting = Waiting::Nothing;
        self.has_served = true;
        self.watch.head_passed();
    }

    /// The library reads on by itself only if the stream wakes it. It does not know of what is held, nor
    /// of the time it may rest.
    fn note_flushed(&mut self, cx: &mut Context<'_>) {
        if !self.must_wake || self.watch.is_busy() {
            return;
        }
        if self.held.is_empty() {
            // Pending, or it is found to be over at the next reading.
            let _ = self.poll_timer(Waiting::Idle, cx);
        } else {
            self.must_wake = false;
            cx.waker().wake_by_ref();
        }
    }

    /// Looks at what is held; true if a request may pass.
    fn admits_held(&mut self) -> bool {
        // Empty lines between requests are of no meaning (RFC 9112, section 2.2).
        while self.held.starts_with(b"\r\n") {
            self.held.advance(2);
            self.known = 0;
        }
        if self.held.len() == self.known {
            return false;
        }
        match self.gate.admit_head(&self.held, self.known) {
            Ok(true) => self.note_passed(),
            Ok(false) => self.known = self.held.len(),
            Err(refusal) => self.own = Own::Due(refusal),
        }
        !self.gate.is_at_head()
    }
}

impl<S: AsyncRead + Unpin> EdgeIo<S> {
    /// Between two requests: nothing passes before a head is whole and good. Ready without a byte is
    /// the end for the library; it then shuts the stream down, and the gateway's own answer follows.
    fn poll_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.watch.has_passed() {
            // Both read heads with one parser. If they disagree all the same, nothing more is read.
            tracing::error!("the HTTP library wants more of a head that the gate found whole");
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if self.watch.is_busy() {
            return self.poll_hang_up(cx, buf);
        }
        loop {
            if self.admits_held() {
                return self.poll_request(cx, buf);
            }
            if !matches!(self.own, Own::None) || self.has_ended {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) {
                read?;
                let came = &buf.filled()[before..];
                // Most heads come in one piece, and pass where they are.
                if self.held.is_empty() && matches!(self.gate.admit_head(came, 0), Ok(true)) {
                    self.note_passed();
                    return Poll::Ready(self.pass_in_place(buf, before));
                }
                self.hold(buf, before);
                if self.has_ended && !self.held.is_empty() {
                    let refusal = Refusal::new(Kind::HeadMalformed);
                    self.own = Own::Due(refusal.detail("it ends in the middle"));
                }
                continue;
            }
            let is_idle = self.has_served && self.held.is_empty();
            ready!(self.poll_timer(if is_idle { Waiting::Idle } else { Waiting::Head }, cx));
            if !self.held.is_empty() {
                self.own = Own::Due(Refusal::new(Kind::HeadTimeout));
            }
            return Poll::Ready(Ok(()));
        }
    }

    /// While an exchange is under way only whether the client hangs up matters, as long as there is
    /// room for what it sends ahead.
    fn poll_hang_up(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.must_wake = true;
        while self.held.len() < self.head_bytes_max {
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            self.hold(buf, before);
            if self.has_ended {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    /// Takes back what was read into `buf`.
    fn hold(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let came = &buf.filled()[before..];
        self.has_ended = came.is_empty();
        self.held.extend_from_slice(came);
        buf.set_filled(before);
    }

    /// Within a request: what belongs to it passes.
    fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.gate.pass(&[]).map_err(broken)?;
        if !self.held.is_empty() {
            let room = self.held.len().min(buf.remaining());
            let passed = self.gate.pass(&self.held[..room]).map_err(broken)?;
            buf.put_slice(&self.held[..passed]);
            self.held.advance(passed);
            if self.held.is_empty() {
                // A connection at rest keeps no buffer.
                self.held = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.has_ended = buf.filled().len() == before;
        Poll::Ready(self.pass_in_place(buf, before))
    }

    /// Leaves in `buf` what belongs to the request, and holds the rest.
    fn pass_in_place(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let came = &buf.filled()[before..];
        let passed = self.gate.pass(came).map_err(broken)?;
        self.held.extend_from_slice(&came[passed..]);
        buf.set_filled(before + passed);
        Ok(())
    }

    /// What follows is no HTTP.
    fn poll_upgraded(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let passed = self.held.len().min(buf.remaining());
        buf.put_slice(&self.held.split_to(passed));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> EdgeIo<S> {
    /// Records and writes the gateway's own answer, where one is due.
    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.own {
                Own::None | Own::Lingering => return Poll::Ready(Ok(())),
                Own::Due(refusal) => {
                    let head = std::mem::take(&mut self.held).freeze();
                    let (gateway, facts) = (self.gateway.clone(), self.facts.clone());
                    let work = unread::refuse_head(gateway, facts, refusal.clone(), head);
                    self.own = Own::Recording(self.gateway.tasks.spawn(work));
                }
                Own::Recording(task) => {
                    let answer = ready!(Pin::new(task).poll(cx)).map_err(io::Error::other)?;
                    self.own = Own::Writing(answer);
                }
                Own::Writing(answer) if answer.is_empty() => self.own = Own::Lingering,
                Own::Writing(answer) => {
                    let written = Pin::new(&mut self.stream).poll_write(cx, answer);
                    let written = ready!(self.poll_unstalled(written, cx))?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    if let Own::Writing(answer) = &mut self.own {
                        answer.advance(written);
                    }
                }
            }
        }
    }

    /// A client that takes nothing for too long is left.
    fn poll_unstalled<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_pending() {
            ready!(self.poll_timer(Waiting::Write, cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.waiting == Waiting::Write {
            self.waiting = Waiting::Nothing;
        }
        polled
    }

    /// Closing with unread bytes would reset the connection and destroy the answer on its way: what
    /// the client still sends is read for a moment, and dropped.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        while self.poll_timer(Waiting::Linger, cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for EdgeIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.watch.is_upgraded() {
            return this.poll_upgraded(cx, buf);
        }
        if this.gate.is_at_head() { this.poll_head(cx, buf) } else { this.poll_request(cx, buf) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for EdgeIo<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, data);
        this.poll_unstalled(polled, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, data);
        this.poll_unstalled(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        ready!(this.poll_unstalled(polled, cx))?;
        this.note_flushed(cx);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !matches!(this.own, Own::Lingering) {
            ready!(this.poll_own(cx))?;
            let is_read = this.gate.is_at_head() && this.held.is_empty();
            let must_linger = matches!(this.own, Own::Lingering) || !is_read;
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !must_linger || this.has_ended || this.watch.is_upgraded() {
                return Poll::Ready(Ok(()));
            }
            this.own = Own::Lingering;
        }
        this.poll_linger(cx)
    }
}

fn broken(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
