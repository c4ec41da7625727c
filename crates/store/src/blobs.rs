//! Long texts and binary bodies: files named by the SHA-256 of their content.
//!
//! A file is a header of eight bytes (magic, version, encoding) and the content, compressed where the
//! first piece of it shrinks enough. It is written beside, flushed, and renamed, so it is whole or not there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use event::{BlobWriter, BodyText, SinkError};
use sha2::{Digest, Sha256};

use crate::{Error, ErrorKind, disk};

const MAGIC: &[u8; 6] = b"GHBLOB";
const VERSION: u8 = 1;
const ENCODING_PLAIN: u8 = 0;
const ENCODING_ZSTD: u8 = 1;
const HEADER_BYTES: usize = 8;
/// Bytes looked at to decide whether compression pays.
const SAMPLE_BYTES: usize = 64 << 10;
const ZSTD_LEVEL: i32 = 3;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// The folder of blobs.
#[derive(Debug)]
pub(crate) struct Blobs {
    folder: PathBuf,
    next_temporary: AtomicU64,
    /// Held while a blob appears and while one is judged and removed, so that one written again
    /// just now is never taken for old.
    names: Mutex<Names>,
}

/// Blobs that no row on disk names yet.
#[derive(Debug, Default)]
struct Names {
    /// How many were made so far.
    made: u64,
    /// Of the first so many, the rows are in memory or on disk, if there are any. A row of the next
    /// batch may name the others.
    named: u64,
    /// Those that rows which are not on disk yet may name, by their number.
    recent: HashMap<Hash, u64>,
}

/// A blob as the sweep sees it.
pub(crate) struct Found {
    pub(crate) hash: Hash,
    pub(crate) bytes: u64,
    pub(crate) written_at: SystemTime,
}

impl Blobs {
    /// Opens the folder and removes what unfinished writers left.
    pub(crate) fn open(folder: PathBuf) -> Result<Arc<Self>, Error> {
        let temporary = folder.join("tmp");
        disk::create_folder(&temporary)?;
        for entry in disk::entries(&temporary)? {
            disk::remove_file(&entry.path())?;
        }
        Ok(Arc::new(Self { folder, next_temporary: AtomicU64::new(0), names: Mutex::default() }))
    }

    pub(crate) fn writer(self: &Arc<Self>) -> Result<Writer, Error> {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join("tmp").join(number.to_string());
        let file = disk::create_file(&path)?;
        Ok(Writer {
            blobs: self.clone(),
            temporary: Temporary(path),
            hasher: Sha256::new(),
            bytes: 0,
            state: State::Sampling { file, sample: Vec::new() },
        })
    }

