//! Addresses. A prefix may follow after a slash; the smallest prefix named counts.

use std::net::{Ipv4Addr, Ipv6Addr};

use kql::Function;

use super::{Kernel, Scratch, long_at, text_at};
use crate::cell::Cell;
use crate::json::{self, Shape};

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::ParseIpv4 => parse4,
        Function::ParseIpv4Mask => parse4_mask,
        Function::ParseIpv6 => parse6,
        Function::ParseIpv6Mask => parse6_mask,
        Function::FormatIpv4 => |args, _| format4(args, false),
        Function::FormatIpv4Mask => |args, _| format4(args, true),
        Function::Ipv4Compare => compare4,
        Function::Ipv4IsMatch => |args, scratch| is_zero(&compare4(args, scratch)),
        Function::Ipv4IsInRange => |args, _| in_range(args, ipv4_pair),
        Function::Ipv4IsInAnyRange => |args, _| in_any_range(args, ipv4_pair),
        Function::Ipv4IsPrivate => is_private,
        Function::Ipv4NetmaskSuffix => netmask_suffix,
        Function::Ipv4RangeToCidrList => range_to_ranges,
        Function::Ipv6Compare => compare6,
        Function::Ipv6IsMatch => |args, scratch| is_zero(&compare6(args, scratch)),
        Function::Ipv6IsInRange => |args, _| in_range(args, ipv6_pair),
        Function::Ipv6IsInAnyRange => |args, _| in_any_range(args, ipv6_pair),
        Function::HasIpv4 | Function::HasAnyIpv4 => |args, _| has4(args, false),
        Function::HasIpv4Prefix | Function::HasAnyIpv4Prefix => |args, _| has4(args, true),
    })
}

/// An address as an integer of 32 or 128 bits, and how many of its bits count.
type Prefixed = (u128, u32);

fn ipv4(text: &str) -> Option<Prefixed> {
    let (address, prefix) = split_prefix(text.trim(), 32)?;
    let address: Ipv4Addr = address.parse().ok()?;
    Some((u128::from(u32::from(address)), prefix))
}

/// IPv4 addresses count as their mapped IPv6 ones.
fn ipv6(text: &str) -> Option<Prefixed> {
    if let Some((bits, prefix)) = ipv4(text.strip_prefix("::").unwrap_or(text)) {
        let mapped = Ipv4Addr::from(u32::try_from(bits).ok()?).to_ipv6_mapped();
        return Some((u128::from(mapped), prefix + 96));
    }
    let (address, prefix) = split_prefix(text.trim(), 128)?;
    let address: Ipv6Addr = address.parse().ok()?;
    Some((u128::from(address), prefix))
}

/// An address or range, with how many of its bits count.
pub(crate) fn address(text: &str, is_v6: bool) -> Option<(u128, u32)> {
    if is_v6 { ipv6(text) } else { ipv4(text) }
}

fn split_prefix(text: &str, most: u32) -> Option<(&str, u32)> {
    match text.split_once('/') {
        Some((address, prefix)) => {
            Some((address, prefix.parse().ok().filter(|prefix| *prefix <= most)?))
        }
        None => Some((text, most)),
    }
}

fn masked(bits: u128, prefix: u32, width: u32) -> u128 {
    let host = width - prefix.min(width);
    if host >= 128 { 0 } else { bits >> host << host }
}

/// The fewest ranges that hold just the addresses from the first to the last.
fn range_to_ranges<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let (Some((first, _)), Some((last, _))) = (ipv4(text_at(args, 0)), ipv4(text_at(args, 1)))
    else {
        return Cell::Null;
    };
    let mut ranges = Vec::new();
    let mut from = first;
    while from <= last {
        // As large as the alignment of its first address and the addresses left allow.
        let mut host = if from == 0 { 32 } else { from.trailing_zeros().min(32) };
        while from + (1u128 << host) - 1 > last {
            host -= 1;
        }
        let address = u32::try_from(from).map(Ipv4Addr::from).unwrap_or(Ipv4Addr::UNSPECIFIED);
        ranges.push(format!("\"{address}/{}\"", 32 - host));
        from += 1 << host;
    }
    Cell::dynamic(format!("[{}]", ranges.join(",")))
}

fn parse4<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let value = ipv4(text_at(args, 0)).map(|(bits, prefix)| masked(bits, prefix, 32));
    Cell::or_null(value.and_then(|bits| i64::try_from(bits).ok()), Cell::Long)
}

fn parse4_mask<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let prefix = long_at(args, 1).and_then(|prefix| u32::try_from(prefix).ok());
    let value = ipv4(text_at(args, 0)).zip(prefix.filter(|prefix| *prefix <= 32));
    let bits = value.map(|((bits, own), prefix)| masked(bits, prefix.min(own), 32));
    Cell::or_null(bits.and_then(|bits| i64::try_from(bits).ok()), Cell::Long)
}

/// All eight groups in full.
fn expanded(bits: u128) -> String {
    let groups: Vec<String> =
        Ipv6Addr::from(bits).segments().iter().map(|group| format!("{group:04x}")).collect();
    groups.join(":")
}

fn parse6<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let value = ipv6(text_at(args, 0)).map(|(bits, prefix)| masked(bits, prefix, 128));
    Cell::text(value.map(expanded).unwrap_or_default())
}

fn parse6_mask<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let prefix = long_at(args, 1).and_then(|prefix| u32::try_from(prefix).ok());
    let value = ipv6(text_at(args, 0)).zip(prefix.filter(|prefix| *prefix <= 128));
    let bits = value.map(|((bits, own), prefix)| {
        let is_four = ipv4(text_at(args, 0)).is_some();
        let prefix = if is_four && prefix <= 32 { prefix + 96 } else { prefix };
        masked(bits, prefix.min(own), 128)
    });
    Cell::text(bits.map(expanded).unwrap_or_default())
}

