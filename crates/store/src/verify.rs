//! Reading everything again: is it what was written?

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::blobs::hexadecimal;
use crate::{Error, ErrorKind, Store};

impl Store {
    /// Reads every extent and compares it with the hash in the manifest. Answers what is damaged;
    /// fails only if it cannot look. Takes as long as the disk needs.
    pub fn verify(&self) -> Result<Vec<Error>, Error> {
        let extents = self.state().extents.clone();
        let mut damaged = Vec::new();
        for extent in extents.iter().filter(|extent| !extent.record.sha256.is_empty()) {
            let found =
                hash(&extent.path).map_err(|error| Error::io("read", &extent.path, error))?;
            if found != extent.record.sha256 {
                let text = format!(
                    "extent {} is not what was written: restore it, or move the store's folder \
                     away so that the tables are rebuilt from the ledger",
                    extent.path.display()
                );
                damaged.push(Error::new(ErrorKind::Corrupt, text));
            }
        }
        Ok(damaged)
    }
}

pub(crate) fn hash(path: &Path) -> io::Result<String> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hasher.finalize().into())),
            read => hasher.update(&buffer[..read]),
        }
    }
}
