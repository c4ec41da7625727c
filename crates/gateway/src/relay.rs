//! WebSockets: realtime sessions and the Responses API, passed on frame by frame.
//!
//! Bytes pass unchanged both ways, fragments, pings and compression included; a reader beside them
//! understands what they say. Every piece of a message is appended to the record before it is passed
//! on. The backend's close frame is held back until the end record is kept, as the last piece of any
//! other answer is; the gateway answers it to the backend itself.
//!
//! A session of the Responses API names its model only in its first message. The client's handshake
//! is then answered first, and the backend chosen once that message is there.

mod desk;
mod lane;
mod session;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use event::{Answered, HeaderList, SessionEnd, Side, Timestamp};
use http::request::Parts;
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use net::AnswerBody;
use policy::Grant;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;
use vault::Secret;

use crate::admitted::Admitted;
use crate::asked::Asked;
use crate::attempt::Begun;
use crate::exchange::{Ending, Exchange, Release};
use crate::learner::Learner;
use crate::passing::Passing;
use crate::refusal::{Kind, Refusal};
use crate::relay::desk::Desk;
use crate::relay::lane::{Lane, Look, SessionTally, Shared};
use crate::relay::session::{Ended, SessionLimits, Signals};
use crate::websocket::client::{ClientIo, Early, Farewell, LAST_WORDS, Opening};
use crate::websocket::frames::{self, Sender};
use crate::websocket::handshake::{Agreed, Handshake};
use crate::{credential, headers, record};

/// Bytes read of a backend's answer that is no WebSocket.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// What a session is under.
struct Terms<'a> {
    asked: &'a Asked,
    grant: &'a Grant,
    key: Option<Secret>,
    backend_id: String,
    agreed: Agreed,
}

impl Exchange {
    /// A request asks for a WebSocket, and its caller may have it.
    pub(crate) async fn begin_session(
        &mut self,
        parts: &mut Parts,
        asked: &mut Asked,
        upgrade: OnUpgrade,
    ) -> Result<Box<Opening>, Refusal> {
        let handshake = Handshake::read(parts)?;
        // Backends are asked over HTTP/1.1, whatever the client speaks.
        parts.method = Method::GET;
        let mut opening = Box::new(Opening { handshake, upgrade: Some(upgrade), key: None });
        if asked.begins_with_message() {
            let key = credential::find(&parts.headers, parts.uri.query());
            opening.key = key.map(Secret::new);
            Box::pin(self.accept_early(asked, &mut opening)).await?;
        }
        Ok(opening)
    }

    /// A backend answered something else than 101 to a client that has been connected already.
    pub(crate) async fn no_session(&mut self, begun: Begun) -> Refusal {
        let Begun { number, answer, .. } = begun;
        let answered = self.answered(number, &answer);
        let status = answer.status();
        let mut body = Vec::new();
        let mut frames = vec![answered];
        let mut rest = answer.into_body();
        let reading = async {
            while let Some(Ok(frame)) = rest.frame().await
                && body.len() < ANSWER_BYTES_MAX
            {
                body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            }
        };
        // What came in time is enough.
        let _ = tokio::time::timeout(LAST_WORDS, reading).await;
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let said = said["error"]["message"].as_str().unwrap_or_default().to_owned();
        frames.push(self.recorder.chunk(Side::Response, Bytes::from(body)));
        if let Err(refusal) = self.recorder.append(frames).await {
            return refusal;
        }
        Refusal::new(Kind::BackendFailed)
            .say(format!("The backend answered with status {}: {said}", status.as_u16()))
    }

    /// Answers the client's handshake and reads its first message, which names the model.
    pub(crate) async fn accept_early(
        &mut self,
        asked: &mut Asked,
        opening: &mut Opening,
    ) -> Result<(), Refusal> {
        opening.handshake.without_offers();
        let agreed = opening.handshake.agree_early();
        let mut head = Response::new(());
        headers::correlate(head.headers_mut(), self.recorder.id);
        let (io, headers) = self.switch(opening, &agreed, head.headers().clone()).await?;
        let limits = self.session_limits();
        let mut early = Box::new(Early {
            io,
            headers,
            frames: agreed.reader(Sender::Client, limits.message_bytes_max),
            buffer: BytesMut::new(),
            units: VecDeque::new(),
            status: opening.handshake.status().as_u16(),
        });
        let halt = self.gateway.halt.clone();
        let reading = early.first_message();
        let read = tokio::select! {
            read = tokio::time::timeout(limits.idle, reading) => read,
            () = halt.cancelled() => Ok(Err(Refusal::new(Kind::SessionStopped))),
        };
        let units: usize = early.units.iter().map(|unit| unit.wire.len()).sum();
        self.tally.request_bytes += (units + early.buffer.len()) as u64;
        self.early = Some(Mutex::new(early));
        let peek = read.unwrap_or_else(|_| Err(Refusal::new(Kind::SessionIdle)))?;
        if let Some(wrong) = peek.malformed() {
            return Err(Refusal::new(Kind::BodyMalformed).say(format!(
                "The first message is malformed at byte {}: {}.",
                wrong.offset, wrong.reason
            )));
        }
        asked.learn(&peek);
        Ok(())
    }

