//! The life of one request, as a list of named phases. It runs in a task of its own, and its record
//! is the explicit last of them: a client that hangs up changes the outcome, not the recording.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use event::{
    CallerAddress, Closed, ErrorDetail, Frame, HeaderList, InteractionId, Opened, Outcome, Refused,
    SecurityEvent, SessionEnd, Side, Timestamp,
};
use http::request::Parts;
use http::{HeaderMap, Request, Response, header};
use http_body::Body as _;
use hyper::body::Incoming;
use identity::Identity;
use ledger::Commit;
use openai::Peeker;
use policy::{DenialReason, Grant, Member};

use crate::account::Account;
use crate::asked::{Asked, Intake};
use crate::connection::ConnectionFacts;
use crate::gateway::Inner;
use crate::live::Live;
use crate::objects::Learner;
use crate::pool::Home;
use crate::record::{self, Recorder};
use crate::refusal::{Kind, Refusal};
use crate::reply::{Pieces, Reply};
use crate::spool::{Spool, Stored};
use crate::upload::{BodyLimits, Pace, Upload};
use crate::websocket::{self, Early, Farewell, Opening};
use crate::{GatewayConfig, ListenerConfig, address, credential, doctor, headers};

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
    pub(crate) opening: Option<Opened>,
    /// The start record, while it need not be awaited yet.
    pub(crate) opened: Option<Commit>,
    pub(crate) errors: Vec<ErrorDetail>,
    /// What limits count.
    pub(crate) account: Account,
    /// Longest body that the subscription may send.
    body_bytes_max: u64,
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
    pub(crate) headers: HeaderList,
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

/// A request that was let in, with its body.
pub(crate) struct Admitted {
    pub(crate) parts: Parts,
    pub(crate) asked: Asked,
    pub(crate) grant: Grant,
    /// The backend that holds what the call is about, if one does.
    pub(crate) home: Home,
    pub(crate) upload: Upload,
    /// The client asks for a WebSocket.
    pub(crate) opening: Option<Box<Opening>>,
}

impl Admitted {
    /// The request has been answered and will not be sent again: what it took is not needed while
    /// the answer passes, which may be long.
    pub(crate) fn forget_request(&mut self) {
        self.parts.headers = HeaderMap::new();
        // Of any other, a part may still have to be recorded.
        if self.upload.unrecorded_from().is_none() {
            self.upload.stored = Stored::Memory(Bytes::new());
        }
    }
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
            opening: Some(opening),
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

    /// Serves the request and records how it ended, whatever that was.
    pub(crate) async fn run(mut self, request: Request<Incoming>) {
        let ending = match self.serve(request).await {
            Ok(ending) => ending,
            Err(refusal) => self.refuse(refusal, Vec::new()),
        };
        self.close(ending).await;
    }

    /// Records and answers a request that is not even looked at.
    pub(crate) async fn decline(mut self, refusal: Refusal) {
        let ending = self.refuse(refusal, Vec::new());
        self.close(ending).await;
    }

