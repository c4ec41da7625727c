//! A request in flight: all that is known of it until its end record is written, and the gateway's own
//! answers to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use event::{
    CallerAddress, Closed, ErrorDetail, Frame, InteractionId, Opened, Outcome, SecurityEvent,
    SessionEnd, Side, Timestamp,
};
use http::request::Parts;
use http::{Response, header};
use identity::Identity;
use ledger::Commit;
use policy::Grant;

use crate::account::{Account, Books, Call};
use crate::config::{GatewayConfig, ListenerConfig};
use crate::facts::ConnectionFacts;
use crate::inner::Inner;
use crate::learner::Learner;
use crate::live::Live;
use crate::record::{self, Recorder, SentHeaders};
use crate::refusal::{Kind, Refusal};
use crate::reply::{Pieces, Reply};
use crate::spool::Stored;
use crate::upload::BodyLimits;
use crate::websocket::client::{Early, Farewell};
use crate::{address, credential, headers};

/// Bytes of a stored body that one append carries when the request is refused.
const APPEND_BYTES: u64 = 1 << 20;

/// A request in flight.
pub(crate) struct Exchange {
    pub(crate) gateway: Arc<Inner>,
    pub(crate) recorder: Arc<Recorder>,
    /// What holds for this request from its start to its end, whatever is reloaded meanwhile.
    pub(crate) live: Arc<Live>,
    /// Who the caller's token proves it to be; none if it came with a key.
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) listener: Arc<ListenerConfig>,
    pub(crate) reply: Option<Reply>,
    pub(crate) tally: Tally,
    /// What will stand in `Opened` or `Refused`; gone once it is written.
    pub(crate) opening: Option<Box<Opened>>,
    /// The start record, while it need not be awaited yet.
    pub(crate) opened: Option<Commit>,
    pub(crate) errors: Vec<ErrorDetail>,
    /// What limits count.
    pub(crate) account: Account,
    /// Longest body that the subscription may send.
    pub(crate) body_bytes_max: u64,
    /// Objects in the records that go with the end record, to be remembered once that is kept.
    pub(crate) learnt: Vec<event::Objects>,
    /// Looks for objects in the answer, where there may be some.
    pub(crate) learner: Option<Box<Learner>>,
    /// A WebSocket client that was answered before a backend was found. (The lock only makes it fit to be
    /// shared.)
    pub(crate) early: Option<Mutex<Box<Early>>>,
    /// How a WebSocket session ended.
    pub(crate) session_end: Option<Box<SessionEnd>>,
}

/// Counts of one exchange.
pub(crate) struct Tally {
    pub(crate) started: Instant,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) client: Duration,
    pub(crate) backend: Duration,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) gap_max: Duration,
    pub(crate) chunks: u64,
}

/// How an exchange ends, but for the end record.
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) status: u16,
    pub(crate) headers: SentHeaders,
    pub(crate) own_body: String,
    /// Records that go with the end record.
    pub(crate) frames: Vec<Frame>,
    pub(crate) release: Release,
}

/// What the client gets once the end record is kept.
pub(crate) enum Release {
    /// The whole answer.
    Whole(Reply, Response<()>, Bytes),
    /// The last piece, if one was held back, and the end of the stream.
    End(Pieces, Option<http_body::Frame<Bytes>>),
    /// A broken connection: part of the answer has gone out and there is no more.
    Abort(Pieces),
    /// The end of a WebSocket session.
    Session(Box<Farewell>),
    /// Nothing: the client has gone.
    Nothing,
}

impl Exchange {
    pub(crate) fn new(
        gateway: Arc<Inner>,
        facts: &ConnectionFacts,
        parts: &Parts,
        reply: Reply,
    ) -> Self {
        let received_at = Timestamp::from(SystemTime::now());
        let id = InteractionId::mint(received_at, rand::random());
        let live = gateway.live.load_full();
        let opening = opening(&live.config, facts, parts, received_at);
        let recorder = Arc::new(Recorder::new(gateway.ledger.clone(), id));
        let tally = Tally::new(opening.head_bytes);
        Self {
            gateway,
            recorder,
            live,
            identity: None,
            listener: facts.listener.clone(),
            reply: Some(reply),
            tally,
            opening: Some(Box::new(opening)),
            opened: None,
            errors: Vec::new(),
            account: Account::default(),
            body_bytes_max: u64::MAX,
            learnt: Vec::new(),
            learner: None,
            early: None,
            session_end: None,
        }
    }

