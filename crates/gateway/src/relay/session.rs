//! A session under way: both directions at once, until one of them ends it or time does.

use std::pin::pin;
use std::time::Duration;

use event::Outcome;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::refusal::{Kind, Refusal};
use crate::relay::lane::{Lane, Shared, Stop};
use crate::websocket::frames::{Violation, close_reason};

/// How long a side may take to answer a close frame, and a broken backend's last words may come.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// How long a session must be quiet, nothing being answered, to be ended when the gateway stops or the
/// client has gone: what it last asked for may just be beginning.
const QUIET: Duration = Duration::from_secs(1);

/// Limits of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionLimits {
    pub(crate) message_bytes_max: u64,
    /// Time without a byte in either direction.
    pub(crate) idle: Duration,
    /// How long what a client that has gone had asked for is waited for.
    pub(crate) drain: Duration,
    pub(crate) drain_bytes_max: u64,
}

/// When a session is told to end.
pub(crate) struct Signals<'a> {
    /// Nothing new begins: a quiet session ends.
    pub(crate) stop: &'a CancellationToken,
    /// What still runs ends.
    pub(crate) halt: &'a CancellationToken,
}

/// Why a session ended, before it is known what that means.
enum End {
    Client(Stop),
    Server(Stop),
    /// The backend did not answer the client's close, or its last words did not come.
    Overdue,
    Idle,
    Quiet,
    Halted,
}

/// How a session ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// Close code for the record.
    pub(crate) code: u16,
    pub(crate) reason: String,
    /// `client`, `backend` or `gateway`.
    pub(crate) by: &'static str,
    pub(crate) error: Option<Refusal>,
    /// The backend's own close frame, held back for the client.
    pub(crate) held: Option<bytes::Bytes>,
    /// The backend is still to be told, with this code.
    pub(crate) tell_backend: Option<u16>,
    /// The client is to be told by the gateway; not if it has gone or has its own close frame to come.
    pub(crate) tells_client: bool,
}

/// Passes messages both ways until the session ends.
pub(crate) async fn run<CR, CW, SR, SW>(
    client: &mut Lane<CR, SW>,
    server: &mut Lane<SR, CW>,
    shared: &Shared<'_>,
    limits: SessionLimits,
    signals: Signals<'_>,
) -> Ended
where
    CR: AsyncRead + Unpin,
    CW: AsyncWrite + Unpin,
    SR: AsyncRead + Unpin,
    SW: AsyncWrite + Unpin,
{
    let mut client = pin!(client.run(shared));
    let mut server = pin!(server.run(shared));
    let mut client_stop: Option<Stop> = None;
    let mut deadline: Option<Instant> = None;
    let end = loop {
        let look_at = look_at(shared, limits, &signals);
        tokio::select! {
            biased;
            stop = &mut client, if client_stop.is_none() => match stop {
                Stop::Closed(_) | Stop::Unwritable => {
                    deadline = Some(Instant::now() + CLOSE_WAIT);
                    client_stop = Some(stop);
                }
                Stop::Ended => {
                    client_stop = Some(stop);
                    shared.ebbs.cancel();
                }
                stop => break End::Client(stop),
            },
            stop = &mut server => break End::Server(stop),
            () = shared.ebbs.cancelled(), if deadline.is_none() => {
                deadline = Some(Instant::now() + limits.drain);
            }
            () = until(deadline) => break End::Overdue,
            () = tokio::time::sleep_until(look_at) => {
                if let Some(end) = overslept(shared, limits, &signals) {
                    break end;
                }
            }
            () = signals.stop.cancelled(), if !signals.stop.is_cancelled() => {}
            () = signals.halt.cancelled() => break End::Halted,
        }
    };
    conclude(end, client_stop, limits)
}

/// When to look whether the session has been quiet for too long.
fn look_at(shared: &Shared<'_>, limits: SessionLimits, signals: &Signals<'_>) -> Instant {
    if is_ending(shared, signals) {
        return Instant::now() + QUIET / 4;
    }
    Instant::from_std(shared.began) + shared.moved_at() + limits.idle
}

/// The end of a session that has been quiet for too long.
fn overslept(shared: &Shared<'_>, limits: SessionLimits, signals: &Signals<'_>) -> Option<End> {
    let quiet = shared.began.elapsed().saturating_sub(shared.moved_at());
    if quiet >= limits.idle {
        return Some(End::Idle);
    }
    let is_over = is_ending(shared, signals) && shared.is_quiet() && quiet >= QUIET;
    is_over.then(|| match shared.ebbs.is_cancelled() {
        true => End::Server(Stop::Ebbed),
        false => End::Quiet,
    })
}

