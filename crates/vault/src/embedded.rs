//! The embedded vault: secrets in one sealed file, for sites without a vault of their own.
//!
//! Format 1: a JSON object. In its `head`, `format` and `version` say what it is, `kdf` how the sealing
//! key comes of the master key (HKDF-SHA256 of a random key, argon2id of a passphrase); `nonce` and
//! `sealed` hold the secrets as JSON under AES-256-GCM, with the head as associated data. Each write
//! takes a new salt and nonce, and replaces the file as a whole.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::{EmbeddedConfig, MasterKey};
use crate::secret::Hidden;
use crate::{Error, ErrorKind, Secret};

const FORMAT: &str = "gatehouse-vault";
/// Version of the sealed file.
pub const VERSION: u32 = 1;
/// Largest secret, as Key Vault has it.
const SECRET_BYTES_MAX: usize = 25_600;
const SECRETS_MAX: usize = 1_000;
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Master keys that may stand one below the other.
const KEYS_MAX: usize = 4;
const KEY_CHARACTERS_MIN: usize = 32;
const PASSPHRASE_CHARACTERS_MIN: usize = 12;
/// What argon2id takes: RFC 9106's second recommendation.
const ARGON2_MEMORY_KIB: u32 = 64 << 10;
const ARGON2_PASSES: u32 = 3;
const ARGON2_LANES: u32 = 4;

/// The embedded vault; each call reads the file.
#[derive(Clone, Debug)]
pub struct Embedded {
    config: EmbeddedConfig,
}

/// What a list shows of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// How often it was set.
    pub version: u32,
    /// When it was set last, in seconds since 1970.
    pub set_at: u64,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    head: Head,
    nonce: String,
    sealed: String,
}

/// What stands in the file openly, and is sealed along.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    version: u32,
    kdf: Kdf,
}

/// How the sealing key comes of the master key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
enum Kdf {
    HkdfSha256 { salt: String },
    Argon2id { salt: String, memory_kib: u32, passes: u32, lanes: u32 },
}

#[derive(Default, Serialize, Deserialize)]
struct Contents {
    secrets: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    value: Hidden,
    version: u32,
    set_at: u64,
}

impl Embedded {
    /// The vault of a configuration.
    pub fn new(config: &EmbeddedConfig) -> Self {
        Self { config: config.clone() }
    }

    /// A secret.
    pub fn get(&self, name: &str) -> Result<Secret, Error> {
        let contents = self.read()?.ok_or_else(|| {
            let text = format!("{} does not exist", self.config.file.display());
            Error::new(ErrorKind::Missing, format!("{text}: `gatehouse vault set` makes it"))
        })?;
        let entry = contents.secrets.get(name).ok_or_else(|| {
            let text =
                format!("it has no secret `{name}`: `gatehouse vault set {name}` puts it there");
            Error::new(ErrorKind::Missing, text)
        })?;
        Ok(entry.value.0.clone())
    }

