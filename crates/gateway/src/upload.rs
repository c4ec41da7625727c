//! A request body on its way to a backend, recorded as it passes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use event::Side;
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use net::{Body, BodyError};
use openai::Splice;
use tokio::sync::mpsc;

use crate::record::Recorder;
use crate::refusal::{Kind, Refusal};
use crate::spool::Stored;

/// Limits of a request body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    pub(crate) bytes_max: u64,
    /// Longest wait for one piece, and how far the body may lag behind `rate_min` in all.
    pub(crate) gap: Duration,
    /// Bytes per second; 0 sets no pace.
    pub(crate) rate_min: u32,
}

/// How long a client's body was waited for, and what came of it. Only waiting for the client counts:
/// a slow backend does not make the client late.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    waited: Duration,
    bytes: u64,
}

/// A body: what was taken in, and what is still to come from the client.
pub(crate) struct Upload {
    pub(crate) stored: Stored,
    pub(crate) rest: Option<Incoming>,
    /// Bytes of the stored part that stand in the record, once it is sent piece by piece. Each attempt
    /// goes on where the one before ended.
    recorded: Option<Arc<AtomicU64>>,
}

impl Upload {
    pub(crate) fn new(stored: Stored, rest: Option<Incoming>) -> Self {
        Self { stored, rest, recorded: None }
    }

    /// Where the part begins that was to be sent but is not in the record; none if none was to be.
    pub(crate) fn unrecorded_from(&self) -> Option<u64> {
        self.recorded.as_ref().map(|recorded| recorded.load(Ordering::Acquire))
    }

    /// It can be sent a second time.
    pub(crate) fn is_replayable(&self) -> bool {
        self.rest.is_none()
    }

    /// All of it, where it is in memory.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        if self.rest.is_none() { self.stored.memory() } else { None }
    }

    /// A body for a request, and the work that fills it. It is recorded as it came and sent
    /// with the changes.
    pub(crate) fn start(
        &mut self,
        recorder: Arc<Recorder>,
        limits: BodyLimits,
        from_client: Arc<AtomicU64>,
        changes: Vec<Splice>,
    ) -> (Body, impl Future<Output = Result<(), Refusal>> + Send + use<>) {
        let (sender, receiver) = mpsc::channel(1);
        let pump = Pump {
            recorder,
            limits,
            sender,
            recorded: self.recorded.get_or_insert_default().clone(),
            bytes: 0,
            from_client,
            changes,
        };
        let stored = self.stored.clone();
        let rest = self.rest.take();
        (Body::stream(Pumped(receiver)), pump.run(stored, rest))
    }
}

impl Pace {
    /// Reads the next piece of a client's body; trailers are none, and go no further (RFC 9110,
    /// section 6.5.1 allows it): no backend shall take them for headers.
    pub(crate) async fn next_piece(
        &mut self,
        body: &mut Incoming,
        limits: BodyLimits,
    ) -> Result<Option<Bytes>, Refusal> {
        loop {
            let began = Instant::now();
            let next = tokio::time::timeout(self.patience(limits), body.frame()).await;
            self.waited += began.elapsed();
            match next {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.bytes += data.len() as u64;
                    return Ok(Some(data));
                }
                Ok(Some(Err(error))) => return Err(broken(&error)),
                Err(_) => return Err(Refusal::new(Kind::BodyTimeout)),
            }
        }
    }

    fn patience(&self, limits: BodyLimits) -> Duration {
        if limits.rate_min == 0 {
            return limits.gap;
        }
        let earned = Duration::from_secs(self.bytes / u64::from(limits.rate_min));
        limits.gap.min((limits.gap + earned).saturating_sub(self.waited))
    }
}

/// Why a body cannot be read on: its framing is wrong, or the client has gone.
fn broken(error: &hyper::Error) -> Refusal {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    match source.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
            let why = source.map(ToString::to_string).unwrap_or_default();
            Refusal::new(Kind::BodyMalformed)
                .say(format!("The chunked request body is not well-formed: {why}."))
        }
        _ => Refusal::new(Kind::ClientGone).detail(error.to_string()),
    }
}

type PumpedFrame = Result<Frame<Bytes>, BodyError>;

struct Pump {
    recorder: Arc<Recorder>,
    limits: BodyLimits,
    sender: mpsc::Sender<PumpedFrame>,
    recorded: Arc<AtomicU64>,
    bytes: u64,
    from_client: Arc<AtomicU64>,
    changes: Vec<Splice>,
}

