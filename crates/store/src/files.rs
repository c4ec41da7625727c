//! Where extents are read from: the disk, and their footers once read, within a bound.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::path::Path;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures_util::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use crate::extent::Extent;

/// Where extents are read from, and their footers once read, within a bound.
pub(crate) struct Files {
    factory: Arc<WithPages>,
    footers: Arc<FileMetadataCache>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

impl Files {
    pub(crate) fn new(cache_bytes: u64) -> Arc<Self> {
        let limit = usize::try_from(cache_bytes).unwrap_or(usize::MAX);
        let footers: Arc<FileMetadataCache> = Arc::new(DefaultCache::new(limit));
        let disk = Arc::new(LocalFileSystem::new());
        let cached = CachedParquetFileReaderFactory::new(disk, footers.clone());
        let factory = Arc::new(WithPages(cached));
        Arc::new(Self { factory, footers })
    }

    /// Opens extents for scans.
    pub(crate) fn factory(&self) -> Arc<dyn ParquetFileReaderFactory> {
        self.factory.clone()
    }

    /// Drops the footer of an extent that is of no more use.
    pub(crate) fn forget(&self, extent: &Extent) {
        if let Ok(location) = Path::from_absolute_path(&extent.path) {
            self.footers.remove(&location);
        }
    }
}

/// Reads the places of pages along with each footer. They are needed to read single rows, and would
/// be read again for every query if they were not kept with it.
#[derive(Debug)]
struct WithPages(CachedParquetFileReaderFactory);

impl ParquetFileReaderFactory for WithPages {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let reader = self.0.create_reader(partition, file, metadata_size_hint, metrics)?;
        Ok(Box::new(ReaderWithPages(reader)))
    }
}

struct ReaderWithPages(Box<dyn AsyncFileReader + Send>);

impl AsyncFileReader for ReaderWithPages {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.0.get_bytes(range)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.0.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let options = options.cloned().unwrap_or_default();
        let options = options.with_page_index_policy(PageIndexPolicy::Optional);
        Box::pin(async move { self.0.get_metadata(Some(&options)).await })
    }
}
