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

    /// Of functions over series: arguments that choose by a word.
    pub(super) fn check_words(&self, function: Function, args: &[kql::Expr]) -> Outcome<()> {
        let choices: &[(usize, Words)] = match function {
            Function::SeriesDecompose => &[(2, TREND)],
            Function::SeriesDecomposeForecast => &[(3, TREND)],
            Function::SeriesDecomposeAnomalies => &[(3, TREND), (5, KIND)],
            Function::SeriesOutliers => &[(1, KIND)],
            _ => &[],
        };
        for (place, (what, words)) in choices {
            let Some(word) = args.get(*place) else { continue };
            if self.constant(word)?.is_some_and(|word| !words.contains(&word.str())) {
                let words = words.join("', '");
                let text = format!("{}(): {what} is one of '{words}'", function.name());
                return Err(QueryError::new(QueryErrorKind::Semantic, text));
            }
        }
        Ok(())
    }
}

/// What is chosen, and by which words.
type Words = (&'static str, &'static [&'static str]);

const TREND: Words = ("a trend", &["avg", "linefit", "none"]);
const KIND: Words = ("a kind", &["ctukey", "tukey"]);

fn names_column(expr: &kql::Expr) -> bool {
    matches!(expr.kind, ExprKind::Column(_)) || children(expr).into_iter().any(names_column)
}
