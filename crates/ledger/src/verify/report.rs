//! What a verification found.

use std::path::PathBuf;

use event::Timestamp;
use serde::Serialize;

use super::signatures::Signed;

/// Findings kept in full; more are only counted.
const FINDINGS_MAX: usize = 1_000;
/// Keys that are named.
const KEYS_MAX: usize = 100;

/// How far a verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Segments walked.
    pub segments_done: u64,
    /// Segments there are.
    pub segments: u64,
    /// Frames checked.
    pub frames: u64,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Bytes are not what was written.
    Damaged,
    /// Something that was written is not there.
    Missing,
    /// An interaction has no outcome, and no process is alive to give it one.
    NoOutcome,
    /// An interaction has more than one outcome.
    TwoOutcomes,
    /// An interaction has an outcome but no start, as far as 100,000 outcomes back.
    NoStart,
    /// An interaction was opened twice.
    TwoStarts,
    /// A payload was erased though no order says so, or though it held no content.
    ErasedWithoutOrder,
    /// A payload is not what its kind says.
    Undecodable,
    /// What a key vouched for is not what is here, or the wrong key did.
    BadSignature,
    /// The end is signed by none of the public keys given, or is not there.
    Unsigned,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// The file it is in.
    pub file: PathBuf,
    /// Where in the file, in bytes: the beginning of the commit or header that shows it.
    pub offset: u64,
    /// Sequence of the frame concerned, or the first of those missing; 0 if none is known.
    pub sequence: u64,
    /// What is wrong, in words.
    pub text: String,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// A process had the folder open for writing.
    pub is_live: bool,
    /// Only a part was walked: from `first_sequence` to `last_sequence`, in whole segments.
    pub is_part: bool,
    /// Segments walked.
    pub segments: u64,
    /// Commits checked.
    pub commits: u64,
    /// Frames checked.
    pub frames: u64,
    /// Frames whose payload was erased; the chain over them holds.
    pub erased: u64,
    /// Interactions whose content was ordered to be erased; an order that is repeated counts again.
    pub erasures_ordered: u64,
    /// Interactions opened.
    pub opened: u64,
    /// Interactions closed.
    pub closed: u64,
    /// Requests refused.
    pub refused: u64,
    /// Interactions open at the end; in a live folder that is no fault.
    pub open: u64,
    /// Checkpoints whose signature holds and whose place the chain goes through.
    pub checkpoints: u64,
    /// The last of them vouches for everything up to this sequence; 0 without any.
    pub signed_sequence: u64,
    /// When that was signed.
    pub signed_at: Option<Timestamp>,
    /// Public keys that signed, in base64.
    pub signed_by: Vec<String>,
    /// First sequence kept.
    pub first_sequence: u64,
    /// Last sequence reached.
    pub last_sequence: u64,
    /// Digest of the last commit: whoever keeps it elsewhere can prove later that nothing before it
    /// was changed.
    #[serde(serialize_with = "hexadecimal")]
    pub last_digest: [u8; 32],
    /// When the first commit was written.
    pub first_at: Option<Timestamp>,
    /// When the last commit was written.
    pub last_at: Option<Timestamp>,
    /// Bytes of the frames, decompressed.
    pub raw_bytes: u64,
    /// Bytes of the commits as they lie on disk.
    pub stored_bytes: u64,
    /// Bytes of commits that a crash left unfinished at the end; none had been acknowledged.
    pub torn_bytes: u64,
    /// The first thousand findings.
    pub findings: Vec<Finding>,
    /// All findings.
    pub findings_total: u64,
}

impl Report {
    /// Nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings_total == 0
    }

    pub(super) fn signed(&mut self, signed: &Signed) {
        self.checkpoints += 1;
        self.signed_sequence = signed.sequence;
        self.signed_at = Some(signed.at);
        let key = signed.key.to_string();
        if !self.signed_by.contains(&key) && self.signed_by.len() < KEYS_MAX {
            self.signed_by.push(key);
        }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

fn hexadecimal<S: serde::Serializer>(digest: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
    use std::fmt::Write;
    let text = digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text takes any number of characters");
        text
    });
    to.serialize_str(&text)
}
