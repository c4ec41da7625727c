//! The head file: how far the ledger is known to reach, at both ends.
//!
//! The chain alone cannot show that its end, or its beginning, was cut off; this can. Two slots are
//! written in turn, so that a torn write leaves the other one.

use std::path::{Path, PathBuf};

use event::Timestamp;

use crate::Error;
use crate::disk::{Disk, DiskFile, Source};
use crate::format::{Defect, Fields, Position};

const NAME: &str = "head";
const MAGIC: [u8; 8] = *b"GHHEAD\0\x01";
const SLOT_BYTES: usize = 128;
const CRC_AT: usize = SLOT_BYTES - 4;
/// Slots lie on pages of their own.
const SLOT_OFFSETS: [u64; 2] = [0, 4096];
const FILE_BYTES: usize = 4096 + SLOT_BYTES;

/// What the head file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Identity of the ledger.
    pub(crate) ledger: [u8; 16],
    /// Rises with every write.
    pub(crate) generation: u64,
    /// First sequence that has not been released; segments before it may be gone.
    pub(crate) first_sequence: u64,
    /// A durable end of the chain: the ledger reaches at least so far.
    pub(crate) durable: Position,
    /// The ledger was closed in order, and ends exactly there.
    pub(crate) clean: bool,
    pub(crate) written_at: Timestamp,
}

impl Head {
    fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(&self.ledger);
        bytes[24..32].copy_from_slice(&self.generation.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.durable.sequence.to_le_bytes());
        bytes[48..80].copy_from_slice(&self.durable.digest);
        bytes[80..88].copy_from_slice(&self.written_at.unix_micros().to_le_bytes());
        bytes[88] = u8::from(self.clean);
        let sum = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads a slot; none if nothing was ever written there.
    fn decode(bytes: &[u8]) -> Result<Option<Self>, Defect> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let mut fields = Fields(bytes);
        if fields.take()? != MAGIC {
            return Err(Defect::Field("first word of the head"));
        }
        if Fields(&bytes[CRC_AT..]).u32()? != crc32fast::hash(&bytes[..CRC_AT]) {
            return Err(Defect::Sum("head"));
        }
        Ok(Some(Self {
            ledger: fields.take()?,
            generation: fields.u64()?,
            first_sequence: fields.u64()?,
            durable: Position { sequence: fields.u64()?, digest: fields.take()? },
            written_at: Timestamp::from_unix_micros(fields.i64()?),
            clean: fields.byte()? == 1,
        }))
    }
}

/// What reading a head file found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots {
    /// The newest good slot.
    pub(crate) newest: Option<Head>,
    /// Slots that are damaged, by offset.
    pub(crate) damaged: Vec<(u64, Defect)>,
}

/// Where the head file of a folder lies.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Reads both slots.
pub(crate) fn read<S: Source + ?Sized>(source: &S) -> std::io::Result<Slots> {
    let mut slots = Slots::default();
    for offset in SLOT_OFFSETS {
        let mut bytes = [0; SLOT_BYTES];
        let count = source.read_full_at(&mut bytes, offset)?;
        let slot = if count < SLOT_BYTES { Err(Defect::Short) } else { Head::decode(&bytes) };
        match slot {
            Ok(None) => slots.damaged.push((offset, Defect::Absent)),
            Ok(Some(head)) => {
                if slots.newest.is_none_or(|newest| newest.generation < head.generation) {
                    slots.newest = Some(head);
                }
            }
            Err(defect) => slots.damaged.push((offset, defect)),
        }
    }
    Ok(slots)
}

/// The head file, open for writing.
#[derive(Debug)]
pub(crate) struct HeadFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    head: Head,
}

impl HeadFile {
    /// Makes the head file of a new ledger, durable with its name. What a crash had left half-made
    /// is replaced.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, head: Head) -> Result<Self, Error> {
        let path = path(dir);
        let failed = |error| Error::io("create", &path, error);
        if path.exists() {
            disk.remove(&path).map_err(failed)?;
        }
        let file = disk.create(&path).map_err(failed)?;
        file.write_all_at(&[0; FILE_BYTES], 0).map_err(failed)?;
        let mut made = Self { file, path: path.clone(), head };
        made.write_both(|_| {})?;
        disk.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))?;
        Ok(made)
    }

    /// Opens the head file that `slots` were read from.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, head: Head) -> Result<Self, Error> {
        let path = path(dir);
        let file = disk.open(&path).map_err(|error| Error::io("open", &path, error))?;
        Ok(Self { file, path, head })
    }

    /// What it says now.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// Changes what it says, durably. A failure leaves the previous head in force.
    pub(crate) fn write(&mut self, change: impl FnOnce(&mut Head)) -> Result<(), Error> {
        let mut head = self.head;
        change(&mut head);
        head.generation += 1;
        let offset = SLOT_OFFSETS[(head.generation % 2) as usize];
        let written = self.file.write_all_at(&head.encode(), offset);
        written
            .and_then(|()| self.file.sync())
            .map_err(|error| Error::io("write", &self.path, error))?;
        self.head = head;
        Ok(())
    }

    /// As [`HeadFile::write`], into both slots, so that neither is left damaged.
    pub(crate) fn write_both(&mut self, change: impl FnOnce(&mut Head)) -> Result<(), Error> {
        self.write(change)?;
        self.write(|_| {})
    }
}
