//! One HTTP/1.1 connection. Whoever uses it drives it: a task of its own would cost two changes of task for each
//! piece of an answer.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio_util::task::TaskTracker;

use crate::Body;
use crate::connector::Stream;

/// What a connection buffers at most, and so the largest piece of an answer.
pub(crate) const BUFFER_BYTES_MAX: usize = 16 << 10;

/// See the module.
pub(crate) struct Http1 {
    sender: SendRequest<Body>,
    /// None once the connection has ended, or a task drives it.
    driver: Option<Box<Connection<TokioIo<Stream>, Body>>>,
}

impl Http1 {
    pub(crate) async fn new(stream: Stream) -> hyper::Result<Self> {
        let (sender, connection) =
            Builder::new().max_buf_size(BUFFER_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Some(Box::new(connection)) })
    }

    /// Lets a task drive it, which can hand the connection over to another protocol. A request whose body is
    /// yet to come needs that too: it goes on while nobody reads the answer.
    pub(crate) fn spawn(&mut self, tasks: &TaskTracker) {
        let Some(driver) = self.driver.take() else { return };
        tasks.spawn(async move { note_end(driver.with_upgrades().await) });
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let mut sending = std::pin::pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        poll_fn(|cx| {
            drive(driver, cx);
            sending.as_mut().poll(cx)
        })
        .await
    }

    /// Moves the connection on.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, cx);
    }

    /// Moves the connection on as it lies idle; nobody is woken for it.
    pub(crate) fn rest(&mut self) {
        self.drive(&mut Context::from_waker(Waker::noop()));
    }

    /// The answer before has been read whole; false if the connection has been closed.
    pub(crate) async fn is_ready(&mut self) -> bool {
        let ready = poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(ready!(self.sender.poll_ready(cx)))
        });
        ready.await.is_ok()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

fn drive(driver: &mut Option<Box<Connection<TokioIo<Stream>, Body>>>, cx: &mut Context<'_>) {
    if let Some(connection) = driver
        && let Poll::Ready(result) = Pin::new(connection.as_mut()).poll(cx)
    {
        *driver = None;
        note_end(result);
    }
}

fn note_end(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "connection to a backend ended");
    }
}