    /// Names, never values.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let secrets = self.read()?.unwrap_or_default().secrets;
        let listed = |(name, entry): (String, Entry)| Listed {
            name,
            version: entry.version,
            set_at: entry.set_at,
        };
        Ok(secrets.into_iter().map(listed).collect())
    }

    /// Sets a secret; makes the file, and a master key in a file, if they are not there.
    pub fn set(&self, name: &str, value: &Secret, now_s: u64) -> Result<(), Error> {
        check(name, value.expose())?;
        self.make_key()?;
        let mut contents = self.read()?.unwrap_or_default();
        let version = contents.secrets.get(name).map_or(0, |entry| entry.version) + 1;
        let value = Hidden(value.clone());
        contents.secrets.insert(name.to_owned(), Entry { value, version, set_at: now_s });
        if contents.secrets.len() > SECRETS_MAX {
            let text = format!("it holds {SECRETS_MAX} secrets already: remove one");
            return Err(Error::new(ErrorKind::Config, text));
        }
        self.write(&contents, &self.keys()?[0])
    }

    /// Removes a secret; false if it was not there.
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        let mut contents = self.read()?.unwrap_or_default();
        if contents.secrets.remove(name).is_none() {
            return Ok(false);
        }
        self.write(&contents, &self.keys()?[0]).map(|()| true)
    }

    /// Seals everything anew. A master key in a file is replaced by a new random one; elsewhere the new
    /// one stands already as the first of several lines. A crash between the steps loses nothing:
    /// each key file on the way opens the vault as it is then. `others` are sealed under the same master
    /// key; those that are not there are passed over.
    pub fn rotate_key(&self, others: &[Self]) -> Result<(), Error> {
        let mut sealed = vec![(self, self.read()?.unwrap_or_default())];
        for other in others {
            sealed.extend(other.read()?.map(|contents| (other, contents)));
        }
        let seal =
            |key: &str| sealed.iter().try_for_each(|(vault, contents)| vault.write(contents, key));
        let keys = self.keys()?;
        let MasterKey::File(path) = &self.config.master_key else {
            return seal(&keys[0]);
        };
        let new = random_key()?;
        let old: Vec<&str> = keys.iter().take(KEYS_MAX - 1).map(|key| key.as_str()).collect();
        let both = Zeroizing::new(format!("{}\n{}", *new, old.join("\n")));
        replace(path, both.as_bytes())?;
        seal(&new)?;
        replace(path, new.as_bytes())
    }

    /// Makes a master key in a file, if there is none yet; whether one is at hand then.
    pub fn prepare(&self) -> Result<(), Error> {
        self.make_key()?;
        self.keys().map(drop)
    }

    /// The files that it depends on.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.config.file.clone()];
        if let MasterKey::File(path) | MasterKey::PassphraseFile(path) = &self.config.master_key {
            files.push(path.clone());
        }
        files
    }

    /// What the file holds; none if there is no file.
    fn read(&self) -> Result<Option<Contents>, Error> {
        let path = &self.config.file;
        let shown = path.display();
        let corrupt = |what: &str| {
            let text = format!("{shown} {what}: restore it from a backup");
            Error::new(ErrorKind::Corrupt, text)
        };
        let text = match std::fs::metadata(path).and_then(|data| {
            if data.len() > FILE_BYTES_MAX {
                return Err(std::io::Error::other("larger than any vault"));
            }
            std::fs::read(path)
        }) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let text = format!("cannot read {shown}");
                return Err(Error::new(ErrorKind::Config, text).caused(error));
            }
        };
        let file: File =
            serde_json::from_slice(&text).map_err(|_| corrupt("is no embedded vault"))?;
        if file.head.format != FORMAT || file.head.version != VERSION {
            let version = file.head.version;
            let text = format!("{shown} has format {version}, this Gatehouse knows {VERSION}");
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        let decoded = (BASE64.decode(&file.nonce), BASE64.decode(&file.sealed));
        let (Ok(nonce), Ok(sealed)) = decoded else { return Err(corrupt("is damaged")) };
        for key in self.keys()? {
            if let Some(contents) = open(&file.head, &key, &nonce, &sealed)? {
                return Ok(Some(contents));
            }
        }
        let text = format!(
            "{shown} does not open: the master key ({}) is another, or the file was changed",
            self.config.master_key.place()
        );
        Err(Error::new(ErrorKind::Denied, text))
    }

    fn write(&self, contents: &Contents, key: &str) -> Result<(), Error> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(no_randomness)?;
        let salt = BASE64.encode(salt);
        let kdf = match self.config.master_key.is_passphrase() {
            false => Kdf::HkdfSha256 { salt },
            true => Kdf::Argon2id {
                salt,
                memory_kib: ARGON2_MEMORY_KIB,
                passes: ARGON2_PASSES,
                lanes: ARGON2_LANES,
            },
        };
        let head = Head { format: FORMAT.to_owned(), version: VERSION, kdf };
        let mut sealed = serde_json::to_vec(contents).map_err(|_| failed("cannot be written"))?;
        let nonce = sealing_key(&head, key)?
            .seal_in_place_append_tag(Aad::from(associated(&head)), &mut sealed)
            .map_err(|_| failed("cannot be sealed"))?;
        let file =
            File { head, nonce: BASE64.encode(nonce.as_ref()), sealed: BASE64.encode(&sealed) };
        let mut text = serde_json::to_vec_pretty(&file).map_err(|_| failed("cannot be written"))?;
        text.push(b'\n');
        replace(&self.config.file, &text)
    }

    /// The master keys, at least one.
    fn keys(&self) -> Result<Vec<Zeroizing<String>>, Error> {
        let source = &self.config.master_key;
        let missing = |error: &dyn std::fmt::Display| {
            let fix = match source {
                MasterKey::File(_) if !self.config.file.exists() => {
                    "`gatehouse vault set` makes it with the first secret"
                }
                MasterKey::File(_) | MasterKey::PassphraseFile(_) => "put it there",
                MasterKey::Env(_) | MasterKey::PassphraseEnv(_) => "export it",
                MasterKey::Credential(_) => "have the unit load it",
            };
            let text = format!("the master key ({}) is not there: {error}: {fix}", source.place());
            Error::new(ErrorKind::Missing, text)
        };
        let text = match source {
            MasterKey::File(path) | MasterKey::PassphraseFile(path) => {
                std::fs::read_to_string(path).map_err(|error| missing(&error))?
            }
            MasterKey::Env(name) | MasterKey::PassphraseEnv(name) => {
                std::env::var(name).map_err(|error| missing(&error))?
            }
            MasterKey::Credential(name) => {
                let folder = std::env::var("CREDENTIALS_DIRECTORY")
                    .map_err(|_| missing(&"systemd handed over no credentials"))?;
                std::fs::read_to_string(Path::new(&folder).join(name))
                    .map_err(|error| missing(&error))?
            }
        };
        let text = Zeroizing::new(text);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Vec<_> =
            lines.take(KEYS_MAX).map(|line| Zeroizing::new(line.to_owned())).collect();
        let least = match source.is_passphrase() {
            true => PASSPHRASE_CHARACTERS_MIN,
            false => KEY_CHARACTERS_MIN,
        };
        if keys.is_empty() || keys.iter().any(|key| key.chars().count() < least) {
            let text = format!(
                "the master key ({}) is shorter than {least} characters: use a longer one",
                source.place()
            );
            return Err(Error::new(ErrorKind::Config, text));
        }
        Ok(keys)
    }

    fn make_key(&self) -> Result<(), Error> {
        match &self.config.master_key {
            MasterKey::File(path) if !path.exists() && !self.config.file.exists() => {
                replace(path, random_key()?.as_bytes())
            }
            _ => Ok(()),
        }
    }
}

