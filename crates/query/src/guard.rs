//! What a run may see, applied where tables are read.
//!
//! A masked column is a constant of the plan: nothing of it is read, so that no operator, error,
//! figure or delay can tell it. Rows of others are dropped by a step of its own right above the scan;
//! nothing that a query computes is moved below it.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, col};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties, SendableRecordBatchStream,
};
use event::ColumnType;
use futures_util::StreamExt;
use kql::{Access, Content, QueryError, QueryErrorKind, Rows, Type};

use crate::cell::{Cell, Reader};
use crate::columns::{kusto_type, literal};
use crate::error::Outcome;

/// The column that says whose a row is.
pub(crate) const OWNER: &str = "ApimSubscriptionId";

/// Keeps a run to what it may see, and notes what content it reads.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    access: Access,
    read: Mutex<BTreeSet<String>>,
}

impl Guard {
    pub(crate) fn new(access: Access) -> Self {
        Self { access, read: Mutex::default() }
    }

    /// Whether queries with this access may name a table.
    pub(crate) fn shows(access: &Access, table: &event::Table) -> bool {
        !matches!(access.rows, Rows::OfSubscriptions(_)) || has_owner(table)
    }

    /// Refuses a table whose rows the run may not see.
    pub(crate) fn admit(&self, table: &event::Table) -> Outcome<()> {
        let text = match self.access.rows {
            Rows::All => return Ok(()),
            Rows::OfSubscriptions(_) if has_owner(table) => return Ok(()),
            Rows::OfSubscriptions(_) => {
                format!("the rows of {} belong to no subscription", table.name)
            }
            Rows::None => "this reads no table: hold a role that may read the record".to_owned(),
        };
        Err(QueryError::new(QueryErrorKind::Forbidden, text))
    }

    /// What stands in place of a column that may not be seen.
    pub(crate) fn mask(&self, column: &event::Column) -> Outcome<Option<Expr>> {
        if !column.is_content || self.access.content != Content::Masked {
            return Ok(None);
        }
        let kusto = kusto_type(column.column_type);
        masked(kusto).map(Some)
    }

    /// Whether content is masked.
    pub(crate) fn masks_content(&self) -> bool {
        self.access.content == Content::Masked
    }

    /// The subscriptions whose rows may be seen, if not all may be.
    pub(crate) fn owners(&self) -> Option<&Arc<[String]>> {
        match &self.access.rows {
            Rows::OfSubscriptions(owners) => Some(owners),
            Rows::None | Rows::All => None,
        }
    }

    /// Called with the columns of a table that a scan is about to read.
    pub(crate) fn reads<'c>(
        &self,
        table: &str,
        columns: impl Iterator<Item = &'c event::Column>,
    ) -> Result<()> {
        let content: Vec<_> = columns.filter(|column| column.is_content).collect();
        let Some(first) = content.first() else { return Ok(()) };
        match self.access.content {
            Content::Readable => {
                let names = content.iter().map(|column| format!("{table}.{}", column.name));
                self.read.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
                Ok(())
            }
            Content::WithoutPurpose => {
                let names: Vec<_> = content.iter().map(|column| column.name).collect();
                let text = format!(
                    "this query reads {} of {table}, which holds what callers and models said: state what \
                     for (header or request property `x-gatehouse-purpose`, `--purpose` at the command \
                     line), or leave it out: | project-away {}",
                    names.join(", "),
                    names.join(", ")
                );
                let error = QueryError::new(QueryErrorKind::Forbidden, text);
                Err(DataFusionError::External(Box::new(error)))
            }
            Content::Masked => internal_err!("the masked column {} was to be read", first.name),
        }
    }

    /// Columns with content that scans have read, sorted.
    pub(crate) fn content_columns(&self) -> Vec<String> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// What a masked column of this type reads as.
pub(crate) fn masked(kusto: Type) -> Outcome<Expr> {
    match kusto {
        Type::String => literal(&Cell::text(String::new()), Type::String),
        other => literal(&Cell::Null, other),
    }
}

fn has_owner(table: &event::Table) -> bool {
    table
        .columns
        .iter()
        .any(|column| column.name == OWNER && column.column_type == ColumnType::String)
}

/// A predicate over the stored array of the owner's column, for the store to skip by.
pub(crate) fn stored_owner_filter(owners: &[String]) -> Expr {
    let names =
        owners.iter().map(|owner| Expr::Literal(ScalarValue::Utf8(Some(owner.clone())), None));
    col(format!("\"{OWNER}\"")).in_list(names.collect(), false)
}

/// The rows of some owners, without the last column, which says whose they are. Nothing is pushed down
/// through it, and it tells no statistics.
#[derive(Debug)]
pub(crate) struct OwnRows {
    input: Arc<dyn ExecutionPlan>,
    owners: Arc<HashSet<String>>,
    shown: usize,
    properties: Arc<PlanProperties>,
}

impl OwnRows {
    /// Shows the first columns of rows whose last column is one of `owners`.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        shown: usize,
        owners: Arc<HashSet<String>>,
    ) -> Self {
        let fields = input.schema().fields().iter().take(shown).cloned().collect::<Vec<_>>();
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(Schema::new(fields))),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { input, owners, shown, properties: Arc::new(properties) }
    }
}

impl DisplayAs for OwnRows {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnRows: owners={}", self.owners.len())
    }
}

impl ExecutionPlan for OwnRows {
    fn name(&self) -> &'static str {
        "OwnRows"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else {
            return internal_err!("rows of owners have one input");
        };
        Ok(Arc::new(Self::new(input, self.shown, Arc::clone(&self.owners))))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let recompute = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, recompute)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let (owners, shown) = (Arc::clone(&self.owners), self.shown);
        let batches = self.input.execute(partition, context)?;
        let own = batches.map({
            let schema = Arc::clone(&schema);
            move |batch| own_rows(&batch?, &owners, shown, &schema)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, own)))
    }
}

fn own_rows(
    batch: &RecordBatch,
    owners: &HashSet<String>,
    shown: usize,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let owner = Reader::new(batch.column(batch.num_columns() - 1), Type::String)?;
    let is_own: BooleanArray =
        (0..batch.num_rows()).map(|row| Some(owners.contains(owner.get(row).str()))).collect();
    let own = filter_record_batch(batch, &is_own)?;
    let columns = own.columns()[..shown].to_vec();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(own.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
