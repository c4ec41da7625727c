//! Reading a table: extents by DataFusion's own Parquet scan, the tail from memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{ColumnStatistics, DataFusionError, Result, ScalarValue, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::object_store::path::Path;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{self, Column};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use parquet::arrow::arrow_reader::RowSelection;

use crate::extent::{Extent, Record, TIME_COLUMN};
use crate::files::Files;
use crate::prune::{Filter, Span};
use crate::schema::absent;
use crate::snapshot::TableView;
use crate::tail::Chunk;
use crate::terms::{self, Choice};

/// Held by every file of a plan, so that it stays on disk until the plan is dropped.
struct Guard(#[expect(dead_code, reason = "it is only held")] Arc<Extent>);

/// One scan of a table.
pub(crate) struct Scan<'a> {
    pub(crate) schema: SchemaRef,
    pub(crate) files: Arc<Files>,
    pub(crate) projection: &'a Vec<usize>,
    pub(crate) limit: Option<usize>,
}

impl Scan<'_> {
    /// The plan that reads what may pass the filters.
    pub(crate) fn plan(
        &self,
        state: &dyn Session,
        view: &TableView,
        filters: &[Expr],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (terms, filters): (Vec<_>, Vec<_>) =
            filters.iter().cloned().partition(terms::names_terms);
        let filter = Filter::new(state, &self.schema, &filters);
        let extents = kept(&filter, &view.extents, |extent| span(&extent.record));
        let extents = searched(extents, &terms);
        let chunks = kept(&filter, &view.chunks, |chunk| chunk_span(chunk));
        let partitions = state.config().target_partitions().max(1);
        let mut inputs = Vec::new();
        if !extents.is_empty() {
            inputs.push(self.read_extents(&extents, partitions, filter.expression())?);
        }
        if !chunks.is_empty() || inputs.is_empty() {
            inputs.push(self.read_chunks(&chunks, partitions)?);
        }
        match inputs.len() {
            1 => Ok(inputs.remove(0)),
            _ => UnionExec::try_new(inputs),
        }
    }

    fn read_chunks(
        &self,
        chunks: &[Arc<Chunk>],
        partitions: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partitions = partitions.min(chunks.len()).max(1);
        let mut batches: Vec<Vec<RecordBatch>> = vec![Vec::new(); partitions];
        for (number, chunk) in chunks.iter().enumerate() {
            batches[number % partitions].push(chunk.view().clone());
        }
        let projection = Some(self.projection.clone());
        let source = MemorySourceConfig::try_new(&batches, self.schema.clone(), projection)?
            .with_limit(self.limit);
        Ok(DataSourceExec::from_data_source(source))
    }

    fn read_extents(
        &self,
        extents: &[Searched],
        partitions: usize,
        filter: Option<&Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut options = TableParquetOptions::default();
        options.global.pushdown_filters = true;
        options.global.reorder_filters = true;
        let mut source = ParquetSource::new(self.schema.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(self.files.factory());
        if let Some(filter) = filter {
            source = source.with_predicate(filter.clone());
        }
        let files: Result<Vec<_>> = extents.iter().map(|searched| self.file(searched)).collect();
        let groups = FileGroup::new(files?).split_files(partitions);
        let mut statistics =
            self.statistics(extents.iter().map(|searched| &searched.extent.record));
        if extents.iter().any(|searched| searched.rows.is_some()) {
            statistics = statistics.to_inexact();
        }
        let url = ObjectStoreUrl::local_filesystem();
        let scan = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(Some(self.projection.clone()))?
            .with_limit(self.limit)
            .with_expr_adapter(Some(Arc::new(FillMissing)))
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }

    fn file(&self, Searched { extent, rows }: &Searched) -> Result<PartitionedFile> {
        let location = Path::from_absolute_path(&extent.path)
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        let mut statistics = self.statistics(std::iter::once(&extent.record));
        if rows.is_some() {
            statistics = statistics.to_inexact();
        }
        let mut file = PartitionedFile::new(String::new(), extent.record.bytes)
            .with_statistics(Arc::new(statistics))
            .with_extension(Guard(extent.clone()));
        if let Some(rows) = rows {
            file = file.with_extension(ParquetRowSelection::new(rows.clone()));
        }
        file.object_meta.location = location;
        Ok(file)
    }

    /// What the manifest knows of some extents: rows, and the range of times.
    fn statistics<'r>(&self, records: impl Iterator<Item = &'r Record> + Clone) -> Statistics {
        let sum = |value: fn(&Record) -> u64| {
            let total = records.clone().map(value).sum::<u64>();
            usize::try_from(total).unwrap_or(usize::MAX)
        };
        let time = |micros: Option<i64>| {
            let value =
                |micros| ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
            micros.map_or(Precision::Absent, |micros| Precision::Exact(value(micros)))
        };
        let column = |name: &String| match name.as_str() {
            TIME_COLUMN => ColumnStatistics {
                null_count: Precision::Exact(0),
                min_value: time(records.clone().map(|record| record.time_min).min()),
                max_value: time(records.clone().map(|record| record.time_max).max()),
                ..ColumnStatistics::new_unknown()
            },
            _ => ColumnStatistics::new_unknown(),
        };
        Statistics {
            num_rows: Precision::Exact(sum(|record| record.rows)),
            total_byte_size: Precision::Inexact(sum(|record| record.bytes)),
            column_statistics: self.schema.fields().iter().map(|f| column(f.name())).collect(),
        }
    }
}

