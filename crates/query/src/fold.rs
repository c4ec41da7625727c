//! Aggregates that DataFusion lacks, or has with other rules.
//!
//! A fold takes rows and can give back rows that stand for what it took: that is its state between
//! partial and final aggregation.

mod ranks;

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, i256};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use kql::Type;

use crate::call::any_arguments;
use crate::cell::{Cell, Reader, Writer, arrow_type};
use crate::convert::{compare, to_json};
use crate::decimal;
use crate::json;
use crate::kernels::Bag;
use crate::schema::Schema;
use ranks::Ranks;

/// What is folded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// (value, sequence): a JSON array in order of the sequence.
    /// Of a list that flattens, the elements of arrays stand in their place; deeper arrays stay.
    List { most: usize, keeps_nulls: bool, is_set: bool, flattens: bool },
    /// (bag, sequence): the union of bags.
    Bag,
    /// (array): the elements of all arrays.
    Concat,
    /// (value): what types there are, as `buildschema` says it.
    Schema,
    /// (by, others…): the row with the greatest or smallest `by`.
    Extreme { is_max: bool },
    /// (values…): some row.
    Any,
    /// (value, weight): values at percentages, nearest rank.
    Percentiles { at: Vec<f64>, is_array: bool },
    /// (value): the mean of timespans or datetimes.
    MeanTicks,
    /// (value): smallest or greatest, NaN last.
    ExtremeReal { is_max: bool },
}

/// A fold over arguments of certain types.
#[derive(Debug)]
pub(crate) struct Fold {
    name: String,
    kind: Kind,
    args: Vec<Type>,
    outputs: Vec<Type>,
    signature: Signature,
}

impl Fold {
    /// One output is a plain column; several are a struct with fields `f0`, `f1` ….
    pub(crate) fn new(kind: Kind, args: Vec<Type>, outputs: Vec<Type>) -> Self {
        Self {
            name: format!("fold {kind:?} {args:?}"),
            kind,
            signature: any_arguments(args.len(), Volatility::Immutable),
            args,
            outputs,
        }
    }

    fn output_type(&self) -> DataType {
        match self.outputs.as_slice() {
            [single] => arrow_type(*single),
            many => DataType::Struct(struct_fields(many).into()),
        }
    }
}

fn struct_fields(outputs: &[Type]) -> Vec<Field> {
    outputs
        .iter()
        .enumerate()
        .map(|(position, kusto)| Field::new(format!("f{position}"), arrow_type(*kusto), true))
        .collect()
}

impl PartialEq for Fold {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.outputs == other.outputs
    }
}

impl Eq for Fold {}

