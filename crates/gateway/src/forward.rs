//! From an admitted request to the head of an answer: open the record, choose, send, try again
//! where that is allowed.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;

use crate::admitted::Admitted;
use crate::attempt::{Attempt, Begun, Failed};
use crate::course::Course;
use crate::exchange::{Ending, Exchange};
use crate::pool::Unavailable;
use crate::pool::chosen::Chosen;
use crate::refusal::{Kind, Refusal};
use crate::spool::Stored;
use crate::upload::Upload;

/// Bytes of a discarded answer's body that stand in the record.
const EXCERPT_BYTES_MAX: usize = 2 << 10;
/// How long they may take to come.
const EXCERPT_WAIT: Duration = Duration::from_millis(250);

/// What became of a request.
pub(crate) enum Served {
    /// It has ended, but for its end record.
    Ended(Ending),
    /// A backend has begun to answer it.
    Answered(Box<Admitted>, Begun),
}

/// How the attempts ended.
enum Tried {
    Ended(Ending),
    Answered(Begun),
}

impl Exchange {
    pub(crate) async fn forward(&mut self, mut admitted: Box<Admitted>) -> Result<Served, Refusal> {
        let mut course = Course::new(&self.live.config.pool);
        let chosen = match self.choose(&admitted, &mut course).await {
            Ok(chosen) => chosen,
            Err(refusal) => {
                let refused = self.refuse_body(refusal, admitted.upload.stored);
                return Box::pin(refused).await.map(Served::Ended);
            }
        };
        let ended = match self.attempts(&mut admitted, course, chosen).await {
            Ok(Tried::Answered(begun)) => return Ok(Served::Answered(admitted, begun)),
            Ok(Tried::Ended(ending)) => Ok(Served::Ended(ending)),
            Err(refusal) => Err(refusal),
        };
        self.record_unread(&admitted.upload).await;
        ended
    }

    /// Attempt after attempt, until one is answered or none may follow.
    async fn attempts(
        &mut self,
        admitted: &mut Admitted,
        mut course: Course,
        mut chosen: Chosen,
    ) -> Result<Tried, Refusal> {
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
                        return Box::pin(self.relay(admitted, begun)).await.map(Tried::Ended);
                    }
                    None if self.early.is_some() => {
                        return Err(Box::pin(self.no_session(begun)).await);
                    }
                    None => return Ok(Tried::Answered(begun)),
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
    pub(crate) async fn record_unread(&mut self, upload: &Upload) {
        if let Some(from) = upload.unrecorded_from() {
            Box::pin(self.record_rest(&upload.stored, from)).await;
        }
    }

    async fn record_rest(&mut self, stored: &Stored, from: u64) {
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
        let refusal = Refusal::discarded(detail);
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
        let number = course.begins(&chosen.backend);
        let attempt = self.prepare(number, chosen, admitted)?;
        self.open(&attempt, admitted).await?;
        Ok(attempt)
    }
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