    async fn serve(&mut self, mut request: Request<Incoming>) -> Result<Ending, Refusal> {
        let upgrade = websocket::upgrade(&mut request);
        let (mut parts, body) = request.into_parts();
        self.check_ledger()?;
        self.check_listener()?;
        let mut asked =
            Asked::new(&self.gateway.catalogue, &parts, self.live.config.edge.unknown_paths);
        self.note_target(&asked);
        self.know_caller(&parts).await?;
        let grant = self.authenticate(&parts, &asked)?;
        self.check_product(&grant)?;
        self.check_head(&parts, &asked)?;
        let mut opening = None;
        if let Some(upgrade) = upgrade {
            opening = Some(self.begin_session(&mut parts, &mut asked, upgrade).await?);
        }
        let upload = match self.take_in(&parts, &mut asked, body).await {
            Ok(upload) => upload,
            Err((refusal, stored)) => return Box::pin(self.refuse_body(refusal, stored)).await,
        };
        self.note_body(&asked);
        let checked = self.check_deployment(&parts, &asked, grant);
        let grant = match checked {
            Ok(grant) => grant,
            Err(refusal) => return Box::pin(self.refuse_body(refusal, upload.stored)).await,
        };
        // Seldom needed: kept out of the future of every exchange, as elsewhere here.
        let home = match self.may_have_home(&asked) {
            true => Box::pin(self.find_home(&parts, &asked, &grant)).await,
            false => Ok(Home::Any),
        };
        let home = match home {
            Ok(home) => home,
            Err(refusal) => return Box::pin(self.refuse_body(refusal, upload.stored)).await,
        };
        if grant.allowance.is_limited()
            && let Err(refusal) =
                Box::pin(self.reserve(&parts, &asked, &grant, &upload.stored)).await
        {
            return Box::pin(self.refuse_body(refusal, upload.stored)).await;
        }
        let lists = asked.named.role.lists;
        let admitted = Admitted { parts, asked, grant, home, upload, opening };
        match lists {
            Some(kind) => Box::pin(self.list(kind, admitted)).await,
            None => self.forward(admitted).await,
        }
    }

    fn check_ledger(&self) -> Result<(), Refusal> {
        if self.gateway.ledger.ready() {
            return Ok(());
        }
        Err(Refusal::new(Kind::LedgerDown).detail(self.gateway.ledger_reason()))
    }

    /// The listener is for the caller's network.
    fn check_listener(&self) -> Result<(), Refusal> {
        let networks = &self.listener.networks;
        if networks.is_open() || networks.admits(self.caller_ip()) {
            return Ok(());
        }
        Err(self.address_denied(&self.listener.address.to_string(), "listener"))
    }

    /// The product is for the caller's network.
    fn check_product(&self, grant: &Grant) -> Result<(), Refusal> {
        let rules = &self.live.rules;
        if !rules.has_networks() || rules.admits(&grant.product_id, self.caller_ip()) {
            return Ok(());
        }
        Err(self.address_denied(&grant.product_id, "product"))
    }

    fn caller_ip(&self) -> Option<IpAddr> {
        self.opening.as_ref()?.caller.caller_ip.parse().ok()
    }

    /// Who comes from where nobody may is told to the security team.
    fn address_denied(&self, target: &str, reason: &str) -> Refusal {
        let event = self.security_event("address_denied", reason);
        let caller = &event.caller_ip_address;
        let message = format!("{caller} is outside the networks of {reason} {target}");
        self.gateway.security.note(SecurityEvent {
            target: target.to_owned(),
            message: message.clone(),
            ..event
        });
        Refusal::new(Kind::CallerAddress).detail(message)
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

    fn authenticate(&mut self, parts: &Parts, asked: &Asked) -> Result<Grant, Refusal> {
        let admitted = self.admit(parts, asked, &asked.target.deployment);
        match &admitted {
            Ok(grant) => self.note_grant(grant),
            Err(_) => {
                let key = credential::find(&parts.headers, parts.uri.query());
                let rules = &self.live.rules;
                let account = match self.member() {
                    Some(member) => Some(policy::account_of_member(rules, member)),
                    None => key.and_then(|key| policy::account(rules, &key)),
                };
                account.iter().for_each(|account| self.note_grant(account));
            }
        }
        match (admitted, &asked.refusal) {
            // What a URL is wrong about is more helpful than that its operation is not allowed.
            (Ok(_), Some(refusal)) => Err(refusal.clone()),
            (Err(denied), Some(refusal)) if denied.status() == 403 => Err(refusal.clone()),
            (admitted, _) => admitted,
        }
    }

    fn admit(&self, parts: &Parts, asked: &Asked, deployment: &str) -> Result<Grant, Refusal> {
        let key = credential::find(&parts.headers, parts.uri.query());
        let caller = (key.as_deref(), self.member());
        admit(&self.live, caller, asked, deployment).map_err(|refusal| {
            let is_known = |key: &str| policy::account(&self.live.rules, key).is_some();
            let are_groups_missing = || self.identity.as_ref().is_some_and(|it| it.groups_missing);
            match refusal.kind {
                Kind::ProductNotGranted if are_groups_missing() => {
                    refusal.finding("GroupsUnresolved")
                }
                Kind::KeyMissing | Kind::KeyInvalid => {
                    doctor::key(refusal, &parts.headers, parts.uri.query(), &is_known)
                }
                _ => refusal,
            }
        })
    }

    fn check_head(&self, parts: &Parts, asked: &Asked) -> Result<(), Refusal> {
        let length = parts.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.body_limits().bytes_max) {
            return Err(Refusal::new(Kind::BodyTooLarge));
        }
        // A deployment in the path is known to be missing before the body is asked for.
        if !asked.target.deployment.is_empty() {
            self.check_served(parts, asked)?;
        }
        if asked.lacks_version() && self.live.pool.is_azure(asked.deployment()) {
            return Err(doctor::api_version(&asked.target.api_version));
        }
        Ok(())
    }

