//! Rules over one request: its head as soon as it is there, its body once enough of it is taken in.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use event::SecurityEvent;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use waf::{Body, Request, Verdict};

use super::Waf;
use crate::config::WafMode;
use crate::exchange::Exchange;
use crate::record;
use crate::refusal::{Kind, Refusal};
use crate::upload::Upload;

/// Longest head that is looked at in place, and the arguments of its query; for others a thread is worth while.
const SHORT_BYTES_MAX: u64 = 8 << 10;
const SHORT_ARGUMENTS_MAX: usize = 16;
/// Rules that a refusal and a security event name.
const NAMED_MAX: usize = 8;
/// Longest path in a security event.
const TARGET_BYTES_MAX: usize = 256;

impl Exchange {
    /// Rules that need the head alone; all of them where bodies are not looked at, or there is none.
    pub(crate) async fn inspect_head(&self, parts: &Parts, has_body: bool) -> Result<(), Refusal> {
        let Some(waf) = &self.live.waf else { return Ok(()) };
        let is_first_look = has_body && waf.body_bytes_max > 0;
        // With the body the head is looked at again: a first look is only to refuse early.
        if is_first_look && waf.mode == WafMode::Detection {
            return Ok(());
        }
        let head = Head::of(self, parts);
        let body = if is_first_look { Body::Awaited } else { Body::Unseen };
        let query = parts.uri.query().unwrap_or_default();
        let arguments = memchr::memchr_iter(b'&', query.as_bytes()).count();
        let is_short =
            self.tally.request_bytes <= SHORT_BYTES_MAX && arguments <= SHORT_ARGUMENTS_MAX;
        let verdict = match is_short {
            true => head.ask(waf, body),
            false => Box::pin(elsewhere(waf, move |waf| Ok(head.ask(waf, body)))).await?,
        };
        if is_first_look && verdict.blocked.is_none() {
            return Ok(());
        }
        self.heed(waf, &verdict, parts)
    }

    /// All rules, with what was taken in of a body. Off the async threads: it may take milliseconds.
    pub(crate) async fn inspect_body(&self, parts: &Parts, upload: &Upload) -> Result<(), Refusal> {
        let Some(waf) = self.live.waf.as_ref().filter(|waf| waf.body_bytes_max > 0) else {
            return Ok(());
        };
        let (head, stored) = (Head::of(self, parts), upload.stored.clone());
        let is_whole = upload.rest.is_none();
        let look = move |waf: &Waf| {
            let bytes = stored.beginning(waf.body_bytes_max)?;
            let is_partial = !is_whole || (bytes.len() as u64) < stored.bytes();
            // A body that was announced and is empty is none.
            let body = match bytes.is_empty() {
                true => Body::Unseen,
                false => Body::Read { bytes: &bytes, is_partial },
            };
            Ok(head.ask(waf, body))
        };
        let verdict = elsewhere(waf, look).await?;
        self.heed(waf, &verdict, parts)
    }

    /// Tells the security team what rules matched, and refuses where they do and the mode says so.
    fn heed(&self, waf: &Waf, verdict: &Verdict, parts: &Parts) -> Result<(), Refusal> {
        if verdict.blocked.is_none() && verdict.matches.is_empty() {
            return Ok(());
        }
        let refuses = verdict.blocked.is_some() && waf.mode == WafMode::Prevention;
        let kind = if refuses { "waf_blocked" } else { "waf_matched" };
        let message = told(verdict, refuses);
        let mut event = self.security_event(kind, &chief_rule(verdict));
        if verdict.blocked.is_none() {
            event.severity = "informational".to_owned();
        }
        let path = parts.uri.path();
        let end = path.floor_char_boundary(path.len().min(TARGET_BYTES_MAX));
        let target = path[..end].to_owned();
        self.gateway.security.note(SecurityEvent { target, message: message.clone(), ..event });
        match refuses {
            true => Err(refusal(verdict).detail(message)),
            false => Ok(()),
        }
    }
}

/// Looks off the async threads, when it is its turn.
async fn elsewhere(
    waf: &Arc<Waf>,
    look: impl FnOnce(&Waf) -> io::Result<Verdict> + Send + 'static,
) -> Result<Verdict, Refusal> {
    let turn = waf.inspecting.clone().acquire_owned().await;
    let waf = waf.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let _turn = turn.expect("the semaphore is never closed");
        look(&waf)
    });
    let verdict = looking.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    verdict.map_err(|error| {
        Refusal::new(Kind::GatewayFailed)
            .detail(format!("the request cannot be looked at: {error}"))
    })
}

