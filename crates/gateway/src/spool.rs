//! A request body held until it is known where it goes: little of it in memory, the rest in a file
//! without a name, so that nothing is left behind.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// Bytes read from the file at once.
pub(crate) const PIECE_BYTES: usize = 16 << 10;

/// Takes a body in.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: Arc<PathBuf>,
    memory_max: usize,
    held: Held,
    file: Option<Arc<File>>,
    bytes: u64,
}

/// The part in memory. A body of one piece is not copied.
#[derive(Debug)]
enum Held {
    One(Bytes),
    Many(BytesMut),
}

/// A body that was taken in, or the first part of one.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    /// All of it.
    Memory(Bytes),
    /// A file and its length.
    File(Arc<File>, u64),
}

impl Spool {
    pub(crate) fn new(dir: Arc<PathBuf>, memory_max: u32) -> Self {
        let held = Held::One(Bytes::new());
        Self { dir, memory_max: memory_max as usize, held, file: None, bytes: 0 }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) async fn push(&mut self, piece: Bytes) -> io::Result<()> {
        self.bytes += piece.len() as u64;
        match &mut self.held {
            Held::One(held) if held.is_empty() => self.held = Held::One(piece),
            Held::One(held) => {
                let mut many = BytesMut::with_capacity(held.len() + piece.len());
                many.extend_from_slice(held);
                many.extend_from_slice(&piece);
                self.held = Held::Many(many);
            }
            Held::Many(many) => many.extend_from_slice(&piece),
        }
        if self.held.len() > self.memory_max { self.spill().await } else { Ok(()) }
    }

    pub(crate) async fn finish(mut self) -> io::Result<Stored> {
        if self.file.is_none() {
            return Ok(Stored::Memory(self.held.take()));
        }
        self.spill().await?;
        let file = self.file.take().expect("it was there a moment ago");
        Ok(Stored::File(file, self.bytes))
    }

    /// Moves what is in memory to the file, off the async threads.
    async fn spill(&mut self) -> io::Result<()> {
        let data = self.held.take();
        let file = self.file.take();
        let dir = self.dir.clone();
        let file = tokio::task::spawn_blocking(move || append(file, &dir, &data))
            .await
            .map_err(io::Error::other)??;
        self.file = Some(file);
        Ok(())
    }
}

fn append(file: Option<Arc<File>>, dir: &Path, data: &[u8]) -> io::Result<Arc<File>> {
    let file = match file {
        Some(file) => file,
        None => Arc::new(tempfile::tempfile_in(dir)?),
    };
    (&*file).write_all(data)?;
    Ok(file)
}

impl Held {
    fn len(&self) -> usize {
        match self {
            Self::One(held) => held.len(),
            Self::Many(held) => held.len(),
        }
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(self, Self::One(Bytes::new())) {
            Self::One(held) => held,
            Self::Many(held) => held.freeze(),
        }
    }
}

impl Stored {
    /// All of it, if it is in memory.
    pub(crate) fn memory(&self) -> Option<&Bytes> {
        match self {
            Self::Memory(data) => Some(data),
            Self::File(..) => None,
        }
    }

    /// How much it is.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Memory(data) => data.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    /// All of it. Blocks, and is only for what is known to be short enough.
    pub(crate) fn read_whole(&self) -> io::Result<Bytes> {
        match self {
            Self::Memory(data) => Ok(data.clone()),
            Self::File(file, length) => {
                let mut data = vec![0; usize::try_from(*length).map_err(io::Error::other)?];
                file.read_exact_at(&mut data, 0)?;
                Ok(data.into())
            }
        }
    }

    /// The first so many bytes. Blocks.
    pub(crate) fn beginning(&self, bytes_max: usize) -> io::Result<Bytes> {
        match self {
            Self::Memory(data) => Ok(data.slice(..data.len().min(bytes_max))),
            Self::File(file, length) => {
                let length = usize::try_from(*length).unwrap_or(usize::MAX).min(bytes_max);
                let mut data = vec![0; length];
                file.read_exact_at(&mut data, 0)?;
                Ok(data.into())
            }
        }
    }

    /// The piece at this offset; empty at the end.
    pub(crate) async fn piece(&self, offset: u64) -> io::Result<Bytes> {
        match self {
            Self::Memory(data) => {
                let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
                Ok(data.slice(offset..))
            }
            Self::File(file, length) => {
                let file = file.clone();
                let left = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
                let wanted = left.min(PIECE_BYTES);
                let read = move || {
                    let mut data = vec![0; wanted];
                    file.read_exact_at(&mut data, offset)?;
                    Ok(Bytes::from(data))
                };
                tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_body_survives_the_file_and_memory_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(Arc::new(dir.path().to_owned()), 1000);
        let mut want = Vec::new();
        for round in 0..300u32 {
            let piece = vec![(round % 251) as u8; 377];
            want.extend_from_slice(&piece);
            spool.push(piece.into()).await.unwrap();
            assert!(spool.held.len() <= 1000);
        }
        let stored = spool.finish().await.unwrap();
        assert!(stored.memory().is_none());
        let mut got = Vec::new();
        loop {
            let piece = stored.piece(got.len() as u64).await.unwrap();
            if piece.is_empty() {
                break;
            }
            got.extend_from_slice(&piece);
        }
        assert_eq!(got, want);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing has a name");
    }

    #[tokio::test]
    async fn a_body_of_one_piece_is_not_copied() {
        let mut spool = Spool::new(Arc::new(PathBuf::from("/nonexistent")), 1000);
        let piece = Bytes::from(vec![7; 500]);
        spool.push(piece.clone()).await.unwrap();
        let stored = spool.finish().await.unwrap();
        assert_eq!(stored.memory().map(|data| data.as_ptr()), Some(piece.as_ptr()));
    }
}
