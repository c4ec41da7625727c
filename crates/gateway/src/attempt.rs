//! One attempt at a request: prepared, recorded, sent, and answered or not.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use event::{Dispatched, Frame, Side, Timestamp};
use http::header::ACCEPT_ENCODING;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use ledger::Durability;
use net::{AnswerBody, Body, ErrorKind};
use openai::Splice;
use tokio::task::JoinHandle;

use crate::admitted::Admitted;
use crate::exchange::Exchange;
use crate::passing::Passing;
use crate::pool::chosen::Chosen;
use crate::refusal::{Kind, Refusal};
use crate::upload::changed;
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
    pub(crate) fn is_websocket(&self) -> bool {
        self.answer.status() == StatusCode::SWITCHING_PROTOCOLS
    }

    /// The answer's status, and whether the client has gone.
    pub(crate) fn standing(&self) -> (u16, bool) {
        (self.answer.status().as_u16(), self.is_client_gone)
    }
}

/// One attempt.
pub(crate) struct Attempt {
    pub(crate) number: u32,
    chosen: Chosen,
    uri: Uri,
    headers: Passing,
    /// Changes to the body, in their order.
    changes: Vec<Splice>,
}

/// Why an attempt gave no answer.
pub(crate) struct Failed {
    pub(crate) refusal: Refusal,
    /// It may be made again.
    pub(crate) may_repeat: bool,
}

impl Exchange {
    /// What is to be sent.
    pub(crate) fn prepare(
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
        let mut headers = headers::towards_backend(&admitted.parts.headers);
        if asked.named.teaches() {
            // What is read must not be compressed.
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if let Some((name, value)) = backend.authorization() {
            headers.insert(name, value);
        }
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
    pub(crate) async fn open(
        &mut self,
        attempt: &Attempt,
        admitted: &mut Admitted,
    ) -> Result<(), Refusal> {
        let is_first = attempt.number == 1;
        let mut frames: Vec<Frame> = Vec::with_capacity(3);
        frames.extend(self.opened_frame());
        if is_first {
            frames.extend(self.reserved_frame());
        }
        if let Some(body) = admitted.upload.whole().filter(|body| is_first && !body.is_empty()) {
            frames.push(self.recorder.chunk(Side::Request, body.clone()));
        }
        let sent = attempt.headers.changes();
        frames.push(self.recorder.dispatched(Dispatched {
            sent_at: Timestamp::from(SystemTime::now()),
            attempt: attempt.number,
            backend_id: attempt.chosen.backend.id.clone(),
            method: admitted.parts.method.as_str().to_owned(),
            url: attempt.chosen.backend.url(&attempt.uri.to_string()),
            headers: sent.list,
            dropped_headers: sent.dropped,
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

    /// Sends it, and waits for an answer.
    pub(crate) async fn attempt(
        &mut self,
        attempt: Attempt,
        admitted: &mut Admitted,
    ) -> Result<Begun, Failed> {
        let number = attempt.number;
        let (request, mut upload, mut chosen, adds_usage) = self.request(attempt, admitted);
        let client = chosen.backend.client.clone();
        let began = Instant::now();
        let (sent, is_client_gone) = self.while_client_waits(pin!(client.send(request))).await;
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
        *request.headers_mut() = headers.into_headers();
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
        mut answer: Pin<&mut F>,
    ) -> (Option<F::Output>, bool) {
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
