//! Work on all rows of its inputs at once: `make-series`, `top-nested`, `pivot`, address lookups.
//!
//! The rows are held as cells and accounted to the session's memory pool; each piece of work is a
//! pure function from rows to rows, which runs beside the tasks and stops when nobody waits for it any
//! more. `scan` has a module of its own: it evaluates expressions.

mod abandon;
mod graph;
mod lookup;
mod nested;
mod pivot;
mod scan;
mod series;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::LogicalPlanBuilder;
use kql::{Gathering, Relation, Type};

use abandon::Abandoned;

use super::{Query, Rows, column, project, schema_of, types};
use crate::cell::{Cell, Reader, Writer};
use crate::error::{IntoOutcome, Outcome, from_datafusion};
use crate::task::broken;

/// A row held in memory.
type Row = Vec<Cell<'static>>;

impl Query {
    /// Runs the inputs and does the work.
    pub(super) async fn gathered_rows(
        &self,
        relation: &Relation,
        inputs: &[Arc<Relation>],
        work: &Gathering,
    ) -> Outcome<Rows> {
        let reservation = self.reservation();
        if let (Gathering::Scan(work), [input]) = (work, inputs) {
            let rows = self.input_rows(input).await?;
            let out = self.scan_rows(relation, input, &rows, work).await?;
            return rows_of(relation, &out, reservation);
        }
        let mut tables = Vec::with_capacity(inputs.len());
        for input in inputs {
            let rows = self.input_rows(input).await?;
            tables.push(cells(&rows, &types(input), &reservation)?);
        }
        let constants = match work {
            Gathering::Series(work) => {
                let mut exprs = vec![&work.step];
                exprs.extend(work.from.iter().chain(&work.to).chain(&work.defaults));
                self.constants(&exprs).await?
            }
            _ => Row::new(),
        };
        let given = Given { constants, tables, width: types(relation).len(), reservation };
        let work = work.clone();
        let abandoned = Abandoned::default();
        let waiting = abandoned.waiting();
        let done = tokio::task::spawn_blocking(move || worked(&work, given, &abandoned)).await;
        drop(waiting);
        let (out, reservation) = done.map_err(|failed| broken(&failed))??;
        rows_of(relation, &out, reservation)
    }

    async fn input_rows(&self, input: &Arc<Relation>) -> Outcome<Rows> {
        let columns = (0..types(input).len()).map(column).collect();
        self.collect(project(self.lower(input)?, columns)?).await
    }

    /// Values of expressions that name no column.
    async fn constants(&self, exprs: &[&kql::Expr]) -> Outcome<Row> {
        let one = LogicalPlanBuilder::empty(true).build().outcome()?;
        let lowered = exprs.iter().map(|expr| self.expr(expr)).collect::<Outcome<Vec<_>>>()?;
        let rows = self.collect(project(one, lowered)?).await?;
        let types: Vec<Type> = exprs.iter().map(|expr| expr.expr_type).collect();
        let mut rows = cells(&rows, &types, &self.reservation())?;
        Ok(rows.pop().unwrap_or_default())
    }
}

/// What a piece of work is over.
struct Given {
    constants: Row,
    tables: Vec<Vec<Row>>,
    /// Columns of the result.
    width: usize,
    /// The tables' account; of what is found, more is put on it.
    reservation: MemoryReservation,
}

fn worked(
    work: &Gathering,
    given: Given,
    abandoned: &Abandoned,
) -> Outcome<(Vec<Row>, MemoryReservation)> {
    let Given { constants, tables, width, reservation } = given;
    let out = match (work, &tables[..]) {
        (Gathering::Series(work), [rows]) => series::lay_out(work, &constants, rows)?,
        (Gathering::Nested(counts), tables) => nested::best(counts, tables),
        (Gathering::Pivot { keys, labels, absent }, [rows]) => {
            pivot::spread(*keys, labels, &super::expr::cell(absent), rows)
        }
        (Gathering::AddressLookup(work), [rows, ranges]) => {
            lookup::matched(work, rows, ranges, width, abandoned)?
        }
        (Gathering::GraphMatch(work), [nodes, edges]) => {
            graph::matches(work, (nodes, edges), &reservation, abandoned)?
        }
        (Gathering::GraphComponents { strong }, [nodes, edges]) => {
            graph::components(*strong, nodes, edges)
        }
        (other, _) => {
            return Err(kql::QueryError::unsupported(format!("the operator {other:?}")));
        }
    };
    Ok((out, reservation))
}

/// The rows as cells, accounted for.
fn cells(rows: &Rows, types: &[Type], reservation: &MemoryReservation) -> Outcome<Vec<Row>> {
    let mut out = Vec::new();
    for batch in &rows.batches {
        let width = types.len().max(1) * size_of::<Cell<'static>>();
        let bytes = batch.num_rows() * width + batch.get_array_memory_size();
        reservation.try_grow(bytes).outcome()?;
        let readers = types
            .iter()
            .zip(batch.columns())
            .map(|(kusto, array)| Reader::new(array, *kusto).outcome())
            .collect::<Outcome<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            out.push(readers.iter().map(|reader| reader.get(row).into_owned()).collect());
        }
    }
    Ok(out)
}

/// Rows of a relation from cells.
fn rows_of(relation: &Relation, rows: &[Row], reservation: MemoryReservation) -> Outcome<Rows> {
    let schema = schema_of(types(relation));
    let mut writers: Vec<Writer> =
        types(relation).into_iter().map(|kusto| Writer::new(kusto, rows.len())).collect();
    for row in rows {
        for (at, writer) in writers.iter_mut().enumerate() {
            writer.push(row.get(at).unwrap_or(&Cell::Null));
        }
    }
    let arrays: Vec<ArrayRef> = writers.into_iter().map(Writer::finish).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)
        .map_err(|error| from_datafusion(error.into()))?;
    reservation.try_grow(batch.get_array_memory_size()).outcome()?;
    Ok(Rows { schema, batches: vec![batch], reservation: Some(reservation) })
}

/// What tells rows of different keys apart.
fn key_of(cells: &[Cell<'_>]) -> String {
    let mut key = String::new();
    for cell in cells {
        key.push_str(&crate::convert::to_json(cell));
        key.push('\u{1}');
    }
    key
}
