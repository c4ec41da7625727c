//! A checkpoint: a place in the chain that a key vouches for, and so for everything before it.
//!
//! What is signed is text, four lines: `gatehouse-ledger/` and the ledger's identity, the sequence, the
//! digest there in base64, microseconds since 1970. With the signature it is a signed note
//! (<https://c2sp.org/signed-note>), which other programs can check too.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use event::{LedgerCheckpoint, Timestamp};

use crate::format::{Digest, Position};
use crate::signing::{PublicKey, SigningKey};
use crate::{Error, ErrorKind};

const ORIGIN: &str = "gatehouse-ledger/";
/// What a signature line begins with: an em dash and a space.
const SIGNED_BY: &str = "\u{2014} ";
/// Names the algorithm in a key's id.
const ED25519: u8 = 1;
const KEY_ID_BYTES: usize = 4;

/// A statement of where the chain stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub(crate) ledger: [u8; 16],
    pub(crate) position: Position,
    pub(crate) signed_at: Timestamp,
}

impl Checkpoint {
    /// The row that says so.
    pub(crate) fn sign(&self, key: &SigningKey) -> LedgerCheckpoint {
        LedgerCheckpoint {
            time_generated: self.signed_at,
            ledger_id: hexadecimal(&self.ledger),
            signed_sequence: self.position.sequence.try_into().unwrap_or(i64::MAX),
            digest: hexadecimal(&self.position.digest),
            public_key: key.public_key().to_string(),
            signature: key.sign(self.text().as_bytes()),
            ledger_sequence: 0,
        }
    }

    /// What a row says, if the key that it names has signed it.
    pub(crate) fn of_row(row: &LedgerCheckpoint) -> Result<(Self, PublicKey), &'static str> {
        let said = || {
            let checkpoint = Self {
                ledger: from_hexadecimal(&row.ledger_id)?,
                position: Position {
                    sequence: row.signed_sequence.try_into().ok()?,
                    digest: from_hexadecimal(&row.digest)?,
                },
                signed_at: row.time_generated,
            };
            let signature = BASE64.decode(&row.signature).ok()?;
            Some((checkpoint, PublicKey::from_base64(&row.public_key)?, signature))
        };
        let (checkpoint, key, signature) = said().ok_or("it cannot be read")?;
        if !key.has_signed(checkpoint.text().as_bytes(), &signature) {
            return Err("the signature is not that of its key");
        }
        Ok((checkpoint, key))
    }

    /// The signed note that a row stands for.
    pub fn note_of(row: &LedgerCheckpoint) -> Result<String, Error> {
        let wrong = |why| Error::new(ErrorKind::Invalid, format!("checkpoint: {why}"));
        let (checkpoint, key) = Self::of_row(row).map_err(wrong)?;
        let name = checkpoint.name();
        let mut signed = key_id(&name, &key).to_vec();
        signed.extend(BASE64.decode(&row.signature).map_err(|_| wrong("it cannot be read"))?);
        Ok(format!("{}\n{SIGNED_BY}{name} {}\n", checkpoint.text(), BASE64.encode(signed)))
    }

    /// Reads a signed note, if one of the keys has signed it.
    pub fn from_note(note: &str, keys: &[PublicKey]) -> Result<Self, Error> {
        let wrong = |why: &str| Err(Error::new(ErrorKind::Invalid, why));
        let Some((text, signatures)) = note.split_once("\n\n") else {
            return wrong(
                "it is no signed note: give it a copy of `checkpoint.txt` from the gateway's data folder",
            );
        };
        let text = format!("{text}\n");
        let Some(checkpoint) = Self::from_text(&text) else {
            return wrong("it is a note, but no checkpoint of a ledger");
        };
        let name = checkpoint.name();
        let is_by = |key: &PublicKey, line: &str| {
            let signed = line.strip_prefix(SIGNED_BY)?.strip_prefix(&name)?.strip_prefix(' ')?;
            let signed = BASE64.decode(signed).ok()?;
            let (id, signature) = signed.split_at_checked(KEY_ID_BYTES)?;
            Some(id == key_id(&name, key) && key.has_signed(text.as_bytes(), signature))
        };
        let is_signed =
            signatures.lines().any(|line| keys.iter().any(|key| is_by(key, line) == Some(true)));
        if !is_signed {
            return wrong("none of the public keys has signed it");
        }
        Ok(checkpoint)
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut line = || lines.next();
        let ledger = from_hexadecimal(line()?.strip_prefix(ORIGIN)?)?;
        let sequence = line()?.parse().ok()?;
        let digest = BASE64.decode(line()?).ok()?.try_into().ok()?;
        let signed_at = Timestamp::from_unix_micros(line()?.parse().ok()?);
        let checkpoint = Self { ledger, position: Position { sequence, digest }, signed_at };
        (checkpoint.text() == text).then_some(checkpoint)
    }

    fn text(&self) -> String {
        let Position { sequence, digest } = self.position;
        let (digest, micros) = (BASE64.encode(digest), self.signed_at.unix_micros());
        format!("{}\n{sequence}\n{digest}\n{micros}\n", self.name())
    }

    fn name(&self) -> String {
        format!("{ORIGIN}{}", hexadecimal(&self.ledger))
    }
}

fn key_id(name: &str, key: &PublicKey) -> [u8; KEY_ID_BYTES] {
    let hashed = [name.as_bytes(), &[b'\n', ED25519], key.as_bytes()].concat();
    let hash: Digest = digest(&SHA256, &hashed).as_ref().try_into().expect("SHA-256 has 32 bytes");
    *hash.first_chunk().expect("a digest is longer than a key id")
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}
