//! The answer on its way from an exchange's task to the client's connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::watch::Watch;

/// Pieces of an answer that wait for the client, each at most what one read of the backend gave.
const PIECES_MAX: usize = 2;

/// An answer ends without its end: the client must see that it is incomplete.
#[derive(Debug)]
pub(crate) struct Aborted;

/// A piece on its way. It is small: a channel has room for many from its beginning, and every open stream has one.
enum Piece {
    Data(Bytes),
    Trailers(Box<HeaderMap>),
    Aborted,
}

/// Where an exchange puts its answer.
pub(crate) struct Reply {
    sender: oneshot::Sender<Response<ReplyBody>>,
    stall: Duration,
}

/// Where an exchange puts the pieces of a streamed answer. Dropped, it ends the answer cleanly.
pub(crate) struct Pieces {
    sender: mpsc::Sender<Piece>,
    /// How long the client may take nothing; then it counts as gone.
    stall: Duration,
    /// It was left for that, so what it has is incomplete.
    is_left: Arc<AtomicBool>,
}

/// The body of an answer.
pub(crate) struct ReplyBody {
    source: Source,
    /// Told once the body is done with, so that the connection knows whose bytes follow.
    watch: Option<Arc<Watch>>,
}

enum Source {
    Whole(Option<Bytes>),
    Pieces(mpsc::Receiver<Piece>, Arc<AtomicBool>),
}

impl Reply {
    /// `stall` is how long a client may take nothing of a streamed answer.
    pub(crate) fn new(stall: Duration) -> (Self, oneshot::Receiver<Response<ReplyBody>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender, stall }, receiver)
    }

    /// Resolves when the client has gone.
    pub(crate) async fn gone(&mut self) {
        self.sender.closed().await;
    }

    /// Sends a whole answer; false if the client has gone.
    pub(crate) fn whole(self, head: Response<()>, body: Bytes) -> bool {
        let body = if body.is_empty() { None } else { Some(body) };
        self.sender.send(head.map(|()| ReplyBody::new(Source::Whole(body)))).is_ok()
    }

    /// Sends the head of an answer whose pieces follow.
    pub(crate) fn stream(self, head: Response<()>) -> Pieces {
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        // If the client has gone, the receiver goes with the answer, and the first piece tells.
        let is_left = Arc::new(AtomicBool::new(false));
        let source = Source::Pieces(receiver, is_left.clone());
        drop(self.sender.send(head.map(|()| ReplyBody::new(source))));
        Pieces { sender, stall: self.stall, is_left }
    }
}

impl Pieces {
    /// Hands a piece on; false if the client has gone.
    pub(crate) async fn send(&self, frame: Frame<Bytes>) -> bool {
        match self.sender.try_send(Piece::of(frame)) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(piece)) => {
                // Seldom: kept out of the future of every stream.
                let sending = tokio::time::timeout(self.stall, self.sender.send(piece));
                let sending = Box::pin(sending).await;
                self.is_left.store(sending.is_err(), Ordering::Release);
                matches!(sending, Ok(Ok(())))
            }
        }
    }

    /// Resolves when the client has gone.
    pub(crate) async fn gone(&self) {
        self.sender.closed().await;
    }

    /// Breaks the answer off.
    pub(crate) async fn abort(self) {
        // An error means that the client has gone already.
        let sending = tokio::time::timeout(self.stall, self.sender.send(Piece::Aborted)).await;
        self.is_left.store(sending.is_err(), Ordering::Release);
    }
}

impl Piece {
    fn of(frame: Frame<Bytes>) -> Self {
        match frame.into_data() {
            Ok(data) => Self::Data(data),
            Err(frame) => Self::Trailers(frame.into_trailers().map(Box::new).unwrap_or_default()),
        }
    }

    fn into_frame(self) -> Result<Frame<Bytes>, Aborted> {
        match self {
            Self::Data(data) => Ok(Frame::data(data)),
            Self::Trailers(trailers) => Ok(Frame::trailers(*trailers)),
            Self::Aborted => Err(Aborted),
        }
    }
}

impl ReplyBody {
    fn new(source: Source) -> Self {
        Self { source, watch: None }
    }

    pub(crate) fn watched(mut self, watch: Option<Arc<Watch>>) -> Self {
        self.watch = watch;
        self
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.answer_handed_over();
        }
    }
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match &mut self.get_mut().source {
            Source::Whole(data) => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Source::Pieces(pieces, is_left) => match ready!(pieces.poll_recv(cx)) {
                None if is_left.load(Ordering::Acquire) => Poll::Ready(Some(Err(Aborted))),
                piece => Poll::Ready(piece.map(Piece::into_frame)),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(Some(data)) => SizeHint::with_exact(data.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer was broken off")
    }
}

impl std::error::Error for Aborted {}
