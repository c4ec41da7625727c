//! A connection that was handed over to another protocol, such as WebSocket.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::pool::Lease;
use crate::{AnswerBody, Error, ErrorKind};

/// The bytes of a connection whose origin answered with 101. It counts against the origin's
/// connections until it is dropped.
pub struct Upgraded {
    io: TokioIo<hyper::upgrade::Upgraded>,
    _lease: Option<Lease>,
}

impl Upgraded {
    /// Takes over the connection of an answer with status 101 to a request that carried `Upgrade`.
    pub async fn from_answer(mut answer: Response<AnswerBody>) -> Result<Self, Error> {
        let upgrade = hyper::upgrade::on(&mut answer);
        let lease = answer.into_body().into_lease();
        let io = upgrade.await.map_err(|source| {
            Error::caused(ErrorKind::Broken, "the connection was not handed over", source)
        })?;
        Ok(Self { io: TokioIo::new(io), _lease: lease })
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgraded")
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