    /// Opens a blob for reading; the reader fails at the end if the content is not what the name says.
    pub(crate) fn reader(&self, sha256: &str) -> Result<BlobReader, Error> {
        let hash = parse_hash(sha256).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "a blob is named by 64 hexadecimal digits")
        })?;
        let path = self.path(&hash);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = format!(
                    "blob {sha256} is missing: ask again, it may have been erased just now; if it is \
                     still named, restore it or rebuild the tables"
                );
                return Err(Error::new(ErrorKind::Corrupt, text).with_source(error));
            }
            Err(error) => return Err(Error::io("open", &path, error)),
        };
        BlobReader::new(file, hash).map_err(|error| damaged(sha256, error))
    }

    /// Bytes a blob takes on disk; 0 if it is not there.
    pub(crate) fn bytes_on_disk(&self, hash: &Hash) -> u64 {
        self.path(hash).metadata().map_or(0, |metadata| metadata.len())
    }

    /// Shows every blob to `visit`.
    pub(crate) fn walk(&self, mut visit: impl FnMut(Found)) -> Result<(), Error> {
        for folder in disk::entries(&self.folder)? {
            let prefix = folder.file_name().to_string_lossy().into_owned();
            if prefix.len() != 2 {
                continue;
            }
            for entry in disk::entries(&folder.path())? {
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                let Some(hash) = parse_hash(&name) else { continue };
                // Removed meanwhile: as if it had not been listed.
                let Ok(metadata) = entry.metadata() else { continue };
                let written_at = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                visit(Found { hash, bytes: metadata.len(), written_at });
            }
        }
        Ok(())
    }

    /// Removes a blob unless it was written after `before`; tells whether it did.
    pub(crate) fn remove_if_older(&self, hash: &Hash, before: SystemTime) -> Result<bool, Error> {
        let path = self.path(hash);
        let _names = self.lock_names();
        let Ok(written_at) = path.metadata().and_then(|metadata| metadata.modified()) else {
            return Ok(false);
        };
        if written_at >= before {
            return Ok(false);
        }
        disk::remove_file(&path).map(|()| true)
    }

    /// How many blobs were made so far.
    pub(crate) fn made(&self) -> u64 {
        self.lock_names().made
    }

    /// Of the first blobs made, this many, the rows are in memory, if there are any.
    pub(crate) fn are_named(&self, made: u64) {
        let mut names = self.lock_names();
        names.named = names.named.max(made);
    }

    /// How many of the first blobs made have their rows in memory or on disk.
    pub(crate) fn named(&self) -> u64 {
        self.lock_names().named
    }

    /// Those that rows in memory may name.
    pub(crate) fn recent(&self) -> HashSet<Hash> {
        self.lock_names().recent.keys().copied().collect()
    }

    /// Of the first blobs made, this many, the rows are on disk, if there are any.
    pub(crate) fn are_sealed(&self, made: u64) {
        self.lock_names().recent.retain(|_, number| *number > made);
    }

    /// Removes those of some blobs that no row names, however young they are; answers how many. No blob
    /// appears while `leave_named` leaves out those that rows name, and those made for the next batch stay.
    pub(crate) fn remove_unnamed(
        &self,
        mut blobs: HashSet<Hash>,
        leave_named: impl FnOnce(&mut HashSet<Hash>) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let names = self.lock_names();
        // First: a row that names one meanwhile is in memory before the blob counts as named.
        let is_to_come = |number: &u64| *number > names.named;
        blobs.retain(|hash| !names.recent.get(hash).is_some_and(is_to_come));
        leave_named(&mut blobs)?;
        let mut folders = BTreeSet::new();
        for hash in &blobs {
            let path = self.path(hash);
            disk::remove_file(&path)?;
            folders.extend(path.parent().map(Path::to_owned));
        }
        drop(names);
        folders.iter().try_for_each(|folder| disk::sync_folder(folder))?;
        Ok(blobs.len() as u64)
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        let name = hexadecimal(hash);
        self.folder.join(&name[..2]).join(&name[2..])
    }

    fn lock_names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn damaged(sha256: &str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ErrorKind::Corrupt,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("cannot read blob {sha256}: restore it, or rebuild the tables"))
        .with_source(error)
}

/// Reads 64 hexadecimal digits.
pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

/// A hash in lower-case hexadecimal.
pub(crate) fn hexadecimal(hash: &Hash) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let pair = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    hash.iter().flat_map(pair).map(char::from).collect()
}

/// A file that is removed unless it was renamed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = disk::remove_file(&self.0) {
            tracing::warn!(%error, "an unfinished blob was left behind");
        }
    }
}

/// Writes one blob; memory does not grow with its size.
pub(crate) struct Writer {
    blobs: Arc<Blobs>,
    temporary: Temporary,
    hasher: Sha256,
    bytes: u64,
    state: State,
}

