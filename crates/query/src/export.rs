//! A result as a file, made batch by batch: nothing of it is held but a few pieces.

mod columns;
mod csv;
mod ndjson;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::ipc::writer::FileWriter as ArrowFile;
use async_trait::async_trait;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures_util::StreamExt;
use kql::{Column, FileFormat, Options, Pieces, QueryError, QueryErrorKind};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::error::{IntoOutcome, Outcome};
use crate::task::{AbortOnDrop, broken, timed_out};

/// Pieces that wait for a slow reader.
const PIECES_MAX: usize = 2;
/// Bytes that make a piece worth sending.
const PIECE_BYTES: usize = 64 << 10;
/// Rows and encoded bytes of a row group of Parquet: what its writer holds in memory.
const ROW_GROUP_ROWS: usize = 64 << 10;
const ROW_GROUP_BYTES: usize = 16 << 20;

/// A result that has been planned and not yet been read.
pub(crate) struct Begun {
    pub(crate) rows: SendableRecordBatchStream,
    pub(crate) writer: FileWriter,
    /// Held until the file is whole.
    pub(crate) turn: OwnedSemaphorePermit,
}

impl Begun {
    /// Makes the file on `runtime`, no faster than it is taken.
    pub(crate) fn run(self, runtime: &Runtime, options: &Options) -> RunningExport {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let (timeout, bytes_max) = (options.timeout, options.bytes_max);
        let task = runtime.spawn(async move {
            let made = tokio::time::timeout(timeout, self.make(&sender, bytes_max)).await;
            made.unwrap_or_else(|_| Err(timed_out(timeout)))
        });
        RunningExport { pieces, task: Some(AbortOnDrop(task)) }
    }

    async fn make(mut self, sender: &mpsc::Sender<Vec<u8>>, bytes_max: u64) -> Outcome<()> {
        let mut sent = 0;
        while let Some(batch) = self.rows.next().await {
            self.writer.write(&batch.outcome()?)?;
            send(sender, self.writer.take(PIECE_BYTES), &mut sent, bytes_max).await?;
        }
        send(sender, self.writer.finish()?, &mut sent, bytes_max).await?;
        drop(self.turn);
        Ok(())
    }
}

async fn send(
    sender: &mpsc::Sender<Vec<u8>>,
    piece: Vec<u8>,
    sent: &mut u64,
    bytes_max: u64,
) -> Outcome<()> {
    *sent += piece.len() as u64;
    if *sent > bytes_max {
        let text = format!("the file has more than {bytes_max} bytes: ask for less at once");
        return Err(QueryError::new(QueryErrorKind::LimitExceeded, text));
    }
    if piece.is_empty() {
        return Ok(());
    }
    let gone = |_| QueryError::new(QueryErrorKind::Cancelled, "nobody takes the file any more");
    sender.send(piece).await.map_err(gone)
}

/// The pieces as they are made, and the task that makes them.
pub(crate) struct RunningExport {
    pieces: mpsc::Receiver<Vec<u8>>,
    task: Option<AbortOnDrop<Outcome<()>>>,
}

#[async_trait]
impl Pieces for RunningExport {
    async fn next(&mut self) -> Option<Result<Vec<u8>, QueryError>> {
        if let Some(piece) = self.pieces.recv().await {
            return Some(Ok(piece));
        }
        // The file is whole only if its maker says so.
        let mut task = self.task.take()?;
        match (&mut task.0).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error)),
            Err(failed) => Some(Err(broken(&failed))),
        }
    }
}

/// Writes batches as a file of some format.
pub(crate) struct FileWriter {
    columns: Vec<Column>,
    made: Made,
    form: Form,
}

enum Form {
    Csv,
    Ndjson,
    Parquet(Box<ArrowWriter<Made>>),
    Arrow(Box<ArrowFile<Made>>),
}

impl FileWriter {
    /// An empty file with these columns.
    pub(crate) fn new(format: FileFormat, columns: &[Column]) -> Outcome<Self> {
        let made = Made::default();
        let schema = columns::schema(columns);
        let form = match format {
            FileFormat::Csv => Form::Csv,
            FileFormat::Ndjson => Form::Ndjson,
            FileFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_created_by(concat!("gatehouse ", env!("CARGO_PKG_VERSION")).into())
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
                    .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
                    .build();
                let writer = ArrowWriter::try_new(made.clone(), schema, Some(properties));
                Form::Parquet(Box::new(writer.map_err(internal)?))
            }
            FileFormat::Arrow => {
                let writer = ArrowFile::try_new(made.clone(), &schema).map_err(internal)?;
                Form::Arrow(Box::new(writer))
            }
        };
        let mut file = Self { columns: columns.to_vec(), made, form };
        if format == FileFormat::Csv {
            let names: Vec<_> = columns.iter().map(|column| csv::guarded(&column.name)).collect();
            csv::write(&mut file.made, std::iter::once(names)).map_err(internal)?;
        }
        Ok(file)
    }

    fn write(&mut self, batch: &RecordBatch) -> Outcome<()> {
        match &mut self.form {
            Form::Csv => csv::write_batch(&mut self.made, batch, &self.columns),
            Form::Ndjson => ndjson::write_batch(&mut self.made, batch, &self.columns),
            Form::Parquet(writer) => {
                writer.write(&columns::batch(batch, &self.columns)?).map_err(internal)
            }
            Form::Arrow(writer) => {
                writer.write(&columns::batch(batch, &self.columns)?).map_err(internal)
            }
        }
    }

    /// What has been made and not been taken, if it is so many bytes.
    fn take(&self, least: usize) -> Vec<u8> {
        self.made.take(least)
    }

    /// Ends the file; its last bytes.
    fn finish(&mut self) -> Outcome<Vec<u8>> {
        match &mut self.form {
            Form::Csv | Form::Ndjson => {}
            Form::Parquet(writer) => drop(writer.finish().map_err(internal)?),
            Form::Arrow(writer) => writer.finish().map_err(internal)?,
        }
        Ok(self.made.take(0))
    }
}

/// Bytes that a writer has made and nobody has taken.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<Vec<u8>>>);

impl Made {
    fn take(&self, least: usize) -> Vec<u8> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() < least { Vec::new() } else { std::mem::take(&mut *bytes) }
    }
}

impl Write for Made {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn internal(error: impl std::fmt::Display) -> QueryError {
    QueryError::new(QueryErrorKind::Internal, format!("the file cannot be written: {error}"))
}
