//! What limits count of one exchange: set aside before anything is sent, settled by what the answer
//! tells. A call that no limit counts does none of this.

use std::time::SystemTime;

use event::{Charges, Outcome, Timestamp};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use openai::{AnswerPeek, AnswerPeeker, PathIds, Tokenizer, Usage};
use policy::{Applied, CallKey, Estimate, Exceeded, Grant, Measure, Meter, Rules, Used};
use shared::{Limiter, Reservation};

use crate::asked::Asked;
use crate::passing::Passing;
use crate::refusal::{Kind, Refusal};
use crate::spool::Stored;

/// Bodies up to this size are counted where they are; longer ones off the async threads.
const COUNTED_HERE_BYTES_MAX: u64 = 4 << 10;
/// Longer bodies are not read for it: what they need is taken to be a quarter of their bytes, and is
/// not held against them beforehand.
const COUNTED_BYTES_MAX: u64 = 8 << 20;
/// The most that such a body is taken to need.
const UNCOUNTED_TOKENS_MAX: u64 = 128_000;
/// A prompt is not counted beforehand while its limits have room for so many like it, each token taken
/// for one byte: counting costs more than all else that is done for the call.
const AMPLE: u64 = 64;
/// What stands in a body whose tokens may be more than its bytes.
const MEDIA: [&[u8]; 4] = [b"\"image", b"\"input_", b"\"file", b"\"audio"];

/// The account of one exchange; empty where nothing is limited.
#[derive(Default)]
pub(crate) struct Account {
    reservation: Option<Reservation>,
    /// Model named by the request, for the price of an answer that names none.
    model: String,
    /// What the prompt is taken to need; a quarter of its bytes where it was not counted.
    prompt_tokens: u64,
    /// What was set aside for the prompt beyond that.
    surplus: u64,
    peeker: Option<AnswerPeeker>,
    /// Status of the answer that was passed on.
    status: Option<u16>,
    /// The reservation stands in the ledger: the request is on its way.
    is_recorded: bool,
    /// Goes with the end record.
    charges: Option<Charges>,
}

/// What amounts are reckoned with.
#[derive(Clone, Copy)]
pub(crate) struct Books<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) limiter: &'a Limiter,
    pub(crate) tokenizer: &'a Tokenizer,
}

/// A call about to be sent.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) asked: &'a Asked,
    pub(crate) stored: &'a Stored,
}

impl Account {
    /// Sets aside what the call may need of every limit it meets.
    pub(crate) async fn reserve(
        &mut self,
        books: Books<'_>,
        call: Call<'_>,
        grant: &Grant,
    ) -> Result<(), Refusal> {
        let allowance = &grant.allowance;
        let asked = call.asked;
        check_length(asked, grant)?;
        if allowance.limits.is_empty() {
            return Ok(());
        }
        let key = CallKey {
            product: &grant.product_id,
            subscription: &grant.subscription_id,
            user: &grant.user_id,
            deployment: asked.deployment(),
        };
        let applied = allowance.applied(&key, asked.takes_model());
        if applied.is_empty() {
            return Ok(());
        }
        let mut estimate = Estimate { choices: asked.choices.unwrap_or(1), ..Estimate::default() };
        if applied.iter().any(|applied| applied.limit.measure != Measure::Calls) {
            // What answers otherwise than in text is paid by its prompt, or by the piece.
            let is_text = matches!(asked.target.kind.as_str(), "chat" | "completion");
            let assumed = if is_text { None } else { Some(0) };
            estimate.completion_tokens_max = asked.output_tokens_max.or(assumed);
            self.estimate(books, call, &applied, &mut estimate).await;
            self.prompt_tokens = estimate.prompt_tokens - self.surplus;
            self.model = asked.deployment().to_owned();
        }
        let reserved = books.limiter.reserve(applied, &estimate, now()).await;
        self.reservation = Some(reserved.map_err(|exceeded| refusal(&exceeded))?);
        Ok(())
    }

