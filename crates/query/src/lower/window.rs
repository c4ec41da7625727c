//! Window functions: computed row by row over the rows in their order.

use std::sync::{Arc, PoisonError};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use datafusion::logical_expr::{Expr, LogicalPlan};
use kql::{ExprKind, Function, QueryError, Relation, Type};

use super::walk::children;
use super::{Query, Rows, address, column, name, project, rows_plan, types};
use crate::cell::{Cell, Reader, Writer, arrow_type};
use crate::error::{IntoOutcome, Outcome, from_datafusion};
use crate::kernels;

/// Whether an expression looks at neighbouring rows.
pub(super) fn has_window(columns: &[kql::Expr]) -> bool {
    columns.iter().any(|expr| !calls(expr).is_empty())
}

/// The innermost window calls inside of an expression.
fn calls(expr: &kql::Expr) -> Vec<&kql::Expr> {
    let inside: Vec<&kql::Expr> = children(expr).into_iter().flat_map(calls).collect();
    if inside.is_empty() && is_window(expr) { vec![expr] } else { inside }
}

fn is_window(expr: &kql::Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call { function, .. } if function.is_window())
}

impl Query {
    /// The input's rows in one batch followed by one column for each window call, and the
    /// expressions over them. Calls inside of calls are computed first.
    pub(super) async fn window_rows(
        &self,
        input: &Arc<Relation>,
        columns: &[kql::Expr],
    ) -> Outcome<(Rows, Vec<kql::Expr>)> {
        let mut count = types(input).len();
        let mut columns = columns.to_vec();
        let mut plan = self.lower(input)?;
        loop {
            let rows = self.window_round(plan, count, &columns).await?;
            let mut next = count;
            columns = columns.iter().map(|expr| replace(expr, &mut next)).collect();
            count = next;
            if !has_window(&columns) {
                return Ok((rows, columns));
            }
            plan = rows_plan(&rows)?;
        }
    }

    /// Adds one column for each innermost call.
    async fn window_round(
        &self,
        plan: LogicalPlan,
        count: usize,
        columns: &[kql::Expr],
    ) -> Outcome<Rows> {
        let found: Vec<&kql::Expr> = columns.iter().flat_map(calls).collect();
        let mut exprs: Vec<Expr> = (0..count).map(column).collect();
        for arg in found.iter().flat_map(|call| children(call)) {
            exprs.push(self.expr(arg)?);
        }
        let rows = self.collect(project(plan, exprs)?).await?;
        let batch = concat_batches(&rows.schema, &rows.batches)
            .map_err(|error| from_datafusion(error.into()))?;
        let mut arrays: Vec<ArrayRef> = batch.columns()[..count].to_vec();
        let mut fields: Vec<Arc<Field>> = rows.schema.fields()[..count].to_vec();
        let mut at = count;
        for call in found {
            let args = children(call);
            let readers = args
                .iter()
                .enumerate()
                .map(|(offset, arg)| {
                    Reader::new(batch.column(at + offset), arg.expr_type).outcome()
                })
                .collect::<Outcome<Vec<_>>>()?;
            at += args.len();
            let ExprKind::Call { function, .. } = &call.kind else { continue };
            fields.push(Arc::new(Field::new(name(fields.len()), arrow_type(call.expr_type), true)));
            arrays.push(computed(*function, &readers, batch.num_rows(), call.expr_type)?);
        }
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)
            .map_err(|error| from_datafusion(error.into()))?;
        Ok(Rows { schema, batches: vec![batch], reservation: rows.reservation })
    }

    /// The projection over the rows from [`Query::window_rows`].
    pub(super) fn window_columns(&self, relation: &Arc<Relation>) -> Outcome<Vec<Expr>> {
        let columns = {
            let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
            windows.get(&address(relation)).cloned().unwrap_or_default()
        };
        columns.iter().map(|expr| self.expr(expr)).collect()
    }
}

