//! A request that is sent twice is done once: `Idempotency-Key`.
//!
//! Answers are kept in memory only, because some show a key, and for a while only. A restart forgets
//! them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::Caller;
use crate::problem::Problem;

/// Answers kept at once.
const KEPT_MAX: usize = 1_024;
/// How long an answer is kept.
const LIFE: Duration = Duration::from_secs(600);
/// Longest key.
const KEY_BYTES_MAX: usize = 200;
/// Longest body of a request with a key, and of its answer.
const BODY_BYTES_MAX: usize = 8 << 20;

/// The answers to requests with a key; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Answers(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    answers: HashMap<Key, Answer>,
    /// The keys, oldest first.
    order: VecDeque<(Instant, Key)>,
}

/// Who asks what, under which key.
type Key = (String, String, String);

struct Answer {
    request: Bytes,
    /// None while it is worked out.
    given: Option<(StatusCode, HeaderMap, Bytes)>,
}

impl Answers {
    /// Answers as before, or lets the request through and keeps its answer.
    pub(crate) async fn once(&self, caller: &Caller, request: Request, next: Next) -> Response {
        let name = request.headers().get("idempotency-key");
        let Some(name) = name.map(|name| name.to_str().unwrap_or_default().to_owned()) else {
            return next.run(request).await;
        };
        if name.is_empty() || name.len() > KEY_BYTES_MAX {
            let detail = "an Idempotency-Key has 1 to 200 printable characters, such as a UUID";
            return Problem::new(400, detail).into_response();
        }
        let what = format!("{} {}", request.method(), request.uri());
        let key = (caller.principal.id.clone(), what, name);
        let (head, body) = request.into_parts();
        let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
            return Problem::new(413, "the body is longer than 8 MiB").into_response();
        };
        if let Some(answer) = self.begin(&key, &body) {
            return answer;
        }
        let working = Working { answers: self, key: Some(key) };
        let answer = next.run(Request::from_parts(head, Body::from(body))).await;
        working.end(answer).await
    }

    /// What was answered before; nothing if this is the first time, which is noted.
    fn begin(&self, key: &Key, request: &Bytes) -> Option<Response> {
        let mut kept = self.lock();
        kept.forget(Instant::now());
        match kept.answers.get(key) {
            Some(answer) if answer.request != *request => {
                let detail = "this Idempotency-Key was used with another body: take a new key";
                Some(Problem::new(422, detail).into_response())
            }
            Some(Answer { given: Some((status, headers, body)), .. }) => {
                let mut answer = (*status, body.clone()).into_response();
                *answer.headers_mut() = headers.clone();
                Some(answer)
            }
            Some(_) => {
                let detail =
                    "a request with this Idempotency-Key is running: ask again in a second";
                Some(Problem::new(409, detail).into_response())
            }
            None => {
                let answer = Answer { request: request.clone(), given: None };
                kept.answers.insert(key.clone(), answer);
                kept.order.push_back((Instant::now(), key.clone()));
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front() {
            if self.order.len() < KEPT_MAX && now.duration_since(*at) < LIFE {
                break;
            }
            if let Some((_, key)) = self.order.pop_front() {
                self.answers.remove(&key);
            }
        }
    }
}

/// A request that is worked on. One that is given up half-way is forgotten: it may be sent again.
struct Working<'a> {
    answers: &'a Answers,
    key: Option<Key>,
}

impl Working<'_> {
    async fn end(mut self, answer: Response) -> Response {
        let (head, body) = answer.into_parts();
        let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
            return Problem::new(500, "the answer is longer than 8 MiB").into_response();
        };
        // What failed here may go well the next time.
        if !head.status.is_server_error()
            && let Some(key) = self.key.take()
            && let Some(kept) = self.answers.lock().answers.get_mut(&key)
        {
            kept.given = Some((head.status, head.headers.clone(), body.clone()));
        }
        Response::from_parts(head, Body::from(body))
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let mut kept = self.answers.lock();
            kept.answers.remove(&key);
            kept.order.retain(|(_, other)| *other != key);
        }
    }
}