impl Hash for Fold {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl AggregateUDFImpl for Fold {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.output_type())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if let (Kind::Percentiles { at, is_array }, [of]) = (&self.kind, self.args.as_slice())
            && let Some(ranks) = Ranks::new(*of, at.clone(), *is_array, self.outputs.clone())
        {
            return Ok(Box::new(ranks));
        }
        Ok(Box::new(State {
            kind: self.kind.clone(),
            args: self.args.clone(),
            outputs: self.outputs.clone(),
            rows: Vec::new(),
            seen: HashSet::new(),
            bytes: 0,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[rows]", args.name), DataType::Binary, true))])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

type Row = Vec<Cell<'static>>;

#[derive(Debug)]
struct State {
    kind: Kind,
    args: Vec<Type>,
    outputs: Vec<Type>,
    rows: Vec<Row>,
    seen: HashSet<String>,
    bytes: usize,
}

impl State {
    fn push(&mut self, cells: &[Cell<'_>]) {
        match &self.kind {
            Kind::List { keeps_nulls, is_set, .. } => {
                if cells[0].is_null() && !keeps_nulls {
                    return;
                }
                if *is_set {
                    return self.add_to_set(cells);
                }
                self.keep(cells);
            }
            Kind::Bag | Kind::Concat | Kind::Schema | Kind::Percentiles { .. } => {
                if !cells[0].is_null() {
                    self.keep(cells);
                }
            }
            Kind::Extreme { is_max } | Kind::ExtremeReal { is_max } => {
                let is_better = match self.rows.first() {
                    None => true,
                    Some(best) if best[0].is_null() => !cells[0].is_null(),
                    Some(best) => beats(&cells[0], &best[0], *is_max),
                };
                if is_better {
                    self.rows.clear();
                    self.bytes = 0;
                    self.keep(cells);
                }
            }
            Kind::Any => {
                let is_worth = |row: &[Cell<'_>]| row.iter().any(|cell| !is_blank(cell));
                let has_good = self.rows.first().is_some_and(|row| is_worth(row));
                if self.rows.is_empty() || (!has_good && is_worth(cells)) {
                    self.rows.clear();
                    self.keep(cells);
                }
            }
            Kind::MeanTicks => self.add_ticks(cells),
        }
    }

    /// A set of arrays is the set of their elements.
    fn add_to_set(&mut self, cells: &[Cell<'_>]) {
        if let Cell::Dynamic(text) = &cells[0]
            && json::shape(text) == json::Shape::Array
        {
            for item in json::elements(text).map(Cell::dynamic) {
                let row: Vec<Cell<'_>> =
                    std::iter::once(item).chain(cells[1..].iter().cloned()).collect();
                self.add_to_set(&row);
            }
            return;
        }
        if self.seen.insert(to_json(&cells[0]).into_owned()) {
            self.keep(cells);
        }
    }

    fn keep(&mut self, cells: &[Cell<'_>]) {
        let row: Row = cells.iter().map(|cell| cell.clone().into_owned()).collect();
        let text: usize = row.iter().map(|cell| cell.str().len()).sum();
        self.bytes += text + row.len() * size_of::<Cell<'static>>();
        self.rows.push(row);
    }

    /// The state is one row: the sum as a decimal of ticks, and the count.
    fn add_ticks(&mut self, cells: &[Cell<'_>]) {
        let (sum, count) = match cells {
            [Cell::Decimal(sum), Cell::Long(count)] => (*sum, *count),
            [value] | [value, ..] => match value.as_long() {
                Some(ticks) => (i256::from_i128(i128::from(ticks)), 1),
                None => return,
            },
            [] => return,
        };
        match self.rows.first_mut().map(Vec::as_mut_slice) {
            Some([Cell::Decimal(total), Cell::Long(counted)]) => {
                *total = total.wrapping_add(sum);
                *counted += count;
            }
            _ => self.rows.push(vec![Cell::Decimal(sum), Cell::Long(count)]),
        }
    }

    fn finish(&mut self) -> Vec<Cell<'static>> {
        match &self.kind {
            Kind::List { most, flattens, .. } => {
                sort_by_sequence(&mut self.rows);
                let mut items: Vec<Cow<'_, str>> = Vec::new();
                for cell in self.rows.iter().map(|row| &row[0]) {
                    match cell {
                        Cell::Dynamic(array)
                            if *flattens && json::shape(array) == json::Shape::Array =>
                        {
                            items.extend(json::elements(array).map(Cow::Borrowed));
                        }
                        cell => items.push(to_json(cell)),
                    }
                }
                items.truncate(*most);
                vec![Cell::dynamic(format!("[{}]", items.join(",")))]
            }
            Kind::Bag => {
                sort_by_sequence(&mut self.rows);
                let mut bag = Bag::default();
                for row in &self.rows {
                    for (key, value) in json::entries(row[0].str()) {
                        bag.keep(&key, value);
                    }
                }
                vec![if bag.is_empty() { Cell::dynamic("{}") } else { Cell::dynamic(bag.json()) }]
            }
            Kind::Concat => {
                let items = self.rows.iter().flat_map(|row| json::elements(row[0].str()));
                vec![Cell::dynamic(format!("[{}]", items.collect::<Vec<_>>().join(",")))]
            }
            Kind::Schema => {
                let mut schema = Schema::default();
                self.rows.iter().for_each(|row| schema.see(row[0].str()));
                vec![Cell::dynamic(schema.json())]
            }
            Kind::Extreme { .. } | Kind::Any | Kind::ExtremeReal { .. } => {
                self.rows.first().cloned().unwrap_or_else(|| vec![Cell::Null; self.outputs.len()])
            }
            Kind::Percentiles { at, is_array } => {
                let found = percentiles(&mut self.rows, at);
                if *is_array { vec![list(&found)] } else { found }
            }
            Kind::MeanTicks => vec![self.mean_ticks()],
        }
    }

    fn mean_ticks(&self) -> Cell<'static> {
        let Some([Cell::Decimal(sum), Cell::Long(count)]) = self.rows.first().map(Vec::as_slice)
        else {
            return Cell::Null;
        };
        let mean = sum.wrapping_div(i256::from_i128(i128::from(*count)));
        let ticks = mean.to_i128().and_then(|ticks| i64::try_from(ticks).ok());
        Cell::or_null(ticks, Cell::Long)
    }
}

fn is_blank(cell: &Cell<'_>) -> bool {
    match cell {
        Cell::Null => true,
        Cell::Text(text) => text.is_empty(),
        _ => false,
    }
}

/// NaN loses to every number.
fn beats(candidate: &Cell<'_>, best: &Cell<'_>, is_max: bool) -> bool {
    if let (Cell::Real(candidate), Cell::Real(best)) = (candidate, best)
        && (candidate.is_nan() || best.is_nan())
    {
        return best.is_nan() && !candidate.is_nan();
    }
    match compare(candidate, best) {
        Some(order) => {
            if is_max {
                order.is_gt()
            } else {
                order.is_lt()
            }
        }
        None => false,
    }
}

/// The sequence is the second cell, where there is one.
fn sort_by_sequence(rows: &mut [Row]) {
    rows.sort_by_key(|row| row.get(1).and_then(Cell::as_long).unwrap_or(0));
}

/// The smallest value with at least the percentage of the weight at or below it.
fn percentiles(rows: &mut [Row], at: &[f64]) -> Vec<Cell<'static>> {
    rows.sort_by(|a, b| compare(&a[0], &b[0]).unwrap_or(std::cmp::Ordering::Equal));
    let weight = |row: &Row| row.get(1).and_then(Cell::as_real).unwrap_or(1.0).max(0.0);
    let total: f64 = rows.iter().map(weight).sum();
    at.iter()
        .map(|percentage| {
            let wanted = total * percentage / 100.0;
            let mut passed = 0.0;
            for row in rows.iter() {
                passed += weight(row);
                if passed >= wanted - 1e-9 {
                    return row[0].clone();
                }
            }
            Cell::Null
        })
        .collect()
}

/// One column, or a struct of several.
fn answer(cells: &[Cell<'_>], outputs: &[Type]) -> Result<ScalarValue> {
    let column = |(position, kusto): (usize, &Type)| {
        let mut writer = Writer::new(*kusto, 1);
        writer.push(cells.get(position).unwrap_or(&Cell::Null));
        writer.finish()
    };
    let arrays: Vec<ArrayRef> = outputs.iter().enumerate().map(column).collect();
    if let [single] = arrays.as_slice() {
        return ScalarValue::try_from_array(single, 0);
    }
    let all = StructArray::try_new(struct_fields(outputs).into(), arrays, None)?;
    Ok(ScalarValue::Struct(Arc::new(all)))
}

/// Cells as the elements of one JSON array.
fn list(cells: &[Cell<'_>]) -> Cell<'static> {
    let items: Vec<Cow<'_, str>> = cells.iter().map(to_json).collect();
    Cell::dynamic(format!("[{}]", items.join(",")))
}

impl Accumulator for State {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let args = self.args.clone();
        let readers: Vec<Reader<'_>> = values
            .iter()
            .zip(&args)
            .map(|(array, kusto)| Reader::new(array, *kusto))
            .collect::<Result<_>>()?;
        let rows = values.first().map_or(0, |array| array.len());
        let mut cells = Vec::with_capacity(readers.len());
        for row in 0..rows {
            cells.clear();
            cells.extend(readers.iter().map(|reader| reader.get(row)));
            self.push(&cells);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let cells = self.finish();
        answer(&cells, &self.outputs)
    }

    fn size(&self) -> usize {
        let seen: usize = self.seen.iter().map(|text| text.len() + size_of::<String>()).sum();
        size_of::<Self>() + self.bytes + seen
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut out = Vec::new();
        for row in &self.rows {
            encode(row, &mut out);
        }
        Ok(vec![ScalarValue::Binary(Some(out))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first().and_then(|array| array.as_binary_opt::<i32>()) else {
            return exec_err!("the state of a fold is binary");
        };
        for state in states.iter().flatten() {
            let mut rest = state;
            while !rest.is_empty() {
                match decode(&mut rest) {
                    Some(row) => self.push(&row),
                    None => return exec_err!("the state of a fold is damaged"),
                }
            }
        }
        Ok(())
    }
}

/// A count of cells, then for each a tag and its bytes.
fn encode(row: &[Cell<'_>], out: &mut Vec<u8>) {
    out.extend(u32::try_from(row.len()).unwrap_or(0).to_le_bytes());
    for cell in row {
        match cell {
            Cell::Null => out.push(0),
            Cell::Bool(value) => out.extend([1, u8::from(*value)]),
            Cell::Long(value) => push_long(out, 2, *value),
            Cell::Datetime(value) => push_long(out, 3, *value),
            Cell::Timespan(value) => push_long(out, 4, *value),
            Cell::Real(value) => push_long(out, 5, value.to_bits().cast_signed()),
            Cell::Decimal(value) => {
                out.push(6);
                out.extend(value.to_le_bytes());
            }
            Cell::Text(text) => push_text(out, 7, text),
            Cell::Guid(text) => push_text(out, 8, text),
            Cell::Dynamic(text) => push_text(out, 9, text),
        }
    }
}

fn push_long(out: &mut Vec<u8>, tag: u8, value: i64) {
    out.push(tag);
    out.extend(value.to_le_bytes());
}

fn push_text(out: &mut Vec<u8>, tag: u8, text: &str) {
    out.push(tag);
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn decode(rest: &mut &[u8]) -> Option<Row> {
    let count = u32::from_le_bytes(take(rest)?);
    let mut row = Vec::new();
    for _ in 0..count {
        let [tag] = take::<1>(rest)?;
        row.push(match tag {
            0 => Cell::Null,
            1 => Cell::Bool(take::<1>(rest)? == [1]),
            2 => Cell::Long(i64::from_le_bytes(take(rest)?)),
            3 => Cell::Datetime(i64::from_le_bytes(take(rest)?)),
            4 => Cell::Timespan(i64::from_le_bytes(take(rest)?)),
            5 => Cell::Real(f64::from_bits(u64::from_le_bytes(take(rest)?))),
            6 => Cell::Decimal(i256::from_le_bytes(take(rest)?)),
            7 => Cell::Text(take_text(rest)?),
            8 => Cell::Guid(take_text(rest)?),
            9 => Cell::Dynamic(take_text(rest)?),
            _ => return None,
        });
    }
    Some(row)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

fn take_text(rest: &mut &[u8]) -> Option<Cow<'static, str>> {
    let length = usize::try_from(u64::from_le_bytes(take(rest)?)).ok()?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(Cow::Owned(String::from_utf8(bytes.to_vec()).ok()?))
}

/// The mean of decimals, to 34 significant digits.
pub(crate) fn decimal_mean<'a>(cells: &[Cell<'a>]) -> Cell<'a> {
    match cells {
        [Cell::Decimal(sum), Cell::Long(count)] => {
            Cell::or_null(decimal::divide(*sum, decimal::from_long(*count)), Cell::Decimal)
        }
        _ => Cell::Null,
    }
}
