//! A table as DataFusion sees it.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::extent::TABLES;
use crate::scan::{Files, Scan};
use crate::snapshot::TableView;
use crate::store::Shared;

/// A stored table: of one moment, or of the moment of each scan.
pub(crate) struct StoredTable {
    index: usize,
    schema: SchemaRef,
    source: Source,
}

enum Source {
    Live(Arc<Shared>),
    Fixed { view: Arc<TableView>, files: Arc<Files> },
}

impl StoredTable {
    pub(crate) fn live(index: usize, shared: Arc<Shared>) -> Self {
        let schema = crate::arrow_schema(&TABLES[index]);
        Self { index, schema, source: Source::Live(shared) }
    }

    pub(crate) fn fixed(index: usize, view: Arc<TableView>, files: Arc<Files>) -> Self {
        let schema = crate::arrow_schema(&TABLES[index]);
        Self { index, schema, source: Source::Fixed { view, files } }
    }

    fn view(&self) -> (Arc<TableView>, Arc<Files>) {
        match &self.source {
            Source::Live(shared) => {
                (shared.snapshot().table(self.index).clone(), shared.files.clone())
            }
            Source::Fixed { view, files } => (view.clone(), files.clone()),
        }
    }
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
        let (view, files) = self.view();
        let scan = Scan { schema: self.schema.clone(), files, projection, limit };
        scan.plan(state, &view, filters)
    }
}
