//! A file that is written past the system's cache. A cached write is copied, marked, written back and then waited
//! for; this one goes to the disk as it is, for half the processor time, and takes no memory of the system's.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;

use crate::disk::{BLOCK_BYTES, DiskFile, Source};
use crate::locks::LOCK;

#[cfg(target_os = "linux")]
const FLAGS: OFlags = OFlags::DIRECT.union(OFlags::DSYNC);
#[cfg(not(target_os = "linux"))]
const FLAGS: OFlags = OFlags::DSYNC;

/// A staging buffer larger than this is not kept.
const KEPT_BYTES: usize = 4 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct DirectFile {
    /// None where the file system cannot.
    direct: Option<File>,
    plain: File,
    /// The file system could not after all.
    is_plain: AtomicBool,
    staging: Mutex<Staging>,
}

/// Where writes are put together: the disk takes whole blocks from addresses that are multiples of one.
#[derive(Debug, Default)]
struct Staging {
    buffer: Vec<u8>,
    /// The block that was written last, and its offset: the next write begins in it.
    last: Vec<u8>,
    last_at: u64,
}

impl DirectFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let plain = options.open(path)?;
        let direct = options.custom_flags(FLAGS.bits().cast_signed()).open(path).ok();
        let is_plain = AtomicBool::new(direct.is_none());
        Ok(Self { direct, plain, is_plain, staging: Mutex::default() })
    }

    /// Writes whole blocks from an aligned address; false if the file system cannot.
    fn write_blocks(&self, blocks: &[u8], offset: u64) -> io::Result<bool> {
        let Some(direct) = self.direct.as_ref().filter(|_| !self.is_plain.load(Ordering::Relaxed))
        else {
            return Ok(false);
        };
        match FileExt::write_all_at(direct, blocks, offset) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.is_plain.store(true, Ordering::Relaxed);
                Ok(false)
            }
            written => written.map(|()| true),
        }
    }
}

impl Staging {
    /// `bytes` with what stands before them in their first block, and zeros to the end of the last; and where
    /// the first block begins.
    fn stage(&mut self, file: &File, bytes: &[u8], offset: u64) -> io::Result<(&[u8], u64)> {
        let within = (offset % BLOCK_BYTES as u64) as usize;
        let first_at = offset - within as u64;
        if within > 0 && (self.last_at != first_at || self.last.is_empty()) {
            self.last.resize(BLOCK_BYTES, 0);
            file.read_exact_at(&mut self.last[..within], first_at)?;
        }
        let length = within + bytes.len();
        let whole = length.next_multiple_of(BLOCK_BYTES);
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        self.buffer.resize(whole + BLOCK_BYTES, 0);
        let start = self.buffer.as_ptr().align_offset(BLOCK_BYTES);
        let blocks = &mut self.buffer[start..start + whole];
        blocks[..within].copy_from_slice(&self.last[..within]);
        blocks[within..length].copy_from_slice(bytes);
        blocks[length..].fill(0);
        self.last_at = first_at + (whole - BLOCK_BYTES) as u64;
        self.last.clear();
        self.last.extend_from_slice(&blocks[whole - BLOCK_BYTES..]);
        Ok((blocks, first_at))
    }
}

impl Source for DirectFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.plain, buffer, offset)
    }
}

impl DiskFile for DirectFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut staging = self.staging.lock().expect(LOCK);
        let is_written = if is_whole(bytes, offset) {
            staging.last.clear();
            self.write_blocks(bytes, offset)?
        } else if self.is_plain.load(Ordering::Relaxed) {
            false
        } else {
            let (blocks, at) = staging.stage(&self.plain, bytes, offset)?;
            self.write_blocks(blocks, at)?
        };
        if is_written { Ok(()) } else { FileExt::write_all_at(&self.plain, bytes, offset) }
    }

    fn sync(&self) -> io::Result<()> {
        if self.is_plain.load(Ordering::Relaxed) { self.plain.sync_data() } else { Ok(()) }
    }
}

/// It can be written as it is.
fn is_whole(bytes: &[u8], offset: u64) -> bool {
    offset.is_multiple_of(BLOCK_BYTES as u64)
        && bytes.len().is_multiple_of(BLOCK_BYTES)
        && bytes.as_ptr().align_offset(BLOCK_BYTES) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_of_any_length_are_there_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, vec![b'x'; 20 * BLOCK_BYTES]).unwrap();
        let mut expected = std::fs::read(&path).unwrap();
        let mut file = DirectFile::open(&path).unwrap();
        let mut offset = 100;
        for (number, length) in [1, 4_000, 96, 4_096, 9_000, 3, 20_000].into_iter().enumerate() {
            if number == 4 {
                // As after a restart: what stands before in the block is read.
                file = DirectFile::open(&path).unwrap();
            }
            let bytes = vec![b'0' + u8::try_from(number).unwrap(); length];
            file.write_all_at(&bytes, offset as u64).unwrap();
            file.sync().unwrap();
            expected[offset..offset + length].copy_from_slice(&bytes);
            offset += length;
        }
        let found = std::fs::read(&path).unwrap();
        assert_eq!(found.len(), expected.len());
        assert!(found[..offset] == expected[..offset]);
        let block_end = offset.next_multiple_of(BLOCK_BYTES);
        assert!(found[offset..block_end].iter().all(|&byte| byte == 0 || byte == b'x'));
        assert!(found[block_end..] == expected[block_end..]);
        let mut read = vec![0; offset];
        assert_eq!(file.read_full_at(&mut read, 0).unwrap(), offset);
        assert!(read == expected[..offset]);
    }
}
