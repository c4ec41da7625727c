//! What an answer says about when to come back. Pure.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

/// What may remain of a rate limit, and when it is whole again.
const REMAINING: [(&str, &str); 2] = [
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
];

/// A backend's wish to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// For how long; none if it does not tell.
    pub(crate) wait: Option<Duration>,
    /// What it was read from.
    pub(crate) reason: &'static str,
}

/// The wish that an answer expresses, if any. A `Retry-After` counts on 429 and 503 only; a rate
/// limit that is used up counts on every answer.
pub(crate) fn wish(status: u16, headers: &HeaderMap, now: SystemTime) -> Option<Wish> {
    let retry_after = if matches!(status, 429 | 503) { retry_after(headers, now) } else { None };
    if status == 429 || retry_after.is_some() {
        let wait = retry_after.or_else(|| used_up(headers).and_then(|wish| wish.wait));
        return Some(Wish {
            wait,
            reason: if status == 429 { "throttled" } else { "retry_after" },
        });
    }
    used_up(headers)
}

/// `retry-after-ms`, or else `Retry-After` in seconds (fractions too) or as a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if let Some(ms) = text(headers, "retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return seconds(ms / 1_000.0);
    }
    let text = text(headers, header::RETRY_AFTER.as_str())?;
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number);
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

fn used_up(headers: &HeaderMap) -> Option<Wish> {
    let mut found: Option<Wish> = None;
    for (remaining, reset) in REMAINING {
        if text(headers, remaining) != Some("0") {
            continue;
        }
        let wait = text(headers, reset).and_then(reset_time);
        let longest = found.and_then(|wish| wish.wait).max(wait);
        found = Some(Wish { wait: longest, reason: "rate_limit_used_up" });
    }
    found
}

/// `7` (seconds), `120ms`, `6m0s`, `1h2m3.5s`.
fn reset_time(text: &str) -> Option<Duration> {
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number);
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end =
            rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        total += number
            * match &rest[end..unit_end] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    seconds(total)
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, headers: &[(&'static str, &'static str)]) -> Option<Option<u128>> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        wish(status, &headers, now).map(|wish| wish.wait.map(|wait| wait.as_millis()))
    }

    #[test]
    fn every_way_of_saying_when_is_understood() {
        let ms = |ms| Some(Some(ms));
        assert_eq!(told(429, &[("retry-after", "7"), ("retry-after-ms", "1500")]), ms(1_500));
        assert_eq!(told(429, &[("retry-after", "7")]), ms(7_000));
        assert_eq!(told(503, &[("retry-after", "0.5")]), ms(500));
        assert_eq!(told(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), ms(7_000));
        assert_eq!(told(429, &[("retry-after", "soon")]), Some(None));
        assert_eq!(told(429, &[]), Some(None));
        assert_eq!(told(503, &[]), None);
        assert_eq!(told(500, &[("retry-after", "7")]), None);
        assert_eq!(told(200, &[("retry-after", "7")]), None);
        assert_eq!(told(429, &[("retry-after", "-3")]), Some(None));
    }

    #[test]
    fn a_rate_limit_that_is_used_up_counts_on_every_answer() {
        let ms = |ms| Some(Some(ms));
        let tokens = ("x-ratelimit-remaining-tokens", "0");
        let requests = ("x-ratelimit-remaining-requests", "0");
        assert_eq!(told(200, &[tokens, ("x-ratelimit-reset-tokens", "6m0s")]), ms(360_000));
        assert_eq!(told(200, &[requests, ("x-ratelimit-reset-requests", "120ms")]), ms(120));
        assert_eq!(told(200, &[tokens, ("x-ratelimit-reset-tokens", "1h2m3.5s")]), ms(3_723_500));
        assert_eq!(told(200, &[tokens, ("x-ratelimit-reset-tokens", "7")]), ms(7_000));
        assert_eq!(told(200, &[tokens]), Some(None));
        assert_eq!(told(200, &[("x-ratelimit-remaining-tokens", "1")]), None);
        assert_eq!(
            told(
                200,
                &[
                    tokens,
                    requests,
                    ("x-ratelimit-reset-tokens", "20s"),
                    ("x-ratelimit-reset-requests", "1s")
                ]
            ),
            ms(20_000)
        );
        assert_eq!(told(429, &[tokens, ("x-ratelimit-reset-tokens", "9s")]), ms(9_000));
        assert_eq!(told(200, &[tokens, ("x-ratelimit-reset-tokens", "9 parsecs")]), Some(None));
    }
}