    /// A warning about this caller.
    pub(crate) fn security_event(&self, kind: &str, reason: &str) -> SecurityEvent {
        let caller = self.opening.as_ref();
        let caller = caller.map(|opening| opening.caller.caller_ip.clone()).unwrap_or_default();
        SecurityEvent {
            time_generated: Timestamp::from(SystemTime::now()),
            kind: kind.to_owned(),
            severity: "warning".to_owned(),
            caller_ip_address: caller,
            reason: reason.to_owned(),
            region: self.live.config.region.clone(),
            ..SecurityEvent::default()
        }
    }

    /// The start record, to be written now.
    pub(crate) fn opened_frame(&mut self) -> Option<Frame> {
        self.opening.take().map(|opening| self.recorder.opened(opening))
    }

    /// Sets aside what the call may need of every limit it meets.
    pub(crate) async fn reserve(&mut self, call: Call<'_>, grant: &Grant) -> Result<(), Refusal> {
        let books = Books {
            rules: &self.live.rules,
            limiter: &self.gateway.limiter,
            tokenizer: &self.gateway.tokenizer,
        };
        self.account.reserve(books, call, grant).await
    }

    /// What was set aside, to go with the start record.
    pub(crate) fn reserved_frame(&mut self) -> Option<Frame> {
        self.account.reserved().map(|charges| self.recorder.charges(charges))
    }

    pub(crate) fn body_limits(&self) -> BodyLimits {
        let edge = &self.live.config.edge;
        BodyLimits {
            bytes_max: edge.body_bytes_max.min(self.body_bytes_max),
            gap: Duration::from_millis(edge.body_gap_timeout_ms),
            rate_min: edge.body_rate_min,
        }
    }

    /// A request whose body was read, and that goes no further: it is recorded with its body as sent.
    pub(crate) async fn refuse_body(
        &mut self,
        refusal: Refusal,
        stored: Stored,
    ) -> Result<Ending, Refusal> {
        let frames = self.record_stored(&stored, 0).await?;
        Ok(self.refuse(refusal, frames))
    }

    /// Records a stored body from a place on; what it answers is still to be written.
    pub(crate) async fn record_stored(
        &mut self,
        stored: &Stored,
        mut offset: u64,
    ) -> Result<Vec<Frame>, Refusal> {
        let mut frames = Vec::new();
        let mut unsent = 0;
        loop {
            let piece = stored.piece(offset).await.map_err(|error| spool_failed(&error))?;
            if piece.is_empty() {
                return Ok(frames);
            }
            offset += piece.len() as u64;
            unsent += piece.len() as u64;
            frames.extend(self.opened_frame());
            frames.push(self.recorder.chunk(Side::Request, piece));
            if unsent >= APPEND_BYTES {
                unsent = 0;
                drop(self.recorder.append(std::mem::take(&mut frames)).await?);
            }
        }
    }