    /// What the call is expected to use.
    async fn estimate(
        &mut self,
        books: Books<'_>,
        call: Call<'_>,
        applied: &[Applied],
        estimate: &mut Estimate,
    ) {
        let Call { parts, asked, stored } = call;
        let bytes = stored.bytes();
        if bytes > COUNTED_BYTES_MAX {
            let unknown = (bytes / 4).min(UNCOUNTED_TOKENS_MAX);
            let answer = estimate.completion_tokens_max.unwrap_or(0);
            estimate.completion_tokens_max = Some(answer.saturating_add(unknown));
            return;
        }
        let is_form = parts.headers.get(header::CONTENT_TYPE).is_some_and(|value| {
            value
                .as_bytes()
                .get(..10)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/"))
        });
        if bytes > 0 && !is_form {
            let is_ample = stored.memory().is_some_and(|body| is_text_alone(body))
                && books.limiter.has_room(applied, bytes.saturating_mul(AMPLE), now());
            if is_ample {
                self.surplus = bytes - bytes / 4;
                estimate.prompt_tokens = bytes;
            } else {
                estimate.prompt_tokens = count_prompt(books.tokenizer, asked, stored).await;
            }
        }
        let rules = books.rules;
        let meter = Meter { model: asked.deployment(), ..Meter::default() };
        estimate.prompt_nanodollars = rules.nanodollars(&Meter {
            prompt_tokens: whole(estimate.prompt_tokens),
            images: if asked.target.kind == "image" { whole(estimate.choices) } else { 0 },
            ..meter.clone()
        });
        // The price of one token is less than a nanodollar can tell.
        let thousand = rules.nanodollars(&Meter { completion_tokens: 1_000, ..meter });
        estimate.nanodollars_per_completion_token = thousand.div_ceil(1_000);
    }

    /// The reservation, to be recorded with the start record.
    pub(crate) fn reserved(&mut self) -> Option<Charges> {
        let reservation = self.reservation.as_ref()?;
        self.is_recorded = true;
        reservation.charges()
    }

    /// An answer begins that will be passed on.
    pub(crate) fn note_answer(&mut self, status: u16, headers: &HeaderMap) {
        if self.reservation.is_none() {
            return;
        }
        self.status = Some(status);
        if !headers.contains_key(header::CONTENT_ENCODING) {
            let content_type = headers.get(header::CONTENT_TYPE);
            let content_type = content_type.and_then(|value| value.to_str().ok());
            self.peeker = Some(AnswerPeeker::new(content_type));
        }
    }

    /// The next bytes of the answer.
    pub(crate) fn note_answer_bytes(&mut self, data: &[u8]) {
        if let Some(peeker) = &mut self.peeker {
            peeker.push(data);
        }
    }

    /// Counts what an answer within a session has used, to be recorded.
    pub(crate) fn note_usage(
        &mut self,
        rules: &Rules,
        model: &str,
        usage: Usage,
    ) -> Option<Charges> {
        let peek = AnswerPeek { usage: Some(usage), ..AnswerPeek::default() };
        let used = used(rules, &peek, meter(&peek, model), 0, Used::default());
        self.reservation.as_mut()?.add(&Used { calls: 0, ..used }, now())
    }

    /// Nothing is left of one of the limits: a session is to end.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.reservation.as_ref().is_some_and(|reservation| reservation.is_exhausted(now()))
    }

    /// Tells what is left while the answer is still to come.
    pub(crate) fn say_remaining(&self, headers: &mut Passing) {
        if let Some(reservation) = &self.reservation {
            say(headers, &reservation.headers(now()));
        }
    }

    /// Counts what was really used, and tells what is left. Once it is done it changes nothing.
    pub(crate) fn settle(&mut self, rules: &Rules, headers: &mut Passing, outcome: Outcome) {
        let Some(reservation) = self.reservation.take() else { return };
        let peek = self.peeker.take().map(AnswerPeeker::finish).unwrap_or_default();
        let (status, prompt_tokens) = (self.status, self.prompt_tokens);
        let mut reserved = reservation.reserved();
        reserved.tokens = reserved.tokens.saturating_sub(self.surplus);
        let used = match status {
            _ if !self.is_recorded => Used::default(),
            Some(200..400) => {
                let model = peek.model.as_deref().unwrap_or(&self.model);
                used(rules, &peek, meter(&peek, model), prompt_tokens, reserved)
            }
            // Nobody waited for the answer: what it cost is not known.
            None if outcome == Outcome::ClientGone => reserved,
            // What failed costs nothing, but the backend was called.
            _ => Used { calls: 1, ..Used::default() },
        };
        let settled = reservation.settle(&used, now());
        say(headers, &settled.headers);
        self.charges = settled.charges.filter(|_| self.is_recorded);
    }

    /// The settlement, to be recorded with the end record.
    pub(crate) fn settled(&mut self) -> Option<Charges> {
        self.charges.take()
    }
}

