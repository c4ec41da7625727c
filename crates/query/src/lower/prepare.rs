//! Runs what must have rows before the plan can be built.

use std::sync::{Arc, PoisonError};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::LogicalPlan;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use kql::{Expr, ExprKind, RelKind, Relation};

use super::walk::children;
use super::{Query, Rows, address, column, project, types};
use crate::error::{IntoOutcome, Outcome};

impl Query {
    /// Runs every part of a relation that its plan needs the rows of.
    pub(crate) fn prepare<'q>(&'q self, relation: &'q Arc<Relation>) -> BoxFuture<'q, Outcome<()>> {
        Box::pin(async move {
            if self.ready(relation).is_some() || self.overrides.contains_key(&address(relation)) {
                return Ok(());
            }
            for expr in expressions(&relation.kind) {
                self.prepare_expr(expr).await?;
            }
            for input in inputs(&relation.kind) {
                self.prepare(input).await?;
            }
            match &relation.kind {
                RelKind::Range { from, to, step } => {
                    let one = datafusion::logical_expr::LogicalPlanBuilder::empty(true)
                        .build()
                        .outcome()?;
                    let exprs = vec![self.expr(from)?, self.expr(to)?, self.expr(step)?];
                    let plan = project(one, exprs)?;
                    let rows = self.collect(plan).await?;
                    self.keep(relation, rows);
                }
                RelKind::Project { input, columns } if super::window::has_window(columns) => {
                    let (rows, columns) = self.window_rows(input, columns).await?;
                    self.keep(relation, rows);
                    let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
                    windows.insert(address(relation), columns);
                }
                RelKind::Aggregate { input, aggregates, .. }
                    if is_ordered(input) && super::aggregate::needs_order(aggregates) =>
                {
                    let columns = types(input).len();
                    let plan = project(self.lower(input)?, (0..columns).map(column).collect())?;
                    let rows = self.collect(plan).await?;
                    let rows = numbered(rows)?;
                    self.keep(relation, rows);
                }
                RelKind::Apply { input, expanded, subquery, outer, inner } => {
                    let parts = super::apply::Apply { input, expanded, subquery, outer, inner };
                    let rows = self.apply_rows(relation, &parts).await?;
                    self.keep(relation, rows);
                }
                RelKind::Partition { input, key, subquery } => {
                    let rows = self.partition_rows(relation, input, key, subquery).await?;
                    self.keep(relation, rows);
                }
                RelKind::Gathered { inputs, work } => {
                    let rows = self.gathered_rows(relation, inputs, work).await?;
                    self.keep(relation, rows);
                }
                RelKind::Materialize { input, id } if self.kept(*id).is_none() => {
                    let rows = Arc::new(self.collect(self.lower(input)?).await?);
                    let mut kept = self.materialized.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.insert(*id, rows);
                }
                _ => {}
            }
            Ok(())
        })
    }

    pub(super) fn prepare_expr<'q>(&'q self, expr: &'q Expr) -> BoxFuture<'q, Outcome<()>> {
        Box::pin(async move {
            if let ExprKind::Scalar(relation) | ExprKind::InRelation { relation, .. } = &expr.kind
                && self.subrows(relation).is_none()
            {
                self.prepare(relation).await?;
                let rows = self.collect(self.lower(relation)?).await?;
                let mut all = self.subqueries.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(address(relation), Arc::new(rows));
            }
            for child in children(expr) {
                self.prepare_expr(child).await?;
            }
            Ok(())
        })
    }

    fn keep(&self, relation: &Arc<Relation>, rows: Rows) {
        let mut all = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(address(relation), Arc::new(rows));
    }