impl MasterKey {
    const fn is_passphrase(&self) -> bool {
        matches!(self, Self::PassphraseFile(_) | Self::PassphraseEnv(_))
    }

    /// Where it is, for people.
    fn place(&self) -> String {
        match self {
            Self::File(path) | Self::PassphraseFile(path) => format!("file {}", path.display()),
            Self::Env(name) | Self::PassphraseEnv(name) => format!("environment variable {name}"),
            Self::Credential(name) => format!("systemd credential {name}"),
        }
    }
}

/// None if it is not the key.
fn open(head: &Head, key: &str, nonce: &[u8], sealed: &[u8]) -> Result<Option<Contents>, Error> {
    let Ok(nonce) = Nonce::try_assume_unique_for_key(nonce) else { return Ok(None) };
    let mut text = Zeroizing::new(sealed.to_vec());
    let aad = Aad::from(associated(head));
    let Ok(opened) = sealing_key(head, key)?.open_in_place(nonce, aad, &mut text) else {
        return Ok(None);
    };
    serde_json::from_slice(opened).map(Some).map_err(|_| failed("holds what is no secret"))
}

fn sealing_key(head: &Head, master: &str) -> Result<RandomizedNonceKey, Error> {
    let mut key = Zeroizing::new([0; 32]);
    let salt_of = |salt: &str| BASE64.decode(salt).map_err(|_| failed("has a damaged salt"));
    match &head.kdf {
        Kdf::HkdfSha256 { salt } => {
            let extracted =
                hkdf::Salt::new(hkdf::HKDF_SHA256, &salt_of(salt)?).extract(master.as_bytes());
            extracted
                .expand(&[FORMAT.as_bytes()], hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut *key))
                .map_err(|_| failed("has a key that cannot be derived"))?;
        }
        Kdf::Argon2id { salt, memory_kib, passes, lanes } => {
            let wrong = |_| failed("has settings of argon2id that cannot be");
            // A file from elsewhere must not take all memory.
            let memory_kib = (*memory_kib).min(1 << 20);
            let params =
                argon2::Params::new(memory_kib, *passes, *lanes, Some(32)).map_err(wrong)?;
            argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
                .hash_password_into(master.as_bytes(), &salt_of(salt)?, &mut *key)
                .map_err(wrong)?;
        }
    }
    RandomizedNonceKey::new(&AES_256_GCM, &*key).map_err(|_| failed("has no usable key"))
}

fn associated(head: &Head) -> Vec<u8> {
    serde_json::to_vec(head).unwrap_or_default()
}

fn random_key() -> Result<Zeroizing<String>, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(no_randomness)?;
    Ok(Zeroizing::new(BASE64.encode(*bytes)))
}

/// Replaces a file as a whole; readable by its owner only.
fn replace(path: &Path, data: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = (|| {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(data)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    })();
    written.map_err(|error| {
        Error::new(ErrorKind::Config, format!("cannot write {}", path.display())).caused(error)
    })
}

fn check(name: &str, value: &str) -> Result<(), Error> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if name.is_empty() || name.len() > 127 || !name.chars().all(fits) {
        let text = format!("`{name}` is no name: use up to 127 letters, digits, `.`, `_` and `-`");
        return Err(Error::new(ErrorKind::Config, text));
    }
    if value.is_empty() || value.len() > SECRET_BYTES_MAX {
        let text = format!("`{name}`: a secret has 1 to {SECRET_BYTES_MAX} bytes");
        return Err(Error::new(ErrorKind::Config, text));
    }
    Ok(())
}

fn failed(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the embedded vault {what}"))
}

fn no_randomness(error: getrandom::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the system gives no random bytes")
        .caused(std::io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests;