/// Counts the tokens of a prompt, off the async threads if that takes long.
async fn count_prompt(tokenizer: &Tokenizer, asked: &Asked, stored: &Stored) -> u64 {
    let tokenizer = tokenizer.clone();
    let is_quick =
        stored.bytes() <= COUNTED_HERE_BYTES_MAX && tokenizer.is_ready(asked.deployment());
    let quarter = stored.bytes() / 4;
    let (stored, target) = (stored.clone(), asked.target.clone());
    let model = asked.deployment().to_owned();
    let count = move |body: &[u8]| {
        let input = openai::Input {
            kind: openai::Kind::from_name(&target.kind).unwrap_or(openai::Kind::Other),
            subkind: &target.subkind,
            operation_id: &target.operation_id,
            path_ids: &PathIds::default(),
            deployment: &model,
            request: &openai::Body::read(Some("application/json"), body),
            response: &openai::Body::Empty,
            status: 0,
            streamed: false,
            tokenizer: &tokenizer,
        };
        openai::prompt_tokens(&input)
    };
    match stored.memory() {
        Some(body) if is_quick => count(body),
        _ => {
            let counting = tokio::task::spawn_blocking(move || match stored.read_whole() {
                Ok(body) => count(&body),
                Err(error) => {
                    tracing::warn!(%error, "a spooled body could not be read for its tokens");
                    quarter
                }
            });
            counting.await.unwrap_or(quarter)
        }
    }
}

/// What an answer cost: as it tells; else by its pieces, as far as they can tell.
fn used(
    rules: &Rules,
    peek: &AnswerPeek,
    meter: Meter<'_>,
    prompt_tokens: u64,
    reserved: Used,
) -> Used {
    if let Some(usage) = &peek.usage {
        return Used {
            calls: 1,
            tokens: u64::try_from(usage.total.unwrap_or(0)).unwrap_or(0),
            nanodollars: rules.nanodollars(&meter),
            is_estimated: false,
        };
    }
    if peek.events == 0 {
        // A whole answer that tells nothing, or one that cannot be read.
        return Used { calls: 1, ..reserved };
    }
    // Nearly every event of a stream is one token.
    let prompt = Meter { prompt_tokens: whole(prompt_tokens), ..meter };
    let cost = rules.nanodollars(&Meter { completion_tokens: whole(peek.events), ..prompt });
    Used {
        calls: 1,
        tokens: prompt_tokens.saturating_add(peek.events),
        nanodollars: cost,
        is_estimated: true,
    }
}

/// A prompt of text, of which a token is a byte at least.
fn is_text_alone(body: &[u8]) -> bool {
    !MEDIA.iter().any(|name| memchr::memmem::find(body, name).is_some())
}

/// The subscription may have answers as long as the call asks for.
pub(crate) fn check_length(asked: &Asked, grant: &Grant) -> Result<(), Refusal> {
    let (Some(most), Some(wanted)) = (grant.allowance.max_tokens, asked.output_tokens_max) else {
        return Ok(());
    };
    if wanted <= most {
        return Ok(());
    }
    Err(Refusal::new(Kind::MaxTokens).say(format!(
        "The call asks for up to {wanted} answer tokens; its subscription may have at most {most} at once. Ask for fewer (max_tokens, max_completion_tokens or max_output_tokens)."
    )))
}

/// What the price list asks for an answer.
fn meter<'a>(peek: &AnswerPeek, model: &'a str) -> Meter<'a> {
    let usage = peek.usage.unwrap_or_default();
    Meter {
        model,
        prompt_tokens: usage.prompt.unwrap_or(0),
        cached_tokens: usage.cached.unwrap_or(0),
        audio_prompt_tokens: usage.audio_prompt.unwrap_or(0),
        completion_tokens: usage.completion.unwrap_or(0),
        audio_completion_tokens: usage.audio_completion.unwrap_or(0),
        audio_seconds: usage.seconds.unwrap_or(0.0),
        ..Meter::default()
    }
}

fn refusal(exceeded: &Exceeded) -> Refusal {
    let is_tokens = exceeded.limit.measure == Measure::Tokens;
    let kind = match (exceeded.is_quota(), is_tokens) {
        (true, true) => Kind::TokenQuotaExceeded,
        (true, false) => Kind::QuotaExceeded,
        (false, true) => Kind::TokenRateExceeded,
        (false, false) => Kind::RateExceeded,
    };
    let mut refusal =
        Refusal::new(kind).say(exceeded.message()).detail(format!("limit {}", exceeded.counter));
    match exceeded.wait {
        Some(wait) => {
            refusal = refusal.retry_after(wait);
            let name = HeaderName::from_bytes(exceeded.limit.headers.retry_after.as_bytes());
            if let Some(name) = name.ok().filter(|name| *name != header::RETRY_AFTER) {
                refusal = refusal.header(name, &exceeded.seconds().to_string());
            }
        }
        // Waiting does not help, and SDKs repeat a 429 unless they are told not to.
        None => {
            let name = HeaderName::from_static("x-should-retry");
            refusal = refusal.header(name, "false");
        }
    }
    refusal
}

fn say(headers: &mut Passing, all: &[(String, u64)]) {
    for (name, value) in all {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            headers.insert(name, HeaderValue::from(*value));
        }
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}
