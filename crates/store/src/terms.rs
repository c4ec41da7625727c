//! Which terms stand in the bodies of an extent, by blocks of rows: what a search need not read.
//!
//! A term is a longest run of letters and digits, in lower case. A block has a split-block bloom filter
//! of the terms of its rows: those of the bodies as they are stored, and those of messages where the
//! body has them otherwise (escaped, or not at all). A filter may say that a term is there when it is
//! not, never the reverse. Texts that lie in blobs are not looked into: their rows are read always.
//!
//! The filters stand in the extent's file, between the last row group and the footer, so that they are
//! written, hashed and removed with the texts they are of. Other readers of Parquet skip them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use arrow::array::{AsArray, RecordBatch, StringArray};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TypeSignature, Volatility,
};
use event::BodyText;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::bloom_filter::Sbbf;
use serde::{Deserialize, Serialize};

use crate::extent::{BODY_COLUMNS, Extent, TermsLocation};
use crate::parts::{self, PARTS_COLUMN, Part};
use crate::words::{each_term, fold};

/// Version of the filters. Others are not read: such extents are searched as if they had none.
const VERSION: u32 = 1;
/// Text of a block, about that of a page of bodies.
const BLOCK_TEXT_BYTES: usize = 2 << 20;
/// Most rows of a block, where texts are short.
const BLOCK_ROWS: u32 = 8 << 10;
/// Bytes of a filter while it is filled; it is folded to what its terms need.
const FILTER_BYTES: usize = 32 << 10;
/// Share of false hits that a filter is folded to.
const FALSE_HITS: f64 = 0.01;
/// Terms of a block that are known to be in its filter, at most.
const KNOWN_TERMS: usize = 4 << 10;
/// Bytes of the longest of these.
const SHORT_TERM_BYTES: usize = 16;

/// What stands behind the filters, as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    version: u32,
    blocks: Vec<Block>,
    /// Rows whose text lies elsewhere, by their number in the extent.
    open: Vec<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Block {
    rows: u32,
    filter_bytes: u32,
}

/// Gathers the terms of rows as they are written. It holds about a 64th of their text.
pub(crate) struct TermWriter {
    index: Index,
    filters: Vec<u8>,
    filter: Sbbf,
    /// Short terms that the filter has, each at the place that its bytes give: words come again and
    /// again, and a look here takes less than hashing one.
    known: Vec<u128>,
    /// Room for a text in lower case.
    folded: String,
    /// Of the block that is not full yet.
    rows: u32,
    text_bytes: usize,
    row: u32,
}

impl TermWriter {
    pub(crate) fn new() -> Self {
        Self {
            index: Index { version: VERSION, ..Index::default() },
            filters: Vec::new(),
            filter: Sbbf::new_with_num_of_bytes(FILTER_BYTES),
            known: vec![0; KNOWN_TERMS],
            folded: String::new(),
            rows: 0,
            text_bytes: 0,
            row: 0,
        }
    }

