//! `mv-apply` and `partition`: a sub-query run over the rows of each input row or key.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::SchemaRef;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::Expr;
use kql::{QueryError, QueryErrorKind, Relation};

use super::{Query, Rows, address, column, project, schema_of, types};
use crate::cell::Reader;
use crate::convert::to_json;
use crate::error::{IntoOutcome, Outcome, from_datafusion};

/// Most times that a sub-query is run.
const RUNS_MAX: usize = 10_000;

/// The parts of `mv-apply`.
pub(super) struct Apply<'a> {
    pub(super) input: &'a Arc<Relation>,
    pub(super) expanded: &'a Arc<Relation>,
    pub(super) subquery: &'a Arc<Relation>,
    pub(super) outer: &'a [usize],
    pub(super) inner: &'a [usize],
}

impl Query {
    pub(super) async fn apply_rows(&self, relation: &Relation, parts: &Apply<'_>) -> Outcome<Rows> {
        let input = self.whole(parts.input, Vec::new()).await?;
        check_runs(input.num_rows())?;
        let mut out = Collected::new(relation, self.reservation());
        for row in 0..input.num_rows() {
            let mut single = self.child();
            single.overrides.insert(address(parts.input), rows_of(input.slice(row, 1)));
            let expanded = single.run(parts.expanded).await?;
            let mut inside = self.child();
            inside.bound = Some(Arc::new(expanded));
            for batch in inside.run(parts.subquery).await?.batches {
                let indices = UInt64Array::from(vec![row as u64; batch.num_rows()]);
                let outer = parts.outer.iter().map(|at| picked(input.column(*at), &indices));
                let mut columns = outer.collect::<Outcome<Vec<ArrayRef>>>()?;
                columns.extend(parts.inner.iter().map(|at| Arc::clone(batch.column(*at))));
                out.push(columns)?;
            }
        }
        Ok(out.rows())
    }

    pub(super) async fn partition_rows(
        &self,
        relation: &Relation,
        input: &Arc<Relation>,
        key: &kql::Expr,
        subquery: &Arc<Relation>,
    ) -> Outcome<Rows> {
        let count = types(input).len();
        let all = self.whole(input, vec![self.expr(key)?]).await?;
        let reader = Reader::new(all.column(count), key.expr_type).outcome()?;
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut parts: Vec<Vec<u64>> = Vec::new();
        for row in 0..all.num_rows() {
            let place =
                *places.entry(to_json(&reader.get(row)).into_owned()).or_insert(parts.len());
            if place == parts.len() {
                parts.push(Vec::new());
            }
            parts[place].push(row as u64);
        }
        check_runs(parts.len())?;
        let schema = schema_of(types(input));
        let mut out = Collected::new(relation, self.reservation());
        for part in parts {
            let indices = UInt64Array::from(part);
            let columns = all.columns()[..count].iter().map(|array| picked(array, &indices));
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Outcome<_>>()?)
                .map_err(|error| from_datafusion(error.into()))?;
            let mut inside = self.child();
            inside.bound = Some(rows_of(batch));
            for batch in inside.run(subquery).await?.batches {
                out.push(batch.columns().to_vec())?;
            }
        }
        Ok(out.rows())
    }

    /// All rows of a relation, and further columns, in one batch.
    async fn whole(&self, relation: &Arc<Relation>, more: Vec<Expr>) -> Outcome<RecordBatch> {
        let columns = (0..types(relation).len()).map(column).chain(more).collect();
        let rows = self.collect(project(self.lower(relation)?, columns)?).await?;
        concat_batches(&rows.schema, &rows.batches).map_err(|error| from_datafusion(error.into()))
    }

    async fn run(&self, relation: &Arc<Relation>) -> Outcome<Rows> {
        self.prepare(relation).await?;
        self.collect(self.lower(relation)?).await
    }
}

fn check_runs(runs: usize) -> Outcome<()> {
    if runs <= RUNS_MAX {
        return Ok(());
    }
    let text =
        format!("a sub-query would run {runs} times, more than {RUNS_MAX}: filter before it");
    Err(QueryError::new(QueryErrorKind::LimitExceeded, text))
}

fn picked(array: &ArrayRef, indices: &UInt64Array) -> Outcome<ArrayRef> {
    take(array, indices, None).map_err(|error| from_datafusion(error.into()))
}

fn rows_of(batch: RecordBatch) -> Arc<Rows> {
    Arc::new(Rows { schema: batch.schema(), batches: vec![batch], reservation: None })
}

/// Batches of results, under the columns of their relation.
struct Collected {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    reservation: MemoryReservation,
}

impl Collected {
    fn new(relation: &Relation, reservation: MemoryReservation) -> Self {
        Self { schema: schema_of(types(relation)), batches: Vec::new(), reservation }
    }

    fn push(&mut self, columns: Vec<ArrayRef>) -> Outcome<()> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| from_datafusion(error.into()))?;
        self.reservation.try_grow(batch.get_array_memory_size()).outcome()?;
        self.batches.push(batch);
        Ok(())
    }

    fn rows(self) -> Rows {
        let reservation = Some(self.reservation);
        Rows { schema: self.schema, batches: self.batches, reservation }
    }
}
