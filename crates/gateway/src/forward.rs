//! From an admitted request to the head of an answer: open the record, choose, send, try again
//! where that is allowed.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use event::{Dispatched, Frame, Side, Timestamp};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use ledger::Durability;
use net::{AnswerBody, Body, ErrorKind};
use openai::Splice;
use tokio::task::JoinHandle;

use crate::answer::is_event_stream;
use crate::backend::Backend;
use crate::config::PoolConfig;
use crate::exchange::{Admitted, Ending, Exchange};
use crate::pool::{Chosen, Unavailable};
use crate::refusal::{Kind, Refusal};
use crate::spool::Stored;
use crate::upload::changed;
use crate::{headers, record};

/// How long an upload whose answer has ended may take to notice it.
const UPLOAD_END_WAIT: Duration = Duration::from_millis(100);
/// Bytes of a discarded answer's body that stand in the record.
const EXCERPT_BYTES_MAX: usize = 2 << 10;
/// How long they may take to come.
const EXCERPT_WAIT: Duration = Duration::from_millis(250);

/// A request body on its way.
pub(crate) struct Uploading {
    task: JoinHandle<Result<(), Refusal>>,
    /// Bytes that came from the client and had not been counted before.
    bytes: Arc<AtomicU64>,
}

/// An answer has begun.
pub(crate) struct Begun {
    /// Of the attempt, from 1.
    pub(crate) number: u32,
    pub(crate) answer: Response<AnswerBody>,
    /// The request's body, where it is still on its way.
    pub(crate) upload: Option<Uploading>,
    pub(crate) chosen: Chosen,
    /// The stream tells its usage though the client did not ask for it.
    pub(crate) adds_usage: bool,
    /// The client was gone before the answer began.
    pub(crate) is_client_gone: bool,
}

impl Begun {
    /// The backend speaks WebSocket from now on.
    fn is_websocket(&self) -> bool {
        self.answer.status() == StatusCode::SWITCHING_PROTOCOLS
    }

    /// The answer's status, and whether the client has gone.
    fn standing(&self) -> (u16, bool) {
        (self.answer.status().as_u16(), self.is_client_gone)
    }
}

/// One attempt.
pub(crate) struct Attempt {
    pub(crate) number: u32,
    chosen: Chosen,
    uri: Uri,
    headers: HeaderMap,
    /// Changes to the body, in their order.
    changes: Vec<Splice>,
}

/// Why an attempt gave no answer.
pub(crate) struct Failed {
    pub(crate) refusal: Refusal,
    /// It may be made again.
    pub(crate) may_repeat: bool,
}

/// The attempts of one request: how many, where, and for how long.
pub(crate) struct Course {
    attempts: u32,
    attempts_max: u32,
    /// No attempt begins after this.
    ends_at: Instant,
    pub(crate) tried: Vec<Arc<Backend>>,
    /// What is left of the time to wait while no backend is available.
    patience: Duration,
    pause: Duration,
    pause_max: Duration,
}

impl Course {
    fn new(config: &PoolConfig) -> Self {
        Self {
            attempts: 0,
            attempts_max: config.attempts_max.max(1),
            ends_at: Instant::now() + Duration::from_millis(config.attempts_budget_ms),
            tried: Vec::new(),
            patience: Duration::from_millis(config.wait_ms_max),
            pause: Duration::from_millis(config.retry_pause_ms),
            pause_max: Duration::from_millis(config.retry_pause_ms_max),
        }
    }

    pub(crate) fn may_go_on(&self) -> bool {
        self.attempts < self.attempts_max && Instant::now() < self.ends_at
    }

    /// The pause before a backend is tried again; up to half of it is taken off by chance, so that
    /// callers that failed together do not come back together.
    fn next_pause(&mut self) -> Option<Duration> {
        let whole = self.pause.min(self.pause_max);
        self.pause = whole.saturating_mul(2);
        let pause = whole.mul_f64(rand::random_range(0.5..=1.0));
        (Instant::now() + pause < self.ends_at).then_some(pause)
    }