/// An extent, and which of its rows may have the terms asked for, if not all may.
struct Searched {
    extent: Arc<Extent>,
    rows: Option<RowSelection>,
}

fn searched(extents: Vec<Arc<Extent>>, terms: &[Expr]) -> Vec<Searched> {
    let chosen = extents.into_iter().map(|extent| match terms::choose(&extent, terms) {
        Choice::All => Some(Searched { extent, rows: None }),
        Choice::Rows(rows) => Some(Searched { extent, rows: Some(rows) }),
        Choice::Nothing => None,
    });
    chosen.flatten().collect()
}

fn kept<T: Clone>(filter: &Filter, list: &[T], span: impl Fn(&T) -> Span) -> Vec<T> {
    let spans: Vec<_> = list.iter().map(span).collect();
    let keep = filter.keep(&spans);
    list.iter().zip(keep).filter(|(_, keep)| *keep).map(|(item, _)| item.clone()).collect()
}

fn span(record: &Record) -> Span {
    let Record { time_min, time_max, sequences, rows, .. } = *record;
    Span { time_min, time_max, sequences, rows }
}

fn chunk_span(chunk: &Chunk) -> Span {
    let Chunk { time_min, time_max, sequences, .. } = *chunk;
    Span { time_min, time_max, sequences, rows: chunk.batch.num_rows() as u64 }
}

/// Lets an extent that lacks a later column read as [`absent`] there.
#[derive(Debug)]
struct FillMissing;

#[derive(Debug)]
struct FillMissingAdapter {
    table: SchemaRef,
    file: SchemaRef,
    then: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapterFactory for FillMissing {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let then = DefaultPhysicalExprAdapterFactory.create(table.clone(), file.clone())?;
        Ok(Arc::new(FillMissingAdapter { table, file, then }))
    }
}

impl PhysicalExprAdapter for FillMissingAdapter {
    fn rewrite(&self, expression: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let filled = expression.transform(|node| {
            let Some(column) = node.downcast_ref::<Column>() else {
                return Ok(Transformed::no(node));
            };
            let is_missing = self.file.index_of(column.name()).is_err();
            let field = self.table.field_with_name(column.name());
            match field {
                Ok(field) if is_missing => Ok(Transformed::yes(expressions::lit(absent(field)?))),
                _ => Ok(Transformed::no(node)),
            }
        });
        self.then.rewrite(filled.data()?)
    }
}