    /// A backend has agreed to a WebSocket: passes messages until the session ends.
    pub(crate) async fn relay(
        &mut self,
        admitted: &mut Admitted,
        begun: Begun,
    ) -> Result<Ending, Refusal> {
        let Begun { number, answer, chosen, is_client_gone, .. } = begun;
        let Some(mut opening) = admitted.opening.take() else {
            return Err(Refusal::new(Kind::BackendFailed).detail("a 101 that nobody asked for"));
        };
        let agreed = opening.handshake.agree(answer.headers()).map_err(|what| {
            Refusal::new(Kind::BackendFailed).detail(format!("WebSocket handshake: {what}"))
        })?;
        drop(self.recorder.append(vec![self.answered(number, &answer)]).await?);
        // In `overlap` the start record is still on its way: nothing is answered before it is kept.
        if let Some(opened) = self.opened.take() {
            record::kept(opened).await?;
        }
        if is_client_gone {
            return Err(Refusal::new(Kind::ClientGone));
        }
        let mut head_headers = Passing::new(answer.headers().clone());
        headers::towards_client(&mut head_headers, self.recorder.id);
        self.account.say_remaining(&mut head_headers);
        let backend = net::Upgraded::from_answer(answer)
            .await
            .map_err(|error| Refusal::new(Kind::BackendFailed).detail(error.story()))?;
        let early = match self.take_early() {
            Some(early) => *early,
            None => {
                let (io, headers) =
                    self.switch(&mut opening, &agreed, head_headers.into_headers()).await?;
                let max = self.session_limits().message_bytes_max;
                let frames = agreed.reader(Sender::Client, max);
                let (buffer, units) = (BytesMut::new(), VecDeque::new());
                let status = opening.handshake.status().as_u16();
                Early { io, headers, frames, buffer, units, status }
            }
        };
        let terms = Terms {
            asked: &admitted.asked,
            grant: &admitted.grant,
            key: opening.key,
            backend_id: chosen.backend.id.clone(),
            agreed,
        };
        let ending = Box::pin(self.converse(terms, early, backend)).await;
        drop(chosen);
        Ok(ending)
    }

    /// Answers the client's handshake and takes its connection over.
    async fn switch(
        &mut self,
        opening: &mut Opening,
        agreed: &Agreed,
        headers: HeaderMap,
    ) -> Result<(ClientIo, HeaderList), Refusal> {
        let gone = || Refusal::new(Kind::ClientGone);
        let mut head = Response::new(());
        *head.headers_mut() = headers;
        opening.handshake.answer(agreed, &mut head);
        let headers = record::header_list(head.headers());
        self.tally.response_bytes += headers::head_bytes(15, head.headers());
        self.tally.first_byte = Some(self.tally.started.elapsed());
        let reply = self.reply.take().ok_or_else(gone)?;
        if !reply.whole(head, Bytes::new()) {
            return Err(gone());
        }
        let upgrade = opening.upgrade.take().ok_or_else(gone)?;
        let io = upgrade.await.map_err(|_| gone())?;
        Ok((TokioIo::new(io), headers))
    }

    fn answered(&self, attempt: u32, answer: &Response<AnswerBody>) -> event::Frame {
        self.recorder.answered(Answered {
            answered_at: Timestamp::from(SystemTime::now()),
            protocol: record::protocol(answer.version()).to_owned(),
            status: answer.status().as_u16(),
            headers: record::header_list(answer.headers()),
            attempt,
        })
    }