    /// The time to wait for a backend that comes back at a moment, if it is worth it.
    fn wait_until(&mut self, until: Instant, now: Instant) -> Option<Duration> {
        // A little later, and not all at the same moment.
        let wait = until.saturating_duration_since(now) + Duration::from_millis(1);
        let wait = wait.mul_f64(rand::random_range(1.0..=1.1));
        if wait > self.patience || (self.attempts > 0 && now + wait >= self.ends_at) {
            return None;
        }
        self.patience -= wait;
        Some(wait)
    }
}

impl Exchange {
    pub(crate) async fn forward(&mut self, mut admitted: Admitted) -> Result<Ending, Refusal> {
        headers::towards_backend(&mut admitted.parts.headers);
        if admitted.asked.named.teaches() {
            // What is read must not be compressed.
            let plain = http::HeaderValue::from_static("identity");
            admitted.parts.headers.insert(http::header::ACCEPT_ENCODING, plain);
        }
        let mut course = Course::new(&self.live.config.pool);
        let chosen = match self.choose(&admitted, &mut course).await {
            Ok(chosen) => chosen,
            Err(refusal) => {
                return Box::pin(self.refuse_body(refusal, admitted.upload.stored)).await;
            }
        };
        let ended = self.attempts(&mut admitted, course, chosen).await;
        if let Some(from) = admitted.upload.unrecorded_from() {
            Box::pin(self.record_unread(&admitted.upload.stored, from)).await;
        }
        ended
    }

    /// Attempt after attempt, until one is answered or none may follow.
    async fn attempts(
        &mut self,
        admitted: &mut Admitted,
        mut course: Course,
        mut chosen: Chosen,
    ) -> Result<Ending, Refusal> {
        loop {
            let attempt = self.begin(chosen, admitted, &mut course).await?;
            let attempted = match self.hedge_after(admitted, &course) {
                None => self.attempt(attempt, admitted).await,
                Some(after) => Box::pin(self.hedged(after, attempt, admitted, &mut course)).await,
            };
            match attempted {
                Ok(begun) => match self.instead_of(begun.standing(), admitted, &mut course).await {
                    Some(other) => {
                        Box::pin(self.discard(begun)).await;
                        chosen = other;
                    }
                    None if begun.is_websocket() => {
                        return Box::pin(self.relay(admitted, begun)).await;
                    }
                    None if self.early.is_some() => {
                        return Err(Box::pin(self.no_session(begun)).await);
                    }
                    None => {
                        if is_event_stream(begun.answer.headers()) {
                            admitted.forget_request();
                        }
                        return self.answer(admitted, begun).await;
                    }
                },
                Err(failed) => {
                    let failed_at = self.tally.started.elapsed();
                    let again = self.again(&failed, admitted, &mut course);
                    // Seldom needed: kept out of the future of every exchange.
                    let Some(other) = Box::pin(again).await else { return Err(failed.refusal) };
                    self.errors.push(failed.refusal.record(failed_at));
                    chosen = other;
                }
            }
        }
    }