    pub(crate) fn take_early(&mut self) -> Option<Box<Early>> {
        Some(self.early.take()?.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The gateway's own answer; `frames` go with the end record.
    pub(crate) fn refuse(&mut self, refusal: Refusal, frames: Vec<Frame>) -> Ending {
        self.errors.push(refusal.record(self.tally.started.elapsed()));
        let was_opened = self.opening.is_none();
        tracing::debug!(interaction = %self.recorder.id, code = refusal.code(), "request refused");
        let outcome = match refusal.kind {
            Kind::ClientGone => Outcome::ClientGone,
            Kind::BackendFailed | Kind::BackendTimeout | Kind::AddressForbidden => {
                Outcome::BackendFailed
            }
            Kind::GatewayFailed => Outcome::GatewayFailed,
            Kind::LedgerDown if was_opened => Outcome::GatewayFailed,
            _ => Outcome::Refused,
        };
        self.gateway.counters.refused();
        let (mut headers, body) = refusal.answer(self.live.config.edge.error_shape);
        headers::correlate(&mut headers, self.recorder.id);
        let mut head = Response::new(());
        *head.status_mut() = refusal.status();
        self.tally.response_bytes += headers::head_bytes(15, &headers) + body.len() as u64;
        *head.headers_mut() = headers;
        let headers = record::header_list(head.headers());
        let own_body = String::from_utf8_lossy(&body).into_owned();
        if let Some(early) = self.take_early() {
            let (headers, status, farewell) = early.refuse(&refusal, &body);
            let release = Release::Session(Box::new(farewell));
            let headers = headers.into();
            return Ending { outcome, status, headers, own_body, frames, release };
        }
        let (status, release) = match self.reply.take() {
            Some(reply) if refusal.kind != Kind::ClientGone => {
                (refusal.status().as_u16(), Release::Whole(reply, head, body))
            }
            _ => (0, Release::Nothing),
        };
        Ending { outcome, status, headers: headers.into(), own_body, frames, release }
    }

    /// The end record.
    pub(crate) fn closed(&mut self, ending: &Ending) -> Closed {
        let tally = &self.tally;
        let total = tally.started.elapsed();
        let own = total.saturating_sub(tally.client).saturating_sub(tally.backend);
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Closed {
            closed_at: Timestamp::from(SystemTime::now()),
            outcome: ending.outcome,
            status: ending.status,
            headers: ending.headers.list.clone(),
            dropped_headers: ending.headers.dropped.clone(),
            request_bytes: tally.request_bytes,
            response_bytes: tally.response_bytes,
            client_ms: millis(tally.client),
            backend_ms: millis(tally.backend),
            first_byte_ms: tally.first_byte.map(millis),
            overhead_micros: i64::try_from(own.as_micros()).unwrap_or(i64::MAX),
            chunk_gap_ms_max: millis(tally.gap_max),
            chunks: tally.chunks,
            errors: self.errors.clone(),
            own_body: ending.own_body.clone(),
            session: self.session_end.as_deref().cloned(),
        }
    }
}

impl Tally {
    fn new(head_bytes: u64) -> Self {
        Self {
            started: Instant::now(),
            request_bytes: head_bytes,
            response_bytes: 0,
            client: Duration::ZERO,
            backend: Duration::ZERO,
            first_byte: None,
            gap_max: Duration::ZERO,
            chunks: 0,
        }
    }
}

/// What is known of a request from its head.
fn opening(
    config: &GatewayConfig,
    facts: &ConnectionFacts,
    parts: &Parts,
    received_at: Timestamp,
) -> Opened {
    let path = parts.uri.path();
    let host = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts.headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default(),
    };
    let mut url = String::with_capacity(16 + host.len() + path.len());
    for piece in [facts.scheme(), "://", host, path] {
        url.push_str(piece);
    }
    if let Some(query) = parts.uri.query() {
        url.push('?');
        url.push_str(&credential::redact_query(query));
    }
    let first_line = parts.method.as_str().len()
        + parts.uri.path_and_query().map_or(1, |target| target.as_str().len())
        + " HTTP/1.1".len()
        + 1;
    Opened {
        received_at,
        method: parts.method.as_str().to_owned(),
        url,
        protocol: record::protocol(parts.version).to_owned(),
        tls_version: facts.tls_version.to_owned(),
        caller: CallerAddress {
            certificate_subject: facts.certificate_subject.to_string(),
            ..address::caller(facts.peer, &parts.headers, &config.edge.trusted_proxies)
        },
        headers: record::header_list(&parts.headers),
        head_bytes: headers::head_bytes(first_line, &parts.headers),
        region: config.region.clone(),
        ..Opened::default()
    }
}

pub(crate) fn spool_failed(error: &std::io::Error) -> Refusal {
    Refusal::new(Kind::GatewayFailed).detail(format!("spool file: {error}"))
}
