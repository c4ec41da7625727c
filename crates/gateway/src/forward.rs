//! From an admitted request to the head of an answer: open the record, choose, send, try another
//! backend where that is allowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use event::{Dispatched, Frame, Side, Timestamp};
use http::{HeaderMap, Request, Response, Uri};
use ledger::Durability;
use net::{AnswerBody, Body, ErrorKind};
use tokio::task::JoinHandle;

use crate::backend::{Backend, Flight};
use crate::exchange::{Admitted, Ending, Exchange};
use crate::refusal::{Kind, Refusal};
use crate::{headers, record};

/// How long an upload whose answer has ended may take to notice it.
const UPLOAD_END_WAIT: Duration = Duration::from_millis(100);

/// A request body on its way.
pub(crate) struct Uploading {
    task: JoinHandle<Result<(), Refusal>>,
    /// Bytes that came from the client and had not been counted before.
    bytes: Arc<AtomicU64>,
}

/// An answer has begun.
pub(crate) struct Begun {
    pub(crate) answer: Response<AnswerBody>,
    /// The request's body, where it is still on its way.
    pub(crate) upload: Option<Uploading>,
    pub(crate) flight: Flight,
    /// The client was gone before the answer began.
    pub(crate) is_client_gone: bool,
}

/// One attempt.
struct Attempt {
    number: u32,
    backend: Arc<Backend>,
    uri: Uri,
    headers: HeaderMap,
}

/// Why an attempt gave no answer.
struct Failed {
    refusal: Refusal,
    /// Another backend may be tried.
    may_repeat: bool,
}

impl Exchange {
    pub(crate) async fn forward(&mut self, mut admitted: Admitted) -> Result<Ending, Refusal> {
        headers::towards_backend(&mut admitted.parts.headers);
        let pool = &self.live.config.pool;
        let budget = Duration::from_millis(pool.attempts_budget_ms);
        let attempts_max = pool.attempts_max.max(1);
        let began = Instant::now();
        let mut tried: Vec<String> = Vec::new();
        let mut last = Refusal::new(Kind::BackendsDown);
        for number in 1..=attempts_max {
            let chosen = self.live.pool.choose(&admitted.grant, &admitted.asked, &tried);
            let Some(backend) = chosen else { break };
            tried.push(backend.id.clone());
            let attempt = self.prepare(number, backend, &admitted)?;
            self.open(&attempt, &mut admitted).await?;
            let may_go_on = number < attempts_max && began.elapsed() < budget;
            match self.attempt(attempt, &mut admitted).await {
                Ok(begun) => {
                    let status = begun.answer.status().as_u16();
                    let is_failure = self.live.config.pool.failover_status.contains(&status);
                    let has_other = || {
                        self.live.pool.choose(&admitted.grant, &admitted.asked, &tried).is_some()
                    };
                    let may_repeat = admitted.upload.is_replayable() && !begun.is_client_gone;
                    if is_failure && may_go_on && may_repeat && has_other() {
                        self.note_discarded(status);
                        continue;
                    }
                    return self.answer(&admitted, begun).await;
                }
                Err(failed) if failed.may_repeat && may_go_on => {
                    self.errors.push(failed.refusal.record(self.tally.started.elapsed()));
                    last = failed.refusal;
                }
                Err(failed) => return Err(failed.refusal),
            }
        }
        if tried.is_empty() {
            return Box::pin(self.refuse_body(last, admitted.upload.stored)).await;
        }
        // It stands among the errors already; the answer to the client is the last one's.
        self.errors.pop_if(|error| error.reason == last.code());
        Err(last)
    }

    fn prepare(
        &self,
        number: u32,
        backend: Arc<Backend>,
        admitted: &Admitted,
    ) -> Result<Attempt, Refusal> {
        let uri = &admitted.parts.uri;
        let path =
            admitted.asked.upstream_path(backend.kind, uri.path(), uri.query().unwrap_or_default());
        let uri = backend.path(&path).map_err(|error| {
            Refusal::new(Kind::HeadMalformed).detail(format!("upstream path: {error}"))
        })?;
        let mut headers = admitted.parts.headers.clone();
        backend.authorize(&mut headers);
        Ok(Attempt { number, backend, uri, headers })
    }