    /// Rows of a subquery that has run.
    pub(super) fn subrows(&self, relation: &Arc<Relation>) -> Option<Arc<Rows>> {
        let all = self.subqueries.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&address(relation)).cloned()
    }

    /// An account for rows that are kept.
    pub(super) fn reservation(&self) -> MemoryReservation {
        let environment = self.session.runtime_env();
        MemoryConsumer::new("kept rows").register(&environment.memory_pool)
    }

    /// Runs a plan and keeps its rows, accounted for.
    pub(super) async fn collect(&self, plan: LogicalPlan) -> Outcome<Rows> {
        let frame = self.session.execute_logical_plan(plan).await.outcome()?;
        let mut stream = frame.execute_stream().await.outcome()?;
        let schema = stream.schema();
        let reservation = self.reservation();
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            let batch = batch.outcome()?;
            reservation.try_grow(batch.get_array_memory_size()).outcome()?;
            batches.push(batch);
        }
        Ok(Rows { schema, batches, reservation: Some(reservation) })
    }
}

/// Adds the position of each row as a last column.
fn numbered(rows: Rows) -> Outcome<Rows> {
    let mut fields: Vec<Arc<Field>> = rows.schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(super::name(fields.len()), DataType::Int64, true)));
    let schema = Arc::new(Schema::new(fields));
    let mut next = 0i64;
    let mut batches = Vec::with_capacity(rows.batches.len());
    for batch in &rows.batches {
        let end = next + i64::try_from(batch.num_rows()).unwrap_or(0);
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(next..end));
        next = end;
        let columns = batch.columns().iter().cloned().chain([numbers]).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|error| crate::error::from_datafusion(error.into()))?;
        batches.push(batch);
    }
    Ok(Rows { schema, batches, reservation: rows.reservation })
}

/// Whether the rows stand in an order that a query may lean on.
fn is_ordered(relation: &Relation) -> bool {
    match &relation.kind {
        RelKind::Sort { .. } => true,
        RelKind::Filter { input, .. }
        | RelKind::Project { input, .. }
        | RelKind::Take { input, .. }
        | RelKind::Parse { input, .. }
        | RelKind::MvExpand { input, .. } => is_ordered(input),
        RelKind::Gathered { inputs, work: kql::Gathering::Scan(_) } => {
            inputs.iter().all(|input| is_ordered(input))
        }
        _ => false,
    }
}

/// The relations directly below.
fn inputs(kind: &RelKind) -> Vec<&Arc<Relation>> {
    match kind {
        RelKind::Filter { input, .. }
        | RelKind::Project { input, .. }
        | RelKind::Aggregate { input, .. }
        | RelKind::Distinct { input }
        | RelKind::Sort { input, .. }
        | RelKind::Take { input, .. }
        | RelKind::Sample { input, .. }
        | RelKind::MvExpand { input, .. }
        | RelKind::Apply { input, .. }
        | RelKind::Partition { input, .. }
        | RelKind::Parse { input, .. }
        | RelKind::Materialize { input, .. } => vec![input],
        RelKind::Union { inputs } | RelKind::Gathered { inputs, .. } => inputs.iter().collect(),
        RelKind::Join { left, right, .. } => vec![left, right],
        _ => Vec::new(),
    }
}

pub(super) fn expressions(kind: &RelKind) -> Vec<&Expr> {
    match kind {
        RelKind::Range { from, to, step } => vec![from, to, step],
        RelKind::Filter { predicate, .. } => vec![predicate],
        RelKind::Project { columns, .. } => columns.iter().collect(),
        RelKind::Aggregate { keys, aggregates, .. } => {
            keys.iter().chain(aggregates.iter().flat_map(|call| &call.args)).collect()
        }
        RelKind::Sort { keys, .. } => keys.iter().map(|key| &key.expr).collect(),
        RelKind::Join { on, .. } => on.iter().flat_map(|pair| [&pair.left, &pair.right]).collect(),
        RelKind::Parse { source, .. } => vec![source],
        RelKind::Partition { key, .. } => vec![key],
        RelKind::Gathered { work, .. } => work.expressions(),
        _ => Vec::new(),
    }
}
