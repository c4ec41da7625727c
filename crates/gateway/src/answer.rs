//! The answer: recorded as it passes, its end held back until the end record is kept.
//!
//! A short answer of known length goes out in one piece after its record. Any other is passed on
//! piece by piece at once, but for what would let the client see it as complete: the last piece of a
//! known length, the piece that ends with `data: [DONE]`, and always the end of the body itself
//! (HTTP/1.1's last chunk, HTTP/2's END_STREAM). A `[DONE]` that is not soon followed by the end of
//! the body is passed on as well, so that no stream waits for a slow close.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use event::{Answered, Frame as Record, Outcome, Side, Timestamp};
use http::response::Parts;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::BodyExt;
use net::AnswerBody;
use openai::UsageFilter;

use crate::admitted::Admitted;
use crate::attempt::Begun;
use crate::exchange::{Ending, Exchange, Release};
use crate::gather::Gather;
use crate::learner::Learner;
use crate::passing::Passing;
use crate::record::SentHeaders;
use crate::refusal::{Kind, Refusal};
use crate::reply::Pieces;
use crate::sse::{self, Dialect, Tail, WholeEvents, joined};
use crate::{headers, record};

/// How long a piece that says it is the last may wait for the end of the body.
const DONE_WAIT: Duration = Duration::from_millis(250);

/// What an answer's next piece was.
enum Next {
    Piece(Frame<Bytes>),
    End,
    Broken(String),
    /// The client has gone and the limits for reading on are reached.
    GivenUp,
    /// The time that a held piece may wait is over.
    Waited,
}

/// An answer that is passed on as it comes.
struct Streaming {
    /// The head that the client got.
    status: u16,
    headers: SentHeaders,
    body: Gather,
    /// None once the client has gone.
    pieces: Option<Pieces>,
    gone: Option<Gone>,
    remaining: Option<u64>,
    is_event_stream: bool,
    /// Where an error event can be added.
    whole: Option<WholeEvents>,
    /// Takes out what only the gateway asked for.
    filter: Option<UsageFilter>,
    tail: Tail,
    /// How an error is told in it.
    dialect: Dialect,
    held: Option<Frame<Bytes>>,
    last_at: Instant,
}

/// Reading on after the client hung up.
struct Gone {
    deadline: tokio::time::Instant,
    bytes_left: u64,
}

impl Exchange {
    /// Passes the answer on, up to its end.
    pub(crate) async fn answer(
        &mut self,
        admitted: Box<Admitted>,
        begun: Begun,
    ) -> Result<Ending, Refusal> {
        let Begun { answer, mut upload, number, chosen, adds_usage, is_client_gone } = begun;
        let (parts, body) = answer.into_parts();
        let answered = self.recorder.answered(Answered {
            answered_at: Timestamp::from(SystemTime::now()),
            protocol: record::protocol(parts.version).to_owned(),
            status: parts.status.as_u16(),
            headers: record::header_list(&parts.headers),
            attempt: number,
        });
        self.account.note_answer(parts.status.as_u16(), &parts.headers);
        self.learner = Learner::of(&admitted, &chosen.backend.id, &parts);
        let length = body_length(&admitted.parts.method, &parts);
        let dialect = Dialect::of(&admitted.asked.target);
        let sent = admitted.into_upload();
        let whole_max = u64::from(self.live.config.capture.whole_answer_bytes_max);
        let ending = match length {
            Some(length) if length <= whole_max && !is_event_stream(&parts.headers) => {
                self.pass_whole(answered, parts, body, is_client_gone).await
            }
            _ => {
                let answer = (answered, parts, body, length);
                let filter = adds_usage.then(UsageFilter::default);
                let _open = self.gateway.counters.open_stream();
                // By itself: what it takes to begin is given back before the pieces pass.
                let begun = Box::pin(self.begin_stream(answer, filter, dialect, is_client_gone));
                match begun.await {
                    Ok(streaming) => Ok(Box::pin(self.pass_stream(streaming)).await),
                    Err(refusal) => Err(refusal),
                }
            }
        };
        if ending.as_ref().is_ok_and(|ending| ending.outcome == Outcome::BackendFailed) {
            chosen.broke_off("an answer broke off", Instant::now());
        }
        drop(chosen);
        self.end_upload(&mut upload).await;
        self.record_unread(&sent).await;
        ending
    }

