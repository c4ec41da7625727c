//! Punycode (RFC 3492), of one label or of the labels of a domain.

use kql::Function;

use super::{Kernel, text_at};
use crate::cell::Cell;

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const FIRST: u32 = 128;
const FIRST_BIAS: u32 = 72;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::PunycodeFromString => |args, _| text(encode(text_at(args, 0))),
        Function::PunycodeToString => |args, _| text(decode(text_at(args, 0))),
        Function::PunycodeDomainFromString => |args, _| text(domain_to_text(text_at(args, 0))),
        Function::PunycodeDomainToString => |args, _| text(domain_from_text(text_at(args, 0))),
    })
}

fn text<'a>(answer: Option<String>) -> Cell<'a> {
    Cell::text(answer.unwrap_or_default())
}

/// Full stops of other scripts part labels as well.
fn labels(domain: &str) -> impl Iterator<Item = &str> {
    domain.split(['.', '\u{3002}', '\u{FF0E}', '\u{FF61}'])
}

fn domain_from_text(domain: &str) -> Option<String> {
    let encoded = labels(domain).map(|label| {
        if label.is_ascii() {
            Some(label.to_owned())
        } else {
            Some(format!("xn--{}", encode(label)?))
        }
    });
    Some(encoded.collect::<Option<Vec<_>>>()?.join("."))
}

fn domain_to_text(domain: &str) -> Option<String> {
    let decoded = labels(domain).map(|label| match label.strip_prefix("xn--") {
        Some(code) => decode(code),
        None => Some(label.to_owned()),
    });
    Some(decoded.collect::<Option<Vec<_>>>()?.join("."))
}

fn adapt(delta: u32, count: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / DAMP } else { delta / 2 };
    delta += delta / count;
    let mut bias = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        bias += BASE;
    }
    bias + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

fn digit(value: u32) -> char {
    char::from_digit(value + 10, 36)
        .filter(|_| value < 26)
        .unwrap_or_else(|| char::from_digit(value.saturating_sub(26), 10).unwrap_or('0'))
}

fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(T_MIN, T_MAX)
}

fn encode(label: &str) -> Option<String> {
    let code: Vec<u32> = label.chars().map(u32::from).collect();
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(out.len()).ok()?;
    let mut handled = basic;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias) = (FIRST, 0u32, FIRST_BIAS);
    while (handled as usize) < code.len() {
        let next = code.iter().copied().filter(|c| *c >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for c in &code {
            if *c < n {
                delta = delta.checked_add(1)?;
            }
            if *c != n {
                continue;
            }
            let (mut q, mut k) = (delta, BASE);
            loop {
                let t = threshold(k, bias);
                if q < t {
                    break;
                }
                out.push(digit(t + (q - t) % (BASE - t)));
                q = (q - t) / (BASE - t);
                k += BASE;
            }
            out.push(digit(q));
            bias = adapt(delta, handled + 1, handled == basic);
            delta = 0;
            handled += 1;
        }
        delta += 1;
        n += 1;
    }
    Some(out)
}

fn decode(label: &str) -> Option<String> {
    let (basic, extended) = label.rsplit_once('-').unwrap_or(("", label));
    let mut out: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (FIRST, 0u32, FIRST_BIAS);
    let mut digits = extended.chars();
    while !digits.as_str().is_empty() {
        let (before, mut weight, mut k) = (i, 1u32, BASE);
        loop {
            let value = match digits.next()? {
                c @ 'a'..='z' => u32::from(c) - u32::from('a'),
                c @ 'A'..='Z' => u32::from(c) - u32::from('A'),
                c @ '0'..='9' => u32::from(c) - u32::from('0') + 26,
                _ => return None,
            };
            i = i.checked_add(value.checked_mul(weight)?)?;
            let t = threshold(k, bias);
            if value < t {
                break;
            }
            weight = weight.checked_mul(BASE - t)?;
            k += BASE;
        }
        let count = u32::try_from(out.len()).ok()? + 1;
        bias = adapt(i - before, count, before == 0);
        n = n.checked_add(i / count)?;
        i %= count;
        out.insert(usize::try_from(i).ok()?, char::from_u32(n)?);
        i += 1;
    }
    Some(out.into_iter().collect())
}
