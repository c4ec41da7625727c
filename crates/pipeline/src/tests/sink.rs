//! A sink in memory that can refuse, and forget what was not durable.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use event::{Batch, BlobWriter, BodyText, Cursor, Interaction, Message, Sink, SinkError};
use sha2::{Digest, Sha256};

use crate::body::hexadecimal;

#[derive(Clone, Default)]
pub(crate) struct MemorySink {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) batches: Vec<Batch>,
    pub(crate) blobs: HashMap<String, Vec<u8>>,
    durable: Cursor,
    /// Writes of batches and blobs to refuse.
    pub(crate) refusals: u32,
    pub(crate) blob_refusals: u32,
}

impl MemorySink {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the sink")
    }

    /// What was written so far survives a crash.
    pub(crate) fn make_durable(&self) {
        let mut state = self.state();
        if let Some(batch) = state.batches.last() {
            state.durable = batch.cursor;
        }
    }

    /// Forgets what was not durable.
    pub(crate) fn crash(&self) {
        let mut state = self.state();
        let durable = state.durable;
        state.batches.retain(|batch| batch.cursor.applied <= durable.applied);
    }

    pub(crate) fn interactions(&self) -> Vec<Interaction> {
        self.state().batches.iter().flat_map(|batch| batch.interactions.clone()).collect()
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.state().batches.iter().flat_map(|batch| batch.messages.clone()).collect()
    }

    /// The bytes that a cell stands for.
    pub(crate) fn bytes(&self, text: &BodyText) -> Vec<u8> {
        match text {
            BodyText::Inline(text) => text.clone().into_bytes(),
            BodyText::Blob { sha256, bytes } => {
                let blob = self.state().blobs.get(sha256).cloned().expect("the blob is there");
                assert_eq!(blob.len() as u64, *bytes);
                blob
            }
        }
    }

    pub(crate) fn text(&self, text: &BodyText) -> String {
        String::from_utf8(self.bytes(text)).expect("a cell is text")
    }
}

impl Sink for MemorySink {
    fn durable_cursor(&self) -> Cursor {
        self.state().durable
    }

    fn write(&self, batch: &Batch) -> Result<(), SinkError> {
        let mut state = self.state();
        if state.refusals > 0 {
            state.refusals -= 1;
            return Err("the disk is full".into());
        }
        state.batches.push(batch.clone());
        Ok(())
    }

    fn blob(&self) -> Result<Box<dyn BlobWriter>, SinkError> {
        let mut state = self.state();
        if state.blob_refusals > 0 {
            state.blob_refusals -= 1;
            return Err("no blob today".into());
        }
        Ok(Box::new(MemoryBlob { sink: self.clone(), bytes: Vec::new() }))
    }
}

struct MemoryBlob {
    sink: MemorySink,
    bytes: Vec<u8>,
}

impl Write for MemoryBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for MemoryBlob {
    fn finish(self: Box<Self>) -> Result<BodyText, SinkError> {
        let sha256 = hexadecimal(Sha256::new_with_prefix(&self.bytes));
        let bytes = self.bytes.len() as u64;
        self.sink.state().blobs.insert(sha256.clone(), self.bytes);
        Ok(BodyText::Blob { sha256, bytes })
    }
}
