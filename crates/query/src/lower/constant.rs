//! Arguments that must be known before a query runs.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use datafusion::common::DFSchema;
use kql::{ExprKind, Function, QueryError, QueryErrorKind};

use super::Query;
use super::walk::children;
use crate::cell::{Cell, Reader};
use crate::error::{IntoOutcome, Outcome, from_datafusion};

impl Query {
    /// The value of an expression that names no column.
    fn constant(&self, expr: &kql::Expr) -> Outcome<Option<Cell<'static>>> {
        if names_column(expr) {
            return Ok(None);
        }
        let schema = Arc::new(Schema::empty());
        let over = DFSchema::try_from(Arc::clone(&schema)).outcome()?;
        let physical = self.session.create_physical_expr(self.expr(expr)?, &over).outcome()?;
        let one = RecordBatchOptions::new().with_row_count(Some(1));
        let batch = RecordBatch::try_new_with_options(schema, Vec::new(), &one)
            .map_err(|error| from_datafusion(error.into()))?;
        let array = physical.evaluate(&batch).and_then(|value| value.into_array(1)).outcome()?;
        Ok(Some(Reader::new(&array, expr.expr_type).outcome()?.get(0).into_owned()))
    }

    /// `assert(condition, message)`.
    pub(super) fn assertion(&self, condition: &kql::Expr, message: &kql::Expr) -> Outcome<()> {
        if self.constant(condition)? == Some(Cell::Bool(true)) {
            return Ok(());
        }
        let message = self.constant(message)?.unwrap_or(Cell::Null);
        let text = format!("assert() has failed with message: '{}'", message.str());
        Err(QueryError::new(QueryErrorKind::Semantic, text))
    }

    /// Of functions that take a series apart: the query must say the period.
    pub(super) fn check_period(&self, function: Function, args: &[kql::Expr]) -> Outcome<()> {
        if !matches!(function, Function::SeriesSeasonal | Function::SeriesDecompose) {
            return Ok(());
        }
        let name = function.name();
        let period = args.get(1).map(|period| self.constant(period)).transpose()?.flatten();
        if period.as_ref().and_then(Cell::as_long).is_none_or(|period| period == -1) {
            let what = format!(
                "{name}() that looks for the period itself (say it as a constant: {name}(series, 7))"
            );
            return Err(QueryError::unsupported(what));
        }
        let trend = args.get(2).map(|trend| self.constant(trend)).transpose()?;
        match trend {
            Some(Some(trend)) if !matches!(trend.str(), "avg" | "linefit" | "none") => {
                let text = format!("{name}(): a trend is 'avg', 'linefit' or 'none'");
                Err(QueryError::new(QueryErrorKind::Semantic, text))
            }
            _ => Ok(()),
        }
    }
}

fn names_column(expr: &kql::Expr) -> bool {
    matches!(expr.kind, ExprKind::Column(_)) || children(expr).into_iter().any(names_column)
}
