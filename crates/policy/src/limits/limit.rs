//! One limit, and whether a call fits into it.

use std::fmt;

use super::{KeyPart, LimitConfig, QuotaPeriod, Window};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Calls.
    Calls,
    /// Tokens of prompts and answers.
    Tokens,
    /// Nanodollars.
    Money,
}

/// How much of one measure fits into one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is counted.
    pub measure: Measure,
    /// Over what time.
    pub window: Window,
    /// How much fits.
    pub amount: u64,
    /// What is counted apart.
    pub key: Vec<KeyPart>,
    /// Deployments it holds for; empty means all.
    pub deployments: Vec<String>,
    /// Answer tokens set aside for a call that states no maximum.
    pub completion_tokens_assumed: u64,
    /// The headers that tell of it.
    pub headers: LimitHeaders,
}

/// Names of the headers that tell of a limit, lower case; empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitHeaders {
    /// Seconds to wait.
    pub retry_after: String,
    /// What is left.
    pub remaining: String,
    /// What the call used.
    pub consumed: String,
}

/// What a call needs of one measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Known beforehand, as the tokens of its prompt: it must fit.
    pub firm: u64,
    /// The most that may come to it, as the tokens of the answer.
    pub soft: u64,
}

/// What a call is expected to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Most tokens of one answer, where the call states it.
    pub completion_tokens_max: Option<u64>,
    /// Answers asked for.
    pub choices: u64,
    /// Cost of the prompt.
    pub prompt_nanodollars: u64,
    /// Cost of each answer token.
    pub nanodollars_per_completion_token: u64,
}

impl Estimate {
    /// What a limit must have left for it.
    pub fn need(&self, limit: &Limit) -> Need {
        let answer = self.completion_tokens_max.unwrap_or(limit.completion_tokens_assumed);
        let answers = answer.saturating_mul(self.choices);
        match limit.measure {
            Measure::Calls => Need { firm: 1, soft: 0 },
            Measure::Tokens => Need { firm: self.prompt_tokens, soft: answers },
            Measure::Money => Need {
                firm: self.prompt_nanodollars,
                soft: answers.saturating_mul(self.nanodollars_per_completion_token),
            },
        }
    }
}

/// What a call has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// 1 if it counts as a call.
    pub calls: u64,
    /// Tokens of prompt and answer.
    pub tokens: u64,
    /// Cost.
    pub nanodollars: u64,
    /// Not told by the backend, but estimated.
    pub is_estimated: bool,
}

impl Used {
    /// As a measure counts it.
    pub fn of(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Calls => self.calls,
            Measure::Tokens => self.tokens,
            Measure::Money => self.nanodollars,
        }
    }
}

/// Whether a call fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// With all it may need, which is set aside.
    Whole(u64),
    /// With what is firm; all that is left is set aside, and that may be less than it comes to use.
    Short(u64),
    /// It does not.
    No,
}

impl Need {
    /// Whether it fits where `used` of `most` is gone. Only one call at a time may be let in short:
    /// so the overrun is never more than what that one lacks.
    pub fn fit(self, used: u64, most: u64, may_be_short: bool) -> Fit {
        let left = most.saturating_sub(used);
        let all = self.firm.saturating_add(self.soft);
        if left == 0 || self.firm > left {
            Fit::No
        } else if all <= left {
            Fit::Whole(all)
        } else if may_be_short {
            Fit::Short(left)
        } else {
            Fit::No
        }
    }
}