enum State {
    Sampling {
        file: File,
        sample: Vec<u8>,
    },
    Plain(BufWriter<File>),
    Zstd(Box<zstd::Encoder<'static, BufWriter<File>>>),
    /// A write failed: nothing more is taken.
    Failed,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.state {
            State::Sampling { sample, .. } => {
                let room = SAMPLE_BYTES - sample.len();
                let taken = room.min(bytes.len());
                sample.extend_from_slice(&bytes[..taken]);
                taken
            }
            State::Plain(file) => file.write(bytes)?,
            State::Zstd(encoder) => encoder.write(bytes)?,
            State::Failed => return Err(failed_before()),
        };
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        if matches!(&self.state, State::Sampling { sample, .. } if sample.len() == SAMPLE_BYTES) {
            self.choose_encoding()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed_before() -> io::Error {
    io::Error::other("an earlier write of this blob failed")
}

impl Writer {
    /// Ends the sampling: writes the header and the sample in the encoding that suits it.
    fn choose_encoding(&mut self) -> io::Result<()> {
        if !matches!(self.state, State::Sampling { .. }) {
            return Ok(());
        }
        let State::Sampling { file, sample } = std::mem::replace(&mut self.state, State::Failed)
        else {
            return Err(failed_before());
        };
        let compressed = zstd::bulk::compress(&sample, ZSTD_LEVEL)?;
        let pays = compressed.len() + compressed.len() / 8 < sample.len();
        let mut file = BufWriter::with_capacity(SAMPLE_BYTES, file);
        file.write_all(MAGIC)?;
        file.write_all(&[VERSION, if pays { ENCODING_ZSTD } else { ENCODING_PLAIN }])?;
        self.state = if pays {
            let mut encoder = zstd::Encoder::new(file, ZSTD_LEVEL)?;
            encoder.write_all(&sample)?;
            State::Zstd(Box::new(encoder))
        } else {
            file.write_all(&sample)?;
            State::Plain(file)
        };
        Ok(())
    }

    /// Makes the file whole and durable under its temporary name.
    fn seal(&mut self) -> io::Result<()> {
        self.choose_encoding()?;
        let file = match std::mem::replace(&mut self.state, State::Failed) {
            State::Plain(file) => file,
            State::Zstd(encoder) => encoder.finish()?,
            State::Sampling { .. } | State::Failed => {
                return Err(failed_before());
            }
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }

    /// Makes the blob durable. One of the same content is replaced, which heals it if it was damaged.
    pub(crate) fn finish(mut self) -> Result<BodyText, Error> {
        self.seal().map_err(|error| Error::io("write", &self.temporary.0, error))?;
        let hash: Hash = self.hasher.finalize_reset().into();
        let path = self.blobs.path(&hash);
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        disk::create_folder(&folder)?;
        {
            let mut names = self.blobs.lock_names();
            std::fs::rename(&self.temporary.0, &path)
                .map_err(|error| Error::io("name the blob", &path, error))?;
            names.made += 1;
            let number = names.made;
            names.recent.insert(hash, number);
        }
        disk::sync_folder(&folder)?;
        Ok(BodyText::Blob { sha256: hexadecimal(&hash), bytes: self.bytes })
    }
}

impl BlobWriter for Writer {
    fn finish(self: Box<Self>) -> Result<BodyText, SinkError> {
        Ok(Writer::finish(*self)?)
    }
}

/// Reads a blob from start to end. The last read fails if the content does not match its hash.
pub struct BlobReader {
    content: Content,
    hasher: Sha256,
    hash: Hash,
    is_verified: bool,
}

enum Content {
    Plain(BufReader<File>),
    Zstd(Box<zstd::Decoder<'static, BufReader<File>>>),
}

impl BlobReader {
    fn new(mut file: File, hash: Hash) -> io::Result<Self> {
        let wrong = |text: &str| Err(io::Error::new(io::ErrorKind::InvalidData, text));
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)?;
        if header[..6] != MAGIC[..] {
            return wrong("the file is no blob");
        }
        if header[6] != VERSION {
            return wrong("the blob was written by a newer version");
        }
        let content = match header[7] {
            ENCODING_PLAIN => Content::Plain(BufReader::new(file)),
            ENCODING_ZSTD => Content::Zstd(Box::new(zstd::Decoder::new(file)?)),
            _ => return wrong("the blob has an unknown encoding"),
        };
        Ok(Self { content, hasher: Sha256::new(), hash, is_verified: false })
    }

    fn verify(&mut self) -> io::Result<()> {
        if self.is_verified {
            return Ok(());
        }
        let found: Hash = self.hasher.finalize_reset().into();
        if found != self.hash {
            let text = "the content of the blob does not match its hash";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.is_verified = true;
        Ok(())
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.content {
            Content::Plain(file) => file.read(buffer),
            Content::Zstd(decoder) => decoder.read(buffer).map_err(|error| match error.kind() {
                io::ErrorKind::Other => io::Error::new(io::ErrorKind::InvalidData, error),
                _ => error,
            }),
        }?;
        if read == 0 {
            self.verify()?;
        }
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// The text of a blob, or its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// There was more than the limit allowed.
    pub is_truncated: bool,
}

impl Blobs {
    /// Reads a blob as text, at most `limit` bytes of it. The hash is checked when all of it is read.
    pub(crate) fn read_text(&self, sha256: &str, limit: usize) -> Result<Text, Error> {
        let mut reader = self.reader(sha256)?;
        let mut bytes = Vec::new();
        let read = (&mut reader).take(limit as u64).read_to_end(&mut bytes);
        read.map_err(|error| damaged(sha256, error))?;
        let more = reader.read(&mut [0; 1]).map_err(|error| damaged(sha256, error))?;
        let is_truncated = more > 0;
        if is_truncated && let Err(error) = std::str::from_utf8(&bytes) {
            // A character that the limit cut in two is left out; other bad bytes are kept as such.
            if error.error_len().is_none() {
                bytes.truncate(error.valid_up_to());
            }
        }
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Ok(Text { text, is_truncated })
    }
}