    async fn converse(&mut self, terms: Terms<'_>, early: Early, backend: net::Upgraded) -> Ending {
        let Terms { asked, grant, key, backend_id, agreed } = terms;
        let Early { io, headers, frames, buffer, units, status } = early;
        let limits = self.session_limits();
        let (client_reader, client_writer) = tokio::io::split(io);
        let (backend_reader, backend_writer) = tokio::io::split(backend);
        let began = Instant::now();
        let (recorder, gateway) = (self.recorder.clone(), self.gateway.clone());
        // Its answers are counted one by one as they end.
        self.account.note_answer(101, &HeaderMap::new());
        let (look, learner) = match asked.begins_with_message() {
            true => {
                let owner = &grant.subscription_id;
                let learner = Learner::of_session(&asked.named, &backend_id, owner);
                (Look::Requests(None), Some(learner))
            }
            false => (Look::Not, None),
        };
        let desk = Desk { exchange: &mut *self, asked, grant, key, backend_id, learner };
        let mut client = Lane::new(Side::Request, (client_reader, backend_writer), frames, look)
            .with_early(units, buffer);
        let reader = agreed.reader(Sender::Server, limits.message_bytes_max);
        let ends = (backend_reader, client_writer);
        let mut server = Lane::new(Side::Response, ends, reader, Look::Responses(None))
            .ebbing_within(limits.drain_bytes_max);
        let shared = Shared {
            recorder: &recorder,
            moved_at: AtomicU64::new(0),
            began,
            ebbs: CancellationToken::new(),
            tally: Mutex::new(SessionTally::default()),
            desk: tokio::sync::Mutex::new(desk),
        };
        let signals = Signals { stop: &gateway.stop, halt: &gateway.halt };
        let ended = session::run(&mut client, &mut server, &shared, limits, signals).await;
        self.tally.backend += began.elapsed();
        self.tally.request_bytes += client.bytes;
        self.tally.response_bytes += server.bytes;
        self.tally.chunks = server.messages;
        self.session_end = Some(Box::new(SessionEnd {
            close_code: ended.code,
            close_reason: ended.reason.clone(),
            closed_by: ended.by.to_owned(),
            client_messages: client.messages,
            server_messages: server.messages,
        }));
        self.part(ended, client, server, (headers, status)).await
    }

    /// Says good-bye to the backend, and prepares the client's, which waits for the end record.
    async fn part(
        &mut self,
        ended: Ended,
        client: Lane<ReadHalf<ClientIo>, WriteHalf<net::Upgraded>>,
        server: Lane<ReadHalf<net::Upgraded>, WriteHalf<ClientIo>>,
        (headers, status): (HeaderList, u16),
    ) -> Ending {
        let may_tell_backend = client.may_put_in();
        let may_speak = server.may_put_in();
        let (client_reader, backend_writer) = client.into_ends();
        let (_, client_writer) = server.into_ends();
        if let (Some(mut writer), Some(code)) = (backend_writer, ended.tell_backend) {
            let frame = frames::close(Sender::Client, code, "");
            let telling = async {
                if may_tell_backend {
                    writer.write_all(&frame).await?;
                }
                writer.shutdown().await
            };
            // A backend that does not listen any more is told by the end of the connection.
            let _ = tokio::time::timeout(LAST_WORDS, telling).await;
        }
        if let Some(refusal) = &ended.error {
            self.errors.push(refusal.record(self.tally.started.elapsed()));
        }
        let wire = match &ended.held {
            Some(wire) => wire.clone(),
            None if ended.tells_client && may_speak => {
                frames::close(Sender::Server, ended.code, &ended.reason)
            }
            None => Bytes::new(),
        };
        if wire.is_empty()
            && ended.tells_client
            && let Some(end) = &mut self.session_end
        {
            // In the middle of a frame nothing can be said: the client sees a broken connection.
            end.close_code = 1006;
        }
        let release = match client_writer {
            Some(writer) => Release::Session(Box::new(Farewell {
                reader: client_reader,
                writer,
                wire,
                may_speak,
            })),
            None => Release::Nothing,
        };
        Ending {
            outcome: ended.outcome,
            status,
            headers: headers.into(),
            own_body: String::new(),
            frames: Vec::new(),
            release,
        }
    }

    fn session_limits(&self) -> SessionLimits {
        let config = &self.live.config;
        let websocket = &config.edge.websocket;
        SessionLimits {
            message_bytes_max: websocket.message_bytes_max,
            idle: Duration::from_millis(websocket.idle_timeout_ms),
            drain: Duration::from_millis(config.capture.drain_ms_max),
            drain_bytes_max: config.capture.drain_bytes_max,
        }
    }
}
