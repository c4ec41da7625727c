//! Taking in as much of a request's body as must be known before it is sent on.

use std::time::Instant;

use bytes::Bytes;
use http::header;
use http::request::Parts;
use http_body::Body as _;
use hyper::body::Incoming;
use openai::Peeker;

use crate::asked::{Asked, Intake};
use crate::exchange::{Exchange, spool_failed};
use crate::refusal::{Kind, Refusal};
use crate::spool::{Spool, Stored};
use crate::upload::{BodyLimits, Pace, Upload};

impl Exchange {
    /// Reads as much of the body as must be known before it is sent on.
    pub(crate) async fn take_in(
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
        // What the firewall looks at is taken in, whatever becomes of the rest.
        let inspected = self.live.waf.as_ref().map_or(0, |waf| waf.body_bytes_max()) as u64;
        if intake == Intake::Through && inspected == 0 {
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
            let is_known = match intake {
                Intake::Whole => false,
                Intake::UntilModel => asked.is_satisfied(&peeker, is_full),
                Intake::Through => true,
            };
            if is_known && spool.bytes() >= inspected {
                break;
            }
            match pace.next_piece(&mut body, limits).await {
                Ok(None) => is_whole = true,
                Ok(Some(data)) => {
                    if intake != Intake::Through {
                        peeker.push(&data);
                    }
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
        if is_whole && intake != Intake::Through {
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
}

async fn spool_piece(spool: &mut Spool, data: Bytes, limits: BodyLimits) -> Result<(), Refusal> {
    if spool.bytes() + data.len() as u64 > limits.bytes_max {
        return Err(Refusal::new(Kind::BodyTooLarge));
    }
    spool.push(data).await.map_err(|error| spool_failed(&error))
}

fn malformed(asked: &Asked, peek: &openai::Peek) -> Option<Refusal> {
    let wrong = peek.malformed().filter(|_| asked.demands_json())?;
    Some(Refusal::new(Kind::BodyMalformed).say(format!(
        "The request body is malformed at byte {}: {}. It was recorded as sent; correct it and send it again.",
        wrong.offset, wrong.reason
    )))
}