impl Pump {
    async fn run(mut self, stored: Stored, rest: Option<Incoming>) -> Result<(), Refusal> {
        let result = match self.pass_stored(&stored).await {
            Ok(true) => match rest {
                Some(rest) => self.pass_rest(rest).await,
                None => Ok(()),
            },
            Ok(false) => Ok(()),
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = &result {
            let broken: BodyError = Box::new(io::Error::other(refusal.code()));
            // An error means that the request to the backend has ended already.
            drop(self.sender.send(Err(broken)).await);
        }
        result
    }

    /// False if nobody wants the rest.
    async fn pass_stored(&mut self, stored: &Stored) -> Result<bool, Refusal> {
        loop {
            let piece = stored.piece(self.bytes).await.map_err(|error| {
                Refusal::new(Kind::GatewayFailed).detail(format!("spool file: {error}"))
            })?;
            if piece.is_empty() {
                return Ok(true);
            }
            if !self.pass(piece).await? {
                return Ok(false);
            }
        }
    }

    async fn pass_rest(&mut self, mut rest: Incoming) -> Result<(), Refusal> {
        let mut pace = Pace::default();
        while let Some(data) = pace.next_piece(&mut rest, self.limits).await? {
            self.from_client.fetch_add(data.len() as u64, Ordering::Relaxed);
            if !self.pass(data).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn pass(&mut self, data: Bytes) -> Result<bool, Refusal> {
        let offset = self.bytes;
        self.bytes += data.len() as u64;
        if self.bytes > self.limits.bytes_max {
            return Err(Refusal::new(Kind::BodyTooLarge));
        }
        // Pieces of the stored part are cut alike in every attempt.
        if offset >= self.recorded.load(Ordering::Acquire) && !data.is_empty() {
            self.recorder.append_chunk(Side::Request, &data).await?;
            self.recorded.store(self.bytes, Ordering::Release);
        }
        let data = changed(data, offset, &self.changes);
        Ok(self.sender.send(Ok(Frame::data(data))).await.is_ok())
    }
}

/// A piece of a body, which begins at `offset`, after changes to the body. They stand in their order
/// and do not overlap.
pub(crate) fn changed(piece: Bytes, offset: u64, changes: &[Splice]) -> Bytes {
    let end = offset + piece.len() as u64;
    let is_here = |change: &Splice| {
        change.span.start < end && change.span.end.max(change.span.start + 1) > offset
    };
    if !changes.iter().any(is_here) {
        return piece;
    }
    let place =
        |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX).min(piece.len());
    let mut out = BytesMut::with_capacity(piece.len() + 64);
    let mut from = 0;
    for change in changes.iter().filter(|change| is_here(change)) {
        out.extend_from_slice(&piece[from..place(change.span.start)]);
        if change.span.start >= offset {
            out.extend_from_slice(change.text.as_bytes());
        }
        from = place(change.span.end);
    }
    out.extend_from_slice(&piece[from..]);
    out.freeze()
}

struct Pumped(mpsc::Receiver<PumpedFrame>);

impl http_body::Body for Pumped {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PumpedFrame>> {
        self.get_mut().0.poll_recv(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_made_however_the_body_is_cut() {
        let body = Bytes::from_static(b"0123456789");
        for (changes, want) in [
            (vec![(0..0, "ab")], "ab0123456789"),
            (vec![(3..3, "ab")], "012ab3456789"),
            (vec![(3..8, "ab")], "012ab89"),
            (vec![(2..3, "")], "013456789"),
            (vec![(1..2, "one"), (2..2, "+"), (9..10, "x")], "0one+2345678x"),
        ] {
            let splice = |(span, text): (std::ops::Range<u64>, &'static str)| Splice {
                span,
                text: text.into(),
                member: "m",
            };
            let changes: Vec<Splice> = changes.into_iter().map(splice).collect();
            for size in 1..=10 {
                let mut out = Vec::new();
                for offset in (0..10).step_by(size) {
                    let piece = body.slice(offset..(offset + size).min(10));
                    out.extend_from_slice(&changed(piece, offset as u64, &changes));
                }
                assert_eq!(String::from_utf8(out).unwrap(), want, "in pieces of {size}");
            }
            let length = changes.iter().fold(10, |length, change| change.length_of(length));
            assert_eq!(length, want.len() as u64);
        }
    }
}
