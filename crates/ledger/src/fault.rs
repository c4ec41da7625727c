//! A disk that fails on command, and that forgets like a machine that loses power: for the tests of
//! this crate and of those above it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::disk::{Disk, DiskFile, Source};
use crate::real_disk::RealDisk;

/// What the disk is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// A write; a failing one leaves its first half on disk.
    Write,
    /// A sync of a file; what a failing one should have saved may be lost.
    Sync,
    /// The creation of a file.
    Create,
    /// A rename.
    Rename,
    /// A sync of a folder.
    SyncDir,
}

/// A real disk with faults; clones share them.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk {
    faults: Arc<Mutex<Faults>>,
    released: Arc<Condvar>,
}

#[derive(Debug, Default)]
struct Faults {
    failing: HashMap<Call, io::ErrorKind>,
    held: HashSet<Call>,
    /// Calls made, failed ones included.
    calls: HashMap<Call, u64>,
    /// What stood where something was written that is not synced yet, newest last.
    unsynced: Vec<Unsynced>,
    /// Where every file that was opened lies now, by its number.
    paths: Vec<PathBuf>,
}

#[derive(Debug)]
struct Unsynced {
    path: PathBuf,
    offset: u64,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl FaultyDisk {
    /// From now on, calls of this kind fail so.
    pub fn fail(&self, call: Call, error: io::ErrorKind) {
        self.lock().failing.insert(call, error);
    }

    /// From now on, calls of this kind wait until the disk heals.
    pub fn hold(&self, call: Call) {
        self.lock().held.insert(call);
    }

    /// From now on, nothing fails or waits.
    pub fn heal(&self) {
        let mut faults = self.lock();
        faults.failing.clear();
        faults.held.clear();
        self.released.notify_all();
    }

    /// Calls of this kind so far, failed ones included.
    pub fn calls(&self, call: Call) -> u64 {
        self.lock().calls.get(&call).copied().unwrap_or(0)
    }

    /// Loses power: of what was written and not synced, `keeps` says sector by sector what reached
    /// the disk. The ledger using the disk must have ended. Renames are taken to be durable.
    pub fn lose_power(&self, mut keeps: impl FnMut() -> bool) -> io::Result<()> {
        let unsynced = std::mem::take(&mut self.lock().unsynced);
        for write in unsynced.iter().rev() {
            match RealDisk.open(&write.path) {
                Ok(file) => file.write_all_at(&write.before, write.offset)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        for write in &unsynced {
            let Ok(file) = RealDisk.open(&write.path) else { continue };
            for (offset, sector) in sectors(write.offset, &write.after) {
                if keeps() {
                    file.write_all_at(sector, offset)?;
                }
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().expect("no call panics while it holds this lock")
    }

    fn check(&self, call: Call) -> io::Result<()> {
        let mut faults = self.lock();
        *faults.calls.entry(call).or_default() += 1;
        while faults.held.contains(&call) {
            faults = self.released.wait(faults).expect("no call panics while it holds this lock");
        }
        match faults.failing.get(&call) {
            Some(kind) => Err((*kind).into()),
            None => Ok(()),
        }
    }

    fn wrap(&self, inner: Box<dyn DiskFile>, path: &Path) -> Box<dyn DiskFile> {
        let mut faults = self.lock();
        faults.paths.push(path.to_owned());
        Box::new(FaultyFile { inner, number: faults.paths.len() - 1, disk: self.clone() })
    }
}

/// The pieces of `bytes` that lie in one sector each, with their offsets.
fn sectors(offset: u64, bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let place = offset + at as u64;
        let length = (512 - (place % 512) as usize).min(bytes.len() - at);
        pieces.push((place, &bytes[at..at + length]));
        at += length;
    }
    pieces
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.wrap(RealDisk.open(path)?, path))
    }

    fn open_direct(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.check(Call::Create)?;
        Ok(self.wrap(RealDisk.create(path)?, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Call::Rename)?;
        RealDisk.rename(from, to)?;
        let mut faults = self.lock();
        let Faults { unsynced, paths, .. } = &mut *faults;
        let moved = unsynced.iter_mut().map(|write| &mut write.path).chain(paths);
        moved.filter(|path| *path == from).for_each(|path| *path = to.to_owned());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.check(Call::SyncDir)?;
        RealDisk.sync_dir(dir)
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn DiskFile>,
    number: usize,
    disk: FaultyDisk,
}

impl Source for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }
}

impl DiskFile for FaultyFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.disk.check(Call::Write) {
            // Half of it, not counting the zeros that fill the block.
            let meant = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            self.inner.write_all_at(&bytes[..meant / 2], offset)?;
            return Err(error);
        }
        let mut before = vec![0; bytes.len()];
        let count = self.inner.read_full_at(&mut before, offset)?;
        before.truncate(count);
        self.inner.write_all_at(bytes, offset)?;
        let after = bytes.to_vec();
        let mut faults = self.disk.lock();
        let path = faults.paths[self.number].clone();
        faults.unsynced.push(Unsynced { path, offset, before, after });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.check(Call::Sync)?;
        self.inner.sync()?;
        let mut faults = self.disk.lock();
        let path = faults.paths[self.number].clone();
        faults.unsynced.retain(|write| write.path != path);
        Ok(())
    }
}