    /// What came from the client stands in the record, though no backend has read so far.
    async fn record_unread(&mut self, stored: &Stored, from: u64) {
        let recorded = match self.record_stored(stored, from).await {
            Ok(frames) if frames.is_empty() => return,
            Ok(frames) => self.recorder.append(frames).await.map(drop),
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = recorded {
            // A ledger that failed is noticed when the exchange is closed.
            let error = refusal.record(self.tally.started.elapsed());
            tracing::warn!(interaction = %self.recorder.id, message = error.message, "the rest of a request body is not recorded");
            self.errors.push(error);
        }
    }

    /// A backend that has not been tried; waits for the first to come back if that is soon.
    async fn choose(
        &mut self,
        admitted: &Admitted,
        course: &mut Course,
    ) -> Result<Chosen, Refusal> {
        loop {
            let now = Instant::now();
            let pool = &self.live.pool;
            let chosen = pool.choose(&admitted.asked, &admitted.home, &course.tried, now);
            let away = match chosen {
                Ok(chosen) => return Ok(chosen),
                Err(away) => away,
            };
            let wait = away.until.and_then(|until| course.wait_until(until, now));
            let Some(wait) = wait else { return Err(unavailable(away, now)) };
            Box::pin(self.pause(wait)).await?;
        }
    }

    async fn pause(&mut self, wait: Duration) -> Result<(), Refusal> {
        let Some(reply) = &mut self.reply else {
            tokio::time::sleep(wait).await;
            return Ok(());
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = reply.gone() => Err(Refusal::new(Kind::ClientGone)),
        }
    }

    /// Another backend in place of one whose answer is a failure. The last one's answer is the
    /// client's, unchanged.
    async fn instead_of(
        &mut self,
        (status, is_client_gone): (u16, bool),
        admitted: &Admitted,
        course: &mut Course,
    ) -> Option<Chosen> {
        if is_client_gone || !self.live.config.pool.failover_status.contains(&status) {
            return None;
        }
        // What refuses has done nothing; after another failure nobody knows.
        let is_refusal = matches!(status, 429 | 503);
        let may_repeat = admitted.upload.is_replayable()
            && (is_refusal || admitted.asked.is_repeatable(&admitted.parts.method));
        if !may_repeat || !course.may_go_on() {
            return None;
        }
        Box::pin(self.choose(admitted, course)).await.ok()
    }

    /// A backend for another attempt after one that gave no answer: one that was not tried, or else
    /// the same again after a pause.
    async fn again(
        &mut self,
        failed: &Failed,
        admitted: &Admitted,
        course: &mut Course,
    ) -> Option<Chosen> {
        if !failed.may_repeat || !course.may_go_on() {
            return None;
        }
        let pool = &self.live.pool;
        let now = Instant::now();
        let untried = pool.choose(&admitted.asked, &admitted.home, &course.tried, now);
        if let Ok(chosen) = untried {
            return Some(chosen);
        }
        let pause = course.next_pause()?;
        self.pause(pause).await.ok()?;
        course.tried.clear();
        self.choose(admitted, course).await.ok()
    }

    /// An answer gives way to another backend's; what it said stands among the errors.
    async fn discard(&mut self, begun: Begun) {
        let Begun { answer, mut upload, chosen, .. } = begun;
        let began = Instant::now();
        let (parts, mut body) = answer.into_parts();
        let mut excerpt = Vec::new();
        let reading = async {
            // One byte more than is kept tells whether it was all; read to its end, the connection
            // can be used again.
            while excerpt.len() <= EXCERPT_BYTES_MAX
                && let Some(Ok(frame)) = body.frame().await
            {
                excerpt.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            }
        };
        // What came in time is enough.
        let _ = tokio::time::timeout(EXCERPT_WAIT, reading).await;
        let cut = if excerpt.len() > EXCERPT_BYTES_MAX { "…" } else { "" };
        excerpt.truncate(EXCERPT_BYTES_MAX);
        let text = String::from_utf8_lossy(&excerpt);
        let detail = format!(
            "{}: answer with status {} discarded, another backend is tried: {text}{cut}",
            chosen.backend.id,
            parts.status.as_u16(),
        );
        let refusal = Refusal::new(Kind::BackendFailed).detail(detail);
        self.errors.push(refusal.record(self.tally.started.elapsed()));
        self.tally.backend += began.elapsed();
        self.end_upload(&mut upload).await;
    }

    /// Prepares an attempt and records it.
    pub(crate) async fn begin(
        &mut self,
        chosen: Chosen,
        admitted: &mut Admitted,
        course: &mut Course,
    ) -> Result<Attempt, Refusal> {
        course.attempts += 1;
        course.tried.push(chosen.backend.clone());
        let attempt = self.prepare(course.attempts, chosen, admitted)?;
        self.open(&attempt, admitted).await?;
        Ok(attempt)
    }

    fn prepare(
        &self,
        number: u32,
        chosen: Chosen,
        admitted: &Admitted,
    ) -> Result<Attempt, Refusal> {
        let backend = &chosen.backend;
        let uri = &admitted.parts.uri;
        let path =
            admitted.asked.upstream_path(backend.kind, uri.path(), uri.query().unwrap_or_default());
        let asked = &admitted.asked;
        let own_name = backend.own_name(asked.deployment());
        let usage = asked.usage_splice(&path).filter(|_| backend.ask_for_usage).cloned();
        let mut changes: Vec<Splice> =
            usage.into_iter().chain(asked.model_splice(backend.kind, own_name)).collect();
        changes.sort_by_key(|change| change.span.start);
        let path = asked.renamed(path, own_name);
        let uri = backend.path(&path).map_err(|error| {
            Refusal::new(Kind::HeadMalformed).detail(format!("upstream path: {error}"))
        })?;
        let mut headers = admitted.parts.headers.clone();
        backend.authorize(&mut headers);
        if !changes.is_empty() {
            headers::of_changed_body(&mut headers, &changes);
        }
        if let Some(opening) = &admitted.opening {
            opening.handshake.ask(&mut headers);
        }
        Ok(Attempt { number, chosen, uri, headers, changes })
    }

    /// Records that the request goes to a backend; the first time also that it was accepted, with its
    /// body if that is at hand. In `strict` it goes nowhere before this is kept.
    async fn open(&mut self, attempt: &Attempt, admitted: &mut Admitted) -> Result<(), Refusal> {
        let is_first = attempt.number == 1;
        let mut frames: Vec<Frame> = Vec::with_capacity(3);
        frames.extend(self.opened_frame());
        if is_first {
            frames.extend(self.reserved_frame());
        }
        if let Some(body) = admitted.upload.whole().filter(|body| is_first && !body.is_empty()) {
            frames.push(self.recorder.chunk(Side::Request, body.clone()));
        }
        frames.push(self.recorder.dispatched(Dispatched {
            sent_at: Timestamp::from(SystemTime::now()),
            attempt: attempt.number,
            backend_id: attempt.chosen.backend.id.clone(),
            method: admitted.parts.method.as_str().to_owned(),
            url: attempt.chosen.backend.url(&attempt.uri.to_string()),
            headers: record::header_list(&attempt.headers),
            body_changes: attempt.changes.iter().map(|change| change.member.to_owned()).collect(),
        }));
        let commit = self.recorder.append(frames).await?;
        match self.gateway.ledger.durability() {
            Durability::Strict => record::kept(commit).await.map(|_| ()),
            _ if is_first => {
                self.opened = Some(commit);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn attempt(
        &mut self,
        attempt: Attempt,
        admitted: &mut Admitted,
    ) -> Result<Begun, Failed> {
        let number = attempt.number;
        let (request, mut upload, mut chosen, adds_usage) = self.request(attempt, admitted);
        let client = chosen.backend.client.clone();
        let began = Instant::now();
        let (sent, is_client_gone) = self.while_client_waits(client.send(request)).await;
        self.tally.backend += began.elapsed();
        match sent {
            Some(Ok(answer)) => {
                chosen.answered(answer.status().as_u16(), answer.headers(), Instant::now());
                Ok(Begun { answer, upload, number, chosen, adds_usage, is_client_gone })
            }
            Some(Err(error)) => {
                let sent = self.end_upload(&mut upload).await;
                Err(failure(&mut chosen, &error, sent, admitted))
            }
            None => {
                self.end_upload(&mut upload).await;
                let refusal = Refusal::new(Kind::ClientGone);
                Err(Failed { refusal, may_repeat: false })
            }
        }
    }

    /// What is sent, the task that feeds its body, and whether the answer will tell more than was asked.
    pub(crate) fn request(
        &mut self,
        attempt: Attempt,
        admitted: &mut Admitted,
    ) -> (Request<Body>, Option<Uploading>, Chosen, bool) {
        let Attempt { chosen, uri, headers, changes, .. } = attempt;
        let adds_usage = changes.iter().any(Splice::asks_for_usage);
        let (body, upload) = self.body_of(admitted, changes);
        let mut request = Request::new(body);
        *request.method_mut() = admitted.parts.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        (request, upload, chosen, adds_usage)
    }

    /// The body to send, and the task that feeds it where it is not at hand.
    fn body_of(
        &mut self,
        admitted: &mut Admitted,
        changes: Vec<Splice>,
    ) -> (Body, Option<Uploading>) {
        if let Some(whole) = admitted.upload.whole() {
            return (Body::whole(changed(whole.clone(), 0, &changes)), None);
        }
        let limits = self.body_limits();
        let bytes = Arc::new(AtomicU64::new(0));
        let (body, pump) =
            admitted.upload.start(self.recorder.clone(), limits, bytes.clone(), changes);
        (body, Some(Uploading { task: self.gateway.tasks.spawn(pump), bytes }))
    }

    /// Waits for an answer. A client that hangs up is remembered; the answer is still waited for, so
    /// that its cost is known, but not for ever.
    pub(crate) async fn while_client_waits<F: Future>(
        &mut self,
        answer: F,
    ) -> (Option<F::Output>, bool) {
        let mut answer = pin!(answer);
        let Some(reply) = &mut self.reply else {
            return (Some(answer.await), self.early.is_none());
        };
        tokio::select! {
            biased;
            answered = &mut answer => (Some(answered), false),
            () = reply.gone() => {
                let limit = Duration::from_millis(self.live.config.capture.drain_ms_max);
                (tokio::time::timeout(limit, answer).await.ok(), true)
            }
        }
    }

    /// Ends the task that feeds a body; what it had sent, if it had ended by itself.
    pub(crate) async fn end_upload(
        &mut self,
        upload: &mut Option<Uploading>,
    ) -> Option<Result<(), Refusal>> {
        let Uploading { mut task, bytes } = upload.take()?;
        let ended = tokio::time::timeout(UPLOAD_END_WAIT, &mut task).await;
        if ended.is_err() {
            // The backend answered without wanting the rest.
            task.abort();
            drop(task.await);
        }
        self.tally.request_bytes += bytes.load(Ordering::Relaxed);
        ended.ok()?.ok()
    }
}

pub(crate) fn failure(
    chosen: &mut Chosen,
    error: &net::Error,
    sent: Option<Result<(), Refusal>>,
    admitted: &Admitted,
) -> Failed {
    let story = error.story();
    tracing::warn!(backend = chosen.backend.id, error = story, "a call to a backend failed");
    if let Some(Err(refusal)) = sent {
        return Failed { refusal, may_repeat: false };
    }
    chosen.failed(error, Instant::now());
    let detail = format!("{}: {story}", chosen.backend.id);
    let kind = match error.kind() {
        ErrorKind::Timeout => Kind::BackendTimeout,
        ErrorKind::Denied => Kind::AddressForbidden,
        ErrorKind::Body => Kind::ClientGone,
        _ => Kind::BackendFailed,
    };
    let can_repeat = match error.kind() {
        // None of it has left.
        ErrorKind::Connect | ErrorKind::Busy | ErrorKind::Denied => true,
        ErrorKind::Broken | ErrorKind::Timeout => {
            admitted.asked.is_repeatable(&admitted.parts.method)
        }
        ErrorKind::Body | ErrorKind::Config => false,
    };
    let may_repeat = can_repeat && admitted.upload.is_replayable();
    Failed { refusal: Refusal::new(kind).detail(detail), may_repeat }
}

/// No backend takes the call: when to come back.
pub(crate) fn unavailable(away: Unavailable, now: Instant) -> Refusal {
    let kind = if away.is_throttled { Kind::BackendsBusy } else { Kind::BackendsDown };
    let refusal = Refusal::new(kind).detail(away.why);
    match away.until {
        Some(until) => refusal.retry_after(until.saturating_duration_since(now)),
        None => refusal,
    }
}