    /// Adds rows in the order in which they are written.
    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        let column = |name: &str| batch.column_by_name(name).map(|cells| cells.as_string::<i32>());
        let bodies: Vec<&StringArray> = BODY_COLUMNS.iter().filter_map(|n| column(n)).collect();
        let parts = column(PARTS_COLUMN).zip(column("RequestBody").zip(column("ResponseBody")));
        for row in 0..batch.num_rows() {
            let mut is_open = false;
            for cell in bodies.iter().map(|cells| cells.value(row)) {
                is_open |= !self.add_text(cell);
            }
            if let Some((parts, (request, response))) = parts {
                let bodies = (request.value(row), response.value(row));
                for part in parts::read(parts.value(row)) {
                    is_open |= !self.add_part(&part, bodies);
                }
            }
            if is_open {
                self.index.open.push(self.row);
            }
            self.row += 1;
            self.rows += 1;
            if self.text_bytes >= BLOCK_TEXT_BYTES || self.rows >= BLOCK_ROWS {
                self.end_block();
            }
        }
    }

    /// Adds the filters of an extent whose rows are written next; false if they are of another version.
    pub(crate) fn append(&mut self, file: &File, location: &TermsLocation) -> io::Result<bool> {
        let (index, bits) = read(file, location)?;
        if index.version != VERSION {
            return Ok(false);
        }
        if self.rows > 0 {
            self.end_block();
        }
        self.filters.extend(bits);
        self.index.open.extend(index.open.iter().map(|row| self.row + row));
        self.row += index.blocks.iter().map(|block| block.rows).sum::<u32>();
        self.index.blocks.extend(index.blocks);
        Ok(true)
    }

    /// The terms of a text; false if the text lies elsewhere.
    fn add_text(&mut self, text: &str) -> bool {
        if BodyText::is_ambiguous(text) {
            return false;
        }
        self.text_bytes += text.len();
        self.folded.clear();
        fold(text, &mut self.folded);
        each_term(&mut self.folded, |folded, term| {
            if !is_known(&mut self.known, folded, &term) {
                self.filter.insert(&folded[term]);
            }
        });
        true
    }

    /// The terms of a message that its body has not: those of other texts, those that are cut off where
    /// its piece of the body begins or ends, and those that are escaped there.
    fn add_part(&mut self, part: &Part<'_>, (request, response): (&str, &str)) -> bool {
        let Some(piece) = part.place.piece() else { return self.add_text(&part.text) };
        let body = if piece.is_request { request } else { response };
        let Some(said) = body.get(piece.range()) else { return true };
        if !is_apart(body, piece.range()) {
            return self.add_text(&piece.text(said));
        }
        let mut is_added = true;
        let mut rest = if piece.is_string { said } else { "" };
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            // No escape has a space in it.
            let (before, behind) = rest.split_at(at);
            let from = before.rfind(' ').map_or(0, |space| space + 1);
            let to = behind.find(' ').map_or(rest.len(), |space| at + space);
            is_added &= self.add_text(&piece.text(&rest[from..to]));
            rest = &rest[to..];
        }
        is_added
    }

    fn end_block(&mut self) {
        let empty = Sbbf::new_with_num_of_bytes(FILTER_BYTES);
        let mut filter = std::mem::replace(&mut self.filter, empty);
        filter.fold_to_target_fpp(FALSE_HITS);
        let before = self.filters.len();
        self.known.fill(0);
        filter.write_bitset(&mut self.filters).expect("memory takes what is written to it");
        let filter_bytes = u32::try_from(self.filters.len() - before).unwrap_or(u32::MAX);
        self.index.blocks.push(Block { rows: self.rows, filter_bytes });
        self.rows = 0;
        self.text_bytes = 0;
    }

    /// The bytes to be written at this place of the file, and what the manifest says of them.
    pub(crate) fn finish(mut self, from: u64) -> (Vec<u8>, TermsLocation) {
        if self.rows > 0 {
            self.end_block();
        }
        let index = serde_json::to_vec(&self.index).expect("numbers are plain JSON");
        let mut bytes = self.filters;
        let filter_bytes = bytes.len() as u64;
        bytes.extend_from_slice(&index);
        (bytes, TermsLocation { from, filter_bytes, index_bytes: index.len() as u64 })
    }
}

/// Whether the body goes on with no letter or digit on either side.
fn is_apart(body: &str, piece: Range<usize>) -> bool {
    let before = body[..piece.start].chars().next_back();
    let behind = body[piece.end..].chars().next();
    !before.is_some_and(char::is_alphanumeric) && !behind.is_some_and(char::is_alphanumeric)
}

/// Whether a term is among those that are known; it is afterwards, in the place of another, if it is short.
fn is_known(known: &mut [u128], folded: &str, term: &Range<usize>) -> bool {
    let cut_off = SHORT_TERM_BYTES.checked_sub(term.len());
    let bytes = folded.as_bytes()[term.start..].first_chunk::<SHORT_TERM_BYTES>();
    let (Some(cut_off), Some(bytes)) = (cut_off, bytes) else { return false };
    let term = u128::from_le_bytes(*bytes) << (8 * cut_off);
    let mixed = (term as u64 ^ (term >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let place = &mut known[(mixed >> 52) as usize % KNOWN_TERMS];
    std::mem::replace(place, term) == term
}

/// A filter of rows whose bodies or messages have all whole terms of a pattern; none if it has none.
/// A pattern's first term is whole if `from_start`, its last if `to_end`: nothing of a term is cut off
/// there. For the `filters` of a scan; it holds wherever the texts have these terms, and elsewhere too.
pub fn has_terms(pattern: &str, from_start: bool, to_end: bool) -> Option<Expr> {
    let mut folded = String::new();
    fold(pattern, &mut folded);
    let runs: Vec<&str> = folded.split(|character: char| !character.is_alphanumeric()).collect();
    let last = runs.len() - 1;
    let is_whole = |at: usize| (at > 0 || from_start) && (at < last || to_end);
    let whole = runs.iter().enumerate().filter(|(at, run)| !run.is_empty() && is_whole(*at));
    let terms: Vec<String> = whole.map(|(_, run)| (*run).to_owned()).collect();
    if terms.is_empty() {
        return None;
    }
    let signature = Signature::new(TypeSignature::Nullary, Volatility::Stable);
    Some(ScalarUDF::new_from_impl(HasTerms { terms, signature }).call(Vec::new()))
}

/// For each row true: what it says is used before rows are read.
#[derive(Debug, PartialEq, Eq, Hash)]
struct HasTerms {
    terms: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for HasTerms {
    fn name(&self) -> &str {
        "has_terms"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[arrow::datatypes::DataType]) -> Result<arrow::datatypes::DataType> {
        Ok(arrow::datatypes::DataType::Boolean)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))))
    }
}

fn terms_of(filter: &Expr) -> Option<&HasTerms> {
    let Expr::ScalarFunction(call) = filter else { return None };
    call.func.inner().downcast_ref::<HasTerms>()
}