/// The rule that says most of why: the gravest that matched, and of equals the first.
fn chief_rule(verdict: &Verdict) -> String {
    let blocking = verdict.blocked.as_ref().map(|blocked| blocked.rule_id);
    let causes = verdict.matches.iter().filter(|one| Some(one.rule_id) != blocking);
    let gravest = causes.min_by_key(|one| one.severity.map_or(u8::MAX, |severity| severity as u8));
    gravest.map(|one| one.rule_id).or(blocking).unwrap_or_default().to_string()
}

/// `refused by rule 949110, score 10: 942100 SQL Injection (ARGS:q); …`. Of what the caller sent, names of
/// members stand in it and no value.
fn told(verdict: &Verdict, refuses: bool) -> String {
    let mut text = match &verdict.blocked {
        Some(blocked) if refuses => format!("refused by rule {}", blocked.rule_id),
        Some(blocked) => format!("would be refused by rule {}", blocked.rule_id),
        None => "not refused".to_owned(),
    };
    let mut add = |piece: std::fmt::Arguments<'_>| {
        text.write_fmt(piece).expect("a string takes all that is written");
    };
    if verdict.score != 0 {
        add(format_args!(", score {}", verdict.score));
    }
    for (place, one) in verdict.matches.iter().take(NAMED_MAX).enumerate() {
        let between = if place == 0 { ":" } else { ";" };
        add(format_args!("{between} {} {} ({})", one.rule_id, one.message, one.variable));
    }
    if let Some(more) = verdict.matches.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        add(format_args!("; and {more} more"));
    }
    text
}

fn refusal(verdict: &Verdict) -> Refusal {
    let mut ids: Vec<u32> = verdict.matches.iter().map(|one| one.rule_id).collect();
    ids.extend(verdict.blocked.iter().map(|blocked| blocked.rule_id));
    ids.dedup();
    let ids: Vec<String> = ids.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let rules = if ids.len() == 1 { "rule" } else { "rules" };
    Refusal::new(Kind::WafBlocked).say(format!(
        "The request was refused by this gateway's web application firewall ({rules} {}). If it is no attack, ask the administrator to exclude what matched (waf.exclusions), and name this call's x-gatehouse-correlation-id.",
        ids.join(", ")
    ))
}

/// A head in a form that can be handed to another thread.
struct Head {
    method: String,
    uri: String,
    protocol: &'static str,
    headers: HeaderMap,
    authority: Option<String>,
    caller_ip: String,
    id: String,
    received_unix_micros: u64,
}

impl Head {
    fn of(exchange: &Exchange, parts: &Parts) -> Self {
        let opening = exchange.opening.as_ref();
        // A WebSocket over HTTP/2 begins with CONNECT and is a GET for what comes behind (RFC 8441).
        let method = match parts.method {
            Method::CONNECT => &Method::GET,
            ref method => method,
        };
        let uri = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let authority = parts.uri.authority().map(|authority| authority.as_str().to_owned());
        let received = opening.map_or(0, |opening| opening.received_at.unix_micros());
        Self {
            method: method.as_str().to_owned(),
            uri: uri.to_owned(),
            protocol: record::protocol(parts.version),
            headers: parts.headers.clone(),
            authority: authority.filter(|_| !parts.headers.contains_key(header::HOST)),
            caller_ip: opening.map(|one| one.caller.caller_ip.clone()).unwrap_or_default(),
            id: exchange.recorder.id.to_string(),
            received_unix_micros: u64::try_from(received).unwrap_or(0),
        }
    }

    fn ask(&self, waf: &Waf, body: Body<'_>) -> Verdict {
        let named = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let host = self.authority.iter().map(|authority| ("host", authority.as_bytes()));
        let headers: Vec<(&str, &[u8])> = host.chain(named).collect();
        let request = Request {
            method: &self.method,
            uri: &self.uri,
            protocol: self.protocol,
            headers: &headers,
            remote_address: self.caller_ip.parse().ok(),
            unique_id: &self.id,
            received_unix_micros: self.received_unix_micros,
            body,
        };
        waf.rules.evaluate(&request, false)
    }
}
