//! `range x from a to b step c`, counted as it is read.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures_util::stream;
use kql::{QueryError, QueryErrorKind, Relation, Type};

use super::{Query, scan_plan, schema_of, types};
use crate::cell::{Cell, Reader, Writer};
use crate::error::{IntoOutcome, Outcome};

const BATCH_ROWS: usize = 8192;

impl Query {
    pub(super) fn range(&self, relation: &Arc<Relation>) -> Outcome<LogicalPlan> {
        let lost =
            || QueryError::new(QueryErrorKind::Internal, "the bounds of a range were not computed");
        let rows = self.ready(relation).ok_or_else(lost)?;
        let batch = rows.batches.first().ok_or_else(lost)?;
        let kusto = types(relation).first().copied().ok_or_else(lost)?;
        let step_type = if kusto == Type::Datetime { Type::Timespan } else { kusto };
        let bound = |position: usize, kusto: Type| -> Outcome<Cell<'static>> {
            Ok(Reader::new(batch.column(position), kusto).outcome()?.get(0).into_owned())
        };
        let count = Count {
            schema: schema_of([kusto]),
            kusto,
            from: bound(0, kusto)?,
            to: bound(1, kusto)?,
            step: bound(2, step_type)?,
        };
        let schema = Arc::clone(&count.schema);
        let table = StreamingTable::try_new(schema, vec![Arc::new(count)]).outcome()?;
        scan_plan(Arc::new(table), 1)
    }
}

#[derive(Clone, Debug)]
struct Count {
    schema: SchemaRef,
    kusto: Type,
    from: Cell<'static>,
    to: Cell<'static>,
    step: Cell<'static>,
}

impl Count {
    /// The value at a position; none past the end.
    fn at(&self, position: u64) -> Option<Cell<'static>> {
        match (&self.from, &self.to, &self.step) {
            (Cell::Real(from), Cell::Real(to), Cell::Real(step)) => {
                let value = from + step * position as f64;
                let is_inside =
                    if *step > 0.0 { value <= *to } else { *step < 0.0 && value >= *to };
                is_inside.then_some(Cell::Real(value))
            }
            (Cell::Decimal(from), Cell::Decimal(to), Cell::Decimal(step)) => {
                let position = crate::decimal::from_long(i64::try_from(position).ok()?);
                let value = crate::decimal::add(*from, crate::decimal::multiply(*step, position)?)?;
                let sign = crate::decimal::sign(*step);
                let is_inside = sign > 0 && value <= *to || sign < 0 && value >= *to;
                is_inside.then_some(Cell::Decimal(value))
            }
            (from, to, step) => {
                let (from, to, step) = (from.as_long()?, to.as_long()?, step.as_long()?);
                let value = from.checked_add(step.checked_mul(i64::try_from(position).ok()?)?)?;
                let is_inside = step > 0 && value <= to || step < 0 && value >= to;
                is_inside.then_some(Cell::Long(value))
            }
        }
    }

    fn batch(&self, first: u64) -> Option<RecordBatch> {
        let mut writer = Writer::new(self.kusto, BATCH_ROWS);
        let mut rows = 0;
        while rows < BATCH_ROWS
            && let Some(value) = self.at(first + rows as u64)
        {
            writer.push(&value);
            rows += 1;
        }
        if rows == 0 {
            return None;
        }
        RecordBatch::try_new(Arc::clone(&self.schema), vec![writer.finish()]).ok()
    }
}

impl PartitionStream for Count {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let count = self.clone();
        let batches =
            (0u64..).map_while(move |batch| count.batch(batch * BATCH_ROWS as u64)).map(Ok);
        let stream = stream::iter(batches);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}