impl Measure {
    /// The name in a counter's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Tokens => "tokens",
            Self::Money => "nanodollars",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Limit {
    /// The limits of one entry; the error names the fix.
    pub(crate) fn read(config: &LimitConfig) -> Result<Vec<Self>, String> {
        check(config)?;
        let quota =
            |name: &str, amount: Option<u64>, period: Option<QuotaPeriod>| match (amount, period) {
                (Some(amount), Some(period)) => Ok(Some((Window::Fixed(period), amount))),
                (None, None) => Ok(None),
                (Some(_), None) => {
                    Err(format!("`{name}` has no period: add its `…_period`, such as `daily`"))
                }
                (None, Some(_)) => {
                    Err(format!("the period of `{name}` stands alone: add `{name}`"))
                }
            };
        let seconds = u32::try_from(config.renewal_period_s).unwrap_or(u32::MAX);
        let sliding =
            |amount: Option<u64>, seconds| amount.map(|amount| (Window::Sliding(seconds), amount));
        let money = config.money_quota_usd.map(|usd| usd.nanos);
        let (calls, quota_tokens) =
            (&config.remaining_calls_header_name, &config.remaining_quota_tokens_header_name);
        let tokens = &config.remaining_tokens_header_name;
        let none = String::new();
        let all = [
            (Measure::Calls, sliding(config.calls, seconds), calls),
            (
                Measure::Calls,
                quota("call_quota", config.call_quota, config.call_quota_period)?,
                calls,
            ),
            (Measure::Tokens, sliding(config.tokens_per_minute, 60), tokens),
            (
                Measure::Tokens,
                quota("token_quota", config.token_quota, config.token_quota_period)?,
                quota_tokens,
            ),
            (Measure::Money, quota("money_quota_usd", money, config.money_quota_period)?, &none),
            (Measure::Calls, config.concurrency.map(|most| (Window::InFlight, most)), &none),
        ];
        let limits: Vec<Self> = all
            .into_iter()
            .filter_map(|(measure, what, remaining)| {
                let (window, amount) = what?;
                Some(Self::new(config, measure, window, (amount, remaining)))
            })
            .collect();
        match limits.iter().find(|limit| limit.amount == 0) {
            Some(limit) => Err(format!(
                "a limit of 0 {} would refuse every call: suspend the subscription instead, or leave the limit out",
                limit.measure
            )),
            None if limits.is_empty() => Err(
                "it limits nothing: set `calls`, `call_quota`, `tokens_per_minute`, `token_quota`, `money_quota_usd` or `concurrency`"
                    .into(),
            ),
            None => Ok(limits),
        }
    }

    fn new(
        config: &LimitConfig,
        measure: Measure,
        window: Window,
        (amount, remaining): (u64, &str),
    ) -> Self {
        let consumed = match measure {
            Measure::Tokens => config.tokens_consumed_header_name.to_ascii_lowercase(),
            Measure::Calls | Measure::Money => String::new(),
        };
        Self {
            measure,
            window,
            amount,
            key: config.counter_key.clone(),
            deployments: config.deployments.clone(),
            completion_tokens_assumed: config.completion_tokens_assumed,
            headers: LimitHeaders {
                retry_after: config.retry_after_header_name.to_ascii_lowercase(),
                remaining: remaining.to_ascii_lowercase(),
                consumed,
            },
        }
    }
}

fn check(config: &LimitConfig) -> Result<(), String> {
    for (place, part) in config.counter_key.iter().enumerate() {
        if config.counter_key[..place].contains(part) {
            return Err("`counter_key` names one part twice: leave one out".into());
        }
    }
    if !config.deployments.is_empty() && !config.counter_key.contains(&KeyPart::Deployment) {
        return Err(
            "`deployments` needs `deployment` in `counter_key`: other calls would share the counter"
                .into(),
        );
    }
    if !(1..=300).contains(&config.renewal_period_s) {
        let seconds = config.renewal_period_s;
        return Err(format!(
            "`renewal_period_s` is {seconds}; it may be 1 to 300: use `call_quota` for longer ones"
        ));
    }
    let names = [
        &config.retry_after_header_name,
        &config.remaining_calls_header_name,
        &config.remaining_tokens_header_name,
        &config.remaining_quota_tokens_header_name,
        &config.tokens_consumed_header_name,
    ];
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match names.into_iter().find(|name| !name.bytes().all(is_fit)) {
        Some(name) => Err(format!(
            "`{name}` cannot be a header's name: use letters, digits and `-`, or nothing for no header"
        )),
        None => Ok(()),
    }
}