    /// Reads as much of the body as must be known before it is sent on.
    async fn take_in(
        &mut self,
        parts: &Parts,
        asked: &mut Asked,
        mut body: Incoming,
    ) -> Result<Upload, (Refusal, Stored)> {
        let nothing = || Stored::Memory(Bytes::new());
        if body.is_end_stream() {
            return Ok(Upload::new(nothing(), None));
        }
        let intake = asked.intake(parts);
        if intake == Intake::Through {
            return Ok(Upload::new(nothing(), Some(body)));
        }
        let began = Instant::now();
        let limits = self.body_limits();
        let mut pace = Pace::default();
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        let mut peeker = Peeker::new(content_type.and_then(|value| value.to_str().ok()));
        let capture = &self.live.config.capture;
        let mut spool = Spool::new(self.gateway.spool_dir.clone(), capture.spool_memory_bytes);
        let mut is_whole = false;
        let mut problem = None;
        while problem.is_none() && !is_whole {
            let is_full = spool.bytes() >= u64::from(capture.spool_memory_bytes);
            if intake == Intake::UntilModel && asked.is_satisfied(&peeker, is_full) {
                break;
            }
            match pace.next_piece(&mut body, limits).await {
                Ok(None) => is_whole = true,
                Ok(Some(data)) => {
                    peeker.push(&data);
                    is_whole = body.is_end_stream();
                    problem = spool_piece(&mut spool, data, limits).await.err();
                }
                Err(refusal) => problem = Some(refusal),
            }
        }
        self.tally.client += began.elapsed();
        self.tally.request_bytes += spool.bytes();
        let stored = spool.finish().await;
        let stored = stored.map_err(|error| (spool_failed(&error), nothing()))?;
        if let Some(refusal) = problem {
            return Err((refusal, stored));
        }
        if is_whole {
            let peek = peeker.finish();
            asked.learn(&peek);
            if let Some(refusal) = malformed(asked, &peek) {
                return Err((refusal, stored));
            }
        } else if let Some(peek) = peeker.so_far() {
            asked.learn(peek);
        }
        let rest = if is_whole { None } else { Some(body) };
        Ok(Upload::new(stored, rest))
    }

    /// The body may have named the deployment: whether the caller may use it, and whether it exists.
    fn check_deployment(
        &self,
        parts: &Parts,
        asked: &Asked,
        grant: Grant,
    ) -> Result<Grant, Refusal> {
        let named = asked.deployment();
        if named.is_empty() || asked.has_path_deployment() {
            return Ok(grant);
        }
        let grant = self.admit(parts, asked, named)?;
        self.check_served(parts, asked)?;
        Ok(grant)
    }

    fn check_served(&self, parts: &Parts, asked: &Asked) -> Result<(), Refusal> {
        let deployment = asked.deployment();
        if self.live.pool.knows(deployment) || self.gateway.objects.model(deployment).is_some() {
            return Ok(());
        }
        let key = credential::find(&parts.headers, parts.uri.query());
        let operation_id = &asked.target.operation_id;
        let (key, member) = (key.as_deref(), self.member());
        let request = policy::Request { key, member, operation_id, deployment };
        Err(doctor::unknown_deployment(deployment, &usable(&self.live, &request)))
    }