fn format4<'a>(args: &[Cell<'a>], shows_prefix: bool) -> Cell<'a> {
    let parsed = match &args[0] {
        Cell::Long(number) => u32::try_from(*number).ok().map(|bits| (u128::from(bits), 32)),
        other => ipv4(other.str()),
    };
    let prefix = match args.get(1) {
        Some(prefix) => prefix.as_long().and_then(|prefix| u32::try_from(prefix).ok()),
        None => Some(32),
    };
    let Some(((bits, own), prefix)) = parsed.zip(prefix.filter(|prefix| *prefix <= 32)) else {
        return Cell::text("");
    };
    let prefix = prefix.min(own);
    let address = Ipv4Addr::from(u32::try_from(masked(bits, prefix, 32)).unwrap_or(0));
    Cell::text(if shows_prefix { format!("{address}/{prefix}") } else { address.to_string() })
}

fn compare4<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    compare(args, ipv4(text_at(args, 0)).zip(ipv4(text_at(args, 1))), 32)
}

fn compare6<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let is_four = |position: usize| ipv4(text_at(args, position)).is_some();
    if is_four(0) && is_four(1) {
        let limit = long_at(args, 2).unwrap_or(128).min(32);
        let pair = ipv4(text_at(args, 0)).zip(ipv4(text_at(args, 1)));
        return compare(&[Cell::Null, Cell::Null, Cell::Long(limit)], pair, 32).into_owned();
    }
    compare(args, ipv6(text_at(args, 0)).zip(ipv6(text_at(args, 1))), 128)
}

fn compare<'a>(args: &[Cell<'_>], pair: Option<(Prefixed, Prefixed)>, width: u32) -> Cell<'a> {
    let limit = match args.get(2) {
        Some(limit) => limit.as_long().and_then(|limit| u32::try_from(limit).ok()),
        None => Some(width),
    };
    let Some((((a, a_prefix), (b, b_prefix)), limit)) = pair.zip(limit) else { return Cell::Null };
    let prefix = a_prefix.min(b_prefix).min(limit);
    Cell::Long(masked(a, prefix, width).cmp(&masked(b, prefix, width)) as i64)
}

fn is_zero<'a>(compared: &Cell<'_>) -> Cell<'a> {
    Cell::or_null(compared.as_long(), |order| Cell::Bool(order == 0))
}

fn ipv4_pair(address: &str, range: &str) -> Option<bool> {
    let ((address, _), (base, prefix)) = (ipv4(address)?, ipv4(range)?);
    Some(masked(address, prefix, 32) == masked(base, prefix, 32))
}

fn ipv6_pair(address: &str, range: &str) -> Option<bool> {
    let ((address, _), (base, prefix)) = (ipv6(address)?, ipv6(range)?);
    Some(masked(address, prefix, 128) == masked(base, prefix, 128))
}

type Contains = fn(&str, &str) -> Option<bool>;

fn in_range<'a>(args: &[Cell<'a>], contains: Contains) -> Cell<'a> {
    Cell::or_null(contains(text_at(args, 0), text_at(args, 1)), Cell::Bool)
}

/// Every string among the arguments, those inside of dynamic arrays included.
fn listed(args: &[Cell<'_>]) -> Vec<String> {
    let mut out = Vec::new();
    for arg in args {
        match arg {
            Cell::Dynamic(json) if json::shape(json) == Shape::Array => {
                out.extend(json::elements(json).map(|item| json::unquote(item).into_owned()));
            }
            other => out.push(crate::convert::to_text(other).into_owned()),
        }
    }
    out
}

fn in_any_range<'a>(args: &[Cell<'a>], contains: Contains) -> Cell<'a> {
    let answers: Vec<Option<bool>> =
        listed(&args[1..]).iter().map(|range| contains(text_at(args, 0), range)).collect();
    if answers.contains(&Some(true)) {
        return Cell::Bool(true);
    }
    if answers.iter().all(Option::is_none) { Cell::Null } else { Cell::Bool(false) }
}

fn is_private<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let Some((bits, prefix)) = ipv4(text_at(args, 0)) else { return Cell::Null };
    let ranges = [("10.0.0.0", 8), ("172.16.0.0", 12), ("192.168.0.0", 16)];
    Cell::Bool(ranges.iter().any(|(base, length)| {
        let base = ipv4(base).map_or(0, |(bits, _)| bits);
        prefix >= *length && masked(bits, *length, 32) == base
    }))
}

fn netmask_suffix<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    Cell::or_null(ipv4(text_at(args, 0)), |(_, prefix)| Cell::Long(i64::from(prefix)))
}

/// Looks for whole addresses, or prefixes of them, that no letter, digit or point touches.
fn has4<'a>(args: &[Cell<'a>], is_prefix: bool) -> Cell<'a> {
    let text = text_at(args, 0);
    let found = listed(&args[1..]).iter().any(|wanted| {
        let is_wanted = if is_prefix {
            wanted.split('.').all(|part| part.is_empty() || part.parse::<u8>().is_ok())
                && (wanted.ends_with('.') || wanted.parse::<Ipv4Addr>().is_ok())
        } else {
            wanted.parse::<Ipv4Addr>().is_ok()
        };
        is_wanted
            && addresses(text).any(|address| match is_prefix {
                true => address.starts_with(wanted.as_str()),
                false => address == wanted,
            })
    });
    Cell::Bool(found)
}

fn addresses(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '.')
        .map(|word| word.trim_matches('.'))
        .filter(|word| word.parse::<Ipv4Addr>().is_ok())
}
