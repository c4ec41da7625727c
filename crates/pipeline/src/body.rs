//! The bytes of one body, gathered piece by piece: hashed, counted, and kept in memory only while
//! they are few.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::Arc;

use event::{BlobWriter, BodyText};
use sha2::{Digest, Sha256};
use tempfile::TempPath;

use crate::Error;
use crate::budget::Share;
use crate::depot::{Depot, blob_failed, spill_failed};
use crate::utf8::Utf8Check;

/// Pieces in which a spilled body is read back.
const READ_BYTES: usize = 64 << 10;

/// A body on its way in.
pub(crate) struct Body {
    depot: Arc<Depot>,
    hash: Sha256,
    bytes: u64,
    /// None once nobody asks.
    utf8: Option<Utf8Check>,
    copy: Copy,
    /// The whole body, once it is too long for memory.
    blob: Option<Box<dyn BlobWriter>>,
}

/// What can still be read of a body.
enum Copy {
    Memory { data: Vec<u8>, share: Share },
    File(TempPath),
    Gone,
}

/// A body that has come to its end.
pub(crate) struct Gathered {
    depot: Arc<Depot>,
    /// SHA-256 in hexadecimal; empty without a body.
    pub(crate) sha256: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// It is UTF-8.
    pub(crate) is_text: bool,
    copy: Copy,
    blob: Option<BodyText>,
}

impl Body {
    pub(crate) fn new(depot: Arc<Depot>) -> Self {
        let copy = Copy::Memory { data: Vec::new(), share: depot.budget.share() };
        let utf8 = Some(Utf8Check::default());
        Self { depot, hash: Sha256::new(), bytes: 0, utf8, copy, blob: None }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.hash.update(piece);
        if let Some(utf8) = &mut self.utf8 {
            utf8.push(piece);
        }
        self.bytes += piece.len() as u64;
        let config = &self.depot.config;
        if let Copy::Memory { data, share } = &mut self.copy {
            let fits = self.bytes <= config.body_memory_bytes_max;
            if fits && share.try_grow(piece.len() as u64) {
                data.extend_from_slice(piece);
                return Ok(());
            }
            let path = self.depot.spill()?;
            append(&path, data)?;
            self.copy = Copy::File(path);
        }
        if self.blob.is_none()
            && self.bytes > config.body_memory_bytes_max
            && let Copy::File(path) = &self.copy
        {
            let mut blob = self.depot.blob_writer()?;
            read_pieces(path, |piece| blob.write_all(piece).map_err(blob_failed))?;
            self.blob = Some(blob);
        }
        self.write_through(piece)
    }

    /// Nobody needs the bytes, only their hash and number.
    pub(crate) fn forget_copy(&mut self) {
        self.utf8 = None;
        self.copy = Copy::Gone;
        self.blob = None;
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.bytes
    }

    /// The end of the body.
    pub(crate) fn finish(self) -> Result<Gathered, Error> {
        let blob = self.blob.map(|blob| blob.finish().map_err(blob_failed)).transpose()?;
        let sha256 = if self.bytes == 0 { String::new() } else { hexadecimal(self.hash) };
        let is_text = self.utf8.is_some_and(|utf8| utf8.is_text());
        Ok(Gathered {
            depot: self.depot,
            sha256,
            bytes: self.bytes,
            is_text,
            copy: self.copy,
            blob,
        })
    }

    fn write_through(&mut self, piece: &[u8]) -> Result<(), Error> {
        if let Some(blob) = &mut self.blob {
            blob.write_all(piece).map_err(blob_failed)?;
        }
        let is_searched = self.bytes <= self.depot.config.extract_bytes_max;
        match &self.copy {
            Copy::File(path) if is_searched || self.blob.is_none() => append(path, piece)?,
            // Too long to be searched, and the blob has all of it.
            Copy::File(_) => self.copy = Copy::Gone,
            Copy::Memory { .. } | Copy::Gone => {}
        }
        Ok(())
    }
}

impl Gathered {
    /// The bytes, if they are not too many to be searched.
    pub(crate) fn read(&self) -> Result<Option<Cow<'_, [u8]>>, Error> {
        if self.bytes > self.depot.config.extract_bytes_max {
            return Ok(None);
        }
        match &self.copy {
            Copy::Memory { data, .. } => Ok(Some(Cow::Borrowed(data))),
            Copy::File(path) => {
                std::fs::read(path).map(|data| Some(Cow::Owned(data))).map_err(spill_failed)
            }
            Copy::Gone => Ok(None),
        }
    }

    /// The text as it goes into a cell. Call it for text only, and last.
    pub(crate) fn text(&mut self) -> Result<BodyText, Error> {
        let is_short = self.bytes <= self.depot.config.inline_bytes_max;
        if !is_short || self.blob.is_some() {
            return self.keep();
        }
        let bytes = match std::mem::replace(&mut self.copy, Copy::Gone) {
            Copy::Memory { data, .. } => data,
            Copy::File(path) => std::fs::read(path).map_err(spill_failed)?,
            Copy::Gone => Vec::new(),
        };
        let text = String::from_utf8(bytes).map_err(|error| {
            spill_failed(io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
        })?;
        self.depot.text(text)
    }

    /// Keeps the bytes as a blob, whatever they are; answers its reference.
    pub(crate) fn keep(&mut self) -> Result<BodyText, Error> {
        if let Some(blob) = &self.blob {
            return Ok(blob.clone());
        }
        let blob = match &self.copy {
            Copy::Memory { data, .. } => self.depot.blob(data)?,
            Copy::File(path) => {
                let mut writer = self.depot.blob_writer()?;
                read_pieces(path, |piece| writer.write_all(piece).map_err(blob_failed))?;
                writer.finish().map_err(blob_failed)?
            }
            Copy::Gone => return Ok(BodyText::default()),
        };
        self.blob = Some(blob.clone());
        Ok(blob)
    }
}

/// SHA-256 as it stands in the tables.
pub(crate) fn hexadecimal(hash: Sha256) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(64);
    for byte in hash.finalize() {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(half)]));
        }
    }
    text
}

fn append(path: &TempPath, bytes: &[u8]) -> Result<(), Error> {
    let file = OpenOptions::new().append(true).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(spill_failed)
}

fn read_pieces(
    path: &TempPath,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut file = File::open(path).map_err(spill_failed)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer).map_err(spill_failed)? {
            0 => return Ok(()),
            read => take(&buffer[..read])?,
        }
    }
}
