//! Putting large extents together: their row groups stay as they are, so that nothing is encoded anew.

use std::fs::File;

use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};

use crate::Error;
use crate::copy::damaged;
use crate::encode::ExtentWriter;
use crate::extent::Extent;
use crate::verify::hash;

/// An extent of at least this many bytes has row groups that are large enough.
pub(crate) const LARGE_BYTES: u64 = 16 << 20;

/// Adds the row groups of an extent to another. False, with nothing written, if they are laid out
/// otherwise than this version does it.
pub(crate) fn join(extent: &Extent, writer: &mut ExtentWriter<'_>) -> Result<bool, Error> {
    let failed = |error| Error::io("read", &extent.path, error);
    // Nobody looks at what is copied: what is damaged must not get a hash that fits.
    if hash(&extent.path).map_err(failed)? != extent.record.sha256 {
        return Err(damaged(extent, "it does not match its hash"));
    }
    let file = File::open(&extent.path).map_err(failed)?;
    let metadata = ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        .parse_and_finish(&file)
        .map_err(|error| damaged(extent, error))?;
    writer.append(&file, &metadata, &extent.record)
}
