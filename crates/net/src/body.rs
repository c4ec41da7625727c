//! Bodies: of requests on their way out, and of answers on their way in.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::pool::Lease;

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request.
#[derive(Debug)]
pub struct Body(Inner);

enum Inner {
    Whole(Option<Bytes>),
    Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>),
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self(Inner::Whole(None))
    }

    /// A body that is at hand.
    pub fn whole(data: Bytes) -> Self {
        Self(Inner::Whole(if data.is_empty() { None } else { Some(data) }))
    }

    /// A body that is yet to come.
    pub fn stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        Self(Inner::Stream(Box::pin(body)))
    }

    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.0, Inner::Whole(_))
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(data) => write!(f, "{} bytes", data.as_ref().map_or(0, Bytes::len)),
            Self::Stream(_) => f.write_str("stream"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().0 {
            Inner::Whole(data) => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Inner::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Whole(data) => data.is_none(),
            Inner::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole(data) => SizeHint::with_exact(data.as_ref().map_or(0, Bytes::len) as u64),
            Inner::Stream(body) => body.size_hint(),
        }
    }
}

/// The body of an answer. Read to its end, it gives its connection back; dropped before, it closes
/// the HTTP/1.1 connection or resets the HTTP/2 stream.
#[derive(Debug)]
pub struct AnswerBody {
    body: Incoming,
    lease: Option<Lease>,
}

impl AnswerBody {
    pub(crate) fn new(body: Incoming, lease: Lease) -> Self {
        let mut answer = Self { body, lease: Some(lease) };
        if answer.body.is_end_stream() {
            answer.end();
        }
        answer
    }

    /// The empty body of an answer that hands its connection over.
    pub(crate) fn switching(body: Incoming, lease: Lease) -> Self {
        Self { body, lease: Some(lease) }
    }

    pub(crate) fn into_lease(self) -> Option<Lease> {
        self.lease
    }

    fn end(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let mut polled = Pin::new(&mut this.body).poll_frame(cx);
        if polled.is_pending()
            && let Some(lease) = &mut this.lease
        {
            lease.drive(cx);
            polled = Pin::new(&mut this.body).poll_frame(cx);
        }
        let ended = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => this.body.is_end_stream(),
            _ => false,
        };
        if ended {
            this.end();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