    async fn pass_whole(
        &mut self,
        answered: Record,
        parts: Parts,
        mut body: AnswerBody,
        mut is_client_gone: bool,
    ) -> Result<Ending, Refusal> {
        let began = Instant::now();
        let mut data = Bytes::new();
        let gap = Duration::from_millis(self.live.config.capture.answer_gap_timeout_ms);
        let drain = Duration::from_millis(self.live.config.capture.drain_ms_max);
        let broken = loop {
            let next = tokio::time::timeout(gap, body.frame());
            let next = match (&mut self.reply, is_client_gone) {
                (Some(reply), false) => tokio::select! {
                    biased;
                    next = next => next,
                    () = reply.gone() => {
                        is_client_gone = true;
                        continue;
                    }
                },
                _ => match tokio::time::timeout(drain, next).await {
                    Ok(next) => next,
                    Err(_) => break Some("the client has gone and the answer is slow".to_owned()),
                },
            };
            match next {
                Ok(None) => break None,
                Ok(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data() {
                        self.tally.chunks += 1;
                        data = joined(data, piece);
                    }
                }
                Ok(Some(Err(error))) => break Some(error.to_string()),
                Err(_) => break Some(format!("no byte for {} ms", gap.as_millis())),
            }
        };
        self.tally.backend += began.elapsed();
        let mut frames = Vec::with_capacity(3);
        frames.push(answered);
        if !data.is_empty() {
            frames.push(self.recorder.chunk(Side::Response, data.clone()));
        }
        // In `overlap` the start record may still be on its way. Nothing of the answer leaves before the end
        // record is kept, which stands behind it: one wait for both.
        drop(self.opened.take());
        if let Some(why) = broken {
            let kind = if is_client_gone { Kind::ClientGone } else { Kind::BackendFailed };
            return Ok(self.refuse(Refusal::new(kind).detail(why), frames));
        }
        if let Some(mut learner) = self.learner.take() {
            learner.push(&data);
            if let Some((frame, record)) = Box::pin(self.note_objects(&mut learner)).await? {
                frames.push(frame);
                self.learnt.push(record);
            }
        }
        Ok(self.whole_ending(frames, parts, data, is_client_gone))
    }

    pub(crate) fn whole_ending(
        &mut self,
        frames: Vec<Record>,
        parts: Parts,
        data: Bytes,
        is_client_gone: bool,
    ) -> Ending {
        let status = parts.status.as_u16();
        let mut passing = Passing::new(parts.headers);
        self.account.note_answer_bytes(&data);
        self.account.settle(&self.live.rules, &mut passing, Outcome::Complete);
        let (head, headers) = self.head(parts.status, passing);
        self.tally.first_byte = Some(self.tally.started.elapsed());
        self.tally.response_bytes += data.len() as u64;
        let (outcome, release) = match self.reply.take() {
            Some(reply) if !is_client_gone => {
                (Outcome::Complete, Release::Whole(reply, head, data))
            }
            _ => (Outcome::ClientGone, Release::Nothing),
        };
        Ending { outcome, status, headers, own_body: String::new(), frames, release }
    }

