//! `ipv4_lookup` and `ipv6_lookup`: rows and the ranges that hold their address.

use std::collections::{BTreeSet, HashMap};

use kql::{AddressLookup, QueryError, QueryErrorKind};

use super::abandon::Abandoned;
use super::{Row, key_of};
use crate::cell::Cell;
use crate::error::Outcome;
use crate::kernels::address;

/// Most rows a lookup yields.
const ROWS_MAX: usize = 10_000_000;

/// Ranges by their length and first address, with the rows they stand in.
#[derive(Default)]
struct Ranges {
    lengths: BTreeSet<u32>,
    rows: HashMap<(u32, u128), Vec<usize>>,
}

pub(super) fn matched(
    work: &AddressLookup,
    rows: &[Row],
    table: &[Row],
    width: usize,
    abandoned: &Abandoned,
) -> Outcome<Vec<Row>> {
    let mut ranges = Ranges::default();
    for (at, row) in table.iter().enumerate() {
        let Some((bits, length)) = address(row[work.range].str(), work.is_v6) else { continue };
        ranges.lengths.insert(length);
        ranges.rows.entry((length, first_of(bits, length, work.is_v6))).or_default().push(at);
    }
    let mut out = Vec::new();
    for row in rows {
        abandoned.check()?;
        let before = out.len();
        if let Some((bits, own)) = address(row[work.address].str(), work.is_v6) {
            for length in ranges.lengths.iter().rev().filter(|length| **length <= own) {
                let place = (*length, first_of(bits, *length, work.is_v6));
                for at in ranges.rows.get(&place).into_iter().flatten() {
                    if keys_match(work, row, &table[*at]) {
                        out.push(row.iter().chain(&table[*at]).cloned().collect());
                    }
                }
            }
        }
        if out.len() == before && work.keep_unmatched {
            let mut alone = row.clone();
            alone.resize(width, Cell::Null);
            out.push(alone);
        }
        if out.len() > ROWS_MAX {
            let text = format!("a lookup yields more than {ROWS_MAX} rows");
            return Err(QueryError::new(QueryErrorKind::LimitExceeded, text));
        }
    }
    Ok(out)
}

fn keys_match(work: &AddressLookup, left: &Row, right: &Row) -> bool {
    work.keys.iter().all(|(l, r)| key_of(&left[*l..=*l]) == key_of(&right[*r..=*r]))
}

fn first_of(bits: u128, length: u32, is_v6: bool) -> u128 {
    let width = if is_v6 { 128 } else { 32 };
    bits.checked_shr(width - length).unwrap_or(0)
}
