//! Leaving out extents and chunks by their times and sequences alone, without opening them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};

use crate::extent::{SEQUENCE_COLUMN, TIME_COLUMN};

/// Least and greatest time of some rows, in microseconds, their sequences, and how many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
    pub(crate) sequences: Option<(i64, i64)>,
    pub(crate) rows: u64,
}

/// What the filters of a scan leave out.
pub(crate) struct Filter {
    expression: Option<Arc<dyn PhysicalExpr>>,
    pruning: Option<Arc<PruningPredicate>>,
}

impl Filter {
    /// From the filters of a scan. One that DataFusion cannot make sense of here is ignored: it
    /// stands above the scan as well.
    pub(crate) fn new(state: &dyn Session, schema: &SchemaRef, filters: &[Expr]) -> Self {
        let expression = || {
            let filter = conjunction(filters.iter().cloned())?;
            let df_schema = DFSchema::try_from(schema.clone()).ok()?;
            state.create_physical_expr(filter, &df_schema).ok()
        };
        let expression = expression();
        let pruning = expression.clone().and_then(|expression| {
            PruningPredicateBuilder::new().with_file_schema(schema.clone()).build(expression)
        });
        Self { expression, pruning }
    }

    /// The filter, for row groups, pages and rows.
    pub(crate) fn expression(&self) -> Option<&Arc<dyn PhysicalExpr>> {
        self.expression.as_ref()
    }

    /// For each span, whether its rows may pass.
    pub(crate) fn keep(&self, spans: &[Span]) -> Vec<bool> {
        let all = || vec![true; spans.len()];
        match &self.pruning {
            Some(predicate) => predicate.prune(&Spans(spans)).unwrap_or_else(|_| all()),
            None => all(),
        }
    }
}

struct Spans<'a>(&'a [Span]);

impl Spans<'_> {
    fn bounds(
        &self,
        column: &Column,
        time: impl Fn(&Span) -> i64,
        sequence: impl Fn((i64, i64)) -> i64,
    ) -> Option<ArrayRef> {
        match column.name.as_str() {
            TIME_COLUMN => {
                let values = self.0.iter().map(time);
                let array = TimestampMicrosecondArray::from_iter_values(values);
                Some(Arc::new(array.with_timezone("UTC")))
            }
            SEQUENCE_COLUMN => {
                let values = self.0.iter().map(|span| span.sequences.map(&sequence));
                Some(Arc::new(values.collect::<Int64Array>()))
            }
            _ => None,
        }
    }
}

impl PruningStatistics for Spans<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |span| span.time_min, |sequences| sequences.0)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |span| span.time_max, |sequences| sequences.1)
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