fn is_ending(shared: &Shared<'_>, signals: &Signals<'_>) -> bool {
    shared.ebbs.is_cancelled() || signals.stop.is_cancelled()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn conclude(end: End, client_stop: Option<Stop>, limits: SessionLimits) -> Ended {
    let asked_to_close = match &client_stop {
        Some(Stop::Closed(unit)) => Some(close_reason(&unit.data)),
        _ => None,
    };
    match (end, asked_to_close) {
        (End::Server(Stop::Closed(unit)), asked) => closed_by_backend(unit, asked, &client_stop),
        (End::Server(Stop::Exhausted), _) => {
            let refusal = Refusal::new(Kind::TokenQuotaExceeded)
                .say("Nothing is left of a limit of the subscription: the session ends.");
            Ended::by_gateway(Outcome::Refused, 1008, refusal)
        }
        // The client was done; the backend merely did not say good-bye.
        (
            End::Server(_) | End::Overdue | End::Idle | End::Quiet | End::Halted,
            Some((code, reason)),
        ) => {
            let code = if code == 1005 { 1000 } else { code };
            let ended = Ended::new(Outcome::Complete, code, reason, "client");
            Ended { tells_client: true, ..ended }
        }
        (End::Client(Stop::Violation(violation)), _) => {
            let refusal = violated(violation, "the client");
            let code = if violation == Violation::TooLong { 1009 } else { 1002 };
            Ended::by_gateway(Outcome::Refused, code, refusal)
        }
        (End::Client(Stop::Denied(refusal)), _) => {
            Ended::by_gateway(Outcome::Refused, 1008, refusal)
        }
        (End::Client(Stop::Ledger(refusal)) | End::Server(Stop::Ledger(refusal)), _) => {
            Ended::by_gateway(Outcome::GatewayFailed, 1013, refusal)
        }
        (End::Server(Stop::Violation(violation)), None) => {
            let refusal = Refusal::new(Kind::BackendFailed);
            let detail = violated(violation, "the backend").message().into_owned();
            Ended::by_gateway(Outcome::BackendFailed, 1011, refusal.detail(detail))
        }
        (End::Idle, None) => {
            let refusal = Refusal::new(Kind::SessionIdle)
                .say(format!("Nothing passed for {} s.", limits.idle.as_secs()));
            Ended::by_gateway(Outcome::Complete, 1001, refusal)
        }
        (End::Quiet | End::Halted, None) => {
            Ended::by_gateway(Outcome::Complete, 1001, Refusal::new(Kind::SessionStopped))
        }
        (_, None) if matches!(client_stop, Some(Stop::Unwritable)) => broken_backend(),
        (End::Server(Stop::Ended), None) => broken_backend(),
        (_, None) => {
            let ended = Ended::new(Outcome::ClientGone, 1006, String::new(), "client");
            let refusal = Refusal::new(Kind::ClientGone);
            Ended { error: Some(refusal), tell_backend: Some(1001), ..ended }
        }
        (End::Client(_), Some(_)) => broken_backend(),
    }
}

fn closed_by_backend(
    unit: crate::websocket::frames::Unit,
    asked: Option<(u16, String)>,
    client_stop: &Option<Stop>,
) -> Ended {
    let (code, reason) = close_reason(&unit.data);
    let by = if asked.is_some() { "client" } else { "backend" };
    let is_failure = asked.is_none() && (1011..=1014).contains(&code);
    let outcome = match client_stop {
        Some(Stop::Ended) => Outcome::ClientGone,
        _ if is_failure => Outcome::BackendFailed,
        _ => Outcome::Complete,
    };
    let error = is_failure.then(|| {
        let detail = format!("the backend closed the session with {code}: {reason}");
        Refusal::new(Kind::BackendFailed).detail(detail)
    });
    let tell_backend = asked.is_none().then_some(if code == 1005 { 1000 } else { code });
    let held = Some(unit.wire);
    Ended { error, held, tell_backend, ..Ended::new(outcome, code, reason, by) }
}

fn broken_backend() -> Ended {
    let refusal = Refusal::new(Kind::BackendFailed)
        .say("The backend broke the session off.")
        .detail("the connection ended without a close frame");
    Ended { tell_backend: None, ..Ended::by_gateway(Outcome::BackendFailed, 1011, refusal) }
}

fn violated(violation: Violation, who: &str) -> Refusal {
    match violation {
        Violation::Protocol(what) => {
            let message = format!("A WebSocket frame of {who} breaks the protocol: {what}.");
            Refusal::new(Kind::SessionProtocol).say(message)
        }
        Violation::TooLong => Refusal::new(Kind::SessionTooLong),
    }
}

impl Ended {
    fn new(outcome: Outcome, code: u16, reason: String, by: &'static str) -> Self {
        Self {
            outcome,
            code,
            reason,
            by,
            error: None,
            held: None,
            tell_backend: None,
            tells_client: false,
        }
    }

    /// The gateway ends it and tells both sides.
    pub(crate) fn by_gateway(outcome: Outcome, code: u16, refusal: Refusal) -> Self {
        let reason = refusal.message().into_owned();
        let ended = Self::new(outcome, code, reason, "gateway");
        Self { error: Some(refusal), tell_backend: Some(1001), tells_client: true, ..ended }
    }
}
