//! The stream under a client connection: it replays what was read ahead, and answers a head that the
//! HTTP library refuses in the gateway's own words, once that is recorded.
//!
//! The library writes such an answer by itself, with an empty body. It is recognised by being written
//! while no exchange is under way, and replaced.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};
use event::{CallerAddress, Closed, InteractionId, Opened, Outcome, Refused, Timestamp};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use crate::connection::ConnectionFacts;
use crate::gateway::Inner;
use crate::record::Recorder;
use crate::refusal::{Kind, Refusal};
use crate::watch::Watch;
use crate::{credential, headers, record};

/// How much of a head is kept for the record of a refusal.
const HEAD_KEPT_BYTES: usize = 2 << 10;
/// How long a refused client is listened to, so that it can read why before the connection closes.
const LINGER: Duration = Duration::from_secs(1);

/// A stream with what was read ahead of it.
pub(crate) struct EdgeIo<S> {
    stream: S,
    prefix: Bytes,
    answering: Option<Box<Answering>>,
}

/// Answers heads that the library refuses.
struct Answering {
    gateway: Arc<Inner>,
    facts: Arc<ConnectionFacts>,
    watch: Arc<Watch>,
    /// The start of what was read since the last answer.
    head: Vec<u8>,
    head_bytes: u64,
    own: Own,
}

enum Own {
    None,
    Recording(JoinHandle<Bytes>),
    Writing(Bytes),
    Lingering(Pin<Box<Sleep>>),
}

impl<S> EdgeIo<S> {
    pub(crate) fn new(stream: S, prefix: Bytes) -> Self {
        Self { stream, prefix, answering: None }
    }

    /// Turns on the answering of refused heads.
    pub(crate) fn answering(
        mut self,
        gateway: Arc<Inner>,
        facts: Arc<ConnectionFacts>,
        watch: Arc<Watch>,
    ) -> Self {
        let (head, head_bytes) = (Vec::new(), 0);
        let own = Own::None;
        self.answering = Some(Box::new(Answering { gateway, facts, watch, head, head_bytes, own }));
        self
    }
}

impl Answering {
    fn note_read(&mut self, data: &[u8]) {
        if !self.watch.is_idle() {
            self.head.clear();
            self.head_bytes = 0;
            return;
        }
        self.head_bytes += data.len() as u64;
        let room = HEAD_KEPT_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(&data[..data.len().min(room)]);
    }

    /// Takes what the library writes by itself in exchange for the gateway's own answer.
    fn takes(&mut self, data: &[u8]) -> bool {
        if !self.watch.is_idle() {
            return false;
        }
        if matches!(self.own, Own::None) {
            let status = data.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
            let kind = match status {
                Some("431") => Kind::HeadTooLarge,
                Some("414") => Kind::UrlTooLong,
                _ => Kind::HeadMalformed,
            };
            let head = std::mem::take(&mut self.head);
            let refused = refuse_head(
                self.gateway.clone(),
                self.facts.clone(),
                Refusal::new(kind),
                (head, self.head_bytes),
            );
            self.own = Own::Recording(self.gateway.tasks.spawn(refused));
        }
        true
    }

    /// Writes the gateway's own answer, where there is one.
    fn poll_own<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match &mut self.own {
                Own::None | Own::Lingering(_) => return Poll::Ready(Ok(())),
                Own::Recording(task) => {
                    let answer = ready!(Pin::new(task).poll(cx)).map_err(io::Error::other)?;
                    self.own = Own::Writing(answer);
                }
                Own::Writing(answer) if answer.is_empty() => {
                    self.own = Own::Lingering(Box::pin(tokio::time::sleep(LINGER)));
                }
                Own::Writing(answer) => {
                    let written = ready!(Pin::new(&mut *stream).poll_write(cx, answer))?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    answer.advance(written);
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for EdgeIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if this.prefix.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        } else {
            let taken = this.prefix.len().min(buf.remaining());
            buf.put_slice(&this.prefix.split_to(taken));
        }
        if let Some(answering) = &mut this.answering {
            answering.note_read(&buf.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for EdgeIo<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.answering.as_mut().is_some_and(|answering| answering.takes(data)) {
            return Poll::Ready(Ok(data.len()));
        }
        Pin::new(&mut this.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let first = data.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        if this.answering.as_mut().is_some_and(|answering| answering.takes(first)) {
            return Poll::Ready(Ok(data.iter().map(|slice| slice.len()).sum()));
        }
        Pin::new(&mut this.stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(answering) = &mut this.answering {
            ready!(answering.poll_own(&mut this.stream, cx))?;
        }
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        if let Some(answering) = &this.answering {
            answering.watch.flushed();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(answering) = &mut this.answering {
            ready!(answering.poll_own(&mut this.stream, cx))?;
        }
        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        let Some(answering) = &mut this.answering else { return Poll::Ready(Ok(())) };
        let Own::Lingering(until) = &mut answering.own else { return Poll::Ready(Ok(())) };
        // Closing with unread bytes would reset the connection and destroy the answer on its way.
        let mut scratch = [0; 4096];
        while until.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Records a refused head and gives the answer to it.
async fn refuse_head(
    gateway: Arc<Inner>,
    facts: Arc<ConnectionFacts>,
    refusal: Refusal,
    (head, head_bytes): (Vec<u8>, u64),
) -> Bytes {
    let received_at = Timestamp::from(SystemTime::now());
    let id = InteractionId::mint(received_at, rand::random());
    gateway.counters.received();
    gateway.counters.refused();
    let (mut answer, body) = refusal.answer(gateway.live.load().config.edge.error_shape);
    headers::correlate(&mut answer, id);
    let refused = Refused {
        opened: opened(&facts, received_at, &head, head_bytes),
        closed: Closed {
            closed_at: received_at,
            outcome: Outcome::Refused,
            status: refusal.status().as_u16(),
            headers: record::header_list(&answer),
            request_bytes: head_bytes,
            response_bytes: body.len() as u64,
            errors: vec![refusal.record(Duration::ZERO)],
            own_body: String::from_utf8_lossy(&body).into_owned(),
            ..Closed::default()
        },
    };
    let recorder = Recorder::new(gateway.ledger.clone(), id);
    match recorder.keep(vec![recorder.refused(refused)]).await {
        Ok(()) => wire(&refusal, &answer, &body),
        Err(down) => {
            let (answer, body) = down.answer(gateway.live.load().config.edge.error_shape);
            wire(&down, &answer, &body)
        }
    }
}

/// What can be said of a head that is not well-formed: its first line, without keys.
fn opened(facts: &ConnectionFacts, received_at: Timestamp, head: &[u8], head_bytes: u64) -> Opened {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let url = match target.split_once('?') {
        Some((path, query)) => format!("{path}?{}", credential::redact_query(query)),
        None => target.to_owned(),
    };
    let ip = facts.peer.ip().to_canonical().to_string();
    Opened {
        received_at,
        method,
        url,
        protocol: "HTTP/1.1".into(),
        tls_version: facts.tls_version.into(),
        caller: CallerAddress {
            caller_ip: ip.clone(),
            peer_ip: ip,
            peer_port: facts.peer.port(),
            forwarded_for: String::new(),
        },
        head_bytes,
        ..Opened::default()
    }
}

fn wire(refusal: &Refusal, headers: &HeaderMap, body: &Bytes) -> Bytes {
    let mut bytes = format!("HTTP/1.1 {}\r\nconnection: close\r\n", refusal.status()).into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes.into()
}