    fn note_target(&mut self, asked: &Asked) {
        if let Some(opening) = &mut self.opening {
            opening.target.clone_from(&asked.target);
        }
    }

    /// What the body has told besides.
    fn note_body(&mut self, asked: &Asked) {
        if let Some(opening) = &mut self.opening {
            opening.target.deployment.clone_from(&asked.target.deployment);
            opening.target.model.clone_from(&asked.target.model);
            opening.target.is_stream = asked.target.is_stream;
        }
    }

    fn note_grant(&mut self, grant: &Grant) {
        self.body_bytes_max = grant.allowance.body_bytes_max.unwrap_or(u64::MAX);
        if let Some(opening) = &mut self.opening {
            opening.product_id.clone_from(&grant.product_id);
            opening.subscription_id.clone_from(&grant.subscription_id);
            opening.user_id.clone_from(&grant.user_id);
            opening.rules_version = grant.rules_version;
        }
    }

    /// The start record, to be written now.
    pub(crate) fn opened_frame(&mut self) -> Option<Frame> {
        self.opening.take().map(|opening| self.recorder.opened(opening))
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
            let (headers, status, release) = early.refuse(&refusal, &body);
            return Ending { outcome, status, headers, own_body, frames, release };
        }
        let (status, release) = match self.reply.take() {
            Some(reply) if refusal.kind != Kind::ClientGone => {
                (refusal.status().as_u16(), Release::Whole(reply, head, body))
            }
            _ => (0, Release::Nothing),
        };
        Ending { outcome, status, headers, own_body, frames, release }
    }

    /// The last phase: the end record is kept, and only then the client gets the end of its answer.
    async fn close(mut self, mut ending: Ending) {
        let mut frames = std::mem::take(&mut ending.frames);
        self.settle(&mut HeaderMap::new(), ending.outcome);
        frames.extend(self.settled_frame());
        if self.opening.is_none() && self.recorder.may_have_lost_pieces() {
            let lost = Refusal::new(Kind::LedgerDown).detail(
                "the ledger failed meanwhile: pieces of the bodies may be missing".to_owned(),
            );
            frames.push(self.recorder.closed(Closed::default()));
            return Box::pin(self.close_late(ending, frames, &lost)).await;
        }
        let closed = self.closed(&ending);
        let is_open = frames.iter().any(|frame| frame.kind == event::Kind::Opened);
        match self.opening.take() {
            Some(opened) if !is_open => {
                frames.push(self.recorder.refused(Refused { opened, closed }));
            }
            _ => frames.push(self.recorder.closed(closed)),
        }
        let failed = match self.recorder.keep(frames.clone()).await {
            Ok(sequence) => {
                if !self.learnt.is_empty() {
                    Box::pin(self.remember_learnt(sequence)).await;
                }
                return ending.release.hand_over().await;
            }
            Err(failed) => failed,
        };
        // Seldom needed and large: kept out of the future of every exchange, as elsewhere here.
        Box::pin(self.close_late(ending, frames, &failed)).await;
    }

    /// The end record could not be written: the client must not take the answer for complete.
    async fn close_late(mut self, mut ending: Ending, mut frames: Vec<Frame>, failed: &Refusal) {
        self.errors.push(failed.record(self.tally.started.elapsed()));
        ending.outcome = Outcome::GatewayFailed;
        match std::mem::replace(&mut ending.release, Release::Nothing) {
            Release::Whole(reply, ..) => {
                let (mut headers, body) = failed.answer(self.live.config.edge.error_shape);
                headers::correlate(&mut headers, self.recorder.id);
                let mut head = Response::new(());
                *head.status_mut() = failed.status();
                *head.headers_mut() = headers;
                ending.status = failed.status().as_u16();
                ending.own_body = String::from_utf8_lossy(&body).into_owned();
                reply.whole(head, body);
            }
            Release::End(pieces, _) | Release::Abort(pieces) => pieces.abort().await,
            Release::Session(farewell) => {
                let code = farewell.fail(failed).await;
                if let Some(end) = &mut self.session_end {
                    end.close_code = code;
                    end.closed_by = "gateway".to_owned();
                }
            }
            Release::Nothing => {}
        }
        if frames.last().is_some_and(|last| last.kind == event::Kind::Closed) {
            let closed = self.closed(&ending);
            frames.pop();
            frames.push(self.recorder.closed(closed));
        }
        if !self.recorder.keep_late(frames, &self.gateway.halt).await {
            tracing::error!(
                interaction = %self.recorder.id,
                "the end of an interaction could not be recorded; recovery will close it as interrupted"
            );
        }
    }

    fn closed(&mut self, ending: &Ending) -> Closed {
        let tally = &self.tally;
        let total = tally.started.elapsed();
        let own = total.saturating_sub(tally.client).saturating_sub(tally.backend);
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Closed {
            closed_at: Timestamp::from(SystemTime::now()),
            outcome: ending.outcome,
            status: ending.status,
            headers: ending.headers.clone(),
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

impl Release {
    async fn hand_over(self) {
        match self {
            Self::Whole(reply, head, body) => {
                reply.whole(head, body);
            }
            Self::End(pieces, Some(last)) => {
                pieces.send(last).await;
            }
            Self::Abort(pieces) => pieces.abort().await,
            Self::Session(farewell) => farewell.hand_over().await,
            Self::End(_, None) | Self::Nothing => {}
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

/// Whether the rules let the holder of this key, or whom a token proves, do that.
pub(crate) fn admit(
    live: &Live,
    (key, member): (Option<&str>, Option<&Member>),
    asked: &Asked,
    deployment: &str,
) -> Result<Grant, Refusal> {
    let operation_id = &asked.target.operation_id;
    let request = policy::Request { key, member, operation_id, deployment };
    policy::admit(&live.rules, &request).map_err(|denial| match denial.reason {
        DenialReason::KeyMissing => Refusal::new(Kind::KeyMissing),
        DenialReason::KeyUnknown => Refusal::new(Kind::KeyInvalid),
        DenialReason::SubscriptionInactive => {
            Refusal::new(Kind::KeyInvalid).finding("SubscriptionInactive")
        }
        DenialReason::NoProduct => Refusal::new(Kind::ProductNotGranted),
        DenialReason::OperationNotAllowed => Refusal::new(Kind::OperationNotAllowed),
        DenialReason::DeploymentNotAllowed => {
            doctor::forbidden_deployment(deployment, &usable(live, &request))
        }
    })
}

/// Deployments that backends serve and that the caller may use for this.
fn usable<'a>(live: &'a Live, request: &policy::Request<'_>) -> Vec<&'a str> {
    let is_usable = |deployment: &&str| {
        policy::admit(&live.rules, &policy::Request { deployment, ..*request }).is_ok()
    };
    live.pool.deployments().into_iter().filter(is_usable).collect()
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

async fn spool_piece(spool: &mut Spool, data: Bytes, limits: BodyLimits) -> Result<(), Refusal> {
    if spool.bytes() + data.len() as u64 > limits.bytes_max {
        return Err(Refusal::new(Kind::BodyTooLarge));
    }
    spool.push(data).await.map_err(|error| spool_failed(&error))
}

fn spool_failed(error: &std::io::Error) -> Refusal {
    Refusal::new(Kind::GatewayFailed).detail(format!("spool file: {error}"))
}

fn malformed(asked: &Asked, peek: &openai::Peek) -> Option<Refusal> {
    let wrong = peek.malformed().filter(|_| asked.demands_json())?;
    Some(Refusal::new(Kind::BodyMalformed).say(format!(
        "The request body is malformed at byte {}: {}. It was recorded as sent; correct it and send it again.",
        wrong.offset, wrong.reason
    )))
}
