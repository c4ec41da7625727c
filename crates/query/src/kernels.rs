//! The function kernels: one row of cells in, one cell out.
//!
//! A kernel never fails: what has no answer is null, as Kusto has it. A function without kernel is
//! rejected by name when the query is lowered.

/// Picks a kernel by the function; all arms are kernels, be they functions or closures.
macro_rules! kernels {
    ($function:expr, { $( $pattern:pat => $kernel:expr ),* $(,)? }) => {
        match $function {
            $( $pattern => {
                let kernel: $crate::kernels::Kernel = $kernel;
                Some(kernel)
            } )*
            _ => None,
        }
    };
}

mod arithmetic;
mod array;
mod bag;
mod command_line;
mod compress;
mod geo;
mod hash;
mod ip;
mod kv;
mod number;
mod pattern;
mod probability;
mod punycode;
mod series;
pub(crate) mod sketch;
mod special;
mod strings;
mod time;
pub(crate) mod units;
mod url;
mod xml;
mod zone;

use std::cell::RefCell;

use kql::Function;
use regex::Regex;

use crate::cell::Cell;

pub(crate) use arithmetic::{binary, negate};
pub(crate) use bag::{Bag, members};
pub(crate) use ip::address;
pub(crate) use pattern::is_pattern;

/// Computes one cell from the cells of a row.
pub(crate) type Kernel = for<'s, 'a> fn(&'s [Cell<'a>], &'s Scratch) -> Cell<'a>;

/// The kernel of a function, if this engine has one.
pub(crate) fn kernel(function: Function) -> Option<Kernel> {
    number::kernel(function)
        .or_else(|| strings::kernel(function))
        .or_else(|| pattern::kernel(function))
        .or_else(|| time::kernel(function))
        .or_else(|| array::kernel(function))
        .or_else(|| bag::kernel(function))
        .or_else(|| ip::kernel(function))
        .or_else(|| hash::kernel(function))
        .or_else(|| special::kernel(function))
        .or_else(|| series::kernel(function))
        .or_else(|| geo::kernel(function))
        .or_else(|| sketch::kernel(function))
        .or_else(|| kv::kernel(function))
        .or_else(|| compress::kernel(function))
        .or_else(|| probability::kernel(function))
        .or_else(|| punycode::kernel(function))
        .or_else(|| units::kernel(function))
        .or_else(|| zone::kernel(function))
        .or_else(|| xml::kernel(function))
        .or_else(|| command_line::kernel(function))
}

/// Most regular expressions kept for a batch; they are few unless patterns come from a column.
const PATTERNS_MAX: usize = 16;

/// What a kernel may keep from row to row of one batch.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    patterns: RefCell<Vec<(String, Option<Regex>)>>,
}

impl Scratch {
    /// The compiled pattern; none if it is not a regular expression.
    pub(crate) fn regex(&self, pattern: &str) -> Option<Regex> {
        let mut patterns = self.patterns.borrow_mut();
        if let Some((_, regex)) = patterns.iter().find(|(text, _)| text == pattern) {
            return regex.clone();
        }
        if patterns.len() == PATTERNS_MAX {
            patterns.remove(0);
        }
        let regex = compile(pattern).ok();
        patterns.push((pattern.to_owned(), regex.clone()));
        regex
    }
}

/// Compiles a pattern within a size limit.
pub(crate) fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(pattern).size_limit(4 << 20).build()
}

/// The argument at a position, if it is there and not null.
fn at<'s, 'a>(args: &'s [Cell<'a>], position: usize) -> Option<&'s Cell<'a>> {
    args.get(position).filter(|cell| !cell.is_null())
}

fn long_at(args: &[Cell<'_>], position: usize) -> Option<i64> {
    at(args, position).and_then(Cell::as_long)
}

fn text_at<'s>(args: &'s [Cell<'_>], position: usize) -> &'s str {
    args.get(position).map_or("", Cell::str)
}
