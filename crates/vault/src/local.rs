//! Homes on this machine: environment, files, the embedded vault.

use crate::{Embedded, Error, ErrorKind, Secret, SecretRef};

/// Largest file that a secret is read from.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Secrets that are at hand without asking another machine.
#[derive(Clone, Debug)]
pub struct Local {
    embedded: Embedded,
}

impl Local {
    /// With this embedded vault.
    pub fn new(embedded: Embedded) -> Self {
        Self { embedded }
    }

    /// Fetches the secret; the error names what is missing, never what was found.
    pub fn get(&self, reference: &SecretRef) -> Result<Secret, Error> {
        let found = match reference {
            SecretRef::Env(name) => std::env::var(name).map(Secret::new).map_err(|_| {
                let text = "is not set: export it before starting";
                Error::new(ErrorKind::Missing, text).of(reference)
            }),
            SecretRef::File(path) => {
                let read = std::fs::metadata(path).and_then(|data| {
                    if data.len() > FILE_BYTES_MAX {
                        return Err(std::io::Error::other("too large for a secret"));
                    }
                    std::fs::read_to_string(path)
                });
                read.map(Secret::new).map_err(|error| {
                    Error::new(ErrorKind::Missing, format!("cannot read {}", path.display()))
                        .caused(error)
                })
            }
            SecretRef::Vault(name) => self.embedded.get(name).map_err(|error| error.of(reference)),
            SecretRef::KeyVault { .. } | SecretRef::Openbao { .. } => {
                let text = "must be at hand at the start: use env, file or vault here";
                Err(Error::new(ErrorKind::Config, text).of(reference))
            }
        }?;
        if found.expose().trim_end().is_empty() {
            let text = "is empty: put the secret there";
            return Err(Error::new(ErrorKind::Missing, text).of(reference));
        }
        Ok(found.trimmed())
    }
}
