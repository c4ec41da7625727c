//! A sink that keeps nothing, for what measures the pipeline alone.

use std::io::{self, Write};

use event::{Batch, BlobWriter, BodyText, Cursor, Sink, SinkError};

/// A sink that keeps nothing.
pub(crate) struct Void;

impl Sink for Void {
    fn durable_cursor(&self) -> Cursor {
        Cursor::default()
    }

    fn write(&self, batch: &Batch) -> Result<(), SinkError> {
        std::hint::black_box(batch);
        Ok(())
    }

    fn blob(&self) -> Result<Box<dyn BlobWriter>, SinkError> {
        Ok(Box::new(VoidBlob(0)))
    }
}

struct VoidBlob(u64);

impl Write for VoidBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for VoidBlob {
    fn finish(self: Box<Self>) -> Result<BodyText, SinkError> {
        Ok(BodyText::Blob { sha256: "0".repeat(64), bytes: self.0 })
    }
}
