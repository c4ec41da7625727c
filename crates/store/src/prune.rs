//! Leaving out extents and chunks by their times alone, without opening them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};

use crate::extent::TIME_COLUMN;

/// Least and greatest time of some rows, in microseconds, and how many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
    pub(crate) rows: u64,
}

/// What a query says about time.
pub(crate) struct TimeFilter(Option<Arc<PruningPredicate>>);

impl TimeFilter {
    /// From the filters of a scan; whatever they say about other columns is ignored.
    pub(crate) fn new(state: &dyn Session, schema: &SchemaRef, filters: &[Expr]) -> Self {
        let predicate = || {
            let filter = conjunction(filters.iter().cloned())?;
            let df_schema = DFSchema::try_from(schema.clone()).ok()?;
            let expression = state.create_physical_expr(filter, &df_schema).ok()?;
            PruningPredicateBuilder::new().with_file_schema(schema.clone()).build(expression)
        };
        Self(predicate())
    }

    /// For each span, whether its rows may pass.
    pub(crate) fn keep(&self, spans: &[Span]) -> Vec<bool> {
        let all = || vec![true; spans.len()];
        match &self.0 {
            Some(predicate) => predicate.prune(&Spans(spans)).unwrap_or_else(|_| all()),
            None => all(),
        }
    }
}

struct Spans<'a>(&'a [Span]);

impl Spans<'_> {
    fn times(&self, column: &Column, time: impl Fn(&Span) -> i64) -> Option<ArrayRef> {
        if column.name != TIME_COLUMN {
            return None;
        }
        let values = self.0.iter().map(time);
        let array = TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC");
        Some(Arc::new(array))
    }
}

impl PruningStatistics for Spans<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.times(column, |span| span.time_min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.times(column, |span| span.time_max)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(self.0.iter().map(|span| span.rows))))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