/// Whether terms are asked for anywhere in a filter.
pub(crate) fn names_terms(filter: &Expr) -> bool {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            names_terms(left) || names_terms(right)
        }
        other => terms_of(other).is_some(),
    }
}

/// Whether rows with at most these terms may pass.
fn may_pass(filter: &Expr, known: &Sbbf) -> bool {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            may_pass(left, known) && may_pass(right, known)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            may_pass(left, known) || may_pass(right, known)
        }
        other => terms_of(other)
            .is_none_or(|asked| asked.terms.iter().all(|term| known.check(term.as_str()))),
    }
}

/// What to read of an extent.
pub(crate) enum Choice {
    All,
    Nothing,
    Rows(RowSelection),
}

/// What may pass filters that ask for terms. An extent without filters of its own is read whole, as
/// is one whose filters cannot be read.
pub(crate) fn choose(extent: &Extent, filters: &[Expr]) -> Choice {
    let Some(location) = extent.record.terms.as_ref().filter(|_| !filters.is_empty()) else {
        return Choice::All;
    };
    let rows = usize::try_from(extent.record.rows).unwrap_or(usize::MAX);
    let read = File::open(&extent.path).and_then(|file| read(&file, location));
    let ranges = match read {
        Ok((index, bits)) => chosen(&index, &bits, filters).filter(|(_, end)| *end == rows),
        Err(error) => {
            tracing::warn!(%error, path = %extent.path.display(), "filters of terms cannot be read");
            None
        }
    };
    match ranges {
        None => Choice::All,
        Some((ranges, _)) if ranges.is_empty() => Choice::Nothing,
        Some((ranges, _)) => {
            Choice::Rows(RowSelection::from_consecutive_ranges(ranges.into_iter(), rows))
        }
    }
}

fn read(file: &File, location: &TermsLocation) -> io::Result<(Index, Vec<u8>)> {
    let within = file.metadata()?.len().saturating_sub(location.from);
    let bytes = location.filter_bytes.saturating_add(location.index_bytes);
    let (true, Ok(bytes)) = (bytes <= within, usize::try_from(bytes)) else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let mut bits = vec![0; bytes];
    file.read_exact_at(&mut bits, location.from)?;
    let index = bits.split_off(usize::try_from(location.filter_bytes).unwrap_or(bytes));
    Ok((serde_json::from_slice(&index)?, bits))
}

/// Ranges of rows in order, and how many rows the index knows; none for an index of another make.
fn chosen(index: &Index, bits: &[u8], filters: &[Expr]) -> Option<(Vec<Range<usize>>, usize)> {
    if index.version != VERSION {
        return None;
    }
    let mut open = index.open.iter().map(|row| *row as usize).peekable();
    let (mut ranges, mut row, mut at) = (Vec::new(), 0, 0);
    for block in &index.blocks {
        let filter = bits.get(at..at + block.filter_bytes as usize)?;
        let (filter, end) = (Sbbf::new(filter), row + block.rows as usize);
        let is_hit = filters.iter().all(|asked| may_pass(asked, &filter));
        if is_hit {
            ranges.push(row..end);
        }
        while let Some(found) = open.next_if(|found| *found < end) {
            if !is_hit {
                ranges.push(found..found + 1);
            }
        }
        row = end;
        at += block.filter_bytes as usize;
    }
    Some((ranges, row))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pattern: &str, from_start: bool, to_end: bool) -> Vec<String> {
        let filter = has_terms(pattern, from_start, to_end);
        filter.map(|filter| terms_of(&filter).unwrap().terms.clone()).unwrap_or_default()
    }

    /// Files of version 1 are read for ever: the bits of a term stay where they are.
    #[test]
    fn the_filter_of_version_1_is_as_it_was() {
        let mut writer = TermWriter::new();
        writer.add_text("Zugzwang");
        writer.rows = 1;
        let (bytes, location) = writer.finish(4);
        let (bits, index) = bytes.split_at(32);
        let bits: String = bits.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bits, "8000000000004000000200004000000000000040200000000080000000000400");
        let told = r#"{"version":1,"blocks":[{"rows":1,"filter_bytes":32}],"open":[]}"#;
        assert_eq!(std::str::from_utf8(index), Ok(told));
        let index_bytes = told.len() as u64;
        assert_eq!(location, TermsLocation { from: 4, filter_bytes: 32, index_bytes });
    }

    #[test]
    fn only_whole_terms_of_a_pattern_are_asked_for() {
        assert_eq!(asked("Zugzwang", true, true), ["zugzwang"]);
        assert!(asked("Zugzwang", false, true).is_empty());
        assert_eq!(asked("came to Zug", false, false), ["to"]);
        assert_eq!(asked("gpt-4o", true, false), ["gpt"]);
        assert_eq!(asked(" in the ", false, false), ["in", "the"]);
        assert_eq!(asked("ΟΔΟΣ", true, true), ["οδοσ"]);
        assert!(asked("", true, true).is_empty() && asked("…", true, true).is_empty());
    }
}
