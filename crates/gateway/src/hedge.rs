//! Hedging: a call that is slow to be answered is also sent to a second backend, and the first good
//! answer counts. Off unless `pool.hedge_after_ms` is set; only for calls that may be sent twice and
//! depend on nothing that one backend holds.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use http::Response;
use net::AnswerBody;

use crate::admitted::Admitted;
use crate::attempt::{Attempt, Begun, Failed, failure};
use crate::course::Course;
use crate::exchange::Exchange;
use crate::home::Home;
use crate::pool::chosen::Chosen;
use crate::refusal::{Kind, Refusal};

type Sent = Result<Response<AnswerBody>, net::Error>;

/// One of two attempts on its way. Its body is in memory, so nothing feeds it.
struct Runner {
    number: u32,
    chosen: Chosen,
    adds_usage: bool,
    sending: Pin<Box<dyn Future<Output = Sent> + Send>>,
}

/// How a race ended.
struct Race {
    is_first: bool,
    sent: Sent,
    /// What the other had been answered before, if it was no good.
    other: Option<Sent>,
}

impl Exchange {
    /// When a call is sent to a second backend as well, if it may be.
    pub(crate) fn hedge_after(&self, admitted: &Admitted, course: &Course) -> Option<Duration> {
        let after = Duration::from_millis(self.live.config.pool.hedge_after_ms?);
        let asked = &admitted.asked;
        let may_be = admitted.home == Home::Any
            && !asked.is_stateful()
            && asked.is_repeatable(&admitted.parts.method)
            && admitted.upload.whole().is_some()
            && admitted.opening.is_none()
            && course.may_go_on();
        may_be.then_some(after)
    }

    /// An attempt, and another one beside it if it is not answered in time.
    pub(crate) async fn hedged(
        &mut self,
        after: Duration,
        attempt: Attempt,
        admitted: &mut Admitted,
        course: &mut Course,
    ) -> Result<Begun, Failed> {
        let began = Instant::now();
        let mut first = self.launch(attempt, admitted);
        let in_time = tokio::time::timeout(after, &mut first.sending);
        let (sent, is_client_gone) = self.while_client_waits(pin!(in_time)).await;
        self.tally.backend += began.elapsed();
        let now = Instant::now();
        let second = match sent {
            Some(Ok(sent)) => return settle(first, sent, admitted, is_client_gone),
            None => return Err(gone()),
            // For a client that has gone, one answer is enough.
            Some(Err(_)) if is_client_gone => None,
            Some(Err(_)) => {
                let pool = &self.live.pool;
                pool.choose(&admitted.asked, &admitted.home, &course.tried, now).ok()
            }
        };
        let Some(second) = second else {
            let (sent, is_gone) = self.while_client_waits(pin!(&mut first.sending)).await;
            self.tally.backend += now.elapsed();
            let Some(sent) = sent else { return Err(gone()) };
            return settle(first, sent, admitted, is_client_gone || is_gone);
        };
        let opened = self.begin(second, admitted, course).await;
        let attempt = opened.map_err(|refusal| Failed { refusal, may_repeat: false })?;
        let mut second = self.launch(attempt, admitted);
        let statuses = self.live.clone();
        let is_good = |sent: &Sent| {
            let statuses = &statuses.config.pool.failover_status;
            sent.as_ref().is_ok_and(|answer| !statuses.contains(&answer.status().as_u16()))
        };
        let race = run(&mut first, &mut second, is_good);
        let (race, is_client_gone) = self.while_client_waits(pin!(race)).await;
        self.tally.backend += now.elapsed();
        let Some(Race { is_first, sent, other }) = race else { return Err(gone()) };
        let (winner, mut loser) = if is_first { (first, second) } else { (second, first) };
        self.note_loser(&mut loser, other, after, admitted);
        settle(winner, sent, admitted, is_client_gone)
    }

    fn launch(&mut self, attempt: Attempt, admitted: &mut Admitted) -> Runner {
        let number = attempt.number;
        let (request, _, chosen, adds_usage) = self.request(attempt, admitted);
        let client = chosen.backend.client.clone();
        let sending = Box::pin(async move { client.send(request).await });
        Runner { number, chosen, adds_usage, sending }
    }

    /// The other attempt stands among the errors: what it was answered, or that it was not.
    fn note_loser(
        &mut self,
        loser: &mut Runner,
        sent: Option<Sent>,
        after: Duration,
        admitted: &Admitted,
    ) {
        let now = Instant::now();
        let refusal = match sent {
            Some(Err(error)) => failure(&mut loser.chosen, &error, None, admitted).refusal,
            Some(Ok(answer)) => {
                let status = answer.status().as_u16();
                loser.chosen.answered(status, answer.headers(), now);
                Refusal::discarded(format!(
                    "{}: answer with status {status} discarded, another backend was asked too",
                    loser.chosen.backend.id
                ))
            }
            None => Refusal::new(Kind::BackendTimeout).detail(format!(
                "{}: not waited for, as another backend answered first; two were asked after {} ms",
                loser.chosen.backend.id,
                after.as_millis()
            )),
        };
        self.errors.push(refusal.record(self.tally.started.elapsed()));
    }
}

/// The first good answer, or else the last bad one.
async fn run(first: &mut Runner, second: &mut Runner, is_good: impl Fn(&Sent) -> bool) -> Race {
    let (is_first, sent) = tokio::select! {
        sent = &mut first.sending => (true, sent),
        sent = &mut second.sending => (false, sent),
    };
    if is_good(&sent) {
        return Race { is_first, sent, other: None };
    }
    let other = if is_first { second.sending.as_mut().await } else { first.sending.as_mut().await };
    Race { is_first: !is_first, sent: other, other: Some(sent) }
}

fn settle(
    runner: Runner,
    sent: Sent,
    admitted: &Admitted,
    is_client_gone: bool,
) -> Result<Begun, Failed> {
    let Runner { number, mut chosen, adds_usage, .. } = runner;
    match sent {
        Ok(answer) => {
            chosen.answered(answer.status().as_u16(), answer.headers(), Instant::now());
            Ok(Begun { answer, upload: None, number, chosen, adds_usage, is_client_gone })
        }
        Err(error) => Err(failure(&mut chosen, &error, None, admitted)),
    }
}

fn gone() -> Failed {
    Failed { refusal: Refusal::new(Kind::ClientGone), may_repeat: false }
}
