//! The pieces of a streamed answer as they are worked on: what came together is one.
//!
//! A fast answer brings many events with each read of its connection. Each event by itself would be recorded,
//! looked through and written; together they take about as long as one.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use net::AnswerBody;

use crate::sse;

/// Most bytes of pieces that are made one; a single piece may be longer.
const BYTES_MAX: usize = 16 << 10;

/// What reading a body gives.
type Read<E> = Option<Result<Frame<Bytes>, E>>;

/// See the module.
pub(crate) struct Gather<B: Body = AnswerBody> {
    body: B,
    gathers: bool,
    /// What was read after the last piece and does not belong to it.
    next: Option<Read<B::Error>>,
    count: u64,
    /// Length of the last piece that was made of several: the next is likely to be as long.
    last: usize,
}

impl<B: Body<Data = Bytes> + Unpin> Gather<B> {
    /// Of an answer; only event streams are gathered.
    pub(crate) fn new(body: B, is_event_stream: bool) -> Self {
        Self { body, gathers: is_event_stream, next: None, count: 0, last: 0 }
    }

    /// The next piece; what is lost if this is dropped while it waits is nothing.
    pub(crate) async fn read(&mut self) -> Read<B::Error> {
        self.count = 1;
        let read = match self.next.take() {
            Some(read) => read,
            None => self.body.frame().await,
        };
        match read {
            Some(Ok(frame)) if self.gathers => Some(Ok(self.gather(frame).await)),
            read => read,
        }
    }

    /// Of how many pieces the last one read is made.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Adds what is there by now. What says that it is the last stays by itself, for it is held back.
    async fn gather(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let first = match frame.into_data() {
            Ok(data) if !sse::is_done(&data) => data,
            Ok(data) => return Frame::data(data),
            Err(trailers) => return trailers,
        };
        let mut all = BytesMut::new();
        while first.len().max(all.len()) < BYTES_MAX {
            let body = &mut self.body;
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx))).await;
            let Poll::Ready(read) = polled else { break };
            let data = read.as_ref().and_then(|read| read.as_ref().ok()?.data_ref());
            let Some(data) = data.filter(|data| !sse::is_done(data)) else {
                self.next = Some(read);
                break;
            };
            if all.is_empty() {
                all.reserve(self.last.max(2 * (first.len() + data.len())));
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(data);
            self.count += 1;
        }
        if all.is_empty() {
            return Frame::data(first);
        }
        self.last = all.len();
        Frame::data(all.freeze())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body_util::StreamBody;

    use super::*;

    /// Pieces as they come; an empty one stands for a pause.
    async fn read(pieces: &'static [&[u8]], is_event_stream: bool) -> Vec<(Bytes, u64)> {
        let pieces = stream::iter(pieces).filter_map(async |piece| {
            if piece.is_empty() {
                tokio::task::yield_now().await;
                return None;
            }
            Some(Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece))))
        });
        let mut gather = Gather::new(Box::pin(StreamBody::new(pieces)), is_event_stream);
        let mut read = Vec::new();
        while let Some(Ok(frame)) = gather.read().await {
            read.push((frame.into_data().unwrap(), gather.count()));
        }
        read
    }

    #[tokio::test]
    async fn what_comes_together_is_one_and_the_last_event_stands_alone() {
        let pieces: &[&[u8]] =
            &[b"data: 1\n\n", b"data: 2\n\n", b"", b"data: 3\n\n", b"data: [DONE]\n\n", b"\n"];
        let gathered = read(pieces, true).await;
        let want: [(&[u8], u64); 4] = [
            (b"data: 1\n\ndata: 2\n\n", 2),
            (b"data: 3\n\n", 1),
            (b"data: [DONE]\n\n", 1),
            (b"\n", 1),
        ];
        assert_eq!(gathered, want.map(|(bytes, count)| (Bytes::from_static(bytes), count)));
        assert_eq!(read(pieces, false).await.len(), 5);
    }

    #[tokio::test]
    async fn no_more_is_gathered_than_the_limit_and_one_piece() {
        const PIECE: &[u8] = &[b'x'; 10_000];
        let gathered = read(&[PIECE, PIECE, PIECE, PIECE, PIECE], true).await;
        assert_eq!(gathered.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 2, 1]);
    }
}