    /// The head for the client, and how its headers differ from the backend's.
    fn head(&mut self, status: StatusCode, mut passing: Passing) -> (Response<()>, SentHeaders) {
        headers::towards_client(&mut passing, self.recorder.id);
        if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            passing.remove(header::CONTENT_LENGTH);
        }
        let changes = passing.changes();
        let mut head = Response::new(());
        *head.status_mut() = status;
        *head.headers_mut() = passing.into_headers();
        self.tally.response_bytes += headers::head_bytes(15, head.headers());
        (head, changes)
    }

    /// Passes the head on.
    async fn begin_stream(
        &mut self,
        (answered, parts, body, remaining): (Record, Parts, AnswerBody, Option<u64>),
        filter: Option<UsageFilter>,
        dialect: Dialect,
        is_client_gone: bool,
    ) -> Result<Box<Streaming>, Refusal> {
        // What the head tells, before it goes out.
        self.keep_learnt(&Bytes::new()).await?;
        let is_plain = !parts.headers.contains_key(header::CONTENT_ENCODING);
        let is_event_stream = is_event_stream(&parts.headers) && is_plain;
        let filter = filter.filter(|_| is_event_stream);
        let mut passing = Passing::new(parts.headers);
        if filter.is_some() {
            passing.remove(header::CONTENT_LENGTH);
        }
        let status = parts.status.as_u16();
        self.recorder.append_unawaited(answered).await?;
        // In `overlap` the start record is still on its way: no answer byte leaves before it is kept.
        if let Some(opened) = self.opened.take() {
            record::kept(opened).await?;
        }
        self.account.say_remaining(&mut passing);
        let (head, headers) = self.head(parts.status, passing);
        self.tally.first_byte = Some(self.tally.started.elapsed());
        let can_add_events = is_event_stream && (remaining.is_none() || filter.is_some());
        let mut streaming = Box::new(Streaming {
            status,
            headers,
            body: Gather::new(body, is_event_stream),
            pieces: self.reply.take().map(|reply| reply.stream(head)),
            gone: None,
            remaining,
            is_event_stream,
            whole: can_add_events.then(WholeEvents::default),
            filter,
            tail: Tail::of(dialect),
            dialect,
            held: None,
            last_at: Instant::now(),
        });
        if is_client_gone {
            self.let_go(&mut streaming);
        }
        Ok(streaming)
    }

    /// Passes the pieces on.
    async fn pass_stream(&mut self, mut streaming: Box<Streaming>) -> Ending {
        let passed = self.pass_pieces(&mut streaming).await;
        let Streaming { status, headers, pieces, held, tail, whole, dialect, .. } = *streaming;
        let mut ending = Ending {
            outcome: Outcome::Complete,
            status,
            headers,
            own_body: String::new(),
            frames: Vec::new(),
            release: Release::Nothing,
        };
        let held_bytes = held.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
        self.tally.response_bytes += held_bytes as u64;
        match (passed, pieces) {
            (Ok(()), Some(pieces)) => ending.release = Release::End(pieces, held),
            (Ok(()), None) => ending.outcome = Outcome::ClientGone,
            (Err(refusal), pieces) => {
                self.errors.push(refusal.record(self.tally.started.elapsed()));
                ending.outcome = match refusal.kind {
                    Kind::ClientGone => Outcome::ClientGone,
                    Kind::LedgerDown => Outcome::GatewayFailed,
                    _ => Outcome::BackendFailed,
                };
                let Some(pieces) = pieces else { return ending };
                let Some(whole) = whole.filter(|_| refusal.kind != Kind::LedgerDown) else {
                    ending.release = Release::Abort(pieces);
                    return ending;
                };
                ending.own_body = sse::error_event(dialect, (&tail, &whole), &refusal);
                self.tally.response_bytes += ending.own_body.len() as u64;
                let event = Frame::data(Bytes::from(ending.own_body.clone()));
                ending.release = Release::End(pieces, Some(event));
            }
        }
        ending
    }

    /// Passes pieces on until the end, but for the one that is held back.
    async fn pass_pieces(&mut self, streaming: &mut Streaming) -> Result<(), Refusal> {
        loop {
            let began = Instant::now();
            let next = self.next(streaming).await;
            self.tally.backend += began.elapsed();
            match next {
                Next::End => {
                    streaming.end_events();
                    return Ok(());
                }
                Next::Broken(why) => {
                    // What was held was not the end after all. Half an event is dropped.
                    if streaming.whole.is_none() {
                        streaming.end_events();
                    }
                    self.let_held_pass(streaming).await;
                    return Err(Refusal::new(Kind::BackendFailed).detail(why));
                }
                Next::GivenUp => {
                    let why = "the rest of the answer was not read on";
                    return Err(Refusal::new(Kind::ClientGone).detail(why));
                }
                Next::Waited => self.let_held_pass(streaming).await,
                Next::Piece(frame) => {
                    self.let_held_pass(streaming).await;
                    if let Some(data) = frame.data_ref() {
                        self.note_piece(streaming, data).await?;
                    }
                    let is_last = streaming.is_last(&frame);
                    let frame = streaming.passing(frame, is_last);
                    if !is_last {
                        self.pass_piece(streaming, frame).await;
                        continue;
                    }
                    streaming.held = Some(frame);
                    if streaming.remaining == Some(0) {
                        streaming.end_events();
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn next(&mut self, streaming: &mut Streaming) -> Next {
        let capture = &self.live.config.capture;
        let is_held = streaming.held.is_some();
        let gap = match &streaming.gone {
            Some(gone) => {
                let left = gone.deadline.saturating_duration_since(tokio::time::Instant::now());
                // What is always ready would never meet its timeout.
                if left.is_zero() {
                    return Next::GivenUp;
                }
                left
            }
            None if is_held => DONE_WAIT,
            None => Duration::from_millis(capture.answer_gap_timeout_ms),
        };
        let reading = tokio::time::timeout(gap, streaming.body.read());
        let read = match &streaming.pieces {
            None => reading.await,
            Some(pieces) => tokio::select! {
                biased;
                read = reading => read,
                () = pieces.gone() => {
                    self.let_go(streaming);
                    return Next::Waited;
                }
            },
        };
        match read {
            Ok(None) => Next::End,
            Ok(Some(Ok(frame))) => Next::Piece(frame),
            Ok(Some(Err(error))) => Next::Broken(error.to_string()),
            Err(_) if streaming.gone.is_some() => Next::GivenUp,
            Err(_) if is_held => Next::Waited,
            Err(_) => Next::Broken(format!("no byte for {} ms", gap.as_millis())),
        }
    }

    async fn note_piece(&mut self, streaming: &mut Streaming, data: &Bytes) -> Result<(), Refusal> {
        let now = Instant::now();
        if self.tally.chunks > 0 {
            self.tally.gap_max = self.tally.gap_max.max(now - streaming.last_at);
        }
        streaming.last_at = now;
        self.tally.chunks += streaming.body.count();
        if let Some(remaining) = &mut streaming.remaining {
            *remaining = remaining.saturating_sub(data.len() as u64);
        }
        if streaming.is_event_stream {
            streaming.tail.push(data);
        }
        self.account.note_answer_bytes(data);
        if let Some(gone) = &mut streaming.gone {
            gone.bytes_left = gone.bytes_left.saturating_sub(data.len() as u64);
            if gone.bytes_left == 0 {
                gone.deadline = tokio::time::Instant::now();
            }
        }
        self.recorder.append_chunk(Side::Response, data).await?;
        self.keep_learnt(data).await
    }

    /// Looks for new objects in a piece, and keeps them before it goes on.
    async fn keep_learnt(&mut self, data: &Bytes) -> Result<(), Refusal> {
        let Some(mut learner) = self.learner.take() else { return Ok(()) };
        learner.push(data);
        if !learner.has_none() {
            Box::pin(self.keep_objects(&mut learner)).await?;
        }
        self.learner = Some(learner);
        Ok(())
    }

    async fn let_held_pass(&mut self, streaming: &mut Streaming) {
        if let Some(held) = streaming.held.take() {
            self.pass_piece(streaming, held).await;
        }
    }

    async fn pass_piece(&mut self, streaming: &mut Streaming, frame: Frame<Bytes>) {
        let Some(pieces) = &streaming.pieces else { return };
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        if bytes == 0 && frame.is_data() {
            return;
        }
        let began = Instant::now();
        let has_client = pieces.send(frame).await;
        self.tally.client += began.elapsed();
        if has_client {
            self.tally.response_bytes += bytes;
        } else {
            self.let_go(streaming);
        }
    }

    /// The client has gone: from now on the answer is only read and recorded, within limits.
    fn let_go(&self, streaming: &mut Streaming) {
        let capture = &self.live.config.capture;
        let limit = Duration::from_millis(capture.drain_ms_max);
        streaming.pieces = None;
        streaming.held = None;
        streaming.gone = Some(Gone {
            deadline: tokio::time::Instant::now() + limit,
            bytes_left: capture.drain_bytes_max,
        });
    }
}

impl Streaming {
    /// This piece lets the client see the answer as complete.
    fn is_last(&self, frame: &Frame<Bytes>) -> bool {
        frame.is_trailers()
            || self.remaining == Some(0)
            || (self.is_event_stream && self.tail.is_done())
    }

    /// What may pass of a piece: whole events, without what only the gateway asked for.
    fn passing(&mut self, frame: Frame<Bytes>, is_last: bool) -> Frame<Bytes> {
        frame.map_data(|data| {
            let data = match &mut self.filter {
                Some(filter) => match filter.push(&data) {
                    Cow::Borrowed(part) => data.slice_ref(part),
                    Cow::Owned(part) => part.into(),
                },
                None => data,
            };
            match &mut self.whole {
                Some(whole) if is_last => joined(whole.take(), data),
                Some(whole) => whole.push(data),
                None => data,
            }
        })
    }

    /// Nothing more comes: what was not whole goes with the piece that is held.
    fn end_events(&mut self) {
        let begun = self.whole.as_mut().map(WholeEvents::take).unwrap_or_default();
        let rest = self.filter.take().map(|mut filter| filter.finish()).unwrap_or_default();
        let rest = joined(begun, rest.into());
        if rest.is_empty() {
            return;
        }
        let held = self.held.take().and_then(|held| held.into_data().ok()).unwrap_or_default();
        self.held = Some(Frame::data(joined(held, rest)));
    }
}

/// Length of the body, where it is known beforehand.
fn body_length(method: &Method, parts: &Parts) -> Option<u64> {
    if *method == Method::HEAD
        || parts.status == StatusCode::NO_CONTENT
        || parts.status == StatusCode::NOT_MODIFIED
    {
        return Some(0);
    }
    parts.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}
