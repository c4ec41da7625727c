//! Comma-separated values (RFC 4180). A spreadsheet must not take stored text for a formula.

use std::borrow::Cow;

use arrow::array::RecordBatch;
use kql::{Column, Type};

use super::{Made, internal};
use crate::cell::{Cell, Reader};
use crate::convert::to_text;
use crate::error::{IntoOutcome, Outcome};

/// Characters, also in their wide forms, behind which spreadsheets compute.
const BEGIN_FORMULA: &[char] = &['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Adds the rows of a batch.
pub(super) fn write_batch(made: &mut Made, batch: &RecordBatch, columns: &[Column]) -> Outcome<()> {
    let readers = columns.iter().zip(batch.columns()).map(|(column, array)| {
        Ok((Reader::new(array, column.column_type).outcome()?, column.column_type))
    });
    let readers = readers.collect::<Outcome<Vec<_>>>()?;
    let rows = (0..batch.num_rows())
        .map(|row| readers.iter().map(move |(reader, kusto)| field(&reader.get(row), *kusto)));
    write(made, rows).map_err(internal)
}

/// Adds records.
pub(super) fn write<'a, R>(made: &mut Made, rows: impl Iterator<Item = R>) -> csv::Result<()>
where
    R: IntoIterator<Item = Cow<'a, str>>,
{
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(made);
    for row in rows {
        for field in row {
            writer.write_field(field.as_bytes())?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()?;
    Ok(())
}

fn field<'a>(cell: &Cell<'a>, kusto: Type) -> Cow<'a, str> {
    let text = to_text(cell);
    match kusto {
        Type::String | Type::Dynamic => guard(text),
        _ => text,
    }
}

/// Text that a spreadsheet would compute, with an apostrophe in front.
pub(super) fn guarded(text: &str) -> Cow<'_, str> {
    guard(Cow::Borrowed(text))
}

fn guard(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.starts_with(BEGIN_FORMULA) && !is_number(&text) {
        return Cow::Owned(format!("'{text}"));
    }
    text
}

/// `-1.5`: digits with one sign and one point at most, which compute to themselves.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    all_digits(whole) && all_digits(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_formula() {
        for text in ["=1+1", "+1", "@SUM(A1)", "-2+3", "\t=1", "＝1", "-", "-1.", "\n=1"] {
            assert_eq!(guarded(text), format!("'{text}"));
        }
        for text in ["", "-1", "-1.5", "a=1", "'=1", "0"] {
            assert_eq!(guarded(text), text);
        }
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let mut made = Made::default();
        let row = ["a,\"b\"", "", "two\nlines", "plain"].map(Cow::Borrowed);
        write(&mut made, std::iter::once(row)).unwrap();
        let text = String::from_utf8(made.take(0)).unwrap();
        assert_eq!(text, "\"a,\"\"b\"\"\",,\"two\nlines\",plain\r\n");
    }
}
