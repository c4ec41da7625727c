//! `top` by the time of a table: its newest extents are looked at first, and no more than it takes.

use std::sync::{Arc, PoisonError};

use arrow::array::RecordBatch;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures_util::StreamExt;
use kql::{ExprKind, RelKind, Relation, Type};

use super::window::has_window;
use super::{Query, address, column, literal};
use crate::cell::Cell;
use crate::error::{IntoOutcome, Outcome};

/// Most rows that are looked for so, as they are held in memory.
const ROWS_MAX: u64 = 10_000;
/// How many times more extents each look takes in than the one before.
const GROWTH: usize = 4;
const TIME: &str = "TimeGenerated";

/// Rows of a relation are cut to a range of instants: from, inclusive, and to, exclusive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    relation: usize,
    time: usize,
    from: Option<i64>,
    to: Option<i64>,
}

/// Rows found, and the plans that found them.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) plans: Vec<Arc<dyn ExecutionPlan>>,
    rows: usize,
}

/// The newest rows of a table, as a query asks for them.
struct Newest<'r> {
    table: &'r str,
    count: usize,
    /// What is sorted, and which of its columns is the time.
    sorted: &'r Arc<Relation>,
    time: usize,
    /// What stands above that.
    above: Vec<&'r Arc<Relation>>,
}

impl Query {
    /// The rows of a relation that is the newest ones of a table; none if it is another, or if there
    /// is nothing to be saved.
    pub(crate) async fn newest(&self, relation: &Arc<Relation>) -> Outcome<Option<Found>> {
        let Some(newest) = newest(relation) else { return Ok(None) };
        let starts = self.tables.starts(newest.table)?;
        if starts.len() < 2 {
            return Ok(None);
        }
        self.prepare(newest.sorted).await?;
        for expr in newest.above.iter().flat_map(|above| super::prepare::expressions(&above.kind)) {
            self.prepare_expr(expr).await?;
        }
        let (mut found, mut to, mut extents) = (Found::default(), None, 1);
        while found.rows < newest.count {
            let from = starts.get(extents - 1).copied().filter(|_| extents < starts.len());
            let cut = Cut { relation: address(newest.sorted), time: newest.time, from, to };
            self.look(relation, cut, &mut found).await?;
            if from.is_none() {
                break;
            }
            (to, extents) = (from, extents * GROWTH);
        }
        let mut left = newest.count;
        for batch in &mut found.batches {
            *batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
        }
        Ok(Some(found))
    }

    /// Adds the rows of the relation within a range of time.
    async fn look(&self, relation: &Arc<Relation>, cut: Cut, found: &mut Found) -> Outcome<()> {
        let set = |cut| *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = cut;
        set(Some(cut));
        let plan = self.lower(relation);
        set(None);
        let frame = self.session.execute_logical_plan(plan?).await.outcome()?;
        let plan = frame.create_physical_plan().await.outcome()?;
        let mut stream = execute_stream(Arc::clone(&plan), self.session.task_ctx()).outcome()?;
        while let Some(batch) = stream.next().await {
            let batch = batch.outcome()?;
            found.rows += batch.num_rows();
            found.batches.push(batch);
        }
        found.plans.push(plan);
        Ok(())
    }

    /// The plan of what is sorted, cut to the range that is looked at.
    pub(super) fn cut(&self, relation: &Arc<Relation>, plan: LogicalPlan) -> Outcome<LogicalPlan> {
        let cut = *self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(cut) = cut.filter(|cut| cut.relation == address(relation)) else {
            return Ok(plan);
        };
        let instant = |ticks| literal(&Cell::Datetime(ticks), Type::Datetime);
        let mut plan = LogicalPlanBuilder::new(plan);
        if let Some(from) = cut.from {
            plan = plan.filter(column(cut.time).gt_eq(instant(from)?)).outcome()?;
        }
        if let Some(to) = cut.to {
            plan = plan.filter(column(cut.time).lt(instant(to)?)).outcome()?;
        }
        plan.build().outcome()
    }
}

/// Columns made of the first rows by time, greatest first, of a table that is only filtered and has
/// its columns changed.
fn newest(relation: &Arc<Relation>) -> Option<Newest<'_>> {
    let (mut here, mut above) = (relation, Vec::new());
    while let RelKind::Project { input, columns } = &here.kind {
        if has_window(columns) {
            return None;
        }
        above.push(here);
        here = input;
    }
    let RelKind::Take { input, count } = &here.kind else { return None };
    let RelKind::Sort { input: sorted, keys } = &input.kind else { return None };
    above.push(input);
    let first = keys.first().filter(|key| key.descending && !key.nulls_first)?;
    let ExprKind::Column(time) = first.expr.kind else { return None };
    let count = usize::try_from(*count).ok().filter(|_| (1..=ROWS_MAX).contains(count))?;
    let table = table_by_time(sorted, time)?;
    Some(Newest { table, count, sorted, time, above })
}

/// The table below, if the column is its time.
fn table_by_time(relation: &Arc<Relation>, mut position: usize) -> Option<&str> {
    let mut here = relation;
    loop {
        here = match &here.kind {
            RelKind::Filter { input, .. } => input,
            RelKind::Project { input, columns } if !has_window(columns) => {
                let ExprKind::Column(below) = columns.get(position)?.kind else { return None };
                position = below;
                input
            }
            RelKind::Table { name } => {
                let column = here.schema.columns.get(position)?;
                return (&*column.name == TIME).then_some(name);
            }
            _ => return None,
        };
    }
}
