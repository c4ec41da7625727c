//! The set-up link: whoever signs in with it first becomes administrator, while nobody is one.
//!
//! Only its hash is kept, in a file of the data folder. The next link takes its place.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::session::random;

/// Changes when the meaning of the file does.
const FORMAT: u32 = 1;
/// How long a link holds, in seconds.
const LASTING_S: i64 = 86_400;

/// The set-up link of a data folder.
#[derive(Clone, Debug, Default)]
pub struct SetUp {
    file: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    /// SHA-256 of the link's token, in hexadecimal digits.
    token_hash: String,
    /// In seconds since 1970.
    expires_at: i64,
}

impl SetUp {
    /// The link that this file keeps.
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Makes a link in the place of the one before; answers its path on the admin listener. It holds a day.
    pub fn issue(&self, now: i64) -> io::Result<String> {
        let token = random();
        let kept = Kept {
            format: FORMAT,
            token_hash: hash(&token),
            expires_at: now.saturating_add(LASTING_S),
        };
        let next = self.file.with_extension("next");
        let mut options = File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(&serde_json::to_vec(&kept)?)?;
        file.sync_all()?;
        fs::rename(&next, &self.file)?;
        Ok(format!("/?set_up={token}"))
    }

    /// The token is that of a link that holds.
    pub(crate) fn holds(&self, token: &str, now: i64) -> bool {
        let Ok(text) = fs::read(&self.file) else { return false };
        let Ok(kept) = serde_json::from_slice::<Kept>(&text) else { return false };
        kept.format == FORMAT
            && now < kept.expires_at
            && bool::from(kept.token_hash.as_bytes().ct_eq(hash(token).as_bytes()))
    }

    /// The link is used up, or not needed any more.
    pub fn end(&self) -> io::Result<()> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn hash(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_a_day_and_until_it_is_used_or_replaced_and_is_kept_as_a_hash() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let set_up = SetUp::new(folder.path().join("set-up.json"));
        assert!(!set_up.holds("", 0), "there is none");
        set_up.end().expect("nothing to end");
        let token = |link: &str| link.strip_prefix("/?set_up=").expect("a path").to_owned();
        let first = token(&set_up.issue(0).expect("writes"));
        assert!(set_up.holds(&first, LASTING_S - 1));
        assert!(!set_up.holds(&first, LASTING_S) && !set_up.holds("", 0) && !set_up.holds("x", 0));
        let text = fs::read_to_string(&set_up.file).expect("reads");
        assert!(!text.contains(&first));
        let second = token(&set_up.issue(0).expect("writes"));
        assert!(!set_up.holds(&first, 1) && set_up.holds(&second, 1));
        set_up.end().expect("removed");
        assert!(!set_up.holds(&second, 1));
    }
}
