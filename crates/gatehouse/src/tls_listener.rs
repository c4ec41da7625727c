//! The admin listener over TLS. Handshakes run beside each other, so that a slow one holds up nobody.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway::ServerTls;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

/// Handshakes under way at once; further connections wait.
const HANDSHAKES_MAX: usize = 64;
/// Longest handshake.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after an accept that failed, as when files run out.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener whose connections are TLS.
pub(crate) struct TlsListener {
    listener: TcpListener,
    tls: Arc<ServerTls>,
    room: Arc<Semaphore>,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl TlsListener {
    pub(crate) fn new(listener: TcpListener, tls: Arc<ServerTls>) -> Self {
        let room = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        Self { listener, tls, room, handshakes: JoinSet::new() }
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let room = self.room.clone();
            let accepted = async {
                let permit = room.acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = done {
                        return connection;
                    }
                }
                (permit, accepted) = accepted => match accepted {
                    Ok((stream, peer)) => {
                        let acceptor = self.tls.acceptor();
                        self.handshakes.spawn(async move {
                            let shaken = tokio::time::timeout(TIMEOUT, acceptor.accept(stream)).await;
                            drop(permit);
                            shaken.ok()?.ok().map(|stream| (stream, peer))
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept on the admin listener");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
