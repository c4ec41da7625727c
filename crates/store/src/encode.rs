//! Writing an extent: how rows are laid out in Parquet.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::DataType;
use event::{BodyText, ColumnType, Table};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use crate::blobs::{Hash, hexadecimal, parse_hash};
use crate::error::{io_cause, is_full};
use crate::extent::{BODY_COLUMNS, Day, Record, day_folder};
use crate::parts::{self, PARTS_COLUMN};
use crate::schema::written_schema;
use crate::tail::{sequence_range, time_range};
use crate::terms::TermWriter;
use crate::{Error, ErrorKind, disk};

const ZSTD_LEVEL: i32 = 3;
/// Rows of a row group: what a query skips at once by statistics.
const ROW_GROUP_ROWS: usize = 64 << 10;
/// Encoded bytes of a row group: what the writer holds in memory.
const ROW_GROUP_BYTES: usize = 64 << 20;
/// Bytes of a page of ordinary columns.
const PAGE_BYTES: usize = 256 << 10;
/// Bytes of a page of bodies: zstd sees texts of one page together, and prompts repeat themselves.
const BODY_PAGE_BYTES: usize = 2 << 20;
/// Values between two looks at the size of a page.
const WRITE_BATCH_ROWS: usize = 128;
/// Share of false hits of the bloom filter.
const BLOOM_FPP: f64 = 0.01;

/// Columns of ids that differ in every row: a dictionary is of no use.
const UNIQUE_COLUMNS: [&str; 3] = ["RequestId", "RequestBodySha256", "ResponseBodySha256"];
/// Columns of rising numbers: stored as differences.
const RISING_COLUMNS: [&str; 3] = ["TimeGenerated", "ClosedAt", "LedgerSequence"];
/// The id that joins all tables: rises with time, repeats in messages.
pub(crate) const ID_COLUMN: &str = "CorrelationId";

fn properties(table: &Table) -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("the level is one of zstd's");
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(level))
        .set_created_by(concat!("gatehouse ", env!("CARGO_PKG_VERSION")).into())
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_write_batch_size(WRITE_BATCH_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(64))
        .set_column_index_truncate_length(Some(64));
    // Every cell differs, and zstd finds what they have in common.
    let parts = ColumnPath::from(PARTS_COLUMN);
    builder = builder
        .set_column_dictionary_enabled(parts.clone(), false)
        .set_column_statistics_enabled(parts, EnabledStatistics::None);
    for column in table.columns {
        let path = ColumnPath::from(column.name);
        let is_body =
            BODY_COLUMNS.contains(&column.name) || column.column_type == ColumnType::Dynamic;
        if BODY_COLUMNS.contains(&column.name) {
            builder = builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_data_page_size_limit(path.clone(), BODY_PAGE_BYTES);
        }
        if is_body {
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
        if UNIQUE_COLUMNS.contains(&column.name) {
            builder = builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
        if RISING_COLUMNS.contains(&column.name) {
            builder = builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::Page);
        }
        if column.name == ID_COLUMN {
            builder = builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_BYTE_ARRAY)
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), BLOOM_FPP)
                .set_column_bloom_filter_max_ndv(path, ROW_GROUP_ROWS as u64);
        }
    }
    builder.build()
}

/// What an extent is made of.
enum Output {
    /// Rows, which it encodes.
    Rows(Box<ArrowWriter<Hashing>>),
    /// Row groups of other extents, as they are.
    Groups(Box<SerializedFileWriter<Hashing>>),
}

impl Output {
    /// Ends the row group it may be in.
    fn into_groups(self) -> Result<SerializedFileWriter<Hashing>, ParquetError> {
        match self {
            Self::Rows(writer) => Ok(writer.into_serialized_writer()?.0),
            Self::Groups(writer) => Ok(*writer),
        }
    }
}

/// An extent being written. Dropped unfinished, it leaves no file behind.
pub(crate) struct ExtentWriter<'a> {
    output: Output,
    file: Unfinished,
    disk_full: Arc<AtomicBool>,
    /// Blobs that may hold the bytes of its bodies.
    blobs: &'a HashSet<Hash>,
    referenced: BTreeSet<Hash>,
    /// Of tables that have bodies.
    terms: Option<TermWriter>,
    record: Record,
}

/// What an extent holds and which blobs its rows name.
pub(crate) type Written = (Record, Vec<Hash>);