/// The expression with its window calls replaced by columns, counted from `next`.
fn replace(expr: &kql::Expr, next: &mut usize) -> kql::Expr {
    if is_window(expr)
        && calls(expr).len() == 1
        && children(expr).into_iter().all(|arg| calls(arg).is_empty())
    {
        let position = *next;
        *next += 1;
        return kql::Expr::column(position, expr.expr_type, expr.span);
    }
    let mut boxed = |inner: &kql::Expr| Box::new(replace(inner, next));
    let kind = match &expr.kind {
        ExprKind::Convert(inner) => ExprKind::Convert(boxed(inner)),
        ExprKind::Negate(inner) => ExprKind::Negate(boxed(inner)),
        ExprKind::Binary(op, left, right) => ExprKind::Binary(*op, boxed(left), boxed(right)),
        ExprKind::Text { op, case_sensitive, negated, left, right } => ExprKind::Text {
            op: *op,
            case_sensitive: *case_sensitive,
            negated: *negated,
            left: boxed(left),
            right: boxed(right),
        },
        ExprKind::Between { expr, low, high, negated } => ExprKind::Between {
            expr: boxed(expr),
            low: boxed(low),
            high: boxed(high),
            negated: *negated,
        },
        ExprKind::In { expr, items, case_sensitive, negated } => ExprKind::In {
            expr: boxed(expr),
            items: items.iter().map(|item| replace(item, next)).collect(),
            case_sensitive: *case_sensitive,
            negated: *negated,
        },
        ExprKind::Member { object, path } => {
            ExprKind::Member { object: boxed(object), path: path.clone() }
        }
        ExprKind::Case { branches, otherwise } => ExprKind::Case {
            branches: branches
                .iter()
                .map(|(when, then)| (replace(when, next), replace(then, next)))
                .collect(),
            otherwise: Box::new(replace(otherwise, next)),
        },
        ExprKind::Call { function, args } => ExprKind::Call {
            function: *function,
            args: args.iter().map(|arg| replace(arg, next)).collect(),
        },
        other => other.clone(),
    };
    kql::Expr { kind, expr_type: expr.expr_type, span: expr.span }
}

fn computed(
    function: Function,
    args: &[Reader<'_>],
    rows: usize,
    result: Type,
) -> Outcome<ArrayRef> {
    let mut writer = Writer::new(result, rows);
    let restarts = |position: usize, row: usize| {
        args.get(position).is_some_and(|reader| reader.get(row) == Cell::Bool(true))
    };
    match function {
        Function::Prev | Function::Next => {
            neighbours(function == Function::Next, args, rows, &mut writer)
        }
        Function::RowNumber => {
            let start =
                |row: usize| args.first().and_then(|first| first.get(row).as_long()).unwrap_or(1);
            let mut number = 0;
            for row in 0..rows {
                number = if row == 0 || restarts(1, row) { start(row) } else { number + 1 };
                writer.push(&Cell::Long(number));
            }
        }
        Function::RowCumsum => {
            let add = kernels::binary(kql::BinaryOp::Add)
                .ok_or_else(|| QueryError::unsupported("row_cumsum()"))?;
            let mut sum = Cell::Null;
            for row in 0..rows {
                let value = args[0].get(row);
                if restarts(1, row) {
                    sum = Cell::Null;
                }
                if !value.is_null() {
                    sum = if sum.is_null() {
                        value
                    } else {
                        add(&[sum, value], &kernels::Scratch::default())
                    };
                }
                writer.push(&sum);
            }
        }
        Function::RowRankDense | Function::RowRankMin => {
            let is_dense = function == Function::RowRankDense;
            let (mut rank, mut place) = (0, 0);
            for row in 0..rows {
                let value = args[0].get(row);
                if row == 0 || restarts(1, row) {
                    (rank, place) = (1, 1);
                } else {
                    place += 1;
                    let before = args[0].get(row - 1);
                    if value != before {
                        rank = if is_dense { rank + 1 } else { place };
                    }
                }
                writer.push(&Cell::Long(rank));
            }
        }
        Function::RowWindowSession => sessions(args, rows, &mut writer),
        other => return Err(QueryError::unsupported(format!("function {}()", other.name()))),
    }
    Ok(writer.finish())
}

fn neighbours(is_next: bool, args: &[Reader<'_>], rows: usize, writer: &mut Writer) {
    for row in 0..rows {
        let offset = args.get(1).map_or(Some(1), |reader| reader.get(row).as_long()).unwrap_or(1);
        let offset = if is_next { offset } else { offset.saturating_neg() };
        let other = i64::try_from(row).ok().and_then(|row| row.checked_add(offset));
        let other =
            other.and_then(|other| usize::try_from(other).ok()).filter(|other| *other < rows);
        let cell = match other {
            Some(other) => args[0].get(other),
            None => args.get(2).map_or(Cell::Null, |default| default.get(row)),
        };
        writer.push(&cell);
    }
}

/// The start of the session a row belongs to: it ends after a long gap, or when it is long.
fn sessions(args: &[Reader<'_>], rows: usize, writer: &mut Writer) {
    let mut start: Option<i64> = None;
    let mut before: Option<i64> = None;
    for row in 0..rows {
        let Some(now) = args[0].get(row).as_long() else {
            writer.push(&Cell::Null);
            continue;
        };
        let longest = args[1].get(row).as_long().unwrap_or(0);
        let gap = args[2].get(row).as_long().unwrap_or(0);
        let restarts = args.get(3).is_some_and(|reader| reader.get(row) == Cell::Bool(true));
        let goes_on = start.is_some_and(|start| now - start <= longest)
            && before.is_some_and(|before| now - before <= gap)
            && !restarts;
        if !goes_on {
            start = Some(now);
        }
        before = Some(now);
        writer.push(&Cell::or_null(start, Cell::Datetime));
    }
}