    /// Records that the request goes to a backend; the first time also that it was accepted, with its
    /// body if that is at hand. In `strict` it goes nowhere before this is kept.
    async fn open(&mut self, attempt: &Attempt, admitted: &mut Admitted) -> Result<(), Refusal> {
        let is_first = attempt.number == 1;
        let mut frames: Vec<Frame> = Vec::with_capacity(3);
        frames.extend(self.opened_frame());
        if let Some(body) = admitted.upload.whole().filter(|body| is_first && !body.is_empty()) {
            frames.push(self.recorder.chunk(Side::Request, body.clone()));
        }
        frames.push(self.recorder.dispatched(Dispatched {
            sent_at: Timestamp::from(SystemTime::now()),
            attempt: attempt.number,
            backend_id: attempt.backend.id.clone(),
            method: admitted.parts.method.as_str().to_owned(),
            url: attempt.backend.url(&attempt.uri.to_string()),
            headers: record::header_list(&attempt.headers),
        }));
        let commit = self.recorder.append(frames).await?;
        match self.gateway.ledger.durability() {
            Durability::Strict => record::kept(commit).await,
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
        let flight = attempt.backend.flight();
        let (body, mut upload) = self.body_of(admitted);
        let mut request = Request::new(body);
        *request.method_mut() = admitted.parts.method.clone();
        *request.uri_mut() = attempt.uri;
        *request.headers_mut() = attempt.headers;
        let began = Instant::now();
        let (sent, is_client_gone) = self.send(&attempt.backend, request).await;
        self.tally.backend += began.elapsed();
        match sent {
            Some(Ok(answer)) => {
                attempt.backend.succeeded();
                Ok(Begun { answer, upload, flight, is_client_gone })
            }
            Some(Err(error)) => {
                let sent = self.end_upload(&mut upload).await;
                Err(self.failure(&attempt.backend, &error, sent, admitted))
            }
            None => {
                self.end_upload(&mut upload).await;
                let refusal = Refusal::new(Kind::ClientGone);
                Err(Failed { refusal, may_repeat: false })
            }
        }
    }

    /// The body to send, and the task that feeds it where it is not at hand.
    fn body_of(&mut self, admitted: &mut Admitted) -> (Body, Option<Uploading>) {
        if let Some(whole) = admitted.upload.whole() {
            return (Body::whole(whole.clone()), None);
        }
        let limits = self.body_limits();
        let bytes = Arc::new(AtomicU64::new(0));
        let (body, pump) = admitted.upload.start(self.recorder.clone(), limits, bytes.clone());
        (body, Some(Uploading { task: self.gateway.tasks.spawn(pump), bytes }))
    }

    /// Sends, and waits for the answer's head. A client that hangs up is remembered; the answer is
    /// still waited for, so that its cost is known, but not for ever.
    async fn send(
        &mut self,
        backend: &Backend,
        request: Request<Body>,
    ) -> (Option<Result<Response<AnswerBody>, net::Error>>, bool) {
        let sending = backend.client.send(request);
        tokio::pin!(sending);
        let Some(reply) = &mut self.reply else { return (Some(sending.await), true) };
        tokio::select! {
            biased;
            sent = &mut sending => (Some(sent), false),
            () = reply.gone() => {
                let limit = Duration::from_millis(self.live.config.capture.drain_ms_max);
                (tokio::time::timeout(limit, sending).await.ok(), true)
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

    fn failure(
        &self,
        backend: &Backend,
        error: &net::Error,
        sent: Option<Result<(), Refusal>>,
        admitted: &Admitted,
    ) -> Failed {
        let story = error.story();
        tracing::warn!(backend = backend.id, error = story, "a call to a backend failed");
        if let Some(Err(refusal)) = sent {
            return Failed { refusal, may_repeat: false };
        }
        let detail = format!("{}: {story}", backend.id);
        let kind = match error.kind() {
            ErrorKind::Timeout => Kind::BackendTimeout,
            ErrorKind::Denied => Kind::AddressForbidden,
            ErrorKind::Body => Kind::ClientGone,
            _ => Kind::BackendFailed,
        };
        if error.kind() != ErrorKind::Body {
            backend.failed(&story);
        }
        // Nothing has been answered, so what can be sent again may be.
        let may_repeat = admitted.upload.is_replayable() && error.kind() != ErrorKind::Body;
        Failed { refusal: Refusal::new(kind).detail(detail), may_repeat }
    }

    fn note_discarded(&mut self, status: u16) {
        let refusal = Refusal::new(Kind::BackendFailed)
            .detail(format!("answer with status {status} discarded, another backend is tried"));
        self.errors.push(refusal.record(self.tally.started.elapsed()));
    }
}