impl<'a> ExtentWriter<'a> {
    /// Starts the extent `id` of a table's day. Which blobs hold bytes of bodies, the rows do not tell:
    /// those of `blobs` do that have the hash of one.
    pub(crate) fn create(
        folder: &Path,
        blobs: &'a HashSet<Hash>,
        table: &Table,
        day: Day,
        id: u64,
    ) -> Result<Self, Error> {
        let record = Record {
            id,
            table: table.name.to_owned(),
            day,
            rows: 0,
            messages: 0,
            bytes: 0,
            time_min: i64::MAX,
            time_max: i64::MIN,
            sequences: None,
            sha256: String::new(),
            terms: None,
        };
        disk::create_folder(&day_folder(folder, table.name, day))?;
        let path = record.path(folder);
        let file = disk::create_file(&path)?;
        let unfinished = Unfinished { path, is_armed: true };
        let disk_full = Arc::new(AtomicBool::new(false));
        let sink = Hashing::new(file, Arc::clone(&disk_full));
        let schema = written_schema(table);
        let writer = ArrowWriter::try_new(sink, schema, Some(properties(table)))
            .map_err(|error| encode_failed(&unfinished.path, &disk_full, error))?;
        let has_bodies = table.columns.iter().any(|column| BODY_COLUMNS.contains(&column.name));
        let terms = has_bodies.then(TermWriter::new);
        let (file, referenced) = (unfinished, BTreeSet::new());
        let output = Output::Rows(Box::new(writer));
        Ok(Self { output, file, disk_full, blobs, referenced, terms, record })
    }

    /// The same extent, to be made of row groups instead of rows.
    pub(crate) fn of_groups(self) -> Result<Self, Error> {
        let failed = |error| encode_failed(&self.file.path, &self.disk_full, error);
        let output = Output::Groups(Box::new(self.output.into_groups().map_err(failed)?));
        Ok(Self { output, ..self })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let Output::Rows(writer) = &mut self.output else {
            return Err(Error::new(ErrorKind::Invalid, "an extent of row groups takes no rows"));
        };
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let counts = (batch.num_rows() as u64, parts::count_all(batch));
        self.record.count(counts, time_range(batch), sequence_range(batch));
        referenced_blobs(batch, |hash| self.blobs.contains(hash), &mut self.referenced);
        if let Some(terms) = &mut self.terms {
            terms.add(batch);
        }
        let written = writer.write(batch);
        written.map_err(|error| encode_failed(&self.file.path, &self.disk_full, error))
    }

    /// Takes over the row groups of an extent, all the blobs it names being among `blobs`. False, with
    /// nothing written, if they are laid out otherwise than this version does it.
    pub(crate) fn append(
        &mut self,
        file: &File,
        metadata: &ParquetMetaData,
        record: &Record,
    ) -> Result<bool, Error> {
        let failed = |error| encode_failed(&self.file.path, &self.disk_full, error);
        let Output::Groups(writer) = &mut self.output else {
            return Err(Error::new(ErrorKind::Invalid, "an extent of rows takes no row groups"));
        };
        if metadata.file_metadata().schema() != writer.schema_descr().root_schema() {
            return Ok(false);
        }
        let has_terms = match (&mut self.terms, &record.terms) {
            (Some(terms), Some(location)) => {
                terms.append(file, location).map_err(|error| failed(error.into()))?
            }
            (terms, location) => terms.is_none() && location.is_none(),
        };
        if !has_terms {
            return Ok(false);
        }
        for group in 0..metadata.num_row_groups() {
            append_group(writer, file, metadata, group).map_err(failed)?;
        }
        let (counts, times) = ((record.rows, record.messages), (record.time_min, record.time_max));
        self.record.count(counts, times, record.sequences);
        self.referenced.extend(self.blobs);
        Ok(true)
    }

    /// It has no rows so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.record.rows == 0
    }

    /// Makes the file whole and durable. It is still removed unless [`keep`](Sealed::keep) is called.
    pub(crate) fn finish(mut self) -> Result<Sealed, Error> {
        let path = &self.file.path;
        let failed = |error| encode_failed(path, &self.disk_full, error);
        let mut writer = self.output.into_groups().map_err(failed)?;
        if let Some(terms) = self.terms {
            let (bytes, location) = terms.finish(writer.bytes_written() as u64);
            writer.write_all(&bytes).map_err(|error| failed(error.into()))?;
            self.record.terms = Some(location);
        }
        let sink = writer.into_inner().map_err(failed)?;
        let (bytes, hash) = sink.finish().map_err(|error| Error::io("write", path, error))?;
        disk::sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        self.record.bytes = bytes;
        self.record.sha256 = hexadecimal(&hash);
        let referenced = self.referenced.into_iter().collect();
        Ok(Sealed { written: (self.record, referenced), file: self.file })
    }
}

