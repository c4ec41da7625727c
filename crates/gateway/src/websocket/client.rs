//! The client's end of a WebSocket before its session begins and after it has ended.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use event::{HeaderList, Opcode};
use http::Request;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use openai::Peeker;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use vault::Secret;

use crate::refusal::{Kind, Refusal};
use crate::websocket::frames::{self, FrameReader, Sender, Unit, Violation};
use crate::websocket::handshake::{self, Handshake};

/// How long a side may take to read the last bytes, and to close.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(2);
/// Room for one reading before a session begins.
const EARLY_READ_BYTES: usize = 16 << 10;

pub(crate) type ClientIo = TokioIo<Upgraded>;

/// A client that asks for a WebSocket, on its way to a backend.
pub(crate) struct Opening {
    pub(crate) handshake: Handshake,
    /// Becomes the client's bytes once its handshake is answered.
    pub(crate) upgrade: Option<OnUpgrade>,
    /// The caller's key: later messages may name another model.
    pub(crate) key: Option<Secret>,
}

/// A client whose handshake was answered before a backend was found.
pub(crate) struct Early {
    pub(crate) io: ClientIo,
    pub(crate) headers: HeaderList,
    pub(crate) frames: FrameReader,
    pub(crate) buffer: BytesMut,
    pub(crate) units: VecDeque<Unit>,
    pub(crate) status: u16,
}

/// The end of a session for the client.
pub(crate) struct Farewell {
    pub(crate) reader: ReadHalf<ClientIo>,
    pub(crate) writer: WriteHalf<ClientIo>,
    /// What is still to be written.
    pub(crate) wire: Bytes,
    /// A frame may be written: none is under way.
    pub(crate) may_speak: bool,
}

/// The client's connection, if the request asks for a WebSocket.
pub(crate) fn upgrade(request: &mut Request<Incoming>) -> Option<OnUpgrade> {
    let is_asked = handshake::is_asked(request.method(), request.headers(), request.extensions());
    is_asked.then(|| hyper::upgrade::on(request))
}

impl Early {
    /// Reads until the first message is whole. Pings are answered meanwhile, as nobody else would.
    pub(crate) async fn first_message(&mut self) -> Result<openai::Peek, Refusal> {
        let mut peeker = Peeker::new(Some("application/json"));
        loop {
            match self.frames.next(&mut self.buffer) {
                Err(Violation::TooLong) => return Err(Refusal::new(Kind::SessionTooLong)),
                Err(Violation::Protocol(what)) => {
                    return Err(Refusal::new(Kind::SessionProtocol).detail(what));
                }
                Ok(Some(unit)) => match unit.opcode {
                    Opcode::Text | Opcode::Binary => {
                        peeker.push(&unit.data);
                        let is_end = unit.is_end;
                        self.units.push_back(unit);
                        if is_end {
                            return Ok(peeker.finish());
                        }
                    }
                    Opcode::Ping => {
                        let pong = frames::frame(Sender::Server, Opcode::Pong, &unit.data);
                        self.io.write_all(&pong).await.map_err(gone)?;
                    }
                    Opcode::Pong => {}
                    Opcode::Close => return Err(Refusal::new(Kind::ClientGone)),
                },
                Ok(None) => {
                    self.buffer.reserve(EARLY_READ_BYTES);
                    if self.io.read_buf(&mut self.buffer).await.map_err(gone)? == 0 {
                        return Err(Refusal::new(Kind::ClientGone));
                    }
                }
            }
        }
    }

    /// The gateway's refusal as the client's SDK understands it, an error event and a close frame;
    /// with head and status that were answered.
    pub(crate) fn refuse(self, refusal: &Refusal, body: &[u8]) -> (HeaderList, u16, Farewell) {
        let code = match refusal.kind {
            Kind::ClientGone => 1000,
            Kind::SessionTooLong => 1009,
            Kind::SessionProtocol => 1002,
            Kind::SessionIdle | Kind::SessionStopped => 1001,
            Kind::LedgerDown | Kind::BackendsDown => 1013,
            _ if refusal.status().is_server_error() => 1011,
            _ => 1008,
        };
        let mut wire = BytesMut::new();
        if refusal.kind != Kind::ClientGone {
            wire.extend_from_slice(&frames::frame(
                Sender::Server,
                Opcode::Text,
                error_event(refusal, body).as_bytes(),
            ));
        }
        wire.extend_from_slice(&frames::close(Sender::Server, code, &refusal.message()));
        let (reader, writer) = tokio::io::split(self.io);
        let farewell = Farewell { reader, writer, wire: wire.freeze(), may_speak: true };
        (self.headers, self.status, farewell)
    }
}

/// The body of an error as an event of the API.
fn error_event(refusal: &Refusal, body: &[u8]) -> String {
    let mut event = serde_json::json!({"type": "error", "status": refusal.status().as_u16()});
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    event["error"] = match body.get("error") {
        Some(error) => error.clone(),
        None => serde_json::json!({"code": refusal.code(), "message": refusal.message()}),
    };
    event.to_string()
}

fn gone(_: std::io::Error) -> Refusal {
    Refusal::new(Kind::ClientGone)
}

impl Farewell {
    /// Writes the end and closes. What the client still sends is read and dropped for a moment, so
    /// that the connection's end does not destroy the bytes on their way.
    pub(crate) async fn hand_over(mut self) {
        let closing = async {
            self.writer.write_all(&self.wire).await?;
            self.writer.shutdown().await?;
            let mut scratch = vec![0; 4 << 10];
            while self.reader.read(&mut scratch).await? > 0 {}
            Ok::<(), std::io::Error>(())
        };
        let _ = tokio::time::timeout(LAST_WORDS, closing).await;
    }

    /// The end record could not be kept: the client must not take the session for a good one.
    pub(crate) async fn fail(mut self, refusal: &Refusal) -> u16 {
        let code = if self.may_speak { 1013 } else { 1006 };
        self.wire = match self.may_speak {
            true => frames::close(Sender::Server, code, &refusal.message()),
            false => Bytes::new(),
        };
        self.hand_over().await;
        code
    }
}
