//! A table as DataFusion sees it.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use event::{Interaction, Message, TableRow};

use crate::Error;
use crate::extent::{TABLES, index_of, table_index};
use crate::messages::{Layout, MessagesExec, is_shared};
use crate::scan::Scan;
use crate::schema::stored_schema;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// A stored table: of one moment, or of the moment of each scan.
pub(crate) struct StoredTable {
    index: usize,
    schema: SchemaRef,
    source: Source,
}

enum Source {
    Live(Arc<Shared>),
    Fixed(Snapshot),
}

impl Snapshot {
    /// A table for DataFusion.
    pub fn provider(&self, table: &str) -> std::result::Result<Arc<dyn TableProvider>, Error> {
        let index = index_of(table)?;
        Ok(Arc::new(StoredTable::fixed(index, self.clone())))
    }
}

impl StoredTable {
    pub(crate) fn live(index: usize, shared: Arc<Shared>) -> Self {
        let schema = crate::arrow_schema(&TABLES[index]);
        Self { index, schema, source: Source::Live(shared) }
    }

    pub(crate) fn fixed(index: usize, snapshot: Snapshot) -> Self {
        let schema = crate::arrow_schema(&TABLES[index]);
        Self { index, schema, source: Source::Fixed(snapshot) }
    }

    fn snapshot(&self) -> Snapshot {
        match &self.source {
            Source::Live(shared) => shared.snapshot(),
            Source::Fixed(snapshot) => snapshot.clone(),
        }
    }
}

/// Reads the rows that a table's own extents hold.
fn scan_own(
    snapshot: &Snapshot,
    index: usize,
    state: &dyn Session,
    projection: &Vec<usize>,
    (filters, limit): (&[Expr], Option<usize>),
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = stored_schema(&TABLES[index]);
    let scan = Scan { schema, files: snapshot.files().clone(), projection, limit };
    scan.plan(state, snapshot.table(index), filters)
}

/// Reads the messages that are kept with interactions.
fn scan_kept(
    snapshot: &Snapshot,
    schema: &SchemaRef,
    state: &dyn Session,
    projection: &[usize],
    filters: &[Expr],
) -> Result<Arc<dyn ExecutionPlan>> {
    let layout = Layout::new(schema, projection)?;
    let Some(index) = table_index(Interaction::TABLE.name) else {
        return internal_err!("there is a table of interactions");
    };
    let is_shared = |filter: &&Expr| filter.column_refs().iter().all(|c| is_shared(&c.name));
    let filters: Vec<Expr> = filters.iter().filter(is_shared).cloned().collect();
    let input = scan_own(snapshot, index, state, &layout.wanted, (&filters, None))?;
    Ok(Arc::new(MessagesExec::new(input, Arc::new(layout))))
}

impl fmt::Debug for StoredTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoredTable").field(&TABLES[self.index].name).finish()
    }
}

#[async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// A filter is used wherever it saves reading, and DataFusion applies it to what remains.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize>;
        let projection = match projection {
            Some(projection) => projection,
            None => {
                all = (0..self.schema.fields().len()).collect();
                &all
            }
        };
        let snapshot = self.snapshot();
        let own = scan_own(&snapshot, self.index, state, projection, (filters, limit))?;
        if TABLES[self.index].name != Message::TABLE.name {
            return Ok(own);
        }
        let kept = scan_kept(&snapshot, &self.schema, state, projection, filters)?;
        if snapshot.table(self.index).is_empty() {
            Ok(kept)
        } else {
            UnionExec::try_new(vec![own, kept])
        }
    }
}