/// Copies a row group, byte by byte, with what is known of its pages.
fn append_group(
    writer: &mut SerializedFileWriter<Hashing>,
    file: &File,
    metadata: &ParquetMetaData,
    group: usize,
) -> Result<(), ParquetError> {
    let mut copied = writer.next_row_group()?;
    let rows = metadata.row_group(group);
    for (place, column) in rows.columns().iter().enumerate() {
        let column_index = metadata.column_index().and_then(|all| all.get(group)?.get(place));
        let offset_index = metadata.offset_index().and_then(|all| all.get(group)?.get(place));
        let close = ColumnCloseResult {
            bytes_written: column.compressed_size().unsigned_abs(),
            rows_written: rows.num_rows().unsigned_abs(),
            metadata: column.clone(),
            bloom_filter: Sbbf::read_from_column_chunk(column, file)?,
            column_index: column_index.cloned(),
            offset_index: offset_index.cloned(),
        };
        copied.append_column(file, close)?;
    }
    copied.close()?;
    Ok(())
}

/// The blobs that rows name: texts stored as references, and raw bodies by their hash, if there is such
/// a blob.
pub(crate) fn referenced_blobs(
    batch: &RecordBatch,
    is_blob: impl Fn(&Hash) -> bool,
    found: &mut BTreeSet<Hash>,
) {
    let schema = batch.schema();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if *field.data_type() != DataType::Utf8 {
            continue;
        }
        let cells = column.as_string::<i32>();
        let is_hash = field.name().ends_with("Sha256");
        if field.name() == PARTS_COLUMN {
            let hashes = cells.iter().flatten().flat_map(parts::blobs);
            found.extend(hashes.filter_map(|hash| parse_hash(&hash)));
            continue;
        }
        for cell in cells.iter().flatten() {
            let hash =
                if is_hash { parse_hash(cell).filter(&is_blob) } else { referenced_blob(cell) };
            found.extend(hash);
        }
    }
}

fn referenced_blob(cell: &str) -> Option<Hash> {
    if !BodyText::is_ambiguous(cell) {
        return None;
    }
    match BodyText::from_stored(cell) {
        BodyText::Blob { sha256, .. } => parse_hash(&sha256),
        BodyText::Inline(_) => None,
    }
}

/// A whole extent that the manifest does not know yet.
pub(crate) struct Sealed {
    pub(crate) written: Written,
    file: Unfinished,
}

impl Sealed {
    /// The manifest knows the extent, or may know it: the file stays.
    pub(crate) fn keep(mut self) -> Record {
        self.file.is_armed = false;
        self.written.0
    }
}

/// A file that is removed unless it is disarmed.
struct Unfinished {
    path: PathBuf,
    is_armed: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.is_armed
            && let Err(error) = disk::remove_file(&self.path)
        {
            tracing::warn!(%error, "an unfinished extent was left behind");
        }
    }
}

/// Counts and hashes what passes to the file.
struct Hashing {
    file: BufWriter<File>,
    hasher: Sha256,
    bytes: u64,
    /// Tells that the disk was full: not all errors of the encoder name what caused them.
    disk_full: Arc<AtomicBool>,
}

impl Hashing {
    fn new(file: File, disk_full: Arc<AtomicBool>) -> Self {
        Self { file: BufWriter::new(file), hasher: Sha256::new(), bytes: 0, disk_full }
    }

    fn note(&self, error: &io::Error) {
        if is_full(error) {
            self.disk_full.store(true, Ordering::Relaxed);
        }
    }

    fn finish(self) -> io::Result<(u64, Hash)> {
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok((self.bytes, self.hasher.finalize().into()))
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes).inspect_err(|error| self.note(error))?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().inspect_err(|error| self.note(error))
    }
}

fn encode_failed(path: &Path, disk_full: &AtomicBool, error: ParquetError) -> Error {
    let was_full = disk_full.load(Ordering::Relaxed);
    let cause = io_cause(&error);
    if was_full || cause.is_some() {
        let full = was_full || cause.is_some_and(is_full);
        let kind = if full { ErrorKind::Full } else { ErrorKind::Io };
        let fix = if full { ": the disk is full, free some space" } else { "" };
        return Error::new(kind, format!("cannot write {}{fix}", path.display()))
            .with_source(error);
    }
    Error::new(ErrorKind::Io, format!("cannot encode {}", path.display())).with_source(error)
}
